//! The 5-tuple of a packet as it is on the wire, and where the flow table keeps it.

use crate::conntrack::icmp::kind;
use crate::wire::ipv6::{Halves, halves};

/// Addresses, ports and protocol in the direction of travel. IPv4 addresses stand in the first four bytes, the others
/// are zero; the family is known beside it.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tuple {
    pub src: [u8; 16],
    pub dst: [u8; 16],
    /// Of TCP, UDP, SCTP, DCCP, UDP-Lite. ICMP queries have their identifier in both, what has no ports zeros.
    pub src_port_be: [u8; 2],
    pub dst_port_be: [u8; 2],
    pub protocol: u8,
    /// One of [`crate::conntrack::icmp::kind`]: tells the queries of ICMP apart, and from their replies.
    pub kind: u8,
    pub reserved: [u8; 2],
}
crate::assert_size!(Tuple, 40);

/// A tuple as the tables compare it: without what a family leaves zero. IPv4 has two words, IPv6 five.
pub type Key4 = [u64; 2];
pub type Key6 = [u64; 5];

impl Tuple {
    /// The tuple of the answer.
    #[inline(always)]
    pub fn reverse(&self) -> Tuple {
        Tuple {
            src: self.dst,
            dst: self.src,
            src_port_be: self.dst_port_be,
            dst_port_be: self.src_port_be,
            kind: kind::reverse(self.kind),
            ..*self
        }
    }

    /// The five words of its memory.
    #[inline(always)]
    fn memory(&self) -> &[u64; 5] {
        const {
            assert!(
                size_of::<Tuple>() == size_of::<[u64; 5]>() && align_of::<Tuple>() == align_of::<[u64; 5]>()
            )
        };
        // SAFETY: of the same size and alignment; bytes without padding.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    /// As `self == other`, word by word: a comparison of arrays would be a loop over their bytes on BPF.
    #[inline(always)]
    pub fn is_same(&self, other: &Tuple) -> bool {
        let ([a, b, c, d, e], [f, g, h, i, j]) = (self.memory(), other.memory());
        a == f && b == g && c == h && d == i && e == j
    }

    /// As [`Tuple::reverse`], into memory that is there: no copy stands on the stack.
    #[inline(always)]
    pub fn reverse_into(&self, to: &mut Tuple) {
        let [a, b, c, d, _] = *self.memory();
        let (src_port_be, dst_port_be, kind) = (self.src_port_be, self.dst_port_be, self.kind);
        // SAFETY: as for `memory`.
        unsafe { core::ptr::from_mut(to).cast::<[u64; 4]>().write([c, d, a, b]) };
        to.src_port_be = dst_port_be;
        to.dst_port_be = src_port_be;
        to.protocol = self.protocol;
        to.kind = kind::reverse(kind);
        to.reserved = [0; 2];
    }

    /// Ports, protocol and kind in one word.
    #[inline(always)]
    fn upper(&self) -> u64 {
        let ([a, b], [c, d]) = (self.src_port_be, self.dst_port_be);
        u64::from_ne_bytes([a, b, c, d, self.protocol, self.kind, 0, 0])
    }

    #[inline(always)]
    pub fn key4(&self) -> Key4 {
        let ([a, b, c, d, ..], [e, f, g, h, ..]) = (self.src, self.dst);
        [u64::from_ne_bytes([a, b, c, d, e, f, g, h]), self.upper()]
    }

    #[inline(always)]
    pub fn key6(&self) -> Key6 {
        let ((a, b), (c, d)) = (halves(&self.src), halves(&self.dst));
        [a, b, c, d, self.upper()]
    }
}

/// The key of an IPv4 packet from its header's words: addresses as they stand, `ports` the first four bytes of the
/// upper layer.
#[inline(always)]
pub fn key4(src: u32, dst: u32, ports: u32, protocol: u8, kind: u8) -> Key4 {
    [
        u64::from(src) | u64::from(dst) << 32,
        u64::from(ports) | u64::from(protocol) << 32 | u64::from(kind) << 40,
    ]
}

/// As [`key4`].
#[inline(always)]
pub fn key6(src: Halves, dst: Halves, ports: u32, protocol: u8, kind: u8) -> Key6 {
    let [_, upper] = key4(0, 0, ports, protocol, kind);
    [src.0, src.1, dst.0, dst.1, upper]
}

/// Odd, and without a pattern: the fraction of the golden ratio, and of the square root of two.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const ROOT: u64 = 0x6a09_e667_f3bc_c909;

#[inline(always)]
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(GOLDEN);
    mixed ^ mixed >> 32
}

#[inline(always)]
fn finish(hash: u64) -> u64 {
    let mixed = hash.wrapping_mul(ROOT);
    mixed ^ mixed >> 29
}

/// Where a key stands, see [`Place`]. The seed is random for each table, so that nobody outside can fill one bucket.
#[inline(always)]
pub fn hash4([a, b]: Key4, seed: u64) -> Place {
    Place(finish(mix(mix(seed, a), b)))
}

/// As [`hash4`].
#[inline(always)]
pub fn hash6([a, b, c, d, e]: Key6, seed: u64) -> Place {
    Place(finish(mix(mix(mix(mix(mix(seed, a), b), c), d), e)))
}

/// The buckets that may hold a key, and what tells it from most others there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(pub u64);

/// Buckets that may hold a key.
pub const CHOICES: u32 = 3;
/// Buckets of a large table that are looked into first: 1 MB, which stays in the caches and needs few entries of the TLB.
const NEAR: u32 = 1 << 14;

/// How many buckets of a table of `mask + 1` are apart from the others and filled first: 0 in one that is hardly larger.
#[inline(always)]
pub fn near(mask: u32) -> u32 {
    if mask >= 4 * NEAR { NEAR } else { 0 }
}

impl Place {
    /// The buckets that may hold the key in a table of `mask + 1`. In a large one the first is [`near`], and the others
    /// are asked where that is full.
    #[inline(always)]
    pub fn buckets(self, mask: u32) -> [u32; CHOICES as usize] {
        let near = near(mask);
        let first = if near == 0 { mask } else { NEAR - 1 };
        let span = u64::from(mask.wrapping_add(1).wrapping_sub(near));
        // The highest bits of 32 count, so the two have eight in common, and neither has any with the tag.
        let among = |bits: u64| near.wrapping_add((((bits & 0xffff_ffff) * span) >> 32) as u32);
        [self.0 as u32 & first, among(self.0 >> 14), among(self.0 >> 24)]
    }

    /// 1 to 254: 0 says that a place is free, 255 that it is [`crate::maps::flow::FILLING`].
    #[inline(always)]
    pub fn tag(self) -> u8 {
        (((self.0 >> 56) * 254) >> 8) as u8 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn tuple(n: u32) -> Tuple {
        let [_, a, b, c] = n.to_be_bytes();
        let mut tuple = Tuple { protocol: 17, dst_port_be: [0, 53], src_port_be: [b, c], ..Tuple::default() };
        tuple.src[..4].copy_from_slice(&[10, 0, a, b]);
        tuple.dst[..4].copy_from_slice(&[192, 0, 2, 1]);
        tuple
    }

    proptest! {
        #[test]
        fn the_reverse_of_the_reverse_is_the_tuple(
            src: [u8; 16], dst: [u8; 16], ports: [u8; 4], protocol: u8, kind in 2u8..14,
        ) {
            let [a, b, c, d] = ports;
            let tuple =
                Tuple { src, dst, src_port_be: [a, b], dst_port_be: [c, d], protocol, kind, reserved: [0; 2] };
            prop_assert_eq!(tuple.reverse().reverse(), tuple);
            prop_assert_eq!(tuple.reverse().src, dst);
            let mut reverse = Tuple::default();
            tuple.reverse_into(&mut reverse);
            prop_assert_eq!(reverse, tuple.reverse());
            prop_assert!(reverse.is_same(&tuple.reverse()) && (tuple == reverse) == tuple.is_same(&reverse));
        }

        #[test]
        fn a_key_from_the_header_is_the_tuples(src: [u8; 16], dst: [u8; 16], ports: [u8; 4], protocol: u8, kind: u8) {
            let [a, b, c, d] = ports;
            let tuple =
                Tuple { src, dst, src_port_be: [a, b], dst_port_be: [c, d], protocol, kind, reserved: [0; 2] };
            let word = u32::from_ne_bytes(ports);
            let first = |address: [u8; 16]| u32::from_ne_bytes([address[0], address[1], address[2], address[3]]);
            prop_assert_eq!(key4(first(src), first(dst), word, protocol, kind), tuple.key4());
            prop_assert_eq!(key6(halves(&src), halves(&dst), word, protocol, kind), tuple.key6());
        }
    }

    /// Inserted as the programs do, 84 % of all places are taken before a key finds none.
    #[test]
    fn neighbouring_tuples_spread() {
        for buckets in [256, 16384u32, 1 << 17] {
            let mut load = vec![0u8; buckets as usize];
            let limit = if near(buckets - 1) == 0 { 8 } else { 16 };
            for n in 0..(f64::from(buckets) * 16.0 * 0.84) as u32 {
                let mut tuple = tuple(n);
                tuple.dst[3] = (n >> 16) as u8;
                let place = hash4(tuple.key4(), 0x1234_5678_9abc_def0);
                let [first, a, b] = place.buckets(buckets - 1).map(|number| number as usize);
                let emptier = if load[a] <= load[b] { a } else { b };
                let bucket = if load[first] < limit { first } else { emptier };
                load[bucket] += 1;
                assert!(load[bucket] <= 16, "{buckets}: {n}");
            }
        }
        let tags: Vec<u32> = (0..65536).fold(vec![0; 256], |mut tags, n| {
            tags[usize::from(hash4(tuple(n).key4(), 7).tag())] += 1;
            tags
        });
        assert_eq!((tags[0], tags[255]), (0, 0));
        assert!(tags[1..255].iter().all(|count| (128..600).contains(count)), "{tags:?}");
    }
}
