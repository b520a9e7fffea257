//! Per-CPU working memory of the programs.

/// Map name: `PerCpuArray<Scratch, 2>`: one for XDP, one for tc, which may be in the middle of one packet each.
pub const SCRATCH: &str = "SCRATCH";
/// Indices in [`SCRATCH`].
pub const XDP: u32 = 0;
pub const TC: u32 = 1;

/// Bytes of an offending packet that an ICMP error quotes at most: what fits an IPv6 packet of 1280 bytes beside its
/// two headers (RFC 4443, 2.4 c).
pub const QUOTE_BYTES: usize = 1232;

use crate::facts::Facts;

/// One program's memory on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scratch {
    pub last: Last,
    /// ICMP errors made in the second `icmp_tick`.
    pub icmp_tick: u32,
    pub icmp_made: u32,
    /// Numbers traced packets.
    pub traced: u32,
    pub reserved: u32,
    /// Parameters of `bpf_fib_lookup`: too much for the stack of a nested call.
    pub fib: [u64; 8],
    /// What an error quotes and the zeros that fill its last word, added up in three parts of 512 bytes.
    pub quote: [u8; 3 * 512],
    pub facts: Facts,
}
crate::assert_size!(Scratch, 1744);

/// What became of the last packet, left where [`crate::maps::control::flag::RECORD`] is set.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Last {
    /// A [`crate::verdict::Reason`] number.
    pub reason: u16,
    /// `IcmpSent`, `IcmpRateLimited` or 0.
    pub icmp: u16,
    /// Egress ifindex of the packet, or of the ICMP error in its place; 0 where it did not leave.
    pub egress: u32,
    pub reserved: [u32; 2],
    /// The next hop where tc or a hand-over sends; IPv4 in the first four bytes.
    pub next_hop: [u8; 16],
}
crate::assert_size!(Last, 32);
