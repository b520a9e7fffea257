//! Checks of the headers that forwarding needs; nothing above the IP layer is looked at here.

use crate::csum;
use crate::cursor::{Cursor, Short};
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
pub const MAX_EXTENSIONS: u32 = 8;

/// What follows the chain of extension headers. One word: LLVM else reads parts of it that an error leaves
/// uninitialised, which the verifier refuses ("R2 !read_ok").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper(u32);

impl Upper {
    const LATER_FRAGMENT: u32 = 1 << 31;

    #[inline(always)]
    pub fn new(protocol: u8, offset: u32, later_fragment: bool) -> Upper {
        let later = if later_fragment { Upper::LATER_FRAGMENT } else { 0 };
        Upper(later | u32::from(protocol) << 16 | (offset & 0xffff))
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

    /// A fragment other than the first: the upper layer's header is not in it.
    #[inline(always)]
    pub fn is_later_fragment(self) -> bool {
        self.0 & Upper::LATER_FRAGMENT != 0
    }
}

/// Walks the extension headers of an IPv6 packet of `length` bytes (RFC 8200, 4). `load` reads eight bytes at an
/// offset from the IPv6 header.
///
/// Hop-by-hop options are not looked into: a router examines them only where it is told to (RFC 8200, 4.3).
#[inline(always)]
pub fn extensions(
    first: u8,
    length: u32,
    mut load: impl FnMut(u32) -> Option<[u8; 8]>,
) -> Result<Upper, Reason> {
    let mut protocol = first;
    let mut offset = ipv6::HEADER_BYTES;
    for position in 0..=MAX_EXTENSIONS {
        if !next::is_extension(protocol) {
            return Ok(Upper::new(protocol, offset, false));
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
                    return Ok(Upper::new(following, offset + 8, true));
                }
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
