//! The Internet checksum, whole and incremental (RFC 1071, RFC 1624).

/// Folds a sum of 32-bit words, or of 16-bit words, to 16 bits.
#[inline(always)]
pub fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Sums bytes as big-endian 16-bit words; an odd last byte counts as if a zero followed it.
pub fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let last = words.remainder().first().map_or(0, |byte| u64::from(*byte) << 8);
    words.fold(last, |sum, word| match word {
        [high, low] => sum + u64::from(u16::from_be_bytes([*high, *low])),
        _ => sum,
    })
}

/// The checksum of what sums up to `sum`, in the byte order in which it was summed.
#[inline(always)]
pub fn finish(sum: u64) -> u16 {
    !fold(sum)
}

/// Adjusts a checksum for one changed 16-bit word, all in host order (RFC 1624, equation 3).
/// The older form of RFC 1141 can give 0xffff where the checksum is 0.
#[inline(always)]
pub fn replace(csum: u16, old: u16, new: u16) -> u16 {
    finish(u64::from(!csum) + u64::from(!old) + u64::from(new))
}

/// A checksum whose data changed: `delta` adds up the complements of the words that were there and the words that are
/// there now (RFC 1624, equation 3), in the byte order of the checksum.
#[inline(always)]
pub fn changed(csum: u16, delta: u64) -> u16 {
    finish(u64::from(!csum) + delta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rfc1071_example() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7])), 0xddf2);
    }

    #[test]
    fn rfc1624_example_does_not_give_ffff() {
        assert_eq!(replace(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn replacing_a_word_equals_summing_anew(mut bytes in prop::collection::vec(any::<u8>(), 4..64), new: u16, at: prop::sample::Index) {
            let at = at.index(bytes.len() / 2) * 2;
            bytes[0] |= 1; // all-zero data has two representations of its sum
            let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            let before = finish(sum(&bytes));
            bytes[at..at + 2].copy_from_slice(&new.to_be_bytes());
            if bytes.iter().any(|byte| *byte != 0) {
                prop_assert_eq!(replace(before, old, new), finish(sum(&bytes)));
            }
        }

        #[test]
        fn words_of_32_bits_fold_to_the_same(words in prop::collection::vec(any::<[u8; 4]>(), 1..16)) {
            let wide: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
            prop_assert_eq!(fold(wide), fold(sum(words.as_flattened())));
        }
    }
}
