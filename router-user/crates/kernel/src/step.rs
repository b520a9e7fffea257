//! One change of the host, with what undoes it.

use std::fmt;

use plan::desired::{Address, Neighbor, NextHop, PolicyRule, Route, RouteKind, TABLE_MAIN};

use crate::read::State;

/// When a step is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before the data plane's image is made active.
    Base,
    /// Opens the kernel's forwarding: only after the programs are attached.
    Forwarding,
}

/// One change. `Display` reads like a line of a diff: `+ address 192.168.1.1/24 on ether2`.
#[derive(Clone, Debug)]
pub struct Step {
    pub(crate) op: Op,
    /// In the order in which they are done.
    pub(crate) inverse: Vec<Op>,
    text: String,
}

impl Step {
    pub(crate) fn new(text: String, op: Op, inverse: impl IntoIterator<Item = Op>) -> Step {
        Step { op, inverse: inverse.into_iter().collect(), text }
    }

    pub fn phase(&self) -> Phase {
        match &self.op {
            Op::Sysctl { key, value } if crate::sysctl::opens_forwarding(key, value) => Phase::Forwarding,
            _ => Phase::Base,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What is asked of the kernel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Link {
        ifindex: u32,
        change: LinkChange,
    },
    AddAddress {
        address: Address,
        protocol: u8,
    },
    RemoveAddress(Address),
    /// `replace`: takes the place of the route with the same destination, table and metric.
    PutRoute {
        route: Route,
        protocol: u8,
        replace: bool,
    },
    RemoveRoute {
        route: Route,
        protocol: u8,
    },
    PutNeighbor {
        neighbor: Neighbor,
        protocol: u8,
    },
    RemoveNeighbor(Neighbor),
    AddRule(PolicyRule),
    RemoveRule(PolicyRule),
    Sysctl {
        key: String,
        value: String,
    },
    Hostname(String),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum LinkChange {
    Mtu(u32),
    Mac(Vec<u8>),
    Up(bool),
    Alias(String),
    AddAltname(String),
    RemoveAltname(String),
}

pub(crate) fn address_text(address: &Address, state: &State) -> String {
    let peer = address.peer.map(|peer| format!(" peer {peer}")).unwrap_or_default();
    format!("address {}/{}{peer} on {}", address.address, address.prefix_length, state.name(address.ifindex))
}

pub(crate) fn route_text(route: &Route, state: &State) -> String {
    let kind = match route.kind {
        RouteKind::Unicast => "",
        RouteKind::Blackhole => "blackhole ",
        RouteKind::Unreachable => "unreachable ",
        RouteKind::Prohibit => "prohibit ",
    };
    let mut text = format!("{kind}route {}/{}", route.destination, route.prefix_length);
    for (i, hop) in route.next_hops.iter().enumerate() {
        text.push_str(if i == 0 { "" } else { " and" });
        text.push_str(&next_hop_text(hop, state));
    }
    if let Some(source) = route.preferred_source {
        text.push_str(&format!(" from {source}"));
    }
    let table = if route.table == TABLE_MAIN { String::new() } else { format!(" table {}", route.table) };
    text + &format!(" distance {}{table}", route.metric)
}

fn next_hop_text(hop: &NextHop, state: &State) -> String {
    let gateway = hop.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
    let device = hop.ifindex.map(|ifindex| format!(" on {}", state.name(ifindex))).unwrap_or_default();
    gateway + &device
}

pub(crate) fn neighbor_text(neighbor: &Neighbor, state: &State) -> String {
    let what = neighbor.mac.map_or_else(|| "published".to_owned(), |mac| mac_text(&mac));
    format!("neighbor {} {what} on {}", neighbor.address, state.name(neighbor.ifindex))
}

/// `02:00:5E:10:00:01`, as RouterOS writes it.
pub(crate) fn mac_text(mac: &[u8]) -> String {
    mac.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
