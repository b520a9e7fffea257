//! `reject-with=tcp-reset` and `tarpit`: the segment itself becomes the answer, in the name of the host that it was sent to.

use router_common::verdict::Reason;
use router_common::wire::eth::{self, Ethernet};
use router_common::wire::ipv4::{self, Ipv4};
use router_common::wire::ipv6::{self, Halves, Ipv6, words};
use router_common::wire::tcp::{self, Answer, Tcp};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::State;
use crate::stage::emit::Way;
use crate::stage::icmp_error::{link_header, send, way_back};
use crate::stage::route::Fib;
use crate::stage::unfinished::is_unfinished;

const TTL: u8 = 64;
const TARPIT: u32 = Reason::Tarpit as u32;

/// Whether a packet that is dropped under the reason of that number is answered with a segment.
#[inline(always)]
pub const fn answers(reason: u32) -> bool {
    reason == Reason::RejectTcpReset as u32 || reason == TARPIT
}

/// What answers the segment; None: nothing does.
#[inline(always)]
fn answer(segment: &[u8; 20], l4_bytes: u32, reason: u32) -> Option<Answer> {
    if reason == TARPIT { Answer::tarpit(segment) } else { Answer::reset(segment, l4_bytes) }
}

/// The segment's header at an offset, in the memory that quotes have elsewhere: there is no room for it on the stack.
#[inline(always)]
fn segment<P: Packet>(packet: P, at: u32) -> Option<&'static [u8; 20]> {
    let place = (&raw mut maps::scratch(P::SCRATCH)?.quote).cast::<[u8; 20]>();
    // SAFETY: that memory has more than twenty bytes, and nothing else refers to it while an answer is made.
    unsafe {
        packet.load_into(at, place.cast(), 20)?;
        Some(&*place)
    }
}

/// Source and destination port, swapped, as they stand in the header.
#[inline(always)]
fn swapped(header: &[u8; 20]) -> u32 {
    let [a, b, c, d, ..] = *header;
    u32::from_ne_bytes([c, d, a, b])
}

/// Whether there is a segment to answer and a way back to its sender. As `icmp_error::prepare4`.
#[inline(always)]
pub fn prepare4<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    let done = (|| {
        let header = packet.load::<20>(s.l2_bytes)?;
        let [first, _, _, _, _, _, high, low, _, protocol, _, _, a, b, c, d, e, f, g, h] = header;
        if first != 0x45 || u16::from_be_bytes([high, low]) & 0x3fff != 0 || protocol != tcp::PROTOCOL {
            return None;
        }
        answer(segment(packet, s.l2_bytes + ipv4::HEADER_BYTES)?, 0, reason)?;
        way_back(packet, s, way, Fib::ipv4::<P>(s.ingress, [e, f, g, h], [a, b, c, d]).ok()?)
    })();
    done.unwrap_or(0)
}

/// As [`prepare4`].
#[inline(always)]
pub fn prepare6<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    let done = (|| {
        let [_, _, _, _, _, _, next_header, _] = packet.load::<8>(s.l2_bytes)?;
        if next_header != tcp::PROTOCOL {
            return None;
        }
        answer(segment(packet, s.l2_bytes + ipv6::HEADER_BYTES)?, 0, reason)?;
        let source = packet.load_address(s.l2_bytes + 8)?;
        let destination = packet.load_address(s.l2_bytes + 24)?;
        way_back(packet, s, way, Fib::ipv6::<P>(s.ingress, destination, source).ok()?)
    })();
    done.unwrap_or(0)
}

/// Turns the frame into the answer and sends it.
#[inline(always)]
pub fn make4<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    let done = (|| {
        let [a, b, c, d, e, f, g, h] = packet.load::<8>(s.l2_bytes + 12)?;
        let (source, destination) = ([a, b, c, d], [e, f, g, h]);
        let addresses = u64::from(u32::from_ne_bytes(source)) + u64::from(u32::from_ne_bytes(destination));
        let l4_bytes = s.length.wrapping_sub(ipv4::HEADER_BYTES);
        let at = s.l2_bytes + ipv4::HEADER_BYTES;
        let segment = segment(packet, at)?;
        let answer = answer(segment, l4_bytes, reason)?;
        let unfinished = !P::XDP && is_unfinished(packet, at, tcp::PROTOCOL, addresses, l4_bytes);
        let length = ipv4::HEADER_BYTES + tcp::HEADER_BYTES;
        packet.make_room(s.l2_bytes, 0, length)?;
        packet.pull(s.l2_bytes + length);
        let mut cursor = packet.cursor();
        if s.l2_bytes != 0 {
            link_header::<P>(cursor.take::<Ethernet>().ok()?, eth::IPV4)?;
        }
        cursor.take::<Ipv4>().ok()?.write(length as u16, 0, TTL, tcp::PROTOCOL, destination, source);
        cursor.take::<Tcp>().ok()?.write(swapped(segment), answer, addresses + tcp::pseudo(), unfinished);
        Some(send(packet, s, way, length))
    })();
    done.unwrap_or(0)
}

/// As [`make4`].
#[inline(always)]
pub fn make6<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    let done = (|| {
        let source = packet.load_address(s.l2_bytes + 8)?;
        let destination = packet.load_address(s.l2_bytes + 24)?;
        let addresses = sum(source) + sum(destination);
        let l4_bytes = s.length.wrapping_sub(ipv6::HEADER_BYTES);
        let at = s.l2_bytes + ipv6::HEADER_BYTES;
        let segment = segment(packet, at)?;
        let answer = answer(segment, l4_bytes, reason)?;
        let unfinished = !P::XDP && is_unfinished(packet, at, tcp::PROTOCOL, addresses, l4_bytes);
        let length = ipv6::HEADER_BYTES + tcp::HEADER_BYTES;
        packet.make_room(s.l2_bytes, 0, length)?;
        packet.pull(s.l2_bytes + length);
        let mut cursor = packet.cursor();
        if s.l2_bytes != 0 {
            link_header::<P>(cursor.take::<Ethernet>().ok()?, eth::IPV6)?;
        }
        let header = cursor.take::<Ipv6>().ok()?;
        header.write(tcp::HEADER_BYTES as u16, tcp::PROTOCOL, TTL, destination, source);
        cursor.take::<Tcp>().ok()?.write(swapped(segment), answer, addresses + tcp::pseudo(), unfinished);
        Some(send(packet, s, way, length))
    })();
    done.unwrap_or(0)
}

#[inline(always)]
fn sum(address: Halves) -> u64 {
    let [a, b, c, d] = words(address);
    [a, b, c, d].into_iter().map(u64::from).sum()
}
