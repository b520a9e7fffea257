//! Sorted boundaries, laid out as `router_common::rules::tree` searches them.

use router_common::maps::image::{Cell, KEYS32, KEYS64, SUBTREE};

/// The cells of an image under construction.
#[derive(Default)]
pub struct Cells(pub Vec<Cell>);

impl Cells {
    /// Index of the next cell.
    pub fn next(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn push(&mut self, cell: Cell) -> u32 {
        self.0.push(cell);
        self.next() - 1
    }

    /// Room for cells that are filled in later.
    pub fn reserve(&mut self, count: usize) -> u32 {
        let first = self.next();
        self.0.resize(self.0.len() + count, [0; 8]);
        first
    }

    pub fn set(&mut self, index: u32, cell: Cell) {
        if let Some(place) = self.0.get_mut(index as usize) {
            *place = cell;
        }
    }

    /// Words, sixteen per cell.
    pub fn words(&mut self, words: &[u32]) -> u32 {
        let first = self.next();
        self.0.extend(words.chunks(16).map(cell_of));
        first
    }
}

/// A cell of at most sixteen words.
pub fn cell_of(words: &[u32]) -> Cell {
    let mut cell = [0; 8];
    for (place, pair) in cell.iter_mut().zip(words.chunks(2)) {
        let word = |n: usize| u64::from(pair.get(n).copied().unwrap_or(0));
        *place = word(0) | word(1) << 32;
    }
    cell
}

/// Boundaries in ascending order, the first 0, each with the payload of the interval that it begins.
pub type Bounds<K> = Vec<(K, u32)>;

/// Words of a tree in the image: cells, number of nodes, payloads.
pub type Words = [u32; 3];

pub fn tree32(cells: &mut Cells, bounds: &Bounds<u128>) -> Words {
    let order = layout(bounds.len(), KEYS32 as usize);
    let bound = |n: &usize| bounds.get(*n).copied().unwrap_or_default();
    let keys: Vec<u32> = order.iter().map(|n| bound(n).0 as u32).collect();
    let payloads: Vec<u32> = order.iter().map(|n| bound(n).1).collect();
    let first = cells.words(&keys);
    [first, cells.next() - first, cells.words(&payloads)]
}

fn tree64(cells: &mut Cells, bounds: &Bounds<u64>) -> Words {
    let order = layout(bounds.len(), KEYS64 as usize);
    let bound = |n: &usize| bounds.get(*n).copied().unwrap_or_default();
    let first = cells.next();
    for node in order.chunks(KEYS64 as usize) {
        let mut cell = [0; 8];
        for (place, n) in cell.iter_mut().zip(node) {
            *place = bound(n).0;
        }
        cells.push(cell);
    }
    let payloads: Vec<u32> = order.iter().map(|n| bound(n).1).collect();
    [first, cells.next() - first, cells.words(&payloads)]
}

/// IPv6: a tree over the upper halves, and one over the lower halves below each of them that has boundaries inside.
pub fn tree128(cells: &mut Cells, bounds: &Bounds<u128>) -> Words {
    let mut upper: Bounds<u64> = Vec::new();
    let mut rest = bounds.as_slice();
    let mut current = bounds.first().map_or(0, |(_, payload)| *payload);
    while let Some((key, _)) = rest.first() {
        let high = (key >> 64) as u64;
        let count = rest.iter().take_while(|(key, _)| (key >> 64) as u64 == high).count();
        let (inside, after) = rest.split_at(count);
        let mut lower: Bounds<u64> = Vec::new();
        if inside.first().is_some_and(|(key, _)| *key as u64 != 0) {
            lower.push((0, current));
        }
        lower.extend(inside.iter().map(|(key, payload)| (*key as u64, *payload)));
        let last = lower.last().map_or(current, |(_, payload)| *payload);
        if lower.len() == 1 {
            upper.push((high, last));
        } else {
            let words = tree64(cells, &lower);
            upper.push((high, SUBTREE | cells.push(cell_of(&words))));
            if let Some(next) = high.checked_add(1) {
                upper.push((next, last));
            }
        }
        current = last;
        rest = after;
    }
    // What a subtree put behind itself gives way to a boundary of its own there.
    upper.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    tree64(cells, &upper)
}

/// Which boundary stands at each place of the nodes. The last node is filled with the greatest.
fn layout(count: usize, keys: usize) -> Vec<usize> {
    fn visit(node: usize, nodes: usize, keys: usize, next: &mut usize, order: &mut [usize]) {
        if node >= nodes {
            return;
        }
        for key in 0..keys {
            visit(node * (keys + 1) + 1 + key, nodes, keys, next, order);
            if let Some(place) = order.get_mut(node * keys + key) {
                *place = *next;
            }
            *next += 1;
        }
        visit(node * (keys + 1) + 1 + keys, nodes, keys, next, order);
    }
    let nodes = count.div_ceil(keys);
    let mut order = vec![0; nodes * keys];
    visit(0, nodes, keys, &mut 0, &mut order);
    for place in &mut order {
        *place = (*place).min(count.saturating_sub(1));
    }
    order
}
