//! What rows don't say: tested candidate by candidate, the cheap ones first, those that keep state last, so that a
//! limit counts only packets that all else of the rule lets through.

use super::walk::{Walk, flag};
use super::{Cells, Hooks};
use crate::facts::{Facts, fragment, header};
use crate::maps::image::{Class, Limits, Matchers, More, Record, Rule, Volume, matcher, pcc, word};
use crate::rules::rows::halves;
use crate::wire::icmp;
use crate::wire::ipv6::next;

/// FIN, SYN, RST: a packet with one of them never takes the way of its flow.
const HANDSHAKE: u8 = 7;
const TCP: u8 = 6;

/// Whether a candidate matches; None in a damaged image.
#[inline(always)]
pub fn holds<C: Cells, H: Hooks>(
    cells: C,
    facts: &Facts,
    walk: &mut Walk,
    hooks: &mut H,
    rule: &Rule,
    matchers: &Matchers,
) -> Option<bool> {
    let has = |bit: u32| matchers.present & bit != 0;
    let wanted = |bit: u32| matchers.negated & bit == 0;
    if has(matcher::TCP_FLAGS) && !tcp_flags(facts, walk, matchers) {
        return Some(false);
    }
    if has(matcher::ICMP) {
        walk.flags |= flag::UNCACHEABLE;
        if is_icmp(facts, matchers) != wanted(matcher::ICMP) {
            return Some(false);
        }
    }
    if has(matcher::FRAGMENT) {
        // No fragment takes the way of its flow, and what takes it is none.
        if facts.fragment != 0 {
            walk.flags |= flag::UNCACHEABLE;
        }
        if (facts.fragment != 0) != (matchers.fragment != 0) {
            return Some(false);
        }
    }
    if has(matcher::SIZE) {
        walk.flags |= flag::UNCACHEABLE;
        let inside = facts.length_bytes >= u32::from(matchers.size_from)
            && facts.length_bytes <= u32::from(matchers.size_to);
        if inside != wanted(matcher::SIZE) {
            return Some(false);
        }
    }
    if has(matcher::TTL) {
        walk.flags |= flag::UNCACHEABLE;
        if (facts.ttl >= matchers.ttl_from && facts.ttl <= matchers.ttl_to) != wanted(matcher::TTL) {
            return Some(false);
        }
    }
    if has(matcher::DSCP) {
        walk.flags |= flag::UNCACHEABLE;
        if (facts.dscp == matchers.dscp) != wanted(matcher::DSCP) {
            return Some(false);
        }
    }
    if has(matcher::SRC_MAC) {
        walk.flags |= flag::UNCACHEABLE;
        if (facts.src_mac == matchers.src_mac) != wanted(matcher::SRC_MAC) {
            return Some(false);
        }
    }
    if has(matcher::SRC_LIST) {
        walk.flags |= flag::LOOKED_SRC;
        let (list, bit) = (matchers.src_list, matchers.src_list_bit);
        let listed =
            is_member(cells, walk.src_class, bit)? || hooks.is_listed(list, &facts.src, facts.family);
        if listed != wanted(matcher::SRC_LIST) {
            return Some(false);
        }
    }
    if has(matcher::DST_LIST) {
        walk.flags |= flag::LOOKED_DST;
        let (list, bit) = (matchers.dst_list, matchers.dst_list_bit);
        let listed =
            is_member(cells, walk.dst_class, bit)? || hooks.is_listed(list, &facts.dst, facts.family);
        if listed != wanted(matcher::DST_LIST) {
            return Some(false);
        }
    }
    if has(matcher::NEVER) && wanted(matcher::NEVER) {
        return Some(false);
    }
    if matchers.more != 0 && !more(cells, facts, walk, hooks, rule, matchers)? {
        return Some(false);
    }
    if has(matcher::CONTENT) {
        walk.flags |= flag::UNCACHEABLE;
        if hooks.has_content(matchers.content, matchers.content_bytes) != wanted(matcher::CONTENT) {
            return Some(false);
        }
    }
    if matchers.volume != 0 {
        walk.flags |= flag::UNCACHEABLE;
        let volume = Volume::of(cells.cell(matchers.volume)?);
        if has(matcher::CONNECTION_BYTES)
            && hooks.connection_bytes(volume, facts) != wanted(matcher::CONNECTION_BYTES)
        {
            return Some(false);
        }
        if has(matcher::CONNECTION_RATE)
            && hooks.connection_rate(volume, facts) != wanted(matcher::CONNECTION_RATE)
        {
            return Some(false);
        }
        if has(matcher::PSD) && hooks.scans(rule, volume, facts) != wanted(matcher::PSD) {
            return Some(false);
        }
    }
    if matchers.limits == 0 {
        return Some(true);
    }
    walk.flags |= flag::UNCACHEABLE;
    let limits = Limits::of(cells.cell(matchers.limits)?);
    if has(matcher::CONNECTION_LIMIT)
        && hooks.connection_limit(rule, limits, facts) != wanted(matcher::CONNECTION_LIMIT)
    {
        return Some(false);
    }
    if has(matcher::DST_LIMIT) && hooks.dst_limit(rule, limits, facts) != wanted(matcher::DST_LIMIT) {
        return Some(false);
    }
    if has(matcher::LIMIT) && hooks.limit(rule, limits, facts) != wanted(matcher::LIMIT) {
        return Some(false);
    }
    Some(true)
}

/// The matchers of [`More`].
#[inline(always)]
fn more<C: Cells, H: Hooks>(
    cells: C,
    facts: &Facts,
    walk: &mut Walk,
    hooks: &mut H,
    rule: &Rule,
    matchers: &Matchers,
) -> Option<bool> {
    let more = More::of(cells.cell(matchers.more)?);
    let fails = |bit: u32, holds: bool| matchers.present & bit != 0 && holds == (matchers.negated & bit != 0);
    let has = |bit: u32| matchers.present & bit != 0;
    if has(matcher::TCP_MSS) {
        // No SYN takes the way of its flow.
        if facts.tcp_flags & HANDSHAKE != 0 {
            walk.flags |= flag::UNCACHEABLE;
        }
        let inside = facts.tcp_mss != 0 && facts.tcp_mss >= more.mss_from && facts.tcp_mss <= more.mss_to;
        if fails(matcher::TCP_MSS, inside) {
            return Some(false);
        }
    }
    if fails(matcher::PCC, has(matcher::PCC) && pcc(facts, more) == more.pcc_remainder) {
        return Some(false);
    }
    if has(matcher::OPTIONS) {
        // No packet with options takes the way of its flow.
        if facts.options != 0 {
            walk.flags |= flag::UNCACHEABLE;
        }
        if fails(matcher::OPTIONS, (facts.options & more.option != 0) == (more.option_is_there != 0)) {
            return Some(false);
        }
    }
    if has(matcher::HEADERS) {
        if facts.headers != header::PROTO {
            walk.flags |= flag::UNCACHEABLE;
        }
        let found = match more.headers_exact {
            0 => facts.headers & more.headers == more.headers,
            _ => facts.headers == more.headers,
        };
        if fails(matcher::HEADERS, found) {
            return Some(false);
        }
    }
    if fails(matcher::PRIORITY, facts.priority == more.priority)
        // Nothing here comes in with a tag.
        || fails(matcher::INGRESS_PRIORITY, more.ingress_priority == 0)
    {
        return Some(false);
    }
    if has(matcher::TIME) {
        const DAY_S: u32 = 86_400;
        walk.flags |= flag::UNCACHEABLE;
        let now = hooks.second_of_week();
        let (day, second) = (now / DAY_S, now % DAY_S);
        let (from, to) = (more.time_from_s, more.time_to_s);
        let inside = match from <= to {
            true => second >= from && second <= to,
            // Over midnight.
            false => second >= from || second <= to,
        };
        let is_time = more.days >> (day & 7) & 1 != 0 && inside;
        if fails(matcher::TIME, is_time) {
            return Some(false);
        }
    }
    if has(matcher::RANDOM) {
        walk.flags |= flag::UNCACHEABLE;
        if fails(matcher::RANDOM, hooks.random() < u32::from(more.random)) {
            return Some(false);
        }
    }
    if has(matcher::NTH) {
        walk.flags |= flag::UNCACHEABLE;
        if fails(matcher::NTH, hooks.nth(rule, more)) {
            return Some(false);
        }
    }
    Some(true)
}

/// Whether a packet is that one of `nth` which so many others of the rule came before.
#[inline(always)]
pub fn nth(more: &More, before: u32) -> bool {
    let every = if more.nth_every == 0 { 1 } else { more.nth_every };
    before % every + 1 == more.nth_packet
}

/// `per-connection-classifier`: a hash of what it names of the packet, modulo its denominator. The same for all packets
/// of one direction of a connection.
#[inline(always)]
pub fn pcc(facts: &Facts, more: &More) -> u32 {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let fields = more.pcc_fields;
    let mut hash = GOLDEN;
    let mut mix = |word: u64| {
        hash = (hash ^ word).wrapping_mul(GOLDEN);
        hash ^= hash >> 32;
    };
    for (bit, address) in [(pcc::SRC, &facts.src), (pcc::DST, &facts.dst)] {
        if fields & bit != 0 {
            let (high, low) = halves(address);
            mix(high);
            mix(low);
        }
    }
    let source = if fields & pcc::SRC_PORT != 0 { facts.src_port } else { 0 };
    let destination = if fields & pcc::DST_PORT != 0 { facts.dst_port } else { 0 };
    mix(u64::from(source) << 16 | u64::from(destination));
    let denominator = if more.pcc_denominator == 0 { 1 } else { more.pcc_denominator };
    (hash >> 16) as u32 % denominator
}

/// What a decision that is kept may rest on: flags that no packet of the flow's own way has.
#[inline(always)]
fn tcp_flags(facts: &Facts, walk: &mut Walk, matchers: &Matchers) -> bool {
    let others = matchers.tcp_mask & !HANDSHAKE != 0 && matchers.tcp_value & HANDSHAKE == 0;
    if facts.tcp_flags & HANDSHAKE != 0 || others {
        walk.flags |= flag::UNCACHEABLE;
    }
    facts.protocol == TCP
        && facts.fragment & fragment::LATER == 0
        && facts.tcp_flags & matchers.tcp_mask == matchers.tcp_value
}

#[inline(always)]
fn is_icmp(facts: &Facts, matchers: &Matchers) -> bool {
    (facts.protocol == icmp::PROTOCOL || facts.protocol == next::ICMPV6)
        && facts.fragment & fragment::LATER == 0
        && facts.icmp_type == matchers.icmp_type
        && facts.icmp_code >= matchers.icmp_code_from
        && facts.icmp_code <= matchers.icmp_code_to
}

/// Whether a class is a static member of a list with dynamic entries.
#[inline(always)]
fn is_member<C: Cells>(cells: C, class: u32, bit: u16) -> Option<bool> {
    let cell = cells.cell(class)?;
    const { assert!(core::mem::offset_of!(Class, member) == 12) };
    Some(word(cell, 3 + u32::from(bit) / 32) >> (bit & 31) & 1 != 0)
}
