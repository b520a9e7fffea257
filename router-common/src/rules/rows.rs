//! From what is known of a packet to rows of bits.

use super::tree::Tree;
use super::walk::lowest;
use super::{Cells, Walk};
use crate::facts::{Facts, fragment};
use crate::hash;
use crate::maps::image::{
    ALL, BUCKET_HOSTS, Cell, Class, HEADER, Record, SUBTREE, dimension, header, root, word,
};
use crate::wire::ipv6::{self, Halves};

/// Bit of every dimension.
pub const EVERY: u32 = (1 << dimension::COUNT) - 1;

/// Bits of the dimensions that a translated destination changes.
pub const DESTINATION: u32 = 1 << dimension::DST
    | 1 << dimension::DST_PORT
    | 1 << dimension::ANY_PORT
    | 1 << dimension::TYPE
    | 1 << dimension::DST_LIST;

/// Finds the rules of the packet's family; once for all its walks.
#[inline(always)]
pub fn begin<C: Cells>(cells: C, facts: &Facts, walk: &mut Walk) -> Option<()> {
    if walk.root != 0 {
        return Some(());
    }
    let top = cells.cell(HEADER)?;
    walk.root = word(top, if facts.family == 4 { header::ROOT4 } else { header::ROOT6 } as u32);
    let roots = cells.cell(walk.root + 1)?;
    walk.rules = word(roots, root::RULES as u32);
    walk.count = word(roots, root::COUNT as u32);
    walk.dimensions = word(roots, root::DIMENSIONS as u32);
    walk.loaded = 0;
    cells.chunks(walk)
}

/// Makes the walk ready for the packet's rules: looks up the rows of all dimensions in [`Walk::stale`].
#[inline(always)]
pub fn prepare<C: Cells>(cells: C, facts: &Facts, walk: &mut Walk) -> Option<()> {
    begin(cells, facts, walk)?;
    let mut stale = walk.stale & walk.dimensions;
    walk.stale = 0;
    if stale == 0 {
        return Some(());
    }
    for _ in 0..dimension::COUNT {
        if stale == 0 {
            break;
        }
        cells.row(facts, walk, lowest(stale.into()))?;
        stale &= stale.wrapping_sub(1);
    }
    walk.loaded = 0;
    cells.chunks(walk)
}

/// Looks the row of one dimension up.
#[inline(always)]
pub fn row<C: Cells>(cells: C, facts: &Facts, walk: &mut Walk, dimension: u32) -> Option<()> {
    let row = match dimension {
        dimension::PROTOCOL => by_table(cells, walk.root, root::PROTOCOLS, facts.protocol.into())?,
        dimension::STATE => {
            let value = u32::from(facts.state & 7) << 2 | u32::from(facts.nat & 3);
            by_table(cells, walk.root, root::STATES, value)?
        }
        dimension::TYPE => {
            let value = u32::from(facts.src_type & 7) << 3 | u32::from(facts.dst_type & 7);
            by_table(cells, walk.root, root::TYPES, value)?
        }
        dimension::SRC_LIST => {
            walk.src_class = class(cells, facts.family, walk.root, ipv6::halves(&facts.src))?;
            Class::of(cells.cell(walk.src_class)?).src_row
        }
        dimension::DST_LIST => {
            walk.dst_class = class(cells, facts.family, walk.root, ipv6::halves(&facts.dst))?;
            Class::of(cells.cell(walk.dst_class)?).dst_row
        }
        _ => by_tree(cells, facts, walk, dimension)?,
    };
    let place = core::hint::black_box(dimension) & (dimension::COUNT - 1);
    *walk.rows.get_mut(place as usize)? = row;
    Some(())
}

/// Finds the chunks in which a rule may have its bit in every row.
#[inline(always)]
pub fn chunks<C: Cells>(cells: C, walk: &mut Walk) -> Option<()> {
    if walk.is_small() {
        walk.chunks = 1;
        return Some(());
    }
    let mut chunks = u64::MAX;
    for (dimension, row) in (0..).zip(&walk.rows) {
        if *row == ALL {
            continue;
        }
        let [mut bitmap, ..] = *cells.cell(*row)?;
        if dimension == dimension::ANY_PORT {
            let [joined, ..] = *cells.cell(walk.any_port)?;
            bitmap |= joined;
        }
        chunks &= bitmap;
    }
    walk.chunks = chunks;
    Some(())
}

#[inline(always)]
fn tree<C: Cells>(cells: C, root: u32, dimension: u32) -> Option<(Tree, u32)> {
    let cell = cells.cell(root + 2 + (dimension >> 2))?;
    let first = (dimension & 3) * 4;
    let tree =
        Tree { cells: word(cell, first), nodes: word(cell, first + 1), payloads: word(cell, first + 2) };
    Some((tree, word(cell, first + 3)))
}

#[inline(always)]
fn by_tree<C: Cells>(cells: C, facts: &Facts, walk: &mut Walk, dimension: u32) -> Option<u32> {
    let (tree, absent) = tree(cells, walk.root, dimension)?;
    let has_ports = facts.fragment & fragment::LATER == 0;
    let key = match dimension {
        dimension::SRC | dimension::DST => {
            let address = if dimension == dimension::SRC { &facts.src } else { &facts.dst };
            return by_address(cells, tree, facts.family, ipv6::halves(address));
        }
        dimension::SRC_PORT if has_ports => u32::from(facts.src_port),
        dimension::DST_PORT if has_ports => u32::from(facts.dst_port),
        dimension::ANY_PORT if has_ports => {
            walk.any_port = cells.find32(tree, u32::from(facts.dst_port))?;
            u32::from(facts.src_port)
        }
        dimension::ANY_PORT => {
            walk.any_port = absent;
            return Some(absent);
        }
        dimension::SRC_PORT | dimension::DST_PORT => return Some(absent),
        dimension::IN => facts.in_ifindex,
        dimension::OUT => facts.out_ifindex,
        dimension::CONNECTION_MARK => facts.connection_mark,
        dimension::PACKET_MARK => facts.packet_mark,
        _ => facts.routing_mark,
    };
    cells.find32(tree, key)
}

#[inline(always)]
fn by_table<C: Cells>(cells: C, top: u32, table: usize, value: u32) -> Option<u32> {
    let table = word(cells.cell(top + 1)?, table as u32);
    Some(word(cells.cell(table + (value >> 4))?, value))
}

#[inline(always)]
fn by_address<C: Cells>(cells: C, tree: Tree, family: u8, (high, low): Halves) -> Option<u32> {
    if family == 4 {
        return cells.find32(tree, u32::from_be(high as u32));
    }
    let found = cells.find64(tree, u64::from_be(high))?;
    if found & SUBTREE == 0 {
        return Some(found);
    }
    let cell = cells.cell(found & !SUBTREE)?;
    let lower = Tree { cells: word(cell, 0), nodes: word(cell, 1), payloads: word(cell, 2) };
    cells.find64(lower, u64::from_be(low))
}

/// The rule that drops what comes from an address, see [`Class::shield`]; 0: none does.
#[inline(always)]
pub fn shield<C: Cells>(cells: C, family: u8, address: Halves) -> Option<u32> {
    let first = cells.cell(HEADER)?;
    let top = word(first, if family == 4 { header::ROOT4 } else { header::ROOT6 } as u32);
    Some(Class::of(cells.cell(class(cells, family, top, address)?)?).shield)
}

/// The class cell of an address: single ones first, which know of the prefixes around them.
#[inline(always)]
fn class<C: Cells>(cells: C, family: u8, top: u32, address: Halves) -> Option<u32> {
    let roots = cells.cell(top + 1)?;
    let classes = word(roots, root::CLASSES as u32);
    let hosts = word(roots, root::HOSTS as u32);
    if family == 4 && hosts != 0 {
        let key = u32::from_be(address.0 as u32);
        let mask = word(roots, root::HOSTS_MASK as u32);
        let (first, second) = hash::buckets(key, word(roots, root::HOSTS_SEED as u32), mask);
        let bucket = cells.cell(hosts + first)?;
        let found = in_bucket(bucket, key);
        if found != 0 {
            return Some(classes + found);
        }
        // A full bucket sends its further hosts to their second one.
        let [.., last] = *bucket;
        if last >> 32 != 0 {
            let found = in_bucket(cells.cell(hosts + second)?, key);
            if found != 0 {
                return Some(classes + found);
            }
        }
    }
    let (tree, _) = tree(cells, top, dimension::LISTS)?;
    if tree.nodes == 0 {
        return Some(classes);
    }
    Some(classes + by_address(cells, tree, family, address)?)
}

/// The class of the host in a bucket, 0 where it is not there. A pair has the address in its lower word.
#[inline(always)]
fn in_bucket(bucket: &Cell, key: u32) -> u32 {
    const { assert!(BUCKET_HOSTS as usize == size_of::<Cell>() / size_of::<u64>()) };
    let mut found = 0;
    for pair in bucket {
        let other = (pair & 0xffff_ffff) ^ u64::from(key);
        // All ones where there is no difference.
        let same = (other.wrapping_sub(1) & !other) >> 63;
        found |= same.wrapping_neg() & (pair >> 32);
    }
    found as u32
}

/// IPv6, in host order.
#[inline(always)]
pub fn halves(address: &[u8; 16]) -> (u64, u64) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    (u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes([i, j, k, l, m, n, o, p]))
}
