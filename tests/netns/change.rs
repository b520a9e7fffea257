//! The host changes under the router: neighbours, routes, links.

use std::{thread, time::Duration};

use lab::UdpStream;

use router_tests::support::{B4, B6, Router, eventually, pings, socket};

fn first_packet(label: &str, mode: &str) {
    let router = Router::start(label, mode, "");
    for target in [B4, B6] {
        // The host needs its own neighbour; only the router's is to be new.
        let gateway = if target == B4 { "192.0.2.1" } else { "2001:db8:1::1" };
        assert_eq!(pings(router.a(), gateway, "-c 1 -W 2"), (1, 1));
        router.netns().ip("neigh flush dev ether2").unwrap();
        assert_eq!(pings(router.a(), target, "-c 1 -W 3"), (1, 1), "first packet to {target}");
    }
    assert!(router.packets("unfiltered") == 0);
}

#[test]
fn the_first_packet_to_an_unresolved_neighbour_arrives_in_xdp() {
    first_packet("arpx", "xdp");
}

#[test]
fn the_first_packet_to_an_unresolved_neighbour_arrives_in_tc() {
    first_packet("arpt", "tc");
}

#[test]
fn a_route_change_takes_effect_without_loss_elsewhere() {
    let router = Router::start("rchg", "xdp", "");
    router.assert_reachable();
    let stream = UdpStream::start(router.a(), router.b(), socket("[2001:db8:2::2]:5000"), 1000, 100).unwrap();
    for _ in 0..3 {
        router.netns().ip("route add blackhole 198.51.100.2/32").unwrap();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 0), "the route is a blackhole");
        router.netns().ip("route del blackhole 198.51.100.2/32").unwrap();
        thread::sleep(Duration::from_millis(20));
        assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 1), "the blackhole is gone");
    }
    let delivery = stream.stop().unwrap();
    assert_eq!(delivery.lost(), 0, "{delivery:?}");
}

#[test]
fn a_neighbour_change_takes_effect() {
    let router = Router::start("nchg", "xdp", "");
    router.assert_reachable();
    router.b().ip("link set eth0 address 02:00:00:00:00:99").unwrap();
    router.b().ip("addr replace 2001:db8:2::2/64 dev eth0 nodad").unwrap();
    for address in [B4, B6] {
        let line = format!("neigh replace {address} lladdr 02:00:00:00:00:99 nud reachable dev ether2");
        router.netns().ip(&line).unwrap();
    }
    thread::sleep(Duration::from_millis(20));
    router.assert_reachable();
}

#[test]
fn a_link_that_goes_and_comes_back_forwards_again() {
    let router = Router::start("lchg", "xdp", "");
    router.assert_reachable();
    router.b().ip("link set eth0 down").unwrap();
    assert_eq!(pings(router.a(), B4, "-c 1 -W 1"), (1, 0));
    router.b().ip("link set eth0 up").unwrap();
    router.b().ip("route replace default via 198.51.100.1").unwrap();
    router.b().ip("addr replace 2001:db8:2::2/64 dev eth0 nodad").unwrap();
    router.b().ip("route replace default via 2001:db8:2::1").unwrap();
    eventually("b answers again", || pings(router.a(), B4, "-c 1 -W 1") == (1, 1));
    eventually("b answers again over IPv6", || pings(router.a(), B6, "-c 1 -W 1") == (1, 1));
}

#[test]
fn a_port_that_appears_comes_alive() {
    let more = "/ip address\nadd address=203.0.113.1/29 interface=ether5\n";
    let mut router = Router::start("appear", "xdp", more);
    let inactive = router.status()["inactive"].to_string();
    assert!(inactive.contains("ether5"), "{inactive}");
    let setup = ["addr add 203.0.113.2/29 dev eth0", "route add default via 203.0.113.1"];
    router.lab.host("c", "ether5", &setup).unwrap();
    eventually("the port forwards", || pings(router.lab.on("c"), B4, "-c 1 -W 1") == (1, 1));
    let status = router.status();
    let ports = status["ports"].as_array().unwrap();
    let port = ports.iter().find(|port| port["name"] == "ether5").unwrap();
    assert_eq!(port["mode"], "xdp", "{port}");
}
