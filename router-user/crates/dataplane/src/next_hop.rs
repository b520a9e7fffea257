//! Cached routes, read through memory while the programs use them.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use router_common::maps::route::{FailedKey, NextHop, ROUTE_SLOTS, Route4, Route6, kind};
use serde::{Deserialize, Serialize};

use crate::Inspector;

/// Seconds for which a next hop counts as unreachable after its neighbour failed.
pub const FAILED_SECONDS: u32 = 3;

/// A next hop that packets go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UsedNextHop {
    pub ifindex: u32,
    pub address: IpAddr,
}

/// One cached route of one CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteEntry {
    pub cpu: u32,
    pub destination: IpAddr,
    /// ifindex of the port whose packets it is for.
    pub ingress: u32,
    pub egress: u32,
    pub gateway: IpAddr,
    /// `redirect`, `local`, `send` or `kernel`.
    pub kind: String,
    pub mtu_bytes: u32,
    /// Seconds since it was last used.
    pub idle_s: u32,
    /// Of the present route epoch and image, so it is used; else it is taken anew.
    pub current: bool,
}

/// What both families' entries have in common.
struct Cached {
    destination: IpAddr,
    ingress: u32,
    epoch: u32,
    generation: u32,
    gateway: [u8; 16],
    next_hop: NextHop,
}

impl From<Route4> for Cached {
    fn from(r: Route4) -> Cached {
        let Route4 { ingress, epoch, generation, gateway, next_hop, .. } = r;
        Cached { destination: r.destination.into(), ingress, epoch, generation, gateway, next_hop }
    }
}

impl From<Route6> for Cached {
    fn from(r: Route6) -> Cached {
        let Route6 { ingress, epoch, generation, gateway, next_hop, .. } = r;
        Cached { destination: r.destination.into(), ingress, epoch, generation, gateway, next_hop }
    }
}

impl Cached {
    fn gateway(&self) -> IpAddr {
        match (self.next_hop.gateway_family, self.gateway.first_chunk::<4>()) {
            (4, Some(v4)) => Ipv4Addr::from(*v4).into(),
            _ => Ipv6Addr::from(self.gateway).into(),
        }
    }
}

impl Inspector {
    fn cached(&self) -> impl Iterator<Item = (u32, Cached)> {
        let maps = &self.maps;
        let v4 = (0..maps.routes4.len()).filter_map(|i| Some((i, maps.routes4.read(i)?.into())));
        let v6 = (0..maps.routes6.len()).filter_map(|i| Some((i, maps.routes6.read(i)?.into())));
        v4.chain(v6).filter(|(_, route): &(u32, Cached)| route.next_hop.kind != kind::NONE)
    }

    /// Cached routes of all CPUs.
    pub fn routes(&self) -> Vec<RouteEntry> {
        let now = self.maps.pulse().read();
        self.cached()
            .map(|(index, route)| RouteEntry {
                cpu: index / ROUTE_SLOTS,
                destination: route.destination,
                ingress: route.ingress,
                egress: route.next_hop.ifindex,
                gateway: route.gateway(),
                kind: kind_name(route.next_hop.kind).to_owned(),
                mtu_bytes: route.next_hop.mtu_bytes,
                idle_s: now.tick.wrapping_sub(route.next_hop.used_tick),
                current: route.epoch == now.route_epoch && route.generation == now.generation,
            })
            .collect()
    }

    /// Next hops that packets went to within the last `seconds`: their neighbours are worth keeping alive.
    pub fn used_next_hops(&self, seconds: u32) -> Vec<UsedNextHop> {
        let now = self.maps.pulse().read().tick;
        let used = self
            .cached()
            .map(|(_, route)| route)
            .filter(|route| matches!(route.next_hop.kind, kind::REDIRECT | kind::SEND))
            .filter(|route| now.wrapping_sub(route.next_hop.used_tick) <= seconds)
            .map(|route| UsedNextHop { ifindex: route.next_hop.ifindex, address: route.gateway() });
        used.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// The key under which the programs look for a failed next hop.
pub fn failed_key(ifindex: u32, address: IpAddr) -> FailedKey {
    let mut key = FailedKey { ifindex, next_hop: [0; 16] };
    match address {
        IpAddr::V4(v4) => key.next_hop.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from),
        IpAddr::V6(v6) => key.next_hop = v6.octets(),
    }
    key
}

fn kind_name(number: u16) -> &'static str {
    match number {
        kind::REDIRECT => "redirect",
        kind::LOCAL => "local",
        kind::SEND => "send",
        kind::KERNEL => "kernel",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv4_next_hop_stands_in_the_first_four_bytes() {
        let key = failed_key(3, IpAddr::from([192, 0, 2, 1]));
        assert_eq!(key.next_hop, [192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let route = Cached {
            destination: IpAddr::from([198, 51, 100, 1]),
            ingress: 1,
            epoch: 0,
            generation: 0,
            gateway: key.next_hop,
            next_hop: NextHop { gateway_family: 4, ..NextHop::default() },
        };
        assert_eq!(route.gateway(), IpAddr::from([192, 0, 2, 1]));
    }
}
