//! Per-CPU working memory of the programs.

/// Map name: `PerCpuArray<Scratch, 2>`: one for XDP, one for tc, which may be in the middle of one packet each.
pub const SCRATCH: &str = "SCRATCH";
/// Indices in [`SCRATCH`].
pub const XDP: u32 = 0;
pub const TC: u32 = 1;

/// Bytes of an offending packet that an ICMP error quotes at most: what fits an IPv6 packet of 1280 bytes beside its
/// two headers (RFC 4443, 2.4 c).
pub const QUOTE_BYTES: usize = 1232;

/// Map names: `ProgramArray`s of one entry each: the slow path of XDP and of tc, and the output chains. They are programs
/// of their own with a stack of their own.
pub const SLOW_XDP: &str = "SLOW_XDP";
pub const SLOW_TC: &str = "SLOW_TC";
pub const OUTPUT: &str = "OUTPUT";

/// The programs that are called through arrays: the array's map and the program.
pub const TAIL_CALLS: [(&str, &str); 3] =
    [(SLOW_XDP, "xdp_slow"), (SLOW_TC, "tc_slow"), (OUTPUT, "tc_output")];

pub const STATE_WORDS: usize = 12;

use crate::conntrack::tcp::Step;
use crate::facts::Facts;
use crate::maps::fragment::Fragment;
use crate::tuple::Tuple;

/// What the stages of the slow path know of the packet's connection.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The packet as it came, and as it leaves.
    pub came: Tuple,
    pub leaves: Tuple,
    /// The tuple that is being looked for or inserted.
    pub key: Tuple,
    /// What is inside an ICMP error, as it leaves.
    pub inner: Tuple,
    /// What an answer to the connection would become.
    pub answer: Tuple,
    /// The segment at hand and the records of its connection.
    pub tcp: Step,
    /// The status word of the packet's entry as it was found.
    pub word: u64,
    /// The packet's entry and that of the other direction, or [`crate::maps::flow::NONE`].
    pub index: u32,
    pub partner: u32,
    /// Bits of [`work`].
    pub flags: u32,
    /// Bits of [`crate::maps::flow::status`] that a new connection begins with.
    pub status: u32,
    /// Where the header inside an ICMP error stands, in bytes from the outer one; its upper layer's.
    pub inner_l3: u32,
    pub inner_l4: u32,
    pub mark: u16,
    /// The sum of the epochs of the addresses that dynamic lists are asked for.
    pub guard: u16,
    /// `to-ports` of the source translation; 0 to 0: none given.
    pub port_from: u16,
    pub port_to: u16,
    /// What checksums over the packet's addresses change by, over those of the packet inside, and that of the error.
    pub outer: u64,
    pub quoted: u64,
    pub changed: u64,
}
crate::assert_size!(Work, 320);

/// Bits of [`Work::flags`].
pub mod work {
    /// The packet opens a connection, which is stored when its verdict is known.
    pub const NEW: u32 = 1;
    /// Not tracked: `notrack`, tracking is off, or what is never tracked.
    pub const UNTRACKED: u32 = 2;
    /// An ICMP error about a packet of the connection.
    pub const RELATED: u32 = 4;
    /// The connection has changed, so that what was decided before holds no more.
    pub const CHANGED: u32 = 8;
    /// What becomes of the packet must not be remembered.
    pub const UNCACHEABLE: u32 = 16;
    /// The connection ends with this packet.
    pub const REMOVE: u32 = 32;
    /// The source port is not to be kept.
    pub const RANDOM_PORT: u32 = 64;
    /// The decision looked at dynamic lists.
    pub const GUARDED: u32 = 128;
}

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
    /// Of the packet that an error quotes in tc: where its upper layer's checksum is left to the device, bytes before
    /// that layer << 16 and what stands in the checksum; else 0.
    pub unfinished: u32,
    /// Parameters of `bpf_fib_lookup`: too much for the stack of a nested call.
    pub fib: [u64; 8],
    /// What an error quotes and the zeros that fill its last word, added up in three parts of 512 bytes.
    pub quote: [u8; 3 * 512],
    pub facts: Facts,
    pub work: Work,
    pub fragment: Fragment,
    /// What the fast path hands to the slow one; the programs alone know what it means.
    pub state: [u64; STATE_WORDS],
}
crate::assert_size!(Scratch, 2328);

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
