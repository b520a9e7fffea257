//! Why a rule matches a packet or not: for who looks, never for who decides.

use super::{Cells, Hooks, Walk, matcher, rows, walk};
use crate::facts::Facts;
use crate::maps::image::{
    ALL, CHUNK_RULES, Matchers, NONE, Record, Rule, dimension, matcher as bit, root, rule_flag, word,
};

/// How a rule looks at a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Bit per dimension whose row says no.
    pub dimensions: u32,
    /// Bits of `maps::image::matcher` that say no.
    pub matchers: u32,
    /// Bits of matchers that were asked and may answer otherwise for the flow's next packet.
    pub varying: u32,
}

impl Look {
    pub fn is_match(&self) -> bool {
        self.dimensions == 0 && self.matchers == 0
    }
}

/// Looks with the rule of that index. The walk has to be [`rows::prepare`]d for these facts; `hooks` are asked as often
/// as there are matchers, and should take nothing.
pub fn look<C: Cells, H: Hooks>(
    cells: C,
    facts: &Facts,
    walk: &mut Walk,
    hooks: &mut H,
    index: u32,
) -> Option<Look> {
    let mut seen = Look { dimensions: unmatched(cells, walk, index)?, ..Look::default() };
    let rule = Rule::of(cells.cell(walk.rules.wrapping_add(index))?);
    if rule.matchers == 0 || seen.dimensions != 0 {
        return Some(seen);
    }
    let all = *Matchers::of(cells.cell(rule.matchers)?);
    for single in (0..32).map(|number| 1 << number).filter(|single| all.present & single != 0) {
        walk.flags = 0;
        let limited = bit::CONNECTION_LIMIT | bit::DST_LIMIT | bit::LIMIT;
        let limits = if single & limited != 0 { all.limits } else { 0 };
        let more = if single & bit::OF_MORE != 0 { all.more } else { 0 };
        let volume = if single & bit::OF_VOLUME != 0 { all.volume } else { 0 };
        let one = Matchers { present: single, limits, more, volume, ..all };
        if !matcher::holds(cells, facts, walk, hooks, rule, &one)? {
            seen.matchers |= single;
        }
        if walk.flags & walk::flag::UNCACHEABLE != 0 {
            seen.varying |= single;
        }
        // What comes behind a matcher that says no is not asked.
        if seen.matchers != 0 {
            break;
        }
    }
    Some(seen)
}

/// Bit per dimension whose row has no bit for the rule.
fn unmatched<C: Cells>(cells: C, walk: &Walk, index: u32) -> Option<u32> {
    let (chunk, place) = (index / CHUNK_RULES, index % CHUNK_RULES);
    let has = |row: u32| -> Option<bool> {
        match walk::part(cells, walk.is_small(), row, chunk)? {
            NONE => Some(false),
            ALL => Some(true),
            reference => Some(cells.cell(reference)?.get(place as usize / 64)? >> (place % 64) & 1 != 0),
        }
    };
    let used = word(cells.cell(walk.root + 1)?, root::DIMENSIONS as u32);
    let mut bits = 0;
    for (dimension, row) in (0..).zip(&walk.rows).filter(|(dimension, _)| used & 1 << dimension != 0) {
        let holds = has(*row)? || dimension == dimension::ANY_PORT && has(walk.any_port)?;
        bits |= u32::from(!holds) << dimension;
    }
    Some(bits)
}

/// Does to the facts what a rule that matched does; whether the chain goes on.
pub fn apply<C: Cells>(cells: C, facts: &mut Facts, walk: &mut Walk, rule: &Rule) -> Option<bool> {
    walk::changes(facts, walk, rule);
    if walk.is_outdated() {
        rows::prepare(cells, facts, walk)?;
    }
    Some(rule.flags & rule_flag::LAST == 0)
}

/// Sets a walk up for facts.
pub fn prepared<C: Cells>(cells: C, facts: &Facts) -> Option<Walk> {
    let mut walk = Walk::default();
    rows::prepare(cells, facts, &mut walk)?;
    Some(walk)
}

/// The rules of a built-in chain: first, and behind the last.
pub fn chain<C: Cells>(cells: C, walk: &Walk, chain: u32) -> Option<(u32, u32)> {
    let range = word(cells.cell(walk.root)?, chain);
    Some((range & 0xffff, range >> 16))
}

/// A rule by its index.
pub fn rule<C: Cells>(cells: C, walk: &Walk, index: u32) -> Option<Rule> {
    cells.cell(walk.rules.wrapping_add(index)).map(|cell| *Rule::of(cell))
}
