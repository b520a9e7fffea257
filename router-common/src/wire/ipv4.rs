//! The IPv4 header (RFC 791), read in 32-bit words because that is what the checksum adds up.

use crate::csum;
use crate::cursor::Wire;
use crate::unaligned::{load16, load32, store16, store32};

pub const HEADER_BYTES: u32 = 20;
/// More words of options do not fit the header length field.
pub const MAX_OPTION_WORDS: u32 = 10;

#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4([u8; 20]);
// SAFETY: bytes only.
unsafe impl Wire for Ipv4 {}

impl Ipv4 {
    /// Version and header length, type of service, total length.
    #[inline(always)]
    fn first(&self) -> [u8; 4] {
        load32::<0, 20>(&self.0).to_ne_bytes()
    }

    #[inline(always)]
    pub fn version_and_length(&self) -> u8 {
        let [byte, ..] = self.first();
        byte
    }

    /// Whether the header is longer than 20 bytes, or no IPv4 header at all.
    #[inline(always)]
    pub fn has_options(&self) -> bool {
        self.version_and_length() != 0x45
    }

    #[inline(always)]
    pub fn tos(&self) -> u8 {
        let [_, tos, ..] = self.first();
        tos
    }

    #[inline(always)]
    pub fn total_length(&self) -> u16 {
        let [_, _, high, low] = self.first();
        u16::from_be_bytes([high, low])
    }

    /// Flags and fragment offset as one word.
    #[inline(always)]
    fn fragment_word(&self) -> u16 {
        u16::from_be(load16::<6, 20>(&self.0))
    }

    #[inline(always)]
    pub fn dont_fragment(&self) -> bool {
        self.fragment_word() & 0x4000 != 0
    }

    /// Part of a fragmented packet.
    #[inline(always)]
    pub fn is_fragment(&self) -> bool {
        self.fragment_word() & 0x3fff != 0
    }

    /// A fragment other than the first.
    #[inline(always)]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment_word() & 0x1fff != 0
    }

    /// TTL, protocol and checksum in one piece.
    #[inline(always)]
    pub fn third_word(&self) -> [u8; 4] {
        load32::<8, 20>(&self.0).to_ne_bytes()
    }

    #[inline(always)]
    pub fn ttl(&self) -> u8 {
        let [ttl, ..] = self.third_word();
        ttl
    }

    #[inline(always)]
    pub fn protocol(&self) -> u8 {
        let [_, protocol, ..] = self.third_word();
        protocol
    }

    #[inline(always)]
    pub fn src(&self) -> [u8; 4] {
        load32::<12, 20>(&self.0).to_ne_bytes()
    }

    #[inline(always)]
    pub fn dst(&self) -> [u8; 4] {
        load32::<16, 20>(&self.0).to_ne_bytes()
    }

    /// The sum of the 20 bytes in native word order: 0xffff when folded where the checksum is right.
    #[inline(always)]
    pub fn sum(&self) -> u64 {
        u64::from(load32::<0, 20>(&self.0))
            + u64::from(load32::<4, 20>(&self.0))
            + u64::from(load32::<8, 20>(&self.0))
            + u64::from(load32::<12, 20>(&self.0))
            + u64::from(load32::<16, 20>(&self.0))
    }

    /// Lowers the TTL by one and adjusts the checksum. The TTL must not be 0.
    #[inline(always)]
    pub fn decrement_ttl(&mut self) {
        let third = decremented(self.third_word());
        store32::<8, 20>(&mut self.0, u32::from_ne_bytes(third));
    }

    /// Replaces both addresses; `delta` is what checksums over them change by, see [`csum::changed`].
    #[inline(always)]
    pub fn readdress(&mut self, src: [u8; 4], dst: [u8; 4], delta: u64) {
        let csum = csum::changed(load16::<10, 20>(&self.0), delta);
        store16::<10, 20>(&mut self.0, csum);
        store32::<12, 20>(&mut self.0, u32::from_ne_bytes(src));
        store32::<16, 20>(&mut self.0, u32::from_ne_bytes(dst));
    }

    /// Writes a header without options; the fragment word is 0.
    #[inline(always)]
    pub fn write(&mut self, total_length: u16, tos: u8, ttl: u8, protocol: u8, src: [u8; 4], dst: [u8; 4]) {
        let [high, low] = total_length.to_be_bytes();
        let first = u32::from_ne_bytes([0x45, tos, high, low]);
        let third = u32::from_ne_bytes([ttl, protocol, 0, 0]);
        let (src, dst) = (u32::from_ne_bytes(src), u32::from_ne_bytes(dst));
        let csum = csum::finish([first, third, src, dst].into_iter().map(u64::from).sum());
        store32::<0, 20>(&mut self.0, first);
        store32::<4, 20>(&mut self.0, 0);
        store32::<8, 20>(&mut self.0, third);
        store16::<10, 20>(&mut self.0, csum);
        store32::<12, 20>(&mut self.0, src);
        store32::<16, 20>(&mut self.0, dst);
    }

    pub fn build(total_length: u16, tos: u8, ttl: u8, protocol: u8, src: [u8; 4], dst: [u8; 4]) -> Ipv4 {
        let mut header = Ipv4([0; 20]);
        header.write(total_length, tos, ttl, protocol, src, dst);
        header
    }

    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// The third word of the header with the TTL lowered by one and the checksum adjusted: the TTL is the high byte of a
/// 16-bit word, so that the checksum grows by 0x100 (RFC 1141; RFC 1624 for the carry).
#[inline(always)]
pub fn decremented(third: [u8; 4]) -> [u8; 4] {
    let [ttl, protocol, high, low] = third;
    let sum = u32::from(u16::from_be_bytes([high, low])) + 0x100;
    let csum = (sum + u32::from(sum >= 0xffff)) as u16;
    let [high, low] = csum.to_be_bytes();
    [ttl.wrapping_sub(1), protocol, high, low]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ttl_decrement_keeps_the_checksum_right(length: u16, tos: u8, ttl in 1u8.., protocol: u8, src: [u8; 4], dst: [u8; 4]) {
            let mut header = Ipv4::build(length, tos, ttl, protocol, src, dst);
            prop_assert_eq!(csum::fold(header.sum()), 0xffff);
            header.decrement_ttl();
            prop_assert_eq!(header, Ipv4::build(length, tos, ttl - 1, protocol, src, dst));
        }

        #[test]
        fn new_addresses_keep_the_checksum_right(length: u16, ttl: u8, src: [u8; 4], dst: [u8; 4], to: [u8; 4], from: [u8; 4]) {
            let mut header = Ipv4::build(length, 0, ttl, 17, src, dst);
            let word = |old: [u8; 4], new: [u8; 4]| {
                u64::from(!u32::from_ne_bytes(old)) + u64::from(u32::from_ne_bytes(new))
            };
            header.readdress(from, to, word(src, from) + word(dst, to));
            prop_assert_eq!(header, Ipv4::build(length, 0, ttl, 17, from, to));
        }

        #[test]
        fn built_header_is_what_etherparse_writes(payload in 0u16..1480, tos in 0u8..64, ttl: u8, src: [u8; 4], dst: [u8; 4]) {
            let mut theirs = etherparse::Ipv4Header::new(payload, ttl, etherparse::IpNumber::UDP, src, dst).unwrap();
            theirs.dscp = etherparse::IpDscp::try_new(tos).unwrap();
            theirs.dont_fragment = false;
            theirs.header_checksum = theirs.calc_header_checksum();
            let ours = Ipv4::build(payload + 20, tos << 2, ttl, 17, src, dst);
            prop_assert_eq!(ours.bytes().to_vec(), theirs.to_bytes().to_vec());
        }
    }
}
