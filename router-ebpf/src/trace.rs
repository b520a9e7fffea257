//! Packets that are looked at: events for those that match the operator's filter, outcomes for test runs.
//!
//! The pipeline pays three tests of one register for this; everything here is out of its way.

use core::hint::black_box;

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use router_common::maps::control::flag;
use router_common::maps::event::{Event, HEAD_BYTES, TraceFilter, trace_flag};
use router_common::maps::scratch::Last;
use router_common::verdict::{Reason, Stage};
use router_common::wire::eth;
use router_common::wire::ipv6::{Halves, pairs};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::State;
use crate::stage::emit::Way;

/// Bits of [`State::observed`].
pub mod observe {
    pub const TRACE: u32 = 1;
    pub const RECORD: u32 = 2;
    /// As TRACE, if the packet is dropped.
    pub const DROP: u32 = 4;
}

/// Decides whether this packet is looked at.
#[inline(always)]
pub fn begin<P: Packet>(packet: P, s: &mut State) -> u32 {
    let Some(scratch) = maps::scratch(P::SCRATCH) else { return 0 };
    if s.now.flags & flag::RECORD != 0 {
        scratch.last = Last { reason: 0, icmp: 0, egress: 0, next_hop: [0; 16], reserved: [0; 2] };
        s.observed |= observe::RECORD;
    }
    if s.now.flags & flag::TRACE != 0 && packet.is_traced(s.ingress, s.l2_bytes) {
        scratch.traced = scratch.traced.wrapping_add(1);
        if maps::trace_filter().is_some_and(|filter| filter.flags & trace_flag::DROPS != 0) {
            s.observed |= observe::DROP;
        } else {
            s.observed |= observe::TRACE;
            packet.report(s.ingress, P::ENTRY as u32, 0);
        }
    }
    0
}

/// The packet has come as far as to its route.
#[inline(always)]
pub fn routed<P: Packet>(packet: P, s: &mut State, egress: u32) -> u32 {
    if s.observed & observe::TRACE != 0 {
        packet.report(s.ingress, Stage::Parse as u32, 0);
        packet.report(s.ingress, Stage::Source as u32, 0);
        packet.report(s.ingress, Stage::Route as u32, egress);
    }
    0
}

/// XDP has redirected the packet.
#[inline(always)]
pub fn forwarded<P: Packet>(packet: P, s: &mut State, egress: u32) -> u32 {
    end(packet, s, P::FORWARDED as u16, egress);
    0
}

/// The packet is on its way to a next hop that tc resolves.
#[inline(always)]
pub fn sent<P: Packet>(packet: P, s: &State, reason: u16, way: &Way) {
    if s.observed & observe::RECORD != 0
        && let Some(scratch) = maps::scratch(P::SCRATCH)
    {
        maps::write6(&mut scratch.last.next_hop, pairs(way.gateway));
    }
    end(packet, s, reason, way.ifindex);
}

/// The packet's end, under a reason number.
#[inline(always)]
pub fn end<P: Packet>(packet: P, s: &State, reason: u16, egress: u32) {
    if s.observed & observe::RECORD != 0
        && let Some(scratch) = maps::scratch(P::SCRATCH)
    {
        scratch.last.reason = reason;
        scratch.last.egress = egress;
    }
    let told = observe::TRACE | if Reason::is_drop_number(reason) { observe::DROP } else { 0 };
    if s.observed & told != 0 {
        packet.report(s.ingress, Reason::stage(reason) as u32 | u32::from(reason) << 16, egress);
    }
}

/// What became of the ICMP error in the packet's place.
#[inline(always)]
pub fn answered<P: Packet>(s: &State, reason: Reason, egress: u32) {
    if s.observed & observe::RECORD != 0
        && let Some(scratch) = maps::scratch(P::SCRATCH)
    {
        scratch.last.icmp = reason as u16;
        scratch.last.egress = egress;
    }
}

/// Sends an event; `step` is the stage, and the reason in its upper half. A full ring loses it.
#[inline(always)]
pub fn report<P: Packet>(packet: P, ingress: u32, step: u32, egress: u32) -> u32 {
    let Some(scratch) = maps::scratch(P::SCRATCH) else { return 1 };
    let number = scratch.traced;
    let Some(mut entry) = maps::EVENTS.reserve::<Event>(0) else { return 1 };
    let length = packet.length();
    let event = entry.as_mut_ptr();
    // SAFETY: reserved memory of that size; every byte of it is written.
    unsafe {
        (&raw mut (*event).time_ns).write(bpf_ktime_get_ns());
        (&raw mut (*event).packet).write(number);
        (&raw mut (*event).cpu).write(maps::cpu());
        (&raw mut (*event).ingress).write(ingress);
        (&raw mut (*event).egress).write(egress);
        (&raw mut (*event).length_bytes).write(length);
        (&raw mut (*event).stage).write(step as u16);
        (&raw mut (*event).reason).write((step >> 16) as u16);
        for word in 0..HEAD_BYTES / 8 {
            (&raw mut (*event).head).cast::<u64>().add(word).write_volatile(0);
        }
        let head = (&raw mut (*event).head).cast::<u8>();
        // The verifier has to see a length of at least one (before 6.18: "R4 invalid zero-sized read"); LLVM would
        // fold the subtraction into the addition.
        let last = black_box(length.wrapping_sub(1)).min(HEAD_BYTES as u32 - 1);
        // Only the picture of the packet is lost where the load fails.
        let _ = packet.load_into(0, head, last + 1);
    }
    entry.submit(0);
    0
}

/// Whether the packet is one that the operator wants to see; 0 is no.
#[inline(always)]
pub fn matches<P: Packet>(packet: P, ingress: u32, l2_bytes: u32) -> u32 {
    let Some(filter) = maps::trace_filter() else { return 0 };
    u32::from(
        (filter.ingress == 0 || filter.ingress == ingress)
            && found(packet, l2_bytes, filter).unwrap_or_else(|| is_any(filter)),
    )
}

/// A filter on the port alone takes packets that are not IP as well.
#[inline(always)]
fn is_any(filter: &TraceFilter) -> bool {
    filter.family == 0
        && filter.protocol == 0
        && filter.source_port == 0
        && filter.destination_port == 0
        && maps::read6(&filter.source_mask) == (0, 0)
        && maps::read6(&filter.destination_mask) == (0, 0)
}

/// Compares the IP header and the ports; None where there is no such header.
#[inline(always)]
fn found<P: Packet>(packet: P, l2_bytes: u32, filter: &TraceFilter) -> Option<bool> {
    let ethertype = match l2_bytes {
        0 => packet.protocol(),
        _ => u16::from_be_bytes(packet.load::<2>(12)?),
    };
    let (family, protocol, l4) = match ethertype {
        eth::IPV4 => {
            let header = packet.load::<20>(l2_bytes)?;
            let [first, _, _, _, _, _, _, _, _, protocol, _, _, a, b, c, d, e, f, g, h] = header;
            if !same(&filter.source, &filter.source_mask, (u64::from(u32::from_ne_bytes([a, b, c, d])), 0))
                || !same(
                    &filter.destination,
                    &filter.destination_mask,
                    (u64::from(u32::from_ne_bytes([e, f, g, h])), 0),
                )
            {
                return Some(false);
            }
            (4, protocol, u32::from(first & 15) * 4)
        }
        eth::IPV6 => {
            let [next] = packet.load::<1>(l2_bytes + 6)?;
            if !same(&filter.source, &filter.source_mask, packet.load_address(l2_bytes + 8)?)
                || !same(&filter.destination, &filter.destination_mask, packet.load_address(l2_bytes + 24)?)
            {
                return Some(false);
            }
            (6, next, 40)
        }
        _ => return None,
    };
    if filter.family != 0 && filter.family != family || filter.protocol != 0 && filter.protocol != protocol {
        return Some(false);
    }
    if filter.source_port == 0 && filter.destination_port == 0 {
        return Some(true);
    }
    let [a, b, c, d] = packet.load::<4>(l2_bytes + l4)?;
    let (source, destination) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    Some(
        (filter.source_port == 0 || filter.source_port == source)
            && (filter.destination_port == 0 || filter.destination_port == destination),
    )
}

#[inline(always)]
fn same(wanted: &[u8; 16], mask: &[u8; 16], address: Halves) -> bool {
    let (wanted, mask) = (maps::read6(wanted), maps::read6(mask));
    (address.0 ^ wanted.0) & mask.0 == 0 && (address.1 ^ wanted.1) & mask.1 == 0
}
