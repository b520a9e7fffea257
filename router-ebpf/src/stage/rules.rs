//! Which rule decides? The walk of `router_common::rules` over the image in the kernel.
//!
//! Everything here is about plain memory: the packet is known by its facts. So the global functions serve XDP and tc
//! alike.

use core::ffi::c_void;

use aya_ebpf::bindings::{BPF_ANY, BPF_NOEXIST};
use aya_ebpf::helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_ns, bpf_loop};
use router_common::conntrack::other;
use router_common::facts::Facts;
use router_common::hash;
use router_common::maps::event::{Event, HEAD_BYTES};
use router_common::maps::flow::status;
use router_common::maps::image::{Cell, Limits, More, Nat, Record, Rule, Volume, limit_key};
use router_common::maps::rule::{
    ConnectionRate, FASTTRACK_SLOTS, LOGGED_MAX, Listed, Logged, PATHS_MAX, PAYLOAD_BYTES, RuleScratch,
    SCAN_PORTS, ScanKey,
};
use router_common::maps::scratch::{Scratch, work};
use router_common::rules::tree::{self, Tree};
use router_common::rules::walk::{self, flag, verdict};
use router_common::rules::{Cells, Hooks, Walk, content, limit, matcher, rows};
use router_common::verdict::Stage;
use router_common::wire::ipv6::{Halves, halves};

use crate::maps::{self, Images};
use crate::stage::connection_limit::connection_limit_met;
use crate::{atomic, count};

/// Steps of one walk at most: chains that call each other many times end here, and the packet is dropped.
const STEPS_MAX: u32 = 1 << 16;
/// Marks that one walk can set and look at.
const ROUNDS_MAX: u32 = 1 << 12;

/// Begins with a packet: nothing is known of its rows yet. `scratch` is the index of the program's memory.
#[inline(always)]
pub fn begin(scratch: u32) {
    if let Some(memory) = maps::rule_scratch(scratch) {
        memory.walk.reset();
        memory.asked_count = 0;
    }
}

/// Takes the packet through a built-in chain, one of `router_common::maps::image::chain`, and gives one of
/// `router_common::rules::walk::verdict`; more is in [`RuleScratch::walk`]. Facts that were changed since the last walk
/// have to be told with `Walk::change`.
#[inline(always)]
pub fn run(scratch: u32, generation: u32, chain: u32) -> u32 {
    rules_walk(scratch, generation, chain)
}

/// Where `action=route` sends the packet.
#[inline(always)]
pub fn gateway(walk: &Walk, generation: u32) -> Option<Halves> {
    let image = Image::of(generation)?;
    Some(halves(&Nat::of(image.cell(walk.gateway)?).from))
}

#[derive(Clone, Copy)]
struct Image {
    cells: &'static Images,
    generation: u32,
}

impl Image {
    #[inline(always)]
    fn of(generation: u32) -> Option<Image> {
        Some(Image { cells: maps::image(generation)?, generation })
    }
}

impl Cells for Image {
    #[inline(always)]
    fn cell(self, index: u32) -> Option<&'static Cell> {
        self.cells.get(index)
    }
    #[inline(always)]
    fn find32(self, tree: Tree, key: u32) -> Option<u32> {
        found(rules_find32(self.generation, tree.cells, tree.nodes, tree.payloads, key))
    }
    #[inline(always)]
    fn find64(self, tree: Tree, key: u64) -> Option<u32> {
        found(rules_find64(self.generation, tree.cells, tree.nodes, tree.payloads, key))
    }
    #[inline(always)]
    fn row(self, facts: &Facts, walk: &mut Walk, dimension: u32) -> Option<()> {
        (rules_row(facts, walk, self.generation, dimension) != 0).then_some(())
    }
    #[inline(always)]
    fn chunks(self, walk: &mut Walk) -> Option<()> {
        (rules_chunks(walk, self.generation) != 0).then_some(())
    }
    #[inline(always)]
    fn load(self, walk: &mut Walk, chunk: u32) -> Option<()> {
        (rules_load(walk, self.generation, chunk) != 0).then_some(())
    }
}

/// Where a tree is damaged; no payload is that.
const DAMAGED: u32 = u32::MAX;

#[inline(always)]
fn found(payload: u32) -> Option<u32> {
    if payload == DAMAGED { None } else { Some(payload) }
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_find32(generation: u32, cells: u32, nodes: u32, payloads: u32, key: u32) -> u32 {
    let Some(image) = Image::of(generation) else { return DAMAGED };
    tree::find32(image, Tree { cells, nodes, payloads }, key).unwrap_or(DAMAGED)
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_find64(generation: u32, cells: u32, nodes: u32, payloads: u32, key: u64) -> u32 {
    let Some(image) = Image::of(generation) else { return DAMAGED };
    tree::find64(image, Tree { cells, nodes, payloads }, key).unwrap_or(DAMAGED)
}

/// The slot of the rule that drops what comes from an address, and one; 0: none does. See `router_common`'s
/// [`rows::shield`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_shield(generation: u32, family: u32, high: u64, low: u64) -> u32 {
    let found = (|| {
        let image = Image::of(generation)?;
        let cell = rows::shield(image, family as u8, (high, low))?;
        if cell == 0 {
            return None;
        }
        Some(Rule::of(image.cell(cell)?).slot + 1)
    })();
    found.unwrap_or(0)
}

/// Looks up the row of one dimension; 0 where the image is damaged, as for those below.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_row(facts: *const Facts, walk: *mut Walk, generation: u32, dimension: u32) -> u32 {
    // SAFETY: null, which the verifier asks about, or what is borrowed for this call.
    let (facts, walk) = unsafe { (facts.as_ref(), walk.as_mut()) };
    let (Some(facts), Some(walk), Some(image)) = (facts, walk, Image::of(generation)) else { return 0 };
    u32::from(rows::row(image, facts, walk, dimension).is_some())
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_chunks(walk: *mut Walk, generation: u32) -> u32 {
    // SAFETY: as for `rules_row`.
    let (Some(walk), Some(image)) = (unsafe { walk.as_mut() }, Image::of(generation)) else { return 0 };
    u32::from(rows::chunks(image, walk).is_some())
}

/// Joins a chunk's rows.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_load(walk: *mut Walk, generation: u32, chunk: u32) -> u32 {
    // SAFETY: as for `rules_row`.
    let (Some(walk), Some(image)) = (unsafe { walk.as_mut() }, Image::of(generation)) else { return 0 };
    u32::from(walk::load(image, walk, chunk).is_some())
}

/// Finds the rules of the packet's family.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_begin(scratch: u32, generation: u32) -> u32 {
    let begun = (|| {
        let image = Image::of(generation)?;
        let memory = maps::rule_scratch(scratch)?;
        rows::begin(image, &maps::scratch(scratch)?.facts, &mut memory.walk)
    })();
    u32::from(begun.is_some())
}

/// What a step needs to know; it stands on the stack of the walk.
#[repr(C)]
struct Walking {
    scratch: u32,
    generation: u32,
}

#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_walk(scratch: u32, generation: u32, chain: u32) -> u32 {
    let Some(memory) = maps::rule_scratch(scratch) else { return verdict::ERROR };
    let walk = &mut memory.walk;
    let Some(image) = Image::of(generation) else {
        walk.verdict = verdict::NONE;
        return verdict::NONE;
    };
    if !walk.is_begun() && rules_begin(scratch, generation) == 0 {
        walk.verdict = verdict::ERROR;
        return verdict::ERROR;
    }
    if !walk::start(image, walk, chain) {
        return walk.verdict;
    }
    let mut walking = Walking { scratch, generation };
    // SAFETY: the callback has the signature that the helper asks for, and its context outlives the call.
    let rounds = unsafe { bpf_loop(ROUNDS_MAX, round as *mut c_void, (&raw mut walking).cast(), 0) };
    if rounds < 0 || rounds >= i64::from(ROUNDS_MAX) {
        walk.verdict = verdict::ERROR;
    }
    walk.verdict
}

/// Walks to the end, or to a rule that sets a mark which others look at; 1 ends the loop.
unsafe extern "C" fn round(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the `Walking` of the walk.
    let Walking { scratch, generation } = unsafe { context.cast::<Walking>().read() };
    let Some(memory) = maps::rule_scratch(scratch) else { return 1 };
    let walk = &mut memory.walk;
    if walk.stale != 0 {
        let prepared = (|| rows::prepare(Image::of(generation)?, &maps::scratch(scratch)?.facts, walk))();
        if prepared.is_none() {
            walk.verdict = verdict::ERROR;
            return 1;
        }
    }
    // SAFETY: as in `rules_walk`.
    let steps = unsafe { bpf_loop(STEPS_MAX, step as *mut c_void, context, 0) };
    if steps < 0 || steps >= i64::from(STEPS_MAX) {
        walk.verdict = verdict::ERROR;
        return 1;
    }
    i64::from(walk.verdict != verdict::NONE || !walk.is_outdated())
}

/// One step of a walk; 1 ends the loop.
unsafe extern "C" fn step(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the `Walking` of the walk.
    let Walking { scratch, generation } = unsafe { context.cast::<Walking>().read() };
    let more = (|| {
        let image = Image::of(generation)?;
        let memory = maps::rule_scratch(scratch)?;
        let facts = &mut maps::scratch(scratch)?.facts;
        let more = walk::step(image, facts, &mut memory.walk, &mut Kernel { scratch, generation });
        Some(more && !memory.walk.is_outdated())
    })();
    i64::from(more != Some(true))
}

/// Limits, counters and lists in their maps.
struct Kernel {
    scratch: u32,
    generation: u32,
}

impl Hooks for Kernel {
    #[inline(always)]
    fn count(&mut self, slot: u32, facts: &Facts) {
        if let Some(counter) = maps::rule_counter(slot) {
            count::add(counter, u64::from(facts.packets), u64::from(facts.total_bytes));
        }
    }

    #[inline(always)]
    fn log(&mut self, rule: &Rule, _facts: &Facts) {
        rules_log(self.scratch, rule.key, u32::from(rule.chain));
    }

    #[inline(always)]
    fn limit(&mut self, rule: &Rule, limits: &Limits, facts: &Facts) -> bool {
        let Some(bucket) = maps::limit(rule.slot) else { return false };
        take(bucket, &limits.limit, facts)
    }

    #[inline(always)]
    fn dst_limit(&mut self, rule: &Rule, limits: &Limits, facts: &Facts) -> bool {
        let Some(memory) = maps::rule_scratch(self.scratch) else { return false };
        let key = &mut memory.bucket;
        let none = [0; 16];
        key.src = if limits.key & limit_key::SRC != 0 { facts.src } else { none };
        key.dst = if limits.key & limit_key::DST != 0 { facts.dst } else { none };
        key.port = if limits.key & limit_key::DST_PORT != 0 { u32::from(facts.dst_port) } else { 0 };
        key.slot = rule.slot;
        let Some(bucket) = maps::dst_limit(key) else { return false };
        take(bucket, &limits.dst_limit, facts)
    }

    #[inline(always)]
    fn connection_limit(&mut self, rule: &Rule, limits: &Limits, _facts: &Facts) -> bool {
        connection_limit_met(self.scratch, rule.text, limits.connections, limits.connections_prefix) != 0
    }

    #[inline(always)]
    fn nth(&mut self, rule: &Rule, more: &More) -> bool {
        // SAFETY: a word of a map.
        let before = maps::nth(rule.slot).map_or(0, |count| unsafe { atomic::add32(count, 1) });
        matcher::nth(more, before)
    }

    #[inline(always)]
    fn random(&mut self) -> u32 {
        // SAFETY: no arguments.
        unsafe { bpf_get_prandom_u32() as u32 % 100 }
    }

    #[inline(always)]
    fn second_of_week(&mut self) -> u32 {
        maps::second_of_week()
    }

    #[inline(always)]
    fn connection_bytes(&mut self, volume: &Volume, _facts: &Facts) -> bool {
        let bytes = rules_connection_bytes(self.scratch);
        bytes > volume.bytes_from && bytes - 1 <= volume.bytes_to
    }

    #[inline(always)]
    fn connection_rate(&mut self, volume: &Volume, _facts: &Facts) -> bool {
        let rate = rules_connection_rate(self.scratch);
        rate > volume.rate_from && rate - 1 <= volume.rate_to
    }

    #[inline(always)]
    fn scans(&mut self, rule: &Rule, volume: &Volume, _facts: &Facts) -> bool {
        let weights = u64::from(volume.psd_low) << 32 | u64::from(volume.psd_high);
        rules_scans(self.scratch, rule.text, volume.psd_weight, volume.psd_delay_s, weights) != 0
    }

    #[inline(always)]
    fn has_content(&mut self, cell: u32, bytes: u32) -> bool {
        rules_content(self.scratch, self.generation, cell, bytes) != 0
    }

    #[inline(always)]
    fn is_listed(&mut self, list: u32, address: &[u8; 16], family: u8) -> bool {
        let Some(memory) = maps::rule_scratch(self.scratch) else { return false };
        let key = &mut memory.listed_key;
        key.list = list;
        key.family = u32::from(family);
        key.address = *address;
        let Some(now) = maps::now() else { return false };
        maps::listed(key).is_some_and(|listed| now.tick < listed.until_tick)
    }

    #[inline(always)]
    fn add_to_list(&mut self, list: u32, address: &[u8; 16], family: u8, timeout_s: u32) {
        let Some(memory) = maps::rule_scratch(self.scratch) else { return };
        let key = &mut memory.listed_key;
        key.list = list;
        key.family = u32::from(family);
        key.address = *address;
        rules_add(self.scratch, timeout_s);
    }
}

/// Takes a packet's tokens. Another CPU that takes at the same moment is waited for four times; then the bucket counts
/// as empty.
#[inline(always)]
fn take(bucket: *mut u64, rate: &router_common::maps::image::Rate, facts: &Facts) -> bool {
    let cost_ns = limit::cost_ns(rate, facts);
    for _ in 0..4 {
        // SAFETY: no arguments.
        let now_ns = unsafe { bpf_ktime_get_ns() };
        // SAFETY: a whole, aligned word of a map.
        let word = unsafe { bucket.read_volatile() };
        let Some(next) = limit::take(word, now_ns, rate, cost_ns) else { return false };
        // SAFETY: as above.
        if unsafe { atomic::replace(bucket, word, next) } {
            return true;
        }
    }
    false
}

/// Bytes of the packet's connection in both directions, and one; 0 where it has none, or is of another protocol than
/// TCP and UDP.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_connection_bytes(scratch: u32) -> u64 {
    let Some(Scratch { facts, work, .. }) = maps::scratch(scratch) else { return 0 };
    if !matches!(facts.protocol, other::TCP | other::UDP) {
        return 0;
    }
    if work.flags & work::NEW != 0 {
        return u64::from(facts.total_bytes) + 1;
    }
    let family = u32::from(facts.family);
    let Some(entry) = maps::entry(family, work.index) else { return 0 };
    // SAFETY: entries of the table; single words.
    unsafe {
        let other = maps::entry(family, work.partner).map_or(0, |entry| (*entry).bytes);
        (*entry).bytes + other + 1
    }
}

/// Bits that the packet's connection carried in the last second, and one; 0 as above.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_connection_rate(scratch: u32) -> u64 {
    let bytes = rules_connection_bytes(scratch);
    let (Some(memory), Some(work), Some(now)) =
        (maps::rule_scratch(scratch), maps::scratch(scratch), maps::now())
    else {
        return 0;
    };
    // A connection begins to have a rate when it is stored.
    if bytes == 0 || work.work.flags & work::NEW != 0 {
        return bytes.min(1);
    }
    let original =
        if work.work.word as u32 & status::REPLY != 0 { work.work.partner } else { work.work.index };
    memory.rate_key = u64::from(work.facts.family == 6) << 63
        | work.work.word >> status::VERSION_SHIFT << 32
        | u64::from(original);
    memory.rate = ConnectionRate { bytes, rate: 0, tick: now.tick, reserved: 0 };
    let Some(rate) = maps::connection_rate(&memory.rate_key, &memory.rate) else { return 0 };
    let seconds = now.tick.wrapping_sub(rate.tick);
    if seconds != 0 {
        rate.rate = bytes.wrapping_sub(rate.bytes).wrapping_mul(8) / u64::from(seconds);
        (rate.bytes, rate.tick) = (bytes, now.tick);
    }
    rate.rate + 1
}

/// Whether the packet's source has asked for more ports than one that does not scan; `weights` are those of a port below
/// 1024 and of another. A port that it has asked for already, within the delay, weighs nothing.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_scans(scratch: u32, rule: u64, weight: u32, delay_s: u32, weights: u64) -> u32 {
    let (Some(memory), Some(work), Some(now)) =
        (maps::rule_scratch(scratch), maps::scratch(scratch), maps::now())
    else {
        return 0;
    };
    let facts = &work.facts;
    if !matches!(facts.protocol, other::TCP | other::UDP) || facts.l4_offset == 0 {
        return 0;
    }
    memory.scan_key = ScanKey { src: facts.src, rule };
    let Some(scan) = maps::scan(&memory.scan_key, &memory.scan) else { return 0 };
    if now.tick.wrapping_sub(scan.last_tick) > delay_s {
        scan.weight = 0;
        scan.ports = [0; SCAN_PORTS];
    }
    let asked = hash::epoch(&facts.dst) << 16 | u32::from(facts.dst_port) | 1 << 31;
    let mut known = false;
    for port in &scan.ports {
        known |= *port == asked;
    }
    if !known {
        scan.last_tick = now.tick;
        scan.weight += if facts.dst_port < 1024 { (weights >> 32) as u32 } else { weights as u32 };
        let place = core::hint::black_box(scan.next) as usize & (SCAN_PORTS - 1);
        if let Some(port) = scan.ports.get_mut(place) {
            *port = asked;
        }
        scan.next = scan.next.wrapping_add(1);
    }
    u32::from(scan.weight >= weight)
}

/// What a search needs to know; as [`Walking`].
#[repr(C)]
struct Search {
    scratch: u32,
    generation: u32,
    cell: u32,
    bytes: u32,
    found: u32,
    reserved: u32,
}

/// Whether the packet's payload has the first bytes of a cell.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_content(scratch: u32, generation: u32, cell: u32, bytes: u32) -> u32 {
    let mut search = Search { scratch, generation, cell, bytes, found: 0, reserved: 0 };
    let strides = PAYLOAD_BYTES as u32 / content::STRIDE;
    // SAFETY: as in `rules_walk`.
    unsafe { bpf_loop(strides, search_stride as *mut c_void, (&raw mut search).cast(), 0) };
    search.found
}

/// Searches some places; 1 ends the loop.
unsafe extern "C" fn search_stride(index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the `Search` of the loop.
    let search = unsafe { &mut *context.cast::<Search>() };
    let (Some(memory), Some(payload), Some(image)) =
        (maps::rule_scratch(search.scratch), maps::payload(search.scratch), Image::of(search.generation))
    else {
        return 1;
    };
    let (Some(pattern), Some(mask)) = (image.cell(search.cell), image.cell(search.cell + 1)) else {
        return 1;
    };
    let from = index * content::STRIDE;
    if from >= memory.payload_bytes {
        return 1;
    }
    // SAFETY: per-CPU memory of a map.
    let payload = unsafe { &*payload };
    if content::is_within(payload, memory.payload_bytes, from, pattern, mask, search.bytes) {
        search.found = 1;
        return 1;
    }
    0
}

/// Makes the address in the memory's key a member of its list, or renews that.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_add(scratch: u32, timeout_s: u32) -> u32 {
    let (Some(memory), Some(now)) = (maps::rule_scratch(scratch), maps::now()) else { return 0 };
    let until_tick = match timeout_s {
        0 => u32::MAX,
        Listed::STATIC => Listed::STATIC,
        seconds => now.tick.saturating_add(seconds).min(Listed::STATIC - 1),
    };
    let RuleScratch { listed_key, listed, .. } = memory;
    if let Some(member) = maps::listed_mut(listed_key) {
        let was_member = now.tick < member.until_tick;
        // One that stays is not made to go.
        if member.until_tick < Listed::STATIC || !was_member {
            member.until_tick = until_tick;
        }
        if was_member {
            return 1;
        }
        member.since_tick = now.tick;
    } else {
        listed.until_tick = until_tick;
        listed.since_tick = now.tick;
        if !maps::add_listed(listed_key, listed, BPF_ANY.into()) {
            return 0;
        }
    }
    maps::bump_list_epoch(hash::epoch(&listed_key.address));
    1
}

/// Counts a fasttracked packet, which has met no rules.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_fasttracked(scratch: u32) -> u32 {
    let (Some(memory), Some(work)) = (maps::rule_scratch(scratch), maps::scratch(scratch)) else { return 0 };
    let slot = FASTTRACK_SLOTS + u32::from(work.facts.family == 6);
    let [first, ..] = &mut memory.walk.counted;
    *first = slot;
    memory.walk.counted_len = 1;
    Kernel { scratch, generation: 0 }.count(slot, &work.facts);
    1
}

/// Tells the daemon of a packet that a rule logs.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_log(scratch: u32, key: u64, chain: u32) -> u32 {
    let (Some(memory), Some(packet), Some(now)) =
        (maps::rule_scratch(scratch), maps::scratch(scratch), maps::now())
    else {
        return 0;
    };
    if memory.logged_tick != now.tick {
        memory.logged_tick = now.tick;
        memory.logged = 0;
    }
    let entry = if memory.logged < LOGGED_MAX { maps::RULE_LOG.reserve::<Logged>(0) } else { None };
    let Some(mut entry) = entry else {
        memory.lost = memory.lost.wrapping_add(1);
        return 0;
    };
    memory.logged += 1;
    let to = entry.as_mut_ptr();
    // SAFETY: the whole of the reserved record is written, in parts: as one value it would stand on the stack.
    unsafe {
        (&raw mut (*to).key).write(key);
        (&raw mut (*to).chain).write(chain);
        (&raw mut (*to).lost).write(memory.lost);
        (&raw mut (*to).facts).copy_from(&raw const packet.facts, 1);
        (&raw mut (*to).came).copy_from(&raw const packet.work.came, 1);
        (&raw mut (*to).leaves).copy_from(&raw const packet.work.leaves, 1);
    }
    entry.submit(0);
    memory.lost = 0;
    1
}

/// Keeps the facts that a walk begins with: it may change them.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_note(scratch: u32) -> u32 {
    let (Some(memory), Some(work)) = (maps::rule_scratch(scratch), maps::scratch(scratch)) else {
        return 0;
    };
    memory.before = work.facts;
    1
}

/// Tells the trace of a walk, see [`Event::egress`]; a full ring loses it.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_tell(scratch: u32, ingress: u32, walked: u32) -> u32 {
    let (Some(memory), Some(work)) = (maps::rule_scratch(scratch), maps::scratch(scratch)) else {
        return 0;
    };
    let Some(mut entry) = maps::EVENTS.reserve::<Event>(0) else { return 0 };
    let event = entry.as_mut_ptr();
    // SAFETY: reserved memory of that size, every byte of which is written; facts are as long as what they stand in for,
    // and both are aligned to 8.
    unsafe {
        (&raw mut (*event).time_ns).write(bpf_ktime_get_ns());
        (&raw mut (*event).packet).write(work.traced);
        (&raw mut (*event).cpu).write(maps::cpu());
        (&raw mut (*event).ingress).write(ingress);
        (&raw mut (*event).egress).write(walked | memory.walk.rule << 16);
        (&raw mut (*event).length_bytes).write(work.facts.length_bytes);
        (&raw mut (*event).stage).write(Stage::Rules as u16);
        (&raw mut (*event).reason).write(0);
        let facts = (&raw const memory.before).cast::<u64>();
        for word in 0..HEAD_BYTES / 8 {
            (&raw mut (*event).head).cast::<u64>().add(word).write_volatile(facts.add(word).read());
        }
    }
    entry.submit(0);
    0
}

/// The path of the rules that have counted this packet, for decisions that are kept; None where it can't be one.
/// Id 0 of each parity is that of no rule.
#[inline(always)]
pub fn path(scratch: u32, generation: u32) -> Option<u32> {
    let memory = maps::rule_scratch(scratch)?;
    if memory.walk.flags & flag::UNCACHEABLE != 0 {
        return None;
    }
    if memory.walk.counted_len == 0 {
        return Some((generation & 1) * PATHS_MAX);
    }
    found(rules_path(scratch, generation))
}

/// Looks the path up, or gives it an id.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn rules_path(scratch: u32, generation: u32) -> u32 {
    let Some(memory) = maps::rule_scratch(scratch) else { return DAMAGED };
    let parity = generation & 1;
    let RuleScratch { walk, path, .. } = memory;
    path.parity = parity;
    path.count = walk.counted_len;
    for (number, (to, from)) in (0..).zip(path.slots.iter_mut().zip(&walk.counted)) {
        *to = if number < walk.counted_len { *from } else { 0 };
    }
    if let Some(id) = maps::path(path) {
        return id;
    }
    let Some(next) = maps::path_next(parity) else { return DAMAGED };
    // SAFETY: a whole, aligned word of a map.
    if unsafe { next.read_volatile() } >= PATHS_MAX - 1 {
        return DAMAGED;
    }
    // SAFETY: as above.
    let number = unsafe { atomic::add32(next, 1) } + 1;
    if number >= PATHS_MAX {
        return DAMAGED;
    }
    let id = parity * PATHS_MAX + number;
    if maps::add_path(path, id, BPF_NOEXIST.into()) {
        return id;
    }
    // Another CPU was faster, or there is no room.
    maps::path(path).unwrap_or(DAMAGED)
}

/// Counts a packet that took the fast path, by its path.
#[inline(always)]
pub fn count_path(id: u32, packets: u64, bytes: u64) {
    if let Some(counter) = maps::path_counter(id) {
        count::add(counter, packets, bytes);
    }
}
