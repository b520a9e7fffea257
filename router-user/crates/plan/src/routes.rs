//! `/ip route`, `/ipv6 route`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use config::Item;

use crate::Plan;
use crate::addresses::Own;
use crate::desired::{GatewayCheck, NextHop, Route, RouteKind, TABLE_MAIN};
use crate::net;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::tables::Tables;
use crate::view::{Route4, Route6};

/// Table, destination, prefix length, metric.
type Key = (u32, IpAddr, u8, u32);

/// More do not fit into one netlink attribute together with what else the kernel tells of them.
const MOST_NEXT_HOPS: usize = 1000;
/// Gateways that are found by way of each other.
const MOST_STEPS: usize = 8;

/// Several routes of equal destination and distance share the load, as in RouterOS 7.
struct Merged {
    kind: RouteKind,
    preferred_source: Option<IpAddr>,
    next_hops: BTreeSet<NextHop>,
}

/// What both families have in common.
struct Asked {
    destination: String,
    gateways: Vec<String>,
    distance: u32,
    blackhole: bool,
    kind: String,
    preferred_source: Option<String>,
    table: String,
    check: String,
    scope: u32,
    target_scope: u32,
}

macro_rules! asked {
    ($view:expr) => {
        Asked {
            destination: $view.dst_address,
            gateways: $view.gateway.unwrap_or_default(),
            distance: $view.distance,
            blackhole: $view.blackhole.unwrap_or(false),
            kind: $view.kind,
            preferred_source: $view.pref_src,
            table: $view.routing_table,
            check: $view.check_gateway.unwrap_or_default(),
            scope: $view.scope,
            target_scope: $view.target_scope,
        }
    };
}

/// An item whose values are in order; whether its gateways can be reached comes out later.
struct Candidate<'a> {
    menu: &'a str,
    item: &'a Item,
    key: Key,
    kind: RouteKind,
    preferred_source: Option<IpAddr>,
    gateways: Vec<Gateway>,
    scope: u32,
    target_scope: u32,
    /// What its gateways have led to so far; the error tells why the first has led nowhere.
    next_hops: Result<BTreeSet<NextHop>, String>,
}

/// One of an item's gateways.
enum Gateway {
    Found(NextHop),
    /// Is to be found by way of other routes.
    Behind(IpAddr),
    /// The reason why it leads nowhere.
    Lost(String),
}

pub fn compile<'a>(
    plan: &mut Plan<'a>,
    ports: &Ports<'_>,
    own: &Own<'_>,
    settings: &Settings,
    tables: &Tables,
) {
    let mut all: Vec<(&str, &'a Item, Asked)> = Vec::new();
    for (item, view) in plan.items::<Route4>("ip/route") {
        all.push(("ip/route", item, asked!(view)));
    }
    for (item, view) in plan.items::<Route6>("ipv6/route") {
        if settings.v6.disable_ipv6 {
            plan.inactive("ipv6/route", item, "IPv6 is off: /ipv6/settings disable-ipv6=yes");
        } else {
            all.push(("ipv6/route", item, asked!(view)));
        }
    }
    let mut candidates = Vec::new();
    for (menu, item, asked) in all {
        match candidate(plan, (menu, item), &asked, (ports, own, tables)) {
            Ok(Some(candidate)) => candidates.push(candidate),
            Ok(None) => {}
            Err(reason) => plan.inactive(menu, item, reason),
        }
    }
    find(&mut candidates);
    let mut routes: BTreeMap<Key, Merged> = BTreeMap::new();
    for candidate in candidates {
        let (menu, item) = (candidate.menu, candidate.item);
        if let Err(reason) = merge(candidate, &mut routes) {
            plan.inactive(menu, item, reason);
        }
    }
    let made = routes.into_iter().map(|((table, destination, prefix_length, metric), merged)| Route {
        kind: merged.kind,
        destination,
        prefix_length,
        table,
        metric,
        preferred_source: merged.preferred_source,
        next_hops: merged.next_hops.into_iter().collect(),
    });
    plan.desired.routes = made.collect();
}

/// Reads one item; the error is the reason why it is not active.
fn candidate<'a>(
    plan: &mut Plan<'a>,
    (menu, item): (&'a str, &'a Item),
    asked: &Asked,
    (ports, own, tables): (&Ports<'_>, &Own<'_>, &Tables),
) -> Result<Option<Candidate<'a>>, String> {
    const NEVER_USED: u32 = 255;
    let Some(table) = tables.kernel(&asked.table) else {
        return Err(format!("no packet is routed by table {}", asked.table));
    };
    if asked.distance == NEVER_USED {
        return Err("a route with distance 255 is never used".to_owned());
    }
    let Some((destination, prefix_length)) = plan.parse(item, &asked.destination, net::prefix) else {
        return Ok(None);
    };
    let destination = net::network(destination, prefix_length);
    let kind = match asked.kind.as_str() {
        _ if asked.blackhole => RouteKind::Blackhole,
        "blackhole" => RouteKind::Blackhole,
        "unreachable" => RouteKind::Unreachable,
        "prohibit" => RouteKind::Prohibit,
        _ => RouteKind::Unicast,
    };
    if table == TABLE_MAIN && own.is_connected(destination, prefix_length) {
        return Err("a connected network, which comes before every static route".to_owned());
    }
    let mut preferred_source = None;
    if let Some(text) = &asked.preferred_source {
        let Some(source) = plan.parse(item, text, |text| text.parse::<IpAddr>().ok()) else {
            return Ok(None);
        };
        if !own.has(source) {
            return Err(format!("pref-src {source} is no address of this router"));
        }
        preferred_source = Some(source);
    }
    let mut gateways = Vec::new();
    if kind == RouteKind::Unicast {
        for text in &asked.gateways {
            let found = gateway(text, destination, ports, own).unwrap_or_else(Gateway::Lost);
            gateways.push(watched(plan, item, menu, asked, found));
        }
    }
    Ok(Some(Candidate {
        menu,
        item,
        // The kernel reads metric 0 of an IPv6 route as 1024.
        key: (table, destination, prefix_length, asked.distance.max(1)),
        kind,
        preferred_source,
        gateways,
        scope: asked.scope,
        target_scope: asked.target_scope,
        next_hops: Err("no gateway".to_owned()),
    }))
}

/// `check-gateway`: has the gateway watched, and leaves out one that does not answer.
fn watched(plan: &mut Plan<'_>, item: &Item, menu: &str, asked: &Asked, gateway: Gateway) -> Gateway {
    let (address, ifindex) = match &gateway {
        Gateway::Found(NextHop { gateway: Some(address), ifindex, .. }) => (*address, *ifindex),
        Gateway::Behind(address) => (*address, None),
        _ => return gateway,
    };
    let arp = match asked.check.as_str() {
        "" | "none" => return gateway,
        "ping" => false,
        // Of a gateway behind others there is no neighbour to ask for.
        "arp" => ifindex.is_some(),
        other => {
            plan.gap(menu, item, &format!("check-gateway={other} (BFD is not built yet)"));
            return gateway;
        }
    };
    plan.desired.checks.insert(GatewayCheck { address, ifindex, arp });
    if plan.facts.gateways_down.contains(&address) {
        return Gateway::Lost(format!("gateway {address} does not answer"));
    }
    gateway
}

/// Finds the gateways that are on no connected network by way of other routes of table main: those whose scope is at most
/// the target scope, the longest prefix first, then the lowest distance.
fn find(candidates: &mut [Candidate<'_>]) {
    for _ in 0..MOST_STEPS {
        let found: Vec<Result<BTreeSet<NextHop>, String>> =
            candidates.iter().enumerate().map(|(own, candidate)| hops(own, candidate, candidates)).collect();
        let mut changed = false;
        for (candidate, found) in candidates.iter_mut().zip(found) {
            changed |= candidate.next_hops != found;
            candidate.next_hops = found;
        }
        if !changed {
            return;
        }
    }
}

/// Where a candidate's gateways lead to, by what the others lead to so far.
fn hops(own: usize, candidate: &Candidate<'_>, all: &[Candidate<'_>]) -> Result<BTreeSet<NextHop>, String> {
    if candidate.kind != RouteKind::Unicast {
        return Ok(BTreeSet::new());
    }
    let mut hops = BTreeSet::new();
    let mut reason = None;
    for gateway in &candidate.gateways {
        match gateway {
            Gateway::Found(hop) => drop(hops.insert(hop.clone())),
            Gateway::Lost(why) => reason = reason.or_else(|| Some(why.clone())),
            Gateway::Behind(address) => match way(own, *address, candidate.target_scope, all) {
                Some(way) => hops.extend(way.iter().cloned()),
                None => {
                    reason = reason.or_else(|| Some(format!("gateway {address} is on no connected network")))
                }
            },
        }
    }
    if hops.is_empty() { Err(reason.unwrap_or_else(|| "no gateway".to_owned())) } else { Ok(hops) }
}

/// The next hops of the route to an address; None where there is none that may be used.
fn way<'c>(
    own: usize,
    address: IpAddr,
    target_scope: u32,
    all: &'c [Candidate<'_>],
) -> Option<&'c BTreeSet<NextHop>> {
    let usable = all.iter().enumerate().filter(|(number, other)| {
        let (table, destination, length, _) = other.key;
        *number != own
            && table == TABLE_MAIN
            && other.scope <= target_scope
            && destination.is_ipv4() == address.is_ipv4()
            && net::network(address, length) == destination
    });
    let best = usable
        .filter_map(|(_, other)| Some((other, other.next_hops.as_ref().ok()?)))
        .max_by_key(|(other, _)| (other.key.2, std::cmp::Reverse(other.key.3)));
    best.map(|(_, hops)| hops).filter(|hops| !hops.is_empty())
}

/// Adds a candidate's route; the error is the reason why it is not active.
fn merge(candidate: Candidate<'_>, routes: &mut BTreeMap<Key, Merged>) -> Result<(), String> {
    let Candidate { key, kind, preferred_source, next_hops, .. } = candidate;
    let next_hops = next_hops?;
    if routes.get(&key).map_or(0, |route| route.next_hops.len()) + next_hops.len() > MOST_NEXT_HOPS {
        return Err(format!("more than {MOST_NEXT_HOPS} gateways to one destination"));
    }
    let route = routes.entry(key).or_insert_with(|| Merged {
        kind: kind.clone(),
        preferred_source,
        next_hops: BTreeSet::new(),
    });
    if route.kind != kind {
        return Err("a route of another type has the same destination and distance".to_owned());
    }
    route.next_hops.extend(next_hops);
    Ok(())
}

/// `192.0.2.1`, `ether1`, `192.0.2.1%ether1`, `192.0.2.1@main`.
fn gateway(text: &str, destination: IpAddr, ports: &Ports<'_>, own: &Own<'_>) -> Result<Gateway, String> {
    let text = match text.split_once('@') {
        Some((text, "main")) => text,
        Some((_, table)) => return Err(format!("gateways in table {table} are not built yet")),
        None => text,
    };
    let (address, interface) = match text.split_once('%') {
        Some((address, interface)) => (address.parse::<IpAddr>().ok(), Some(interface)),
        None => match text.parse::<IpAddr>() {
            Ok(address) => (Some(address), None),
            Err(_) => (None, Some(text)),
        },
    };
    let ifindex = match interface {
        Some(interface) => Some(ports.get(interface)?.link.ifindex),
        None => None,
    };
    let Some(address) = address else {
        return Ok(Gateway::Found(NextHop { gateway: None, ifindex, onlink: false }));
    };
    if address.is_ipv4() != destination.is_ipv4() {
        return Err(format!("gateway {address} is of the other address family"));
    }
    if own.has(address) {
        return Err(format!("gateway {address} is an address of this router"));
    }
    let gateway = Some(address);
    if let Some(ifindex) = ifindex {
        let link_local = matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        let connected = own.reaches_on(ifindex, address);
        let onlink = !connected && !link_local;
        return Ok(Gateway::Found(NextHop { gateway, ifindex: Some(ifindex), onlink }));
    }
    Ok(match own.reach(address) {
        Some(ifindex) => Gateway::Found(NextHop { gateway, ifindex: Some(ifindex), onlink: false }),
        None => Gateway::Behind(address),
    })
}
