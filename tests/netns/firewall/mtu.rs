//! ICMP errors about translated packets reach whom they concern, as he sent them.

use super::home;
use crate::support::{Router, ping_text};

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
