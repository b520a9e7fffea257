//! `content`: bytes anywhere in a packet's payload.

use core::hint::black_box;

use crate::maps::image::Cell;
use crate::maps::rule::{PAYLOAD_BYTES, Payload};
use crate::rules::walk::lowest;
use crate::unaligned;

/// Bytes that can be looked for.
pub const CONTENT_BYTES: usize = 64;
/// Places that [`is_within`] looks at.
pub const STRIDE: u32 = 32;

/// Whether `pattern` stands in the payload, whose length is `length`, at one of [`STRIDE`] places from `from` on. It is
/// `bytes` long, from 1 to [`CONTENT_BYTES`]; `mask` has all ones where it has bytes.
#[inline(always)]
pub fn is_within(payload: &Payload, length: u32, from: u32, pattern: &Cell, mask: &Cell, bytes: u32) -> bool {
    let places = (length + 1).saturating_sub(from).saturating_sub(bytes);
    let ([first, ..], [first_mask, ..]) = (*pattern, *mask);
    // Without branches, each of which the verifier would follow at each place.
    let mut candidates = 0;
    for place in 0..STRIDE {
        let differs = word(payload, from + place, 0) & first_mask ^ first;
        // 1 where there is no difference. Hidden from LLVM, which would make a branch of it.
        let same = (black_box(differs.wrapping_sub(1)) & !differs) >> 63;
        candidates |= (same as u32) << place;
    }
    if places < STRIDE {
        candidates &= (1 << places) - 1;
    }
    for _ in 0..STRIDE {
        if candidates == 0 {
            break;
        }
        let place = lowest(candidates.into());
        let mut differs = 0;
        for (number, (pattern, mask)) in (0..).zip(pattern.iter().zip(mask)) {
            differs |= word(payload, from + place, number) & mask ^ pattern;
        }
        if black_box(differs) == 0 {
            return true;
        }
        candidates &= candidates.wrapping_sub(1);
    }
    false
}

/// Eight bytes, so many words behind a place.
#[inline(always)]
fn word(payload: &Payload, at: u32, words: usize) -> u64 {
    const { assert!(PAYLOAD_BYTES.is_power_of_two() && size_of::<Payload>() == PAYLOAD_BYTES + CONTENT_BYTES) };
    // Hidden from LLVM, which else drops the mask that the verifier needs.
    let at = black_box(at) as usize & (PAYLOAD_BYTES - 1);
    // SAFETY: inside the payload, whose zeros are as long as a pattern.
    let bytes: &[u8; 8] = unsafe { &*payload.as_ptr().add(at).add(words * 8).cast() };
    u64::from_le(unaligned::load64::<0, 8>(bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(payload: &[u8], pattern: &[u8]) -> bool {
        let mut memory = [0; PAYLOAD_BYTES + CONTENT_BYTES];
        memory[..payload.len()].copy_from_slice(payload);
        let mut cell = [0u8; CONTENT_BYTES];
        cell[..pattern.len()].copy_from_slice(pattern);
        let of = |bytes: [u8; CONTENT_BYTES]| -> Cell {
            core::array::from_fn(|n| u64::from_le_bytes(bytes[n * 8..n * 8 + 8].try_into().unwrap()))
        };
        let mut mask = [0; CONTENT_BYTES];
        mask[..pattern.len()].fill(255);
        let (cell, mask) = (of(cell), of(mask));
        (0..PAYLOAD_BYTES as u32)
            .step_by(STRIDE as usize)
            .any(|from| is_within(&memory, payload.len() as u32, from, &cell, &mask, pattern.len() as u32))
    }

    #[test]
    fn it_is_found_at_both_ends_and_not_beyond() {
        assert!(found(b"GET / HTTP/1.1", b"GET"));
        assert!(found(b"GET / HTTP/1.1", b"1.1"));
        assert!(!found(b"GET / HTTP/1.1", b"1.10"));
        assert!(!found(b"GET", b"GET\0"));
        assert!(!found(b"", b"x"));
        let long = [b'a'; PAYLOAD_BYTES];
        assert!(found(&long, &[b'a'; CONTENT_BYTES]));
        assert!(!found(&long, b"b"));
    }

    proptest! {
        #[test]
        fn it_is_what_a_plain_search_finds(
            payload in proptest::collection::vec(0u8..3, 0..200),
            pattern in proptest::collection::vec(0u8..3, 1..20),
        ) {
            let plain = payload.windows(pattern.len()).any(|part| part == pattern);
            prop_assert_eq!(found(&payload, &pattern), plain);
        }
    }
}
