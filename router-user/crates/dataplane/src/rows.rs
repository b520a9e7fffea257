//! The rows of the active image as user space sees them: which rules does each value of each dimension leave?

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use router_common::facts::{connection_state, nat_state};
use router_common::maps::image::{
    ALL, CHUNK_RULES, Cell, Class, HEADER, KEYS32, KEYS64, NONE, Record, STATE_VALUES, SUBTREE, TYPE_VALUES,
    dimension, header, root, word,
};
use serde::{Deserialize, Serialize};

use crate::Inspector;

/// The rules that one value, or each value of a range, satisfies in one dimension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowEntry {
    /// 4 or 6.
    pub family: u8,
    /// `dst-port`, `connection-state`.
    pub dimension: String,
    /// `80`, `0..1023`, `192.0.2.0..192.0.2.255`; of lists the class of addresses with the same membership.
    pub value: String,
    /// The rules' places among those of their family, in ranges: `0,4..7`.
    pub rules: String,
    pub count: u32,
}

const NAMES: [&str; dimension::COUNT as usize] = [
    "src-address",
    "dst-address",
    "src-port",
    "dst-port",
    "port",
    "in-interface",
    "out-interface",
    "connection-mark",
    "packet-mark",
    "routing-mark",
    "lists",
    "protocol",
    "connection-state",
    "address-type",
    "src-address-list",
    "dst-address-list",
];

impl Inspector {
    /// The rows of all dimensions that some rule looks at, IPv4 first.
    pub fn rows(&self) -> Vec<RowEntry> {
        rows(&self.cells())
    }
}

fn rows(cells: &[Cell]) -> Vec<RowEntry> {
    let Some(top) = cells.get(HEADER as usize) else { return Vec::new() };
    let families = [(4, header::ROOT4), (6, header::ROOT6)];
    let roots = families.map(|(family, place)| (family, word(top, place as u32)));
    let families = roots.into_iter().filter(|(_, first)| *first > HEADER);
    families.filter_map(|(family, first)| Some(Family::new(cells, family, first)?.rows())).flatten().collect()
}

/// The image of one family.
struct Family<'c> {
    cells: &'c [Cell],
    family: u8,
    /// The cell of its chains.
    first: u32,
    roots: &'c Cell,
    /// Number of rules.
    count: u32,
}

impl<'c> Family<'c> {
    fn new(cells: &'c [Cell], family: u8, first: u32) -> Option<Family<'c>> {
        let roots = cells.get(first as usize + 1)?;
        Some(Family { cells, family, first, roots, count: word(roots, root::COUNT as u32) })
    }

    fn cell(&self, index: u32) -> Cell {
        self.cells.get(index as usize).copied().unwrap_or_default()
    }

    fn root(&self, word_number: usize) -> u32 {
        word(self.roots, word_number as u32)
    }

    fn rows(&self) -> Vec<RowEntry> {
        let looked = self.root(root::DIMENSIONS);
        let dimensions = (0..dimension::COUNT).filter(|number| looked & 1 << number != 0);
        dimensions.flat_map(|number| self.dimension(number)).collect()
    }

    fn dimension(&self, number: u32) -> Vec<RowEntry> {
        let values = match number {
            dimension::PROTOCOL => self.table(root::PROTOCOLS, 256, |value| value.to_string()),
            dimension::STATE => self.table(root::STATES, STATE_VALUES, state),
            dimension::TYPE => self.table(root::TYPES, TYPE_VALUES, types),
            dimension::SRC_LIST => self.classes(|class| class.src_row),
            dimension::DST_LIST => self.classes(|class| class.dst_row),
            _ => self.tree(number),
        };
        let entry = |(value, row): (String, u32)| {
            let places = self.places(row);
            RowEntry {
                family: self.family,
                dimension: NAMES.get(number as usize).copied().unwrap_or_default().to_owned(),
                value,
                rules: ranges(&places),
                count: places.len() as u32,
            }
        };
        values.into_iter().map(entry).collect()
    }

    /// A table has a reference per value; neighbours with the same one are told once.
    fn table(&self, place: usize, values: u32, name: impl Fn(u32) -> String) -> Vec<(String, u32)> {
        let first = self.root(place);
        let row = |value: u32| word(&self.cell(first + (value >> 4)), value);
        let starts = (0..values).filter(|value| *value == 0 || row(*value) != row(value - 1));
        let starts: Vec<u32> = starts.chain([values]).collect();
        let named = |pair: &[u32]| match *pair {
            [from, to] if from + 1 < to => Some((format!("{}..{}", name(from), name(to - 1)), row(from))),
            [from, _] => Some((name(from), row(from))),
            _ => None,
        };
        starts.windows(2).filter_map(named).collect()
    }

    fn classes(&self, row: impl Fn(&Class) -> u32) -> Vec<(String, u32)> {
        let (first, end) = (self.root(root::CLASSES), self.root(root::CLASSES) + self.class_count());
        let class = |index: u32| (format!("class {}", index - first), row(Class::of(&self.cell(index))));
        (first..end).map(class).collect()
    }

    /// One more than the highest class that an address has.
    fn class_count(&self) -> u32 {
        let hosts = self.root(root::HOSTS);
        let buckets = if hosts == 0 { 0..0 } else { hosts..hosts + self.root(root::HOSTS_MASK) + 1 };
        let of_hosts = buckets.flat_map(|bucket| self.cell(bucket)).map(|pair| (pair >> 32) as u32);
        let of_prefixes = self.intervals(dimension::LISTS).into_iter().map(|(_, class)| class);
        of_hosts.chain(of_prefixes).max().unwrap_or(0) + 1
    }

    fn tree(&self, number: u32) -> Vec<(String, u32)> {
        let is_address = matches!(number, dimension::SRC | dimension::DST);
        let text = |value: u128| match (is_address, self.family) {
            (true, 4) => Ipv4Addr::from(value as u32).to_string(),
            (true, _) => Ipv6Addr::from(value).to_string(),
            _ => value.to_string(),
        };
        let named = |(values, row): (Range<u128>, u32)| match values.end.wrapping_sub(1) {
            last if last == values.start => (text(last), row),
            last => (format!("{}..{}", text(values.start), text(last)), row),
        };
        self.intervals(number).into_iter().map(named).collect()
    }

    /// The intervals of a tree with their payloads, in order. The end of the last one may be 0, for 2^128.
    fn intervals(&self, number: u32) -> Vec<(Range<u128>, u32)> {
        let cell = self.cell(self.first + 2 + (number >> 2));
        let tree = |cell: &Cell, at: u32| [at, at + 1, at + 2].map(|at| word(cell, at));
        let is_wide =
            self.family == 6 && matches!(number, dimension::SRC | dimension::DST | dimension::LISTS);
        let own = tree(&cell, (number & 3) * 4);
        if !is_wide {
            let bits = if matches!(number, dimension::SRC_PORT | dimension::DST_PORT | dimension::ANY_PORT) {
                16
            } else {
                32
            };
            return between(self.pairs(own, false), 1 << bits);
        }
        let mut all = Vec::new();
        for (values, payload) in between(self.pairs(own, true), 1 << 64) {
            let (start, end) = (values.start << 64, values.end.wrapping_shl(64));
            if payload & SUBTREE == 0 {
                all.push((start..end, payload));
                continue;
            }
            let lower = self.pairs(tree(&self.cell(payload & !SUBTREE), 0), true);
            let lower = between(lower, 1 << 64);
            all.extend(
                lower.into_iter().map(|(v, payload)| (start + v.start..start.wrapping_add(v.end), payload)),
            );
        }
        all
    }

    /// Keys and payloads of a tree in order, see `router_common::rules::tree`.
    fn pairs(&self, [first, nodes, payloads]: [u32; 3], is_wide: bool) -> Vec<(u128, u32)> {
        let keys = if is_wide { KEYS64 } else { KEYS32 };
        let mut pairs = Vec::new();
        let mut open = vec![(0, 0)];
        while let Some((node, key)) = open.pop() {
            if node >= nodes {
                continue;
            }
            if key > 0 {
                let (cell, at) = (self.cell(first + node), key - 1);
                let place = node * keys + at;
                let value = match is_wide {
                    true => cell.get(at as usize).copied().unwrap_or_default(),
                    false => word(&cell, at).into(),
                };
                pairs.push((u128::from(value), word(&self.cell(payloads + (place >> 4)), place)));
            }
            if key < keys {
                open.push((node, key + 1));
            }
            open.push((node * (keys + 1) + 1 + key, 0));
        }
        // What is left of the last node repeats the greatest.
        pairs.dedup_by_key(|(value, _)| *value);
        pairs
    }

    /// The places of the rules in a row.
    fn places(&self, row: u32) -> Vec<u32> {
        let is_small = self.count <= CHUNK_RULES;
        let chunk = |number: u32| match row {
            NONE | ALL => row,
            _ if is_small => row,
            _ => {
                let [bitmap, ..] = self.cell(row);
                let bit = 1u64 << number;
                let place = 2 + (bitmap & (bit - 1)).count_ones();
                if bitmap & bit == 0 { NONE } else { word(&self.cell(row + place / 16), place) }
            }
        };
        let has = |place: &u32| {
            let chunk = chunk(place / CHUNK_RULES);
            let at = place % CHUNK_RULES;
            chunk == ALL
                || self.cell(chunk).get(at as usize / 64).is_some_and(|bits| bits >> (at % 64) & 1 != 0)
        };
        (0..self.count).filter(has).collect()
    }
}

/// From where intervals begin to where they end.
fn between(pairs: Vec<(u128, u32)>, end: u128) -> Vec<(Range<u128>, u32)> {
    let ends = pairs.iter().skip(1).map(|(value, _)| *value).chain([end]);
    pairs.iter().zip(ends).map(|((value, payload), end)| (*value..end, *payload)).collect()
}

fn ranges(places: &[u32]) -> String {
    let chunks = places.chunk_by(|a, b| a + 1 == *b).filter_map(|run| Some((run.first()?, run.last()?)));
    let texts = chunks.map(|(from, to)| if from == to { from.to_string() } else { format!("{from}..{to}") });
    texts.collect::<Vec<_>>().join(",")
}

fn state(value: u32) -> String {
    let state = match (value >> 2) as u8 {
        connection_state::NONE => "none",
        connection_state::NEW => "new",
        connection_state::ESTABLISHED => "established",
        connection_state::RELATED => "related",
        connection_state::INVALID => "invalid",
        connection_state::UNTRACKED => "untracked",
        _ => "unused",
    };
    let nat = value as u8 & 3;
    let srcnat = if nat & nat_state::SRCNAT != 0 { "+srcnat" } else { "" };
    let dstnat = if nat & nat_state::DSTNAT != 0 { "+dstnat" } else { "" };
    format!("{state}{srcnat}{dstnat}")
}

fn types(value: u32) -> String {
    let name = |number: u32| match number {
        0 => "unicast",
        1 => "local",
        2 => "broadcast",
        3 => "multicast",
        4 => "blackhole",
        5 => "unreachable",
        6 => "prohibit",
        _ => "unused",
    };
    format!("{}>{}", name(value >> 3), name(value & 7))
}
