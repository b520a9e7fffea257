//! TCP and UDP headers, as far as a translation touches them (RFC 9293, 3.1; RFC 768). Checksums and pairs of ports are
//! words as they stand in memory.

use crate::cursor::Wire;
use crate::unaligned::{load16, load32, store16, store32};

#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp([u8; 20]);
// SAFETY: bytes only.
unsafe impl Wire for Tcp {}

impl Tcp {
    #[inline(always)]
    pub fn ports(&self) -> u32 {
        load32::<0, 20>(&self.0)
    }

    #[inline(always)]
    pub fn set_ports(&mut self, ports: u32) {
        store32::<0, 20>(&mut self.0, ports);
    }

    #[inline(always)]
    pub fn seq(&self) -> u32 {
        u32::from_be(load32::<4, 20>(&self.0))
    }

    #[inline(always)]
    pub fn ack(&self) -> u32 {
        u32::from_be(load32::<8, 20>(&self.0))
    }

    /// Data offset, flags and window.
    #[inline(always)]
    fn fourth(&self) -> [u8; 4] {
        load32::<12, 20>(&self.0).to_ne_bytes()
    }

    #[inline(always)]
    pub fn header_bytes(&self) -> u32 {
        let [offset, ..] = self.fourth();
        u32::from(offset >> 4) * 4
    }

    #[inline(always)]
    pub fn flags(&self) -> u8 {
        let [_, flags, ..] = self.fourth();
        flags
    }

    #[inline(always)]
    pub fn window(&self) -> u16 {
        let [_, _, high, low] = self.fourth();
        u16::from_be_bytes([high, low])
    }

    #[inline(always)]
    pub fn checksum(&self) -> u16 {
        load16::<16, 20>(&self.0)
    }

    #[inline(always)]
    pub fn set_checksum(&mut self, checksum: u16) {
        store16::<16, 20>(&mut self.0, checksum);
    }
}

#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Udp([u8; 8]);
// SAFETY: bytes only.
unsafe impl Wire for Udp {}

impl Udp {
    #[inline(always)]
    pub fn ports(&self) -> u32 {
        load32::<0, 8>(&self.0)
    }

    #[inline(always)]
    pub fn set_ports(&mut self, ports: u32) {
        store32::<0, 8>(&mut self.0, ports);
    }

    #[inline(always)]
    pub fn checksum(&self) -> u16 {
        load16::<6, 8>(&self.0)
    }

    #[inline(always)]
    pub fn set_checksum(&mut self, checksum: u16) {
        store16::<6, 8>(&mut self.0, checksum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_where_etherparse_puts_them() {
        let mut theirs = etherparse::TcpHeader::new(0x1234, 0x5678, 0x9abc_def0, 0x4321);
        theirs.acknowledgment_number = 0x1357_9bdf;
        theirs.ack = true;
        theirs.fin = true;
        theirs.checksum = 0xabcd;
        let mut ours = Tcp(theirs.to_bytes().as_slice().try_into().unwrap());
        assert_eq!((ours.seq(), ours.ack(), ours.window()), (0x9abc_def0, 0x1357_9bdf, 0x4321));
        assert_eq!((ours.flags(), ours.header_bytes()), (17, 20));
        assert_eq!(ours.ports().to_ne_bytes(), [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(ours.checksum().to_ne_bytes(), [0xab, 0xcd]);
        ours.set_ports(u32::from_ne_bytes([1, 2, 3, 4]));
        ours.set_checksum(u16::from_ne_bytes([5, 6]));
        let theirs = etherparse::TcpHeader::from_slice(&ours.0).unwrap().0;
        assert_eq!((theirs.source_port, theirs.destination_port, theirs.checksum), (0x102, 0x304, 0x506));

        let mut ours = Udp([0, 53, 0x80, 0, 0, 8, 0xaa, 0xbb]);
        assert_eq!(ours.ports().to_ne_bytes(), [0, 53, 0x80, 0]);
        assert_eq!(ours.checksum().to_ne_bytes(), [0xaa, 0xbb]);
        ours.set_ports(0);
        ours.set_checksum(0);
        assert_eq!(ours.0, [0, 0, 0, 0, 0, 8, 0, 0]);
    }
}
