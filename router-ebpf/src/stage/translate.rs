//! Addresses, ports and checksums of a packet that leaves other than it came; not only those of plain TCP and UDP,
//! which the fast path of XDP writes itself.

use router_common::conntrack::other;
use router_common::csum;
use router_common::maps::scratch::{Work, work};
use router_common::rules::walk::edit;
use router_common::tuple::Tuple;
use router_common::verdict::Reason;
use router_common::wire::ipv6::{Halves, halves};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};

/// What a checksum has to be changed by for one word that was `old` and is `new`: both in memory order.
#[inline(always)]
pub fn delta(old: u32, new: u32) -> u64 {
    u64::from(!old) + u64::from(new)
}

#[inline(always)]
fn delta_of(old: Halves, new: Halves) -> u64 {
    let word =
        |old: u64, new: u64| delta(old as u32, new as u32) + delta((old >> 32) as u32, (new >> 32) as u32);
    word(old.0, new.0) + word(old.1, new.1)
}

/// 32 bits of a sum, for the helpers.
#[inline(always)]
pub fn narrow(sum: u64) -> u32 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    ((sum & 0xffff_ffff) + (sum >> 32)) as u32
}

/// Makes the packet what [`Work::leaves`] says, and what rules say of its headers. 0, or an exit.
#[inline(always)]
pub fn run<P: Packet>(packet: P, s: &mut State) -> u32 {
    if rewrite(packet, s).is_none() {
        return Exit::pack(Err(Exit::drop(Reason::Internal)));
    }
    match maps::rule_scratch(P::SCRATCH) {
        Some(memory) if memory.walk.edits & edit::HEADERS != 0 => packet.edit(s),
        _ => 0,
    }
}

#[inline(always)]
fn rewrite<P: Packet>(packet: P, s: &mut State) -> Option<()> {
    let scratch = maps::scratch(P::SCRATCH)?;
    let work = &mut scratch.work;
    let l4_offset = scratch.facts.l4_offset;
    let l4 = s.l2_bytes + l4_offset;
    let addresses = header(packet, s.family, s.l2_bytes, &work.came, &work.leaves)?;
    if l4_offset == 0 {
        return Some(());
    }
    if work.flags & work::RELATED != 0 {
        work.outer = addresses;
        return (packet.quoted_header(s) == 0 && packet.quoted_upper(s) == 0).then_some(());
    }
    upper(packet, s.family, l4, &work.came, &work.leaves, addresses)
}

/// Writes the addresses of the IP header at `l3`, and its checksum. Gives what checksums over them change by.
#[inline(always)]
fn header<P: Packet>(packet: P, family: u32, l3: u32, old: &Tuple, new: &Tuple) -> Option<u64> {
    let (old_src, new_src) = (halves(&old.src), halves(&new.src));
    let (old_dst, new_dst) = (halves(&old.dst), halves(&new.dst));
    let changed = delta_of(old_src, new_src) + delta_of(old_dst, new_dst);
    if family == 4 {
        packet.adjust_l3(l3 + 10, narrow(changed))?;
        packet.store_word(l3 + 12, new_src.0 as u32)?;
        packet.store_word(l3 + 16, new_dst.0 as u32)?;
    } else {
        packet.store_address(l3 + 8, new_src)?;
        packet.store_address(l3 + 24, new_dst)?;
    }
    Some(changed)
}

/// Ports or identifier, and the checksum of the upper layer.
#[inline(always)]
fn upper<P: Packet>(packet: P, family: u32, l4: u32, old: &Tuple, new: &Tuple, addresses: u64) -> Option<()> {
    let ([a, b], [c, d]) = (new.src_port_be, new.dst_port_be);
    let ports = [a, b, c, d];
    let ([e, f], [g, h]) = (old.src_port_be, old.dst_port_be);
    let changed = delta(u32::from_ne_bytes([e, f, g, h]), u32::from_ne_bytes(ports));
    match old.protocol {
        other::TCP => {
            packet.adjust_l4(l4 + 16, narrow(addresses), true, false)?;
            packet.adjust_l4(l4 + 16, narrow(changed), false, false)?;
            packet.store_word(l4, u32::from_ne_bytes(ports))
        }
        other::UDP | other::UDP_LITE | other::DCCP => {
            packet.adjust_l4(l4 + 6, narrow(addresses), true, true)?;
            packet.adjust_l4(l4 + 6, narrow(changed), false, true)?;
            packet.store_word(l4, u32::from_ne_bytes(ports))
        }
        other::ICMP | other::ICMPV6 => {
            let changed = delta(u32::from(u16::from_ne_bytes([e, f])), u32::from(u16::from_ne_bytes([a, b])));
            if family == 6 {
                packet.adjust_l4(l4 + 2, narrow(addresses), true, false)?;
            }
            if old.kind == 0 {
                return Some(());
            }
            packet.adjust_l4(l4 + 2, narrow(changed), false, false)?;
            packet.store_half(l4 + 4, [a, b])
        }
        // SCTP's checksum does not cover the addresses, and its ports are never changed; the others have neither.
        _ => Some(()),
    }
}

/// The header inside an ICMP error, whose packet travelled the other way: what was a source here is a destination
/// there. Leaves in [`Work::changed`] what the error's own checksum changes by. 0, or an exit.
///
/// In two functions, because one alone would need more than half of the stack.
#[inline(always)]
pub fn quoted_header<P: Packet>(packet: P, s: &mut State) -> u32 {
    let done = (|| {
        let work = &mut maps::scratch(P::SCRATCH)?.work;
        let l3 = s.l2_bytes + work.inner_l3;
        let changed = header(packet, s.family, l3, &work.key, &work.inner)?;
        work.quoted = changed;
        // The header of IPv4 adds up to what it did, with its own checksum.
        work.changed = if s.family == 4 { 0 } else { changed };
        Some(())
    })();
    Exit::pack(done.ok_or(Exit::drop(Reason::Internal)))
}

/// As [`quoted_header`], for what stands behind it, and the checksum of the error.
#[inline(always)]
pub fn quoted_upper<P: Packet>(packet: P, s: &mut State) -> u32 {
    let done = (|| {
        let scratch = maps::scratch(P::SCRATCH)?;
        let work = &mut scratch.work;
        let l4 = s.l2_bytes + scratch.facts.l4_offset;
        if work.inner_l4 != 0 {
            quoted_ports(packet, s.l2_bytes + work.inner_l4, s.family, work)?;
        }
        if s.family == 6 {
            packet.adjust_l4(l4 + 2, narrow(work.outer), true, false)?;
        }
        packet.adjust_l4(l4 + 2, narrow(work.changed), false, false)
    })();
    Exit::pack(done.ok_or(Exit::drop(Reason::Internal)))
}

/// Ports or identifier inside the quote at `at`, and their checksum as far as that is quoted.
#[inline(always)]
fn quoted_ports<P: Packet>(packet: P, at: u32, family: u32, work: &mut Work) -> Option<()> {
    let ([a, b], [c, d]) = (work.inner.src_port_be, work.inner.dst_port_be);
    let ([e, f], [g, h]) = (work.key.src_port_be, work.key.dst_port_be);
    let (ports, offset, is_udp) = match work.key.protocol {
        other::ICMP | other::ICMPV6 if work.key.kind != 0 => {
            packet.store_half(at + 4, [a, b])?;
            (delta(u32::from(u16::from_ne_bytes([e, f])), u32::from(u16::from_ne_bytes([a, b]))), 2, false)
        }
        protocol @ (other::TCP | other::UDP | other::UDP_LITE | other::DCCP) => {
            packet.store_word(at, u32::from_ne_bytes([a, b, c, d]))?;
            let ports = delta(u32::from_ne_bytes([e, f, g, h]), u32::from_ne_bytes([a, b, c, d]));
            if protocol == other::TCP { (ports, 16, false) } else { (ports, 6, true) }
        }
        _ => return Some(()),
    };
    let addresses = if family == 4 && offset == 2 { 0 } else { work.quoted };
    work.changed += ports + adjust_quoted(packet, at + offset, addresses + ports, is_udp).unwrap_or(0);
    Some(())
}

/// Adjusts a checksum inside the quote, and gives what that changes in the sum around it.
#[inline(always)]
fn adjust_quoted<P: Packet>(packet: P, offset: u32, changed: u64, is_udp: bool) -> Option<u64> {
    let found = packet.load::<2>(offset)?;
    if is_udp && found == [0, 0] {
        return Some(0);
    }
    let old = u16::from_ne_bytes(found);
    let new = csum::changed(old, changed);
    let new = if is_udp && new == 0 { 0xffff } else { new };
    packet.store_half(offset, new.to_ne_bytes())?;
    Some(delta(u32::from(old), u32::from(new)))
}
