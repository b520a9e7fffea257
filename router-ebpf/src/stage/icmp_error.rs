//! ICMP errors in the place of packets that could not be forwarded (RFC 1812, 4.3.2; RFC 4443, 2.4).
//!
//! The frame itself becomes the error: what it quotes stays where it is, headers go in front. It is sent to where the
//! FIB says the source lives, not back out of the port it came from.

use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS};
use aya_ebpf::helpers::generated::bpf_csum_diff;
use router_common::csum;
use router_common::maps::port::{Port, port_flag};
use router_common::maps::scratch::{QUOTE_BYTES, Scratch};
use router_common::verdict::Reason;
use router_common::wire::eth::{self, Ethernet};
use router_common::wire::icmp::{self, ErrorKind, Icmp};
use router_common::wire::ipv4::{self, Ipv4};
use router_common::wire::ipv6::{self, Ipv6, next, words};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::State;
use crate::stage::emit::Way;
use crate::stage::route::Fib;
use crate::{count, global, trace};

/// Class selector 6, as Linux and RFC 1812, 4.3.2.5 have it.
const TOS: u8 = 0xc0;
const TTL: u8 = 64;

/// Marks an action among what [`make`] gives.
pub const ACTION: u32 = 1 << 31;
/// The kernel is to make the error.
pub const KERNEL: u32 = 1;

/// Makes and sends the error that belongs to a reason. Gives an action marked with [`ACTION`]; [`KERNEL`]; or 0, where
/// there is no error to send and the packet is just dropped.
#[inline(always)]
pub fn make<P: Packet>(packet: P, s: &mut State, reason: u32) -> u32 {
    let Some(error) = (if s.family == 4 { icmp::error4(reason) } else { icmp::error6(reason) }) else {
        return 0;
    };
    if s.bound != 0 {
        return 0;
    }
    let made = if s.family == 4 { make4(packet, s, error) } else { make6(packet, s, error) };
    made.unwrap_or(0)
}

#[inline(always)]
fn make4<P: Packet>(packet: P, s: &mut State, error: ErrorKind) -> Option<u32> {
    let header = packet.load::<20>(s.l2_bytes)?;
    let [first, _, _, _, _, _, high, low, _, protocol, _, _, a, b, c, d, e, f, g, h] = header;
    if u16::from_be_bytes([high, low]) & 0x1fff != 0 {
        return None;
    }
    let l4 = s.l2_bytes + u32::from(first & 15) * 4;
    if protocol == icmp::PROTOCOL {
        let [kind] = packet.load::<1>(l4)?;
        if icmp::is_error4(kind) {
            return None;
        }
    }
    let (source, destination) = ([a, b, c, d], [e, f, g, h]);
    let pseudo = u64::from(u32::from_ne_bytes(source)) + u64::from(u32::from_ne_bytes(destination));
    if is_unfinished(packet, l4, protocol, pseudo, s.length.wrapping_sub(l4 - s.l2_bytes)) {
        return Some(KERNEL);
    }
    let port = maps::port(s.now.generation, s.ingress)?;
    if port.address4 == [0; 4] {
        return None;
    }
    let own = port.address4;
    if is_limited::<P>(s) {
        return None;
    }
    let mut fib = Fib::ipv4::<P>(s.ingress, own, source).ok()?;
    let (egress, transmit) = way_back(packet, s, &mut fib)?;
    let quote_bytes = s.length.min(icmp::QUOTE4_BYTES);
    let sum = quote(packet, s.l2_bytes, quote_bytes)?;
    packet.make_room(s.l2_bytes, ipv4::HEADER_BYTES + icmp::HEADER_BYTES, quote_bytes)?;
    let mut cursor = packet.cursor();
    if s.l2_bytes != 0 {
        let (dst, src) = fib.macs();
        *cursor.take::<Ethernet>().ok()? = Ethernet::build(dst, src, eth::IPV4);
    }
    let length = ipv4::HEADER_BYTES + icmp::HEADER_BYTES + quote_bytes;
    *cursor.take::<Ipv4>().ok()? = Ipv4::build(length as u16, TOS, TTL, icmp::PROTOCOL, own, source);
    *cursor.take::<Icmp>().ok()? = icmp::build(error, s.mtu_bytes, sum);
    Some(send(packet, s, egress, transmit, length))
}

#[inline(always)]
fn make6<P: Packet>(packet: P, s: &mut State, error: ErrorKind) -> Option<u32> {
    let [_, _, _, _, _, _, next_header, _] = packet.load::<8>(s.l2_bytes)?;
    let upper = packet.upper(s.l2_bytes, next_header, s.length);
    if upper & global::FOUND == 0 {
        return None;
    }
    let (protocol, l4) = ((upper >> 16) as u8, s.l2_bytes + (upper & 0xffff));
    if protocol == next::ICMPV6 {
        let [kind] = packet.load::<1>(l4)?;
        if icmp::is_error6(kind) {
            return None;
        }
    }
    let source = packet.load_address(s.l2_bytes + 8)?;
    let destination = packet.load_address(s.l2_bytes + 24)?;
    let pseudo = [source.0, source.1, destination.0, destination.1]
        .map(|half| u64::from(csum::fold(half)))
        .into_iter()
        .sum();
    if is_unfinished(packet, l4, protocol, pseudo, s.length.wrapping_sub(l4 - s.l2_bytes)) {
        return Some(KERNEL);
    }
    let port: &Port = maps::port(s.now.generation, s.ingress)?;
    let own = ipv6::halves(&port.address6);
    if own == (0, 0) || is_limited::<P>(s) {
        return None;
    }
    let mut fib = Fib::ipv6::<P>(s.ingress, own, source).ok()?;
    let (egress, transmit) = way_back(packet, s, &mut fib)?;
    let quote_bytes = s.length.min(icmp::QUOTE6_BYTES);
    let message_bytes = icmp::HEADER_BYTES + quote_bytes;
    let sum =
        quote(packet, s.l2_bytes, quote_bytes)? + icmp::pseudo6(words(own), words(source), message_bytes);
    packet.make_room(s.l2_bytes, ipv6::HEADER_BYTES + icmp::HEADER_BYTES, quote_bytes)?;
    let mut cursor = packet.cursor();
    if s.l2_bytes != 0 {
        let (dst, src) = fib.macs();
        *cursor.take::<Ethernet>().ok()? = Ethernet::build(dst, src, eth::IPV6);
    }
    cursor.take::<Ipv6>().ok()?.write(message_bytes as u16, next::ICMPV6, TTL, own, source);
    *cursor.take::<Icmp>().ok()? = icmp::build(error, s.mtu_bytes, sum);
    Some(send(packet, s, egress, transmit, ipv6::HEADER_BYTES + message_bytes))
}

/// In tc: whether the transport checksum is only that of the pseudo-header yet, for the device to finish. The device
/// would do so inside the quote and make the error's own checksum wrong. `pseudo` adds up the addresses.
#[inline(always)]
fn is_unfinished<P: Packet>(packet: P, l4: u32, protocol: u8, pseudo: u64, l4_bytes: u32) -> bool {
    let at = match protocol {
        _ if P::XDP => return false,
        6 => 16,
        17 => 6,
        _ => return false,
    };
    let Some(found) = packet.load::<2>(l4 + at) else { return false };
    let sum = pseudo + u64::from(l4_bytes.to_be()) + u64::from(u32::from(protocol).to_be());
    csum::fold(sum) == u16::from_ne_bytes(found)
}

/// Whether this CPU has made its share of errors in this second.
#[inline(always)]
fn is_limited<P: Packet>(s: &State) -> bool {
    let (Some(settings), Some(scratch)) = (maps::settings(s.now.generation), maps::scratch(P::SCRATCH))
    else {
        return true;
    };
    if scratch.icmp_tick != s.now.tick {
        scratch.icmp_tick = s.now.tick;
        scratch.icmp_made = 0;
    }
    if settings.icmp_rate != 0 && scratch.icmp_made >= settings.icmp_rate {
        count::reason(Reason::IcmpRateLimited as u16, 1, 0);
        trace::answered::<P>(s, Reason::IcmpRateLimited, 0);
        return true;
    }
    scratch.icmp_made += 1;
    false
}

/// The port that leads back to the source, and whether XDP can transmit there. Fills in `s.way`.
#[inline(always)]
fn way_back<P: Packet>(packet: P, s: &mut State, fib: &mut Fib) -> Option<(u32, bool)> {
    let resolved = match fib.ask(packet) {
        BPF_FIB_LKUP_RET_SUCCESS => fib.has_neighbor(),
        BPF_FIB_LKUP_RET_NO_NEIGH => false,
        _ => return None,
    };
    let (gateway, family) = fib.gateway();
    let port = maps::port(s.now.generation, fib.egress());
    s.way = Way {
        generation: s.now.generation,
        ifindex: fib.egress(),
        tx_index: port.map_or(u32::MAX, |port| port.tx_index),
        l2_bytes: s.l2_bytes,
        gateway,
        gateway_family: u32::from(family),
        ttl: 0,
    };
    let transmit = P::XDP && resolved && port.is_some_and(|port| port.flags & port_flag::XDP_TX != 0);
    Some((fib.egress(), transmit))
}

/// Adds up what the error will quote, in native word order.
#[inline(always)]
fn quote<P: Packet>(packet: P, offset: u32, bytes: u32) -> Option<u64> {
    let scratch: &mut Scratch = maps::scratch(P::SCRATCH)?;
    let start = (&raw mut scratch.quote).cast::<u8>();
    let bytes = core::hint::black_box(bytes) & 0x7ff;
    if bytes < 8 || bytes > QUOTE_BYTES as u32 {
        return None;
    }
    // SAFETY: at most the size of the buffer.
    unsafe { packet.load_into(offset, start, bytes)? };
    // The checksum counts whole words: zeros fill the last one.
    // SAFETY: the buffer has four bytes more than a quote can have.
    unsafe { start.add(bytes as usize).cast::<[u8; 4]>().write_volatile([0; 4]) };
    let padded = (bytes + 3) & !3;
    let mut sum = 0;
    // The helper takes 512 bytes at most (before 6.13: net/core/filter.c, bpf_csum_diff).
    for part in 0..3u32 {
        let done = part * 512;
        if padded <= done {
            break;
        }
        let rest = core::hint::black_box(padded - done);
        let size = if rest > 512 { 512 } else { rest & 0x3fc };
        // SAFETY: inside the buffer.
        sum = unsafe {
            bpf_csum_diff(core::ptr::null_mut(), 0, start.add(done as usize).cast(), size, sum as u32)
        };
        if sum < 0 {
            return None;
        }
    }
    Some(sum as u64)
}

#[inline(always)]
fn send<P: Packet>(packet: P, s: &mut State, egress: u32, transmit: bool, length: u32) -> u32 {
    let way = s.way;
    let sent = if transmit {
        packet.redirect(way.tx_index)
    } else if packet.announce(&way).is_some() {
        packet.send(&way)
    } else {
        Err(Reason::NoHeadroom)
    };
    match sent {
        Ok(action) => {
            let bytes = u64::from(length + s.l2_bytes);
            count::reason(Reason::IcmpSent as u16, 1, bytes);
            if let Some(counters) = maps::port_counters(way.tx_index) {
                count::add(&mut counters.sent, 1, bytes);
            }
            trace::answered::<P>(s, Reason::IcmpSent, egress);
            ACTION | action as u32
        }
        Err(reason) => {
            count::reason(reason as u16, 1, 0);
            ACTION | P::DROP as u32
        }
    }
}
