//! The flow table: one entry per direction of each connection, in memory that user space reads as well.
//!
//! A key has a place in one of the three buckets that it names, sixteen to a bucket. A bucket's tags tell which of its
//! places may be the key's, so that a look-up reads one line of tags and, nearly always, one entry.
//!
//! What is in use stands close together, so that a thousand connections need few pages, however large the table is:
//! entries are taken in order and the latest to be given back first, whatever their bucket, and in a large table the
//! first of a key's buckets is one of a few that are filled before all others ([`crate::tuple::near`]).
//!
//! Only programs insert. User space ends an entry by one compare-exchange of its word, from live to dying. Whoever takes
//! a dying entry, by another, owns it and its place: a program for another key, user space to give both back.

use crate::conntrack::tcp::Direction;
use crate::conntrack::timeout::Timeouts;
use crate::tuple::{Key4, Key6};

/// Map names: `Array<Flow4, N>`, `Array<Flow6, N>`, mmapable. N is a power of two.
pub const FLOWS4: &str = "FLOWS4";
pub const FLOWS6: &str = "FLOWS6";
/// Map names: `Array<Bucket, N / BUCKET_SLOTS>`, mmapable.
pub const BUCKETS4: &str = "BUCKETS4";
pub const BUCKETS6: &str = "BUCKETS6";
/// Map names: `Array<Side, N>`, mmapable: what the fast path of most packets does not need, by the entry's index.
pub const SIDES4: &str = "SIDES4";
pub const SIDES6: &str = "SIDES6";
/// Map name: `Array<Unused, 2>`, mmapable: of IPv4, of IPv6.
pub const UNUSED: &str = "FLOW_UNUSED";
/// Map name: `Array<u32, LOCKS_MAX>`: 1 while a program inserts a key. See [`lock`].
pub const LOCKS: &str = "FLOW_LOCKS";
/// Map name: `Array<Tracking, 2>`, one per slot of the image.
pub const TRACKING: &str = "TRACKING";

/// Places of a bucket.
pub const BUCKET_SLOTS: u32 = 16;
/// Entries of a table at most: a bucket has three bytes for the number of each.
pub const ENTRIES_MAX: u32 = 1 << 24;
pub const LOCKS_MAX: u32 = 2048;
/// No entry.
pub const NONE: u32 = u32::MAX;

/// What both families' entries have.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Bits of [`status`]; from [`status::GENERATION_SHIFT`] on the low half of the generation in which it was decided
    /// what is to be done with packets of this direction (0: undecided); from [`status::VERSION_SHIFT`] on the version,
    /// which goes up with each new life of the entry. One word, so that one compare-exchange decides, ends or takes it.
    pub word: u64,
    /// Index of the entry of the other direction.
    pub partner: u32,
    /// Connection mark, the same in both directions.
    pub mark: u16,
    /// The sum of the epochs of the addresses that the decision looked up in dynamic lists.
    pub guard: u16,
    /// The tick of the last packet.
    pub last_tick: u32,
    /// Packets and bytes (IP length) since the connection began.
    pub packets: u32,
    pub bytes: u64,
}
crate::assert_size!(Entry, 32);

/// What a decision is made of, beside the rewrite.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// In its low 14 bits [`Decision::path`]; above them the two highest bits of [`Decision::table`].
    path: u16,
    /// In its low 11 bits [`Decision::egress`]; above them the lowest five of [`Decision::table`].
    egress: u16,
}
crate::assert_size!(Decision, 4);

impl Decision {
    const PATH_BITS: u32 = 14;
    const EGRESS_BITS: u32 = 11;

    #[inline(always)]
    pub const fn new(path: u16, egress: u16, table: u32) -> Decision {
        let (low, high) = (table & 31, table >> 5 & 3);
        Decision {
            path: path & ((1 << Decision::PATH_BITS) - 1) | (high << Decision::PATH_BITS) as u16,
            egress: egress & ((1 << Decision::EGRESS_BITS) - 1) | (low << Decision::EGRESS_BITS) as u16,
        }
    }

    /// The path id under which fast packets count for rules; 0 counts for none.
    #[inline(always)]
    pub const fn path(self) -> u16 {
        self.path & ((1 << Decision::PATH_BITS) - 1)
    }

    /// The egress port's counter index, or one of [`decision`].
    #[inline(always)]
    pub const fn egress(self) -> u16 {
        self.egress & ((1 << Decision::EGRESS_BITS) - 1)
    }

    /// The routing table that is asked first, see [`crate::maps::route::table`].
    #[inline(always)]
    pub const fn table(self) -> u32 {
        (self.egress >> Decision::EGRESS_BITS) as u32 | ((self.path >> Decision::PATH_BITS) as u32) << 5
    }
}

pub mod decision {
    use crate::maps::port::PORT_SLOTS;
    use crate::maps::rule::PATHS_MAX;

    /// [`super::Decision::egress`] of what is delivered to the host.
    pub const LOCAL: u16 = 0x7fe;
    /// No port has this one.
    pub const NONE: u16 = 0x7ff;

    const _: () = assert!(PORT_SLOTS <= LOCAL as u32 && 2 * PATHS_MAX <= 1 << super::Decision::PATH_BITS);
}

/// One direction of an IPv4 connection: one cache line.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow4 {
    /// As packets arrive. The upper 16 bits of the second word are not part of the key: the counter index of the port
    /// that the decision holds for.
    pub key: Key4,
    pub entry: Entry,
    /// What the packet becomes: source and destination, source and destination port, as on the wire.
    pub new_src: [u8; 4],
    pub new_dst: [u8; 4],
    pub new_ports: [u8; 4],
    pub decision: Decision,
}
crate::assert_size!(Flow4, 64);

/// One direction of an IPv6 connection.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow6 {
    /// As [`Flow4::key`], the ports being in the fifth word.
    pub key: Key6,
    pub entry: Entry,
    pub new_src: [u8; 16],
    pub new_dst: [u8; 16],
    pub new_ports: [u8; 4],
    pub decision: Decision,
}
crate::assert_size!(Flow6, 112);

/// Where the counter index of the ingress port stands in the last word of a key.
pub const INGRESS_SHIFT: u32 = 48;
/// The part of that word which is compared.
pub const KEY_MASK: u64 = (1 << INGRESS_SHIFT) - 1;

/// Bits of [`Entry::word`].
pub mod status {
    pub const GENERATION_SHIFT: u32 = 32;
    pub const GENERATION: u64 = 0xffff << GENERATION_SHIFT;
    pub const VERSION_SHIFT: u32 = 48;
    pub const VERSION: u64 = 0xffff << VERSION_SHIFT;

    /// The life of the entry.
    pub const LIFE: u32 = 3;
    pub const FREE: u32 = 0;
    pub const LIVE: u32 = 1;
    /// Its place is to be taken by the next insert, or to be given back; matches nothing.
    pub const DYING: u32 = 2;
    /// Being written.
    pub const BUSY: u32 = 3;
    /// This is the direction of the answers.
    pub const REPLY: u32 = 1 << 2;
    /// Both directions have been seen.
    pub const SEEN_REPLY: u32 = 1 << 3;
    /// Not to be replaced by others: established TCP, UDP streams.
    pub const ASSURED: u32 = 1 << 4;
    pub const SRCNAT: u32 = 1 << 5;
    pub const DSTNAT: u32 = 1 << 6;
    pub const FASTTRACK: u32 = 1 << 7;
    /// Belongs to another connection (a helper's).
    pub const EXPECTED: u32 = 1 << 8;
    /// Opened or accepted by the host itself.
    pub const LOCAL: u32 = 1 << 9;
    /// Its packets have other addresses or ports when they leave.
    pub const REWRITE: u32 = 1 << 10;
    /// The decision looked at dynamic lists: [`super::Entry::guard`] is to be compared.
    pub const GUARDED: u32 = 1 << 11;
    /// Its source became the address that the egress port had at that time.
    pub const MASQUERADE: u32 = 1 << 21;
    /// State of TCP, four bits.
    pub const TCP_SHIFT: u32 = 12;
    pub const TCP: u32 = 15 << TCP_SHIFT;
    /// Class of the timeout, five bits.
    pub const TIMEOUT_SHIFT: u32 = 16;
    pub const TIMEOUT: u32 = 31 << TIMEOUT_SHIFT;
    /// What both entries of a connection have in common.
    pub const SHARED: u32 = SEEN_REPLY | ASSURED | FASTTRACK | TCP | TIMEOUT;
}

/// Sixteen places: one cache line.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// The index of each place's entry, its low 16 bits and the rest. Of no meaning where the tag is 0 or
    /// [`FILLING`].
    pub low: [u16; BUCKET_SLOTS as usize],
    pub high: [u8; BUCKET_SLOTS as usize],
    /// One byte per place, 0 being free: place p is byte `p % 8` of word `p / 8`.
    pub tags: [u64; 2],
}
crate::assert_size!(Bucket, 64);

/// The tag of a place that a program is filling.
pub const FILLING: u8 = 255;

impl Bucket {
    pub fn tag(&self, place: u32) -> u8 {
        let [low, high] = self.tags;
        ((if place < 8 { low } else { high }) >> (place % 8 * 8)) as u8
    }

    /// The index of a place's entry.
    pub fn entry(&self, place: u32) -> Option<u32> {
        let place = place as usize;
        Some(u32::from(*self.low.get(place)?) | u32::from(*self.high.get(place)?) << 16)
    }
}

/// The entries of one family that no place has.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unused {
    /// Those given back: the index of the last one, and one (0: there is none), and from bit 32 on a number that goes up
    /// with each change, so that a compare-exchange fails after any. [`Entry::partner`] has the next one, likewise.
    pub last: u64,
    /// From this index on no entry has been used yet.
    pub fresh: u32,
    /// Not 0 once a key has stood elsewhere than in the first of its buckets; in a table with near ones, see
    /// [`crate::tuple::near`].
    pub beyond: u32,
    pub reserved: [u32; 12],
}
crate::assert_size!(Unused, 64);

impl Unused {
    /// [`Unused::last`] after a change, `next` being an index and one, or 0.
    #[inline(always)]
    pub fn changed(last: u64, next: u32) -> u64 {
        (last >> 32).wrapping_add(1) << 32 | u64::from(next)
    }
}

/// Which of [`LOCKS`] is held while a key is inserted, by its family and its first bucket.
#[inline(always)]
pub fn lock(family: u32, first_bucket: u32) -> u32 {
    (first_bucket << 1 | family >> 1 & 1) & (LOCKS_MAX - 1)
}

/// One direction's record for the judgement of TCP.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    pub tcp: Direction,
    /// The tick in which the connection began.
    pub begun_tick: u32,
    pub reserved: u32,
}
crate::assert_size!(Side, 24);

/// Settings of connection tracking.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tracking {
    pub timeouts: Timeouts,
    /// Bits of [`tracking`].
    pub flags: u32,
    /// Bit per built-in chain without rules, by [`crate::maps::image::chain`]: IPv4's, from [`EMPTY6_SHIFT`] on IPv6's.
    pub empty: u32,
}
crate::assert_size!(Tracking, 136);

/// See [`Tracking::empty`].
pub const EMPTY6_SHIFT: u32 = 16;

pub mod tracking {
    /// Packets are tracked at all.
    pub const ENABLED: u32 = 1;
    /// Connections may be picked up in their middle.
    pub const LOOSE: u32 = 2;
    /// Packets out of the window are not invalid.
    pub const LIBERAL: u32 = 4;
    /// No decision is kept: every packet is judged and walks the rules.
    pub const NO_CACHE: u32 = 8;
    /// There is a rule that fasttracks connections.
    pub const FASTTRACK: u32 = 16;
    /// No rule looks at address types.
    pub const NO_TYPES: u32 = 32;
    /// No rule asks an address list with dynamic entries.
    pub const NO_LISTS: u32 = 64;
    /// Raw rules drop what comes from a list before anything else: of IPv4, of IPv6. See
    /// [`crate::maps::image::Class::shield`].
    pub const SHIELD4: u32 = 128;
    pub const SHIELD6: u32 = 256;
    /// Rules look at what SYNs announce, at options of IPv4 and headers of IPv6, at payload.
    pub const MSS: u32 = 512;
    pub const OPTIONS: u32 = 1024;
    pub const PAYLOAD: u32 = 2048;
}

/// Seconds since the last packet. Another CPU may have noted a packet in a second that this reader has not seen begin.
#[inline(always)]
pub fn silence(tick: u32, last_tick: u32) -> u32 {
    let passed = tick.wrapping_sub(last_tick);
    if passed > u32::MAX / 2 { 0 } else { passed }
}

/// The places of a bucket whose tag is `tag`: bit `8 b + w` for byte b of word w. A place above a matching one of the
/// same word may be among them without matching.
#[inline(always)]
pub fn tagged(tags: [u64; 2], tag: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let same = |word: u64| {
        let differing = word ^ u64::from(tag).wrapping_mul(ONES);
        (differing.wrapping_sub(ONES) & !differing) >> 7 & ONES
    };
    let [low, high] = tags;
    same(low) | same(high) << 1
}

/// The number of one place in what [`tagged`] gives, which must not be 0, and its bit. Not `trailing_zeros`, which LLVM
/// makes a look-up in a table of.
#[inline(always)]
pub fn lowest(places: u64) -> (u32, u64) {
    let bit = places & places.wrapping_neg();
    let word = u64::from(bit & 0x0202_0202_0202_0202 != 0);
    // Times 2^(8 n) this has n in its top three bits.
    const POSITIONS: u64 = 0x0020_4060_80a0_c0e0;
    ((word << 3 | (bit >> word).wrapping_mul(POSITIONS) >> 61) as u32, bit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_decision_keeps_its_parts() {
        for (path, egress, table) in
            [(0, 0, 0), (16383, decision::LOCAL, 127), (1, 1023, 31), (8192, 5, 32), (7, decision::NONE, 95)]
        {
            let decision = Decision::new(path, egress, table);
            assert_eq!((decision.path(), decision.egress(), decision.table()), (path, egress, table));
        }
    }

    #[test]
    fn a_packet_of_the_next_second_was_just_now() {
        assert_eq!(silence(10, 3), 7);
        assert_eq!(silence(10, 11), 0);
        assert_eq!(silence(2, u32::MAX), 3);
    }

    #[test]
    fn the_lowest_place_is_found() {
        for place in 0..BUCKET_SLOTS {
            let bit = 1u64 << (8 * (place % 8) + place / 8);
            assert_eq!(lowest(bit), (place, bit), "{place}");
            assert_eq!(lowest(bit | 2 << 56).1, bit);
        }
    }

    proptest! {
        #[test]
        fn all_places_with_the_tag_are_found_and_the_first_of_each_word_has_it(
            low: [u8; 8], high: [u8; 8], tag in 1u8..
        ) {
            let mut places = tagged([u64::from_le_bytes(low), u64::from_le_bytes(high)], tag);
            let tags: std::vec::Vec<u8> = low.into_iter().chain(high).collect();
            let mut found = std::vec::Vec::new();
            while places != 0 {
                let (place, bit) = lowest(places);
                places ^= bit;
                found.push(place as usize);
            }
            for half in [0..8, 8..16] {
                let first = tags[half.clone()].iter().position(|t| *t == tag).map(|place| place + half.start);
                prop_assert_eq!(found.iter().copied().filter(|place| half.contains(place)).min(), first);
            }
            for (place, _) in tags.iter().enumerate().filter(|(_, t)| **t == tag) {
                prop_assert!(found.contains(&place));
            }
        }
    }
}
