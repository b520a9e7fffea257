//! The router and the host it runs on: local traffic, foreign objects, the guard, the way back.

use std::{net::IpAddr, path::Path};

use lab::{UdpStream, http_get};

use router_tests::support::{A4, B4, B6, Router, eventually, pings, socket};

#[test]
fn the_router_itself_is_reached_and_reaches_out() {
    let router = Router::start("local", "xdp", "");
    for target in ["192.0.2.1", "198.51.100.1", "2001:db8:1::1", "2001:db8:2::1"] {
        assert_eq!(pings(router.a(), target, "-c 2 -i 0.1 -W 2"), (2, 2), "ping {target}");
    }
    for target in [A4, B4, B6] {
        assert_eq!(
            pings(router.netns(), target, "-c 2 -i 0.1 -W 2"),
            (2, 2),
            "ping {target} from the router"
        );
    }
    let _server = lab::HttpServer::start(router.netns(), 80, 200_000).unwrap();
    let server = socket("198.51.100.1:80");
    assert_eq!(http_get(router.a(), server, std::time::Duration::from_secs(10)).unwrap(), 200_000);
    assert!(router.packets("local") > 0);
    assert_eq!(router.packets("unfiltered"), 0);
}

#[test]
fn what_the_kernel_forwards_without_a_verdict_is_dropped() {
    let mut router = Router::start("guard", "xdp", "");
    router.assert_reachable();
    // A port that the configuration does not name: no program of ours decides there.
    router
        .lab
        .host("c", "other0", &["addr add 203.0.113.2/29 dev eth0", "route add default via 203.0.113.1"])
        .unwrap();
    router.netns().ip("addr add 203.0.113.1/29 dev other0").unwrap();
    // Somebody lets the kernel forward there, past all that routerd set.
    router.netns().sysctl("net.ipv4.conf.other0.forwarding", "1").unwrap();
    assert_eq!(pings(router.lab.on("c"), "203.0.113.1", "-c 1 -W 2"), (1, 1), "the host itself answers");
    assert_eq!(pings(router.lab.on("c"), B4, "-c 2 -i 0.1 -W 1"), (2, 0));
    assert!(router.packets("unfiltered") >= 2);
}

#[test]
fn foreign_addresses_and_routes_stay() {
    let router = Router::start("foreign", "xdp", "");
    router.netns().ip("addr add 203.0.113.9/29 dev ether1").unwrap();
    router.netns().ip("route add 10.9.0.0/16 via 198.51.100.2").unwrap();
    router.ctl(&["/ip address add address=203.0.113.33/29 interface=ether2"]);
    router.ctl(&["/ip address remove [ find address=\"203.0.113.33/29\" ]"]);
    router.ctl(&["reload"]);
    assert!(router.netns().ip("-br addr show ether1").unwrap().contains("203.0.113.9/29"));
    assert!(router.netns().ip("route show").unwrap().contains("10.9.0.0/16"));
    assert!(!router.netns().ip("-br addr show ether2").unwrap().contains("203.0.113.33"));
}

fn assert_plain(router: &Router) {
    for port in ["ether1", "ether2"] {
        let link = router.netns().ip(&format!("-d link show {port}")).unwrap();
        assert!(!link.contains("xdp"), "{link}");
        let addresses = router.netns().ip(&format!("-br addr show {port}")).unwrap();
        assert!(!addresses.contains("192.0.2.1") && !addresses.contains("198.51.100.1"), "{addresses}");
        for hook in ["ingress", "egress"] {
            let filters =
                router.netns().run(&format!("tc filter show dev {port} {hook}")).unwrap_or_default();
            assert_eq!(filters.trim(), "", "{port} {hook}");
        }
    }
    assert_eq!(router.netns().read_sysctl("net.ipv4.ip_forward").unwrap(), "0");
    assert_eq!(router.netns().read_sysctl("net.ipv6.conf.all.forwarding").unwrap(), "0");
    let pins = Path::new("/sys/fs/bpf/routerd").join(router.netns().name());
    assert!(!pins.exists(), "{} stands", pins.display());
}

#[test]
fn detach_leaves_plain_linux() {
    let router = Router::start("detach", "xdp", "");
    router.assert_reachable();
    router.ctl(&["detach"]);
    eventually("the pins are gone", || {
        !Path::new("/sys/fs/bpf/routerd").join(router.netns().name()).exists()
    });
    assert_plain(&router);
}

#[test]
fn detach_works_without_a_daemon() {
    let mut router = Router::start("detdead", "xdp", "");
    router.assert_reachable();
    router.daemon.kill().unwrap();
    router.ctl(&["detach"]);
    assert_plain(&router);
}

#[test]
fn a_second_daemon_of_the_instance_is_refused() {
    let router = Router::start("second", "xdp", "");
    let mut second = router.netns().command(lab::daemon::binary("routerd").unwrap());
    let out = second.args(["run", "--config"]).arg(router.file()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success());
    assert!(said.contains(&router.daemon.pid().to_string()), "names the process that runs: {said}");
    router.assert_reachable();
}

#[test]
fn two_routers_live_side_by_side() {
    let one = Router::start("side1", "xdp", "");
    let two = Router::start("side2", "tc", "");
    let stream = UdpStream::start(one.a(), one.b(), socket("198.51.100.2:5000"), 1000, 100).unwrap();
    two.assert_reachable();
    two.ctl(&["detach"]);
    let target: IpAddr = B4.parse().unwrap();
    assert_eq!(lab::ping(one.a(), target, "-c 2 -i 0.1 -W 2").unwrap(), (2, 2));
    assert_eq!(stream.stop().unwrap().lost(), 0);
}
