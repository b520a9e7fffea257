//! Destination NAT: port forwards, hairpin, redirect, netmap.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    process::Stdio,
    thread,
};

use lab::{DnsServer, HttpServer, Netns};

use super::{ask, curl, home};
use router_tests::support::{A4, B4, pings};

const FORWARDS: &str = "\
/ip firewall nat
add action=dst-nat chain=dstnat dst-address=198.51.100.1 dst-port=8080 protocol=tcp to-addresses=192.0.2.2 to-ports=80
add action=dst-nat chain=dstnat dst-address=198.51.100.1 dst-port=9000-9009 protocol=tcp to-addresses=192.0.2.2
add action=masquerade chain=srcnat dst-address=192.0.2.0/24 out-interface-list=LAN src-address=192.0.2.0/24
";

/// Where a server says its client is: it tells each one, and hangs up.
#[track_caller]
fn seen_as(server: (&Netns, u16), client: &Netns, from: &str, target: &str) -> SocketAddr {
    let listener = server.0.enter(|| TcpListener::bind(("::", server.1))).unwrap().unwrap();
    let teller = thread::spawn(move || {
        let (mut stream, peer) = listener.accept().unwrap();
        stream.write_all(peer.to_string().as_bytes()).unwrap();
    });
    let text = super::said(client, &format!("socat -T 3 - TCP:{target},bind={from},connect-timeout=3"));
    let seen: SocketAddr = text.trim().parse().unwrap_or_else(|_| panic!("{from} to {target}: {text:?}"));
    teller.join().unwrap();
    SocketAddr::new(seen.ip().to_canonical(), seen.port())
}

#[test]
fn a_port_forward_lets_the_outside_in_and_nothing_else() {
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwfwd{mode}"), mode, FORWARDS);
        let _web = HttpServer::start(router.a(), 80, 1_000_000).unwrap();
        assert_eq!(curl(router.b(), "http://198.51.100.1:8080/"), "1000000", "{mode}");
        let seen = seen_as((router.a(), 9003), router.b(), B4, "198.51.100.1:9003");
        assert_eq!(seen.ip().to_string(), B4, "{mode}: the client keeps its address");
        // Who knows the inner address gets nowhere.
        router.b().ip("route add 192.0.2.0/24 via 198.51.100.1").unwrap();
        assert_eq!(curl(router.b(), "-m 1 http://192.0.2.2/"), "0", "{mode}");
        assert!(router.packets("filter-drop") > 0, "{mode}");
    }
}

#[test]
fn a_host_behind_the_router_reaches_the_forwarded_port_by_the_outer_address() {
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwpin{mode}"), mode, FORWARDS);
        router.a().ip("addr add 192.0.2.3/24 dev eth0").unwrap();
        let _web = HttpServer::start(router.a(), 80, 1_000_000).unwrap();
        assert_eq!(curl(router.a(), "--interface 192.0.2.3 http://198.51.100.1:8080/"), "1000000", "{mode}");
        let seen = seen_as((router.a(), 9004), router.a(), "192.0.2.3", "198.51.100.1:9004");
        assert_eq!(seen.ip().to_string(), "192.0.2.1", "{mode}: the answer has to come back by the router");
    }
}

#[test]
fn a_redirect_brings_the_lan_to_the_routers_own_services() {
    const REDIRECTS: &str = "/ip firewall nat\n\
        add action=redirect chain=dstnat dst-port=80 in-interface-list=LAN protocol=tcp to-ports=8080\n\
        add action=redirect chain=dstnat dst-port=53 in-interface-list=LAN protocol=udp\n\
        add action=redirect chain=dstnat dst-port=53 in-interface-list=LAN protocol=tcp\n";
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwred{mode}"), mode, REDIRECTS);
        let _web = HttpServer::start(router.netns(), 8080, 70_000).unwrap();
        let _names = DnsServer::start(router.netns(), [192, 0, 2, 53].into()).unwrap();
        assert_eq!(curl(router.a(), "http://198.51.100.2/"), "70000", "{mode}");
        for options in ["+notcp", "+tcp"] {
            assert_eq!(ask(router.a(), B4, options), "192.0.2.53", "{mode} {options}");
        }
    }
}

/// The host's way to 203.0.113.0/24 is by ether2; where NAT sends it, or where its client is, ether1.
#[test]
fn what_the_router_itself_sends_and_hears_is_translated_and_finds_its_port() {
    const OWN: &str = "/ip firewall nat\n\
        add action=dst-nat chain=output dst-address=203.0.113.80 dst-port=80 protocol=tcp to-addresses=192.0.2.2 to-ports=8080\n\
        add action=src-nat chain=input dst-port=9005 protocol=tcp to-addresses=203.0.113.5\n\
        /ip route add dst-address=203.0.113.0/24 gateway=198.51.100.2\n";
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwown{mode}"), mode, OWN);
        let _web = HttpServer::start(router.a(), 8080, 1_000_000).unwrap();
        assert_eq!(curl(router.netns(), "http://203.0.113.80/"), "1000000", "{mode}");
        let seen = seen_as((router.netns(), 9005), router.a(), A4, "192.0.2.1:9005");
        assert_eq!(seen.ip().to_string(), "203.0.113.5", "{mode}");
    }
}

#[test]
fn netmap_maps_a_prefix_both_ways() {
    const NETMAP: &str = "/ip firewall nat\n\
        add action=netmap chain=dstnat dst-address=203.0.113.0/28 to-addresses=192.0.2.0/28\n\
        add action=netmap chain=srcnat place-before=[find comment=masquerade] src-address=192.0.2.0/28 to-addresses=203.0.113.0/28\n";
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwmap{mode}"), mode, NETMAP);
        router.b().ip("route add 203.0.113.0/28 via 198.51.100.1").unwrap();
        assert_eq!(pings(router.b(), "203.0.113.2", "-c 2 -i 0.1 -W 2"), (2, 2), "{mode}");
        let seen = seen_as((router.b(), 9000), router.a(), A4, "198.51.100.2:9000");
        assert_eq!(seen.ip().to_string(), "203.0.113.2", "{mode}");
        let seen = seen_as((router.a(), 9000), router.b(), B4, "203.0.113.2:9000");
        assert_eq!(seen.ip().to_string(), B4, "{mode}");
    }
}

/// Two hosts use one port towards one server; each gets the answers that are its own.
#[test]
fn equal_source_ports_are_told_apart() {
    let router = home("fwport", "xdp", "");
    router.a().ip("addr add 192.0.2.3/24 dev eth0").unwrap();
    let listener = router.b().enter(|| TcpListener::bind("0.0.0.0:80")).unwrap().unwrap();
    let mut connections = Vec::new();
    for from in [A4, "192.0.2.3"] {
        let mut client = router.a().command("socat");
        let target = format!("TCP:198.51.100.2:80,bind={from}:40000,connect-timeout=3");
        let client = client.args(["-u", &target, "-"]).stdout(Stdio::piped()).spawn().unwrap();
        let (stream, peer) = listener.accept().unwrap();
        assert_eq!(peer.ip().to_string(), "198.51.100.1");
        connections.push((from, client, stream, peer.port()));
    }
    assert_eq!(connections[0].3, 40000, "a free port is kept");
    assert_ne!(connections[1].3, 40000);
    for (from, client, mut stream, _) in connections {
        stream.write_all(from.as_bytes()).unwrap();
        drop(stream);
        let heard = client.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&heard), from);
    }
}
