//! What rules and connection tracking know of a packet, read from its headers once.

use router_common::conntrack::{icmp, other};
use router_common::facts::{Facts, fragment};
use router_common::tuple::Tuple;
use router_common::verdict::Reason;
use router_common::wire::ipv6::halves;

use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::emit;
use crate::{global, maps};

/// Fills in the facts of an IPv4 packet, and the tuple that it came with. Its header has been checked.
#[inline(always)]
pub fn learn4<P: Packet>(packet: P, s: &mut State) -> u32 {
    let learned = (|| {
        let scratch = maps::scratch(P::SCRATCH).ok_or(Reason::Internal)?;
        let header = packet.header::<20>(s.l2_bytes).ok_or(Reason::MalformedHeader)?;
        let [first, tos, _, _, _, _, high, low, ttl, protocol, _, _, a, b, c, d, e, f, g, h] = header;
        let facts = &mut scratch.facts;
        *facts = Facts {
            protocol,
            family: 4,
            ttl,
            dscp: tos >> 2,
            in_ifindex: s.ingress,
            packets: packet.packets() as u32,
            total_bytes: s.length,
            ..Facts::default()
        };
        maps::write6(&mut facts.src, (u64::from(u32::from_ne_bytes([a, b, c, d])), 0));
        maps::write6(&mut facts.dst, (u64::from(u32::from_ne_bytes([e, f, g, h])), 0));
        let word = u16::from_be_bytes([high, low]);
        facts.fragment = (fragment::PART * u8::from(word & 0x3fff != 0))
            | (fragment::LATER * u8::from(word & 0x1fff != 0));
        let l3_bytes = u32::from(first & 15) * 4;
        facts.length_bytes = emit::on_the_wire(packet, s, s.length, protocol, l3_bytes);
        source_mac(packet, s, facts);
        upper(packet, s, facts, l3_bytes);
        came(facts, &mut scratch.work.came);
        Ok(())
    })();
    Exit::pack(learned)
}

/// As [`learn4`].
#[inline(always)]
pub fn learn6<P: Packet>(packet: P, s: &mut State) -> u32 {
    let learned = (|| {
        let scratch = maps::scratch(P::SCRATCH).ok_or(Reason::Internal)?;
        let header = packet.header::<8>(s.l2_bytes).ok_or(Reason::MalformedHeader)?;
        let [first, second, _, _, _, _, next_header, hop_limit] = header;
        let found = global::upper(packet.upper(s.l2_bytes, next_header, s.length)).map_err(Exit::dropped)?;
        let facts = &mut scratch.facts;
        *facts = Facts {
            protocol: found.protocol(),
            family: 6,
            ttl: hop_limit,
            dscp: (first & 15) << 2 | second >> 6,
            in_ifindex: s.ingress,
            packets: packet.packets() as u32,
            total_bytes: s.length,
            fragment: found.fragment(),
            headers: facts.headers,
            ..Facts::default()
        };
        let source = packet.load_address(s.l2_bytes + 8).ok_or(Reason::MalformedHeader)?;
        maps::write6(&mut facts.src, source);
        let destination = packet.load_address(s.l2_bytes + 24).ok_or(Reason::MalformedHeader)?;
        maps::write6(&mut facts.dst, destination);
        facts.length_bytes = emit::on_the_wire(packet, s, s.length, next_header, 40);
        source_mac(packet, s, facts);
        upper(packet, s, facts, found.offset());
        came(facts, &mut scratch.work.came);
        Ok(())
    })();
    Exit::pack(learned)
}

#[inline(always)]
fn source_mac<P: Packet>(packet: P, s: &State, facts: &mut Facts) {
    if s.l2_bytes != 0
        && let Some(address) = packet.header::<6>(6)
    {
        facts.src_mac = address;
    }
}

/// Reads what matters of the upper layer's header at `offset` from the IP header. Where it is cut short,
/// [`Facts::l4_offset`] stays 0.
#[inline(always)]
fn upper<P: Packet>(packet: P, s: &State, facts: &mut Facts, offset: u32) {
    if facts.fragment & fragment::LATER != 0
        || !other::is_whole(facts.protocol, s.length.wrapping_sub(offset))
    {
        return;
    }
    facts.l4_offset = offset;
    let at = s.l2_bytes + offset;
    match other::ports(facts.protocol) {
        other::Ports::Both => {
            let Some([a, b, c, d]) = packet.header::<4>(at) else { return };
            facts.src_port = u16::from_be_bytes([a, b]);
            facts.dst_port = u16::from_be_bytes([c, d]);
            if facts.protocol == other::TCP
                && let Some([_, flags]) = packet.header::<2>(at + 12)
            {
                facts.tcp_flags = flags;
            }
        }
        other::Ports::Identifier => {
            let Some([kind, code, _, _, high, low]) = packet.header::<6>(at) else { return };
            facts.icmp_type = kind;
            facts.icmp_code = code;
            if query(facts) != icmp::kind::NONE {
                facts.src_port = u16::from_be_bytes([high, low]);
                facts.dst_port = facts.src_port;
            }
        }
        other::Ports::None => {}
    }
}

/// The kind of query or reply that an ICMP message is.
#[inline(always)]
fn query(facts: &Facts) -> u8 {
    match facts.protocol {
        other::ICMP => icmp::kind4(facts.icmp_type),
        other::ICMPV6 => icmp::kind6(facts.icmp_type),
        _ => icmp::kind::NONE,
    }
}

#[inline(always)]
fn came(facts: &Facts, tuple: &mut Tuple) {
    maps::write6(&mut tuple.src, halves(&facts.src));
    maps::write6(&mut tuple.dst, halves(&facts.dst));
    tuple.src_port_be = facts.src_port.to_be_bytes();
    tuple.dst_port_be = facts.dst_port.to_be_bytes();
    tuple.protocol = facts.protocol;
    tuple.kind = query(facts);
    tuple.reserved = [0; 2];
}
