//! What rows don't say: tested candidate by candidate, the cheap ones first, those that keep state last, so that a
//! limit counts only packets that all else of the rule lets through.

use super::walk::{Walk, flag};
use super::{Cells, Hooks};
use crate::facts::{Facts, fragment};
use crate::maps::image::{Class, Limits, Matchers, Record, Rule, matcher, word};
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
