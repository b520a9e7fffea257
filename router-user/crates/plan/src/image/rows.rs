//! Rows of bits over the rules of a family, each chunk and each row there once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use router_common::maps::image::{ALL, CHUNK_RULES, Cell, NONE};

use super::tree::{Bounds, Cells, cell_of};

/// A hasher for words that nobody chooses against us: multiply and rotate.
#[derive(Default)]
pub struct Mix(u64);

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.write_u64(u64::from_le_bytes(word));
        }
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }
}

pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mix>>;

/// The rows of one family.
pub struct Rows {
    count: u32,
    chunks: Map<Cell, u32>,
    rows: Map<Vec<u32>, u32>,
}

/// A row in the making.
#[derive(Clone)]
pub struct Row {
    bits: Vec<Cell>,
    /// References of the chunks as far as they are not dirty.
    references: Vec<u32>,
    dirty: Vec<usize>,
}

impl Row {
    pub fn set(&mut self, rule: usize, on: bool) {
        const CHUNK: usize = CHUNK_RULES as usize;
        if let Some(chunk) = self.bits.get_mut(rule / CHUNK)
            && let Some(word) = chunk.get_mut(rule % CHUNK / 64)
        {
            let bit = 1 << (rule % 64);
            *word = if on { *word | bit } else { *word & !bit };
            if self.dirty.last() != Some(&(rule / CHUNK)) {
                self.dirty.push(rule / CHUNK);
            }
        }
    }
}

impl Rows {
    pub fn new(count: usize) -> Rows {
        let known = [([0; 8], NONE), ([u64::MAX; 8], ALL)];
        Rows { count: count as u32, chunks: known.into_iter().collect(), rows: Map::default() }
    }

    /// The row of these rules' complement: those that don't care.
    pub fn without(&self, rules: impl IntoIterator<Item = usize>) -> Row {
        let chunks = self.count.div_ceil(CHUNK_RULES).max(1) as usize;
        // Beyond the last rule all bits are set, so that a row of all rules is ALL.
        let mut row =
            Row { bits: vec![[u64::MAX; 8]; chunks], references: vec![ALL; chunks], dirty: Vec::new() };
        for rule in rules {
            row.set(rule, false);
        }
        row
    }

    /// The reference of a row, which is put into the image unless it is there.
    pub fn intern(&mut self, cells: &mut Cells, row: &mut Row) -> u32 {
        for chunk in row.dirty.drain(..) {
            if let (Some(bits), Some(reference)) = (row.bits.get(chunk), row.references.get_mut(chunk)) {
                *reference = *self.chunks.entry(*bits).or_insert_with(|| cells.push(*bits));
            }
        }
        if let [single] = row.references.as_slice() {
            return *single;
        }
        if row.references.iter().all(|reference| *reference == ALL) {
            return ALL;
        }
        if row.references.iter().all(|reference| *reference == NONE) {
            return NONE;
        }
        if let Some(known) = self.rows.get(&row.references) {
            return *known;
        }
        let present = || row.references.iter().enumerate().filter(|(_, reference)| **reference != NONE);
        let bitmap = present().fold(0u64, |bitmap, (chunk, _)| bitmap | 1 << chunk);
        let words: Vec<u32> = [bitmap as u32, (bitmap >> 32) as u32]
            .into_iter()
            .chain(present().map(|(_, reference)| *reference))
            .collect();
        let first = cells.next();
        for part in words.chunks(16) {
            cells.push(cell_of(part));
        }
        self.rows.insert(row.references.clone(), first);
        first
    }

    /// The intervals of one dimension. `wanted` has each rule that cares, with the values that it takes: ascending
    /// ranges that do not touch. Gives the boundaries, and the row of the rules that don't care.
    pub fn sweep(
        &mut self,
        cells: &mut Cells,
        wanted: &[(usize, Vec<(u128, u128)>)],
        last: u128,
    ) -> (Bounds<u128>, u32) {
        let mut events: Vec<(u128, usize, bool)> = Vec::new();
        for (rule, ranges) in wanted {
            for (from, to) in ranges {
                events.push((*from, *rule, true));
                if *to < last {
                    events.push((*to + 1, *rule, false));
                }
            }
        }
        events.sort_unstable();
        let mut row = self.without(wanted.iter().map(|(rule, _)| *rule));
        let absent = self.intern(cells, &mut row);
        let mut bounds = Bounds::new();
        if events.first().is_none_or(|(key, ..)| *key != 0) {
            bounds.push((0, absent));
        }
        let mut rest = events.as_slice();
        while let Some((key, ..)) = rest.first() {
            let count = rest.iter().take_while(|event| event.0 == *key).count();
            let (here, after) = rest.split_at(count);
            for (_, rule, on) in here {
                row.set(*rule, *on);
            }
            let reference = self.intern(cells, &mut row);
            if bounds.last().is_none_or(|(_, before)| *before != reference) {
                bounds.push((*key, reference));
            }
            rest = after;
        }
        (bounds, absent)
    }

    /// The rows of a dimension with few values: one reference per value. `wanted` has rules that take the same values,
    /// with whether they take each.
    pub fn table<T>(&mut self, cells: &mut Cells, values: u32, mut wanted: Vec<(Vec<usize>, T)>) -> Vec<u32>
    where
        T: Iterator<Item = bool>,
    {
        let mut row = self.without([]);
        let mut taken = vec![true; wanted.len()];
        (0..values)
            .map(|_| {
                for ((rules, takes), taken) in wanted.iter_mut().zip(&mut taken) {
                    let takes = takes.next().unwrap_or(false);
                    if std::mem::replace(taken, takes) != takes {
                        rules.iter().for_each(|rule| row.set(*rule, takes));
                    }
                }
                self.intern(cells, &mut row)
            })
            .collect()
    }
}
