//! What the host has now.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures::{Stream, TryStreamExt};
use plan::HostFacts;
use plan::desired::{Address, Neighbor, NextHop, PROTOCOL, PolicyRule, Route, RouteKind, TABLE_MAIN};
use plan::facts::{HostAddress, HostLink};
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, Prop};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteType,
};

use crate::{Error, Kernel};

/// What the diff has to know.
#[derive(Default)]
pub(crate) struct State {
    pub links: BTreeMap<u32, HostLink>,
    pub addresses: Vec<Found<Address>>,
    pub routes: Vec<Found<Route>>,
    pub neighbors: Vec<Found<Neighbor>>,
    /// Policy rules of ours.
    pub rules: Vec<PolicyRule>,
}

/// Something that exists, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found<T> {
    pub what: T,
    pub protocol: u8,
}

impl<T> Found<T> {
    pub fn is_ours(&self) -> bool {
        self.protocol == PROTOCOL
    }
}

impl State {
    pub fn name(&self, ifindex: u32) -> String {
        self.links.get(&ifindex).map_or_else(|| format!("ifindex {ifindex}"), |link| link.name.clone())
    }
}

impl Kernel {
    /// What the plan has to know of the host. `ports` are the operator's names, as given.
    pub async fn facts(&self, ports: &BTreeMap<String, String>) -> Result<HostFacts, Error> {
        let links = self.links().await?;
        let addresses = self
            .addresses()
            .await?
            .into_iter()
            .filter(|found| !found.is_ours())
            .map(|found| HostAddress {
                ifindex: found.what.ifindex,
                address: found.what.address,
                prefix_length: found.what.prefix_length,
            })
            .collect();
        Ok(HostFacts {
            links: links.into_values().collect(),
            addresses,
            ports: ports.clone(),
            owns_hostname: owns_hostname(),
            kernel_release: rustix::system::uname().release().to_string_lossy().into_owned(),
            ..HostFacts::default()
        })
    }

    pub(crate) async fn links(&self) -> Result<BTreeMap<u32, HostLink>, Error> {
        let messages = collect("links", self.handle.link().get().execute()).await?;
        Ok(messages.into_iter().map(|m| (m.header.index, host_link(m))).collect())
    }

    pub(crate) async fn addresses(&self) -> Result<Vec<Found<Address>>, Error> {
        let messages = collect("addresses", self.handle.address().get().execute()).await?;
        Ok(messages.into_iter().filter_map(address).collect())
    }

    /// All routes of both families that `keep` wants, without ever holding the whole table.
    pub(crate) async fn routes(
        &self,
        keep: impl Fn(&Found<Route>) -> bool,
    ) -> Result<Vec<Found<Route>>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut stream = Box::pin(self.route_messages(family));
            while let Some(message) = stream.try_next().await.map_err(|cause| read("routes", cause))? {
                // Routes for a type of service or a source are none of ours, nor in the way of ours.
                let special = message.header.tos != 0 || message.header.source_prefix_length != 0;
                if let Some(route) = route(&message).filter(|_| !special)
                    && keep(&route)
                {
                    routes.push(route);
                }
            }
        }
        Ok(routes)
    }

    pub(crate) fn route_messages(
        &self,
        family: AddressFamily,
    ) -> impl Stream<Item = Result<RouteMessage, rtnetlink::Error>> + use<> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        self.handle.route().get(message).execute()
    }

    pub(crate) async fn neighbors(&self) -> Result<Vec<Found<Neighbor>>, Error> {
        let mut messages = collect("neighbours", self.handle.neighbours().get().execute()).await?;
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let request = self.handle.neighbours().get().proxies().set_address_family(family);
            messages.extend(collect("proxy neighbours", request.execute()).await?);
        }
        Ok(messages.into_iter().filter_map(neighbor).collect())
    }
}

pub(crate) async fn collect<T>(
    what: &'static str,
    stream: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, Error> {
    stream.try_collect().await.map_err(|cause| read(what, cause))
}

pub(crate) fn read(what: &'static str, cause: rtnetlink::Error) -> Error {
    Error::Read { what, cause: Box::new(cause) }
}

/// True in the initial network namespace. That one alone shows the limits of the whole host, and it can be told without
/// the right to look at process 1: `net_core_table`, net/core/sysctl_net_core.c
fn owns_hostname() -> bool {
    std::path::Path::new("/proc/sys/net/core/netdev_max_backlog").exists()
}

fn host_link(message: LinkMessage) -> HostLink {
    let flags = message.header.flags;
    let mut link = HostLink {
        ifindex: message.header.index,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        ..HostLink::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::Mtu(bytes) => link.mtu_bytes = bytes,
            LinkAttribute::Address(mac) => link.mac = mac,
            LinkAttribute::PermAddress(mac) => link.permanent_mac = Some(mac),
            LinkAttribute::Controller(master) => link.master = Some(master),
            LinkAttribute::PropList(properties) => {
                link.altnames.extend(properties.into_iter().filter_map(|property| match property {
                    Prop::AltIfName(name) => Some(name),
                    _ => None,
                }));
            }
            LinkAttribute::LinkInfo(infos) => {
                if let Some(kind) = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                }) {
                    link.kind = kind;
                }
            }
            _ => {}
        }
    }
    link
}

fn address(message: AddressMessage) -> Option<Found<Address>> {
    let (mut local, mut remote, mut protocol) = (None, None, 0);
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(address),
            AddressAttribute::Address(address) => remote = Some(address),
            AddressAttribute::Protocol(p) => protocol = u8::from(p),
            _ => {}
        }
    }
    let own = local.or(remote)?;
    let what = Address {
        ifindex: message.header.index,
        address: own,
        prefix_length: message.header.prefix_len,
        peer: remote.filter(|peer| *peer != own),
        no_dad: false,
    };
    Some(Found { what, protocol })
}

/// None for what is no route of ours to compare: local, broadcast and multicast entries, clones, other families.
pub(crate) fn route(message: &RouteMessage) -> Option<Found<Route>> {
    let kind = match message.header.kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        RouteType::Prohibit => RouteKind::Prohibit,
        _ => return None,
    };
    if message.header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let mut route = Route {
        kind,
        destination: match message.header.address_family {
            AddressFamily::Inet => Ipv4Addr::UNSPECIFIED.into(),
            AddressFamily::Inet6 => Ipv6Addr::UNSPECIFIED.into(),
            _ => return None,
        },
        prefix_length: message.header.destination_prefix_length,
        table: match message.header.table {
            0 => TABLE_MAIN,
            table => table.into(),
        },
        metric: 0,
        preferred_source: None,
        next_hops: Vec::new(),
    };
    let onlink = message.header.flags.contains(RouteFlags::Onlink);
    let mut single = NextHop { gateway: None, ifindex: None, onlink };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(to) => route.destination = ip(to)?,
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::PrefSource(source) => route.preferred_source = ip(source),
            RouteAttribute::Gateway(gateway) => single.gateway = ip(gateway),
            RouteAttribute::Oif(ifindex) => single.ifindex = Some(*ifindex),
            RouteAttribute::MultiPath(hops) => {
                route.next_hops.extend(hops.iter().map(|hop| NextHop {
                    gateway: hop.attributes.iter().find_map(|a| match a {
                        RouteAttribute::Gateway(gateway) => ip(gateway),
                        _ => None,
                    }),
                    ifindex: Some(hop.interface_index),
                    onlink: hop.flags.contains(RouteNextHopFlags::Onlink),
                }));
            }
            _ => {}
        }
    }
    if route.kind != RouteKind::Unicast {
        route.next_hops.clear(); // IPv6 reports the loopback device.
    } else if route.next_hops.is_empty() {
        route.next_hops.push(single);
    }
    route.next_hops.sort();
    Some(Found { what: route, protocol: message.header.protocol.into() })
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some((*v4).into()),
        RouteAddress::Inet6(v6) => Some((*v6).into()),
        _ => None,
    }
}

/// Permanent and proxy entries, and dynamic ones (with protocol 0), since those may stand in a static one's way.
fn neighbor(message: NeighbourMessage) -> Option<Found<Neighbor>> {
    let proxy = message.header.flags.contains(NeighbourFlags::Proxy);
    let permanent = message.header.state == NeighbourState::Permanent;
    let (mut address, mut mac, mut protocol) = (None, None, 0);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::from(v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::from(v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes).ok(),
            NeighbourAttribute::Protocol(p) => protocol = u8::from(p),
            _ => {}
        }
    }
    if !proxy && (!permanent || mac.is_none()) {
        return None;
    }
    let what = Neighbor { ifindex: message.header.ifindex, address: address?, mac: mac.filter(|_| !proxy) };
    Some(Found { what, protocol })
}
