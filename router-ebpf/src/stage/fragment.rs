//! Fragments: the first one is judged as any packet, and what becomes of it is kept for the others.
//!
//! What they hide from the rules is dropped: first fragments without the whole header of the upper layer, and others that
//! reach into bytes which the first had.

use core::hint::black_box;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use router_common::conntrack::other;
use router_common::facts::fragment;
use router_common::maps::flow::{status, tracking};
use router_common::maps::fragment::{Held, KEPT_TICKS, LARGE_BYTES, SMALL_BYTES, part};
use router_common::maps::image::REJECT_BASE;
use router_common::maps::port::port_flag;
use router_common::maps::scratch::Scratch;
use router_common::parse;
use router_common::rules::walk::edit;
use router_common::verdict::Reason;
use router_common::wire::ipv6::halves;

use crate::dead_man;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::rules;
use crate::{flow, maps};

/// The largest IP packet.
const MOST_BYTES: u32 = 65535;

/// Which part of which packet this is. 0, or an exit.
#[inline(always)]
pub fn learn<P: Packet>(packet: P, s: &mut State) -> u32 {
    Exit::pack(read(packet, s))
}

#[inline(always)]
fn read<P: Packet>(packet: P, s: &State) -> Result<(), Exit> {
    let scratch = maps::scratch(P::SCRATCH).ok_or(Reason::Internal)?;
    let settings = maps::tracking(s.now.generation).ok_or(Reason::Internal)?;
    if settings.flags & tracking::ENABLED == 0 {
        return Ok(());
    }
    let Scratch { facts, fragment, .. } = scratch;
    let header = packet.load::<8>(s.l2_bytes).ok_or(Reason::MalformedHeader)?;
    let (l3_bytes, more);
    if s.family == 4 {
        let [first, _, _, _, a, b, high, low] = header;
        let word = u16::from_be_bytes([high, low]);
        l3_bytes = u32::from(first & 15) * 4;
        more = word & 0x2000 != 0;
        fragment.offset_bytes = u32::from(word & 0x1fff) * 8;
        fragment.key.id = u32::from(u16::from_ne_bytes([a, b]));
        fragment.key.protocol = facts.protocol;
    } else {
        let [_, _, _, _, _, _, next, _] = header;
        let at = parse::fragment_header(next, s.length, |offset| packet.load::<8>(s.l2_bytes + offset));
        let [_, _, high, low, a, b, c, d] =
            packet.load::<8>(s.l2_bytes + at).ok_or(Reason::MalformedHeader)?;
        let word = u16::from_be_bytes([high, low]);
        l3_bytes = at + 8;
        more = word & 1 != 0;
        fragment.offset_bytes = u32::from(word & 0xfff8);
        fragment.key.id = u32::from_ne_bytes([a, b, c, d]);
        fragment.key.protocol = 0;
    }
    fragment.bytes = s.length.wrapping_sub(l3_bytes);
    maps::write6(&mut fragment.key.src, halves(&facts.src));
    maps::write6(&mut fragment.key.dst, halves(&facts.dst));
    fragment.key.port = s.ingress;
    fragment.key.family = s.family as u8;
    // RFC 8200, 4.5: all but the last have whole units of eight bytes, and nothing lies beyond the largest packet.
    if l3_bytes >= s.length
        || more && fragment.bytes & 7 != 0
        || fragment.offset_bytes + s.length > MOST_BYTES + if s.family == 4 { 0 } else { l3_bytes }
    {
        return Err(Exit::drop(Reason::MalformedHeader));
    }
    let is_later = facts.fragment & fragment::LATER != 0;
    let is_tiny = match is_later {
        // The flags of TCP stand in the second unit.
        true => facts.protocol == other::TCP && fragment.offset_bytes == 8,
        false => facts.l4_offset == 0,
    };
    if is_tiny {
        return Err(Exit::drop(Reason::FragmentTiny));
    }
    fragment.part = if is_later { part::LATER } else { part::FIRST };
    Ok(())
}

/// A later fragment leaves as its first did. 0, or an exit.
#[inline(always)]
pub fn find(s: &mut State) -> u32 {
    Exit::pack(follow(s))
}

#[inline(always)]
fn follow(s: &mut State) -> Result<(), Exit> {
    let Scratch { fragment, work, facts, .. } = maps::scratch(s.scratch).ok_or(Reason::Internal)?;
    let found = maps::fragment(&fragment.key).ok_or(Reason::FragmentUnknown)?;
    // SAFETY: a map value; its words are whole whenever they are read.
    fragment.first = unsafe { *found };
    let first = &fragment.first;
    if s.now.tick.wrapping_sub(first.since_tick) >= KEPT_TICKS {
        return Err(Exit::drop(Reason::FragmentUnknown));
    }
    if fragment.offset_bytes < first.bytes {
        // SAFETY: as above.
        unsafe { (*found).reason = Reason::FragmentOverlap as u32 };
        return Err(Exit::drop(Reason::FragmentOverlap));
    }
    if first.reason != 0 {
        return Err(Exit::dropped(first.reason));
    }
    work.leaves = work.came;
    maps::write6(&mut work.leaves.src, halves(&first.new_src));
    maps::write6(&mut work.leaves.dst, halves(&first.new_dst));
    s.table = first.table;
    let walk = &mut maps::rule_scratch(s.scratch).ok_or(Reason::Internal)?.walk;
    walk.edits = first.edits;
    walk.priority = first.priority.into();
    facts.packet_mark = first.packet_mark;
    facts.dscp = first.dscp;
    // Where the first was given another, its own is no reason to end it.
    if first.edits & edit::TTL != 0 {
        facts.ttl = if fragment.key.output != 0 { first.ttl } else { u8::MAX };
    }
    // Rules and connections count one packet with all of its bytes.
    let bytes = u64::from(fragment.bytes);
    if first.generation == s.now.generation {
        rules::count_path(first.path, 0, bytes);
    }
    if let Some(entry) = maps::entry(s.family, first.index) {
        let word = flow::word(entry);
        if flow::life(word) == status::LIVE && (word >> status::VERSION_SHIFT) as u32 == first.version {
            // SAFETY: an entry of the table; single words.
            unsafe {
                (*entry).last_tick = s.now.tick;
                (*entry).bytes = (*entry).bytes.wrapping_add(bytes);
            }
        }
    }
    Ok(())
}

/// Has the daemon hold the packet until its first fragment has come. An exit.
#[inline(always)]
pub fn hold<P: Packet>(packet: P, s: &mut State) -> u32 {
    Exit::pack(Err(held(packet, s).map_or(Exit::drop(Reason::FragmentUnknown), |()| Exit::held())))
}

#[inline(always)]
fn held<P: Packet>(packet: P, s: &State) -> Option<()> {
    let mark = maps::settings(s.now.generation)?.mark_again();
    if mark == 0
        || s.port_flags & port_flag::AGAIN != 0
        || !maps::is_daemon_alive(s.now.tick, dead_man::PATIENCE_TICKS)
    {
        return None;
    }
    match packet.length() {
        length if length <= SMALL_BYTES as u32 => keep::<P, SMALL_BYTES>(packet, mark, length),
        length if length <= LARGE_BYTES as u32 => keep::<P, LARGE_BYTES>(packet, mark, length),
        _ => None,
    }
}

#[repr(C)]
struct Record<const N: usize> {
    about: Held,
    frame: [u8; N],
}

/// None where the ring is full.
#[inline(always)]
fn keep<P: Packet, const N: usize>(packet: P, mark: u32, length: u32) -> Option<()> {
    let fragment = &maps::scratch(P::SCRATCH)?.fragment;
    let mut entry = maps::HELD.reserve::<Record<N>>(0)?;
    let record = entry.as_mut_ptr();
    // SAFETY: reserved memory of that size.
    let loaded = unsafe {
        (&raw mut (*record).about.key).write(fragment.key);
        (&raw mut (*record).about.time_ns).write(bpf_ktime_get_ns());
        (&raw mut (*record).about.length_bytes).write(length);
        (&raw mut (*record).about.mark).write(mark);
        // As in `trace::report`: the verifier has to see that there is at least one byte.
        let last = black_box(length.wrapping_sub(1)).min(N as u32 - 1);
        packet.load_into(0, (&raw mut (*record).frame).cast(), last + 1)
    };
    match loaded {
        Some(()) => entry.submit(0),
        None => entry.discard(0),
    }
    loaded
}

/// Keeps what became of a first fragment: 0, it has been let through, or an exit.
#[inline(always)]
pub fn note(s: &mut State, fate: u32) -> u32 {
    let Some(Scratch { fragment, work, facts, .. }) = maps::scratch(s.scratch) else { return 0 };
    let first = &mut fragment.first;
    first.reason = match Exit::unpack(fate) {
        Ok(()) => 0,
        Err(exit) if exit.is_host() => 0,
        // One answer to one packet.
        Err(exit) if exit.is_drop() && exit.reason() >= REJECT_BASE => Reason::FilterDrop as u32,
        Err(exit) if exit.is_drop() => u32::from(exit.reason()),
        Err(_) => return 0,
    };
    maps::write6(&mut first.new_src, halves(&work.leaves.src));
    maps::write6(&mut first.new_dst, halves(&work.leaves.dst));
    first.egress = facts.out_ifindex;
    first.since_tick = s.now.tick;
    first.bytes = fragment.bytes;
    first.index = work.index;
    first.version = maps::entry(s.family, work.index)
        .map_or(0, |entry| (flow::word(entry) >> status::VERSION_SHIFT) as u32);
    first.generation = 0;
    if let Some(path) = rules::path(s.scratch, s.now.generation) {
        (first.path, first.generation) = (path, s.now.generation);
    }
    first.table = s.table;
    first.packet_mark = facts.packet_mark;
    (first.dscp, first.ttl) = (facts.dscp, facts.ttl);
    if let Some(memory) = maps::rule_scratch(s.scratch) {
        // The others announce no size.
        first.edits = memory.walk.edits & !edit::MSS;
        first.priority = memory.walk.priority as u8;
        if memory.walk.edits & edit::ROUTE != 0
            && let Some(gateway) = rules::gateway(&memory.walk, s.now.generation)
        {
            maps::write6(&mut first.via, gateway);
        }
    }
    u32::from(maps::add_fragment(&fragment.key, first))
}

/// Sends the packet to the gateway that a rule has named for it. Always 0.
#[inline(always)]
pub fn via(s: &mut State) -> u32 {
    let Some(Scratch { fragment, .. }) = maps::scratch(s.scratch) else { return 0 };
    let Some(memory) = maps::rule_scratch(s.scratch) else { return 0 };
    let gateway = match fragment.part {
        part::LATER => Some(halves(&fragment.first.via)),
        _ => rules::gateway(&memory.walk, s.now.generation),
    };
    if let Some((high, low)) = gateway {
        s.destination = [high, low];
    }
    0
}
