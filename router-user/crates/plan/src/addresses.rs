//! `/ip address`, `/ipv6 address`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::Item;

use crate::Plan;
use crate::desired::Address;
use crate::net;
use crate::ports::{Port, Ports};
use crate::settings::Settings;
use crate::view::{Address4, Address6};

/// The addresses that the router will have, and the networks that it is connected to.
#[derive(Default)]
pub struct Own<'a> {
    /// RouterOS order; those of `/ip address` and `/ipv6 address` with their ports.
    pub configured: Vec<(Port<'a>, Address)>,
    addresses: HashSet<IpAddr>,
    /// Network and length -> the first interface that has it.
    networks: BTreeMap<(IpAddr, u8), u32>,
    of_interface: HashSet<(u32, IpAddr, u8)>,
    /// Prefix lengths in use, IPv4 and IPv6.
    lengths: BTreeSet<u8>,
    /// The first address of each family that is not link-local, by ifindex.
    first4: HashMap<u32, Ipv4Addr>,
    first6: HashMap<u32, Ipv6Addr>,
}

impl Own<'_> {
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    pub fn is_connected(&self, network: IpAddr, length: u8) -> bool {
        self.networks.contains_key(&(network, length))
    }

    /// The interface whose network holds `address`; the longest prefix wins, then the first.
    pub fn reach(&self, address: IpAddr) -> Option<u32> {
        let lengths = self.lengths.iter().rev().filter(|length| **length <= net::bits(address));
        lengths
            .filter_map(|length| self.networks.get(&(net::network(address, *length), *length)))
            .next()
            .copied()
    }

    pub fn reaches_on(&self, ifindex: u32, address: IpAddr) -> bool {
        let mut lengths = self.lengths.iter().filter(|length| **length <= net::bits(address));
        lengths.any(|length| self.of_interface.contains(&(ifindex, net::network(address, *length), *length)))
    }

    /// The first IPv4 and IPv6 address of an interface, where it has one that others can answer to.
    pub fn first(&self, ifindex: u32) -> (Option<Ipv4Addr>, Option<Ipv6Addr>) {
        (self.first4.get(&ifindex).copied(), self.first6.get(&ifindex).copied())
    }

    fn connect(&mut self, ifindex: u32, address: IpAddr, (far, length): (IpAddr, u8)) {
        let network = net::network(far, length);
        self.addresses.insert(address);
        self.networks.entry((network, length)).or_insert(ifindex);
        self.of_interface.insert((ifindex, network, length));
        self.lengths.insert(length);
        match address {
            IpAddr::V4(v4) => {
                self.first4.entry(ifindex).or_insert(v4);
            }
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {}
            IpAddr::V6(v6) => {
                self.first6.entry(ifindex).or_insert(v6);
            }
        }
    }
}

pub fn compile<'a>(plan: &mut Plan<'a>, ports: &Ports<'a>, settings: &Settings) -> Own<'a> {
    let mut own = Own::default();
    let mut taken = HashSet::new();
    for (item, view) in plan.items::<Address4>("ip/address") {
        let Some((address, prefix_length)) = plan.parse(item, &view.address, net::prefix) else { continue };
        let mut peer = None;
        if let Some(text) = view.network.filter(|_| prefix_length == 32) {
            let Some(far) = plan.parse(item, &text, |text| text.parse::<IpAddr>().ok()) else { continue };
            peer = Some(far).filter(|far| *far != address);
        }
        let wanted = Address { ifindex: 0, address, prefix_length, peer, no_dad: false };
        add(plan, "ip/address", item, ports.get(&view.interface), wanted, &mut own, &mut taken);
    }
    for (item, view) in plan.items::<Address6>("ipv6/address") {
        if item.value("from-pool").is_some() {
            plan.inactive("ipv6/address", item, "addresses from pools are not built yet");
            continue;
        }
        if item.text("eui-64").as_deref() == Some("yes") {
            plan.inactive("ipv6/address", item, "addresses made from the MAC address are not built yet");
            continue;
        }
        let Some((address, prefix_length)) = plan.parse(item, &view.address, net::prefix) else { continue };
        if settings.v6.disable_ipv6 {
            plan.inactive("ipv6/address", item, "IPv6 is off: /ipv6/settings disable-ipv6=yes");
            continue;
        }
        let wanted = Address { ifindex: 0, address, prefix_length, peer: None, no_dad: view.no_dad };
        add(plan, "ipv6/address", item, ports.get(&view.interface), wanted, &mut own, &mut taken);
    }
    for found in &plan.facts.addresses {
        own.connect(found.ifindex, found.address, (found.address, found.prefix_length));
    }
    own
}

/// RFC 8200, section 5. Linux has no IPv6 at all on a link with less.
const IPV6_LEAST_MTU: u32 = 1280;

/// What the kernel holds once.
type Place = (u32, IpAddr, Option<(u8, Option<IpAddr>)>);

fn add<'a>(
    plan: &mut Plan<'a>,
    menu: &str,
    item: &Item,
    port: Result<Port<'a>, String>,
    wanted: Address,
    own: &mut Own<'a>,
    taken: &mut HashSet<Place>,
) {
    let unusable = |address: IpAddr| address.is_unspecified() || address.is_multicast();
    let port = match port {
        Ok(port) => port,
        Err(reason) => return plan.inactive(menu, item, reason),
    };
    if unusable(wanted.address) {
        return plan.inactive(menu, item, format!("{} is no address of a host", wanted.address));
    }
    if wanted.address.is_ipv6() && port.mtu_bytes < IPV6_LEAST_MTU {
        return plan.inactive(
            menu,
            item,
            format!("IPv6 needs an MTU of {IPV6_LEAST_MTU}, {} has less", port.name),
        );
    }
    let address = Address { ifindex: port.link.ifindex, ..wanted };
    // The kernel holds an IPv6 address once per link, an IPv4 address once per length and far end.
    let details = address.address.is_ipv4().then_some((address.prefix_length, address.peer));
    if !taken.insert((address.ifindex, address.address, details)) {
        return plan.inactive(menu, item, format!("{} has this address already", port.name));
    }
    let far = address.peer.unwrap_or(address.address);
    own.connect(address.ifindex, address.address, (far, address.prefix_length));
    own.configured.push((port, address.clone()));
    plan.desired.addresses.push(address);
}
