//! RouterOS's interface names -> links of the host.

use std::collections::{BTreeMap, HashMap};

use config::schema;

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
    links: Links<'a>,
    by_name: BTreeMap<String, Result<Port<'a>, String>>,
    /// Interfaces of other kinds, with their menu.
    others: HashMap<String, &'a str>,
}

impl<'a> Ports<'a> {
    /// Finds the links of all ports in `/interface ethernet`, and plans their changes.
    pub fn resolve(plan: &mut Plan<'a>) -> Ports<'a> {
        let mut ports =
            Ports { links: Links::of(plan.facts), by_name: BTreeMap::new(), others: HashMap::new() };
        for menu in schema::menus().filter(|menu| menu.interface && menu.path != MENU) {
            let names = plan.tree.items(&menu.path).filter_map(|item| item.text("name"));
            ports.others.extend(names.map(|name| (name, menu.path.as_str())));
        }
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
            let link = ports.links.find(&view.default_name).and_then(|link| match taken.get(&link.ifindex) {
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
                let link = self.links.find(name).map_err(|reason| match self.others.get(name) {
                    Some(menu) => format!("{name}: /{menu} is not built yet, and {reason}"),
                    None => reason,
                })?;
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

/// The host's links by the names that a port may have.
struct Links<'a> {
    facts: &'a HostFacts,
    by_name: HashMap<&'a str, &'a HostLink>,
    by_altname: HashMap<&'a str, &'a HostLink>,
    /// By the port in the alias that we gave.
    by_alias: HashMap<&'a str, &'a HostLink>,
    by_ifindex: HashMap<u32, &'a HostLink>,
}

impl<'a> Links<'a> {
    fn of(facts: &'a HostFacts) -> Links<'a> {
        let links = || facts.links.iter();
        let tagged =
            |link: &'a HostLink| link.alias.as_deref().and_then(|alias| alias.strip_prefix(ALIAS_TAG));
        Links {
            facts,
            by_name: links().map(|link| (link.name.as_str(), link)).collect(),
            by_altname: links().flat_map(|l| l.altnames.iter().map(move |name| (name.as_str(), l))).collect(),
            by_alias: links().filter_map(|l| Some((tagged(l)?.split(' ').next()?, l))).collect(),
            by_ifindex: links().map(|link| (link.ifindex, link)).collect(),
        }
    }

    /// The operator's mapping, then the link's name, its other names, and the alias that we gave it.
    fn find(&self, name: &str) -> Result<&'a HostLink, String> {
        let called = |name: &str| self.by_name.get(name).or_else(|| self.by_altname.get(name));
        let link = match self.facts.ports.get(name) {
            Some(host) => {
                called(host).ok_or_else(|| format!("no link {host} on this host for port {name}"))?
            }
            None => called(name)
                .or_else(|| self.by_alias.get(name))
                .ok_or_else(|| format!("no port named {name} on this host"))?,
        };
        match link.master.and_then(|master| self.by_ifindex.get(&master)) {
            Some(master) if ["bridge", "bond", "team", "openvswitch"].contains(&master.kind.as_str()) => {
                Err(format!("{name} is a port of {} on this host", master.name))
            }
            _ => Ok(link),
        }
    }
}
