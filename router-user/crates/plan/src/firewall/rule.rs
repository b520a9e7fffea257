//! Rules as values: what was configured, with names resolved. The image is compiled from these.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

pub use router_common::maps::image::{More, Nat, Volume};

/// The rules and address lists of both families.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Firewall {
    pub v4: Rules,
    pub v6: Rules,
}

/// One family's rules, each chain's in order, and the lists that they ask.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// The built-in chains first, by their number in `router_common::maps::image::chain`.
    pub chains: Vec<Chain>,
    /// Address lists that a rule asks.
    pub lists: Vec<AddressList>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chain {
    pub name: String,
    pub rules: Vec<Arc<Rule>>,
}

/// One rule in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub key: RuleKey,
    /// Hash of the rule as it is written.
    pub text: u64,
    pub matches: Matches,
    pub action: Action,
    pub log: bool,
    /// `passthrough=no`: the chain ends with the rule.
    pub last: bool,
}

/// Which item of the tree a rule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// Index in [`super::MENUS`].
    pub menu: u8,
    /// The item's id.
    pub item: u32,
}

impl RuleKey {
    pub fn number(self) -> u64 {
        u64::from(self.menu) << 32 | u64::from(self.item)
    }
}

/// A value, or all but it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Is<T> {
    pub not: bool,
    pub value: T,
}

impl<T> Is<T> {
    pub fn of(not: bool, value: T) -> Is<T> {
        Is { not, value }
    }
}

/// First and last, both included.
pub type Range<T> = (T, T);

/// What a packet has to be; None does not care.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Matches {
    /// The family's addresses as numbers.
    pub src: Option<Is<Range<u128>>>,
    pub dst: Option<Is<Range<u128>>>,
    /// Indices in [`Rules::lists`].
    pub src_list: Option<Is<usize>>,
    pub dst_list: Option<Is<usize>>,
    /// Bits by `router_common::facts::address_type`.
    pub src_type: Option<Is<u8>>,
    pub dst_type: Option<Is<u8>>,
    pub protocol: Option<Is<u8>>,
    pub src_ports: Option<Is<Vec<Range<u16>>>>,
    pub dst_ports: Option<Is<Vec<Range<u16>>>>,
    /// One of both ports.
    pub any_ports: Option<Is<Vec<Range<u16>>>>,
    /// All of these: ifindexes.
    pub input: Vec<Is<Arc<BTreeSet<u32>>>>,
    pub output: Vec<Is<Arc<BTreeSet<u32>>>>,
    /// Bits by `router_common::facts::connection_state`.
    pub state: Option<Is<u8>>,
    /// Bits of `router_common::facts::nat_state`.
    pub nat_state: Option<Is<u8>>,
    pub connection_mark: Option<Is<u32>>,
    pub packet_mark: Option<Is<u32>>,
    pub routing_mark: Option<Is<u32>>,
    pub tcp_flags: Option<TcpFlags>,
    pub icmp: Option<Is<IcmpOptions>>,
    pub fragment: Option<bool>,
    pub size: Option<Is<Range<u16>>>,
    pub ttl: Option<Is<Range<u8>>>,
    pub dscp: Option<Is<u8>>,
    pub src_mac: Option<Is<[u8; 6]>>,
    pub connection_limit: Option<Is<ConnectionLimit>>,
    pub dst_limit: Option<Is<DstLimit>>,
    pub limit: Option<Is<Limit>>,
    /// Which of the rarer matchers there are, and which are negated: bits of `router_common::maps::image::matcher`.
    pub present: u32,
    pub negated: u32,
    pub more: More,
    pub volume: Volume,
    pub content: Vec<u8>,
}

impl Matches {
    /// Notes one of the rarer matchers.
    pub fn has(&mut self, bit: u32, not: bool) {
        self.present |= bit;
        self.negated |= if not { bit } else { 0 };
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags {
    /// Flags that matter, and those of them that have to be set.
    pub mask: u8,
    pub value: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpOptions {
    pub kind: u8,
    pub codes: Range<u8>,
}

/// So many packets or bits per time, and that many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    pub count: u64,
    pub time_ms: u64,
    pub burst: u64,
    pub bits: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DstLimit {
    pub limit: Limit,
    /// Bits of `router_common::maps::image::limit_key`.
    pub key: u32,
    pub expire_s: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimit {
    pub count: u32,
    pub prefix_length: u8,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    Accept,
    Drop,
    /// Number of the reason, less `REJECT_BASE`.
    Reject(u8),
    /// Index in [`Rules::chains`]; None: a chain without rules.
    Jump(Option<usize>),
    Return,
    Passthrough,
    /// Id of the list, seconds.
    AddSrc(u32, u32),
    AddDst(u32, u32),
    Fasttrack,
    Notrack,
    Nat(Box<Nat>),
    /// Numbers of marks.
    MarkConnection(u32),
    MarkPacket(u32),
    MarkRouting(u32),
    ChangeDscp(u8),
    ChangeTtl(Hops),
    ClearDf,
    /// None: what the path has room for.
    ChangeMss(Option<u16>),
    SetPriority(Priority),
    StripOptions,
    /// To that gateway, whatever the route says.
    Route(Box<Nat>),
}

/// `new-ttl`, `new-hop-limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    Set(u8),
    Increment(u8),
    Decrement(u8),
}

/// `new-priority`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    Number(u8),
    Dscp,
    DscpHigh3Bits,
    Ingress,
}

/// A list as far as it does not change by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AddressList {
    pub name: String,
    /// Names it outside the image.
    pub id: u32,
    /// Addresses come and go while the image stays.
    pub dynamic: bool,
    pub entries: Arc<Vec<Range<u128>>>,
}

/// An address as a number of its family.
pub fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// A name as a number that outlives reloads and restarts (FNV-1a); never 0.
pub fn name_number(name: &str) -> u32 {
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    ((hash >> 32) as u32 ^ hash as u32).max(1)
}
