//! What `print`, `find` and `get` know beside the configuration: rows that the host has by itself, and the state of the
//! configured ones. A snapshot, so that a script can look at it from its own thread.

mod connections;
mod firewall;
mod members;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

use config::{Item, Row, Rows};
use kernel::{SeenNeighbor, SeenRoute, View};
use plan::desired::{Address, Desired, PROTOCOL, RouteKind, TABLE_MAIN};
use plan::facts::{HostFacts, HostLink};

use crate::daemon::resources::Resources;

pub use firewall::{Firewall, act};
pub use members::names as list_names;

/// What is to be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub host: kernel::Scope,
    pub firewall: firewall::Scope,
}

impl Scope {
    /// True where a look of this scope shows all that another would.
    pub fn holds(self, other: Scope) -> bool {
        self.host.holds(other.host) && self.firewall.holds(other.firewall)
    }

    /// What a line can mean. A table of routes is large, and so is one of connections: they are read where they may be
    /// asked for.
    pub fn of_line(line: &str) -> Scope {
        let host = kernel::Scope {
            routes: line.contains("ro"),
            neighbors: line.contains("ar") || line.contains("ne"),
        };
        Scope { host, firewall: firewall::Scope::of_line(line) }
    }
}

/// What of the host a menu shows; None for menus that show nothing of it.
pub fn scope_of(menu: &str) -> Option<Scope> {
    let host = |routes, neighbors| Scope { host: kernel::Scope { routes, neighbors }, ..Scope::default() };
    match menu {
        "ip/route" | "ipv6/route" => Some(host(true, false)),
        "ip/arp" | "ipv6/neighbor" => Some(host(false, true)),
        _ if menu.contains("/firewall/") => {
            Some(Scope { firewall: firewall::Scope::of_menu(menu), ..Scope::default() })
        }
        "ip/address" | "ipv6/address" | "interface" => Some(Scope::default()),
        "system/resource" | "system/clock" | "system/routerboard" | "system/package" => {
            Some(Scope::default())
        }
        _ if menu.starts_with("interface/") || menu.starts_with("ip/") || menu.starts_with("ipv6/") => {
            Some(Scope::default())
        }
        _ => None,
    }
}

/// The host at one moment.
#[derive(Default)]
pub struct Live {
    facts: HostFacts,
    view: View,
    resources: Resources,
    /// RouterOS names of links, by ifindex.
    names: BTreeMap<u32, String>,
    /// Addresses that we made.
    addresses: Vec<Address>,
    firewall: Firewall,
    /// Menu and id.
    inactive: HashSet<(String, u32)>,
    /// Columns of the terminal that is printed on.
    pub width: Option<usize>,
}

impl Live {
    pub fn new(
        facts: HostFacts,
        view: View,
        resources: Resources,
        firewall: Firewall,
        desired: Option<&Desired>,
    ) -> Live {
        let mut live = Live { facts, view, resources, firewall, ..Live::default() };
        if let Some(desired) = desired {
            live.names = desired.links.iter().map(|link| (link.ifindex, link.name.clone())).collect();
            live.addresses.clone_from(&desired.addresses);
            let inactive = desired.inactive.iter().map(|item| (item.menu.as_str(), item.item));
            // What can't be in force is shown as what is not.
            let gaps = desired.gaps.iter().map(|gap| (gap.menu.as_str(), gap.item));
            let both = inactive.chain(gaps);
            live.inactive =
                both.map(|(menu, item)| (menu.trim_start_matches('/').to_owned(), item)).collect();
        }
        live
    }

    fn link(&self, ifindex: u32) -> Option<&HostLink> {
        self.facts.links.iter().find(|link| link.ifindex == ifindex)
    }

    /// The link that a RouterOS name means.
    fn named(&self, name: &str) -> Option<&HostLink> {
        match self.names.iter().find(|(_, own)| *own == name) {
            Some((ifindex, _)) => self.link(*ifindex),
            None => self.facts.links.iter().find(|link| link.name == name),
        }
    }

    /// The RouterOS name where the link has one.
    fn name(&self, ifindex: u32) -> String {
        let host_name = || self.link(ifindex).map(|link| link.name.clone());
        self.names.get(&ifindex).cloned().or_else(host_name).unwrap_or_else(|| format!("#{ifindex}"))
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
                let interface = self.name(a.ifindex);
                let mut values = vec![
                    ("address", format!("{}/{}", a.address, a.prefix_length)),
                    ("interface", interface.clone()),
                    ("actual-interface", interface),
                ];
                if v4 {
                    values.push(("network", network(a.address, a.prefix_length).to_string()));
                }
                row(if link_local { "DL" } else { "D" }, values)
            })
            .collect()
    }

    /// The routes to the networks of all addresses, and those that others made.
    fn routes(&self, v4: bool) -> Vec<Row> {
        let ours = self.addresses.iter().map(|a| (a.peer.unwrap_or(a.address), a.prefix_length, a.ifindex));
        let others = self.facts.addresses.iter().map(|a| (a.address, a.prefix_length, a.ifindex));
        let up = |ifindex| self.link(ifindex).is_some_and(|link| link.running && !link.loopback);
        let connected =
            ours.chain(others).filter(|(address, _, ifindex)| address.is_ipv4() == v4 && up(*ifindex));
        let connected = connected.map(|(address, length, ifindex)| {
            let interface = self.name(ifindex);
            let values = vec![
                ("dst-address", format!("{}/{length}", network(address, length))),
                ("gateway", interface.clone()),
                ("immediate-gw", interface),
                ("routing-table", "main".to_owned()),
                ("distance", "0".to_owned()),
                ("scope", "10".to_owned()),
            ];
            row("DAc", values)
        });
        let seen = self.view.routes.iter().filter(|seen| {
            seen.route.destination.is_ipv4() == v4
                && seen.route.table == TABLE_MAIN
                && !matches!(seen.protocol, PROTOCOL | BY_KERNEL)
        });
        let mut rows: Vec<Row> = connected.collect();
        // Two addresses of one network make one route.
        rows.sort_by(|a, b| a.values.cmp(&b.values));
        rows.dedup();
        rows.extend(seen.map(|seen| self.route(seen)));
        rows
    }

    fn route(&self, seen: &SeenRoute) -> Row {
        let route = &seen.route;
        let hops = route.next_hops.iter().map(|hop| match (hop.gateway, hop.ifindex) {
            (Some(gateway), Some(ifindex)) => {
                (gateway.to_string(), format!("{gateway}%{}", self.name(ifindex)))
            }
            (Some(gateway), None) => (gateway.to_string(), gateway.to_string()),
            (None, Some(ifindex)) => (self.name(ifindex), self.name(ifindex)),
            (None, None) => (String::new(), String::new()),
        });
        let (gateways, immediate): (Vec<String>, Vec<String>) = hops.unzip();
        let mut flags = format!("DA{}", origin(seen.protocol));
        if gateways.len() > 1 {
            flags.push('+');
        }
        let mut values = vec![
            ("dst-address", format!("{}/{}", route.destination, route.prefix_length)),
            ("routing-table", "main".to_owned()),
            ("gateway", gateways.join(",")),
            ("immediate-gw", immediate.join(",")),
            ("distance", distance(seen).to_string()),
            ("scope", "30".to_owned()),
            ("target-scope", "10".to_owned()),
        ];
        values.extend(route.preferred_source.map(|source| ("pref-src", source.to_string())));
        if route.kind != RouteKind::Unicast {
            values.push(("blackhole", "yes".to_owned()));
        }
        row(&flags, values)
    }

    /// Neighbours that were learnt.
    fn neighbors(&self, v4: bool) -> Vec<Row> {
        let seen = self.view.neighbors.iter();
        let seen = seen.filter(|n| n.address.is_ipv4() == v4 && !self.is_loopback(n.ifindex));
        let flags = |n: &SeenNeighbor| match v4 {
            true if n.mac.is_some() => "DC",
            false if n.is_router => "DR",
            _ => "D",
        };
        seen.map(|n| {
            let mut values = vec![
                ("address", n.address.to_string()),
                ("interface", self.name(n.ifindex)),
                ("status", n.state.to_owned()),
            ];
            values.extend(n.mac.map(|mac| ("mac-address", mac_text(&mac))));
            row(flags(n), values)
        })
        .collect()
    }

    /// What is known of an interface: its link's state and counters.
    fn interface(&self, name: &str) -> Vec<(&'static str, String)> {
        let Some(link) = self.named(name) else { return Vec::new() };
        let counters = self.view.links.get(&link.ifindex).copied().unwrap_or_default();
        let mut values = vec![
            ("actual-mtu", link.mtu_bytes.to_string()),
            ("ifname", link.name.clone()),
            ("ifindex", link.ifindex.to_string()),
            ("running", if link.running { "yes" } else { "no" }.to_owned()),
            ("link-downs", counters.carrier_downs.to_string()),
            ("rx-byte", counters.rx_bytes.to_string()),
            ("tx-byte", counters.tx_bytes.to_string()),
            ("rx-packet", counters.rx_packets.to_string()),
            ("tx-packet", counters.tx_packets.to_string()),
            ("rx-drop", counters.rx_drops.to_string()),
            ("tx-drop", counters.tx_drops.to_string()),
            ("rx-error", counters.rx_errors.to_string()),
            ("tx-error", counters.tx_errors.to_string()),
        ];
        values.extend((link.mac.len() == 6).then(|| ("mac-address", mac_text(&link.mac))));
        values
    }
}

impl Rows for Live {
    fn rows(&self, menu: &str) -> Vec<Row> {
        match menu {
            "ip/address" => self.addresses(true),
            "ipv6/address" => self.addresses(false),
            "ip/route" => self.routes(true),
            "ipv6/route" => self.routes(false),
            "ip/arp" => self.neighbors(true),
            "ipv6/neighbor" => self.neighbors(false),
            "system/package" => vec![row("", self.resources.package())],
            _ => self.firewall.rows(menu),
        }
    }

    fn flags(&self, item: &Item) -> String {
        let menu = item.menu().path.as_str();
        let inactive = !self.inactive.is_empty() && self.inactive.contains(&(menu.to_owned(), item.id().0));
        let flags = match menu {
            "ip/route" | "ipv6/route" if inactive => "Is",
            "ip/route" | "ipv6/route" if !item.is_disabled() => {
                let several = item.text("gateway").is_some_and(|gateways| gateways.contains(','));
                if several { "As+" } else { "As" }
            }
            _ if menu == "interface" || item.menu().interface => {
                match item.text("name").and_then(|name| self.named(&name)) {
                    Some(link) if link.running && link.master.is_some() => "RS",
                    Some(link) if link.running => "R",
                    _ => "",
                }
            }
            "ip/arp" if !item.is_disabled() && !inactive => "C",
            _ if inactive => "I",
            _ => "",
        };
        flags.to_owned()
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        let menu = item.menu().path.as_str();
        let values = match menu {
            "ip/address" | "ipv6/address" => {
                Vec::from_iter(item.text("interface").map(|name| ("actual-interface", name)))
            }
            "ip/arp" | "ipv6/neighbor" => vec![("status", "permanent".to_owned())],
            "system/resource" => self.resources.values(),
            "system/clock" => self.resources.clock(),
            "system/routerboard" => vec![("routerboard", "no".to_owned())],
            _ if menu == "interface" || item.menu().interface => {
                let values = item.text("name").map(|name| self.interface(&name)).unwrap_or_default();
                let known =
                    |name: &str| item.menu().status(name).or_else(|| item.menu().property(name)).is_some();
                values.into_iter().filter(|(name, _)| known(name)).collect()
            }
            _ => self.firewall.values(item),
        };
        values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    fn width(&self) -> Option<usize> {
        self.width
    }
}

fn row(flags: &str, values: Vec<(&'static str, String)>) -> Row {
    let values = values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    Row { flags: flags.to_owned(), values, ..Row::default() }
}

/// `RTPROT_KERNEL` of linux/rtnetlink.h: routes that come with an address, and are shown with it.
const BY_KERNEL: u8 = 2;

/// RouterOS's letter for who made a route, by `RTPROT_*` of linux/rtnetlink.h.
fn origin(protocol: u8) -> char {
    match protocol {
        9 | 16 => 'd', // RTPROT_RA, RTPROT_DHCP
        186 => 'b',    // RTPROT_BGP
        187 => 'i',    // RTPROT_ISIS
        188 => 'o',    // RTPROT_OSPF
        189 => 'r',    // RTPROT_RIP
        _ => 's',
    }
}

/// The kernel's metric where there is one, else RouterOS's distance for the origin.
fn distance(seen: &SeenRoute) -> u32 {
    match (seen.route.metric, origin(seen.protocol)) {
        (metric @ 1..=255, _) => metric,
        (_, 'b') => 20,
        (_, 'o') => 110,
        (_, 'r') => 120,
        (_, 'i') => 115,
        _ => 1,
    }
}

fn mac_text(mac: &[u8]) -> String {
    mac.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
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
    use plan::desired::{NextHop, Route};
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

    fn live() -> Live {
        let link = |ifindex, name: &str, loopback| HostLink {
            ifindex,
            name: name.into(),
            mac: vec![2, 0, 0, 0, 0, 10],
            mtu_bytes: 1400,
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
        let hop = |last| NextHop {
            gateway: Some(IpAddr::from([192, 0, 2, last])),
            ifindex: Some(2),
            onlink: false,
        };
        let seen = |protocol| SeenRoute {
            route: Route {
                kind: RouteKind::Unicast,
                destination: IpAddr::from([198, 51, 100, 0]),
                prefix_length: 24,
                table: TABLE_MAIN,
                metric: 0,
                preferred_source: None,
                next_hops: vec![hop(1), hop(2)],
            },
            protocol,
        };
        let neighbor = SeenNeighbor {
            ifindex: 2,
            address: IpAddr::from([192, 0, 2, 1]),
            mac: Some([2, 0, 0, 0, 0, 1]),
            is_router: false,
            state: "reachable",
        };
        let view = View {
            routes: vec![seen(186), seen(PROTOCOL), seen(BY_KERNEL)],
            neighbors: vec![neighbor],
            ..View::default()
        };
        Live::new(facts, view, Resources::default(), Firewall::default(), None)
    }

    #[test]
    fn addresses_of_others_are_dynamic_and_make_connected_routes() {
        let live = live();
        let rows = live.rows("ip/address");
        assert_eq!(rows.len(), 1);
        assert!(rows[0].values.contains(&("network".into(), "192.0.2.0".into())));
        let routes = live.rows("ip/route");
        assert_eq!(routes[0].flags, "DAc");
        assert!(routes[0].values.contains(&("gateway".into(), "ether1".into())));
        assert!(live.rows("ipv6/route").is_empty());
    }

    /// Our own routes are configured items, and the kernel's stand with their addresses.
    #[test]
    fn routes_of_other_daemons_are_shown_with_their_origin() {
        let routes = live().rows("ip/route");
        assert_eq!(routes.len(), 2);
        let learnt = routes.last().unwrap();
        assert_eq!(learnt.flags, "DAb+");
        assert!(learnt.values.contains(&("gateway".into(), "192.0.2.1,192.0.2.2".into())));
        assert!(learnt.values.contains(&("distance".into(), "20".into())));
    }

    #[test]
    fn learnt_neighbours_and_interfaces_have_what_the_kernel_knows() {
        let live = live();
        let arp = live.rows("ip/arp");
        assert_eq!((arp.len(), arp[0].flags.as_str()), (1, "DC"));
        assert!(arp[0].values.contains(&("mac-address".into(), "02:00:00:00:00:01".into())));
        let mut tree = config::Tree::new();
        config::run(&mut tree, "/interface ethernet set ether1 comment=x").unwrap();
        let mut shown = |line: &str| config::run_with(&mut tree, line, &live).unwrap().text;
        assert_eq!(shown(":put [/interface ethernet get ether1 running]"), "true\n");
        assert_eq!(shown(":put [/interface get ether1 actual-mtu]"), "1400\n");
        assert_eq!(shown(":put [/interface ethernet get ether1 mac-address]"), "02:00:00:00:00:0A\n");
        assert_eq!(shown(":put [/system routerboard get routerboard]"), "false\n");
        assert_eq!(shown("/ip arp print count-only where status=reachable"), "1\n");
    }
}
