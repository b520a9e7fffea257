//! What kind of address it is: martians and scopes.
//!
//! RFC 1812 5.3.7 and 5.3.5, RFC 6890; RFC 4291, RFC 6092 REC-1 to REC-3.

use crate::wire::ipv6::Halves;

/// What may be done for the sake of a source or destination address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unicast,
    /// 0.0.0.0 or `::`.
    Unspecified,
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// Stays on its link.
    LinkLocal,
    /// Never on the wire.
    Martian,
    /// Site-local, deprecated and never forwarded (RFC 3879, RFC 6092 REC-3).
    Bogus,
}

#[inline(always)]
pub fn kind4(address: [u8; 4]) -> Kind {
    match address {
        [0, 0, 0, 0] => Kind::Unspecified,
        [0 | 127, ..] => Kind::Martian,
        [224..=239, ..] => Kind::Multicast,
        [255, 255, 255, 255] => Kind::Broadcast,
        [240..=255, ..] => Kind::Martian,
        [169, 254, ..] => Kind::LinkLocal,
        _ => Kind::Unicast,
    }
}

/// The address comes in two native words: taken apart into bytes it would not fit the BPF stack.
#[inline(always)]
pub fn kind6((high, low): Halves) -> Kind {
    let (high, low) = (u64::from_be(high), u64::from_be(low));
    match high >> 54 {
        0x3fc..=0x3ff => return Kind::Multicast,
        // fe80::/10, fec0::/10.
        0x3fa => return Kind::LinkLocal,
        0x3fb => return Kind::Bogus,
        _ => {}
    }
    if high != 0 {
        return Kind::Unicast;
    }
    match low {
        0 => Kind::Unspecified,
        // ::1 and IPv4-compatible ::/96 (RFC 4291, 2.5.5.1), IPv4-mapped ::ffff:0:0/96.
        ..=0xffff_ffff | 0xffff_0000_0000..=0xffff_ffff_ffff => Kind::Martian,
        _ => Kind::Unicast,
    }
}

/// The multicast addresses that neighbours are asked for at (RFC 4291, 2.7.1).
#[inline(always)]
pub fn is_solicited_node((high, low): Halves) -> bool {
    u64::from_be(high) == 0xff02_0000_0000_0000 && u64::from_be(low) >> 24 == 0x0000_0000_01ff
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ipv6::halves;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn kinds_of_ipv4_addresses() {
        for (text, kind) in [
            ("0.0.0.0", Kind::Unspecified),
            ("0.0.0.1", Kind::Martian),
            ("127.0.0.1", Kind::Martian),
            ("126.255.255.255", Kind::Unicast),
            ("169.253.255.255", Kind::Unicast),
            ("169.254.0.1", Kind::LinkLocal),
            ("192.0.2.1", Kind::Unicast),
            ("223.255.255.255", Kind::Unicast),
            ("224.0.0.1", Kind::Multicast),
            ("239.255.255.255", Kind::Multicast),
            ("240.0.0.1", Kind::Martian),
            ("255.255.255.254", Kind::Martian),
            ("255.255.255.255", Kind::Broadcast),
        ] {
            assert_eq!(kind4(text.parse::<Ipv4Addr>().unwrap().octets()), kind, "{text}");
        }
    }

    #[test]
    fn kinds_of_ipv6_addresses() {
        for (text, kind) in [
            ("::", Kind::Unspecified),
            ("::1", Kind::Martian),
            ("::192.0.2.1", Kind::Martian),
            ("::ffff:192.0.2.1", Kind::Martian),
            ("::fffe:192.0.2.1", Kind::Unicast),
            ("64:ff9b::192.0.2.1", Kind::Unicast),
            ("2001:db8::1", Kind::Unicast),
            ("fc00::1", Kind::Unicast),
            ("fe80::1", Kind::LinkLocal),
            ("febf::1", Kind::LinkLocal),
            ("fec0::1", Kind::Bogus),
            ("ff02::1", Kind::Multicast),
        ] {
            assert_eq!(kind6(halves(&text.parse::<Ipv6Addr>().unwrap().octets())), kind, "{text}");
        }
    }

    #[test]
    fn solicited_node_addresses() {
        let is = |text: &str| is_solicited_node(halves(&text.parse::<Ipv6Addr>().unwrap().octets()));
        assert!(is("ff02::1:ff00:1") && is("ff02::1:ffff:ffff"));
        assert!(!is("ff02::1:fe00:1") && !is("ff02::1") && !is("ff05::1:ff00:1") && !is("ff02::1:1:ff00:1"));
    }
}
