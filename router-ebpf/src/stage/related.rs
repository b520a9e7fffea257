//! ICMP errors: they belong to the connection of the packet that they quote.

use router_common::conntrack::{icmp, other};
use router_common::facts::connection_state;
use router_common::maps::flow::{NONE, status};
use router_common::maps::scratch::{Work, work};
use router_common::tuple::Tuple;
use router_common::verdict::Reason;
use router_common::wire::icmp::HEADER_BYTES;
use router_common::wire::ipv6::halves;

use crate::flow::{self, sought};
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::track;
use crate::{global, maps};

/// Finds the connection that the quoted packet is of. The error travels as its answers do, and is translated as they
/// are, outside and, the other way round, inside.
#[inline(always)]
pub fn track<P: Packet>(packet: P, s: &mut State) -> u32 {
    let Some(scratch) = maps::scratch(P::SCRATCH) else { return Exit::pack(Err(Reason::Internal.into())) };
    let (facts, work) = (&mut scratch.facts, &mut scratch.work);
    facts.state = connection_state::INVALID;
    work.inner_l3 = facts.l4_offset + HEADER_BYTES;
    work.inner_l4 = 0;
    work.key = Tuple::default();
    let at = s.l2_bytes + work.inner_l3;
    let l4 = match s.family {
        4 => quote4(packet, at, &mut work.key),
        _ => quote6(packet, s, at, &mut work.key),
    };
    let Some(l4) = l4 else { return 0 };
    if ports(packet, at + l4, &mut work.key) {
        work.inner_l4 = work.inner_l3 + l4;
    }
    let Work { key, inner, .. } = work;
    key.reverse_into(inner);
    let index = flow::search(s, sought::INNER);
    let Some(scratch) = maps::scratch(P::SCRATCH) else { return 0 };
    let (facts, work) = (&mut scratch.facts, &mut scratch.work);
    let Some(entry) = maps::entry(s.family, index) else { return 0 };
    let bits = flow::word(entry) as u32;
    if index == NONE {
        return 0;
    }
    facts.state = connection_state::RELATED;
    facts.nat = track::nat_of(bits);
    // SAFETY: an entry of the table; one word.
    work.mark = unsafe { (*entry).mark };
    facts.connection_mark = u32::from(work.mark);
    work.flags |= work::UNCACHEABLE;
    if bits & status::REWRITE == 0 {
        return 0;
    }
    // What an answer would become; the quoted packet is one of the other way.
    let Work { inner, leaves, answer, .. } = work;
    *answer = *inner;
    track::leaves(s.family, index, answer);
    if halves(&answer.src) != halves(&inner.src) {
        maps::write6(&mut leaves.src, halves(&answer.src));
    }
    if halves(&answer.dst) != halves(&inner.dst) {
        maps::write6(&mut leaves.dst, halves(&answer.dst));
    }
    answer.reverse_into(inner);
    work.flags |= work::RELATED;
    0
}

/// The addresses and the protocol of the quoted packet; gives the length of its header.
#[inline(always)]
fn quote4<P: Packet>(packet: P, at: u32, key: &mut Tuple) -> Option<u32> {
    let header = packet.load::<20>(at)?;
    let [first, _, _, _, _, _, high, low, _, protocol, _, _, a, b, c, d, e, f, g, h] = header;
    if first >> 4 != 4 || first & 15 < 5 || u16::from_be_bytes([high, low]) & 0x1fff != 0 {
        return None;
    }
    maps::write6(&mut key.src, (u64::from(u32::from_ne_bytes([a, b, c, d])), 0));
    maps::write6(&mut key.dst, (u64::from(u32::from_ne_bytes([e, f, g, h])), 0));
    key.protocol = protocol;
    Some(u32::from(first & 15) * 4)
}

#[inline(always)]
fn quote6<P: Packet>(packet: P, s: &State, at: u32, key: &mut Tuple) -> Option<u32> {
    let [first, _, _, _, _, _, next, _] = packet.load::<8>(at)?;
    if first >> 4 != 6 {
        return None;
    }
    let rest = (s.l2_bytes + s.length).checked_sub(at)?;
    let upper = global::upper(packet.upper(at, next, rest)).ok()?;
    if upper.is_later_fragment() {
        return None;
    }
    maps::write6(&mut key.src, packet.load_address(at + 8)?);
    maps::write6(&mut key.dst, packet.load_address(at + 24)?);
    key.protocol = upper.protocol();
    Some(upper.offset())
}

/// Ports or identifier; false where the quote has none.
#[inline(always)]
fn ports<P: Packet>(packet: P, at: u32, key: &mut Tuple) -> bool {
    match other::ports(key.protocol) {
        other::Ports::Both => {
            let Some([a, b, c, d]) = packet.load::<4>(at) else { return false };
            key.src_port_be = [a, b];
            key.dst_port_be = [c, d];
        }
        other::Ports::Identifier => {
            let Some([kind, _, _, _, a, b]) = packet.load::<6>(at) else { return false };
            key.kind = if key.protocol == other::ICMP { icmp::kind4(kind) } else { icmp::kind6(kind) };
            if key.kind != icmp::kind::NONE {
                key.src_port_be = [a, b];
                key.dst_port_be = [a, b];
            }
        }
        other::Ports::None => return false,
    }
    true
}
