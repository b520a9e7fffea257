//! The walk itself: candidates are the AND of the rows, taken in order; jumps and returns move the position.

use super::{Cells, Hooks, matcher, rows};
use crate::facts::Facts;
use crate::maps::image::{
    ALL, CHUNK_RULES, Cell, DEPTH_MAX, Matchers, Record, Rule, action, dimension, hops, priority, rule_flag,
    word,
};

/// Counted rules that a walk remembers, for a decision that is to count them again.
pub const COUNTED_MAX: usize = 16;

/// One packet's way through its chains. Plain memory: it outlives the steps, and its rows serve all chains that the
/// packet meets until something of it changes.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Chunks that may hold candidates.
    pub(super) chunks: u64,
    /// Candidates of the loaded chunk.
    pub(super) bits: Cell,
    /// Callers: position | end << 16.
    pub(super) stack: [u32; DEPTH_MAX],
    /// A row per dimension.
    pub(super) rows: [u32; dimension::COUNT as usize],
    /// The row that is joined with that of [`dimension::ANY_PORT`].
    pub(super) any_port: u32,
    pub(super) root: u32,
    /// Cell of rule 0, and the number of rules.
    pub(super) rules: u32,
    pub(super) count: u32,
    pub(super) position: u32,
    pub(super) end: u32,
    pub(super) depth: u32,
    /// Number of the loaded chunk, and one; 0: none.
    pub(super) loaded: u32,
    pub(super) src_class: u32,
    pub(super) dst_class: u32,
    /// Bit per dimension whose row has to be looked up: what changed of the packet. See [`Walk::change`].
    pub stale: u32,
    /// Bits of [`flag`], over all walks of the packet.
    pub flags: u32,
    /// One of [`verdict`].
    pub verdict: u32,
    /// Of the verdict: the reject's number, or the cell of the NAT parameters.
    pub parameter: u32,
    /// The rule that gave the verdict: its slot and its index. Both `u32::MAX` where none did.
    pub slot: u32,
    pub rule: u32,
    /// Slots of the rules that counted the packet, over all of its walks.
    pub counted: [u32; COUNTED_MAX],
    pub counted_len: u32,
    /// Bit per dimension that some rule looks at.
    pub(super) dimensions: u32,
    /// Bits of [`edit`], over all walks of the packet: what of the facts is to be written into it.
    pub edits: u32,
    /// With [`edit::MSS`]: the largest segment to announce, 0: what the path has room for.
    pub mss: u32,
    /// With [`edit::PRIORITY`].
    pub priority: u32,
    /// With [`edit::ROUTE`]: the cell of the gateway.
    pub gateway: u32,
}
crate::assert_size!(Walk, 352);

/// [`Walk::edits`].
pub mod edit {
    pub const DSCP: u32 = 1 << 0;
    pub const TTL: u32 = 1 << 1;
    pub const DF: u32 = 1 << 2;
    pub const MSS: u32 = 1 << 3;
    pub const OPTIONS: u32 = 1 << 4;
    /// Of the host's packet, not of a header.
    pub const PRIORITY: u32 = 1 << 5;
    /// Of its way.
    pub const ROUTE: u32 = 1 << 6;
    /// Those that change the packet's bytes.
    pub const HEADERS: u32 = DSCP | TTL | DF | MSS | OPTIONS;
}

impl Default for Walk {
    fn default() -> Walk {
        Walk {
            chunks: 0,
            bits: [0; 8],
            stack: [0; DEPTH_MAX],
            rows: [ALL; dimension::COUNT as usize],
            any_port: ALL,
            root: 0,
            rules: 0,
            count: 0,
            position: 0,
            end: 0,
            depth: 0,
            loaded: 0,
            src_class: 0,
            dst_class: 0,
            stale: rows::EVERY,
            flags: 0,
            verdict: verdict::NONE,
            parameter: 0,
            slot: u32::MAX,
            rule: u32::MAX,
            counted: [0; COUNTED_MAX],
            counted_len: 0,
            dimensions: 0,
            edits: 0,
            mss: 0,
            priority: 0,
            gateway: 0,
        }
    }
}

/// [`Walk::verdict`].
pub mod verdict {
    /// The chain's end: the packet is accepted.
    pub const NONE: u32 = 0;
    pub const ACCEPT: u32 = 1;
    pub const DROP: u32 = 2;
    pub const REJECT: u32 = 3;
    pub const NAT: u32 = 4;
    pub const NOTRACK: u32 = 5;
    /// The image is damaged or a chain does not end: the packet must be dropped.
    pub const ERROR: u32 = 6;
}

/// [`Walk::flags`].
pub mod flag {
    /// Another packet of the same flow, direction and state may fare otherwise.
    pub const UNCACHEABLE: u32 = 1 << 0;
    /// Dynamic lists were asked for the source, the destination: the decision holds while no entry of a like address
    /// comes or goes.
    pub const LOOKED_SRC: u32 = 1 << 1;
    pub const LOOKED_DST: u32 = 1 << 2;
    /// `fasttrack-connection` matched.
    pub const FASTTRACK: u32 = 1 << 3;
}

impl Walk {
    /// Begins with another packet.
    #[inline(always)]
    pub fn reset(&mut self) {
        self.rows = [ALL; dimension::COUNT as usize];
        self.any_port = ALL;
        self.root = 0;
        self.stale = rows::EVERY;
        self.flags = 0;
        self.edits = 0;
        self.counted_len = 0;
        self.verdict = verdict::NONE;
        self.parameter = 0;
        self.slot = u32::MAX;
        self.rule = u32::MAX;
    }

    /// Something of the packet is another now: bits of the dimensions that look at it.
    #[inline(always)]
    pub fn change(&mut self, dimensions: u32) {
        self.stale |= dimensions;
    }

    /// The packet's family has been found, see [`rows::begin`].
    #[inline(always)]
    pub fn is_begun(&self) -> bool {
        self.root != 0
    }

    /// A rule has set a mark that others look at.
    #[inline(always)]
    pub fn is_outdated(&self) -> bool {
        self.stale & self.dimensions & MARKS != 0
    }

    /// The cell of the rule that gave the verdict.
    #[inline(always)]
    pub fn rule_cell(&self) -> u32 {
        self.rules.wrapping_add(self.rule)
    }

    /// The family's rules fit one chunk, so that a row is that chunk.
    #[inline(always)]
    pub(super) fn is_small(&self) -> bool {
        self.count <= CHUNK_RULES
    }

    #[inline(always)]
    fn decide(&mut self, verdict: u32, parameter: u32, slot: u32, rule: u32) {
        self.verdict = verdict;
        self.parameter = parameter;
        self.slot = slot;
        self.rule = rule;
    }

    /// Goes back to the caller; false at the end of a built-in chain.
    #[inline(always)]
    fn leave(&mut self) -> bool {
        if self.depth == 0 {
            return false;
        }
        self.depth = self.depth.wrapping_sub(1);
        let depth = core::hint::black_box(self.depth) & (DEPTH_MAX as u32 - 1);
        let Some(caller) = self.stack.get(depth as usize) else { return false };
        self.position = caller & 0xffff;
        self.end = caller >> 16;
        true
    }
}

/// Sets the walk on a built-in chain; false where that has no rules, or where the image is damaged. The family has to
/// be [`rows::begin`]'s.
#[inline(always)]
pub fn start<C: Cells>(cells: C, walk: &mut Walk, chain: u32) -> bool {
    walk.decide(verdict::NONE, 0, u32::MAX, u32::MAX);
    let Some(chains) = cells.cell(walk.root) else {
        walk.verdict = verdict::ERROR;
        return false;
    };
    let range = word(chains, chain);
    walk.position = range & 0xffff;
    walk.end = range >> 16;
    walk.depth = 0;
    walk.position < walk.end
}

/// Looks at the next candidate; false once the walk is done. Where the walk then [`Walk::is_outdated`], and is not done,
/// the rows have to be prepared before the next step.
#[inline(always)]
pub fn step<C: Cells, H: Hooks>(cells: C, facts: &mut Facts, walk: &mut Walk, hooks: &mut H) -> bool {
    match advance(cells, walk) {
        Some(Next::Candidate(index)) => match judge(cells, facts, walk, hooks, index) {
            Some(more) => more,
            None => {
                walk.decide(verdict::ERROR, 0, u32::MAX, index);
                false
            }
        },
        Some(Next::Chunk) => true,
        Some(Next::End) => walk.leave(),
        None => {
            walk.decide(verdict::ERROR, 0, u32::MAX, u32::MAX);
            false
        }
    }
}

enum Next {
    Candidate(u32),
    /// The chunk has no more candidates.
    Chunk,
    End,
}

/// Moves behind the next candidate.
#[inline(always)]
fn advance<C: Cells>(cells: C, walk: &mut Walk) -> Option<Next> {
    let mut chunk = walk.position / CHUNK_RULES;
    if walk.loaded != chunk + 1 {
        let rest = walk.chunks & u64::MAX << (chunk & 63);
        if rest == 0 {
            return Some(Next::End);
        }
        let next = lowest(rest);
        if next != chunk {
            chunk = next;
            walk.position = chunk * CHUNK_RULES;
        }
        if walk.position >= walk.end {
            return Some(Next::End);
        }
        cells.load(walk, chunk)?;
        walk.loaded = chunk + 1;
    }
    let from = walk.position % CHUNK_RULES;
    let mut found = CHUNK_RULES;
    for (number, word) in (0..).zip(&walk.bits) {
        let first = number * 64;
        let mut word = *word;
        if first + 64 <= from {
            continue;
        }
        if first < from {
            word &= u64::MAX << (from & 63);
        }
        if word != 0 {
            found = first + lowest(word);
            break;
        }
    }
    let index = chunk * CHUNK_RULES + found;
    if index >= walk.end {
        return Some(Next::End);
    }
    if found >= CHUNK_RULES {
        walk.position = index;
        return Some(Next::Chunk);
    }
    walk.position = index + 1;
    Some(Next::Candidate(index))
}

/// The place of the lowest bit that is set.
#[inline(always)]
pub(super) fn lowest(word: u64) -> u32 {
    // LLVM would turn the plain form into a table in memory, beyond whose bounds the verifier sees an access.
    let bit = core::hint::black_box(word & word.wrapping_neg());
    bit.wrapping_sub(1).count_ones()
}

/// Joins the rows of one chunk.
#[inline(always)]
pub fn load<C: Cells>(cells: C, walk: &mut Walk, chunk: u32) -> Option<()> {
    let small = walk.is_small();
    walk.bits = [u64::MAX; 8];
    for (dimension, row) in (0..).zip(&walk.rows) {
        if *row == ALL {
            continue;
        }
        let reference = part(cells, small, *row, chunk)?;
        if dimension == dimension::ANY_PORT {
            let by_dst = part(cells, small, walk.any_port, chunk)?;
            let (by_src, by_dst) = (cells.cell(reference)?, cells.cell(by_dst)?);
            for ((bits, a), b) in walk.bits.iter_mut().zip(by_src).zip(by_dst) {
                *bits &= a | b;
            }
        } else if reference != ALL {
            for (bits, a) in walk.bits.iter_mut().zip(cells.cell(reference)?) {
                *bits &= a;
            }
        }
    }
    Some(())
}

/// The reference of one chunk of a row.
#[inline(always)]
pub(super) fn part<C: Cells>(cells: C, small: bool, row: u32, chunk: u32) -> Option<u32> {
    if small || row <= ALL {
        return Some(row);
    }
    let first = cells.cell(row)?;
    let [bitmap, ..] = *first;
    let bit = 1u64 << (chunk & 63);
    if bitmap & bit == 0 {
        return Some(crate::maps::image::NONE);
    }
    let place = 2 + (bitmap & bit.wrapping_sub(1)).count_ones();
    Some(word(if place < 16 { first } else { cells.cell(row + place / 16)? }, place))
}

/// The dimensions that rules change while they are walked.
const MARKS: u32 =
    1 << dimension::CONNECTION_MARK | 1 << dimension::PACKET_MARK | 1 << dimension::ROUTING_MARK;

/// Does what an action of mangle changes of the packet's facts; false where it is none of those.
#[inline(always)]
pub fn changes(facts: &mut Facts, walk: &mut Walk, rule: &Rule) -> bool {
    match rule.action {
        action::MARK_CONNECTION => {
            mark(walk, &mut facts.connection_mark, rule.target, dimension::CONNECTION_MARK);
        }
        action::MARK_PACKET => mark(walk, &mut facts.packet_mark, rule.target, dimension::PACKET_MARK),
        action::MARK_ROUTING => mark(walk, &mut facts.routing_mark, rule.target, dimension::ROUTING_MARK),
        action::CHANGE_DSCP..=action::ROUTE => edit(facts, walk, rule),
        _ => return false,
    }
    true
}

/// Sets a mark; the rules behind see it.
#[inline(always)]
fn mark(walk: &mut Walk, mark: &mut u32, number: u32, dimension: u32) {
    if *mark != number {
        *mark = number;
        walk.change(1 << dimension);
    }
}

/// Notes what a rule changes of the packet itself. What has to be written into each packet is nothing to remember.
#[inline(always)]
fn edit(facts: &mut Facts, walk: &mut Walk, rule: &Rule) {
    const SYN: u8 = 2;
    let target = rule.target;
    // A size is announced by the first segment of each side alone.
    if rule.action == action::CHANGE_MSS && facts.tcp_flags & SYN == 0 {
        return;
    }
    walk.flags |= flag::UNCACHEABLE;
    walk.edits |= match rule.action {
        action::CHANGE_DSCP => {
            facts.dscp = target as u8 & 63;
            edit::DSCP
        }
        action::CHANGE_TTL => {
            let number = (target >> 8) as u8;
            facts.ttl = match target & 0xff {
                hops::INCREMENT => facts.ttl.saturating_add(number),
                hops::DECREMENT => facts.ttl.saturating_sub(number),
                _ => number,
            };
            edit::TTL
        }
        action::CLEAR_DF => edit::DF,
        action::CHANGE_MSS => {
            walk.mss = target;
            edit::MSS
        }
        action::SET_PRIORITY => {
            walk.priority = match target {
                priority::FROM_DSCP => u32::from(facts.dscp),
                priority::FROM_DSCP_HIGH_3_BITS => u32::from(facts.dscp >> 3),
                // What came in untagged has no priority.
                priority::FROM_INGRESS => 0,
                number => number,
            };
            facts.priority = walk.priority as u8;
            edit::PRIORITY
        }
        action::ROUTE => {
            walk.gateway = target;
            edit::ROUTE
        }
        _ => edit::OPTIONS,
    };
}

/// Tests a candidate and carries out its action; whether the walk goes on.
#[inline(always)]
fn judge<C: Cells, H: Hooks>(
    cells: C,
    facts: &mut Facts,
    walk: &mut Walk,
    hooks: &mut H,
    index: u32,
) -> Option<bool> {
    let rule = Rule::of(cells.cell(walk.rules.wrapping_add(index))?);
    if rule.matchers != 0 {
        let matchers = Matchers::of(cells.cell(rule.matchers)?);
        if !matcher::holds(cells, facts, walk, hooks, rule, matchers)? {
            return Some(true);
        }
    }
    hooks.count(rule.slot, facts);
    match walk.counted.get_mut(walk.counted_len as usize) {
        Some(place) => {
            *place = rule.slot;
            walk.counted_len += 1;
        }
        None => walk.flags |= flag::UNCACHEABLE,
    }
    if rule.flags & rule_flag::LOG != 0 {
        walk.flags |= flag::UNCACHEABLE;
        hooks.log(rule, facts);
    }
    let verdict = match rule.action {
        action::ACCEPT => verdict::ACCEPT,
        action::DROP => verdict::DROP,
        action::REJECT => verdict::REJECT,
        action::NOTRACK => verdict::NOTRACK,
        action::NAT => verdict::NAT,
        action::JUMP => {
            let depth = core::hint::black_box(walk.depth);
            *walk.stack.get_mut(depth as usize)? = walk.position | walk.end << 16;
            walk.depth = depth + 1;
            walk.position = rule.target & 0xffff;
            walk.end = rule.target >> 16;
            return Some(true);
        }
        action::RETURN => return Some(walk.leave()),
        action::FASTTRACK => {
            walk.flags |= flag::FASTTRACK;
            return Some(true);
        }
        action::ADD_SRC | action::ADD_DST => {
            walk.flags |= flag::UNCACHEABLE;
            let address = if rule.action == action::ADD_SRC { &facts.src } else { &facts.dst };
            hooks.add_to_list(rule.target, address, facts.family, rule.timeout_s);
            return Some(true);
        }
        _ => {
            if !changes(facts, walk, rule) || rule.flags & rule_flag::LAST == 0 {
                return Some(true);
            }
            verdict::ACCEPT
        }
    };
    let parameter = match verdict {
        verdict::REJECT => u32::from(rule.reject),
        _ => rule.target,
    };
    walk.decide(verdict, parameter, rule.slot, index);
    Some(false)
}
