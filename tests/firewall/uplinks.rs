//! Two uplinks: `b` is the first provider's router, `c` the second's; both know the host `SERVER`.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use lab::{Lab, Netns};

use router_tests::support::{Router, eventually, ping_text, sides};

const SERVER: &str = "203.0.113.80";

/// PCC over both, each with a table of its own; main has them by distance.
const UPLINKS: &str = "\
/ip address
add address=198.18.0.1/24 interface=ether3
/routing table
add fib name=isp1
add fib name=isp2
/ip firewall mangle
add chain=prerouting action=mark-connection in-interface=ether2 connection-mark=no-mark new-connection-mark=isp1
add chain=prerouting action=mark-connection in-interface=ether3 connection-mark=no-mark new-connection-mark=isp2
add chain=prerouting action=mark-connection in-interface=ether1 connection-mark=no-mark dst-address-type=!local \
    per-connection-classifier=both-addresses-and-ports:2/0 new-connection-mark=isp1
add chain=prerouting action=mark-connection in-interface=ether1 connection-mark=no-mark dst-address-type=!local \
    per-connection-classifier=both-addresses-and-ports:2/1 new-connection-mark=isp2
add chain=prerouting action=mark-routing in-interface=ether1 connection-mark=isp1 new-routing-mark=isp1
add chain=prerouting action=mark-routing in-interface=ether1 connection-mark=isp2 new-routing-mark=isp2
add chain=output action=mark-routing connection-mark=isp1 new-routing-mark=isp1
add chain=output action=mark-routing connection-mark=isp2 new-routing-mark=isp2
/ip firewall nat
add chain=srcnat action=masquerade out-interface=ether2
add chain=srcnat action=masquerade out-interface=ether3
/ip route
add dst-address=0.0.0.0/0 gateway=198.51.100.2 routing-table=isp1 check-gateway=ping
add dst-address=0.0.0.0/0 gateway=198.18.0.2 routing-table=isp2 check-gateway=ping
add dst-address=0.0.0.0/0 gateway=198.51.100.2 distance=1 check-gateway=ping
add dst-address=0.0.0.0/0 gateway=198.18.0.2 distance=2 check-gateway=ping
";

fn uplinks(label: &str, mode: &str) -> Router {
    if !lab::is_root() {
        lab::skip!("needs root (cargo xtask test asks sudo for it)");
    }
    let mut lab = Lab::new(label).unwrap();
    for (role, port, setup) in sides() {
        lab.host(role, port, &setup.each_ref().map(String::as_str)).unwrap();
    }
    lab.host("c", "ether3", &["addr add 198.18.0.2/24 dev eth0", "route add default via 198.18.0.1"])
        .unwrap();
    for provider in ["b", "c"] {
        lab.on(provider).ip(&format!("addr add {SERVER}/32 dev lo")).unwrap();
        // Nobody out there knows a way to the local network.
        lab.on(provider).ip("route del default").unwrap();
    }
    Router::with(lab, mode, UPLINKS)
}

/// A server that answers each datagram with where it came from.
struct Echo(UdpSocket);

impl Echo {
    fn on(netns: &Netns) -> Echo {
        let socket = netns.enter(|| UdpSocket::bind((SERVER, 7)).unwrap()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        Echo(socket)
    }

    /// Answers all that has come, and gives the sources.
    fn answer(&self) -> Vec<SocketAddr> {
        let mut sources = Vec::new();
        while let Ok((_, source)) = self.0.recv_from(&mut [0; 64]) {
            self.0.send_to(source.to_string().as_bytes(), source).unwrap();
            sources.push(source);
        }
        sources
    }
}

/// Sockets of the local network, one connection each.
fn clients(netns: &Netns, count: usize) -> Vec<UdpSocket> {
    let open = || {
        let socket = UdpSocket::bind("192.0.2.2:0").unwrap();
        socket.connect((SERVER, 7)).unwrap();
        // The servers have answered before it is looked.
        socket.set_read_timeout(Some(Duration::from_millis(30))).unwrap();
        socket
    };
    netns.enter(|| (0..count).map(|_| open()).collect()).unwrap()
}

/// What each client is told of itself, or nothing.
fn ask(clients: &[UdpSocket], servers: &[&Echo]) -> Vec<Option<String>> {
    for client in clients {
        // An earlier datagram may have been refused.
        let _ = client.send(b"who am i").or_else(|_| client.send(b"who am i"));
    }
    for server in servers {
        server.answer();
    }
    let told = |client: &UdpSocket| {
        let mut buffer = [0; 64];
        let length = client.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
    };
    clients.iter().map(told).collect()
}

fn by(told: &[Option<String>], provider: &str) -> usize {
    told.iter().flatten().filter(|source| source.starts_with(provider)).count()
}

const FIRST: &str = "198.51.100.1:";
const SECOND: &str = "198.18.0.1:";

fn spread_failover_and_return(label: &str, mode: &str) {
    let router = uplinks(label, mode);
    let (b, c) = (Echo::on(router.b()), Echo::on(router.lab.on("c")));
    let sockets = clients(router.a(), 60);
    let first = ask(&sockets, &[&b, &c]);
    assert!(first.iter().all(Option::is_some), "{first:?}");
    let (by_first, by_second) = (by(&first, FIRST), by(&first, SECOND));
    assert!(by_first >= 15 && by_second >= 15, "{by_first} and {by_second}");
    // Every connection stays with its provider and its port.
    assert_eq!(ask(&sockets, &[&b, &c]), first);

    // The first provider falls silent: its router no longer answers the router's questions.
    router.b().ip("link set eth0 arp off").unwrap();
    router.b().ip("addr del 198.51.100.2/24 dev eth0").unwrap();
    let inactive = || router.ctl(&["/ip route print where gateway=198.51.100.2 active"]);
    lab_eventually("its routes go", || router.daemon.log().contains("gateway 198.51.100.2 does not answer"));
    eventually("no route of it is active", || !inactive().contains("198.51.100.2"));
    // Connections of the second are where they were; those of the first end with their next packet, and begin anew.
    let mut after = Vec::new();
    eventually("all are by the second", || {
        after = ask(&sockets, &[&b, &c]);
        by(&after, SECOND) == 60
    });
    for (before, after) in
        first.iter().zip(&after).filter(|(before, _)| by(&[(*before).clone()], SECOND) == 1)
    {
        assert_eq!(before, after);
    }
    assert!(router.packets("nat-moved") >= 15);

    // It comes back: new connections are spread again.
    router.b().ip("link set eth0 arp on").unwrap();
    router.b().ip("addr add 198.51.100.2/24 dev eth0").unwrap();
    lab_eventually("its routes return", || {
        router.daemon.log().contains("gateway 198.51.100.2 answers again")
    });
    let more = clients(router.a(), 60);
    eventually("both carry some", || {
        let told = ask(&more, &[&b, &c]);
        by(&told, FIRST) >= 10 && by(&told, SECOND) >= 10
    });
}

/// Two questions to a gateway are ten seconds apart.
#[track_caller]
fn lab_eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(40);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "not within 40 s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn connections_are_spread_fail_over_and_return_in_xdp() {
    spread_failover_and_return("wanx", "xdp");
}

#[test]
fn connections_are_spread_fail_over_and_return_in_tc() {
    spread_failover_and_return("want", "tc");
}

#[test]
fn answers_leave_by_the_uplink_that_was_asked() {
    let router = uplinks("wanin", "xdp");
    // The router's own address of the second provider, asked from far behind it: main would answer by the first.
    let text = ping_text(router.lab.on("c"), "198.18.0.1", &format!("-c 3 -i 0.1 -W 1 -I {SERVER}"));
    assert!(text.contains("3 received"), "{text}");
}

#[test]
fn a_recursive_gateway_is_reached_by_its_own_way() {
    let router = uplinks("wanrec", "xdp");
    router.write(&format!(
        "{}/ip address add address=198.18.0.1/24 interface=ether3\n/ip route\n\
         add dst-address={SERVER}/32 gateway=198.18.0.2 scope=10\n\
         add dst-address=0.0.0.0/0 gateway={SERVER} target-scope=11 check-gateway=ping\n\
         add dst-address=10.9.0.0/16 gateway=10.8.0.1\n\
         add dst-address=10.8.0.0/16 gateway=10.9.0.1\n",
        router_tests::support::BASE
    ));
    router.ctl(&["apply", router.file().to_str().unwrap()]);
    let route = router.netns().ip("route show default").unwrap();
    assert!(route.contains("via 198.18.0.2 dev ether3"), "{route}");
    // Two that lead to each other lead nowhere.
    assert!(!router.netns().ip("route").unwrap().contains("10.9.0.0"));
    // The one that it is reached by goes, and with it all that rests on it.
    router.lab.on("c").ip(&format!("addr del {SERVER}/32 dev lo")).unwrap();
    lab_eventually("it does not answer", || {
        !router.netns().ip("route show default").unwrap().contains("via")
    });
    assert!(router.netns().ip("route").unwrap().contains(SERVER));
}

#[test]
fn rules_choose_tables_by_source_and_interface() {
    let router = uplinks("wanrule", "xdp");
    let text = format!(
        "{}/ip address add address=198.18.0.1/24 interface=ether3\n\
         /routing table add fib name=second\n\
         /ip route add dst-address=0.0.0.0/0 gateway=198.51.100.2\n\
         /ip route add dst-address=0.0.0.0/0 gateway=198.18.0.2 routing-table=second\n\
         /ip firewall nat add chain=srcnat action=masquerade out-interface=ether2\n\
         /ip firewall nat add chain=srcnat action=masquerade out-interface=ether3\n",
        router_tests::support::BASE
    );
    let (b, c) = (Echo::on(router.b()), Echo::on(router.lab.on("c")));
    for (rule, provider) in [
        ("src-address=192.0.2.0/24 action=lookup table=second", Some(SECOND)),
        ("src-address=192.0.3.0/24 action=lookup table=second", Some(FIRST)),
        ("interface=ether1 action=lookup-only-in-table table=second", Some(SECOND)),
        ("dst-address=203.0.113.0/24 action=lookup table=second", Some(SECOND)),
        ("dst-address=203.0.113.0/24 action=lookup table=second min-prefix=0", Some(FIRST)),
        ("src-address=192.0.2.0/24 action=drop", None),
    ] {
        router.write(&format!("{text}/routing rule add {rule}\n"));
        router.ctl(&["apply", router.file().to_str().unwrap()]);
        let sockets = clients(router.a(), 3);
        let told = ask(&sockets, &[&b, &c]);
        match provider {
            Some(provider) => assert_eq!(by(&told, provider), 3, "{rule}: {told:?}"),
            None => assert_eq!(told, [None, None, None], "{rule}"),
        }
    }
}
