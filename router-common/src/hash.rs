//! Where an address stands in a per-CPU cache.

use crate::maps::route::ROUTE_SLOTS;

/// 2^64 divided by the golden ratio: the top bits of a product with it depend on all bits of the other factor.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const SHIFT: u32 = 64 - ROUTE_SLOTS.trailing_zeros();

#[inline(always)]
pub fn slot4(address: u32, ingress: u32) -> u32 {
    ((u64::from(address) | u64::from(ingress) << 32).wrapping_mul(GOLDEN) >> SHIFT) as u32
}

#[inline(always)]
pub fn slot6(high: u64, low: u64, ingress: u32) -> u32 {
    let mixed = (high ^ u64::from(ingress)).wrapping_mul(GOLDEN) ^ low;
    (mixed.wrapping_mul(GOLDEN) >> SHIFT) as u32
}

/// Which epoch guards an address, see [`crate::maps::rule::LIST_EPOCHS`].
#[inline(always)]
pub fn epoch(address: &[u8; 16]) -> u32 {
    let (high, low) = crate::rules::rows::halves(address);
    let mixed = high.wrapping_mul(GOLDEN) ^ low;
    (mixed.wrapping_mul(GOLDEN) >> (64 - crate::maps::rule::EPOCHS_MAX.trailing_zeros())) as u32
}

/// The two buckets of an address in a table of `mask + 1`.
#[inline(always)]
pub fn buckets(address: u32, seed: u32, mask: u32) -> (u32, u32) {
    let mixed = (u64::from(address) | u64::from(seed) << 32).wrapping_mul(GOLDEN);
    let mixed = (mixed ^ mixed >> 32).wrapping_mul(GOLDEN);
    ((mixed >> 32) as u32 & mask, (mixed >> 8) as u32 & mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn neighbouring_addresses_spread() {
        let of = |n: u32| slot4(u32::from_ne_bytes([192, 0, (n >> 8) as u8, n as u8]), 2);
        let slots: BTreeSet<u32> = (0..1024).map(of).collect();
        assert!(slots.len() > 800, "{} of 1024", slots.len());
        assert!(slots.iter().all(|slot| *slot < ROUTE_SLOTS));
        let of = |n: u64| slot6(u64::from_ne_bytes([0x20, 1, 0xd, 0xb8, 0, 1, 0, 0]), n.to_be(), 2);
        let slots: BTreeSet<u32> = (0..1024).map(of).collect();
        assert!(slots.len() > 800, "{} of 1024", slots.len());
        assert!(slots.iter().all(|slot| *slot < ROUTE_SLOTS));
    }
}
