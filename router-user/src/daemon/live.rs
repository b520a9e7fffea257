//! What `print` shows beside the configuration: rows that the host has by itself, and the state of the configured ones.

use std::collections::HashSet;
use std::net::IpAddr;

use config::{Item, Row, Rows};
use plan::desired::Desired;
use plan::facts::{HostFacts, HostLink};

/// The host at one moment.
pub struct Live<'a> {
    facts: &'a HostFacts,
    desired: Option<&'a Desired>,
    inactive: HashSet<(&'a str, u32)>,
}

impl<'a> Live<'a> {
    pub fn new(facts: &'a HostFacts, desired: Option<&'a Desired>) -> Live<'a> {
        let inactive = desired.into_iter().flat_map(|desired| &desired.inactive);
        let inactive = inactive.map(|item| (item.menu.trim_start_matches('/'), item.item)).collect();
        Live { facts, desired, inactive }
    }

    fn link(&self, ifindex: u32) -> Option<&HostLink> {
        self.facts.links.iter().find(|link| link.ifindex == ifindex)
    }

    /// The RouterOS name where the link has one.
    fn name(&self, ifindex: u32) -> String {
        let named = self.desired.into_iter().flat_map(|desired| &desired.links);
        let named = named.filter(|link| link.ifindex == ifindex).map(|link| link.name.clone()).next();
        named
            .or_else(|| self.link(ifindex).map(|link| link.name.clone()))
            .unwrap_or_else(|| format!("#{ifindex}"))
    }

    fn is_loopback(&self, ifindex: u32) -> bool {
        self.link(ifindex).is_some_and(|link| link.loopback)
    }

    /// Addresses that are not ours, of one family.
    fn addresses(&self, v4: bool) -> Vec<Row> {
        let others =
            self.facts.addresses.iter().filter(|a| a.address.is_ipv4() == v4 && !self.is_loopback(a.ifindex));
        others
            .map(|a| {
                let link_local = matches!(a.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
                let mut values = vec![
                    ("address".to_owned(), format!("{}/{}", a.address, a.prefix_length)),
                    ("interface".to_owned(), self.name(a.ifindex)),
                ];
                if v4 {
                    values.push(("network".to_owned(), network(a.address, a.prefix_length).to_string()));
                }
                Row { flags: if link_local { "DL" } else { "D" }.to_owned(), values }
            })
            .collect()
    }

    /// The routes to the networks of all addresses.
    fn connected(&self, v4: bool) -> Vec<Row> {
        let ours = self.desired.into_iter().flat_map(|desired| &desired.addresses);
        let ours = ours.map(|a| (a.peer.unwrap_or(a.address), a.prefix_length, a.ifindex));
        let others = self.facts.addresses.iter().map(|a| (a.address, a.prefix_length, a.ifindex));
        let up = |ifindex| self.link(ifindex).is_some_and(|link| link.running && !link.loopback);
        ours.chain(others)
            .filter(|(address, _, ifindex)| address.is_ipv4() == v4 && up(*ifindex))
            .map(|(address, length, ifindex)| Row {
                flags: "DAc".to_owned(),
                values: vec![
                    ("dst-address".to_owned(), format!("{}/{length}", network(address, length))),
                    ("gateway".to_owned(), self.name(ifindex)),
                    ("routing-table".to_owned(), "main".to_owned()),
                    ("distance".to_owned(), "0".to_owned()),
                ],
            })
            .collect()
    }
}

impl Rows for Live<'_> {
    fn rows(&self, menu: &str) -> Vec<Row> {
        match menu {
            "ip/address" => self.addresses(true),
            "ipv6/address" => self.addresses(false),
            "ip/route" => self.connected(true),
            "ipv6/route" => self.connected(false),
            _ => Vec::new(),
        }
    }

    fn flags(&self, item: &Item) -> String {
        let menu = item.menu().path.as_str();
        let inactive = self.inactive.contains(&(menu, item.id().0));
        let flags = match menu {
            "ip/route" | "ipv6/route" if inactive => "Is",
            "ip/route" | "ipv6/route" if !item.is_disabled() => "As",
            "interface" | "interface/ethernet" => {
                let links = self.desired.into_iter().flat_map(|desired| &desired.links);
                let mut named = links.filter(|link| item.text("name").as_ref() == Some(&link.name));
                match named.next().and_then(|link| self.link(link.ifindex)) {
                    Some(link) if link.running => "R",
                    _ => "",
                }
            }
            _ if inactive => "I",
            _ => "",
        };
        flags.to_owned()
    }
}

/// The address with its host bits cleared.
fn network(address: IpAddr, length: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            IpAddr::from((v4.to_bits() & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            IpAddr::from((v6.to_bits() & mask).to_be_bytes())
        }
    }
}

#[cfg(test)]
mod tests {
    use plan::facts::HostAddress;

    use super::*;

    #[test]
    fn host_bits_go() {
        let cleared = |text: &str, length| network(text.parse().unwrap(), length).to_string();
        assert_eq!(cleared("192.0.2.77", 24), "192.0.2.0");
        assert_eq!(cleared("192.0.2.77", 0), "0.0.0.0");
        assert_eq!(cleared("192.0.2.77", 32), "192.0.2.77");
        assert_eq!(cleared("2001:db8::5", 64), "2001:db8::");
    }

    #[test]
    fn addresses_of_others_are_dynamic_and_make_connected_routes() {
        let link = |ifindex, name: &str, loopback| HostLink {
            ifindex,
            name: name.into(),
            up: true,
            running: true,
            loopback,
            ..HostLink::default()
        };
        let address = |ifindex, text: &str, prefix_length| HostAddress {
            ifindex,
            address: text.parse().unwrap(),
            prefix_length,
        };
        let facts = HostFacts {
            links: vec![link(1, "lo", true), link(2, "ether1", false)],
            addresses: vec![address(1, "127.0.0.1", 8), address(2, "192.0.2.7", 24)],
            ..HostFacts::default()
        };
        let live = Live::new(&facts, None);
        let rows = live.rows("ip/address");
        assert_eq!(rows.len(), 1);
        assert!(rows[0].values.contains(&("network".into(), "192.0.2.0".into())));
        let routes = live.rows("ip/route");
        assert_eq!((routes.len(), routes[0].flags.as_str()), (1, "DAc"));
        assert!(routes[0].values.contains(&("gateway".into(), "ether1".into())));
        assert!(live.rows("ipv6/route").is_empty());
    }
}
