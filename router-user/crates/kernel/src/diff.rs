//! What is against what shall be.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use plan::Desired;
use plan::desired::{ALIAS_TAG, Address, Link, Neighbor, NextHop, PROTOCOL, Route};
use plan::facts::HostLink;

use crate::originals::Host;
use crate::read::{Found, State};
use crate::step::{LinkChange, Op, Phase, Step, address_text, mac_text, neighbor_text, route_text};
use crate::{Error, Kernel, rules, sysctl};

impl Kernel {
    /// The steps from what the host has now to what is desired, in the order in which they have to be done; empty when
    /// there is nothing to do.
    pub async fn diff(&self, desired: &Desired) -> Result<Vec<Step>, Error> {
        let wanted: HashSet<_> = desired.routes.iter().map(route_key).collect();
        let state = State {
            links: self.links().await?,
            addresses: self.addresses().await?,
            routes: self.routes(|found| found.is_ours() || wanted.contains(&route_key(&found.what))).await?,
            neighbors: self.neighbors().await?,
            rules: self.own_rules().await?,
        };
        let originals = self.originals.lock().unwrap_or_else(|e| e.into_inner()).host.clone();
        steps(&state, desired, &originals)
    }

    /// The desired sysctls that this kernel or network namespace does not have. They are left out of the diff.
    pub fn unavailable(&self, desired: &Desired) -> Result<Vec<String>, Error> {
        let mut missing = Vec::new();
        for key in desired.sysctls.keys() {
            if sysctl::read(key)?.is_none() {
                missing.push(key.clone());
            }
        }
        Ok(missing)
    }
}

fn steps(state: &State, desired: &Desired, originals: &Host) -> Result<Vec<Step>, Error> {
    let (forwarding, mut steps): (Vec<_>, Vec<_>) =
        sysctls(state, desired, originals)?.into_iter().partition(|step| step.phase() == Phase::Forwarding);
    let (down, up): (Vec<_>, Vec<_>) = links(state, desired, originals)
        .into_iter()
        .partition(|step| matches!(step.op, Op::Link { change: LinkChange::Up(false), .. }));
    steps.extend(up);
    let lost = addresses(state, &desired.addresses, &mut steps);
    routes(state, &desired.routes, &lost, &mut steps);
    rules::steps(&state.rules, &desired.rules, &mut steps);
    neighbors(state, &desired.neighbors, &mut steps);
    steps.extend(down);
    steps.extend(hostname(desired, originals));
    steps.extend(forwarding);
    Ok(steps)
}

fn sysctls(state: &State, desired: &Desired, originals: &Host) -> Result<Vec<Step>, Error> {
    let mut wanted = desired.sysctls.clone();
    for (key, value) in &desired.sysctls {
        let Some(before) = sysctl::read(key)? else { continue };
        for link in state.links.values().filter(|link| !link.loopback) {
            let Some(own_key) = sysctl::governed(key, &link.name) else { break };
            if wanted.contains_key(&own_key) {
                continue;
            }
            let Some(own) = sysctl::read(&own_key)? else { continue };
            if let Some(kept) = sysctl::preserving(key, &before, value, &own) {
                wanted.insert(own_key, kept.to_owned());
            }
        }
    }
    for (key, original) in &originals.sysctls {
        let governed = sysctl::governor(key).is_some_and(|governor| desired.sysctls.contains_key(governor));
        if !governed {
            wanted.entry(key.clone()).or_insert_with(|| original.clone());
        }
    }
    // What keeps other devices as they are goes before the value that would change them.
    let governs = |key: &str| sysctl::conf(key).is_some_and(|(_, device, _)| device == "all");
    let kept_first = |key: &String| !desired.sysctls.contains_key(key) && sysctl::governor(key).is_some();
    let mut order: Vec<_> = wanted.iter().collect();
    order.sort_by_key(|(key, _)| (!kept_first(key), !governs(key), sysctl::order(key)));

    let mut steps = Vec::new();
    let mut rewritten = HashSet::new();
    for (key, value) in order {
        let Some(old) = sysctl::read(key)? else { continue };
        let (family, device, name) = sysctl::conf(key).unwrap_or_default();
        // `all/forwarding` sets each device's own value, so that one is written again after it.
        let again = name == "forwarding" && rewritten.contains(family);
        if sysctl::same(key, &old, value) && !again {
            continue;
        }
        if (device, name) == ("all", "forwarding") {
            rewritten.insert(family);
        }
        steps.push(Step::new(
            format!("~ {} {old} -> {value}", key.replace('/', ".")),
            Op::Sysctl { key: key.clone(), value: value.clone() },
            [Op::Sysctl { key: key.clone(), value: old }],
        ));
    }
    Ok(steps)
}

fn links(state: &State, desired: &Desired, originals: &Host) -> Vec<Step> {
    let mut steps = Vec::new();
    // A name that another link has, of whichever kind, cannot be given.
    let names: HashMap<&str, u32> = state
        .links
        .values()
        .flat_map(|l| l.altnames.iter().chain([&l.name]).map(|name| (name.as_str(), l.ifindex)))
        .collect();
    let is_free = |wanted: &Link| match names.get(wanted.name.as_str()) {
        Some(holder) => originals.links.get(holder).is_some_and(|l| l.altnames.contains(&wanted.name)),
        None => true,
    };
    for wanted in &desired.links {
        if let Some(link) = state.links.get(&wanted.ifindex) {
            one_link(link, wanted, is_free(wanted), originals, &mut steps);
        }
    }
    let spoken_of: HashSet<u32> = desired.links.iter().map(|wanted| wanted.ifindex).collect();
    for link in state.links.values().filter(|link| !spoken_of.contains(&link.ifindex)) {
        give_back(link, originals, &mut steps);
    }
    // A name goes from its old link before it comes to the new one.
    steps.sort_by_key(|step| !matches!(step.op, Op::Link { change: LinkChange::RemoveAltname(_), .. }));
    steps
}

fn one_link(link: &HostLink, wanted: &Link, name_is_free: bool, originals: &Host, steps: &mut Vec<Step>) {
    let original = originals.links.get(&link.ifindex).cloned().unwrap_or_default();
    let mut changes = Changes { link, steps };
    let alias = wanted.alias();
    let current = link.alias.as_deref().unwrap_or_default();
    // An alias that somebody else gave is left alone.
    if current != alias && (current.is_empty() || current.starts_with(ALIAS_TAG)) {
        changes.alias(alias);
    }
    for old in original.altnames.iter().filter(|old| **old != wanted.name && link.altnames.contains(old)) {
        changes.altname(old, false);
    }
    if wanted.name != link.name
        && !link.altnames.contains(&wanted.name)
        && name_is_free
        && is_altname(&wanted.name)
    {
        changes.altname(&wanted.name, true);
    }
    if let Some(mtu) = wanted.mtu_bytes.or(original.mtu_bytes).filter(|mtu| *mtu != link.mtu_bytes) {
        changes.mtu(mtu);
    }
    if let Some(mac) = wanted.mac.map(|mac| mac.to_vec()).or(original.mac).filter(|mac| *mac != link.mac) {
        changes.mac(mac);
    }
    if wanted.up != link.up {
        changes.up(wanted.up);
    }
}

/// A link that the configuration no longer speaks of.
pub(crate) fn give_back(link: &HostLink, originals: &Host, steps: &mut Vec<Step>) {
    let mut changes = Changes { link, steps };
    if link.alias.as_deref().is_some_and(|alias| alias.starts_with(ALIAS_TAG)) {
        changes.alias(String::new());
    }
    let Some(original) = originals.links.get(&link.ifindex) else { return };
    for name in original.altnames.iter().filter(|name| link.altnames.contains(name)) {
        changes.altname(name, false);
    }
    if let Some(mtu) = original.mtu_bytes.filter(|mtu| *mtu != link.mtu_bytes) {
        changes.mtu(mtu);
    }
    if let Some(mac) = original.mac.clone().filter(|mac| *mac != link.mac) {
        changes.mac(mac);
    }
    if let Some(up) = original.up.filter(|up| *up != link.up) {
        changes.up(up);
    }
}

/// Names with blanks or slashes are for RouterOS only: tools of the host could not name such a link.
fn is_altname(name: &str) -> bool {
    // ALTIFNAMSIZ: include/uapi/linux/if.h
    !name.is_empty()
        && name.len() < 128
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || "/:%".contains(c))
}

struct Changes<'a> {
    link: &'a HostLink,
    steps: &'a mut Vec<Step>,
}

impl Changes<'_> {
    fn push(&mut self, text: String, new: LinkChange, old: LinkChange) {
        let ifindex = self.link.ifindex;
        let text = format!("{text} on {}", self.link.name);
        self.steps.push(Step::new(
            text,
            Op::Link { ifindex, change: new },
            [Op::Link { ifindex, change: old }],
        ));
    }

    fn alias(&mut self, alias: String) {
        let old = self.link.alias.clone().unwrap_or_default();
        self.push(
            format!("~ alias \"{old}\" -> \"{alias}\""),
            LinkChange::Alias(alias),
            LinkChange::Alias(old),
        );
    }

    fn altname(&mut self, name: &str, add: bool) {
        let (added, removed) =
            (LinkChange::AddAltname(name.to_owned()), LinkChange::RemoveAltname(name.to_owned()));
        match add {
            true => self.push(format!("+ altname {name}"), added, removed),
            false => self.push(format!("- altname {name}"), removed, added),
        }
    }

    fn mtu(&mut self, bytes: u32) {
        let old = self.link.mtu_bytes;
        self.push(format!("~ mtu {old} -> {bytes}"), LinkChange::Mtu(bytes), LinkChange::Mtu(old));
    }

    fn mac(&mut self, mac: Vec<u8>) {
        let old = self.link.mac.clone();
        let text = format!("~ mac-address {} -> {}", mac_text(&old), mac_text(&mac));
        self.push(text, LinkChange::Mac(mac), LinkChange::Mac(old));
    }

    fn up(&mut self, up: bool) {
        let text = if up { "~ enable" } else { "~ disable" };
        self.push(text.to_owned(), LinkChange::Up(up), LinkChange::Up(!up));
    }
}

type AddressKey = (u32, IpAddr, u8, Option<IpAddr>);

/// What the kernel knows an address by.
fn address_key(address: &Address) -> AddressKey {
    (address.ifindex, address.address, address.prefix_length, address.peer)
}

/// Returns the routes of ours that go away with an address.
fn addresses(state: &State, desired: &[Address], steps: &mut Vec<Step>) -> HashSet<RouteKey> {
    let existing: HashSet<_> = state.addresses.iter().map(|found| address_key(&found.what)).collect();
    let wanted: HashSet<_> = desired.iter().map(address_key).collect();
    let added: Vec<_> = desired.iter().filter(|new| !existing.contains(&address_key(new))).collect();
    let (staying, removed): (Vec<_>, Vec<_>) = state
        .addresses
        .iter()
        .partition(|found| !found.is_ours() || wanted.contains(&address_key(&found.what)));
    let has_ipv4: HashSet<u32> = staying
        .iter()
        .map(|found| &found.what)
        .chain(added.iter().copied())
        .filter(|address| address.address.is_ipv4())
        .map(|address| address.ifindex)
        .collect();
    let mut dependent = Dependent::of(state, has_ipv4);

    // An IPv6 address stands once on a link, whatever its prefix length.
    let places: HashSet<_> =
        added.iter().filter(|new| new.address.is_ipv6()).map(|new| (new.ifindex, new.address)).collect();
    let (first, last): (Vec<_>, Vec<_>) =
        removed.into_iter().partition(|old| places.contains(&(old.what.ifindex, old.what.address)));

    let mut lost = HashSet::new();
    let mut remove = |old: &Address, steps: &mut Vec<Step>| {
        let mut inverse = vec![Op::AddAddress { address: old.clone(), protocol: PROTOCOL }];
        for found in dependent.take(old) {
            if lost.insert(route_key(&found.what)) {
                let (route, protocol) = (found.what.clone(), found.protocol);
                inverse.push(Op::PutRoute { route, protocol, replace: true });
            }
        }
        steps.push(Step::new(
            format!("- {}", address_text(old, state)),
            Op::RemoveAddress(old.clone()),
            inverse,
        ));
    };
    first.into_iter().for_each(|old| remove(&old.what, steps));
    for new in added {
        steps.push(Step::new(
            format!("+ {}", address_text(new, state)),
            Op::AddAddress { address: new.clone(), protocol: PROTOCOL },
            [Op::RemoveAddress(new.clone())],
        ));
    }
    last.into_iter().for_each(|old| remove(&old.what, steps));
    lost
}

/// Routes of ours that the kernel drops or changes when an address goes: with the last IPv4 address of a device all its
/// IPv4 routes go (`fib_disable_ip`, net/ipv4/fib_frontend.c), with any address those that name it as their source.
struct Dependent<'a> {
    by_source: HashMap<IpAddr, Vec<&'a Found<Route>>>,
    /// IPv4 routes of the devices that will have no IPv4 address.
    by_device: HashMap<u32, Vec<&'a Found<Route>>>,
}

impl<'a> Dependent<'a> {
    fn of(state: &'a State, has_ipv4: HashSet<u32>) -> Dependent<'a> {
        let mut dependent = Dependent { by_source: HashMap::new(), by_device: HashMap::new() };
        for found in state.routes.iter().filter(|found| found.is_ours()) {
            if let Some(source) = found.what.preferred_source {
                dependent.by_source.entry(source).or_default().push(found);
            }
            let devices = found.what.next_hops.iter().filter_map(|hop| hop.ifindex);
            for device in
                devices.filter(|device| found.what.destination.is_ipv4() && !has_ipv4.contains(device))
            {
                dependent.by_device.entry(device).or_default().push(found);
            }
        }
        dependent
    }

    fn take(&mut self, old: &Address) -> Vec<&'a Found<Route>> {
        let mut routes = self.by_source.remove(&old.address).unwrap_or_default();
        if old.address.is_ipv4() {
            routes.extend(self.by_device.remove(&old.ifindex).unwrap_or_default());
        }
        routes
    }
}

type RouteKey = (IpAddr, u8, u32, u32);

/// What the kernel knows a route by.
fn route_key(route: &Route) -> RouteKey {
    (route.destination, route.prefix_length, route.table, route.metric)
}

/// Whether the kernel's route is the desired one; a next hop without device is on whichever the kernel chose.
fn same_route(actual: &Route, desired: &Route) -> bool {
    let same_hop = |actual: &NextHop, desired: &NextHop| {
        actual.gateway == desired.gateway
            && desired.ifindex.is_none_or(|ifindex| actual.ifindex == Some(ifindex))
    };
    actual.kind == desired.kind
        && actual.preferred_source == desired.preferred_source
        && actual.next_hops.len() == desired.next_hops.len()
        && desired.next_hops.iter().all(|hop| actual.next_hops.iter().any(|found| same_hop(found, hop)))
}

fn routes(state: &State, desired: &[Route], lost: &HashSet<RouteKey>, steps: &mut Vec<Step>) {
    let mut existing: HashMap<RouteKey, Vec<&Found<Route>>> = HashMap::new();
    for found in &state.routes {
        existing.entry(route_key(&found.what)).or_default().push(found);
    }
    for wanted in desired {
        let key = route_key(wanted);
        let existing = existing.get(&key).map_or(&[][..], Vec::as_slice);
        if !lost.contains(&key) && existing.iter().any(|found| same_route(&found.what, wanted)) {
            continue;
        }
        let put = |replace| Op::PutRoute { route: wanted.clone(), protocol: PROTOCOL, replace };
        let text = route_text(wanted, state);
        steps.push(match existing.iter().find(|found| found.is_ours()) {
            Some(old) => {
                let undo = Op::PutRoute { route: old.what.clone(), protocol: old.protocol, replace: true };
                Step::new(format!("~ {text}"), put(true), [undo])
            }
            None => {
                let undo = Op::RemoveRoute { route: wanted.clone(), protocol: PROTOCOL };
                Step::new(format!("+ {text}"), put(false), [undo])
            }
        });
    }
    let wanted: HashSet<_> = desired.iter().map(route_key).collect();
    for found in
        state.routes.iter().filter(|found| found.is_ours() && !wanted.contains(&route_key(&found.what)))
    {
        steps.push(Step::new(
            format!("- {}", route_text(&found.what, state)),
            Op::RemoveRoute { route: found.what.clone(), protocol: found.protocol },
            [Op::PutRoute { route: found.what.clone(), protocol: found.protocol, replace: true }],
        ));
    }
}

fn neighbors(state: &State, desired: &[Neighbor], steps: &mut Vec<Step>) {
    let key = |n: &Neighbor| (n.ifindex, n.address, n.mac.is_none());
    let existing: HashMap<_, _> = state.neighbors.iter().map(|found| (key(&found.what), found)).collect();
    for wanted in desired {
        let existing = existing.get(&key(wanted));
        if existing.is_some_and(|found| found.what == *wanted) {
            continue;
        }
        let undo = match existing {
            Some(old) => Op::PutNeighbor { neighbor: old.what.clone(), protocol: old.protocol },
            None => Op::RemoveNeighbor(wanted.clone()),
        };
        steps.push(Step::new(
            format!("{} {}", if existing.is_some() { "~" } else { "+" }, neighbor_text(wanted, state)),
            Op::PutNeighbor { neighbor: wanted.clone(), protocol: PROTOCOL },
            [undo],
        ));
    }
    let wanted: HashSet<_> = desired.iter().map(key).collect();
    for found in state.neighbors.iter().filter(|found| found.is_ours() && !wanted.contains(&key(&found.what)))
    {
        steps.push(Step::new(
            format!("- {}", neighbor_text(&found.what, state)),
            Op::RemoveNeighbor(found.what.clone()),
            [Op::PutNeighbor { neighbor: found.what.clone(), protocol: found.protocol }],
        ));
    }
}

fn hostname(desired: &Desired, originals: &Host) -> Option<Step> {
    let current = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let wanted =
        desired.hostname.as_ref().or(originals.hostname.as_ref()).filter(|name| **name != current)?;
    Some(Step::new(
        format!("~ hostname {current} -> {wanted}"),
        Op::Hostname(wanted.clone()),
        [Op::Hostname(current)],
    ))
}
