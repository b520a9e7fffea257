//! ICMP and ICMPv6: the numbers that the pipeline speaks (RFC 792, RFC 1812, RFC 4443).

use crate::csum;
use crate::cursor::Wire;
use crate::unaligned::{store16, store32};
use crate::verdict::Reason;
use crate::wire::ipv6::next;

pub const PROTOCOL: u8 = 1;
pub const HEADER_BYTES: u32 = 8;

/// Type, code, checksum; four bytes that are unused or the MTU: RFC 1191 puts it in the last two of them, RFC 4443 in
/// all.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp([u8; 8]);
// SAFETY: bytes only.
unsafe impl Wire for Icmp {}

impl Icmp {
    /// Writes the header of an error. `mtu_bytes` is that of "fragmentation needed" and "packet too big", else 0;
    /// `sum` adds up what follows the header, and for ICMPv6 the pseudo-header, in native word order.
    #[inline(always)]
    pub fn write(&mut self, error: ErrorKind, mtu_bytes: u32, sum: u64) {
        let first = u32::from_ne_bytes([error.kind, error.code, 0, 0]);
        let rest = mtu_bytes.to_be();
        store32::<0, 8>(&mut self.0, first);
        store16::<2, 8>(&mut self.0, csum::finish(sum + u64::from(first) + u64::from(rest)));
        store32::<4, 8>(&mut self.0, rest);
    }
}

/// ICMP messages that must not be answered with an error (RFC 1812, 4.3.2.7): all errors. What is unknown counts as
/// an error, as in Linux (net/ipv4/icmp.c, `icmp_pointers`).
pub fn is_error4(kind: u8) -> bool {
    !matches!(kind, 0 | 8 | 9 | 10 | 13 | 14 | 15 | 16 | 17 | 18)
}

/// ICMPv6 messages that must not be answered with an error: errors and redirects (RFC 4443, 2.4 e).
pub fn is_error6(kind: u8) -> bool {
    kind < 128 || kind == 137
}

/// Neighbour and router discovery (RFC 4861).
pub fn is_discovery(kind: u8) -> bool {
    matches!(kind, 133..=137)
}

/// Type and code of an error, as they stand in the header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorKind {
    pub kind: u8,
    pub code: u8,
}

/// The ICMP error for a packet dropped under the reason of that number; None where there is none to send
/// (RFC 1812, 4.3.3 and 5.2.7).
#[inline(always)]
pub fn error4(reason: u32) -> Option<ErrorKind> {
    let (kind, code) = match reason {
        TTL_EXCEEDED => (11, 0),
        TOO_BIG => (3, 4),
        NO_ROUTE => (3, 0),
        UNREACHABLE | HOST_UNREACHABLE => (3, 1),
        PROHIBITED => (3, 13),
        REJECT_NETWORK => (3, 0),
        REJECT_HOST => (3, 1),
        REJECT_PROTOCOL => (3, 2),
        REJECT_PORT => (3, 3),
        REJECT_NET_PROHIBITED => (3, 9),
        REJECT_HOST_PROHIBITED => (3, 10),
        REJECT_ADMIN => (3, 13),
        _ => return None,
    };
    Some(ErrorKind { kind, code })
}

/// As [`error4`], for ICMPv6 (RFC 4443, 3.1; RFC 6550, 20.12 and RFC 8883 for codes 7 and 8). An unreachable route reads "no route", as Linux has it.
#[inline(always)]
pub fn error6(reason: u32) -> Option<ErrorKind> {
    let (kind, code) = match reason {
        TTL_EXCEEDED => (3, 0),
        TOO_BIG => (2, 0),
        NO_ROUTE | UNREACHABLE => (1, 0),
        PROHIBITED => (1, 1),
        HOST_UNREACHABLE => (1, 3),
        REJECT_NO_ROUTE => (1, 0),
        REJECT_ADMIN => (1, 1),
        REJECT_NOT_NEIGHBOR => (1, 2),
        REJECT_ADDRESS => (1, 3),
        REJECT_PORT => (1, 4),
        REJECT_SOURCE_POLICY => (1, 5),
        REJECT_SOURCE_ROUTING => (1, 7),
        REJECT_HEADERS_TOO_LONG => (1, 8),
        _ => return None,
    };
    Some(ErrorKind { kind, code })
}

const TTL_EXCEEDED: u32 = Reason::TtlExceeded as u32;
const TOO_BIG: u32 = Reason::TooBig as u32;
const NO_ROUTE: u32 = Reason::NoRoute as u32;
const UNREACHABLE: u32 = Reason::Unreachable as u32;
const HOST_UNREACHABLE: u32 = Reason::HostUnreachable as u32;
const PROHIBITED: u32 = Reason::Prohibited as u32;
const REJECT_NETWORK: u32 = Reason::RejectNetwork as u32;
const REJECT_HOST: u32 = Reason::RejectHost as u32;
const REJECT_PROTOCOL: u32 = Reason::RejectProtocol as u32;
const REJECT_PORT: u32 = Reason::RejectPort as u32;
const REJECT_NET_PROHIBITED: u32 = Reason::RejectNetProhibited as u32;
const REJECT_HOST_PROHIBITED: u32 = Reason::RejectHostProhibited as u32;
const REJECT_ADMIN: u32 = Reason::RejectAdmin as u32;
const REJECT_NO_ROUTE: u32 = Reason::RejectNoRoute as u32;
const REJECT_NOT_NEIGHBOR: u32 = Reason::RejectNotNeighbor as u32;
const REJECT_ADDRESS: u32 = Reason::RejectAddress as u32;
const REJECT_SOURCE_ROUTING: u32 = Reason::RejectSourceRouting as u32;
const REJECT_HEADERS_TOO_LONG: u32 = Reason::RejectHeadersTooLong as u32;
const REJECT_SOURCE_POLICY: u32 = Reason::RejectSourcePolicy as u32;

/// Bytes of an IPv4 error message at most (RFC 1812, 4.3.2.3), and so of the packet that it quotes.
pub const QUOTE4_BYTES: u32 = 576 - 20 - 8;
/// The same for IPv6 (RFC 4443, 2.4 c).
pub const QUOTE6_BYTES: u32 = 1280 - 40 - 8;

/// The sum of the pseudo-header of an ICMPv6 message of `length` bytes (RFC 8200, 8.1), in native word order.
#[inline(always)]
pub fn pseudo6(src: [u32; 4], dst: [u32; 4], length: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (src, dst);
    [a, b, c, d, e, f, g, h].into_iter().map(u64::from).sum::<u64>()
        + u64::from(length.to_be())
        + u64::from(u32::from(next::ICMPV6).to_be())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv6::{halves, words};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn native_sum(bytes: &[u8]) -> u64 {
        let words = bytes.chunks(4).map(|chunk| {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from(u32::from_ne_bytes(word))
        });
        words.sum()
    }

    fn bytes(error: ErrorKind, mtu_bytes: u32, sum: u64) -> Vec<u8> {
        let mut header = Icmp([0; 8]);
        header.write(error, mtu_bytes, sum);
        header.0.to_vec()
    }

    proptest! {
        #[test]
        fn icmp_errors_are_what_etherparse_writes(quote in prop::collection::vec(any::<u8>(), 28..548), mtu: u16) {
            use etherparse::{Icmpv4Header, Icmpv4Type, icmpv4::{DestUnreachableHeader, TimeExceededCode}};
            let kinds = [
                (Reason::TtlExceeded, Icmpv4Type::TimeExceeded(TimeExceededCode::TtlExceededInTransit)),
                (Reason::TooBig, Icmpv4Type::DestinationUnreachable(
                    DestUnreachableHeader::FragmentationNeeded { next_hop_mtu: mtu })),
                (Reason::NoRoute, Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Network)),
                (Reason::Unreachable, Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::Host)),
                (Reason::Prohibited, Icmpv4Type::DestinationUnreachable(DestUnreachableHeader::FilterProhibited)),
            ];
            for (reason, theirs) in kinds {
                let theirs = Icmpv4Header::with_checksum(theirs, &quote);
                let mtu = if reason == Reason::TooBig { u32::from(mtu) } else { 0 };
                let ours = bytes(error4(reason as u32).unwrap(), mtu, native_sum(&quote));
                prop_assert_eq!(ours, theirs.to_bytes().to_vec(), "{:?}", reason);
            }
        }

        #[test]
        fn icmpv6_errors_are_what_etherparse_writes(
            quote in prop::collection::vec(any::<u8>(), 48..1232), mtu: u32, src: [u8; 16], dst: [u8; 16],
        ) {
            use etherparse::{Icmpv6Header, Icmpv6Type, icmpv6::{DestUnreachableCode, TimeExceededCode}};
            let kinds = [
                (Reason::TtlExceeded, Icmpv6Type::TimeExceeded(TimeExceededCode::HopLimitExceeded)),
                (Reason::TooBig, Icmpv6Type::PacketTooBig { mtu }),
                (Reason::NoRoute, Icmpv6Type::DestinationUnreachable(DestUnreachableCode::NoRoute)),
                (Reason::Prohibited, Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Prohibited)),
                (Reason::HostUnreachable, Icmpv6Type::DestinationUnreachable(DestUnreachableCode::Address)),
            ];
            for (reason, theirs) in kinds {
                let theirs = Icmpv6Header::with_checksum(theirs, src, dst, &quote).unwrap();
                let mtu = if reason == Reason::TooBig { mtu } else { 0 };
                let sum = pseudo6(words(halves(&src)), words(halves(&dst)), quote.len() as u32 + 8);
                let ours = bytes(error6(reason as u32).unwrap(), mtu, sum + native_sum(&quote));
                prop_assert_eq!(ours, theirs.to_bytes().to_vec(), "{:?}", reason);
            }
        }
    }

    #[test]
    fn errors_are_never_answered_with_errors() {
        for kind in [3, 4, 5, 11, 12] {
            assert!(is_error4(kind), "{kind}");
        }
        for kind in [0, 8, 13, 14] {
            assert!(!is_error4(kind), "{kind}");
        }
        for kind in [1, 2, 3, 4, 127, 137] {
            assert!(is_error6(kind), "{kind}");
        }
        for kind in [128, 129, 135, 143] {
            assert!(!is_error6(kind), "{kind}");
        }
    }
}
