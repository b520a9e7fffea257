//! What rules keep outside the image: it outlives every reload. All is keyed by a rule's slot or a list's id, which are
//! stable while the rule, the list exists.

use crate::facts::Facts;
use crate::rules::walk::{COUNTED_MAX, Walk};
use crate::tuple::Tuple;
use crate::wire::ipv6::halves;

/// Map name: `PerCpuArray<Counter, RULE_SLOTS>`: packets that walked the rules. Bytes are those of IP packets.
pub const RULE_COUNTERS: &str = "RULE_COUNTERS";
/// Map name: `Array<Counter, RULE_SLOTS>`, mmapable: added to the above with wrap-around, by user space alone. Holds what
/// took the fast path under images that are gone, less what was reset.
pub const RULE_BASE: &str = "RULE_BASE";
/// Slots of rules: both families' at their largest.
pub const RULE_SLOTS: u32 = 65536;
/// What fasttracked packets count for in the place of rules: IPv4's, then IPv6's. No rule has these slots.
pub const FASTTRACK_SLOTS: u32 = RULE_SLOTS - 2;
/// Map name: `Array<u64, RULE_SLOTS>`, mmapable: buckets of `limit`, see [`crate::rules::limit`].
pub const LIMITS: &str = "LIMITS";

/// Map name: `LruHashMap<DstLimitKey, u64>`: buckets of `dst-limit`.
pub const DST_LIMITS: &str = "DST_LIMITS";
pub const DST_LIMITS_MAX: u32 = 65536;

/// A bucket of one rule; what its mode leaves out is zero.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DstLimitKey {
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub slot: u32,
    pub port: u32,
}
crate::assert_size!(DstLimitKey, 40);

/// Map name: `LruHashMap<SourceKey, [u64; SOURCE_CELLS]>`: the connections that a rule's `connection-limit` counts for one
/// network of sources, block by block. A connection is the version and the index of its original direction's entry, as
/// [`counted`] has them; 0 is none. It is there long after the connection has ended: whoever counts asks the flow table.
pub const SOURCES: &str = "CONNECTION_LIMITS";
pub const SOURCES_MAX: u32 = 32768;
pub const SOURCE_CELLS: usize = 8;
/// Rules with a `connection-limit` that one connection can be counted by.
pub const ASKED_MAX: usize = 8;

/// A block of connections.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceKey {
    /// [`crate::maps::image::Rule::text`]: the same after a restart.
    pub rule: u64,
    /// Its bits beyond the prefix are 0; IPv4 in the first four bytes.
    pub network: [u8; 16],
    /// 4 or 6.
    pub family: u32,
    pub block: u32,
}
crate::assert_size!(SourceKey, 32);

/// A connection in a block, by the status word and the index of its entry.
#[inline(always)]
pub fn counted(word: u64, index: u32) -> u64 {
    use super::flow::status::VERSION;
    word & VERSION | 1 << 32 | u64::from(index)
}

/// The network of an address.
#[inline(always)]
pub fn network(address: &[u8; 16], prefix_length: u32) -> [u8; 16] {
    let mask = |bits: u32| if bits >= 64 { u64::MAX } else { !(u64::MAX >> bits) };
    let (high, low) = halves(address);
    let high = high & mask(prefix_length).to_be();
    let low = low & mask(prefix_length.saturating_sub(64)).to_be();
    let [a, b, c, d, e, f, g, h] = high.to_ne_bytes();
    let [i, j, k, l, m, n, o, p] = low.to_ne_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

/// Map name: `Array<u32, RULE_SLOTS>`, mmapable: packets that asked a rule's `nth`.
pub const NTH: &str = "NTH";

/// Map name: `LruHashMap<u64, ConnectionRate>`: what a connection carried, by family << 63, the version and the index of
/// its original direction's entry.
pub const CONNECTION_RATES: &str = "CONNECTION_RATES";
pub const CONNECTION_RATES_MAX: u32 = 65536;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionRate {
    /// Bytes of both directions when the second `tick` began.
    pub bytes: u64,
    /// Bits per second before it.
    pub rate: u64,
    pub tick: u32,
    pub reserved: u32,
}
crate::assert_size!(ConnectionRate, 24);

/// Map name: `LruHashMap<ScanKey, Scan>`: the ports that a source has asked, by rule.
pub const SCANS: &str = "SCANS";
pub const SCANS_MAX: u32 = 16384;
/// Ports of one source that are told apart.
pub const SCAN_PORTS: usize = 32;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanKey {
    pub src: [u8; 16],
    /// [`crate::maps::image::Rule::text`].
    pub rule: u64,
}
crate::assert_size!(ScanKey, 24);

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    pub last_tick: u32,
    pub weight: u32,
    /// Hashes of destination and port, in a ring.
    pub ports: [u32; SCAN_PORTS],
    pub next: u32,
    pub reserved: u32,
}
crate::assert_size!(Scan, 144);

/// Map name: `PerCpuArray<Payload, 2>`, indexed as [`crate::maps::scratch::SCRATCH`].
pub const PAYLOAD: &str = "PAYLOAD";
/// Bytes of a payload that rules look at.
pub const PAYLOAD_BYTES: usize = 2048;
/// Zeros behind the payload, so that whole words can be read at each of its places.
pub type Payload = [u8; PAYLOAD_BYTES + 64];

/// Map name: `HashMap<ListedKey, Listed>`: dynamic members of address lists.
pub const LISTED: &str = "LISTED";
pub const LISTED_MAX: u32 = 1 << 20;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListedKey {
    pub list: u32,
    /// 4 or 6.
    pub family: u32,
    /// IPv4 in the first four bytes.
    pub address: [u8; 16],
}
crate::assert_size!(ListedKey, 24);

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The tick at which it is no member any more; `u32::MAX`: stays; [`Listed::STATIC`].
    pub until_tick: u32,
    /// When it became one; [`Listed::OF_NAME`] for an address of a domain name in the list.
    pub since_tick: u32,
}
crate::assert_size!(Listed, 8);

impl Listed {
    pub const OF_NAME: u32 = u32::MAX;
    /// Stays, and is to be written into the configuration. As a timeout in seconds, it asks for that.
    pub const STATIC: u32 = u32::MAX - 1;
}

/// Map name: `Array<u32, EPOCHS_MAX>`, mmapable: counted up when a dynamic member comes or goes, at
/// [`crate::hash::epoch`] of its address. A kept decision that looked at dynamic lists holds while those of its
/// addresses stay the same.
pub const LIST_EPOCHS: &str = "LIST_EPOCHS";
pub const EPOCHS_MAX: u32 = 4096;

/// Map name: `Array<MarkName, MARKS_MAX>`, mmapable: the names of marks by their numbers. For user space alone.
pub const MARKS: &str = "MARKS";
/// A connection has sixteen bits for its mark. 0 is no mark.
pub const MARKS_MAX: u32 = 8192;
pub const MARK_NAME_BYTES: usize = 64;

/// Map name: `Array<MarkName, TABLES_MAX>`, mmapable: the names of routing tables by their numbers in
/// [`crate::maps::route::table`]. For user space alone.
pub const TABLES: &str = "TABLES";
pub const TABLES_MAX: u32 = 128;

/// Zeros behind the name.
pub type MarkName = [u8; MARK_NAME_BYTES];

/// Map name: `HashMap<PathKey, u32>`: the rules that counted a packet -> their path. Each generation parity has ids of
/// its own, so that those of the idle slot can be counted together and given anew.
pub const PATHS: &str = "PATHS";
/// Map name: `PerCpuArray<Counter, 2 * PATHS_MAX>`: packets that took the fast path, by path.
pub const PATH_COUNTERS: &str = "PATH_COUNTERS";
/// Map name: `Array<u32, 2>`, mmapable: ids given out, by generation parity.
pub const PATH_NEXT: &str = "PATH_NEXT";
/// Paths of one parity. Id 0 of each is that of no rule at all.
pub const PATHS_MAX: u32 = 8192;

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathKey {
    pub parity: u32,
    pub count: u32,
    /// Slots; what is beyond `count` is zero.
    pub slots: [u32; COUNTED_MAX],
}
crate::assert_size!(PathKey, 72);

/// Map name: `RingBuf` of [`Logged`].
pub const RULE_LOG: &str = "RULE_LOG";
pub const RULE_LOG_BYTES: u32 = 1 << 18;
/// Packets that one CPU logs in a second.
pub const LOGGED_MAX: u32 = 500;

/// A packet that a rule logs.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Which item: menu << 32 | id.
    pub key: u64,
    /// Chain's number where it is built-in.
    pub chain: u32,
    /// Packets that were not told of before this one.
    pub lost: u32,
    pub facts: Facts,
    /// The packet as it came and as it leaves, as far as that is known. They mean something where the facts have a state
    /// of a connection.
    pub came: Tuple,
    pub leaves: Tuple,
}
crate::assert_size!(Logged, 200);

/// Map name: `PerCpuArray<RuleScratch, 2>`, indexed as [`crate::maps::scratch::SCRATCH`].
pub const RULE_SCRATCH: &str = "RULE_SCRATCH";

/// Working memory of the rules.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleScratch {
    pub walk: Walk,
    /// The packet's payload behind the headers of its upper layer, as far as rules look at it; see
    /// [`PAYLOAD`].
    pub payload_bytes: u32,
    pub reserved_payload: u32,
    /// The facts before the last walk, where that is told.
    pub before: Facts,
    // Keys and values of maps, too large for the stack.
    pub path: PathKey,
    pub bucket: DstLimitKey,
    pub scan_key: ScanKey,
    pub scan: Scan,
    pub rate_key: u64,
    pub rate: ConnectionRate,
    pub listed_key: ListedKey,
    pub listed: Listed,
    /// The block that is looked at, and what a new one begins with.
    pub source: SourceKey,
    pub cells: [u64; SOURCE_CELLS],
    /// What the connection has to be counted by once it is stored: the first `asked_count` of these; a rule's block 0.
    pub asked: [SourceKey; ASKED_MAX],
    pub asked_count: u32,
    pub reserved_asked: u32,
    /// Packets logged in the second `logged_tick`, and those that were not for that or for a full ring.
    pub logged_tick: u32,
    pub logged: u32,
    pub lost: u32,
    pub reserved: u32,
}
crate::assert_size!(RuleScratch, 1184);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_bits_of_its_prefix() {
        let address = [192, 0, 2, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let first = |length| network(&address, length)[..4].to_vec();
        assert_eq!(first(32), [192, 0, 2, 255]);
        assert_eq!(first(25), [192, 0, 2, 128]);
        assert_eq!(first(0), [0; 4]);
        assert_eq!(network(&[255; 16], 128), [255; 16]);
        assert_eq!(network(&[255; 16], 127)[15], 254);
        assert_eq!(network(&[255; 16], 0), [0; 16]);
    }
}
