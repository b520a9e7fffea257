//! The desired state: plain values that `kernel` and `dataplane` make true.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use config::Span;
use router_common::maps::flow::{Tracking, tracking};
use router_common::maps::image::Cell;
use router_common::maps::port::{MARK_TABLE_SHIFT, Settings};

use crate::firewall::rule::{Firewall, RuleKey};

/// Protocol number of every address (`IFA_PROTO`), route (`rtm_protocol`) and neighbour (`NDA_PROTOCOL`) that we make.
/// In none of the lists of rtnetlink.h and iproute2's rt_protos.
pub const PROTOCOL: u8 = 200;
/// Begins the alias (`IFLA_IFALIAS`) of every link that the configuration speaks of.
pub const ALIAS_TAG: &str = "routerd:";
/// The kernel's main routing table.
pub const TABLE_MAIN: u32 = 254;
/// The kernel's table of the host's own addresses.
pub const TABLE_LOCAL: u32 = 255;

/// Everything a configuration asks of the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub neighbors: Vec<Neighbor>,
    pub rules: Vec<PolicyRule>,
    /// Gateways to be watched: `check-gateway`.
    pub checks: BTreeSet<GatewayCheck>,
    /// `net/ipv4/conf/ether1/...` below /proc/sys -> value. Interface names are host names.
    pub sysctls: BTreeMap<String, String>,
    /// `/system identity`, where set.
    pub hostname: Option<String>,
    pub image: Image,
    /// Items that are kept without effect on this host now, each with its reason (an absent port, for one).
    pub inactive: Vec<Inactive>,
    /// Items that can't be enforced yet, or not here: what would be stopped passes, so that the operator has to know.
    pub gaps: Vec<Gap>,
    /// Domain names in address lists that rules ask.
    pub names: Vec<ListedName>,
    /// The rules behind [`Image::rules`].
    pub firewall: Firewall,
}

/// An item that is not in force because something of it is not built, not there, or not possible on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// `/ip/firewall/filter`
    pub menu: String,
    /// The item's id in the tree.
    pub item: u32,
    /// Where it was configured.
    pub span: Span,
    /// The property or value that is not built, or the whole reason.
    pub what: String,
    /// Whether it names what nothing has: RouterOS refuses such an item.
    pub is_unknown: bool,
}

/// A domain name whose addresses are members of an address list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedName {
    /// Id of the list.
    pub list: u32,
    pub v6: bool,
    pub name: String,
}

/// A configured item that has no effect at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inactive {
    /// `/ip/address`
    pub menu: String,
    /// The item's id in the tree.
    pub item: u32,
    pub reason: String,
}

/// An existing host link that the configuration speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub ifindex: u32,
    /// The host's name for it at plan time.
    pub host_name: String,
    /// The port's identity in the configuration, `default-name`.
    pub port: String,
    /// The RouterOS name: set as altname where it differs from `host_name`.
    pub name: String,
    pub mtu_bytes: Option<u32>,
    pub mac: Option<[u8; 6]>,
    pub up: bool,
    pub comment: Option<String>,
}

impl Link {
    /// The alias that marks the link as ours: tag, port and comment.
    pub fn alias(&self) -> String {
        // The kernel takes at most IFALIASZ - 1 = 255 bytes: include/uapi/linux/if.h
        const ALIAS_BYTES: usize = 255;
        let mut alias = format!("{ALIAS_TAG}{}", self.port);
        if let Some(comment) = &self.comment {
            alias.push(' ');
            alias.extend(comment.chars().map(|c| if c.is_control() { ' ' } else { c }));
        }
        while alias.len() > ALIAS_BYTES {
            alias.pop();
        }
        alias
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub ifindex: u32,
    pub address: IpAddr,
    pub prefix_length: u8,
    /// Peer of a point-to-point /32, from `network=`.
    pub peer: Option<IpAddr>,
    pub no_dad: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RouteKind {
    Unicast,
    Blackhole,
    Unreachable,
    Prohibit,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub kind: RouteKind,
    pub destination: IpAddr,
    pub prefix_length: u8,
    pub table: u32,
    /// RouterOS distance as the kernel's metric.
    pub metric: u32,
    pub preferred_source: Option<IpAddr>,
    /// More than one: ECMP. Empty unless `kind` is `Unicast`.
    pub next_hops: Vec<NextHop>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextHop {
    pub gateway: Option<IpAddr>,
    pub ifindex: Option<u32>,
    /// The gateway is on no network of the interface, which was named with it (`192.0.2.1%ether1`).
    pub onlink: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbor {
    pub ifindex: u32,
    pub address: IpAddr,
    /// None: a published (proxy) entry.
    pub mac: Option<[u8; 6]>,
}

/// A gateway that has to answer, or no route uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GatewayCheck {
    pub address: IpAddr,
    /// Of the network that it is on; None: behind other routers.
    pub ifindex: Option<u32>,
    /// By ARP or neighbour discovery, not by ping.
    pub arp: bool,
}

/// Which packets use which routing table: `ip rule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRule {
    pub v6: bool,
    /// The kernel's: the lowest is asked first.
    pub priority: u32,
    pub src: Option<(IpAddr, u8)>,
    pub dst: Option<(IpAddr, u8)>,
    /// The host's name of the interface that a packet came in by.
    pub input: Option<String>,
    /// The mark of what the kernel forwards, inside [`MARK_TABLE`].
    pub mark: Option<u32>,
    pub kind: RuleKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleKind {
    /// `suppress`: routes of at most this length do not count.
    Lookup {
        table: u32,
        suppress: Option<u32>,
    },
    Blackhole,
    Unreachable,
}

/// The bits of `skb->mark` that are ours, but for the one that says "processed": the number of a routing table in
/// `router_common::maps::route::table`, from bit [`MARK_TABLE_SHIFT`] on.
pub const MARK_TABLE: u32 = 0x7f << MARK_TABLE_SHIFT;

/// What goes into one slot of the data plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    pub settings: Settings,
    pub ports: Vec<ImagePort>,
    pub rules: Arc<RuleImage>,
    pub tracking: Tracking,
    /// Numbers by name of marks, of routing tables: those of the configuration and all that were given before.
    pub marks: BTreeMap<String, u32>,
    pub tables: BTreeMap<String, u32>,
}

impl Image {
    /// Whether packets have to go by way of rules or of connection tracking.
    pub fn has_firewall(&self) -> bool {
        self.tracking.flags & tracking::ENABLED != 0 || !self.rules.rules.is_empty()
    }
}

/// Rules, parameters of NAT and address lists, as `router_common::maps::image` lays them out. Empty where there is no
/// rule. The counters' slots of the rules are filled in by `dataplane`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleImage {
    pub cells: Vec<Cell>,
    pub rules: Vec<PlacedRule>,
}

/// A rule's place in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedRule {
    pub key: RuleKey,
    /// Hash of the rule as it is written.
    pub text: u64,
    pub cell: u32,
    /// Within its family.
    pub index: u32,
}

/// A port of the image. `tx_index`, and the flags that depend on how it could be attached (`NATIVE`, `XDP_TX`,
/// `NO_METADATA`), are filled in by `dataplane`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePort {
    /// RouterOS name.
    pub name: String,
    pub host_name: String,
    pub port: router_common::maps::port::Port,
}
