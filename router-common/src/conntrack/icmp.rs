//! ICMP and ICMPv6: queries and their replies, errors about other packets, and what is never tracked.
//!
//! RFC 792, RFC 950, RFC 4443, RFC 4620; net/netfilter/nf_conntrack_proto_icmp.c and nf_conntrack_proto_icmpv6.c.

/// What a message is for connection tracking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// Begins a connection, or belongs to one.
    Request,
    /// Belongs to a connection or is invalid.
    Reply,
    /// About the packet that it quotes: related to that packet's connection, or invalid.
    Error,
    /// Neighbour discovery and multicast listeners: untracked.
    Untracked,
    Invalid,
}

/// The [`crate::tuple::Tuple::kind`] of queries: even for requests, odd for the replies to them.
pub mod kind {
    /// Of what is no query.
    pub const NONE: u8 = 0;
    pub const ECHO: u8 = 2;
    pub const TIMESTAMP: u8 = 4;
    pub const INFORMATION: u8 = 6;
    pub const ADDRESS_MASK: u8 = 8;
    pub const ECHO6: u8 = 10;
    pub const NODE_INFORMATION: u8 = 12;

    /// Of the message that answers.
    #[inline(always)]
    pub fn reverse(kind: u8) -> u8 {
        if kind == NONE { NONE } else { kind ^ 1 }
    }

    /// The type that a message of that kind carries, for print and for building one.
    pub fn message_type(kind: u8) -> Option<u8> {
        Some(match kind {
            ECHO => 8,
            3 => 0,
            TIMESTAMP => 13,
            5 => 14,
            INFORMATION => 15,
            7 => 16,
            ADDRESS_MASK => 17,
            9 => 18,
            ECHO6 => 128,
            11 => 129,
            NODE_INFORMATION => 139,
            13 => 140,
            _ => return None,
        })
    }
}

/// The kind of an ICMP message by its type; [`kind::NONE`] for what is no query and no reply.
#[inline(always)]
pub fn kind4(message_type: u8) -> u8 {
    match message_type {
        8 => kind::ECHO,
        0 => kind::ECHO | 1,
        13 => kind::TIMESTAMP,
        14 => kind::TIMESTAMP | 1,
        15 => kind::INFORMATION,
        16 => kind::INFORMATION | 1,
        17 => kind::ADDRESS_MASK,
        18 => kind::ADDRESS_MASK | 1,
        _ => kind::NONE,
    }
}

/// As [`kind4`], for ICMPv6.
#[inline(always)]
pub fn kind6(message_type: u8) -> u8 {
    match message_type {
        128 => kind::ECHO6,
        129 => kind::ECHO6 | 1,
        139 => kind::NODE_INFORMATION,
        140 => kind::NODE_INFORMATION | 1,
        _ => kind::NONE,
    }
}

#[inline(always)]
pub fn message4(message_type: u8) -> Message {
    match message_type {
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        3 | 4 | 5 | 11 | 12 => Message::Error,
        other => by_kind(kind4(other)),
    }
}

#[inline(always)]
pub fn message6(message_type: u8) -> Message {
    match message_type {
        ..=127 => Message::Error,
        // MLD (RFC 2710, RFC 3810), router and neighbour discovery (RFC 4861). Redirects are not among them.
        130..=136 | 143 => Message::Untracked,
        other => by_kind(kind6(other)),
    }
}

#[inline(always)]
fn by_kind(kind: u8) -> Message {
    match (kind, kind & 1) {
        (kind::NONE, _) => Message::Invalid,
        (_, 0) => Message::Request,
        _ => Message::Reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_meet() {
        for (request, reply) in [(8, 0), (13, 14), (15, 16), (17, 18)] {
            assert_eq!(message4(request), Message::Request);
            assert_eq!(message4(reply), Message::Reply);
            assert_eq!(kind::reverse(kind4(request)), kind4(reply));
            assert_eq!(kind::reverse(kind4(reply)), kind4(request));
        }
        for (request, reply) in [(128, 129), (139, 140)] {
            assert_eq!(message6(request), Message::Request);
            assert_eq!(message6(reply), Message::Reply);
            assert_eq!(kind::reverse(kind6(request)), kind6(reply));
        }
        assert_eq!(kind::reverse(kind::NONE), kind::NONE);
    }

    #[test]
    fn kinds_are_of_one_type_each() {
        for message_type in 0..=255 {
            for kind in [kind4(message_type), kind6(message_type)] {
                if kind != kind::NONE {
                    assert_eq!(kind::message_type(kind), Some(message_type));
                }
            }
        }
        assert_eq!(kind::message_type(kind::NONE), None);
        assert_eq!(kind::message_type(14), None);
    }

    #[test]
    fn errors_are_about_others() {
        for message_type in [3, 4, 5, 11, 12] {
            assert_eq!(message4(message_type), Message::Error, "{message_type}");
        }
        for message_type in [1, 2, 3, 4, 100, 127] {
            assert_eq!(message6(message_type), Message::Error, "{message_type}");
        }
    }

    #[test]
    fn neighbours_and_listeners_are_not_tracked() {
        for message_type in [130, 131, 132, 133, 134, 135, 136, 143] {
            assert_eq!(message6(message_type), Message::Untracked, "{message_type}");
        }
    }

    #[test]
    fn the_rest_is_invalid() {
        for message_type in [1, 2, 6, 7, 9, 10, 19, 30, 42, 43, 255] {
            assert_eq!(message4(message_type), Message::Invalid, "{message_type}");
        }
        for message_type in [137, 138, 141, 142, 144, 160, 255] {
            assert_eq!(message6(message_type), Message::Invalid, "{message_type}");
        }
    }
}
