//! What part of a packet tells its connection from others, by protocol.

/// What stands in the port fields of a protocol's tuples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Source and destination port, the first four bytes of the upper layer.
    Both,
    /// The identifier of a query.
    Identifier,
    /// Nothing: its connections are told apart by their addresses.
    None,
}

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const DCCP: u8 = 33; // RFC 4340
pub const GRE: u8 = 47; // RFC 2784; its key may differ between the directions, so it tells nothing
pub const ESP: u8 = 50; // RFC 4303; each direction has an SPI of its own
pub const ICMPV6: u8 = 58;
pub const SCTP: u8 = 132; // RFC 9260
pub const UDP_LITE: u8 = 136; // RFC 3828

#[inline(always)]
pub fn ports(protocol: u8) -> Ports {
    match protocol {
        TCP | UDP | UDP_LITE | SCTP | DCCP => Ports::Both,
        ICMP | ICMPV6 => Ports::Identifier,
        _ => Ports::None,
    }
}

/// Whether an upper layer of `bytes` bytes has all that tracking looks at; what is cut short is invalid.
#[inline(always)]
pub fn is_whole(protocol: u8, bytes: u32) -> bool {
    let least = match protocol {
        TCP => 20,
        UDP | UDP_LITE | ICMP | ICMPV6 => 8,
        SCTP | DCCP => 12,
        _ => 0,
    };
    bytes >= least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_by_protocol() {
        for protocol in [6, 17, 33, 132, 136] {
            assert_eq!(ports(protocol), Ports::Both, "{protocol}");
        }
        for protocol in [1, 58] {
            assert_eq!(ports(protocol), Ports::Identifier, "{protocol}");
        }
        for protocol in [2, 4, 41, 47, 50, 51, 89, 112, 255] {
            assert_eq!(ports(protocol), Ports::None, "{protocol}");
        }
    }

    #[test]
    fn short_headers_are_noticed() {
        assert!(is_whole(TCP, 20) && !is_whole(TCP, 19));
        assert!(is_whole(UDP, 8) && !is_whole(UDP, 7));
        assert!(is_whole(SCTP, 12) && !is_whole(SCTP, 11));
        assert!(is_whole(GRE, 0) && is_whole(ESP, 0));
    }
}
