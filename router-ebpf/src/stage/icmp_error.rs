//! ICMP errors in the place of packets that could not be forwarded (RFC 1812, 4.3.2; RFC 4443, 2.4).
//!
//! The frame itself becomes the error: what it quotes stays where it is, headers go in front. It is sent to where the
//! FIB says the source lives, not back out of the port it came from.

use aya_ebpf::bindings::{BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS};
use aya_ebpf::helpers::generated::bpf_csum_diff;
use router_common::csum;
use router_common::maps::port::port_flag;
use router_common::maps::route::table;
use router_common::maps::scratch::{QUOTE_BYTES, Scratch};
use router_common::verdict::Reason;
use router_common::wire::eth::{self, Ethernet};
use router_common::wire::icmp::{self, Icmp};
use router_common::wire::ipv4::{self, Ipv4};
use router_common::wire::ipv6::{self, Ipv6, next, words};
use router_common::wire::tcp;

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{State, has_firewall};
use crate::stage::emit::Way;
use crate::stage::route::Fib;
use crate::stage::unfinished::is_unfinished;
use crate::{count, global, trace};

/// Class selector 6, as Linux and RFC 1812, 4.3.2.5 have it.
const TOS: u8 = 0xc0;
const TTL: u8 = 64;

/// Marks an action among what [`make4`] gives.
pub const ACTION: u32 = 1 << 31;
/// What [`prepare4`] gives: the kernel is to make the error; it can be made here.
pub const KERNEL: u32 = 1;
pub const READY: u32 = 2;

/// Whether an error is to be sent for a packet that is dropped under this reason, and where to. In two steps, and each
/// in a function of its own, because one alone would need half of the BPF stack.
#[inline(always)]
pub fn prepare4<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    if icmp::error4(reason).is_none() || s.bound != 0 {
        return 0;
    }
    answer4(packet, s, way).unwrap_or(0)
}

/// As [`prepare4`].
#[inline(always)]
pub fn prepare6<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    if icmp::error6(reason).is_none() || s.bound != 0 {
        return 0;
    }
    answer6(packet, s, way).unwrap_or(0)
}

/// tc: notes whether the checksum at the quote's upper layer, at `l4`, is left to the device. False where the kernel is
/// to make the error. With a firewall it can't: what a rule rejects it would let pass, and what is translated it would
/// take for its own.
#[inline(always)]
fn note_unfinished<P: Packet>(packet: P, s: &State, l4: u32, protocol: u8, addresses: u64) -> Option<bool> {
    if P::XDP {
        return Some(true);
    }
    let l3_bytes = l4 - s.l2_bytes;
    let unfinished = is_unfinished(packet, l4, protocol, addresses, s.length.wrapping_sub(l3_bytes));
    if unfinished && !has_firewall(s) {
        return Some(false);
    }
    maps::scratch(P::SCRATCH)?.unfinished = if unfinished {
        let found = packet.load::<2>(l4 + if protocol == tcp::PROTOCOL { 16 } else { 6 })?;
        l3_bytes << 16 | u32::from(u16::from_ne_bytes(found))
    } else {
        0
    };
    Some(true)
}

#[inline(always)]
fn answer4<P: Packet>(packet: P, s: &mut State, way: &mut Way) -> Option<u32> {
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
    if !note_unfinished(packet, s, l4, protocol, pseudo)? {
        return Some(KERNEL);
    }
    let own = maps::port(s.now.generation, s.ingress)?.address4;
    if own == [0; 4] || is_limited::<P>(s) {
        return None;
    }
    way_back(packet, s, way, Fib::ipv4::<P>(s.ingress, own, source).ok()?)
}

#[inline(always)]
fn answer6<P: Packet>(packet: P, s: &mut State, way: &mut Way) -> Option<u32> {
    let [_, _, _, _, _, _, next_header, _] = packet.load::<8>(s.l2_bytes)?;
    let upper = global::upper(packet.upper(s.l2_bytes, next_header, s.length)).ok()?;
    if upper.is_later_fragment() {
        return None;
    }
    let (protocol, l4) = (upper.protocol(), s.l2_bytes + upper.offset());
    if protocol == next::ICMPV6 {
        let [kind] = packet.load::<1>(l4)?;
        if icmp::is_error6(kind) {
            return None;
        }
    }
    let source = packet.load_address(s.l2_bytes + 8)?;
    let destination = packet.load_address(s.l2_bytes + 24)?;
    let fold = |half: u64| u64::from(csum::fold(half));
    let pseudo = fold(source.0) + fold(source.1) + fold(destination.0) + fold(destination.1);
    if !note_unfinished(packet, s, l4, protocol, pseudo)? {
        return Some(KERNEL);
    }
    let own = maps::read6(&maps::port(s.now.generation, s.ingress)?.address6);
    if own == (0, 0) || is_limited::<P>(s) {
        return None;
    }
    way_back(packet, s, way, Fib::ipv6::<P>(s.ingress, own, source).ok()?)
}

/// Turns the frame into the error and sends it. Gives an action marked with [`ACTION`], or 0.
#[inline(always)]
pub fn make4<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    let made = (|| {
        let error = icmp::error4(reason)?;
        let source = packet.load::<4>(s.l2_bytes + 12)?;
        let own = maps::port(s.now.generation, s.ingress)?.address4;
        let quote_bytes = s.length.min(icmp::QUOTE4_BYTES);
        let sum = quoted(packet, s, quote_bytes)?;
        packet.make_room(s.l2_bytes, ipv4::HEADER_BYTES + icmp::HEADER_BYTES, quote_bytes)?;
        let mut cursor = packet.cursor();
        if s.l2_bytes != 0 {
            link_header::<P>(cursor.take::<Ethernet>().ok()?, eth::IPV4)?;
        }
        let length = ipv4::HEADER_BYTES + icmp::HEADER_BYTES + quote_bytes;
        cursor.take::<Ipv4>().ok()?.write(length as u16, TOS, TTL, icmp::PROTOCOL, own, source);
        cursor.take::<Icmp>().ok()?.write(error, s.mtu_bytes, sum);
        Some(send(packet, s, way, length))
    })();
    made.unwrap_or(0)
}

/// As [`make4`].
#[inline(always)]
pub fn make6<P: Packet>(packet: P, s: &mut State, way: &mut Way, reason: u32) -> u32 {
    let made = (|| {
        let error = icmp::error6(reason)?;
        let source = packet.load_address(s.l2_bytes + 8)?;
        let own = maps::read6(&maps::port(s.now.generation, s.ingress)?.address6);
        let quote_bytes = s.length.min(icmp::QUOTE6_BYTES);
        let bytes = icmp::HEADER_BYTES + quote_bytes;
        let sum = quoted(packet, s, quote_bytes)? + icmp::pseudo6(words(own), words(source), bytes);
        packet.make_room(s.l2_bytes, ipv6::HEADER_BYTES + icmp::HEADER_BYTES, quote_bytes)?;
        let mut cursor = packet.cursor();
        if s.l2_bytes != 0 {
            link_header::<P>(cursor.take::<Ethernet>().ok()?, eth::IPV6)?;
        }
        cursor.take::<Ipv6>().ok()?.write(bytes as u16, next::ICMPV6, TTL, own, source);
        cursor.take::<Icmp>().ok()?.write(error, s.mtu_bytes, sum);
        Some(send(packet, s, way, ipv6::HEADER_BYTES + bytes))
    })();
    made.unwrap_or(0)
}

/// Writes the Ethernet header with the addresses that the FIB gave for the way back.
#[inline(always)]
pub fn link_header<P: Packet>(header: &mut Ethernet, ethertype: u16) -> Option<()> {
    let (dst, src) = Fib::answered::<P>()?.macs();
    header.set_macs(dst, src);
    header.set_ethertype(ethertype);
    Some(())
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

/// Looks for the way back to the source. Fills in `way`, whose `ttl` tells whether XDP can transmit there.
#[inline(always)]
pub fn way_back<P: Packet>(packet: P, s: &State, way: &mut Way, mut fib: Fib) -> Option<u32> {
    let resolved = match fib.ask(packet, table::NONE, 0) {
        BPF_FIB_LKUP_RET_SUCCESS => fib.has_neighbor(),
        BPF_FIB_LKUP_RET_NO_NEIGH => false,
        _ => return None,
    };
    let (gateway, family) = fib.gateway();
    let port = maps::port(s.now.generation, fib.egress());
    let transmit = P::XDP && resolved && port.is_some_and(|port| port.flags & port_flag::XDP_TX != 0);
    way.generation = s.now.generation;
    way.ifindex = fib.egress();
    way.tx_index = port.map_or(u32::MAX, |port| port.tx_index);
    way.l2_bytes = s.l2_bytes as u16;
    way.gateway = gateway;
    way.gateway_family = family.into();
    way.ttl = u32::from(transmit);
    Some(READY)
}

/// The sum of what the error will quote, in native word order, once all checksums in it are finished: where that of its
/// segment is left to the device, the sum of the segment will be the complement of what stands in its checksum now, of
/// the pseudo-header's.
#[inline(always)]
fn quoted<P: Packet>(packet: P, s: &State, bytes: u32) -> Option<u64> {
    let unfinished = if P::XDP { 0 } else { maps::scratch(P::SCRATCH)?.unfinished };
    let sum = match unfinished {
        0 => packet.quote(s.l2_bytes, bytes),
        _ => packet.quote(s.l2_bytes, unfinished >> 16),
    };
    match sum {
        0 => None,
        sum if unfinished == 0 => Some(u64::from(sum)),
        sum => Some(u64::from(sum) + u64::from(!(unfinished as u16))),
    }
}

/// Adds up the quote. An IP header never adds up to 0, which so can say that it failed.
#[inline(always)]
pub fn quote<P: Packet>(packet: P, offset: u32, bytes: u32) -> u32 {
    add_up(packet, offset, bytes).map_or(0, |sum| u32::from(csum::fold(sum)))
}

#[inline(always)]
fn add_up<P: Packet>(packet: P, offset: u32, bytes: u32) -> Option<u64> {
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
pub fn send<P: Packet>(packet: P, s: &State, way: &Way, length: u32) -> u32 {
    let sent = if way.ttl != 0 {
        packet.redirect(way.tx_index)
    } else if packet.announce(way).is_some() {
        packet.send(way)
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
            trace::answered::<P>(s, Reason::IcmpSent, way.ifindex);
            ACTION | action as u32
        }
        Err(reason) => {
            count::reason(reason as u16, 1, 0);
            0
        }
    }
}
