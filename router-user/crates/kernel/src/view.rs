//! The host as a reader wants to see it: counters of links, routes and neighbours of whatever origin.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures::TryStreamExt;
use plan::desired::Route;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};

use crate::read::{Found, collect, read, route};
use crate::{Error, Kernel};

/// What of the host is to be looked at, beside its links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub routes: bool,
    pub neighbors: bool,
}

impl Scope {
    /// True where a look of this scope shows all that another would.
    pub fn holds(self, other: Scope) -> bool {
        (self.routes || !other.routes) && (self.neighbors || !other.neighbors)
    }
}

#[derive(Clone, Debug, Default)]
pub struct View {
    /// By ifindex.
    pub links: BTreeMap<u32, Counters>,
    /// At most [`MAX_ROUTES`] of both families together.
    pub routes: Vec<SeenRoute>,
    pub neighbors: Vec<SeenNeighbor>,
}

/// Routes that a view holds; a full table of the Internet has more, and nobody reads it as a list.
pub const MAX_ROUTES: usize = 20_000;

/// `IFLA_STATS64`, and how often a link lost its carrier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_drops: u64,
    pub tx_drops: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub carrier_downs: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRoute {
    pub route: Route,
    /// `rtm_protocol`: who made it (linux/rtnetlink.h).
    pub protocol: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenNeighbor {
    pub ifindex: u32,
    pub address: IpAddr,
    pub mac: Option<[u8; 6]>,
    pub is_router: bool,
    /// `reachable`, `stale`, `delay`, `probe`, `incomplete` or `failed`.
    pub state: &'static str,
}

impl Kernel {
    /// Looks at the host.
    pub async fn view(&self, scope: Scope) -> Result<View, Error> {
        let links = collect("links", self.handle.link().get().execute()).await?;
        let mut view = View { links: links.into_iter().map(counters).collect(), ..View::default() };
        if scope.routes {
            view.routes = self.seen_routes().await?;
        }
        if scope.neighbors {
            let neighbors = collect("neighbours", self.handle.neighbours().get().execute()).await?;
            view.neighbors = neighbors.into_iter().filter_map(neighbor).collect();
        }
        Ok(view)
    }

    async fn seen_routes(&self) -> Result<Vec<SeenRoute>, Error> {
        let mut routes = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut stream = Box::pin(self.route_messages(family));
            while let Some(message) = stream.try_next().await.map_err(|cause| read("routes", cause))? {
                if routes.len() >= MAX_ROUTES {
                    // The rest of the answer is read and forgotten.
                    continue;
                }
                if let Some(Found { what, protocol }) = route(&message) {
                    routes.push(SeenRoute { route: what, protocol });
                }
            }
        }
        Ok(routes)
    }
}

fn counters(message: LinkMessage) -> (u32, Counters) {
    let mut counters = Counters::default();
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::Stats64(stats) => {
                counters = Counters {
                    rx_bytes: stats.rx_bytes,
                    tx_bytes: stats.tx_bytes,
                    rx_packets: stats.rx_packets,
                    tx_packets: stats.tx_packets,
                    rx_drops: stats.rx_dropped,
                    tx_drops: stats.tx_dropped,
                    rx_errors: stats.rx_errors,
                    tx_errors: stats.tx_errors,
                    ..counters
                };
            }
            LinkAttribute::CarrierDownCount(count) => counters.carrier_downs = count,
            _ => {}
        }
    }
    (message.header.index, counters)
}

/// None for what nobody learnt: permanent entries, those of devices without ARP.
fn neighbor(message: NeighbourMessage) -> Option<SeenNeighbor> {
    let state = match message.header.state {
        NeighbourState::Reachable => "reachable",
        NeighbourState::Stale => "stale",
        NeighbourState::Delay => "delay",
        NeighbourState::Probe => "probe",
        NeighbourState::Incomplete => "incomplete",
        NeighbourState::Failed => "failed",
        _ => return None,
    };
    let (mut address, mut mac) = (None, None);
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::from(v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::from(v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes).ok(),
            _ => {}
        }
    }
    Some(SeenNeighbor {
        ifindex: message.header.ifindex,
        address: address?,
        mac,
        is_router: message.header.flags.contains(NeighbourFlags::Router),
        state,
    })
}
