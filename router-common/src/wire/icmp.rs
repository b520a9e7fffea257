//! ICMP and ICMPv6: the numbers that the pipeline speaks (RFC 792, RFC 1812, RFC 4443).

use crate::cursor::Wire;

pub const PROTOCOL: u8 = 1;
pub const HEADER_BYTES: u32 = 8;

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    pub kind: u8,
    pub code: u8,
    pub checksum_be: [u8; 2],
    /// Unused, or the MTU: RFC 1191 puts it in the last two bytes, RFC 4443 in all four.
    pub rest_be: [u8; 4],
}
// SAFETY: bytes only.
unsafe impl Wire for Icmp {}

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
