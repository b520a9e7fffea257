//! ICMP errors about translated packets reach whom they concern, as he sent them.

use lab::HttpServer;

use super::{curl, home};
use router_tests::support::{Router, ping_text};

/// Another network behind `b`, whose link takes 1300 bytes.
fn narrow(router: &Router) {
    for line in [
        "link add narrow type veth peer name far",
        "link set far up",
        "link set narrow mtu 1300 up",
        "addr add 203.0.113.1/24 dev narrow",
    ] {
        router.b().ip(line).unwrap();
    }
    router.b().sysctl("net.ipv4.ip_forward", "1").unwrap();
}

#[test]
fn an_error_from_beyond_is_translated_back_to_its_sender() {
    const WAY: &str = "/ip route\nadd gateway=198.51.100.2\n";
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwerr{mode}"), mode, WAY);
        narrow(&router);
        let text = ping_text(router.a(), "203.0.113.9", "-c 1 -W 2 -M do -s 1400");
        assert!(text.contains("From 198.51.100.2 ") && text.contains("mtu = 1300"), "{mode}: {text}");
        // The sender has learnt it for this target.
        let text = ping_text(router.a(), "203.0.113.9", "-c 1 -W 1 -M do -s 1400");
        assert!(text.contains("mtu=1300"), "{mode}: {text}");
        let text = ping_text(router.a(), "203.0.113.9", "-c 1 -W 2 -t 2");
        assert!(text.contains("From 198.51.100.2 ") && text.contains("Time to live"), "{mode}: {text}");
        let text = ping_text(router.a(), "203.0.113.1", "-c 1 -W 2");
        assert!(text.contains("1 received"), "{mode}: {text}");
    }
}

/// A port takes 1400 bytes, and no host knows: what goes out there, an answer through masquerade or of a forwarded
/// port, depends on the router's errors, which have to speak of the packet as its sender made it.
#[test]
fn tcp_finds_the_path_mtu_through_translation() {
    const FORWARD: &str = "/ip firewall nat\nadd action=dst-nat chain=dstnat dst-port=8080 in-interface=ether2 \
        protocol=tcp to-addresses=192.0.2.2 to-ports=80\n";
    for (mode, narrow) in [("xdp", 1), ("xdp", 2), ("tc", 1), ("tc", 2)] {
        let more =
            format!("/interface ethernet\nset [ find default-name=ether{narrow} ] mtu=1400\n{FORWARD}");
        let router = home(&format!("fwmtu{mode}{narrow}"), mode, &more);
        let (server, client, page) = match narrow {
            1 => (router.b(), router.a(), "http://198.51.100.2/"),
            _ => (router.a(), router.b(), "http://198.51.100.1:8080/"),
        };
        let _web = HttpServer::start(server, 80, 500_000).unwrap();
        assert_eq!(curl(client, page), "500000", "{mode} {page}");
        assert!(router.packets("too-big") > 0, "{mode} {page}");
        assert_eq!(router.packets("kernel-forwarded"), 0, "{mode} {page}");
    }
}
