//! The image of one slot: rules, their rows of bits, parameters of actions and address lists, as 64-byte cells of one
//! array. A reference to a cell is its index.
//!
//! ```text
//! cell 0      all zero: NONE
//! cell 1      all ones: ALL
//! cell 2      header: ROOT of each family
//! ROOT        chains: start | end << 16 of each built-in chain, by number
//! ROOT + 1    roots: words of [`root`]
//! ROOT + 2..  the trees' words, four per tree: cells, their number, payloads, payload where the value is absent
//! ```
//!
//! **Rows.** Every rule of a family has one index. A row has a bit per index: the rules that a value satisfies in one
//! dimension. A reference to a row is [`NONE`] (no rule), [`ALL`] (every rule), or a cell: in a family of at most
//! [`CHUNK_RULES`] rules the chunk of 512 bits itself, else words: a bitmap of the chunks that are not zero (two words),
//! then the reference of each of these chunks, in order. Equal chunks and rows are there once.

/// Map name: `ArrayOfMaps<Array<Cell>, 2>`, one inner map per slot.
pub const IMAGES: &str = "IMAGES";

pub type Cell = [u64; 8];

/// Reference to a row or chunk without any bit.
pub const NONE: u32 = 0;
/// Reference to a row or chunk with all bits.
pub const ALL: u32 = 1;
pub const HEADER: u32 = 2;

/// Rules per chunk, and chunks per row: one bit of the bitmap each.
pub const CHUNK_RULES: u32 = 512;
pub const CHUNKS: u32 = 64;
/// Rules of one family, over all tables and chains.
pub const RULES_MAX: u32 = CHUNK_RULES * CHUNKS;
/// Jumps that can be open at a time.
pub const DEPTH_MAX: usize = 16;

/// Built-in chains by number; a family's have one cell.
pub mod chain {
    pub const RAW_PREROUTING: u32 = 0;
    pub const RAW_OUTPUT: u32 = 1;
    pub const NAT_DSTNAT: u32 = 2;
    pub const NAT_SRCNAT: u32 = 3;
    pub const NAT_INPUT: u32 = 4;
    pub const NAT_OUTPUT: u32 = 5;
    pub const FILTER_INPUT: u32 = 6;
    pub const FILTER_FORWARD: u32 = 7;
    pub const FILTER_OUTPUT: u32 = 8;
    pub const MANGLE_PREROUTING: u32 = 9;
    pub const MANGLE_INPUT: u32 = 10;
    pub const MANGLE_FORWARD: u32 = 11;
    pub const MANGLE_OUTPUT: u32 = 12;
    pub const MANGLE_POSTROUTING: u32 = 13;
    pub const COUNT: u32 = 14;
    /// As a chain of the operator's is counted where a rule names it.
    pub const OWN: u8 = 255;
}

/// Words of the header.
pub mod header {
    pub const MAGIC: usize = 0;
    pub const ROOT4: usize = 1;
    pub const ROOT6: usize = 2;
    /// Cells in use.
    pub const CELLS: usize = 3;
}
pub const MAGIC: u32 = 0x726d_6731; // "rmg1"

/// Words of the cell behind the chains.
pub mod root {
    /// The cell of rule 0; that of rule n stands n further.
    pub const RULES: usize = 0;
    /// Number of rules.
    pub const COUNT: usize = 1;
    /// Bit per dimension that some rule looks at.
    pub const DIMENSIONS: usize = 2;
    /// Cells of the tables: a reference per value.
    pub const PROTOCOLS: usize = 3;
    pub const STATES: usize = 4;
    pub const TYPES: usize = 5;
    /// Buckets of single IPv4 addresses in lists: first cell, number less one, seed. No buckets: first cell 0.
    pub const HOSTS: usize = 6;
    pub const HOSTS_MASK: usize = 7;
    pub const HOSTS_SEED: usize = 8;
    /// The cell of class 0, that of addresses that are in no list.
    pub const CLASSES: usize = 9;
    /// Not 0: classes have a [`super::Class::shield`].
    pub const SHIELD: usize = 10;
}

/// Dimensions with rows, by number. Those before [`dimension::TREES`] have a tree of the same number.
pub mod dimension {
    pub const SRC: u32 = 0;
    pub const DST: u32 = 1;
    pub const SRC_PORT: u32 = 2;
    pub const DST_PORT: u32 = 3;
    /// `port=`, by the source port and by the destination port: their rows are joined.
    pub const ANY_PORT: u32 = 4;
    pub const IN: u32 = 5;
    pub const OUT: u32 = 6;
    pub const CONNECTION_MARK: u32 = 7;
    pub const PACKET_MARK: u32 = 8;
    pub const ROUTING_MARK: u32 = 9;
    /// Addresses of lists that are no single IPv4 addresses: the payload is the number of a class.
    pub const LISTS: u32 = 10;
    pub const TREES: u32 = 11;
    pub const PROTOCOL: u32 = 11;
    pub const STATE: u32 = 12;
    pub const TYPE: u32 = 13;
    pub const SRC_LIST: u32 = 14;
    pub const DST_LIST: u32 = 15;
    pub const COUNT: u32 = 16;
}

/// Values of the table of states: connection state * 4 + NAT state.
pub const STATE_VALUES: u32 = 32;
/// Values of the table of types: type of the source * 8 + type of the destination.
pub const TYPE_VALUES: u32 = 64;

/// Keys of a node of a tree over 32-bit and over 64-bit values.
pub const KEYS32: u32 = 16;
pub const KEYS64: u32 = 8;
/// A payload that is no row: the cell of a subtree over the lower half of an IPv6 address (words 0 to 2: cells, their
/// number, payloads).
pub const SUBTREE: u32 = 1 << 31;

/// Pairs of address and class in one bucket of hosts.
pub const BUCKET_HOSTS: u32 = 8;

/// Lists with dynamic entries that one class can tell apart.
pub const DYNAMIC_LISTS: u32 = 13 * 32;

/// What an address is a member of.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// Rows of the rules whose `src-address-list`, `dst-address-list` hold for it.
    pub src_row: u32,
    pub dst_row: u32,
    /// The cell of the rule that drops what comes from there, whatever else there is to the packet; 0: there is none.
    /// Such rules stand at the beginning of chain prerouting of raw, and ask for nothing but the list.
    pub shield: u32,
    /// Bit per list with dynamic entries of which it is a static member.
    pub member: [u32; 13],
}
crate::assert_size!(Class, 64);

/// What happens to a packet that matches.
pub mod action {
    pub const ACCEPT: u8 = 0;
    pub const DROP: u8 = 1;
    /// [`super::Rule::reject`] says how.
    pub const REJECT: u8 = 2;
    /// [`super::Rule::target`] is the chain.
    pub const JUMP: u8 = 3;
    pub const RETURN: u8 = 4;
    /// Also `log`, which is a rule with [`super::rule_flag::LOG`].
    pub const PASSTHROUGH: u8 = 5;
    pub const ADD_SRC: u8 = 6;
    pub const ADD_DST: u8 = 7;
    pub const FASTTRACK: u8 = 8;
    pub const NOTRACK: u8 = 9;
    /// [`super::Rule::target`] is the cell of a [`super::Nat`].
    pub const NAT: u8 = 10;
    /// [`super::Rule::target`] is the mark.
    pub const MARK_CONNECTION: u8 = 11;
    pub const MARK_PACKET: u8 = 12;
    pub const MARK_ROUTING: u8 = 13;
    /// [`super::Rule::target`] is the code point.
    pub const CHANGE_DSCP: u8 = 14;
    /// [`super::Rule::target`] is one of [`super::hops`], and from bit 8 on the number.
    pub const CHANGE_TTL: u8 = 15;
    pub const CLEAR_DF: u8 = 16;
    /// [`super::Rule::target`] is the largest segment to announce, 0: what the path has room for.
    pub const CHANGE_MSS: u8 = 17;
    /// [`super::Rule::target`] is the priority or one of [`super::priority`].
    pub const SET_PRIORITY: u8 = 18;
    pub const STRIP_OPTIONS: u8 = 19;
    /// [`super::Rule::target`] is the cell of a [`super::Nat`] with the gateway.
    pub const ROUTE: u8 = 20;
}

/// What `new-ttl` and `new-hop-limit` do.
pub mod hops {
    pub const SET: u32 = 0;
    pub const INCREMENT: u32 = 1;
    pub const DECREMENT: u32 = 2;
}

/// What `new-priority` may be beside a number.
pub mod priority {
    pub const FROM_DSCP: u32 = 1 << 8;
    pub const FROM_DSCP_HIGH_3_BITS: u32 = 2 << 8;
    pub const FROM_INGRESS: u32 = 3 << 8;
}

/// Bits of [`Rule::flags`].
pub mod rule_flag {
    pub const LOG: u32 = 1;
    /// `passthrough=no`: the walk of the chain ends with the rule.
    pub const LAST: u32 = 2;
}

/// One rule.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Bits of [`rule_flag`].
    pub flags: u32,
    /// One of [`action`].
    pub action: u8,
    /// Number of the reason under which a rejected packet is dropped, less [`REJECT_BASE`].
    pub reject: u8,
    /// Built-in chain's number, or [`chain::OWN`].
    pub chain: u8,
    pub reserved: u8,
    /// Index of its counters and limiters, stable while the rule exists.
    pub slot: u32,
    /// A chain as start | end << 16, a cell, the id of an address list, or a mark: as the action has it.
    pub target: u32,
    /// Life of an address that the rule adds to a list, in seconds; 0: until the next start.
    pub timeout_s: u32,
    /// Cell of its [`Matchers`], 0: the rows say all.
    pub matchers: u32,
    /// Which item it is: menu << 32 | id.
    pub key: u64,
    /// Hash of the rule as it is written: names it after a restart, when ids are new.
    pub text: u64,
    pub reserved2: [u64; 3],
}
crate::assert_size!(Rule, 64);

/// Where the reasons of `action=reject` begin, see [`crate::verdict::Reason`].
pub const REJECT_BASE: u16 = 80;

/// Bits of [`Matchers::present`] and [`Matchers::negated`].
pub mod matcher {
    pub const TCP_FLAGS: u32 = 1 << 0;
    pub const ICMP: u32 = 1 << 1;
    pub const FRAGMENT: u32 = 1 << 2;
    pub const SIZE: u32 = 1 << 3;
    pub const TTL: u32 = 1 << 4;
    pub const DSCP: u32 = 1 << 5;
    pub const SRC_MAC: u32 = 1 << 6;
    pub const SRC_LIST: u32 = 1 << 7;
    pub const DST_LIST: u32 = 1 << 8;
    pub const CONNECTION_LIMIT: u32 = 1 << 9;
    pub const DST_LIMIT: u32 = 1 << 10;
    pub const LIMIT: u32 = 1 << 11;
    // Of these the cell [`super::Matchers::more`] has the values.
    pub const TCP_MSS: u32 = 1 << 12;
    pub const PCC: u32 = 1 << 13;
    pub const NTH: u32 = 1 << 14;
    pub const RANDOM: u32 = 1 << 15;
    pub const TIME: u32 = 1 << 16;
    pub const OPTIONS: u32 = 1 << 17;
    pub const HEADERS: u32 = 1 << 18;
    pub const PRIORITY: u32 = 1 << 19;
    pub const INGRESS_PRIORITY: u32 = 1 << 20;
    // Of these [`super::Matchers::volume`].
    pub const CONNECTION_BYTES: u32 = 1 << 21;
    pub const CONNECTION_RATE: u32 = 1 << 22;
    pub const PSD: u32 = 1 << 23;
    pub const CONTENT: u32 = 1 << 24;
    /// What is never so on this host: clients of a hotspot, connections of a helper that there is not.
    pub const NEVER: u32 = 1 << 25;

    pub const OF_MORE: u32 =
        TCP_MSS | PCC | NTH | RANDOM | TIME | OPTIONS | HEADERS | PRIORITY | INGRESS_PRIORITY;
    pub const OF_VOLUME: u32 = CONNECTION_BYTES | CONNECTION_RATE | PSD;
}

/// What is tested once the rows have left a rule as a candidate.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matchers {
    pub present: u32,
    pub negated: u32,
    /// `flags & mask == value`.
    pub tcp_mask: u8,
    pub tcp_value: u8,
    pub icmp_type: u8,
    pub icmp_code_from: u8,
    pub icmp_code_to: u8,
    pub dscp: u8,
    pub ttl_from: u8,
    pub ttl_to: u8,
    pub size_from: u16,
    pub size_to: u16,
    /// 1: fragments, 0: all else.
    pub fragment: u8,
    pub reserved: [u8; 3],
    pub src_mac: [u8; 6],
    pub reserved2: u16,
    /// Lists with dynamic entries: their id, and their bit in [`Class::member`].
    pub src_list: u32,
    pub dst_list: u32,
    pub src_list_bit: u16,
    pub dst_list_bit: u16,
    /// Cell of its [`Limits`].
    pub limits: u32,
    /// Cells of its [`More`], of its [`Volume`].
    pub more: u32,
    pub volume: u32,
    /// Cell of the bytes of `content`, before one that has all ones where they are; and their number.
    pub content: u32,
    pub content_bytes: u32,
}
crate::assert_size!(Matchers, 64);

/// Rarer matchers without state, or with little.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// The hash of [`pcc`] fields modulo the first is the second.
    pub pcc_denominator: u32,
    pub pcc_remainder: u32,
    /// Of so many packets that one, counted from 1.
    pub nth_every: u32,
    pub nth_packet: u32,
    /// Seconds since midnight, both included.
    pub time_from_s: u32,
    pub time_to_s: u32,
    pub mss_from: u16,
    pub mss_to: u16,
    /// Bits of [`pcc`].
    pub pcc_fields: u8,
    /// Percent.
    pub random: u8,
    /// Bit per day of the week; 1 is Sunday.
    pub days: u8,
    /// One of [`crate::facts::ip_option`], and whether the option is to be there.
    pub option: u8,
    pub option_is_there: u8,
    /// Bits of [`crate::facts::header`]; 1: these alone.
    pub headers: u8,
    pub headers_exact: u8,
    pub priority: u8,
    pub ingress_priority: u8,
    pub reserved: [u8; 3],
    pub reserved2: [u64; 3],
}
crate::assert_size!(More, 64);

/// Bits of [`More::pcc_fields`].
pub mod pcc {
    pub const SRC: u8 = 1;
    pub const DST: u8 = 2;
    pub const SRC_PORT: u8 = 4;
    pub const DST_PORT: u8 = 8;
}

/// Matchers of how much a connection carries, and of port scans.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes of both directions; both ends included.
    pub bytes_from: u64,
    pub bytes_to: u64,
    /// Bits per second.
    pub rate_from: u64,
    pub rate_to: u64,
    /// `psd`: the weight from which on a source scans, in what time, and what a port below 1024, another weighs.
    pub psd_weight: u32,
    pub psd_delay_s: u32,
    pub psd_low: u32,
    pub psd_high: u32,
    pub reserved: [u64; 2],
}
crate::assert_size!(Volume, 64);

/// Rates of a rule. A bucket of tokens is kept as the time at which it will be full (GCRA).
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub limit: Rate,
    pub dst_limit: Rate,
    /// Bits of [`limit_key`].
    pub key: u32,
    /// A bucket that was not used for so long is forgotten.
    pub expire_s: u32,
    /// More tracked connections than this match `connection-limit`.
    pub connections: u32,
    /// Prefix length of the block of sources that is counted together.
    pub connections_prefix: u32,
    pub reserved: [u64; 2],
}
crate::assert_size!(Limits, 64);

#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// What one packet, or one bit, costs: nanoseconds in units of 2^-16.
    pub cost: u64,
    /// How far the bucket may be overdrawn, in nanoseconds; the highest bit is set where bits are counted.
    pub burst_ns: u64,
}
crate::assert_size!(Rate, 16);

impl Rate {
    pub const BITS: u64 = 1 << 63;
}

/// Bits of [`Limits::key`].
pub mod limit_key {
    pub const SRC: u32 = 1;
    pub const DST: u32 = 2;
    pub const DST_PORT: u32 = 4;
}

/// Parameters of an action of NAT.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// One of [`nat_kind`].
    pub kind: u8,
    /// Bits of [`nat_flag`].
    pub flags: u8,
    /// Of `from`, where [`nat_flag::PREFIX`] is set.
    pub prefix_length: u8,
    pub reserved: u8,
    pub port_from: u16,
    pub port_to: u16,
    /// First and last address, both included; IPv4 in the first four bytes.
    pub from: [u8; 16],
    pub to: [u8; 16],
    pub reserved2: [u64; 3],
}
crate::assert_size!(Nat, 64);

/// [`Nat::kind`].
pub mod nat_kind {
    pub const ACCEPT: u8 = 0;
    pub const MASQUERADE: u8 = 1;
    pub const SRC_NAT: u8 = 2;
    pub const DST_NAT: u8 = 3;
    pub const REDIRECT: u8 = 4;
    pub const NETMAP: u8 = 5;
    /// `same`: a client keeps its address whatever the destination.
    pub const SAME: u8 = 6;
}

/// Bits of [`Nat::flags`].
pub mod nat_flag {
    /// There are addresses.
    pub const ADDRESSES: u8 = 1;
    /// There are ports.
    pub const PORTS: u8 = 2;
    /// The addresses were given as a prefix.
    pub const PREFIX: u8 = 4;
    pub const RANDOMISE_PORTS: u8 = 8;
    pub const SAME_NOT_BY_DST: u8 = 16;
}

/// A struct of this module that fills one cell.
///
/// # Safety
/// `repr(C)`, 64 bytes, alignment 8, no padding, every bit pattern valid.
pub unsafe trait Record: Copy {
    #[inline(always)]
    fn of(cell: &Cell) -> &Self
    where
        Self: Sized,
    {
        const { assert!(size_of::<Self>() == size_of::<Cell>() && align_of::<Self>() == align_of::<Cell>()) };
        // SAFETY: of the same size and alignment, and every bit pattern is valid.
        unsafe { &*core::ptr::from_ref(cell).cast() }
    }

    #[inline(always)]
    fn cell(&self) -> Cell
    where
        Self: Sized,
    {
        // SAFETY: as above; there is no padding.
        unsafe { *core::ptr::from_ref(self).cast() }
    }
}
// SAFETY: integers and arrays of them, without padding by the sizes asserted.
unsafe impl Record for Class {}
// SAFETY: as above.
unsafe impl Record for Rule {}
// SAFETY: as above.
unsafe impl Record for Matchers {}
// SAFETY: as above.
unsafe impl Record for Limits {}
// SAFETY: as above.
unsafe impl Record for More {}
// SAFETY: as above.
unsafe impl Record for Volume {}
// SAFETY: as above.
unsafe impl Record for Nat {}

/// One of a cell's sixteen words.
#[inline(always)]
pub fn word(cell: &Cell, index: u32) -> u32 {
    // Hidden from LLVM, which else drops the mask that the verifier needs.
    let index = core::hint::black_box(index) & 15;
    // SAFETY: a cell has sixteen words.
    unsafe { *core::ptr::from_ref(cell).cast::<u32>().add(index as usize) }
}
