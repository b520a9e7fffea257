//! `/ip arp`, `/ipv6 neighbor`.

use std::net::IpAddr;

use config::Item;

use crate::Plan;
use crate::desired::Neighbor;
use crate::net;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::view::{Arp, Neighbor6};

pub fn compile(plan: &mut Plan<'_>, ports: &Ports<'_>, settings: &Settings) {
    for (item, view) in plan.items::<Arp>("ip/arp") {
        let mac = view.mac_address.filter(|_| !view.published);
        add(plan, "ip/arp", item, ports, (&view.address, &view.interface, mac), view.published);
    }
    for (item, view) in plan.items::<Neighbor6>("ipv6/neighbor") {
        if settings.v6.disable_ipv6 {
            plan.inactive("ipv6/neighbor", item, "IPv6 is off: /ipv6/settings disable-ipv6=yes");
            continue;
        }
        let interface = view.interface.as_deref().unwrap_or_default();
        add(plan, "ipv6/neighbor", item, ports, (&view.address, interface, view.mac_address), false);
    }
}

fn add(
    plan: &mut Plan<'_>,
    menu: &str,
    item: &Item,
    ports: &Ports<'_>,
    (address, interface, mac): (&str, &str, Option<String>),
    published: bool,
) {
    let Some(address) = plan.parse(item, address, |text| text.parse::<IpAddr>().ok()) else { return };
    if address.is_unspecified() || interface.is_empty() {
        return plan.inactive(menu, item, "needs an address and an interface");
    }
    let port = match ports.get(interface) {
        Ok(port) => port,
        Err(reason) => return plan.inactive(menu, item, reason),
    };
    let mac = match mac {
        Some(text) => match plan.parse(item, &text, net::mac) {
            Some(mac) => Some(mac),
            None => return,
        },
        None if published => None,
        None => return plan.inactive(menu, item, "no mac-address"),
    };
    plan.desired.neighbors.push(Neighbor { ifindex: port.link.ifindex, address, mac });
}
