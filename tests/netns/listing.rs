//! Listings of a running router: what the host knows beside the configuration.

use router_tests::support::{A4, Router, pings};

#[test]
fn listings_and_scripts_know_the_host() {
    let router = Router::start("list", "xdp", "/ip route\nadd dst-address=10.0.0.0/8 gateway=192.0.2.99\n");
    router.assert_reachable();
    assert_eq!(pings(router.netns(), A4, "-c 1 -W 1"), (1, 1));
    router.netns().ip("route add 203.0.113.0/24 via 198.51.100.2 proto bgp").unwrap();
    router.netns().ip("route add 10.9.0.0/16 nexthop via 192.0.2.2 nexthop via 198.51.100.2").unwrap();

    let routes = router.ctl(&["/ip route print"]);
    assert!(routes.contains("\n0  As  10.0.0.0/8"), "{routes}");
    assert!(routes.contains("\n  DAb  203.0.113.0/24   198.51.100.2"), "{routes}");
    assert!(routes.contains("\n  DAs+ 10.9.0.0/16"), "{routes}");
    assert_eq!(routes.matches("  DAc  192.0.2.0/24").count(), 1, "{routes}");

    let arp = router.ctl(&["/ip arp print where address=192.0.2.2"]);
    assert!(arp.contains("\n0 DC 192.0.2.2"), "{arp}");
    let port = router.ctl(&["/interface print stats where name=ether1"]);
    assert!(port.contains("RX-BYTE") && port.contains("\n0 R ether1"), "{port}");

    // On a thread of its own, a script sees the same.
    let script = ":delay 10ms; :foreach r in=[/ip route find where bgp] do={ :put [/ip route get $r gateway] }; \
                  :put [:typeof [/system resource get uptime]]; :put [/interface get ether1 running]";
    assert_eq!(router.ctl(&[script]), "198.51.100.2\ntime\ntrue\n");
}
