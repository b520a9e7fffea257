//! What mangle changes of a packet beside its addresses: TTL, DSCP, flags and options.

use router_common::conntrack::other;
use router_common::maps::scratch::Scratch;
use router_common::rules::walk::edit;
use router_common::verdict::Reason;

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::route;
use crate::stage::translate::{delta, narrow};

/// Writes what the rules have noted. 0, or an exit.
#[inline(always)]
pub fn run<P: Packet>(packet: P, s: &mut State) -> u32 {
    Exit::pack(write(packet, s).ok_or(Exit::drop(Reason::Internal)))
}

#[inline(always)]
fn write<P: Packet>(packet: P, s: &mut State) -> Option<()> {
    let edits = maps::rule_scratch(P::SCRATCH)?.walk.edits;
    let Scratch { facts, .. } = maps::scratch(P::SCRATCH)?;
    let l3 = s.l2_bytes;
    let [first, class] = packet.load::<2>(l3)?;
    if s.family == 4 {
        if edits & edit::DSCP != 0 {
            half(packet, l3, 0, [first, class], [first, facts.dscp << 2 | class & 3])?;
        }
        if edits & edit::TTL != 0 {
            let [ttl, protocol] = packet.load::<2>(l3 + 8)?;
            half(packet, l3, 8, [ttl, protocol], [facts.ttl, protocol])?;
        }
        if edits & edit::DF != 0 {
            const DONT_FRAGMENT: u8 = 0x40;
            let [high, low] = packet.load::<2>(l3 + 6)?;
            half(packet, l3, 6, [high, low], [high & !DONT_FRAGMENT, low])?;
        }
        if edits & edit::OPTIONS != 0 {
            let words = u32::from(first & 15);
            for word in 5..15 {
                if word >= words {
                    break;
                }
                nothing(packet, l3, word * 4)?;
            }
        }
    } else {
        if edits & edit::DSCP != 0 {
            packet.store_half(l3, [first & 0xf0 | facts.dscp >> 2, class & 0x3f | facts.dscp << 6])?;
        }
        if edits & edit::TTL != 0 {
            let [next, _] = packet.load::<2>(l3 + 6)?;
            packet.store_half(l3 + 6, [next, facts.ttl])?;
        }
    }
    if edits & edit::MSS != 0 && facts.protocol == other::TCP && facts.l4_offset != 0 {
        return Exit::unpack(packet.clamp(s)).ok();
    }
    Some(())
}

/// Writes two bytes of an IPv4 header, and its checksum.
#[inline(always)]
fn half<P: Packet>(packet: P, l3: u32, offset: u32, old: [u8; 2], new: [u8; 2]) -> Option<()> {
    let changed = delta(u16::from_ne_bytes(old).into(), u16::from_ne_bytes(new).into());
    packet.adjust_l3(l3 + 10, narrow(changed))?;
    packet.store_half(l3 + offset, new)
}

/// Puts options that say nothing in the place of four bytes of options.
#[inline(always)]
fn nothing<P: Packet>(packet: P, l3: u32, offset: u32) -> Option<()> {
    const NOTHING: [u8; 4] = [1; 4];
    let old = packet.load::<4>(l3 + offset)?;
    let changed = delta(u32::from_ne_bytes(old), u32::from_ne_bytes(NOTHING));
    packet.adjust_l3(l3 + 10, narrow(changed))?;
    packet.store_word(l3 + offset, u32::from_ne_bytes(NOTHING))
}

/// Lowers the size that a SYN announces (RFC 9293, 3.7.1), never raises it. 0, or an exit.
#[inline(always)]
pub fn clamp<P: Packet>(packet: P, s: &mut State) -> u32 {
    Exit::pack(lower(packet, s).ok_or(Exit::drop(Reason::Internal)))
}

#[inline(always)]
fn lower<P: Packet>(packet: P, s: &mut State) -> Option<()> {
    const MSS: u8 = 2;
    let mut most = maps::rule_scratch(P::SCRATCH)?.walk.mss;
    if most == 0 {
        most = route::path_mtu_bytes::<P>(s)?.saturating_sub(if s.family == 4 { 40 } else { 60 });
    }
    let l4 = s.l2_bytes + maps::scratch(P::SCRATCH)?.facts.l4_offset;
    let [offset] = packet.load::<1>(l4 + 12)?;
    let at = option(packet, l4 + 20, (u32::from(offset >> 4) * 4).wrapping_sub(20), MSS);
    if at == 0 {
        return Some(());
    }
    let old = packet.load::<2>(at)?;
    if u32::from(u16::from_be_bytes(old)) <= most {
        return Some(());
    }
    let new = (most as u16).to_be_bytes();
    let [a, b] = old;
    let [c, d] = new;
    // The checksum adds words that begin at even offsets.
    let changed = match (at - l4) & 1 {
        0 => delta(u16::from_ne_bytes(old).into(), u16::from_ne_bytes(new).into()),
        _ => delta(u16::from_ne_bytes([b, a]).into(), u16::from_ne_bytes([d, c]).into()),
    };
    packet.adjust_l4(l4 + 16, narrow(changed), false, false)?;
    packet.store_half(at, new)
}

/// Where the value of a TCP option stands among `bytes` bytes of options at `at`; 0: there is none.
#[inline(always)]
pub fn option<P: Packet>(packet: P, at: u32, bytes: u32, wanted: u8) -> u32 {
    const END: u8 = 0;
    const NOTHING: u8 = 1;
    let mut offset = 0;
    for _ in 0..20 {
        if offset + 2 > bytes {
            break;
        }
        let Some([kind, length]) = packet.load::<2>(at + offset) else { break };
        match kind {
            END => break,
            NOTHING => offset += 1,
            _ if kind == wanted => return at + offset + 2,
            _ if length < 2 => break,
            _ => offset += u32::from(length),
        }
    }
    0
}
