//! `/ip address`, `/ipv6 address`.

use std::net::IpAddr;

use config::Item;

use crate::Plan;
use crate::desired::Address;
use crate::net;
use crate::ports::{Port, Ports};
use crate::settings::Settings;
use crate::view::{Address4, Address6};

/// The addresses that the router will have, and the networks that it is connected to.
pub struct Own<'a> {
    /// RouterOS order; those of `/ip address` and `/ipv6 address` with their ports.
    pub configured: Vec<(Port<'a>, Address)>,
    /// Ifindex, address, connected network. Also what the host has by itself.
    pub all: Vec<Connected>,
}

#[derive(Clone, Copy, Debug)]
pub struct Connected {
    pub ifindex: u32,
    pub address: IpAddr,
    pub network: (IpAddr, u8),
}

impl Own<'_> {
    pub fn has(&self, address: IpAddr) -> bool {
        self.all.iter().any(|own| own.address == address)
    }

    /// The interface whose network holds `address`; the longest prefix wins, then the first.
    pub fn reach(&self, address: IpAddr) -> Option<&Connected> {
        let mut best: Option<&Connected> = None;
        for own in self.all.iter().filter(|own| net::contains(own.network, address)) {
            if best.is_none_or(|best| own.network.1 > best.network.1) {
                best = Some(own);
            }
        }
        best
    }
}

pub fn compile<'a>(plan: &mut Plan<'a>, ports: &Ports<'a>, settings: &Settings) -> Own<'a> {
    let mut own = Own { configured: Vec::new(), all: Vec::new() };
    for (item, view) in plan.items::<Address4>("ip/address") {
        let Some((address, prefix_length)) = plan.parse(item, &view.address, net::prefix) else { continue };
        let mut peer = None;
        if let Some(text) = view.network.filter(|_| prefix_length == 32) {
            let Some(far) = plan.parse(item, &text, |text| text.parse::<IpAddr>().ok()) else { continue };
            peer = Some(far).filter(|far| *far != address);
        }
        let wanted = Address { ifindex: 0, address, prefix_length, peer, no_dad: false };
        add(plan, "ip/address", item, ports.get(&view.interface), wanted, &mut own);
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
        add(plan, "ipv6/address", item, ports.get(&view.interface), wanted, &mut own);
    }
    for found in &plan.facts.addresses {
        let network = (net::network(found.address, found.prefix_length), found.prefix_length);
        own.all.push(Connected { ifindex: found.ifindex, address: found.address, network });
    }
    own
}

fn add<'a>(
    plan: &mut Plan<'a>,
    menu: &str,
    item: &Item,
    port: Result<Port<'a>, String>,
    wanted: Address,
    own: &mut Own<'a>,
) {
    let unusable = |address: IpAddr| address.is_unspecified() || address.is_multicast();
    let port = match port {
        Ok(port) => port,
        Err(reason) => return plan.inactive(menu, item, reason),
    };
    if unusable(wanted.address) {
        return plan.inactive(menu, item, format!("{} is no address of a host", wanted.address));
    }
    let address = Address { ifindex: port.link.ifindex, ..wanted };
    let stands = |other: &Address| {
        // The kernel holds an IPv6 address once per link, an IPv4 address once per length and far end.
        let same = (other.ifindex, other.address) == (address.ifindex, address.address);
        same && (address.address.is_ipv6()
            || (other.prefix_length, other.peer) == (address.prefix_length, address.peer))
    };
    if own.configured.iter().any(|(_, other)| stands(other)) {
        return plan.inactive(menu, item, format!("{} has this address already", port.name));
    }
    let far = address.peer.unwrap_or(address.address);
    own.all.push(Connected {
        ifindex: address.ifindex,
        address: address.address,
        network: (net::network(far, address.prefix_length), address.prefix_length),
    });
    own.configured.push((port, address.clone()));
    plan.desired.addresses.push(address);
}
