//! What would this configuration do?

use std::net::IpAddr;

use config::schema::{self, Effect, Kind};
use config::{Tree, import};
use proptest::prelude::*;
use router_common::maps::port::port_flag;

use crate::desired::{Link, NextHop, RouteKind};
use crate::facts::{HostAddress, HostLink};
use crate::{Desired, HostFacts, compile, views};

/// A host with Ethernet links of these names; ifindexes from 2 on.
fn host(names: &[&str]) -> HostFacts {
    let link = |(i, name): (usize, &&str)| HostLink {
        ifindex: i as u32 + 2,
        name: (*name).to_owned(),
        mac: vec![2, 0, 0, 0, 0, i as u8 + 2],
        mtu_bytes: 1500,
        up: true,
        running: true,
        ..HostLink::default()
    };
    HostFacts {
        links: names.iter().enumerate().map(link).collect(),
        owns_hostname: true,
        ..HostFacts::default()
    }
}

fn three_ports() -> HostFacts {
    host(&["ether1", "ether2", "ether3"])
}

fn plan_on(facts: &HostFacts, text: &str) -> Desired {
    let outcome = import(&Tree::new(), text).unwrap_or_else(|e| panic!("{e}"));
    compile(&outcome.tree, facts).unwrap_or_else(|e| panic!("{e}"))
}

fn plan(text: &str) -> Desired {
    plan_on(&three_ports(), text)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn via(gateway: &str, ifindex: u32) -> NextHop {
    NextHop { gateway: Some(ip(gateway)), ifindex: Some(ifindex), onlink: false }
}

#[track_caller]
fn assert_inactive(desired: &Desired, menu: &str, reason: &str) {
    let found: Vec<_> =
        desired.inactive.iter().filter(|i| i.menu == menu).map(|i| i.reason.as_str()).collect();
    assert_eq!(found, [reason]);
}

#[test]
fn views_hold_exactly_the_properties_that_the_schema_calls_enforced() {
    const IN_EVERY_MENU: [&str; 2] = ["comment", "disabled"];
    // Scripts and what starts them work on the tree itself; what only shows has nothing to enforce.
    const OF_THE_DAEMON: [&str; 3] = ["system/script", "system/scheduler", "tool/netwatch"];
    let views = views();
    for menu in schema::menus() {
        let view = views.iter().find(|(path, _)| *path == menu.path);
        if OF_THE_DAEMON.contains(&menu.path.as_str()) || menu.kind == Kind::Status {
            continue;
        }
        if menu.effect != Effect::Enforced {
            assert!(view.is_none(), "/{} has a view but is kept", menu.path);
            continue;
        }
        let Some((_, fields)) = view else { panic!("/{} is enforced but has no view", menu.path) };
        let mut enforced: Vec<_> = menu
            .properties
            .iter()
            .filter(|p| p.kept().is_none() && !IN_EVERY_MENU.contains(&p.name.as_str()))
            .map(|p| p.name.as_str())
            .collect();
        let mut fields = fields.to_vec();
        enforced.sort_unstable();
        fields.sort_unstable();
        assert_eq!(fields, enforced, "/{}", menu.path);
    }
}

#[test]
fn an_empty_configuration_asks_for_nothing() {
    let desired = plan("");
    assert!(desired.links.is_empty() && desired.addresses.is_empty() && desired.routes.is_empty());
    assert!(desired.sysctls.is_empty(), "{:?}", desired.sysctls);
    assert!(desired.image.ports.is_empty());
}

#[test]
fn a_renamed_port_is_the_link_of_its_default_name() {
    let desired = plan(
        "/interface ethernet set [ find default-name=ether1 ] name=WAN mtu=1400 mac-address=02:00:5E:10:00:01 comment=up\n\
         /ip address add address=203.0.113.2/29 interface=WAN",
    );
    let expected = Link {
        ifindex: 2,
        host_name: "ether1".into(),
        port: "ether1".into(),
        name: "WAN".into(),
        mtu_bytes: Some(1400),
        mac: Some([2, 0, 0x5e, 0x10, 0, 1]),
        up: true,
        comment: Some("up".into()),
    };
    assert_eq!(desired.links, [expected]);
    assert_eq!(desired.links[0].alias(), "routerd:ether1 up");
    assert_eq!(desired.addresses[0].ifindex, 2);
    let port = &desired.image.ports[0];
    assert_eq!((port.name.as_str(), port.host_name.as_str()), ("WAN", "ether1"));
    assert_eq!((port.port.mtu_bytes, port.port.mac), (1400, [2, 0, 0x5e, 0x10, 0, 1]));
    assert_eq!(port.port.address4, [203, 0, 113, 2]);
}

#[test]
fn a_port_is_found_by_mapping_then_name_then_altname_then_alias() {
    const TEXT: &str = "/ip address add address=192.0.2.1/24 interface=ether1";
    let mut facts = host(&["lan0", "lan1", "lan2", "ether1"]);
    facts.links[0].alias = Some("routerd:ether1 first floor".into());
    facts.links[1].altnames = vec!["ether1".into()];
    let port = |facts: &HostFacts| plan_on(facts, TEXT).links[0].host_name.clone();
    facts.ports.insert("ether1".into(), "lan2".into());
    assert_eq!(port(&facts), "lan2");
    facts.ports.clear();
    assert_eq!(port(&facts), "ether1");
    facts.links.pop();
    assert_eq!(port(&facts), "lan1");
    facts.links[1].altnames.clear();
    assert_eq!(port(&facts), "lan0");
}

#[test]
fn an_absent_port_makes_its_items_inactive_and_nothing_else() {
    let desired = plan(
        "/ip address add address=192.0.2.1/24 interface=ether5\n\
         /ip address add address=198.51.100.1/24 interface=ether2\n\
         /ip route add gateway=192.0.2.254",
    );
    assert_eq!(desired.addresses.len(), 1);
    assert_inactive(&desired, "/interface/ethernet", "no port named ether5 on this host");
    assert_inactive(&desired, "/ip/address", "no port named ether5 on this host");
    assert_inactive(&desired, "/ip/route", "gateway 192.0.2.254 is on no connected network");
}

#[test]
fn a_disabled_port_goes_down_with_all_that_is_on_it() {
    let desired = plan(
        "/interface ethernet set [ find default-name=ether2 ] disabled=yes\n\
         /ip address add address=192.0.2.1/24 interface=ether2",
    );
    assert!(!desired.links[0].up);
    assert!(desired.addresses.is_empty() && desired.image.ports.is_empty());
    assert_inactive(&desired, "/ip/address", "ether2 is disabled");
}

#[test]
fn a_port_of_a_host_bridge_is_left_alone() {
    let mut facts = host(&["ether1", "br0"]);
    facts.links[1].kind = "bridge".into();
    facts.links[0].master = Some(3);
    let desired = plan_on(&facts, "/ip address add address=192.0.2.1/24 interface=ether1");
    assert!(desired.links.is_empty());
    assert_inactive(&desired, "/ip/address", "ether1 is a port of br0 on this host");
}

#[test]
fn two_ports_cannot_share_a_link() {
    let mut facts = three_ports();
    facts.ports.insert("ether7".into(), "ether1".into());
    let desired = plan_on(
        &facts,
        "/ip address add address=192.0.2.1/24 interface=ether1\n/ip address add address=192.0.2.2/24 interface=ether7",
    );
    assert_inactive(&desired, "/interface/ethernet", "link ether1 is port ether1 already");
    assert_eq!(desired.addresses.len(), 1);
}

#[test]
fn addresses_keep_host_bits_and_network_is_the_far_end_of_a_32() {
    let desired = plan(
        "/ip address\n\
         add address=192.168.1.1/24 network=192.168.1.0 interface=ether2\n\
         add address=10.0.0.1/32 network=10.0.0.2 interface=ether3\n\
         add address=198.51.100.1/24 interface=ether3 disabled=yes\n\
         /ipv6 address add address=2001:db8:2::1/64 interface=ether2 no-dad=yes",
    );
    let [lan, ptp, v6] = desired.addresses.as_slice() else { panic!("{:?}", desired.addresses) };
    assert_eq!((lan.address, lan.prefix_length, lan.peer), (ip("192.168.1.1"), 24, None));
    assert_eq!((ptp.prefix_length, ptp.peer), (32, Some(ip("10.0.0.2"))));
    assert_eq!((v6.address, v6.prefix_length, v6.no_dad), (ip("2001:db8:2::1"), 64, true));
}

#[test]
fn pool_and_eui_64_addresses_are_inactive() {
    let desired = plan("/ipv6 address add address=2001:db8::/64 eui-64=yes interface=ether1");
    assert_inactive(&desired, "/ipv6/address", "addresses made from the MAC address are not built yet");
    let desired = plan(
        "/ipv6 pool add name=isp prefix=2001:db8::/48 prefix-length=64\n\
         /ipv6 address add address=::1/64 from-pool=isp interface=ether1",
    );
    assert_inactive(&desired, "/ipv6/address", "addresses from pools are not built yet");
}

/// What is written as the default is written nonetheless: the host's link may have another one.
#[test]
fn an_mtu_of_1500_is_wanted_where_it_is_written() {
    let mtu_bytes = |text: &str| plan(text).links[0].mtu_bytes;
    assert_eq!(mtu_bytes("/interface ethernet set [ find default-name=ether1 ] mtu=1500"), Some(1500));
    assert_eq!(mtu_bytes("/interface ethernet set [ find default-name=ether1 ] comment=x"), None);
}

#[test]
fn ipv6_needs_an_mtu_of_1280() {
    let desired = plan(
        "/interface ethernet set [ find default-name=ether1 ] mtu=1279\n\
         /ipv6 address add address=2001:db8::1/64 interface=ether1",
    );
    assert_inactive(&desired, "/ipv6/address", "IPv6 needs an MTU of 1280, ether1 has less");
}

#[test]
fn an_interface_of_a_kind_that_is_not_built_is_the_hosts_or_inactive() {
    const TEXT: &str = "/interface bridge add name=lan\n/ip address add address=192.0.2.1/24 interface=lan";
    let reason = "lan: /interface/bridge is not built yet, and no port named lan on this host";
    assert_inactive(&plan(TEXT), "/ip/address", reason);
    let desired = plan_on(&host(&["lan"]), TEXT);
    assert!(desired.links.is_empty());
    assert_eq!((desired.addresses.len(), desired.image.ports.len()), (1, 1));
}

#[test]
fn one_network_on_two_ports_is_allowed() {
    let desired = plan(
        "/ip address add address=192.0.2.1/24 interface=ether1\n/ip address add address=192.0.2.2/24 interface=ether2",
    );
    assert_eq!(desired.addresses.len(), 2);
}

const WAN: &str = "/ip address add address=203.0.113.2/29 interface=ether1\n\
                   /ip address add address=198.51.100.1/24 interface=ether2\n\
                   /ipv6 address add address=2001:db8:1::1/64 interface=ether1\n";

fn routed(routes: &str) -> Desired {
    plan(&format!("{WAN}{routes}"))
}

#[test]
fn a_gateway_is_reached_by_the_port_of_its_network() {
    let desired =
        routed("/ip route add gateway=203.0.113.1 distance=5\n/ipv6 route add gateway=2001:db8:1::ffff");
    let [v4, v6] = desired.routes.as_slice() else { panic!("{:?}", desired.routes) };
    assert_eq!((v4.destination, v4.prefix_length, v4.metric), (ip("0.0.0.0"), 0, 5));
    assert_eq!(v4.next_hops, [via("203.0.113.1", 2)]);
    assert_eq!((v6.destination, v6.metric), (ip("::"), 1));
    assert_eq!(v6.next_hops, [via("2001:db8:1::ffff", 2)]);
}

#[test]
fn gateways_may_be_interfaces_and_addresses_on_interfaces() {
    let desired = routed(
        "/ip route add dst-address=10.0.0.0/8 gateway=ether2\n\
         /ip route add dst-address=172.16.0.0/12 gateway=192.0.2.1%ether2\n\
         /ipv6 route add dst-address=2001:db8:f::/48 gateway=fe80::1%ether1",
    );
    let hop = |i: usize| desired.routes[i].next_hops[0].clone();
    assert_eq!(hop(0), NextHop { gateway: None, ifindex: Some(3), onlink: false });
    assert_eq!(hop(1), NextHop { gateway: Some(ip("192.0.2.1")), ifindex: Some(3), onlink: true });
    assert_eq!(hop(2), via("fe80::1", 2));
}

#[test]
fn equal_routes_and_several_gateways_share_the_load() {
    let one = routed("/ip route add gateway=203.0.113.1,198.51.100.9");
    let two = routed("/ip route add gateway=203.0.113.1\n/ip route add gateway=198.51.100.9");
    assert_eq!(one.routes, two.routes);
    assert_eq!(one.routes[0].next_hops, [via("198.51.100.9", 3), via("203.0.113.1", 2)]);
    let other_distance =
        routed("/ip route add gateway=203.0.113.1\n/ip route add gateway=198.51.100.9 distance=2");
    assert_eq!(other_distance.routes.len(), 2);
}

#[test]
fn one_gateway_out_of_reach_does_not_take_the_others_with_it() {
    let desired = routed("/ip route add gateway=192.0.2.77,203.0.113.1");
    assert_eq!(desired.routes[0].next_hops, [via("203.0.113.1", 2)]);
    assert!(desired.inactive.is_empty());
}

#[test]
fn special_routes_have_no_next_hop() {
    let desired = routed(
        "/ip route add dst-address=10.0.0.0/8 blackhole\n\
         /ip route add dst-address=10.1.0.0/16 type=unreachable\n\
         /ipv6 route add dst-address=2001:db8:dead::/48 type=prohibit",
    );
    let kinds: Vec<_> = desired.routes.iter().map(|r| (r.kind.clone(), r.next_hops.len())).collect();
    assert_eq!(kinds, [(RouteKind::Blackhole, 0), (RouteKind::Unreachable, 0), (RouteKind::Prohibit, 0)]);
}

#[test]
fn routes_that_cannot_be_active_say_why() {
    for (route, reason) in [
        ("gateway=203.0.113.2", "gateway 203.0.113.2 is an address of this router"),
        ("gateway=203.0.113.1 distance=255", "a route with distance 255 is never used"),
        ("gateway=203.0.113.1 pref-src=192.0.2.9", "pref-src 192.0.2.9 is no address of this router"),
        (
            "dst-address=198.51.100.0/24 gateway=203.0.113.1",
            "a connected network, which comes before every static route",
        ),
        ("dst-address=10.0.0.0/8", "no gateway"),
    ] {
        let desired = routed(&format!("/ip route add {route}"));
        assert_inactive(&desired, "/ip/route", reason);
        assert!(desired.routes.is_empty());
    }
}

#[test]
fn an_address_of_the_host_itself_makes_a_gateway_reachable() {
    let mut facts = three_ports();
    facts.addresses.push(HostAddress { ifindex: 4, address: ip("192.0.2.10"), prefix_length: 24 });
    let desired = plan_on(&facts, "/ip route add gateway=192.0.2.1 pref-src=192.0.2.10");
    assert_eq!(desired.routes[0].next_hops, [via("192.0.2.1", 4)]);
}

#[test]
fn neighbors_are_permanent_or_published() {
    let desired = plan(
        "/ip arp add address=192.0.2.5 mac-address=02:00:00:00:00:99 interface=ether1\n\
         /ip arp add address=192.0.2.6 published=yes interface=ether1\n\
         /ip arp add address=192.0.2.7 interface=ether1\n\
         /ipv6 neighbor add address=2001:db8::5 mac-address=02:00:00:00:00:99 interface=ether1",
    );
    let found: Vec<_> = desired.neighbors.iter().map(|n| (n.address, n.mac)).collect();
    let mac = Some([2, 0, 0, 0, 0, 0x99]);
    assert_eq!(found, [(ip("192.0.2.5"), mac), (ip("192.0.2.6"), None), (ip("2001:db8::5"), mac)]);
    assert_inactive(&desired, "/ip/arp", "no mac-address");
}

#[test]
fn managed_ports_forward_and_leave_source_checks_to_the_pipeline() {
    let desired =
        plan("/ip settings set rp-filter=strict\n/ip address add address=192.0.2.1/24 interface=ether1");
    for (key, value) in [
        ("net/ipv4/conf/ether1/forwarding", "1"),
        ("net/ipv4/conf/ether1/rp_filter", "0"),
        ("net/ipv4/conf/ether1/accept_local", "1"),
        ("net/ipv4/conf/all/rp_filter", "0"),
        ("net/ipv6/conf/all/forwarding", "1"),
        ("net/ipv6/conf/ether1/accept_ra", "1"),
    ] {
        assert_eq!(desired.sysctls.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!desired.sysctls.keys().any(|key| key.contains("ether2")));
    let flags = desired.image.ports[0].port.flags;
    let expected =
        port_flag::FORWARD4 | port_flag::FORWARD6 | port_flag::RP_STRICT | port_flag::SEND_REDIRECTS;
    assert_eq!(flags, expected);
    assert_eq!(desired.image.settings.icmp_rate, 100);
}

#[test]
fn settings_that_depart_from_the_default_reach_the_namespace() {
    let desired = plan(
        "/ip settings set tcp-syncookies=yes max-neighbor-entries=4096 icmp-rate-limit=0 arp-timeout=90s ip-forward=no \
         send-redirects=no icmp-rate-mask=0x10 tcp-timestamps=disabled\n\
         /ipv6 settings set disable-ipv6=yes\n\
         /ip address add address=192.0.2.1/24 interface=ether1\n\
         /ipv6 address add address=2001:db8::1/64 interface=ether1",
    );
    for (key, value) in [
        ("net/ipv4/tcp_syncookies", "1"),
        ("net/ipv4/tcp_timestamps", "0"),
        ("net/ipv4/neigh/default/gc_thresh1", "512"),
        ("net/ipv4/neigh/default/gc_thresh3", "4096"),
        ("net/ipv4/neigh/ether1/base_reachable_time_ms", "90000"),
        ("net/ipv4/icmp_ratelimit", "0"),
        ("net/ipv4/icmp_ratemask", "16"),
        ("net/ipv4/conf/ether1/forwarding", "0"),
        ("net/ipv4/conf/all/send_redirects", "0"),
        ("net/ipv6/conf/ether1/disable_ipv6", "1"),
    ] {
        assert_eq!(desired.sysctls.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(!desired.sysctls.contains_key("net/ipv6/conf/all/forwarding"));
    assert_eq!(desired.image.ports[0].port.flags, 0);
    assert_eq!(desired.image.settings.icmp_rate, 0);
    assert_inactive(&desired, "/ipv6/address", "IPv6 is off: /ipv6/settings disable-ipv6=yes");
}

#[test]
fn the_identity_is_the_host_name_where_that_is_ours() {
    assert_eq!(plan("/system identity set name=edge-1").hostname.as_deref(), Some("edge-1"));
    assert_inactive(
        &plan("/system identity set name=\"my router\""),
        "/system/identity",
        "my router can be no host name: letters, digits, . - _ only, 64 at most",
    );
    let facts = HostFacts { owns_hostname: false, ..three_ports() };
    let desired = plan_on(&facts, "/system identity set name=edge-1");
    assert_eq!(desired.hostname, None);
    assert_inactive(
        &desired,
        "/system/identity",
        "the host's name is not changed from inside a network namespace",
    );
}

#[test]
fn a_device_without_ethernet_header_is_told_to_the_pipeline() {
    let mut facts = host(&["ether1", "tun0"]);
    facts.links[1].mac.clear();
    facts.ports.insert("ether2".into(), "tun0".into());
    let desired = plan_on(&facts, "/ip address add address=192.0.2.1/24 interface=ether2");
    assert_ne!(desired.image.ports[0].port.flags & port_flag::NO_ETHERNET, 0);
}

#[test]
fn an_alias_is_cut_at_a_character_within_the_kernels_limit() {
    let mut link = plan("/ip address add address=192.0.2.1/24 interface=ether1").links.remove(0);
    link.comment = Some("é".repeat(200));
    let alias = link.alias();
    assert!(alias.len() <= 255 && alias.starts_with("routerd:ether1 é"), "{}", alias.len());
}

#[test]
fn the_small_office_is_what_its_configuration_says() {
    let desired = plan(include_str!("../../../../configs/smb-office.rsc"));
    let addresses: Vec<_> = desired
        .addresses
        .iter()
        .map(|a| format!("{}/{} {}", a.address, a.prefix_length, a.ifindex))
        .collect();
    assert_eq!(
        addresses,
        [
            "203.0.113.2/29 2",
            "192.168.1.1/24 3",
            "192.168.2.1/24 4",
            "2001:db8:3::2/64 2",
            "2001:db8:1::1/64 3",
            "2001:db8:2::1/64 4",
        ]
    );
    let routes: Vec<_> = desired
        .routes
        .iter()
        .map(|r| (r.destination, r.prefix_length, r.metric, r.next_hops.clone()))
        .collect();
    assert_eq!(
        routes,
        [
            (ip("0.0.0.0"), 0, 1, vec![via("203.0.113.1", 2)]),
            (ip("192.168.0.0"), 16, 250, vec![]),
            (ip("::"), 0, 1, vec![via("2001:db8:3::1", 2)]),
        ]
    );
    let flags = port_flag::FORWARD4 | port_flag::FORWARD6 | port_flag::RP_LOOSE;
    assert_eq!(desired.image.ports.iter().map(|p| p.port.flags).collect::<Vec<_>>(), [flags; 3]);
    let inactive: Vec<_> = desired.inactive.iter().map(|i| i.reason.as_str()).collect();
    assert_eq!(
        inactive,
        [
            "vrrp1: /interface/vrrp is not built yet, and no port named vrrp1 on this host",
            "vlan10: /interface/vlan is not built yet, and no port named vlan10 on this host",
            "vlan20: /interface/vlan is not built yet, and no port named vlan20 on this host",
            // The rule that speaks of it.
            "vlan20: /interface/vlan is not built yet, and no port named vlan20 on this host",
        ]
    );
    assert!(desired.gaps.is_empty(), "{:?}", desired.gaps);
    assert!(desired.image.rules.rules.len() > 20, "{}", desired.image.rules.rules.len());
}

proptest! {
    /// Whatever the links are called and whatever they are, the plan neither fails nor names a link twice.
    #[test]
    fn any_host_is_planned_for(
        names in proptest::collection::vec("(ether[1-4]|lan[0-2]|br0)", 0..6),
        masters in proptest::collection::vec(proptest::option::of(0u32..8), 6),
        kinds in proptest::collection::vec("(|bridge|vrf|bond)", 6),
    ) {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let mut facts = host(&names);
        for (i, link) in facts.links.iter_mut().enumerate() {
            link.master = masters[i];
            link.kind = kinds[i].clone();
        }
        let desired = plan_on(
            &facts,
            "/ip address add address=192.0.2.1/24 interface=ether1\n\
             /ip address add address=198.51.100.1/24 interface=ether4\n\
             /ip route add gateway=192.0.2.2,198.51.100.2",
        );
        let mut links: Vec<_> = desired.links.iter().map(|link| link.ifindex).collect();
        links.dedup();
        prop_assert_eq!(links.len(), desired.links.len());
        prop_assert!(desired.addresses.iter().all(|a| links.contains(&a.ifindex)));
        prop_assert!(desired.routes.iter().flat_map(|r| &r.next_hops).all(|h| links.contains(&h.ifindex.unwrap())));
    }
}
