//! Connection tracking: which connection is the packet of, and in which state?

use router_common::conntrack::timeout::Class;
use router_common::conntrack::{icmp, other, tcp, udp};
use router_common::facts::{Facts, connection_state, nat_state};
use router_common::maps::flow::{Decision, NONE, Tracking, decision, status, tracking};
use router_common::maps::port::PORT_SLOTS;
use router_common::maps::scratch::{Scratch, Work, work};
use router_common::tuple::Tuple;
use router_common::verdict::Reason;
use router_common::wire::ipv6::halves;

use crate::flow::{self, refused, sought};
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::connection_limit::connection_limit_note;
use crate::stage::nat;
use crate::{global, maps};

/// Finds the packet's connection and moves it on; the facts then have its state, [`Work::leaves`] what the packet is
/// to become. A connection that is not there yet is only stored by [`commit`].
#[inline(always)]
pub fn track<P: Packet>(packet: P, s: &mut State) -> u32 {
    let Some(scratch) = maps::scratch(P::SCRATCH) else { return internal() };
    let Some(settings) = maps::tracking(s.now.generation) else { return internal() };
    let Scratch { facts, work, .. } = scratch;
    work.leaves = work.came;
    work.index = NONE;
    work.partner = NONE;
    if settings.flags & tracking::ENABLED == 0 || work.flags & work::UNTRACKED != 0 {
        untracked(facts, work);
        return 0;
    }
    match sort(facts) {
        icmp::Message::Request | icmp::Message::Reply => {}
        icmp::Message::Error => return packet.related(s),
        icmp::Message::Untracked => {
            untracked(facts, work);
            return 0;
        }
        icmp::Message::Invalid => {
            facts.state = connection_state::INVALID;
            return 0;
        }
    }
    if facts.protocol == other::TCP && packet.segment(s) != 0 {
        facts.state = connection_state::INVALID;
        return 0;
    }
    if global::flow_find(s) == NONE || global::flow_follow(s) == ENDED {
        global::flow_open(s);
    }
    0
}

#[inline(always)]
fn internal() -> u32 {
    Exit::pack(Err(Reason::Internal.into()))
}

/// The packet's entry, which also is [`Work::index`] then, or [`NONE`].
#[inline(always)]
pub fn find(s: &mut State) -> u32 {
    let index = flow::search(s, sought::CAME);
    if index == NONE || global::flow_expired(s, index) != 0 {
        return NONE;
    }
    let Some(scratch) = maps::scratch(s.scratch) else { return NONE };
    scratch.work.index = index;
    index
}

/// Whether the connection has `fasttrack-connection`: its packets meet no rules. Only where there are such rules: it
/// costs those of all other connections a look.
#[inline(always)]
pub fn is_fasttracked(s: &mut State) -> bool {
    let (Some(scratch), Some(settings)) = (maps::scratch(s.scratch), maps::tracking(s.now.generation)) else {
        return false;
    };
    if settings.flags & tracking::FASTTRACK == 0 || !matches!(scratch.facts.protocol, other::TCP | other::UDP)
    {
        return false;
    }
    let index = global::flow_find(s);
    maps::entry(s.family, index).is_some_and(|entry| flow::word(entry) as u32 & status::FASTTRACK != 0)
}

/// `fasttrack-connection` has matched a packet of an answered connection: from the next one on, its packets meet no rules.
#[inline(always)]
pub fn fasttrack(s: &mut State) -> u32 {
    let Some(Scratch { facts, work, .. }) = maps::scratch(s.scratch) else { return 0 };
    let is_answered = matches!(facts.state, connection_state::ESTABLISHED | connection_state::RELATED);
    if !is_answered || !matches!(facts.protocol, other::TCP | other::UDP) {
        return 0;
    }
    let set = u64::from(status::FASTTRACK);
    let (index, partner) = (work.index, work.partner);
    let Some(entry) = maps::entry(s.family, index) else { return 0 };
    flow::change(entry, work.word, status::GENERATION, set);
    if let Some(other) = flow::partner_of(s.family, index, partner) {
        flow::change(other, flow::word(other), status::GENERATION, set);
    }
    work.flags |= work::UNCACHEABLE | work::CHANGED;
    1
}

/// A rule has marked the connection: what was decided for either direction holds no more.
#[inline(always)]
pub fn mark(s: &mut State) -> u32 {
    let Some(Scratch { facts, work, .. }) = maps::scratch(s.scratch) else { return 0 };
    work.mark = facts.connection_mark as u16;
    let (index, partner) = (work.index, work.partner);
    // A connection that is stored later begins with it.
    let Some(entry) = maps::entry(s.family, index) else { return 0 };
    // SAFETY: entries of the table; single words.
    unsafe {
        (*entry).mark = work.mark;
        flow::change(entry, work.word, status::GENERATION, 0);
        if let Some(other) = flow::partner_of(s.family, index, partner) {
            (*other).mark = work.mark;
            flow::change(other, flow::word(other), status::GENERATION, 0);
        }
    }
    work.flags |= work::UNCACHEABLE | work::CHANGED;
    1
}

/// Ends the masqueraded connection of a packet of its own direction that leaves by another port than the first did.
#[inline(always)]
pub fn moved(s: &mut State) -> u32 {
    let Some(Scratch { facts, work, .. }) = maps::scratch(s.scratch) else { return 0 };
    if work.word as u32 & status::REPLY != 0 {
        return 0;
    }
    // SAFETY: an entry of the table; one word.
    let first = unsafe {
        if s.family == 4 {
            let Some(flow) = maps::flow4(work.index) else { return 0 };
            (*flow).decision.egress()
        } else {
            let Some(flow) = maps::flow6(work.index) else { return 0 };
            (*flow).decision.egress()
        }
    };
    if first == egress(s, facts.out_ifindex) {
        return 0;
    }
    global::flow_end(s, work.index);
    1
}

/// The counter index of a port, as decisions have it.
#[inline(always)]
fn egress(s: &State, ifindex: u32) -> u16 {
    let index = maps::port(s.now.generation, ifindex).map_or(PORT_SLOTS, |port| port.tx_index);
    if index < PORT_SLOTS { index as u16 } else { decision::NONE }
}

/// What [`follow`] gives where the connection has ended, and the packet may open another.
const ENDED: u32 = 1;

#[inline(always)]
fn untracked(facts: &mut Facts, work: &mut Work) {
    facts.state = connection_state::UNTRACKED;
    work.flags |= work::UNTRACKED;
}

/// What the packet is for tracking. What is no ICMP counts as a request.
#[inline(always)]
fn sort(facts: &Facts) -> icmp::Message {
    if facts.l4_offset == 0 {
        return icmp::Message::Invalid;
    }
    match facts.protocol {
        other::ICMP => icmp::message4(facts.icmp_type),
        other::ICMPV6 => icmp::message6(facts.icmp_type),
        _ => icmp::Message::Request,
    }
}

/// Reads the TCP header; not 0 where it is none.
#[inline(always)]
pub fn segment<P: Packet>(packet: P, s: &mut State) -> u32 {
    let read = (|| {
        let scratch = maps::scratch(P::SCRATCH)?;
        let l4_offset = scratch.facts.l4_offset;
        let at = s.l2_bytes + l4_offset;
        let [a, b, c, d, e, f, g, h, offset, flags, i, j] = packet.header::<12>(at + 4)?;
        let header_bytes = u32::from(offset >> 4) * 4;
        let l4_bytes = s.length.wrapping_sub(l4_offset);
        if header_bytes < 20 || header_bytes > l4_bytes {
            return None;
        }
        let segment = &mut scratch.work.tcp.segment;
        segment.seq = u32::from_be_bytes([a, b, c, d]);
        segment.ack = u32::from_be_bytes([e, f, g, h]);
        segment.payload_bytes = l4_bytes - header_bytes;
        segment.window = u16::from_be_bytes([i, j]);
        segment.flags = flags;
        segment.scale = match flags & tcp::flag::SYN {
            0 => tcp::scale::NONE,
            _ => window_scale(packet, at + 20, header_bytes - 20),
        };
        Some(())
    })();
    u32::from(read.is_none())
}

/// The window scale option among `bytes` bytes of options (RFC 7323, 2.2).
#[inline(always)]
fn window_scale<P: Packet>(packet: P, at: u32, bytes: u32) -> u8 {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    const WINDOW_SCALE: u8 = 3;
    let mut offset = 0;
    for _ in 0..20 {
        if offset + 2 > bytes {
            break;
        }
        let Some([kind, length]) = packet.load::<2>(at + offset) else { break };
        match kind {
            END => break,
            NOTHING => offset += 1,
            WINDOW_SCALE => {
                return packet.load::<1>(at + offset + 2).map_or(tcp::scale::NONE, |[scale]| scale.min(14));
            }
            _ if length < 2 => break,
            _ => offset += u32::from(length),
        }
    }
    tcp::scale::NONE
}

/// A packet of the connection at [`Work::index`].
#[inline(always)]
pub fn follow(s: &mut State) -> u32 {
    let Some(Scratch { facts, work, .. }) = maps::scratch(s.scratch) else { return ENDED };
    let (family, index) = (s.family, work.index);
    let Some(entry) = maps::entry(family, index) else { return ENDED };
    let found = flow::word(entry);
    let bits = found as u32;
    let is_reply = bits & status::REPLY != 0;
    let replied = bits & status::SEEN_REPLY != 0;
    // SAFETY: an entry of the table; single words.
    let partner = unsafe { (*entry).partner };
    let other = flow::partner_of(family, index, partner);
    work.index = index;
    work.partner = partner;
    work.word = found;
    let mut set = bits & status::ASSURED;
    let mut keeps_timer = false;
    let class = match facts.protocol {
        other::TCP => {
            let verdict = tcp::Verdict(global::flow_judge(s));
            if verdict.is_invalid() {
                facts.state = connection_state::INVALID;
                work.index = NONE;
                return 0;
            }
            if verdict.is_reopened() {
                global::flow_end(s, index);
                return ENDED;
            }
            if verdict.is_removed() {
                work.flags |= work::REMOVE;
            }
            if verdict.is_unsettled() {
                work.flags |= work::UNCACHEABLE | work::CHANGED;
            }
            set |= u32::from(verdict.state()) << status::TCP_SHIFT;
            set |= if verdict.is_assured() { status::ASSURED } else { 0 };
            keeps_timer = verdict.keeps_timer();
            if keeps_timer { (bits & status::TIMEOUT) >> status::TIMEOUT_SHIFT } else { verdict.class() }
        }
        other::UDP | other::UDP_LITE => {
            let begun = maps::side(family, index).map_or(s.now.tick, |side| {
                // SAFETY: a record of the table; one word.
                unsafe { (*side).begun_tick }
            });
            let class = udp::class(replied, s.now.tick.wrapping_sub(begun));
            set |= if udp::is_assured(class) { status::ASSURED } else { 0 };
            class as u32
        }
        other::ICMP | other::ICMPV6 => Class::Icmp as u32,
        _ => {
            set |= if replied { status::ASSURED } else { 0 };
            Class::Generic as u32
        }
    };
    set |= class << status::TIMEOUT_SHIFT | bits & status::FASTTRACK;
    set |= if replied || is_reply { status::SEEN_REPLY } else { 0 };
    if (bits ^ set) & status::SHARED != 0 {
        // What was decided for the answers may hang on the state as well.
        let stale = u64::from(status::SHARED) | status::GENERATION;
        flow::change(entry, found, stale, u64::from(set));
        if let Some(other) = other {
            flow::change(other, flow::word(other), stale, u64::from(set));
        }
        work.word = flow::word(entry);
    } else if work.flags & work::CHANGED != 0 {
        flow::change(entry, found, status::GENERATION, 0);
        if let Some(other) = other {
            flow::change(other, flow::word(other), status::GENERATION, 0);
        }
        work.word = flow::word(entry);
    }
    // SAFETY: an entry of the table; single words, to which only this CPU and the sweep pay attention.
    unsafe {
        if !keeps_timer {
            (*entry).last_tick = s.now.tick;
        }
        (*entry).packets = (*entry).packets.wrapping_add(facts.packets);
        (*entry).bytes = (*entry).bytes.wrapping_add(u64::from(s.length));
        work.mark = (*entry).mark;
        facts.connection_mark = u32::from(work.mark);
    }
    facts.state = match (set & status::SEEN_REPLY != 0, bits & status::EXPECTED != 0) {
        (true, _) => connection_state::ESTABLISHED,
        (false, true) => connection_state::RELATED,
        (false, false) => connection_state::NEW,
    };
    facts.nat = nat_of(bits);
    leaves(family, index, &mut work.leaves);
    if work.flags & work::REMOVE != 0 {
        global::flow_end(s, index);
    }
    0
}

#[inline(always)]
pub fn nat_of(bits: u32) -> u8 {
    let srcnat = if bits & status::SRCNAT != 0 { nat_state::SRCNAT } else { 0 };
    let dstnat = if bits & status::DSTNAT != 0 { nat_state::DSTNAT } else { 0 };
    srcnat | dstnat
}

/// Judges the segment by the records of both directions, which it changes. Gives the [`tcp::Verdict`].
#[inline(always)]
pub fn judge(s: &mut State) -> u32 {
    let (Some(scratch), Some(settings)) = (maps::scratch(s.scratch), maps::tracking(s.now.generation)) else {
        return 0;
    };
    let work = &mut scratch.work;
    let (Some(own), Some(other)) = (maps::side(s.family, work.index), maps::side(s.family, work.partner))
    else {
        return 0;
    };
    let bits = work.word as u32;
    let step = &mut work.tcp;
    // SAFETY: records of the table, aligned to 8.
    unsafe {
        step.own = (*own).tcp;
        step.partner = (*other).tcp;
    }
    step.state = ((bits & status::TCP) >> status::TCP_SHIFT) as u8;
    step.context = context(settings)
        | if bits & status::REPLY != 0 { tcp::context::REPLY } else { 0 }
        | if bits & status::SEEN_REPLY != 0 { tcp::context::SEEN_REPLY } else { 0 }
        | if bits & status::ASSURED != 0 { tcp::context::ASSURED } else { 0 };
    let verdict = step.judge_by(|step| tcp::Lie::from_number(global::tcp_look(step)));
    // SAFETY: as above. Two CPUs with both directions at a time may each lose what the other wrote; the records then
    // are a segment behind, which the windows allow for.
    unsafe {
        (*own).tcp = step.own;
        (*other).tcp = step.partner;
    }
    verdict.0
}

#[inline(always)]
fn context(settings: &Tracking) -> u8 {
    let loose = if settings.flags & tracking::LOOSE != 0 { tcp::context::LOOSE } else { 0 };
    let liberal = if settings.flags & tracking::LIBERAL != 0 { tcp::context::LIBERAL } else { 0 };
    loose | liberal
}

/// A packet without a connection: may it open one?
#[inline(always)]
pub fn open(s: &mut State) -> u32 {
    let (Some(scratch), Some(settings)) = (maps::scratch(s.scratch), maps::tracking(s.now.generation)) else {
        return 0;
    };
    let Scratch { facts, work, .. } = scratch;
    work.index = NONE;
    work.leaves = work.came;
    let class = match facts.protocol {
        other::TCP => {
            work.tcp.context = context(settings);
            let verdict = work.tcp.open();
            if verdict.is_invalid() {
                facts.state = connection_state::INVALID;
                return 0;
            }
            work.status = u32::from(verdict.state()) << status::TCP_SHIFT;
            work.flags |= work::UNCACHEABLE;
            verdict.class()
        }
        other::ICMP | other::ICMPV6 => {
            if work.came.kind & 1 != 0 {
                facts.state = connection_state::INVALID;
                return 0;
            }
            work.status = 0;
            Class::Icmp as u32
        }
        protocol => {
            work.status = 0;
            let is_udp = protocol == other::UDP || protocol == other::UDP_LITE;
            if is_udp { Class::Udp as u32 } else { Class::Generic as u32 }
        }
    };
    work.status |= class << status::TIMEOUT_SHIFT;
    work.flags |= work::NEW;
    facts.state = connection_state::NEW;
    0
}

/// What packets of the entry become.
#[inline(always)]
pub fn leaves(family: u32, index: u32, tuple: &mut Tuple) {
    // SAFETY: an entry of the table. Its tuple does not change while it lives; the fast path looks at the version again,
    // here a connection that ends at the same moment costs one packet.
    unsafe {
        if family == 4 {
            let Some(flow) = maps::flow4(index) else { return };
            maps::write6(&mut tuple.src, (u64::from(u32::from_ne_bytes((*flow).new_src)), 0));
            maps::write6(&mut tuple.dst, (u64::from(u32::from_ne_bytes((*flow).new_dst)), 0));
            let [a, b, c, d] = (*flow).new_ports;
            tuple.src_port_be = [a, b];
            tuple.dst_port_be = [c, d];
        } else {
            let Some(flow) = maps::flow6(index) else { return };
            maps::write6(&mut tuple.src, maps::read6(&(*flow).new_src));
            maps::write6(&mut tuple.dst, maps::read6(&(*flow).new_dst));
            let [a, b, c, d] = (*flow).new_ports;
            tuple.src_port_be = [a, b];
            tuple.dst_port_be = [c, d];
        }
    }
}

/// Stores the connection that the packet opens, now that it is known what becomes of it. 0, or an exit.
#[inline(always)]
pub fn commit(s: &mut State) -> u32 {
    let stored = store(s);
    if stored.is_ok() {
        connection_limit_note(s.scratch);
    }
    Exit::pack(stored)
}

#[inline(always)]
fn store(s: &mut State) -> Result<(), Exit> {
    let work = &mut maps::scratch(s.scratch).ok_or(Reason::Internal)?.work;
    work.key = work.came;
    // Until it lives it keeps other CPUs from beginning the same connection.
    let original = global::flow_claim(s);
    if original == refused::TAKEN {
        return join(s);
    }
    if original >= refused::LEAST {
        return Err(refusal(original));
    }
    let reply = match reserve(s) {
        Ok(reply) => reply,
        Err(exit) => {
            flow::abandon(maps::entry(s.family, original).ok_or(Reason::Internal)?);
            return Err(exit);
        }
    };
    let work = &mut maps::scratch(s.scratch).ok_or(Reason::Internal)?.work;
    let rewrite = if work.leaves.is_same(&work.came) { 0 } else { status::REWRITE };
    work.status |= rewrite;
    let Work { came, key, .. } = work;
    came.reverse_into(key);
    // The answers' entry first: whoever finds the other one finds both.
    if global::flow_fill(s, reply, original, status::REPLY) == 0
        || global::flow_fill(s, original, reply, 0) == 0
    {
        return Err(Exit::drop(Reason::Internal));
    }
    let work = &mut maps::scratch(s.scratch).ok_or(Reason::Internal)?.work;
    work.index = original;
    work.partner = reply;
    work.word = maps::entry(s.family, original).map_or(0, |entry| flow::word(entry));
    Ok(())
}

/// Another CPU was faster with a packet of the same connection: its decision holds for both.
#[inline(always)]
fn join(s: &mut State) -> Result<(), Exit> {
    let work = &mut maps::scratch(s.scratch).ok_or(Reason::Internal)?.work;
    let entry = maps::entry(s.family, work.partner).ok_or(Reason::Internal)?;
    // What it is still writing says nothing yet.
    if flow::life(flow::word(entry)) != status::LIVE {
        return Err(refusal(refused::BUSY));
    }
    work.flags = work.flags & !work::NEW | work::UNCACHEABLE;
    leaves(s.family, work.partner, &mut work.leaves);
    Ok(())
}

#[inline(always)]
fn refusal(code: u32) -> Exit {
    match code {
        refused::FULL => Exit::drop(Reason::FlowTableFull),
        refused::BUSY => Exit::drop(Reason::FlowTableBusy),
        _ => Exit::drop(Reason::NatExhausted),
    }
}

/// Claims the tuple that the answers will have. Where another connection has it, other source ports are tried.
#[inline(always)]
fn reserve(s: &mut State) -> Result<u32, Exit> {
    let mut code = refused::TAKEN;
    for attempt in 0..nat::ATTEMPTS {
        if global::nat_candidate(s, attempt) == 0 {
            break;
        }
        code = global::flow_claim(s);
        if code != refused::TAKEN {
            break;
        }
    }
    if code >= refused::LEAST { Err(refusal(code)) } else { Ok(code) }
}

/// Fills in a claimed entry and brings it to life; `direction` is [`status::REPLY`] or 0. What the answers become is
/// [`Work::key`]. 0 where the table has no such entry.
#[inline(always)]
pub fn fill(s: &mut State, index: u32, partner: u32, direction: u32) -> u32 {
    u32::from(put(s, index, partner, direction).is_ok())
}

#[inline(always)]
fn put(s: &State, index: u32, partner: u32, direction: u32) -> Result<(), Exit> {
    let work = &maps::scratch(s.scratch).ok_or(Reason::Internal)?.work;
    let is_reply = direction != 0;
    let becomes = if is_reply { &work.key } else { &work.leaves };
    let entry = maps::entry(s.family, index).ok_or(Reason::Internal)?;
    let side = maps::side(s.family, index).ok_or(Reason::Internal)?;
    let ([a, b], [c, d]) = (becomes.src_port_be, becomes.dst_port_be);
    // What is masqueraded stays with its port.
    let begun = if work.status & status::MASQUERADE != 0 && !is_reply {
        Decision::new(0, egress(s, maps::scratch(s.scratch).ok_or(Reason::Internal)?.facts.out_ifindex), 0)
    } else {
        Decision::default()
    };
    // SAFETY: an entry and its record, ours while it is busy.
    unsafe {
        if s.family == 4 {
            let flow = maps::flow4(index).ok_or(Reason::Internal)?;
            (*flow).new_src = first(&becomes.src);
            (*flow).new_dst = first(&becomes.dst);
            (*flow).new_ports = [a, b, c, d];
            (*flow).decision = begun;
        } else {
            let flow = maps::flow6(index).ok_or(Reason::Internal)?;
            maps::write6(&mut (*flow).new_src, halves(&becomes.src));
            maps::write6(&mut (*flow).new_dst, halves(&becomes.dst));
            (*flow).new_ports = [a, b, c, d];
            (*flow).decision = begun;
        }
        (*side).tcp = if is_reply { work.tcp.partner } else { work.tcp.own };
        (*side).begun_tick = s.now.tick;
        (*entry).partner = partner;
        (*entry).last_tick = s.now.tick;
        (*entry).packets = u32::from(!is_reply);
        (*entry).bytes = if is_reply { 0 } else { u64::from(s.length) };
        (*entry).mark = work.mark;
        (*entry).guard = 0;
    }
    flow::publish(entry, work.status | direction);
    Ok(())
}

#[inline(always)]
fn first([a, b, c, d, ..]: &[u8; 16]) -> [u8; 4] {
    [*a, *b, *c, *d]
}
