//! What the firewall forgets by itself: members of lists, connections behind an address that is gone.

use router_tests::support::{B4, Router, eventually, pings};

#[test]
fn an_entry_with_a_timeout_is_a_member_until_then_and_no_part_of_the_configuration() {
    let rules = "/ip firewall filter\nadd chain=forward src-address-list=blocked action=drop\n";
    let router = Router::start("timed", "xdp", rules);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
    router.ctl(&["/ip firewall address-list add list=blocked address=192.0.2.2 timeout=3s"]);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 0));
    assert!(!router.ctl(&["export"]).contains("192.0.2.2"));
    eventually("the member has gone", || pings(router.a(), B4, "-c 1 -W 1") == (1, 1));
}

#[test]
fn the_addresses_of_a_prefix_with_a_timeout_are_members_until_then() {
    let rules = "/ip firewall filter\nadd chain=forward src-address-list=blocked action=drop\n";
    let router = Router::start("timedp", "xdp", rules);
    router.ctl(&["/ip firewall address-list add list=blocked address=192.0.2.0/30 timeout=5s"]);
    let listed = router.ctl(&["/ip firewall address-list print where dynamic"]);
    for address in ["192.0.2.0", "192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        assert!(listed.contains(address), "{listed}");
    }
    assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 0));
    assert!(!router.ctl(&["export"]).contains("192.0.2.0/30"));
    eventually("the members have gone", || pings(router.a(), B4, "-c 1 -W 1") == (1, 1));
    router.ctl(&["/ip firewall address-list add list=blocked address=192.0.2.128/25 timeout=1h"]);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
}

#[test]
fn a_member_outlives_the_daemon() {
    let rules = "/ip firewall filter\nadd chain=forward src-address-list=blocked action=drop\n";
    let mut router = Router::start("timedk", "xdp", rules);
    router.ctl(&["/ip firewall address-list add list=blocked address=192.0.2.2 timeout=1h"]);
    router.daemon.kill().unwrap();
    assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 0));
    router.restart();
    // A reload builds the image anew, which has to know that the list has members of its own.
    router.ctl(&["/ip firewall filter add chain=forward action=passthrough"]);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 0));
}

#[test]
fn connections_behind_an_address_that_goes_end() {
    let rules = "/ip firewall nat\nadd chain=srcnat out-interface=ether2 action=masquerade\n";
    let router = Router::start("masqgo", "xdp", rules);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
    router.ctl(&["/ip address set [find address=\"198.51.100.1/24\"] address=198.51.100.9/24"]);
    eventually("its connections end", || router.daemon.log().contains("connections ended: the address"));
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
}
