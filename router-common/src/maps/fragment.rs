//! Fragments: those behind the first have no ports, and fare as the first has.

/// Map name: `LruHashMap<FragmentKey, First>`: what became of first fragments.
pub const FRAGMENTS: &str = "FRAGMENTS";
pub const FRAGMENTS_MAX: u32 = 16384;
/// Ticks for which later fragments are let after their first, as Linux keeps them (ip(7), ipfrag_time).
pub const KEPT_TICKS: u32 = 30;

/// What fragments of one packet have in common (RFC 791, 3.2; RFC 8200, 4.5), and the port that they came in at: what
/// comes in at another port is no part of it.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FragmentKey {
    /// IPv4 in the first four bytes.
    pub src: [u8; 16],
    pub dst: [u8; 16],
    /// In memory order, as on the wire.
    pub id: u32,
    /// Ifindex of the ingress port, or of the egress port where [`FragmentKey::output`] is set.
    pub port: u32,
    /// 4 or 6.
    pub family: u8,
    /// 0 with IPv6, whose later fragments need not name the first's.
    pub protocol: u8,
    /// 1 for what the host sends.
    pub output: u8,
    pub reserved: [u8; 5],
}
crate::assert_size!(FragmentKey, 48);

/// What became of a first fragment.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct First {
    /// The addresses that it left with.
    pub new_src: [u8; 16],
    pub new_dst: [u8; 16],
    /// A [`crate::verdict::Reason`] number where it was dropped, else 0.
    pub reason: u32,
    /// Ifindex of the port that it left at; 0 where it is the host's.
    pub egress: u32,
    /// The tick at which it came.
    pub since_tick: u32,
    /// Bytes that it carried: others begin behind them.
    pub bytes: u32,
    /// The path of the rules that counted it, and the generation in which the path has this meaning.
    pub path: u32,
    pub generation: u32,
    /// Its flow's entry, or [`super::flow::NONE`], and the upper half of that one's word.
    pub index: u32,
    pub version: u32,
    /// The gateway that `action=route` named, in place of the destination.
    pub via: [u8; 16],
    /// The table that it was routed by, or [`super::route::table::NONE`].
    pub table: u32,
    /// Bits of [`crate::rules::walk::edit`]: what mangle changed of it that the others have too.
    pub edits: u32,
    pub packet_mark: u32,
    pub priority: u8,
    /// What its header said when it left.
    pub dscp: u8,
    pub ttl: u8,
    pub reserved: u8,
}
crate::assert_size!(First, 96);

/// The fragment at hand.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fragment {
    pub key: FragmentKey,
    pub first: First,
    /// One of [`part`].
    pub part: u32,
    /// Bytes before and in this fragment.
    pub offset_bytes: u32,
    pub bytes: u32,
    pub reserved: u32,
}
crate::assert_size!(Fragment, 160);

/// [`Fragment::part`].
pub mod part {
    /// No fragment, or not to be followed: tracking is off, and each is judged by itself.
    pub const NONE: u32 = 0;
    pub const FIRST: u32 = 1;
    pub const LATER: u32 = 2;
}

/// Map name: `RingBuf` of [`Held`] and a frame: later fragments that came before their first.
pub const HELD: &str = "HELD";
pub const HELD_BYTES: u32 = 1 << 20;
/// Room for the frame in a record: two sizes, so that jumbo frames don't make it small for the others. Larger ones are
/// not held.
pub const SMALL_BYTES: usize = 2048 - size_of::<Held>();
pub const LARGE_BYTES: usize = 10240 - size_of::<Held>();

/// A fragment that waits for its first.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub key: FragmentKey,
    /// CLOCK_MONOTONIC in nanoseconds.
    pub time_ns: u64,
    /// Bytes of the frame that follows; the rest of the record means nothing.
    pub length_bytes: u32,
    /// With this mark, [`super::port::Settings::mark_again`], it is given back at the port of the key.
    pub mark: u32,
}
crate::assert_size!(Held, 64);
