//! Address lists: which lists is an address in? Addresses in the same lists are one class, and a class has its rows.

use router_common::hash;
use router_common::maps::image::{BUCKET_HOSTS, Class, Record};

use super::rows::{Map, Row, Rows};
use super::rules::{TooLarge, normal};
use super::tree::{Bounds, Cells, Words, tree32, tree128};
use crate::firewall::rule::{AddressList, Is};

/// Where the lists stand in the image.
pub struct Encoded {
    pub classes: u32,
    /// First bucket, mask, seed.
    pub hosts: [u32; 3],
    pub tree: Words,
}

/// A rule and the list that it asks.
type Asked = [(usize, Is<usize>)];

/// The lists of a class, ascending.
type Set = Vec<u32>;

#[derive(Default)]
struct Classes {
    sets: Vec<Set>,
    known: Map<Set, u32>,
    /// A class and one list more -> the class of both.
    joined: Map<(u32, u32), u32>,
}

impl Classes {
    fn of(&mut self, set: Set) -> u32 {
        if let Some(class) = self.known.get(&set) {
            return *class;
        }
        let class = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.known.insert(set, class);
        class
    }

    fn with(&mut self, class: u32, list: u32) -> u32 {
        if let Some(known) = self.joined.get(&(class, list)) {
            return *known;
        }
        let mut set = self.sets.get(class as usize).cloned().unwrap_or_default();
        if let Err(place) = set.binary_search(&list) {
            set.insert(place, list);
        }
        let both = self.of(set);
        self.joined.insert((class, list), both);
        both
    }
}

/// `shields` has the lists whose members a rule at once drops, with the rule's cell, in order.
#[expect(clippy::too_many_arguments, reason = "all of them are of one call")]
pub fn encode(
    cells: &mut Cells,
    rows: &mut Rows,
    lists: &[AddressList],
    bits: &[Option<u16>],
    src: &Asked,
    dst: &Asked,
    shields: &[(usize, u32)],
    family: u8,
) -> Result<Encoded, TooLarge> {
    let mut classes = Classes::default();
    classes.of(Set::new());
    let mut hosts: Vec<(u32, u32)> = Vec::new();
    let mut events: Vec<(u128, u32, bool)> = Vec::new();
    let last = if family == 4 { u32::MAX.into() } else { u128::MAX };
    for (number, list) in (0..).zip(lists) {
        let (single, wide): (Vec<_>, Vec<_>) =
            list.entries.iter().partition(|(from, to)| family == 4 && from == to);
        hosts.extend(single.into_iter().map(|(address, _)| (address as u32, number)));
        for (from, to) in normal(wide) {
            events.push((from, number, true));
            if to < last {
                events.push((to + 1, number, false));
            }
        }
    }
    events.sort_unstable();
    let bounds = sweep(&mut classes, &events);
    let tree = match (bounds.as_slice(), family) {
        ([(0, 0)], _) => [0; 3],
        (_, 4) => tree32(cells, &bounds),
        _ => tree128(cells, &bounds),
    };
    let hosts = buckets(cells, &classify(&mut classes, hosts, &bounds))?;
    let first = cells.reserve(classes.sets.len());
    let (src, dst) = (Side::new(rows, src, lists), Side::new(rows, dst, lists));
    for (cell, set) in (first..).zip(&classes.sets) {
        let shield = shields.iter().find(|(list, _)| set.contains(&(*list as u32)));
        let mut class = Class {
            src_row: src.row(rows, cells, set),
            dst_row: dst.row(rows, cells, set),
            shield: shield.map_or(0, |(_, rule)| *rule),
            member: [0; 13],
        };
        for bit in set.iter().filter_map(|list| bits.get(*list as usize).copied().flatten()) {
            if let Some(word) = class.member.get_mut(usize::from(bit) / 32) {
                *word |= 1 << (bit % 32);
            }
        }
        cells.set(cell, class.cell());
    }
    Ok(Encoded { classes: first, hosts, tree })
}

/// The class of each interval.
fn sweep(classes: &mut Classes, events: &[(u128, u32, bool)]) -> Bounds<u128> {
    let mut bounds = vec![(0, 0)];
    let mut set = Set::new();
    let mut rest = events;
    while let Some((key, ..)) = rest.first() {
        let count = rest.iter().take_while(|event| event.0 == *key).count();
        let (here, after) = rest.split_at(count);
        for (_, list, on) in here {
            match (set.binary_search(list), on) {
                (Err(place), true) => set.insert(place, *list),
                (Ok(place), false) => {
                    set.remove(place);
                }
                _ => {}
            }
        }
        let class = classes.of(set.clone());
        match bounds.last_mut() {
            Some((at, payload)) if at == key => *payload = class,
            Some((_, payload)) if *payload == class => {}
            _ => bounds.push((*key, class)),
        }
        rest = after;
    }
    bounds
}

/// The class of each single address, which is also in the prefixes around it.
fn classify(classes: &mut Classes, mut hosts: Vec<(u32, u32)>, bounds: &Bounds<u128>) -> Vec<(u32, u32)> {
    hosts.sort_unstable();
    hosts.dedup();
    let mut classified: Vec<(u32, u32)> = Vec::with_capacity(hosts.len());
    let mut interval = bounds.iter().peekable();
    let mut around = 0;
    for (address, list) in hosts {
        while let Some((_, class)) = interval.next_if(|(key, _)| *key <= address.into()) {
            around = *class;
        }
        match classified.last_mut() {
            Some((same, class)) if *same == address => *class = classes.with(*class, list),
            _ => classified.push((address, classes.with(around, list))),
        }
    }
    classified
}

/// Puts hosts into buckets: first cell, mask and seed.
fn buckets(cells: &mut Cells, hosts: &[(u32, u32)]) -> Result<[u32; 3], TooLarge> {
    if hosts.is_empty() {
        return Ok([0; 3]);
    }
    // Buckets are half full at most: of those, one in twenty has to use the second place.
    let mut count = hosts.len().div_ceil(BUCKET_HOSTS as usize / 2).next_power_of_two();
    for seed in 0..8 {
        let mask = count as u32 - 1;
        if let Some(filled) = fill(hosts, seed, mask) {
            let first = cells.next();
            cells.0.extend(filled);
            return Ok([first, mask, seed]);
        }
        if seed % 2 == 1 {
            count *= 2;
        }
    }
    Err(TooLarge(format!("{} addresses of lists find no place", hosts.len())))
}

fn fill(hosts: &[(u32, u32)], seed: u32, mask: u32) -> Option<Vec<[u64; 8]>> {
    let mut filled = vec![[0u64; 8]; mask as usize + 1];
    for (address, class) in hosts {
        let (first, second) = hash::buckets(*address, seed, mask);
        let entry = u64::from(*address) | u64::from(*class) << 32;
        let mut put = |bucket: u32| {
            let free = filled.get_mut(bucket as usize)?.iter_mut().find(|pair| **pair == 0)?;
            *free = entry;
            Some(())
        };
        put(first).or_else(|| put(second))?;
    }
    Some(filled)
}

/// The rules that ask lists for one of the two addresses.
struct Side {
    /// The row of an address in no list.
    base: Row,
    /// Per list, the rules that ask it.
    asked: Map<u32, Vec<(usize, bool)>>,
}

impl Side {
    fn new(rows: &Rows, asked: &Asked, lists: &[AddressList]) -> Side {
        let mut side = Side { base: rows.without([]), asked: Map::default() };
        for (rule, is) in asked {
            // The rest is for the candidate's test.
            if lists.get(is.value).is_some_and(|list| list.dynamic) {
                continue;
            }
            side.base.set(*rule, is.not);
            side.asked.entry(is.value as u32).or_default().push((*rule, is.not));
        }
        side
    }

    fn row(&self, rows: &mut Rows, cells: &mut Cells, set: &Set) -> u32 {
        let mut row = self.base.clone();
        for (rule, not) in set.iter().filter_map(|list| self.asked.get(list)).flatten() {
            row.set(*rule, !not);
        }
        rows.intern(cells, &mut row)
    }
}
