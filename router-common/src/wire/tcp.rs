//! The TCP header of a segment that answers one, without payload (RFC 9293, 3.1 and 3.10.7.1).

use crate::csum;
use crate::cursor::Wire;
use crate::unaligned::{store16, store32};

pub const PROTOCOL: u8 = 6;
pub const HEADER_BYTES: u32 = 20;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp([u8; 20]);
// SAFETY: bytes only.
unsafe impl Wire for Tcp {}

/// What answers a segment: sequence and acknowledgment number, flags and window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    pub seq: u32,
    pub ack: u32,
    pub flags: u8,
    pub window: u8,
}

impl Answer {
    /// A reset; None where the segment resets itself. `l4_bytes` are those of the segment, header and payload.
    #[inline(always)]
    pub fn reset(header: &[u8; 20], l4_bytes: u32) -> Option<Answer> {
        let [_, _, _, _, a, b, c, d, e, f, g, h, offset, flags, ..] = *header;
        if flags & RST != 0 {
            return None;
        }
        if flags & ACK != 0 {
            return Some(Answer { seq: u32::from_be_bytes([e, f, g, h]), ack: 0, flags: RST, window: 0 });
        }
        // It acknowledges all that the segment occupies.
        let payload = l4_bytes.wrapping_sub(u32::from(offset >> 4) * 4);
        let occupied = payload + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        let ack = u32::from_be_bytes([a, b, c, d]).wrapping_add(occupied);
        Some(Answer { seq: 0, ack, flags: RST | ACK, window: 0 })
    }

    /// Accepts a connection and lets nothing through, as the target TARPIT of xtables-addons: a window of a few bytes for
    /// who opens, of none from then on. None where there is nothing to hold.
    #[inline(always)]
    pub fn tarpit(header: &[u8; 20]) -> Option<Answer> {
        const OPEN: u8 = 5;
        let [_, _, _, _, a, b, c, d, e, f, g, h, _, flags, ..] = *header;
        let (syn, ack) = (flags & SYN != 0, flags & ACK != 0);
        if flags & (RST | FIN) != 0 || !syn && !ack {
            return None;
        }
        let seq = if ack { u32::from_be_bytes([e, f, g, h]) } else { 0 };
        if syn && ack {
            return Some(Answer { seq, ack: 0, flags: RST, window: 0 });
        }
        let window = if syn { OPEN } else { 0 };
        let acknowledged = u32::from_be_bytes([a, b, c, d]).wrapping_add(syn.into());
        Some(Answer { seq, ack: acknowledged, flags: flags & SYN | ACK, window })
    }
}

impl Tcp {
    /// Writes the header. `ports` are source and destination as they stand in the header; `sum` adds up the
    /// pseudo-header in native word order. `unfinished`: whoever sends the segment finishes the checksum.
    #[inline(always)]
    pub fn write(&mut self, ports: u32, answer: Answer, sum: u64, unfinished: bool) {
        let fourth = u32::from_ne_bytes([5 << 4, answer.flags, 0, answer.window]);
        let words = [ports, answer.seq.to_be(), answer.ack.to_be(), fourth];
        let whole = sum + words.into_iter().map(u64::from).sum::<u64>();
        let [first, second, third, fourth] = words;
        store32::<0, 20>(&mut self.0, first);
        store32::<4, 20>(&mut self.0, second);
        store32::<8, 20>(&mut self.0, third);
        store32::<12, 20>(&mut self.0, fourth);
        store16::<16, 20>(&mut self.0, if unfinished { csum::fold(sum) } else { csum::finish(whole) });
        store16::<18, 20>(&mut self.0, 0);
    }
}

/// What the pseudo-header adds beside the addresses (RFC 9293, 3.1; RFC 8200, 8.1), in native word order.
#[inline(always)]
pub fn pseudo() -> u64 {
    u64::from(u32::from(PROTOCOL).to_be()) + u64::from(HEADER_BYTES.to_be())
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::TcpHeader;
    use proptest::prelude::*;

    #[test]
    fn a_tarpit_opens_and_then_holds() {
        let segment = |flags: u8| {
            let mut header = TcpHeader::new(4000, 80, 1000, 100);
            (header.syn, header.ack) = (flags & SYN != 0, flags & ACK != 0);
            (header.fin, header.rst) = (flags & FIN != 0, flags & RST != 0);
            header.acknowledgment_number = 5000;
            Answer::tarpit(header.to_bytes().as_slice().try_into().unwrap())
        };
        let answer = |seq, ack, flags, window| Some(Answer { seq, ack, flags, window });
        assert_eq!(segment(SYN), answer(0, 1001, SYN | ACK, 5));
        assert_eq!(segment(ACK), answer(5000, 1000, ACK, 0));
        assert_eq!(segment(SYN | ACK), answer(5000, 0, RST, 0));
        for silent in [0, FIN, FIN | ACK, RST, RST | ACK] {
            assert_eq!(segment(silent), None, "{silent}");
        }
    }

    proptest! {
        #[test]
        fn a_reset_is_what_etherparse_writes(
            src: [u8; 4], dst: [u8; 4], source: u16, destination: u16, seq: u32, ack: u32, flags in 0u8..32, payload in 0u32..99,
        ) {
            let mut segment = TcpHeader::new(source, destination, seq, 100);
            segment.acknowledgment_number = ack;
            (segment.fin, segment.syn, segment.rst) = (flags & FIN != 0, flags & SYN != 0, flags & RST != 0);
            (segment.psh, segment.ack) = (flags & 8 != 0, flags & ACK != 0);
            let bytes: [u8; 20] = segment.to_bytes().as_slice().try_into().unwrap();
            let reset = Answer::reset(&bytes, 20 + payload);
            prop_assert_eq!(reset.is_none(), segment.rst);
            let Some(reset) = reset else { return Ok(()) };
            let mut expected = TcpHeader::new(destination, source, reset.seq, 0);
            (expected.rst, expected.ack) = (true, !segment.ack);
            if segment.ack {
                prop_assert_eq!(reset.seq, ack);
            } else {
                expected.acknowledgment_number =
                    seq.wrapping_add(payload + u32::from(segment.syn) + u32::from(segment.fin));
            }
            expected.checksum = expected.calc_checksum_ipv4_raw(dst, src, &[]).unwrap();
            let [a, b] = destination.to_be_bytes();
            let [c, d] = source.to_be_bytes();
            let addresses = u64::from(u32::from_ne_bytes(src)) + u64::from(u32::from_ne_bytes(dst));
            let mut written = Tcp([0; 20]);
            written.write(u32::from_ne_bytes([a, b, c, d]), reset, addresses + pseudo(), false);
            prop_assert_eq!(written.0.to_vec(), expected.to_bytes().to_vec());
            // Unfinished: the rest of the segment makes it whole.
            let mut partial = Tcp([0; 20]);
            partial.write(u32::from_ne_bytes([a, b, c, d]), reset, addresses + pseudo(), true);
            prop_assert_eq!(csum::finish(csum::sum(&partial.0)), expected.checksum);
        }
    }
}
