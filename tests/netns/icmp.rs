//! The router's own ICMP errors, as hosts see them.

use router_tests::support::{B4, B6, Router, ping_text, pings};

const SMALL_PORT: &str = "/interface ethernet\nset [ find default-name=ether2 ] mtu=1400\n";

fn time_exceeded(label: &str, mode: &str) {
    let router = Router::start(label, mode, "");
    router.assert_reachable();
    let text = ping_text(router.a(), B4, "-c 1 -W 2 -t 1");
    assert!(text.contains("From 192.0.2.1 ") && text.contains("Time to live exceeded"), "{text}");
    let text = ping_text(router.a(), B6, "-c 1 -W 2 -t 1");
    assert!(text.contains("From 2001:db8:1::1 ") && text.contains("Hop limit"), "{text}");
}

#[test]
fn time_exceeded_in_xdp() {
    time_exceeded("ttlx", "xdp");
}

#[test]
fn time_exceeded_in_tc() {
    time_exceeded("ttlt", "tc");
}

/// The port and the host behind it take 1400 bytes; 1428 are sent.
fn too_big(label: &str, mode: &str) {
    let router = Router::start(label, mode, SMALL_PORT);
    router.b().ip("link set eth0 mtu 1400").unwrap();
    router.assert_reachable();
    let text = ping_text(router.a(), B4, "-c 1 -W 2 -M do -s 1400");
    assert!(text.contains("From 192.0.2.1 ") && text.contains("mtu = 1400"), "{text}");
    let text = ping_text(router.a(), B6, "-c 1 -W 2 -M do -s 1400");
    assert!(text.contains("From 2001:db8:1::1 ") && text.contains("mtu=1400"), "{text}");
    // The sender has learnt: what it fragments now, or may be fragmented on the way, arrives.
    assert_eq!(pings(router.a(), B6, "-c 2 -i 0.1 -W 2 -s 1400"), (2, 2));
    router.a().ip("route flush cache").unwrap();
    assert_eq!(pings(router.a(), B4, "-c 2 -i 0.1 -W 2 -M dont -s 1400"), (2, 2));
}

#[test]
fn packet_too_big_in_xdp() {
    too_big("mtux", "xdp");
}

#[test]
fn packet_too_big_in_tc() {
    too_big("mtut", "tc");
}

#[test]
fn a_prohibited_destination_is_told() {
    let more = "/ip route\nadd blackhole dst-address=203.0.113.0/25\n\
                /ipv6 route\nadd dst-address=2001:db8:bad::/48 type=prohibit\n";
    let router = Router::start("proh", "xdp", more);
    let text = ping_text(router.a(), "203.0.113.1", "-c 1 -W 1");
    assert!(text.contains("0 received") && !text.contains("From"), "{text}");
    assert!(router.packets("blackhole") > 0);
    let text = ping_text(router.a(), "2001:db8:bad::1", "-c 1 -W 2");
    assert!(text.contains("From 2001:db8:1::1 ") && text.contains("prohibited"), "{text}");
    let text = ping_text(router.a(), "203.0.113.200", "-c 1 -W 2");
    assert!(text.contains("From 192.0.2.1 ") && text.contains("Unreachable"), "{text}");
}
