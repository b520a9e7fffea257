//! The slow path: raw rules, connection tracking, destination NAT, route, filter, source NAT, and what is remembered of
//! it all. In RouterOS's order.

use router_common::address::{Kind, kind4, kind6};
use router_common::facts::{Facts, address_type};
use router_common::hash;
use router_common::maps::flow::{
    Decision, EMPTY6_SHIFT, INGRESS_SHIFT, KEY_MASK, NONE, decision, status, tracking,
};
use router_common::maps::fragment::part;
use router_common::maps::image::{chain, dimension};
use router_common::maps::port::{PORT_SLOTS, port_flag};
use router_common::maps::route::{NextHop, kind, table};
use router_common::maps::scratch::{Scratch, Work, work};
use router_common::rules::Walk;
use router_common::rules::walk::{edit, flag, verdict};
use router_common::verdict::Reason;
use router_common::wire::ipv6::halves;

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::skb::SkbPacket;
use crate::stage::emit::Way;
use crate::stage::{emit, inspect, reroute, route, rules, track};
use crate::trace::observe;
use crate::{atomic, flow, global};

#[inline(always)]
fn scratch(s: &State) -> Result<&'static mut Scratch, Exit> {
    maps::scratch(s.scratch).ok_or(Exit::drop(Reason::Internal))
}

#[inline(always)]
fn walk(s: &State) -> Result<&'static mut Walk, Exit> {
    maps::rule_scratch(s.scratch).map(|memory| &mut memory.walk).ok_or(Exit::drop(Reason::Internal))
}

/// What is to become of a packet that came in: it is forwarded to the route of [`State::destination`], or leaves here.
/// With [`State::rewrite`] it has to be translated when it leaves.
#[inline(always)]
pub fn run<P: Packet>(packet: P, s: &mut State) -> Result<(), Exit> {
    // What XDP has changed can't go up without the note that tells tc so.
    if P::XDP && s.port_flags & port_flag::NO_METADATA != 0 {
        return Err(Exit::untouched());
    }
    let fate = prerouting(packet, s);
    if scratch(s)?.fragment.part == part::FIRST {
        global::fragment_note(s, Exit::pack(fate));
    }
    fate
}

#[inline(always)]
fn prerouting<P: Packet>(packet: P, s: &mut State) -> Result<(), Exit> {
    let is_later = begin(packet, s, false)?;
    let mut is_fast = !is_later && track::is_fasttracked(s);
    if !is_later {
        if !is_fast {
            raw(s, chain::RAW_PREROUTING)?;
        }
        Exit::unpack(packet.track(s))?;
        // What is no more of the connection meets the rules of its way.
        is_fast &= scratch(s)?.work.index != NONE;
        tracked(s)?;
        if !is_fast {
            mangle(s, chain::MANGLE_PREROUTING)?;
            s.table = scratch(s)?.facts.routing_mark;
        }
        translate(s, chain::NAT_DSTNAT)?;
        Exit::unpack(global::nat_redirected(s))?;
    }
    let exit = match destined(packet, s) {
        Ok(hop) if hop.kind != kind::LOCAL => {
            let facts = &mut scratch(s)?.facts;
            emit::may_forward(s, hop.kind, facts.ttl)?;
            facts.out_ifindex = hop.ifindex;
            if is_later {
                return follows(s, hop.ifindex);
            }
            if is_fast {
                rules::rules_fasttracked(s.scratch);
            } else {
                // From here on rules see what the router has taken from it.
                facts.ttl = facts.ttl.wrapping_sub(1);
                walk(s)?.change(1 << dimension::OUT);
                mangle(s, chain::MANGLE_FORWARD)?;
                let filtered = filter(s, chain::FILTER_FORWARD);
                // Whatever the rules behind it say.
                if walk(s)?.flags & flag::FASTTRACK != 0 {
                    global::flow_fasttrack(s);
                }
                filtered?;
                mangle(s, chain::MANGLE_POSTROUTING)?;
            }
            stays(s)?;
            source(packet, s)?;
            store(s)?;
            // The host's queues are told the mark of each packet.
            if scratch(s)?.facts.packet_mark != 0 && hop.kind != kind::REDIRECT {
                return Ok(());
            }
            return decide(s, if hop.tx_index < PORT_SLOTS { hop.tx_index as u16 } else { decision::NONE });
        }
        Ok(_) => Exit::host(Reason::LocalDelivery),
        Err(exit) if exit.is_host() => exit,
        Err(exit) => return Err(exit),
    };
    if is_later {
        follows(s, 0)?;
    } else {
        mangle(s, chain::MANGLE_INPUT)?;
        filter(s, chain::FILTER_INPUT)?;
        translate(s, chain::NAT_INPUT)?;
        store(s)?;
        if exit == Exit::host(Reason::LocalDelivery) {
            decide(s, decision::LOCAL)?;
        }
    }
    if s.rewrite != 0 {
        Exit::unpack(packet.translate(s))?;
    }
    Err(exit)
}

/// A later fragment goes where its first went, 0 being the host, or nowhere.
#[inline(always)]
fn follows(s: &mut State, ifindex: u32) -> Result<(), Exit> {
    let Scratch { fragment, facts, .. } = scratch(s)?;
    if fragment.first.egress != ifindex {
        return Err(Exit::drop(Reason::FragmentUnknown));
    }
    facts.ttl = fragment.first.ttl;
    store(s)
}

/// What the host itself sends, on its way out of the port of [`Facts::out_ifindex`].
#[inline(always)]
pub fn output(packet: SkbPacket, s: &mut State) -> Result<i32, Exit> {
    let mut way = Way::NONE;
    let fate = sent(packet, s, &mut way);
    if scratch(s)?.fragment.part == part::FIRST {
        global::fragment_note(s, Exit::pack(fate));
    }
    fate?;
    if s.rewrite != 0 {
        Exit::unpack(packet.translate(s))?;
    }
    if way.ifindex == 0 {
        return Ok(packet.pass());
    }
    Ok(packet.send(&way)?)
}

#[inline(always)]
fn sent(packet: SkbPacket, s: &mut State, way: &mut Way) -> Result<(), Exit> {
    if begin(packet, s, true)? {
        rerouted(packet, s, way)?;
        return store(s);
    }
    let facts = &mut scratch(s)?.facts;
    (facts.in_ifindex, facts.out_ifindex) = (0, s.ingress);
    raw(s, chain::RAW_OUTPUT)?;
    Exit::unpack(packet.track(s))?;
    tracked(s)?;
    mangle(s, chain::MANGLE_OUTPUT)?;
    s.table = scratch(s)?.facts.routing_mark;
    translate(s, chain::NAT_OUTPUT)?;
    Exit::unpack(global::nat_redirected(s))?;
    filter(s, chain::FILTER_OUTPUT)?;
    rerouted(packet, s, way)?;
    mangle(s, chain::MANGLE_POSTROUTING)?;
    stays(s)?;
    source(packet, s)?;
    scratch(s)?.work.status |= status::LOCAL;
    store(s)
}

/// Another destination than the host has meant: another route, and another port.
#[inline(always)]
fn rerouted(packet: SkbPacket, s: &mut State, way: &mut Way) -> Result<(), Exit> {
    if s.table != table::NONE || reroute::is_moved(&scratch(s)?.work) {
        Exit::unpack(packet.reroute(s, way))?;
        walk(s)?.change(1 << dimension::OUT);
    }
    Ok(())
}

/// Learns what there is to know of the packet. True where it is a later fragment, which fares as its first has.
#[inline(always)]
fn begin<P: Packet>(packet: P, s: &mut State, output: bool) -> Result<bool, Exit> {
    let Scratch { work, fragment, .. } = scratch(s)?;
    (work.flags, work.status, work.mark, work.guard, work.port_from, work.port_to) = (0, 0, 0, 0, 0, 0);
    work.word = 0;
    fragment.part = part::NONE;
    s.table = table::NONE;
    fragment.key.output = u8::from(output);
    rules::begin(s.scratch);
    Exit::unpack(packet.facts(s))?;
    let Scratch { facts, work, fragment, .. } = scratch(s)?;
    if facts.fragment != 0 {
        Exit::unpack(packet.fragment(s))?;
        if fragment.part == part::LATER {
            return match Exit::unpack(global::fragment_find(s)) {
                Err(exit) if !output && exit == Exit::drop(Reason::FragmentUnknown) => {
                    Exit::unpack(packet.hold(s)).map(|()| true)
                }
                found => found.map(|()| true),
            };
        }
    }
    let Some(settings) = maps::tracking(s.now.generation) else { return Ok(false) };
    s.empty = settings.empty >> if s.family == 6 { EMPTY6_SHIFT } else { 0 };
    if settings.flags & inspect::ASKED != 0 {
        packet.inspect(s);
    }
    if settings.flags & tracking::NO_TYPES == 0 {
        facts.src_type = address_type(facts, &facts.src);
        facts.dst_type = address_type(facts, &facts.dst);
    }
    if settings.flags & tracking::NO_LISTS == 0 {
        work.guard = epoch(&facts.src).wrapping_add(epoch(&facts.dst));
    }
    Ok(false)
}

/// The epoch that guards an address in dynamic lists.
#[inline(always)]
pub fn epoch(address: &[u8; 16]) -> u16 {
    maps::list_epoch(hash::epoch(address)) as u16
}

#[inline(always)]
pub fn address_type(facts: &Facts, address: &[u8; 16]) -> u8 {
    let (high, low) = halves(address);
    let (kind, is_local) = match facts.family {
        4 => {
            let [a, b, c, d, ..] = *address;
            (kind4([a, b, c, d]), maps::is_local4(&[a, b, c, d]))
        }
        _ => (kind6((high, low)), maps::is_local6((high, low))),
    };
    match kind {
        Kind::Multicast => address_type::MULTICAST,
        Kind::Broadcast => address_type::BROADCAST,
        _ if is_local => address_type::LOCAL,
        _ => address_type::UNICAST,
    }
}

/// A walk. The trace of a packet tells each, one of drops those that end packets.
#[inline(always)]
fn walked(s: &mut State, chain: u32) -> u32 {
    if s.empty >> chain & 1 != 0 && s.observed == 0 {
        return verdict::NONE;
    }
    if s.observed != 0 {
        rules::rules_note(s.scratch);
    }
    let verdict = rules::run(s.scratch, s.now.generation, chain);
    let ends = matches!(verdict, verdict::DROP | verdict::REJECT | verdict::ERROR);
    if s.observed & (observe::TRACE | if ends { observe::DROP } else { 0 }) != 0 {
        rules::rules_tell(s.scratch, s.ingress, chain | verdict << 8);
    }
    verdict
}

/// Raw rules, before anything is known of the connection.
#[inline(always)]
fn raw(s: &mut State, chain: u32) -> Result<(), Exit> {
    match walked(s, chain) {
        verdict::DROP => Err(Exit::drop(Reason::RawDrop)),
        verdict::ERROR => Err(Exit::drop(Reason::RuleError)),
        verdict::NOTRACK => {
            scratch(s)?.work.flags |= work::UNTRACKED;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Connection state, NAT state and mark are known.
#[inline(always)]
fn tracked(s: &State) -> Result<(), Exit> {
    walk(s)?.change(1 << dimension::STATE | 1 << dimension::CONNECTION_MARK);
    Ok(())
}

#[inline(always)]
fn filter(s: &mut State, chain: u32) -> Result<(), Exit> {
    match walked(s, chain) {
        verdict::DROP => Err(Exit::drop(Reason::FilterDrop)),
        verdict::REJECT => {
            let number = u32::from(router_common::maps::image::REJECT_BASE) + walk(s)?.parameter;
            Err(Exit::dropped(number))
        }
        verdict::ERROR => Err(Exit::drop(Reason::RuleError)),
        _ => Ok(()),
    }
}

/// Rules that mark. A mark of the connection is there for its next packet, whatever becomes of this one.
#[inline(always)]
fn mangle(s: &mut State, chain: u32) -> Result<(), Exit> {
    if walked(s, chain) == verdict::ERROR {
        return Err(Exit::drop(Reason::RuleError));
    }
    let Scratch { facts, work, .. } = scratch(s)?;
    if facts.connection_mark != u32::from(work.mark) {
        global::flow_mark(s);
    }
    Ok(())
}

/// NAT rules are asked for a new connection alone. What they count and look at is no part of a decision.
#[inline(always)]
fn translate(s: &mut State, chain: u32) -> Result<(), Exit> {
    if scratch(s)?.work.flags & work::NEW == 0 {
        return Ok(());
    }
    let before = walk(s)?;
    let (flags, counted) = (before.flags, before.counted_len);
    let verdict = walked(s, chain);
    let after = walk(s)?;
    (after.flags, after.counted_len) = (flags, counted);
    match verdict {
        verdict::NAT if matches!(chain, chain::NAT_DSTNAT | chain::NAT_OUTPUT) => {
            Exit::unpack(global::nat_destination(s))
        }
        verdict::NAT => Exit::unpack(global::nat_source(s)),
        verdict::ERROR => Err(Exit::drop(Reason::RuleError)),
        _ => Ok(()),
    }
}

/// A masqueraded connection has the address of the port that it left by first: on another way it would get no answer,
/// so it ends there (as in net/netfilter/nf_nat_core.c, `nf_nat_oif_changed`).
#[inline(always)]
fn stays(s: &mut State) -> Result<(), Exit> {
    let work = &scratch(s)?.work;
    let is_masqueraded = work.word as u32 & status::MASQUERADE != 0;
    let is_stored = work.flags & work::NEW == 0 && work.index != NONE;
    if is_masqueraded && is_stored && global::flow_moved(s) != 0 {
        return Err(Exit::drop(Reason::NatMoved));
    }
    Ok(())
}

/// Chain srcnat.
#[inline(always)]
fn source<P: Packet>(packet: P, s: &mut State) -> Result<(), Exit> {
    translate(s, chain::NAT_SRCNAT)?;
    let work = &scratch(s)?.work;
    if work.flags & work::NEW != 0 && work.status & status::MASQUERADE != 0 {
        packet.masquerade(s);
    }
    Ok(())
}

/// The next hop of where the packet now goes to.
#[inline(always)]
fn destined<P: Packet>(packet: P, s: &mut State) -> Result<&'static mut NextHop, Exit> {
    let (high, low) = halves(&scratch(s)?.work.leaves.dst);
    // Where the route is remembered already, nobody else notes it.
    s.destination = [high, low];
    if walk(s)?.edits & edit::ROUTE != 0 {
        global::route_via(s);
    }
    let [high, low] = s.destination;
    if s.family == 4 {
        let [a, b, c, d, ..] = high.to_ne_bytes();
        Ok(&mut route::find4(packet, s, [a, b, c, d])?.next_hop)
    } else {
        Ok(&mut route::find6(packet, s, (high, low))?.next_hop)
    }
}

/// Stores a new connection.
#[inline(always)]
fn store(s: &mut State) -> Result<(), Exit> {
    if scratch(s)?.work.flags & work::NEW != 0 {
        Exit::unpack(global::flow_commit(s))?;
    }
    let work = &scratch(s)?.work;
    let is_other = !work.leaves.is_same(&work.came) || work.flags & work::RELATED != 0;
    s.rewrite = u32::from(is_other || walk(s)?.edits & edit::HEADERS != 0);
    Ok(())
}

/// Remembers what becomes of the flow's packets, if the next one in the same state would fare no otherwise.
#[inline(always)]
fn decide(s: &State, egress: u16) -> Result<(), Exit> {
    let work = &mut scratch(s)?.work;
    let Some(settings) = maps::tracking(s.now.generation) else { return Ok(()) };
    let fixed = work.flags & (work::UNCACHEABLE | work::REMOVE | work::UNTRACKED) == 0;
    // Rules have met the first packet before it had its source; those after it have the NAT state that comes of it.
    let is_changed = work.flags & work::NEW != 0 && work.status & status::SRCNAT != 0;
    if !fixed
        || is_changed
        || work.index == NONE
        || settings.flags & tracking::NO_CACHE != 0
        || egress == decision::NONE
    {
        return Ok(());
    }
    if walk(s)?.flags & (flag::LOOKED_SRC | flag::LOOKED_DST) != 0 {
        work.flags |= work::GUARDED;
    }
    if let Some(path) = rules::path(s.scratch, s.now.generation) {
        remember(s, work, egress, path as u16);
    }
    Ok(())
}

#[inline(always)]
fn remember(s: &State, work: &Work, egress: u16, path: u16) -> Option<()> {
    let ingress = u64::from(s.port_index) << INGRESS_SHIFT;
    let decision = Decision::new(path, egress, s.table);
    // SAFETY: an entry of the table. The decision is none until the word says so, which it does only if the entry is
    // still that which was judged.
    unsafe {
        let entry = maps::entry(s.family, work.index)?;
        (*entry).guard = work.guard;
        if s.family == 4 {
            let flow = maps::flow4(work.index)?;
            let word = (&raw mut (*flow).key).cast::<u64>().add(1);
            word.write_volatile(word.read_volatile() & KEY_MASK | ingress);
            (*flow).decision = decision;
        } else {
            let flow = maps::flow6(work.index)?;
            let word = (&raw mut (*flow).key).cast::<u64>().add(4);
            word.write_volatile(word.read_volatile() & KEY_MASK | ingress);
            (*flow).decision = decision;
        }
        let generation = u64::from(s.now.generation as u16) << status::GENERATION_SHIFT;
        let guarded = if work.flags & work::GUARDED != 0 { u64::from(status::GUARDED) } else { 0 };
        let decided = work.word & !status::GENERATION & !u64::from(status::GUARDED) | generation | guarded;
        atomic::replace(&raw mut (*entry).word, work.word, decided);
    }
    Some(())
}

/// Whether a status word says that the decision holds for packets of this image.
#[inline(always)]
pub fn is_decided(word: u64, generation: u32) -> bool {
    flow::life(word) == status::LIVE && (word >> status::GENERATION_SHIFT) as u16 == generation as u16
}
