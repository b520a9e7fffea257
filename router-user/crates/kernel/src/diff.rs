//! What is against what shall be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use plan::Desired;
use plan::desired::{ALIAS_TAG, Address, Link, Neighbor, NextHop, PROTOCOL, Route};
use plan::facts::HostLink;

use crate::originals::Host;
use crate::read::{Found, State};
use crate::step::{LinkChange, Op, Phase, Step, address_text, mac_text, neighbor_text, route_text};
use crate::{Error, Kernel, sysctl};

impl Kernel {
    /// The steps from what the host has now to what is desired, in the order in which they have to be done; empty when
    /// there is nothing to do.
    pub async fn diff(&self, desired: &Desired) -> Result<Vec<Step>, Error> {
        let wanted: BTreeSet<_> = desired.routes.iter().map(route_key).collect();
        let state = State {
            links: self.links().await?,
            addresses: self.addresses().await?,
            routes: self.routes(|found| found.is_ours() || wanted.contains(&route_key(&found.what))).await?,
            neighbors: self.neighbors().await?,
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
        for link in state.links.values() {
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
    for (key, value) in order {
        let Some(old) = sysctl::read(key)? else { continue };
        // `all/forwarding` sets each device's own value; it is written again after that.
        let rewritten = sysctl::conf(key).is_some_and(|(family, device, name)| {
            device != "all"
                && name == "forwarding"
                && steps.iter().any(|s: &Step| matches!(&s.op, Op::Sysctl { key, .. } if *key == format!("net/{family}/conf/all/forwarding")))
        });
        if old != *value || rewritten {
            steps.push(Step::new(
                format!("~ {} {old} -> {value}", key.replace('/', ".")),
                Op::Sysctl { key: key.clone(), value: value.clone() },
                [Op::Sysctl { key: key.clone(), value: old }],
            ));
        }
    }
    Ok(steps)
}

fn links(state: &State, desired: &Desired, originals: &Host) -> Vec<Step> {
    let mut steps = Vec::new();
    for wanted in &desired.links {
        if let Some(link) = state.links.get(&wanted.ifindex) {
            one_link(link, wanted, originals, &mut steps);
        }
    }
    for link in state.links.values() {
        if !desired.links.iter().any(|wanted| wanted.ifindex == link.ifindex) {
            give_back(link, originals, &mut steps);
        }
    }
    steps
}

fn one_link(link: &HostLink, wanted: &Link, originals: &Host, steps: &mut Vec<Step>) {
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
    if wanted.name != link.name && !link.altnames.contains(&wanted.name) && is_altname(&wanted.name) {
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

/// Two addresses that the kernel takes for the same.
fn same_address(a: &Address, b: &Address) -> bool {
    (a.ifindex, a.address, a.prefix_length, a.peer) == (b.ifindex, b.address, b.prefix_length, b.peer)
}

/// Returns the routes of ours that go away with an address.
fn addresses(state: &State, desired: &[Address], steps: &mut Vec<Step>) -> Vec<Route> {
    let added: Vec<_> = desired
        .iter()
        .filter(|a| !state.addresses.iter().any(|found| same_address(&found.what, a)))
        .collect();
    let removed: Vec<_> = state
        .addresses
        .iter()
        .filter(|found| found.is_ours() && !desired.iter().any(|a| same_address(a, &found.what)))
        .map(|found| &found.what)
        .collect();
    // An IPv6 address stands once on a link, whatever its prefix length.
    let in_the_way = |old: &Address| {
        old.address.is_ipv6()
            && added.iter().any(|new| (new.ifindex, new.address) == (old.ifindex, old.address))
    };
    let (first, last): (Vec<_>, Vec<_>) = removed.iter().partition(|old| in_the_way(old));

    let mut lost: Vec<Route> = Vec::new();
    let mut remove = |old: &Address, steps: &mut Vec<Step>| {
        let gone: Vec<_> = lost_with(old, state, &added, &removed)
            .filter(|found| !lost.contains(&found.what))
            .cloned()
            .collect();
        let mut inverse = vec![Op::AddAddress { address: old.clone(), protocol: PROTOCOL }];
        inverse.extend(gone.iter().map(|found| Op::PutRoute {
            route: found.what.clone(),
            protocol: found.protocol,
            replace: true,
        }));
        lost.extend(gone.into_iter().map(|found| found.what));
        steps.push(Step::new(
            format!("- {}", address_text(old, state)),
            Op::RemoveAddress(old.clone()),
            inverse,
        ));
    };
    first.into_iter().for_each(|old| remove(old, steps));
    for new in &added {
        steps.push(Step::new(
            format!("+ {}", address_text(new, state)),
            Op::AddAddress { address: (*new).clone(), protocol: PROTOCOL },
            [Op::RemoveAddress((*new).clone())],
        ));
    }
    last.into_iter().for_each(|old| remove(old, steps));
    lost
}

/// Routes of ours that the kernel drops or changes when `old` goes: with the last IPv4 address of a device all its IPv4
/// routes go (`fib_disable_ip`, net/ipv4/fib_frontend.c), with any address those that name it as their source.
fn lost_with<'a>(
    old: &'a Address,
    state: &'a State,
    added: &'a [&Address],
    removed: &'a [&Address],
) -> impl Iterator<Item = &'a Found<Route>> {
    let stays = |a: &Address| !removed.iter().any(|gone| same_address(gone, a));
    let last = old.address.is_ipv4()
        && !added.iter().any(|a| a.ifindex == old.ifindex && a.address.is_ipv4())
        && !state.addresses.iter().any(|found| {
            found.what.ifindex == old.ifindex && found.what.address.is_ipv4() && stays(&found.what)
        });
    state.routes.iter().filter(move |found| {
        let route = &found.what;
        let through = route.next_hops.iter().any(|hop| hop.ifindex == Some(old.ifindex));
        found.is_ours()
            && (route.preferred_source == Some(old.address)
                || (last && through && route.destination.is_ipv4()))
    })
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

fn routes(state: &State, desired: &[Route], lost: &[Route], steps: &mut Vec<Step>) {
    for wanted in desired {
        let mut existing = state.routes.iter().filter(|found| route_key(&found.what) == route_key(wanted));
        let ours = existing.clone().find(|found| found.is_ours());
        let is_lost = ours.is_some_and(|found| lost.contains(&found.what));
        if !is_lost && existing.any(|found| same_route(&found.what, wanted)) {
            continue;
        }
        let put = |replace| Op::PutRoute { route: wanted.clone(), protocol: PROTOCOL, replace };
        let text = route_text(wanted, state);
        steps.push(match ours {
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
    for found in state.routes.iter().filter(|found| found.is_ours()) {
        if !desired.iter().any(|wanted| route_key(wanted) == route_key(&found.what)) {
            steps.push(Step::new(
                format!("- {}", route_text(&found.what, state)),
                Op::RemoveRoute { route: found.what.clone(), protocol: found.protocol },
                [Op::PutRoute { route: found.what.clone(), protocol: found.protocol, replace: true }],
            ));
        }
    }
}

fn neighbors(state: &State, desired: &[Neighbor], steps: &mut Vec<Step>) {
    let key = |n: &Neighbor| (n.ifindex, n.address, n.mac.is_none());
    for wanted in desired {
        let existing = state.neighbors.iter().find(|found| key(&found.what) == key(wanted));
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
    for found in state.neighbors.iter().filter(|found| found.is_ours()) {
        if !desired.iter().any(|wanted| key(wanted) == key(&found.what)) {
            steps.push(Step::new(
                format!("- {}", neighbor_text(&found.what, state)),
                Op::RemoveNeighbor(found.what.clone()),
                [Op::PutNeighbor { neighbor: found.what.clone(), protocol: found.protocol }],
            ));
        }
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
