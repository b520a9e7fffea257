//! The last checks before a packet leaves, its rewrite, and its sending.

use router_common::cursor::Cursor;
use router_common::maps::flow::decision;
use router_common::maps::route::{NextHop, Route4, Route6, kind};
use router_common::rules::walk::edit;
use router_common::verdict::Reason;
use router_common::wire::eth::Ethernet;
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::{Halves, Ipv6, words};

use crate::count;
use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State, has_firewall};
use crate::stage::fast::{self, Hit};
use crate::stage::{rules, unfinished};
use crate::trace;

/// Where a packet leaves that tc sends.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Way {
    pub generation: u32,
    pub ifindex: u32,
    /// Counter index of the egress port.
    pub tx_index: u32,
    pub l2_bytes: u16,
    /// 4 or 6.
    pub gateway_family: u16,
    /// The next hop; IPv4 in the first word.
    pub gateway: [u32; 4],
    /// The third word of the packet's IPv4 header, or the IPv6 hop limit in its first byte.
    pub ttl: u32,
    /// As in [`router_common::maps::handover::Handover`].
    pub class: u32,
}

impl Way {
    pub const NONE: Way = Way {
        generation: 0,
        ifindex: 0,
        tx_index: 0,
        l2_bytes: 0,
        gateway: [0; 4],
        gateway_family: 0,
        ttl: 0,
        class: 0,
    };
}

#[inline(always)]
pub fn ipv4<P: Packet, const SLOW: bool>(
    packet: P,
    s: &mut State,
    header: &mut Ipv4,
    cursor: Cursor<'_>,
    route: &'static mut Route4,
    ethernet: Option<&mut Ethernet>,
    hit: Option<&Hit<u32>>,
) -> Result<i32, Exit> {
    if let Some(hit) = hit {
        rules::count_path(u32::from(hit.decision.path()), packet.packets(), u64::from(s.length));
    }
    let next_hop = &mut route.next_hop;
    may_forward(s, next_hop.kind, if SLOW { u8::MAX } else { header.ttl() })?;
    let size =
        on_the_wire(packet, s, s.length, header.protocol(), u32::from(header.version_and_length() & 15) * 4);
    if size > next_hop.mtu_bytes {
        if !header.dont_fragment() {
            return Err(leave::<P, SLOW>(packet, s));
        }
        s.mtu_bytes = next_hop.mtu_bytes;
        return Err(Exit::drop(Reason::TooBig));
    }
    // Record route and timestamps are the kernel's to fill in.
    if header.has_options() || next_hop.kind == kind::KERNEL {
        return Err(leave::<P, SLOW>(packet, s));
    }
    touch(s, next_hop);
    if P::XDP && next_hop.kind == kind::REDIRECT {
        if !has_firewall(s) && unfinished::ipv4(packet, s, header) {
            return Err(Exit::untouched());
        }
        header.decrement_ttl();
        match hit {
            Some(hit) if hit.rewrite => fast::rewrite4(header, cursor, hit).ok_or(Reason::Internal)?,
            _ if SLOW && s.rewrite != 0 => Exit::unpack(packet.translate(s))?,
            _ => {}
        }
        return redirect(packet, s, next_hop, ethernet);
    }
    let third = header.third_word();
    hand_over::<P, SLOW>(packet, s, next_hop, &route.gateway, third)
}

#[inline(always)]
pub fn ipv6<P: Packet, const SLOW: bool>(
    packet: P,
    s: &mut State,
    header: &mut Ipv6,
    cursor: Cursor<'_>,
    route: &'static mut Route6,
    ethernet: Option<&mut Ethernet>,
    hit: Option<&Hit<Halves>>,
) -> Result<i32, Exit> {
    if let Some(hit) = hit {
        rules::count_path(u32::from(hit.decision.path()), packet.packets(), u64::from(s.length));
    }
    let next_hop = &mut route.next_hop;
    let hop_limit = header.hop_limit();
    may_forward(s, next_hop.kind, if SLOW { u8::MAX } else { hop_limit })?;
    let size = on_the_wire(packet, s, s.length, header.next_header(), 40);
    if size > next_hop.mtu_bytes {
        s.mtu_bytes = next_hop.mtu_bytes;
        return Err(Exit::drop(Reason::TooBig));
    }
    if next_hop.kind == kind::KERNEL {
        return Err(leave::<P, SLOW>(packet, s));
    }
    touch(s, next_hop);
    if P::XDP && next_hop.kind == kind::REDIRECT {
        if !has_firewall(s) && unfinished::ipv6(packet, s, header) {
            return Err(Exit::untouched());
        }
        header.set_hop_limit(hop_limit.wrapping_sub(1));
        match hit {
            Some(hit) if hit.rewrite => fast::rewrite6(header, cursor, hit).ok_or(Reason::Internal)?,
            _ if SLOW && s.rewrite != 0 => Exit::unpack(packet.translate(s))?,
            _ => {}
        }
        return redirect(packet, s, next_hop, ethernet);
    }
    hand_over::<P, SLOW>(packet, s, next_hop, &route.gateway, [hop_limit, 0, 0, 0])
}

/// Whether a decision can be carried out without the slow path: XDP rewrites what it redirects itself.
#[inline(always)]
pub fn is_fast<P: Packet>(s: &State, rewrite: bool, egress: u16) -> bool {
    s.bound == 0 && (!rewrite || P::XDP && egress != decision::LOCAL)
}

/// Whether the packet still goes where it went when it was decided what becomes of it.
#[inline(always)]
pub fn is_decided(next_hop: &NextHop, egress: u16) -> bool {
    match next_hop.kind {
        kind::LOCAL => egress == decision::LOCAL,
        _ => next_hop.tx_index == u32::from(egress),
    }
}

/// What the host's queues are to know of the packet.
#[inline(always)]
pub fn class<P: Packet>() -> u32 {
    let (Some(memory), Some(scratch)) = (maps::rule_scratch(P::SCRATCH), maps::scratch(P::SCRATCH)) else {
        return 0;
    };
    let priority = if memory.walk.edits & edit::PRIORITY != 0 { memory.walk.priority << 16 } else { 0 };
    priority | scratch.facts.packet_mark & 0xffff
}

/// The kernel forwards the packet, as it is to leave.
#[inline(always)]
fn leave<P: Packet, const SLOW: bool>(packet: P, s: &mut State) -> Exit {
    if SLOW && s.rewrite != 0 {
        // The kernel takes its one from it.
        if let Some(scratch) = maps::scratch(P::SCRATCH) {
            scratch.facts.ttl = scratch.facts.ttl.wrapping_add(1);
        }
        if let Err(exit) = Exit::unpack(packet.translate(s)) {
            return exit;
        }
    }
    Exit::kernel()
}

#[inline(always)]
pub fn may_forward(s: &State, next_hop: u16, ttl: u8) -> Result<(), Exit> {
    if next_hop == kind::LOCAL {
        return Err(Exit::host(Reason::LocalDelivery));
    }
    if s.bound != 0 {
        return Err(Exit::dropped(s.bound));
    }
    if ttl <= 1 {
        return Err(Exit::drop(Reason::TtlExceeded));
    }
    Ok(())
}

/// Notes that the next hop is in use, at most once a second.
#[inline(always)]
fn touch(s: &State, next_hop: &mut NextHop) {
    if next_hop.used_tick != s.now.tick {
        next_hop.used_tick = s.now.tick;
    }
}

/// Bytes of the IP packet, or of each of its segments where several travel as one.
#[inline(always)]
pub fn on_the_wire<P: Packet>(packet: P, s: &State, length: u32, protocol: u8, l3_bytes: u32) -> u32 {
    let segment = packet.segment_bytes();
    if segment == 0 {
        return length;
    }
    let l4_bytes = match protocol {
        // The data offset (RFC 9293, 3.1).
        6 => packet.load::<1>(s.l2_bytes + l3_bytes + 12).map_or(20, |[offset]| u32::from(offset >> 4) * 4),
        _ => 8,
    };
    segment + l3_bytes + l4_bytes
}

/// XDP: the frame is done but for its MAC addresses.
#[inline(always)]
fn redirect<P: Packet>(
    packet: P,
    s: &mut State,
    next_hop: &NextHop,
    ethernet: Option<&mut Ethernet>,
) -> Result<i32, Exit> {
    let Some(ethernet) = ethernet else { return Err(Exit::drop(Reason::Internal)) };
    ethernet.set_macs(next_hop.dst_mac, next_hop.src_mac);
    let action = packet.redirect(next_hop.tx_index)?;
    if s.observed != 0 {
        packet.forwarded(s, next_hop.ifindex);
    }
    count::forwarded(packet, s, P::FORWARDED as u16, next_hop.tx_index);
    Ok(action)
}

/// The packet goes by way of tc, which finds the neighbour; in tc, that is now. Gives an action marked with [`SENT`],
/// or the exit.
#[inline(always)]
pub fn send<P: Packet>(packet: P, s: &mut State, way: &mut Way) -> u32 {
    depart::<P, false>(packet, s, way)
}

/// As [`send`], for a packet that may have to be translated.
#[inline(always)]
pub fn send_translated<P: Packet>(packet: P, s: &mut State, way: &mut Way) -> u32 {
    depart::<P, true>(packet, s, way)
}

#[inline(always)]
fn depart<P: Packet, const SLOW: bool>(packet: P, s: &mut State, way: &mut Way) -> u32 {
    // The metadata comes first: where there is no room for it, the packet goes up as it came.
    if packet.announce(way).is_none() {
        return Exit::pack(Err(Exit::untouched()));
    }
    let ttl = way.ttl.to_ne_bytes();
    let [hop_limit, ..] = ttl;
    let lowered = if s.family == 4 {
        packet.decrement_ttl(way.l2_bytes.into(), ttl)
    } else {
        packet.decrement_hop_limit(way.l2_bytes.into(), hop_limit)
    };
    if lowered.is_none() {
        return Exit::pack(Err(Exit::drop(Reason::Internal)));
    }
    if SLOW && s.rewrite != 0 {
        let translated = packet.translate(s);
        if translated != 0 {
            return translated;
        }
    }
    match packet.send(way) {
        Ok(action) => {
            let reason = if P::XDP { Reason::HandedOver } else { P::FORWARDED };
            trace::sent(packet, s, reason as u16, way);
            count::forwarded(packet, s, reason as u16, way.tx_index);
            SENT | action as u32
        }
        Err(reason) => Exit::pack(Err(Exit::drop(reason))),
    }
}

/// Marks an action among the numbers of [`Exit`].
const SENT: u32 = 1 << 31;

#[inline(always)]
fn hand_over<P: Packet, const SLOW: bool>(
    packet: P,
    s: &mut State,
    next_hop: &NextHop,
    gateway: &[u8; 16],
    ttl: [u8; 4],
) -> Result<i32, Exit> {
    let mut way = Way {
        generation: s.now.generation,
        ifindex: next_hop.ifindex,
        tx_index: next_hop.tx_index,
        l2_bytes: s.l2_bytes as u16,
        gateway: words(maps::read6(gateway)),
        gateway_family: next_hop.gateway_family.into(),
        ttl: u32::from_ne_bytes(ttl),
        class: if SLOW { class::<P>() } else { 0 },
    };
    let sent = if SLOW { packet.send_translated(s, &mut way) } else { packet.slow_send(s, &mut way) };
    if sent & SENT != 0 {
        return Ok((sent & !SENT) as i32);
    }
    Exit::unpack(sent)?;
    Err(Exit::drop(Reason::Internal))
}
