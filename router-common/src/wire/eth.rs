//! Ethernet II.

use crate::cursor::Wire;
use crate::unaligned::{load16, load32, store16, store32};

pub const HEADER_BYTES: u32 = 14;

pub const IPV4: u16 = 0x0800;
pub const IPV6: u16 = 0x86dd;
/// IEEE 802.1Q, 802.1ad.
pub const VLAN: u16 = 0x8100;
pub const QINQ: u16 = 0x88a8;

/// Destination, source, ethertype.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ethernet([u8; 14]);
// SAFETY: bytes only.
unsafe impl Wire for Ethernet {}

impl Ethernet {
    #[inline(always)]
    pub fn ethertype(&self) -> u16 {
        u16::from_be(load16::<12, 14>(&self.0))
    }

    /// Whether the destination is multicast or broadcast (IEEE 802, the I/G bit).
    #[inline(always)]
    pub fn is_group(&self) -> bool {
        let [first, ..] = self.0;
        first & 1 != 0
    }

    #[inline(always)]
    pub fn is_for(&self, mac: &[u8; 6]) -> bool {
        let [a, b, c, d, e, f] = *mac;
        load32::<0, 14>(&self.0) == u32::from_ne_bytes([a, b, c, d])
            && load16::<4, 14>(&self.0) == u16::from_ne_bytes([e, f])
    }

    #[inline(always)]
    pub fn set_macs(&mut self, dst: [u8; 6], src: [u8; 6]) {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (dst, src);
        store32::<0, 14>(&mut self.0, u32::from_ne_bytes([a, b, c, d]));
        store32::<4, 14>(&mut self.0, u32::from_ne_bytes([e, f, g, h]));
        store32::<8, 14>(&mut self.0, u32::from_ne_bytes([i, j, k, l]));
    }

    #[inline(always)]
    pub fn set_ethertype(&mut self, ethertype: u16) {
        store16::<12, 14>(&mut self.0, ethertype.to_be());
    }

    pub fn build(dst: [u8; 6], src: [u8; 6], ethertype: u16) -> Ethernet {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (dst, src);
        let [m, n] = ethertype.to_be_bytes();
        Ethernet([a, b, c, d, e, f, g, h, i, j, k, l, m, n])
    }

    pub fn bytes(&self) -> &[u8; 14] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_written_and_compared_whole() {
        let mut header = Ethernet::build([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12], IPV6);
        assert!(header.is_for(&[1, 2, 3, 4, 5, 6]) && header.is_group() && header.ethertype() == IPV6);
        for at in 0..6 {
            let mut other = [1, 2, 3, 4, 5, 6];
            other[at] ^= 0x80;
            assert!(!header.is_for(&other), "byte {at}");
        }
        header.set_macs([2, 21, 22, 23, 24, 25], [2, 31, 32, 33, 34, 35]);
        assert_eq!(header, Ethernet::build([2, 21, 22, 23, 24, 25], [2, 31, 32, 33, 34, 35], IPV6));
        assert!(!header.is_group());
        header.set_ethertype(IPV4);
        assert_eq!(header.ethertype(), IPV4);
    }
}
