//! The IPv6 header and its extension headers (RFC 8200).

use crate::cursor::Wire;
use crate::unaligned::{load32, load64, store32, store64};

pub const HEADER_BYTES: u32 = 40;

/// Version, traffic class, flow label; payload length, next header, hop limit; source, destination.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6([u8; 40]);
// SAFETY: bytes only.
unsafe impl Wire for Ipv6 {}

/// An address in two native words.
pub type Halves = (u64, u64);

impl Ipv6 {
    /// Version, traffic class, flow label.
    #[inline(always)]
    pub fn first_word(&self) -> [u8; 4] {
        load32::<0, 40>(&self.0).to_ne_bytes()
    }

    #[inline(always)]
    pub fn version(&self) -> u8 {
        let [byte, ..] = self.first_word();
        byte >> 4
    }

    /// Payload length, next header, hop limit.
    #[inline(always)]
    fn second_word(&self) -> [u8; 4] {
        load32::<4, 40>(&self.0).to_ne_bytes()
    }

    #[inline(always)]
    pub fn payload_length(&self) -> u16 {
        let [high, low, ..] = self.second_word();
        u16::from_be_bytes([high, low])
    }

    #[inline(always)]
    pub fn next_header(&self) -> u8 {
        let [_, _, next, _] = self.second_word();
        next
    }

    #[inline(always)]
    pub fn hop_limit(&self) -> u8 {
        let [_, _, _, limit] = self.second_word();
        limit
    }

    #[inline(always)]
    pub fn set_hop_limit(&mut self, value: u8) {
        let [_, _, _, _, _, _, _, limit, ..] = &mut self.0;
        *limit = value;
    }

    #[inline(always)]
    pub fn src_halves(&self) -> Halves {
        (load64::<8, 40>(&self.0), load64::<16, 40>(&self.0))
    }

    #[inline(always)]
    pub fn dst_halves(&self) -> Halves {
        (load64::<24, 40>(&self.0), load64::<32, 40>(&self.0))
    }

    #[inline(always)]
    pub fn src(&self) -> [u8; 16] {
        join(self.src_halves())
    }

    #[inline(always)]
    pub fn dst(&self) -> [u8; 16] {
        join(self.dst_halves())
    }

    #[inline(always)]
    pub fn readdress(&mut self, src: Halves, dst: Halves) {
        store64::<8, 40>(&mut self.0, src.0);
        store64::<16, 40>(&mut self.0, src.1);
        store64::<24, 40>(&mut self.0, dst.0);
        store64::<32, 40>(&mut self.0, dst.1);
    }

    /// Writes the whole header; traffic class and flow label are 0.
    #[inline(always)]
    pub fn write(&mut self, payload_length: u16, next_header: u8, hop_limit: u8, src: Halves, dst: Halves) {
        let [high, low] = payload_length.to_be_bytes();
        store32::<0, 40>(&mut self.0, u32::from_ne_bytes([0x60, 0, 0, 0]));
        store32::<4, 40>(&mut self.0, u32::from_ne_bytes([high, low, next_header, hop_limit]));
        store64::<8, 40>(&mut self.0, src.0);
        store64::<16, 40>(&mut self.0, src.1);
        store64::<24, 40>(&mut self.0, dst.0);
        store64::<32, 40>(&mut self.0, dst.1);
    }

    pub fn build(payload_length: u16, next_header: u8, hop_limit: u8, src: [u8; 16], dst: [u8; 16]) -> Ipv6 {
        let mut header = Ipv6([0; 40]);
        header.write(payload_length, next_header, hop_limit, halves(&src), halves(&dst));
        header
    }

    pub fn bytes(&self) -> &[u8; 40] {
        &self.0
    }
}

/// The address that two native words are.
#[inline(always)]
pub fn join((high, low): Halves) -> [u8; 16] {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (high.to_ne_bytes(), low.to_ne_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// An address as two words, in the order of memory.
#[inline(always)]
pub fn halves(address: &[u8; 16]) -> Halves {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *address;
    (u64::from_ne_bytes([a, b, c, d, e, f, g, h]), u64::from_ne_bytes([i, j, k, l, m, n, o, p]))
}

/// Two native words as four, little end first.
#[inline(always)]
pub fn words((high, low): Halves) -> [u32; 4] {
    const { assert!(cfg!(target_endian = "little")) };
    [high as u32, (high >> 32) as u32, low as u32, (low >> 32) as u32]
}

/// The inverse of [`words`].
#[inline(always)]
pub fn pairs([a, b, c, d]: [u32; 4]) -> Halves {
    (u64::from(a) | u64::from(b) << 32, u64::from(c) | u64::from(d) << 32)
}

/// The address that four native words are.
#[inline(always)]
pub fn bytes(words: [u32; 4]) -> [u8; 16] {
    let [[a, b, c, d], [e, f, g, h], [i, j, k, l], [m, n, o, p]] = words.map(u32::to_ne_bytes);
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// Protocol numbers of extension headers (IANA, "IPv6 Extension Header Types").
pub mod next {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const ESP: u8 = 50;
    pub const AUTHENTICATION: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NONE: u8 = 59;
    pub const DESTINATION: u8 = 60;
    pub const MOBILITY: u8 = 135;
    pub const HIP: u8 = 139;
    pub const SHIM6: u8 = 140;

    /// Whether the header before which it stands is an extension header that can be walked over. ESP is not: what
    /// follows it is hidden.
    #[inline(always)]
    pub fn is_extension(next: u8) -> bool {
        matches!(
            next,
            HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION | MOBILITY | HIP | SHIM6
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_and_bytes_of_an_address_are_the_same(address: [u8; 16]) {
            prop_assert_eq!(join(halves(&address)), address);
            prop_assert_eq!(bytes(words(halves(&address))), address);
            prop_assert_eq!(pairs(words(halves(&address))), halves(&address));
        }

        #[test]
        fn built_header_is_what_etherparse_writes(payload: u16, next: u8, limit: u8, src: [u8; 16], dst: [u8; 16]) {
            let theirs = etherparse::Ipv6Header {
                payload_length: payload,
                next_header: next.into(),
                hop_limit: limit,
                source: src,
                destination: dst,
                ..Default::default()
            };
            let ours = Ipv6::build(payload, next, limit, src, dst);
            prop_assert_eq!(ours.bytes(), &theirs.to_bytes());
            prop_assert_eq!((ours.payload_length(), ours.next_header(), ours.hop_limit()), (payload, next, limit));
            prop_assert_eq!((ours.src(), ours.dst()), (src, dst));
        }
    }
}
