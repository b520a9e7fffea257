//! Sorted boundaries in a static B-tree: which interval holds a value?
//!
//! A node is one cell. The children of node k stand at k * (keys + 1) + 1 and after, so that no node holds a reference
//! (an Eytzinger layout with wide nodes). The payload of an interval is found by the place of the key that begins it;
//! the least key of every tree is 0, and what is left of the last node repeats the greatest.
//!
//! Comparisons are arithmetic: the verifier would follow both ways of each branch.

use super::Cells;
use crate::maps::image::{Cell, KEYS32, KEYS64, word};

/// Levels of the largest tree: 17^7 and 9^9 keys are more than fit the memory of an image.
const LEVELS32: u32 = 7;
const LEVELS64: u32 = 9;

/// Where a tree stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree {
    pub cells: u32,
    pub nodes: u32,
    pub payloads: u32,
}

/// The payload of the interval that holds `key`; None in a damaged image.
#[inline(always)]
pub fn find32<C: Cells>(cells: C, tree: Tree, key: u32) -> Option<u32> {
    let mut node = 0;
    let mut place = 0;
    for _ in 0..LEVELS32 {
        if node >= tree.nodes {
            break;
        }
        let below = count32(cells.cell(tree.cells.wrapping_add(node))?, key);
        place = later(place, node * KEYS32, below);
        node = node * (KEYS32 + 1) + 1 + below;
    }
    payload(cells, tree, place)
}

/// As [`find32`].
#[inline(always)]
pub fn find64<C: Cells>(cells: C, tree: Tree, key: u64) -> Option<u32> {
    let mut node = 0;
    let mut place = 0;
    for _ in 0..LEVELS64 {
        if node >= tree.nodes {
            break;
        }
        let below = count64(cells.cell(tree.cells.wrapping_add(node))?, key);
        place = later(place, node * KEYS64, below);
        node = node * (KEYS64 + 1) + 1 + below;
    }
    payload(cells, tree, place)
}

/// The place of the last of a node's keys that is not above, if any is.
#[inline(always)]
fn later(place: u32, first: u32, below: u32) -> u32 {
    let any = (core::hint::black_box(below.wrapping_neg()) as i32 >> 31) as u32;
    place & !any | first.wrapping_add(below).wrapping_sub(1) & any
}

#[inline(always)]
fn payload<C: Cells>(cells: C, tree: Tree, place: u32) -> Option<u32> {
    Some(word(cells.cell(tree.payloads.wrapping_add(place >> 4))?, place))
}

/// How many of the node's keys are not above `key`.
#[inline(always)]
fn count32(node: &Cell, key: u32) -> u32 {
    let above = core::hint::black_box(u64::from(key) + 1);
    let mut count = 0;
    for pair in node {
        // The highest bit of the difference is set where the key is less than `above`.
        count += (pair & 0xffff_ffff).wrapping_sub(above) >> 63;
        count += (pair >> 32).wrapping_sub(above) >> 63;
    }
    count as u32
}

/// As [`count32`].
#[inline(always)]
fn count64(node: &Cell, key: u64) -> u32 {
    let mut above = 0;
    for bound in node {
        // The borrow of `key - bound` (Hacker's Delight, 2-13).
        let borrow = (!key & bound) | ((!key | bound) & key.wrapping_sub(*bound));
        above += borrow >> 63;
    }
    KEYS64 - above as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::tests::Slice;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::vec::Vec;

    /// Lays sorted boundaries and payloads out as an image has them: in order of the nodes, depth first.
    fn place<const KEYS: usize>(nodes: usize, node: usize, next: &mut usize, order: &mut Vec<usize>) {
        if node >= nodes {
            return;
        }
        for key in 0..KEYS {
            place::<KEYS>(nodes, node * (KEYS + 1) + 1 + key, next, order);
            order[node * KEYS + key] = *next;
            *next += 1;
        }
        place::<KEYS>(nodes, node * (KEYS + 1) + 1 + KEYS, next, order);
    }

    fn layout<const KEYS: usize>(count: usize) -> Vec<usize> {
        let nodes = count.div_ceil(KEYS);
        let mut order = std::vec![0; nodes * KEYS];
        place::<KEYS>(nodes, 0, &mut 0, &mut order);
        order.into_iter().map(|place| place.min(count - 1)).collect()
    }

    fn payload_cells(values: &[u32]) -> Vec<Cell> {
        values
            .chunks(16)
            .map(|chunk| {
                let mut cell = [0; 8];
                for (place, value) in chunk.iter().enumerate() {
                    cell[place / 2] |= u64::from(*value) << (32 * (place % 2));
                }
                cell
            })
            .collect()
    }

    proptest! {
        #[test]
        fn the_interval_is_the_one_a_map_finds(
            bounds in prop::collection::btree_map(any::<u32>(), any::<u32>(), 0..700),
            keys in prop::collection::vec(any::<u32>(), 50),
        ) {
            let mut bounds = bounds;
            bounds.entry(0).or_insert(7);
            let sorted: Vec<(u32, u32)> = bounds.iter().map(|(k, v)| (*k, *v)).collect();
            let order = layout::<16>(sorted.len());
            let mut cells = payload_cells(&order.iter().map(|o| sorted[*o].0).collect::<Vec<_>>());
            let nodes = cells.len() as u32;
            cells.extend(payload_cells(&order.iter().map(|o| sorted[*o].1).collect::<Vec<_>>()));
            let cells: &'static [Cell] = cells.leak();
            let tree = Tree { cells: 0, nodes, payloads: nodes };
            let probes = keys.into_iter().chain(sorted.iter().flat_map(|(k, _)| [*k, k.wrapping_sub(1), k.wrapping_add(1)]));
            for key in probes.chain([0, u32::MAX]) {
                let expected = bounds.range(..=key).next_back().map(|(_, v)| *v);
                prop_assert_eq!(find32(Slice(cells), tree, key), expected, "{}", key);
            }
        }

        #[test]
        fn wide_keys_too(
            bounds in prop::collection::btree_map(any::<u64>(), any::<u32>(), 0..300),
            keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let mut bounds: BTreeMap<u64, u32> = bounds;
            bounds.entry(0).or_insert(7);
            let sorted: Vec<(u64, u32)> = bounds.iter().map(|(k, v)| (*k, *v)).collect();
            let order = layout::<8>(sorted.len());
            let flat: Vec<u64> = order.iter().map(|o| sorted[*o].0).collect();
            let mut cells: Vec<Cell> = flat.chunks(8).map(|c| c.try_into().unwrap()).collect();
            let nodes = cells.len() as u32;
            cells.extend(payload_cells(&order.iter().map(|o| sorted[*o].1).collect::<Vec<_>>()));
            let cells: &'static [Cell] = cells.leak();
            let tree = Tree { cells: 0, nodes, payloads: nodes };
            let probes = keys.into_iter().chain(sorted.iter().flat_map(|(k, _)| [*k, k.wrapping_sub(1), k.wrapping_add(1)]));
            for key in probes.chain([0, u64::MAX]) {
                let expected = bounds.range(..=key).next_back().map(|(_, v)| *v);
                prop_assert_eq!(find64(Slice(cells), tree, key), expected, "{}", key);
            }
        }
    }

    #[test]
    fn a_damaged_tree_is_no_answer() {
        let tree = Tree { cells: 0, nodes: 9, payloads: 900 };
        assert_eq!(find32(Slice(&[[1; 8]]), tree, 5), None);
    }
}
