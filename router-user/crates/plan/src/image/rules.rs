//! Rules -> the cells of `router_common::maps::image`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use router_common::facts::nat_state;
use router_common::maps::image::{
    Cell, DYNAMIC_LISTS, HEADER, Limits, MAGIC, Matchers, RULES_MAX, Rate, Record, Rule as RuleCell,
    STATE_VALUES, TYPE_VALUES, action, chain, dimension, header, hops, matcher, priority, root, rule_flag,
};

use super::lists;
use super::rows::Rows;
use super::tree::{Cells, cell_of, tree32, tree128};
use crate::desired::{PlacedRule, RuleImage};
use crate::firewall::rule::{Action, Firewall, Hops, Is, Limit, Matches, Priority, Range, Rule, Rules};

/// Cells of an image at most: a gibibyte would be more than a mistake.
const CELLS_MAX: usize = 1 << 23;

/// Why rules don't fit an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooLarge(pub String);

/// Compiles the rules of both families.
pub fn encode(firewall: &Firewall) -> Result<RuleImage, TooLarge> {
    let mut image = RuleImage::default();
    if firewall.v4.is_empty() && firewall.v6.is_empty() {
        return Ok(image);
    }
    let mut cells = Cells(vec![[0; 8], [u64::MAX; 8], [0; 8]]);
    let mut words = [0; 16];
    words[header::MAGIC] = MAGIC;
    for (family, rules, place) in [(4, &firewall.v4, header::ROOT4), (6, &firewall.v6, header::ROOT6)] {
        words[place] = Family { cells: &mut cells, rules, number: family }.encode(&mut image.rules)?;
    }
    words[header::CELLS] = cells.next();
    cells.set(HEADER, cell_of(&words));
    if cells.0.len() > CELLS_MAX {
        return Err(TooLarge(format!(
            "the rules and lists need {} MiB, more than {} MiB",
            cells.0.len() >> 14,
            CELLS_MAX >> 14
        )));
    }
    image.cells = cells.0;
    Ok(image)
}

impl Rules {
    pub fn is_empty(&self) -> bool {
        self.chains.iter().all(|chain| chain.rules.is_empty())
    }

    /// The rules with their index, chain by chain.
    pub fn indexed(&self) -> impl Iterator<Item = (usize, usize, &Arc<Rule>)> {
        let all = self.chains.iter().enumerate();
        all.flat_map(|(chain, c)| c.rules.iter().map(move |rule| (chain, rule)))
            .enumerate()
            .map(|(index, (chain, rule))| (index, chain, rule))
    }
}

/// One family under way.
struct Family<'a> {
    cells: &'a mut Cells,
    rules: &'a Rules,
    number: u8,
}

/// Ascending ranges that do not touch.
type Ranges = Vec<(u128, u128)>;

impl Family<'_> {
    fn last(&self) -> u128 {
        if self.number == 4 { u32::MAX.into() } else { u128::MAX }
    }

    fn encode(mut self, placed: &mut Vec<PlacedRule>) -> Result<u32, TooLarge> {
        let all: Vec<(usize, usize, &Arc<Rule>)> = self.rules.indexed().collect();
        if all.len() > RULES_MAX as usize {
            return Err(TooLarge(format!("{} rules of one family, more than {RULES_MAX}", all.len())));
        }
        let mut ranges = Vec::new();
        let mut next = 0;
        for chain in &self.rules.chains {
            let end = next + chain.rules.len() as u32;
            ranges.push(next | end << 16);
            next = end;
        }
        const TREE_CELLS: usize = (dimension::TREES as usize * 4).div_ceil(16);
        let top = self.cells.reserve(2 + TREE_CELLS);
        let first_rule = self.cells.reserve(all.len());

        let mut rows = Rows::new(all.len());
        let mut used = 0;
        let mut trees = [[0; 4]; dimension::TREES as usize];
        for (number, tree) in (0..dimension::LISTS).zip(&mut trees) {
            let wanted: Vec<(usize, Ranges)> = all
                .iter()
                .filter_map(|(index, _, rule)| Some((*index, self.ranges(rule, number)?)))
                .collect();
            if wanted.is_empty() {
                continue;
            }
            used |= 1 << number;
            let is_address = matches!(number, dimension::SRC | dimension::DST);
            let last = if is_address { self.last() } else { u32::MAX.into() };
            let (bounds, absent) = rows.sweep(self.cells, &wanted, last);
            let [cells, nodes, payloads] = match is_address && self.number == 6 {
                true => tree128(self.cells, &bounds),
                false => tree32(self.cells, &bounds),
            };
            *tree = [cells, nodes, payloads, absent];
        }

        let mut words = [0; 16];
        words[root::RULES] = first_rule;
        words[root::COUNT] = all.len() as u32;
        let tables: [(u32, usize, u32, Cares, Takes); 3] = [
            (dimension::PROTOCOL, root::PROTOCOLS, 256, cares_protocol, takes_protocol),
            (dimension::STATE, root::STATES, STATE_VALUES, cares_state, takes_state),
            (dimension::TYPE, root::TYPES, TYPE_VALUES, cares_type, takes_type),
        ];
        for (number, word, values, cares, takes) in tables {
            let mut alike: BTreeMap<Pair, Vec<usize>> = BTreeMap::new();
            for (index, _, rule) in &all {
                if let Some(pair) = cares(&rule.matches) {
                    alike.entry(pair).or_default().push(*index);
                }
            }
            if alike.is_empty() {
                continue;
            }
            used |= 1 << number;
            let wanted =
                alike.into_iter().map(|(pair, rules)| (rules, (0..values).map(move |v| takes(pair, v))));
            let table = rows.table(self.cells, values, wanted.collect());
            words[word] = self.cells.words(&table);
        }

        let mut bits = vec![None; self.rules.lists.len()];
        let asked = |pick: fn(&Matches) -> &Option<Is<usize>>| {
            all.iter()
                .filter_map(|(index, _, rule)| pick(&rule.matches).map(|is| (*index, is)))
                .collect::<Vec<_>>()
        };
        let (src, dst) = (asked(|m| &m.src_list), asked(|m| &m.dst_list));
        if !src.is_empty() || !dst.is_empty() {
            let dynamic = self.rules.lists.iter().enumerate().filter(|(_, list)| list.dynamic);
            for (bit, (list, _)) in dynamic.enumerate() {
                if bit >= DYNAMIC_LISTS as usize {
                    return Err(TooLarge(format!("more than {DYNAMIC_LISTS} lists with dynamic entries")));
                }
                if let Some(place) = bits.get_mut(list) {
                    *place = Some(bit as u16);
                }
            }
            let shields = self.shields(first_rule);
            let encoded = lists::encode(
                self.cells,
                &mut rows,
                &self.rules.lists,
                &bits,
                &src,
                &dst,
                &shields,
                self.number,
            )?;
            words[root::SHIELD] = (!shields.is_empty()).into();
            words[root::CLASSES] = encoded.classes;
            [words[root::HOSTS], words[root::HOSTS_MASK], words[root::HOSTS_SEED]] = encoded.hosts;
            let [cells, nodes, payloads] = encoded.tree;
            trees[dimension::LISTS as usize] = [cells, nodes, payloads, 0];
            for (number, asked) in [(dimension::SRC_LIST, &src), (dimension::DST_LIST, &dst)] {
                if !asked.is_empty() {
                    used |= 1 << number;
                }
            }
        }
        words[root::DIMENSIONS] = used;

        for (index, chain, rule) in &all {
            let cell = first_rule + *index as u32;
            let encoded = self.rule(rule, *chain, &ranges, &bits);
            self.cells.set(cell, encoded);
            placed.push(PlacedRule { key: rule.key, text: rule.text, cell, index: *index as u32 });
        }
        ranges.truncate(chain::COUNT as usize);
        self.cells.set(top, cell_of(&ranges));
        self.cells.set(top + 1, cell_of(&words));
        for (cell, words) in (top + 2..).zip(trees.concat().chunks(16)) {
            self.cells.set(cell, cell_of(words));
        }
        Ok(top)
    }

    /// The lists of the rules at the beginning of chain prerouting of raw that drop what comes from a list, with the cells
    /// of the rules. Behind a list with dynamic entries none is certain to be the one that counts.
    fn shields(&self, first_rule: u32) -> Vec<(usize, u32)> {
        let mut shields = Vec::new();
        let Some(raw) = self.rules.chains.get(chain::RAW_PREROUTING as usize) else { return shields };
        for (cell, rule) in (first_rule..).zip(&raw.rules) {
            let asks_list = Matches { src_list: rule.matches.src_list, ..Matches::default() };
            let list = rule.matches.src_list.filter(|is| !is.not && rule.matches == asks_list);
            let (Some(Is { value: list, .. }), Action::Drop, false) = (list, &rule.action, rule.log) else {
                break;
            };
            shields.push((list, cell));
            if self.rules.lists.get(list).is_none_or(|list| list.dynamic) {
                break;
            }
        }
        shields
    }

    /// The values that a rule takes in a dimension with a tree; None where it does not care.
    fn ranges(&self, rule: &Rule, number: u32) -> Option<Ranges> {
        let matches = &rule.matches;
        const WORDS: u128 = u32::MAX as u128;
        let one = |is: &Option<Is<u32>>| {
            is.map(|is| within(is.not, vec![(is.value.into(), is.value.into())], WORDS))
        };
        let addresses =
            |is: &Option<Is<Range<u128>>>| is.map(|is| within(is.not, vec![is.value], self.last()));
        let ports = |is: &Option<Is<Vec<Range<u16>>>>| {
            is.as_ref().map(|is| {
                let ranges = is.value.iter().map(|(from, to)| (u128::from(*from), u128::from(*to)));
                within(is.not, normal(ranges.collect()), WORDS)
            })
        };
        let neither =
            || ports(&matches.any_ports).filter(|_| matches.any_ports.as_ref().is_some_and(|is| is.not));
        let interfaces = |all: &[Is<Arc<BTreeSet<u32>>>]| {
            let each = all.iter().map(|is| {
                let ranges = is.value.iter().map(|index| (u128::from(*index), u128::from(*index)));
                within(is.not, normal(ranges.collect()), WORDS)
            });
            each.reduce(|a, b| both(&a, &b))
        };
        match number {
            dimension::SRC => addresses(&matches.src),
            dimension::DST => addresses(&matches.dst),
            dimension::SRC_PORT => join(ports(&matches.src_ports), neither()),
            dimension::DST_PORT => join(ports(&matches.dst_ports), neither()),
            dimension::ANY_PORT => ports(&matches.any_ports).filter(|_| neither().is_none()),
            dimension::IN => interfaces(&matches.input),
            dimension::OUT => interfaces(&matches.output),
            dimension::CONNECTION_MARK => one(&matches.connection_mark),
            dimension::PACKET_MARK => one(&matches.packet_mark),
            _ => one(&matches.routing_mark),
        }
    }

    fn rule(&mut self, rule: &Rule, chain: usize, ranges: &[u32], bits: &[Option<u16>]) -> Cell {
        let number = if chain < chain::COUNT as usize { chain as u8 } else { chain::OWN };
        let mut cell = RuleCell {
            flags: if rule.log { rule_flag::LOG } else { 0 } | if rule.last { rule_flag::LAST } else { 0 },
            chain: number,
            key: rule.key.number(),
            text: rule.text,
            ..RuleCell::default()
        };
        cell.action = match &rule.action {
            Action::Accept => action::ACCEPT,
            Action::Drop => action::DROP,
            Action::Reject(kind) => {
                cell.reject = *kind;
                action::REJECT
            }
            Action::Jump(target) => match target.and_then(|chain| ranges.get(chain)) {
                Some(range) if range & 0xffff != range >> 16 => {
                    cell.target = *range;
                    action::JUMP
                }
                _ => action::PASSTHROUGH,
            },
            Action::Return => action::RETURN,
            Action::Passthrough => action::PASSTHROUGH,
            Action::AddSrc(list, timeout_s) | Action::AddDst(list, timeout_s) => {
                (cell.target, cell.timeout_s) = (*list, *timeout_s);
                if matches!(rule.action, Action::AddSrc(..)) { action::ADD_SRC } else { action::ADD_DST }
            }
            Action::Fasttrack => action::FASTTRACK,
            Action::Notrack => action::NOTRACK,
            Action::Nat(nat) => {
                cell.target = self.cells.push(nat.cell());
                action::NAT
            }
            Action::MarkConnection(mark) => {
                cell.target = *mark;
                action::MARK_CONNECTION
            }
            Action::MarkPacket(mark) => {
                cell.target = *mark;
                action::MARK_PACKET
            }
            Action::MarkRouting(mark) => {
                cell.target = *mark;
                action::MARK_ROUTING
            }
            Action::ChangeDscp(dscp) => {
                cell.target = (*dscp).into();
                action::CHANGE_DSCP
            }
            Action::ChangeTtl(change) => {
                let (what, number) = match *change {
                    Hops::Set(number) => (hops::SET, number),
                    Hops::Increment(number) => (hops::INCREMENT, number),
                    Hops::Decrement(number) => (hops::DECREMENT, number),
                };
                cell.target = what | u32::from(number) << 8;
                action::CHANGE_TTL
            }
            Action::ClearDf => action::CLEAR_DF,
            Action::ChangeMss(mss) => {
                cell.target = mss.unwrap_or(0).into();
                action::CHANGE_MSS
            }
            Action::SetPriority(wanted) => {
                cell.target = match *wanted {
                    Priority::Number(number) => number.into(),
                    Priority::Dscp => priority::FROM_DSCP,
                    Priority::DscpHigh3Bits => priority::FROM_DSCP_HIGH_3_BITS,
                    Priority::Ingress => priority::FROM_INGRESS,
                };
                action::SET_PRIORITY
            }
            Action::StripOptions => action::STRIP_OPTIONS,
            Action::Route(gateway) => {
                cell.target = self.cells.push(gateway.cell());
                action::ROUTE
            }
        };
        let mut matchers = matchers(&rule.matches);
        let lists = [(matcher::SRC_LIST, rule.matches.src_list), (matcher::DST_LIST, rule.matches.dst_list)];
        for (bit, is) in lists {
            let Some(is) = is else { continue };
            let (Some(list), Some(Some(place))) = (self.rules.lists.get(is.value), bits.get(is.value)) else {
                continue;
            };
            present(&mut matchers, bit, is.not);
            match bit {
                matcher::SRC_LIST => (matchers.src_list, matchers.src_list_bit) = (list.id, *place),
                _ => (matchers.dst_list, matchers.dst_list_bit) = (list.id, *place),
            }
        }
        matchers.present |= rule.matches.present;
        matchers.negated |= rule.matches.negated;
        if matchers.present & matcher::OF_MORE != 0 {
            matchers.more = self.cells.push(rule.matches.more.cell());
        }
        if matchers.present & matcher::OF_VOLUME != 0 {
            matchers.volume = self.cells.push(rule.matches.volume.cell());
        }
        if matchers.present & matcher::CONTENT != 0 {
            let ones = vec![u8::MAX; rule.matches.content.len()];
            matchers.content = self.cells.push(content(&rule.matches.content));
            self.cells.push(content(&ones));
            matchers.content_bytes = rule.matches.content.len() as u32;
        }
        if let Some(limits) = limits(&rule.matches, &mut matchers) {
            matchers.limits = self.cells.push(limits.cell());
        }
        if matchers.present != 0 {
            cell.matchers = self.cells.push(matchers.cell());
        }
        cell.cell()
    }
}

/// What a rule asks of a dimension with a table: up to two matchers. Many rules ask the same.
type Pair = (Option<Is<u8>>, Option<Is<u8>>);
/// None where a rule does not care.
type Cares = fn(&Matches) -> Option<Pair>;
/// Whether such rules take a value.
type Takes = fn(Pair, u32) -> bool;

fn cares(pair: Pair) -> Option<Pair> {
    (pair != (None, None)).then_some(pair)
}

fn cares_protocol(matches: &Matches) -> Option<Pair> {
    cares((matches.protocol, None))
}

fn takes_protocol((protocol, _): Pair, value: u32) -> bool {
    protocol.is_none_or(|is| (u32::from(is.value) == value) != is.not)
}

fn cares_state(matches: &Matches) -> Option<Pair> {
    cares((matches.state, matches.nat_state))
}

fn takes_state((state, nat): Pair, value: u32) -> bool {
    let nat_bits = (nat_state::SRCNAT | nat_state::DSTNAT) & value as u8;
    state.is_none_or(|is| (is.value >> (value >> 2) & 1 != 0) != is.not)
        && nat.is_none_or(|is| (is.value & nat_bits != 0) != is.not)
}

fn cares_type(matches: &Matches) -> Option<Pair> {
    cares((matches.src_type, matches.dst_type))
}

fn takes_type((src, dst): Pair, value: u32) -> bool {
    let takes = |is: Option<Is<u8>>, number: u32| is.is_none_or(|is| (is.value >> number & 1 != 0) != is.not);
    takes(src, value >> 3) && takes(dst, value & 7)
}

/// The ranges, or what is between them.
fn within(not: bool, ranges: Ranges, last: u128) -> Ranges {
    if !not {
        return ranges;
    }
    let mut rest = Ranges::new();
    let mut next = Some(0);
    for (from, to) in ranges {
        if let Some(start) = next.filter(|start| *start < from) {
            rest.push((start, from - 1));
        }
        next = (to < last).then(|| to + 1);
    }
    rest.extend(next.map(|start| (start, last)));
    rest
}

/// In ascending order, and joined where they meet.
pub fn normal(mut ranges: Ranges) -> Ranges {
    ranges.sort_unstable();
    let mut joined: Ranges = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match joined.last_mut() {
            Some((_, end)) if *end == u128::MAX || from <= *end + 1 => *end = to.max(*end),
            _ => joined.push((from, to)),
        }
    }
    joined
}

/// What is in both.
fn both(a: &Ranges, b: &Ranges) -> Ranges {
    let mut common = Ranges::new();
    for (from, to) in a {
        for (other_from, other_to) in b {
            let (from, to) = (*from.max(other_from), *to.min(other_to));
            if from <= to {
                common.push((from, to));
            }
        }
    }
    normal(common)
}

fn join(a: Option<Ranges>, b: Option<Ranges>) -> Option<Ranges> {
    match (a, b) {
        (Some(a), Some(b)) => Some(both(&a, &b)),
        (a, b) => a.or(b),
    }
}

fn present(matchers: &mut Matchers, bit: u32, not: bool) {
    matchers.present |= bit;
    if not {
        matchers.negated |= bit;
    }
}

fn matchers(matches: &Matches) -> Matchers {
    let mut cell = Matchers::default();
    if let Some(flags) = matches.tcp_flags {
        present(&mut cell, matcher::TCP_FLAGS, false);
        (cell.tcp_mask, cell.tcp_value) = (flags.mask, flags.value);
    }
    if let Some(Is { not, value }) = matches.icmp {
        present(&mut cell, matcher::ICMP, not);
        cell.icmp_type = value.kind;
        (cell.icmp_code_from, cell.icmp_code_to) = value.codes;
    }
    if let Some(fragment) = matches.fragment {
        present(&mut cell, matcher::FRAGMENT, false);
        cell.fragment = fragment.into();
    }
    if let Some(Is { not, value }) = matches.size {
        present(&mut cell, matcher::SIZE, not);
        (cell.size_from, cell.size_to) = value;
    }
    if let Some(Is { not, value }) = matches.ttl {
        present(&mut cell, matcher::TTL, not);
        (cell.ttl_from, cell.ttl_to) = value;
    }
    if let Some(Is { not, value }) = matches.dscp {
        present(&mut cell, matcher::DSCP, not);
        cell.dscp = value;
    }
    if let Some(Is { not, value }) = matches.src_mac {
        present(&mut cell, matcher::SRC_MAC, not);
        cell.src_mac = value;
    }
    cell
}

/// Bytes as a cell, with zeros behind them.
fn content(bytes: &[u8]) -> Cell {
    let mut cell = Cell::default();
    for (word, bytes) in cell.iter_mut().zip(bytes.chunks(8)) {
        *word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }
    cell
}

fn limits(matches: &Matches, matchers: &mut Matchers) -> Option<Limits> {
    let mut cell = Limits::default();
    if let Some(Is { not, value }) = matches.connection_limit {
        present(matchers, matcher::CONNECTION_LIMIT, not);
        (cell.connections, cell.connections_prefix) = (value.count, value.prefix_length.into());
    }
    if let Some(Is { not, value }) = matches.dst_limit {
        present(matchers, matcher::DST_LIMIT, not);
        (cell.dst_limit, cell.key, cell.expire_s) = (rate(&value.limit), value.key, value.expire_s);
    }
    if let Some(Is { not, value }) = matches.limit {
        present(matchers, matcher::LIMIT, not);
        cell.limit = rate(&value);
    }
    let any = matchers.present & (matcher::CONNECTION_LIMIT | matcher::DST_LIMIT | matcher::LIMIT) != 0;
    any.then_some(cell)
}

/// A rate of 0 lets the burst pass and then, for all practical purposes, nothing.
fn rate(limit: &Limit) -> Rate {
    /// A packet's 2^22 bits at this cost stay inside a word.
    const COST_MAX: u128 = 1 << 41;
    /// A hundred years in nanoseconds, to which a clock can be added.
    const BURST_MAX: u128 = 1 << 61;
    let time_ns = u128::from(limit.time_ms) * 1_000_000;
    let cost = (time_ns << 16).checked_div(limit.count.into()).unwrap_or(u128::MAX);
    let cost = if limit.bits { cost.min(COST_MAX) } else { cost.min(BURST_MAX) };
    let burst_ns = ((cost * u128::from(limit.burst.max(1))) >> 16).min(BURST_MAX);
    Rate { cost: cost as u64, burst_ns: burst_ns as u64 | if limit.bits { Rate::BITS } else { 0 } }
}
