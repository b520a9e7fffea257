//! `/ip route`, `/ipv6 route`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use config::Item;

use crate::Plan;
use crate::addresses::Own;
use crate::desired::{NextHop, Route, RouteKind, TABLE_MAIN};
use crate::net;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::tables::Tables;
use crate::view::{Route4, Route6};

/// Table, destination, prefix length, metric.
type Key = (u32, IpAddr, u8, u32);

/// More do not fit into one netlink attribute together with what else the kernel tells of them.
const MOST_NEXT_HOPS: usize = 1000;

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
        }
    };
}

pub fn compile(plan: &mut Plan<'_>, ports: &Ports<'_>, own: &Own<'_>, settings: &Settings, tables: &Tables) {
    let mut routes: BTreeMap<Key, Merged> = BTreeMap::new();
    let mut all: Vec<(&str, &Item, Asked)> = Vec::new();
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
    for (menu, item, asked) in all {
        if let Err(reason) = one(plan, item, &asked, (ports, own, tables), &mut routes) {
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

/// Adds one item's route; the error is the reason why it is not active.
fn one(
    plan: &mut Plan<'_>,
    item: &Item,
    asked: &Asked,
    (ports, own, tables): (&Ports<'_>, &Own<'_>, &Tables),
    routes: &mut BTreeMap<Key, Merged>,
) -> Result<(), String> {
    const NEVER_USED: u32 = 255;
    let table = item.text("routing-table").unwrap_or_else(|| "main".to_owned());
    let Some(table) = tables.kernel(&table) else {
        return Err(format!("no packet is routed by table {table}"));
    };
    if asked.distance == NEVER_USED {
        return Err("a route with distance 255 is never used".to_owned());
    }
    let Some((destination, prefix_length)) = plan.parse(item, &asked.destination, net::prefix) else {
        return Ok(());
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
    let next_hops = match kind {
        RouteKind::Unicast => next_hops(&asked.gateways, destination, ports, own)?,
        _ => BTreeSet::new(),
    };
    let mut preferred_source = None;
    if let Some(text) = &asked.preferred_source {
        let Some(source) = plan.parse(item, text, |text| text.parse::<IpAddr>().ok()) else { return Ok(()) };
        if !own.has(source) {
            return Err(format!("pref-src {source} is no address of this router"));
        }
        preferred_source = Some(source);
    }
    // The kernel reads metric 0 of an IPv6 route as 1024.
    let metric = asked.distance.max(1);
    let key = (table, destination, prefix_length, metric);
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

/// The gateways that can be reached; the error tells why the first cannot, where none can.
fn next_hops(
    gateways: &[String],
    destination: IpAddr,
    ports: &Ports<'_>,
    own: &Own<'_>,
) -> Result<BTreeSet<NextHop>, String> {
    let mut hops = BTreeSet::new();
    let mut reason = "no gateway".to_owned();
    for (i, gateway) in gateways.iter().enumerate() {
        match next_hop(gateway, destination, ports, own) {
            Ok(hop) => drop(hops.insert(hop)),
            Err(why) if i == 0 => reason = why,
            Err(_) => {}
        }
    }
    if hops.is_empty() { Err(reason) } else { Ok(hops) }
}

/// `192.0.2.1`, `ether1`, `192.0.2.1%ether1`, `192.0.2.1@main`.
fn next_hop(text: &str, destination: IpAddr, ports: &Ports<'_>, own: &Own<'_>) -> Result<NextHop, String> {
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
    let Some(address) = address else { return Ok(NextHop { gateway: None, ifindex, onlink: false }) };
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
        return Ok(NextHop { gateway, ifindex: Some(ifindex), onlink: !connected && !link_local });
    }
    match own.reach(address) {
        Some(ifindex) => Ok(NextHop { gateway, ifindex: Some(ifindex), onlink: false }),
        None => Err(format!("gateway {address} is on no connected network")),
    }
}
