//! `connection-limit`: how many connections of the source's network a rule has met.
//!
//! As in Linux, a rule counts the connections whose packets come as far as this matcher, from the network of the packet's
//! source. Which of them still live is asked of the flow table each time: one that has ended or expired never counts.

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_loop;
use router_common::maps::flow::{NONE, status};
use router_common::maps::rule::{ASKED_MAX, SOURCE_CELLS, SOURCES_MAX, SourceKey, counted, network};
use router_common::maps::scratch::work;

use crate::{atomic, flow, global, maps};

/// A look over a rule's blocks; on the stack of whoever looks.
#[repr(C)]
struct Look {
    scratch: u32,
    /// The look ends when more than these live.
    limit: u32,
    live: u32,
    /// The packet's own connection is among them.
    is_known: u32,
    /// The packet's own connection as [`counted`] has it, or 0.
    own: u64,
}

impl Look {
    #[inline(always)]
    fn over(&mut self, block: unsafe extern "C" fn(u32, *mut c_void) -> i64) {
        // SAFETY: the callback has the signature that the helper asks for, and its context outlives the call. It can't
        // fail with so few rounds and no flags.
        let _ = unsafe { bpf_loop(SOURCES_MAX, block as *mut c_void, (&raw mut *self).cast(), 0) };
    }
}

/// 1 where the source's network has more than `limit` connections, the packet's own counted.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn connection_limit_met(scratch: u32, rule: u64, limit: u32, prefix_length: u32) -> u32 {
    let (Some(memory), Some(packet)) = (maps::rule_scratch(scratch), maps::scratch(scratch)) else {
        return 0;
    };
    let facts = &packet.facts;
    let key = &mut memory.source;
    (key.rule, key.family, key.block) = (rule, u32::from(facts.family), 0);
    key.network = network(&facts.src, prefix_length);
    let (index, word) = (packet.work.index, packet.work.word);
    let is_new = packet.work.flags & work::NEW != 0;
    // An answer's source has not opened the connection.
    let is_own = index != NONE && !is_new && word as u32 & status::REPLY == 0;
    let own = if is_own { counted(word, index) } else { 0 };
    let mut look = Look { scratch, limit, live: 0, is_known: 0, own };
    look.over(count);
    if is_new {
        remember(scratch);
    }
    let is_more = is_new || own != 0 && look.is_known == 0;
    if own != 0 && look.is_known == 0 && look.live <= limit {
        look.over(place);
    }
    u32::from(look.live.saturating_add(u32::from(is_more)) > limit)
}

/// Counts the connection, which has just been stored, by the rules that have asked.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn connection_limit_note(scratch: u32) -> u32 {
    let Some(memory) = maps::rule_scratch(scratch) else { return 0 };
    for number in 0..ASKED_MAX as u32 {
        if number >= memory.asked_count {
            break;
        }
        connection_limit_place(scratch, number);
    }
    0
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn connection_limit_place(scratch: u32, number: u32) -> u32 {
    let (Some(memory), Some(packet)) = (maps::rule_scratch(scratch), maps::scratch(scratch)) else {
        return 0;
    };
    let (index, word) = (packet.work.index, packet.work.word);
    let Some(key) = memory.asked.get(number as usize) else { return 0 };
    // Where another CPU was faster, that one has counted it.
    if index == NONE {
        return 0;
    }
    memory.source = *key;
    Look { scratch, limit: 0, live: 0, is_known: 0, own: counted(word, index) }.over(place);
    1
}

/// The connection has to be counted by this rule once it is stored.
#[inline(always)]
fn remember(scratch: u32) {
    let Some(memory) = maps::rule_scratch(scratch) else { return };
    let key = SourceKey { block: 0, ..memory.source };
    let number = memory.asked_count;
    for (at, asked) in (0..).zip(&memory.asked) {
        if at < number && asked.rule == key.rule {
            return;
        }
    }
    if let Some(asked) = memory.asked.get_mut(number as usize) {
        *asked = key;
        memory.asked_count = number + 1;
    }
}

/// Whether a connection of a block lives, and has not expired.
#[inline(always)]
fn is_live(scratch: u32, connection: u64) -> bool {
    let Some(s) = maps::state(scratch) else { return false };
    let index = connection as u32;
    let Some(entry) = maps::entry(s.family, index) else { return false };
    let word = flow::word(entry);
    connection != 0
        && counted(word, index) == connection
        && flow::life(word) == status::LIVE
        && global::flow_expired(s, index) == 0
}

/// Counts a block's connections. 1 ends the loop, also in [`place`].
unsafe extern "C" fn count(block: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the caller's.
    let look = unsafe { &mut *context.cast::<Look>() };
    let Some(memory) = maps::rule_scratch(look.scratch) else { return 1 };
    memory.source.block = block;
    let Some(cells) = maps::source_block(&memory.source) else { return 1 };
    for number in 0..SOURCE_CELLS {
        // SAFETY: a word of the block.
        let cell = unsafe { cells.cast::<u64>().add(number) };
        // SAFETY: as above; it is whole whenever it is read.
        let connection = unsafe { cell.read_volatile() };
        if !is_live(look.scratch, connection) {
            continue;
        }
        if connection == look.own {
            if look.is_known != 0 {
                // Two CPUs have placed it.
                // SAFETY: as above.
                unsafe { atomic::replace(cell, connection, 0) };
                continue;
            }
            look.is_known = 1;
        }
        look.live += 1;
    }
    i64::from(look.live > look.limit)
}

/// Puts the own connection in the place of the first that lives no more.
unsafe extern "C" fn place(block: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the caller's.
    let look = unsafe { &mut *context.cast::<Look>() };
    let Some(memory) = maps::rule_scratch(look.scratch) else { return 1 };
    memory.source.block = block;
    let cells = match maps::source_block(&memory.source) {
        Some(cells) => cells,
        None => {
            memory.cells = [look.own, 0, 0, 0, 0, 0, 0, 0];
            if maps::add_source_block(&memory.source, &memory.cells) {
                return 1;
            }
            // Another CPU was faster, or there is no room.
            let Some(cells) = maps::source_block(&memory.source) else { return 1 };
            cells
        }
    };
    for number in 0..SOURCE_CELLS {
        // SAFETY: as in `count`.
        let cell = unsafe { cells.cast::<u64>().add(number) };
        // SAFETY: as there.
        let connection = unsafe { cell.read_volatile() };
        if is_live(look.scratch, connection) {
            continue;
        }
        // SAFETY: as there.
        if unsafe { atomic::replace(cell, connection, look.own) } {
            return 1;
        }
    }
    0
}
