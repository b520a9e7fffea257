//! Checks of the headers that forwarding needs; nothing above the IP layer is looked at here.

use crate::csum;
use crate::cursor::{Cursor, Short};
use crate::facts::fragment;
use crate::verdict::Reason;
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6, next};

impl From<Short> for Reason {
    #[inline(always)]
    fn from(_: Short) -> Reason {
        Reason::MalformedHeader
    }
}

/// RFC 1812, 5.2.2: version, header length, total length, header checksum. Gives the length of the packet, header and
/// payload, in bytes.
///
/// `cursor` stands behind the 20 bytes of `header`; `whole` tells how many bytes the frame has from the header on where
/// they are more than the cursor sees. A total length of 0 is that of a merged packet beyond 64 KB, which only
/// `merged` allows.
///
/// The header itself is not part of the result: LLVM else tells the two apart by arithmetic on the pointer, which the
/// verifier refuses ("math between pkt pointer and 4294901760 is not allowed").
#[inline(always)]
pub fn ipv4(
    header: &Ipv4,
    mut cursor: Cursor<'_>,
    merged: bool,
    whole: impl FnOnce() -> u32,
) -> Result<u32, Reason> {
    let seen = cursor.remaining() + ipv4::HEADER_BYTES;
    let mut length = u32::from(header.total_length());
    let mut sum = header.sum();
    if header.has_options() {
        let first = header.version_and_length();
        if !(0x46..=0x4f).contains(&first) || length < u32::from(first & 15) * 4 {
            return Err(Reason::MalformedHeader);
        }
        let words = u32::from(first & 15).wrapping_sub(5);
        for word in 0..ipv4::MAX_OPTION_WORDS {
            if word >= words {
                break;
            }
            sum += u64::from(u32::from_ne_bytes(*cursor.take::<[u8; 4]>()?));
        }
    }
    if length < ipv4::HEADER_BYTES || length > seen {
        let whole = whole();
        if length == 0 && merged {
            length = whole;
        } else if length < ipv4::HEADER_BYTES || length > whole {
            return Err(Reason::MalformedHeader);
        }
    }
    if csum::fold(sum) != 0xffff {
        return Err(Reason::BadChecksum);
    }
    Ok(length)
}

/// RFC 8200, 3: version and payload length. As [`ipv4`].
#[inline(always)]
pub fn ipv6(
    header: &Ipv6,
    cursor: Cursor<'_>,
    merged: bool,
    whole: impl FnOnce() -> u32,
) -> Result<u32, Reason> {
    if header.version() != 6 {
        return Err(Reason::MalformedHeader);
    }
    let payload = u32::from(header.payload_length());
    let length = payload + ipv6::HEADER_BYTES;
    if payload == 0 && merged {
        return Ok(whole());
    }
    if payload > cursor.remaining() && length > whole() {
        return Err(Reason::MalformedHeader);
    }
    Ok(length)
}

/// More extension headers than this are dropped (RFC 8504, 5.3; RFC 9099, 2.2).
const MAX_EXTENSIONS: u32 = 8;

/// What follows the chain of extension headers. One word: LLVM else reads parts of it that an error leaves
/// uninitialised, which the verifier refuses ("R2 !read_ok").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper(u32);

impl Upper {
    /// `fragment` has bits of [`crate::facts::fragment`].
    #[inline(always)]
    pub fn new(protocol: u8, offset: u32, fragment: u8) -> Upper {
        Upper(u32::from(fragment) << 24 | u32::from(protocol) << 16 | (offset & 0xffff))
    }

    /// All in one word, whose top bit is clear.
    #[inline(always)]
    pub fn word(self) -> u32 {
        self.0
    }

    #[inline(always)]
    pub fn from_word(word: u32) -> Upper {
        Upper(word)
    }

    /// Protocol number.
    #[inline(always)]
    pub fn protocol(self) -> u8 {
        (self.0 >> 16) as u8
    }

    /// Offset from the start of the IPv6 header, in bytes.
    #[inline(always)]
    pub fn offset(self) -> u32 {
        self.0 & 0xffff
    }

    /// Bits of [`crate::facts::fragment`].
    #[inline(always)]
    pub fn fragment(self) -> u8 {
        (self.0 >> 24) as u8 & 3
    }

    /// A fragment other than the first: the upper layer's header is not in it.
    #[inline(always)]
    pub fn is_later_fragment(self) -> bool {
        self.fragment() & fragment::LATER != 0
    }
}

/// Walks the extension headers of an IPv6 packet of `length` bytes (RFC 8200, 4). `load` reads eight bytes at an
/// offset from the IPv6 header.
///
/// `seen` is told the number of each header in its turn, the upper layer's last.
///
/// Hop-by-hop options are not looked into: a router examines them only where it is told to (RFC 8200, 4.3).
#[inline(always)]
pub fn extensions(
    first: u8,
    length: u32,
    mut load: impl FnMut(u32) -> Option<[u8; 8]>,
    mut seen: impl FnMut(u8),
) -> Result<Upper, Reason> {
    let mut protocol = first;
    let mut offset = ipv6::HEADER_BYTES;
    let mut part = 0;
    for position in 0..=MAX_EXTENSIONS {
        seen(protocol);
        if !next::is_extension(protocol) {
            return Ok(Upper::new(protocol, offset, part));
        }
        if position == MAX_EXTENSIONS {
            break;
        }
        if protocol == next::HOP_BY_HOP && position != 0 {
            return Err(Reason::MalformedHeader);
        }
        // Every extension header has at least eight bytes; a chain that goes beyond the packet, or beyond a first
        // fragment (RFC 7112, 5), can't be judged.
        if offset + 8 > length {
            return Err(Reason::MalformedHeader);
        }
        let [following, count, third, fourth, ..] = load(offset).ok_or(Reason::MalformedHeader)?;
        let size = match protocol {
            next::FRAGMENT => {
                if u16::from_be_bytes([third, fourth]) & 0xfff8 != 0 {
                    return Ok(Upper::new(following, offset + 8, fragment::PART | fragment::LATER));
                }
                // A whole packet with this header is no fragment (RFC 6946).
                part = fourth & fragment::PART;
                8
            }
            // RFC 4302, 2.2: in units of four bytes, less two.
            next::AUTHENTICATION => (u32::from(count) + 2) * 4,
            next::ROUTING if third == 0 => return Err(Reason::RoutingHeader),
            _ => (u32::from(count) + 1) * 8,
        };
        offset += size;
        if offset > length {
            return Err(Reason::MalformedHeader);
        }
        protocol = following;
    }
    Err(Reason::ExtensionHeaders)
}

/// Offset of the fragment header in a chain that [`extensions`] has found right, in bytes from the IPv6 header; 0 where
/// there is none.
#[inline(always)]
pub fn fragment_header(first: u8, length: u32, mut load: impl FnMut(u32) -> Option<[u8; 8]>) -> u32 {
    let mut protocol = first;
    let mut offset = ipv6::HEADER_BYTES;
    for _ in 0..MAX_EXTENSIONS {
        if protocol == next::FRAGMENT {
            return offset;
        }
        if !next::is_extension(protocol) || offset + 8 > length {
            break;
        }
        let Some([following, count, ..]) = load(offset) else { break };
        offset += match protocol {
            next::AUTHENTICATION => (u32::from(count) + 2) * 4,
            _ => (u32::from(count) + 1) * 8,
        };
        protocol = following;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn parse4(packet: &mut [u8], whole: u32) -> Result<u32, Reason> {
        let mut cursor = Cursor::from(packet);
        let header = cursor.take::<Ipv4>()?;
        ipv4(header, cursor, false, || whole)
    }

    fn parse6(packet: &mut [u8], whole: u32) -> Result<u32, Reason> {
        let mut cursor = Cursor::from(packet);
        let header = cursor.take::<Ipv6>()?;
        ipv6(header, cursor, false, || whole)
    }

    fn chain(first: u8, headers: &[u8]) -> Result<Upper, Reason> {
        let load = |offset: u32| {
            let at = offset as usize - 40;
            headers.get(at..at + 8)?.try_into().ok()
        };
        extensions(first, 40 + headers.len() as u32, load, |_| ())
    }

    proptest! {
        #[test]
        fn a_packet_is_whole_or_malformed(payload in 0usize..100, cut in 0usize..160, padding in 0usize..20) {
            let length = 20 + payload;
            let mut packet = Ipv4::build(length as u16, 0, 64, 17, [192, 0, 2, 1], [192, 0, 2, 2]).bytes().to_vec();
            packet.resize(length + padding, 0);
            packet.truncate(cut);
            let expected = if cut >= length { Ok(length as u32) } else { Err(Reason::MalformedHeader) };
            prop_assert_eq!(parse4(&mut packet, cut.min(length + padding) as u32), expected);

            let length = 40 + payload;
            let mut packet = Ipv6::build(payload as u16, 17, 64, [1; 16], [2; 16]).bytes().to_vec();
            packet.resize(length + padding, 0);
            packet.truncate(cut);
            let expected = if cut >= length { Ok(length as u32) } else { Err(Reason::MalformedHeader) };
            prop_assert_eq!(parse6(&mut packet, cut.min(length + padding) as u32), expected);
        }

        #[test]
        fn what_lies_beyond_the_cursor_counts(payload in 100u16..1400) {
            let length = u32::from(payload) + 20;
            let mut packet = Ipv4::build(length as u16, 0, 64, 17, [192, 0, 2, 1], [192, 0, 2, 2]).bytes().to_vec();
            prop_assert_eq!(parse4(&mut packet, length), Ok(length));
            prop_assert_eq!(parse4(&mut packet, length - 1), Err(Reason::MalformedHeader));
        }

        #[test]
        fn chains_end_within_the_packet(first: u8, headers in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(upper) = chain(first, &headers) {
                prop_assert!((40..=40 + headers.len() as u32).contains(&upper.offset()));
                prop_assert!(upper.is_later_fragment() || !next::is_extension(upper.protocol()));
            }
        }
    }

    #[test]
    fn options_are_part_of_the_checksum() {
        let mut header =
            etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::UDP, [192, 0, 2, 1], [192, 0, 2, 2])
                .unwrap();
        for words in 1..=10 {
            let options: Vec<u8> = (0..words * 4).map(|byte| byte as u8).collect();
            header.options = options.as_slice().try_into().unwrap();
            header.total_len = header.header_len() as u16;
            header.header_checksum = header.calc_header_checksum();
            let mut packet = header.to_bytes().to_vec();
            let length = packet.len() as u32;
            assert_eq!(parse4(&mut packet, length), Ok(length));
            packet[21] ^= 1;
            assert_eq!(parse4(&mut packet, length), Err(Reason::BadChecksum));
            packet[21] ^= 1;
            assert_eq!(parse4(&mut packet[..length as usize - 1], length - 1), Err(Reason::MalformedHeader));
        }
    }

    #[test]
    fn the_fragment_header_is_found_behind_others() {
        let find = |first, headers: &[u8]| {
            fragment_header(first, 40 + headers.len() as u32, |offset| {
                let at = offset as usize - 40;
                headers.get(at..at + 8)?.try_into().ok()
            })
        };
        let fragment = [17, 0, 0, 1, 0, 0, 0, 9];
        assert_eq!(find(44, &fragment), 40);
        assert_eq!(find(60, &[[44, 0, 0, 0, 0, 0, 0, 0], fragment].concat()), 48);
        assert_eq!(find(51, &[[44, 2, 0, 0, 0, 0, 0, 0], [0; 8], fragment].concat()), 56);
        assert_eq!(find(60, &[17, 0, 0, 0, 0, 0, 0, 0]), 0);
        assert_eq!(find(17, &[]), 0);
    }

    #[test]
    fn chains_of_extension_headers() {
        assert_eq!(chain(44, &[6, 0, 0, 0, 0, 0, 0, 1]), Ok(Upper::new(6, 48, 0)));
        assert_eq!(chain(17, &[]), Ok(Upper::new(17, 40, 0)));
        assert_eq!(chain(60, &[17, 0, 0, 0, 0, 0, 0, 0]), Ok(Upper::new(17, 48, 0)));
        // Authentication counts in other units; ESP hides what follows.
        assert_eq!(chain(51, &[[50, 2, 0, 0, 0, 0, 0, 0], [0; 8]].concat()), Ok(Upper::new(50, 56, 0)));
        assert_eq!(
            chain(44, &[6, 0, 0, 9, 0, 0, 0, 1]),
            Ok(Upper::new(6, 48, fragment::PART | fragment::LATER))
        );
        assert_eq!(chain(44, &[6, 0, 0, 1, 0, 0, 0, 1]), Ok(Upper::new(6, 48, fragment::PART)));
        assert_eq!(chain(43, &[6, 0, 0, 0, 0, 0, 0, 0]), Err(Reason::RoutingHeader));
        assert_eq!(chain(43, &[6, 0, 4, 0, 0, 0, 0, 0]), Ok(Upper::new(6, 48, 0)));
        assert_eq!(chain(60, &[6, 1, 0, 0, 0, 0, 0, 0]), Err(Reason::MalformedHeader));
        assert_eq!(chain(60, &[6, 0, 0, 0]), Err(Reason::MalformedHeader));
        assert_eq!(
            chain(60, &[[0, 0, 0, 0, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0, 0]].concat()),
            Err(Reason::MalformedHeader)
        );
        let long = [60, 0, 0, 0, 0, 0, 0, 0].repeat(9);
        assert_eq!(chain(60, &long), Err(Reason::ExtensionHeaders));
    }
}
