//! RouterOS's interface names -> links of the host.

use std::collections::BTreeMap;

use crate::Plan;
use crate::desired::{ALIAS_TAG, Link};
use crate::facts::{HostFacts, HostLink};
use crate::net;
use crate::view::Ethernet;

const MENU: &str = "interface/ethernet";

/// A port of the configuration that exists on this host and is not disabled.
#[derive(Clone, Debug)]
pub struct Port<'a> {
    /// RouterOS name.
    pub name: String,
    pub link: &'a HostLink,
    /// As the configuration wants it, else as it is.
    pub mtu_bytes: u32,
    pub mac: Option<[u8; 6]>,
}

/// Every interface name that may be referred to: the port, or the reason why it has no effect.
pub struct Ports<'a> {
    facts: &'a HostFacts,
    by_name: BTreeMap<String, Result<Port<'a>, String>>,
}

impl<'a> Ports<'a> {
    /// Finds the links of all ports in `/interface ethernet`, and plans their changes.
    pub fn resolve(plan: &mut Plan<'a>) -> Ports<'a> {
        let facts = plan.facts;
        let mut ports = Ports { facts, by_name: BTreeMap::new() };
        let mut taken: BTreeMap<u32, String> = BTreeMap::new();
        for item in plan.tree.items(MENU) {
            let view: Ethernet = match item.view() {
                Ok(view) => view,
                Err(error) => {
                    plan.errors.push(error);
                    continue;
                }
            };
            let name = view.name.unwrap_or_else(|| view.default_name.clone());
            let link = find(facts, &view.default_name).and_then(|link| match taken.get(&link.ifindex) {
                Some(other) => Err(format!("link {} is port {other} already", link.name)),
                None => Ok(link),
            });
            let link = match link {
                Ok(link) => link,
                Err(reason) => {
                    plan.inactive(MENU, item, reason.clone());
                    ports.by_name.insert(name, Err(reason));
                    continue;
                }
            };
            taken.insert(link.ifindex, view.default_name.clone());
            let mac = match view.mac_address {
                Some(text) => plan.parse(item, &text, net::mac),
                None => None,
            };
            // What equals the default is not told from what was never said; such a link keeps its MTU.
            let mtu_bytes = item.value("mtu").map(|_| view.mtu);
            plan.desired.links.push(Link {
                ifindex: link.ifindex,
                host_name: link.name.clone(),
                port: view.default_name,
                name: name.clone(),
                mtu_bytes,
                mac,
                up: !item.is_disabled(),
                comment: item.comment(),
            });
            let port = if item.is_disabled() {
                Err(format!("{name} is disabled"))
            } else {
                Ok(Port {
                    name: name.clone(),
                    link,
                    mtu_bytes: mtu_bytes.unwrap_or(link.mtu_bytes),
                    mac: mac.or_else(|| <[u8; 6]>::try_from(link.mac.as_slice()).ok()),
                })
            };
            ports.by_name.insert(name, port);
        }
        ports
    }

    /// The port of that name, or why it has no effect. Interfaces of kinds that nothing builds yet (a bridge, a VLAN)
    /// are taken from the host where it has a link of that name.
    pub fn get(&self, name: &str) -> Result<Port<'a>, String> {
        match self.by_name.get(name) {
            Some(port) => port.clone(),
            None => {
                let link = find(self.facts, name)?;
                let mac = <[u8; 6]>::try_from(link.mac.as_slice()).ok();
                Ok(Port { name: name.to_owned(), link, mtu_bytes: link.mtu_bytes, mac })
            }
        }
    }

    /// The ports of `/interface ethernet`, by name.
    pub fn all(&self) -> impl Iterator<Item = &Port<'a>> {
        self.by_name.values().flatten()
    }
}

/// The operator's mapping, then the link's name, its other names, and the alias that we gave it.
fn find<'a>(facts: &'a HostFacts, name: &str) -> Result<&'a HostLink, String> {
    let links = || facts.links.iter();
    let called = |name: &str| {
        links()
            .find(|l| l.name == name)
            .or_else(|| links().find(|l| l.altnames.iter().any(|alt| alt == name)))
    };
    let aliased = |link: &&HostLink| {
        let tagged = link.alias.as_deref().and_then(|alias| alias.strip_prefix(ALIAS_TAG));
        tagged.and_then(|tagged| tagged.split(' ').next()) == Some(name)
    };
    let link = match facts.ports.get(name) {
        Some(host) => called(host).ok_or_else(|| format!("no link {host} on this host for port {name}"))?,
        None => called(name)
            .or_else(|| links().find(aliased))
            .ok_or_else(|| format!("no port named {name} on this host"))?,
    };
    let master = link.master.and_then(|master| links().find(|l| l.ifindex == master));
    match master {
        Some(master) if ["bridge", "bond", "team", "openvswitch"].contains(&master.kind.as_str()) => {
            Err(format!("{name} is a port of {} on this host", master.name))
        }
        _ => Ok(link),
    }
}
