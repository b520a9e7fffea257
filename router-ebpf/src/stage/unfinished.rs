//! Transport checksums that the sender left to its device: on a veth nobody finishes them, and a redirect by XDP loses
//! the note that somebody has to. In tc the note stands in the skb, so such frames go up as they came.

use router_common::csum;
use router_common::maps::port::port_flag;
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::{Ipv6, words};

use crate::packet::Packet;
use crate::pipeline::State;

#[inline(always)]
pub fn ipv4<P: Packet>(packet: P, s: &State, header: &Ipv4) -> bool {
    if s.port_flags & port_flag::UNFINISHED == 0 || header.is_later_fragment() {
        return false;
    }
    let addresses = u64::from(u32::from_ne_bytes(header.src())) + u64::from(u32::from_ne_bytes(header.dst()));
    // Without options: those are the kernel's to forward.
    is_unfinished(packet, s.l2_bytes + 20, header.protocol(), addresses, s.length.wrapping_sub(20))
}

#[inline(always)]
pub fn ipv6<P: Packet>(packet: P, s: &State, header: &Ipv6) -> bool {
    if s.port_flags & port_flag::UNFINISHED == 0 {
        return false;
    }
    let ([a, b, c, d], [e, f, g, h]) = (words(header.src_halves()), words(header.dst_halves()));
    let addresses = [a, b, c, d, e, f, g, h].into_iter().map(u64::from).sum();
    is_unfinished(packet, s.l2_bytes + 40, header.next_header(), addresses, s.length.wrapping_sub(40))
}

/// Whether the checksum is that of the pseudo-header alone (RFC 9293, 3.1; RFC 768), as CHECKSUM_PARTIAL has it.
/// `addresses` adds up the words of both, in native order, as all sums here.
#[inline(always)]
pub fn is_unfinished<P: Packet>(packet: P, l4: u32, protocol: u8, addresses: u64, l4_bytes: u32) -> bool {
    let at = match protocol {
        6 => 16,
        17 => 6,
        _ => return false,
    };
    let Some(found) = packet.load::<2>(l4 + at) else { return false };
    let sum = addresses + u64::from(l4_bytes.to_be()) + u64::from(u32::from(protocol).to_be());
    csum::fold(sum) == u16::from_ne_bytes(found)
}
