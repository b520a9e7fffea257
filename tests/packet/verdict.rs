//! What is not forwarded: dropped under a name, or the host's. The last test holds that no reason is left out.

use std::collections::BTreeSet;
use std::net::IpAddr;

use router_common::maps::handover::verdict;
use router_common::maps::port::port_flag;
use router_common::verdict::Reason;
use router_tests::packet::{Frame, Hook, Rig, SkbContext, on};

use crate::lab::{HOST1, from_host1, router};

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const TC_DROP: u32 = 2;
/// TC_ACT_UNSPEC: the next program of the hook goes on.
const TC_PASS: u32 = u32::MAX;

fn v4(source: &str, destination: &str) -> Frame {
    from_host1().ip(source, destination)
}

fn v6(source: &str, destination: &str) -> Frame {
    from_host1().ip(source, destination)
}

/// Both back ends drop the frame under this reason alone, whatever is cached.
fn dropped_bytes(rig: &mut Rig, port: &str, frame: &[u8], reason: &str) {
    for (hook, action) in [(Hook::Xdp, XDP_DROP), (Hook::TcIngress, TC_DROP), (Hook::Xdp, XDP_DROP)] {
        let answer = rig.run(hook, port, frame).expect("a test run");
        assert_eq!((answer.action, answer.reasons), (action, vec![reason]), "{hook:?}");
        assert_eq!(answer.frame, frame, "{hook:?}");
    }
}

/// Cuts the frame at every length. A test run of tc takes no frame that ends within the IP header.
fn cut(rig: &mut Rig, good: &[u8], headers: usize) {
    for length in 15..good.len() {
        if length >= headers {
            dropped_bytes(rig, "ether1", &good[..length], "malformed-header");
        } else {
            let answer = rig.run(Hook::Xdp, "ether1", &good[..length]).expect("a test run");
            assert_eq!(
                (answer.action, answer.reasons),
                (XDP_DROP, vec!["malformed-header"]),
                "{length} bytes"
            );
        }
    }
}

fn dropped(rig: &mut Rig, frame: &Frame, reason: &str) {
    dropped_bytes(rig, &frame.port, &frame.bytes(), reason);
}

/// Both back ends pass the frame to the host, unchanged: XDP with the word that tc is not to look again.
fn hosts_bytes(rig: &mut Rig, port: &str, frame: &[u8], reason: &str) {
    for _ in 0..2 {
        let answer = rig.run(Hook::Xdp, port, frame).expect("a test run");
        assert_eq!((answer.action, answer.reasons), (XDP_PASS, vec![reason]));
        assert_eq!(answer.handover.expect("metadata").verdict, verdict::LOCAL);
        assert_eq!(answer.frame, frame);
        let answer = rig.run(Hook::TcIngress, port, frame).expect("a test run");
        assert_eq!((answer.action, answer.reasons, answer.mark), (TC_PASS, vec![reason], 0));
        assert_eq!(answer.frame, frame);
    }
}

fn hosts(rig: &mut Rig, frame: &Frame, reason: &str) {
    hosts_bytes(rig, &frame.port, &frame.bytes(), reason);
}

/// Both back ends leave the frame to the kernel's forwarding, unchanged.
fn kernels(rig: &mut Rig, frame: &Frame) {
    let bytes = frame.bytes();
    for _ in 0..2 {
        let answer = rig.run(Hook::Xdp, &frame.port, &bytes).expect("a test run");
        assert_eq!((answer.action, answer.reasons), (XDP_PASS, vec!["kernel-forwarded"]));
        assert_eq!(answer.handover.expect("metadata").verdict, verdict::KERNEL);
        assert_eq!(answer.frame, bytes);
        let answer = rig.run(Hook::TcIngress, &frame.port, &bytes).expect("a test run");
        assert_eq!((answer.action, answer.reasons), (TC_PASS, vec!["kernel-forwarded"]));
        assert_eq!((answer.mark, answer.frame), (0x0100_0000, bytes.clone()));
    }
}

#[test]
fn rfc1812_5_2_2_header_checks() {
    let mut rig = router();
    let good = v4("192.0.2.2", "10.1.0.1").bytes();
    let with = |at: usize, value: u8| {
        let mut frame = good.clone();
        frame[at] = value;
        frame
    };
    dropped_bytes(&mut rig, "ether1", &with(14, 0x55), "malformed-header");
    dropped_bytes(&mut rig, "ether1", &with(14, 0x44), "malformed-header");
    // A header length beyond the total length, and beyond the frame.
    dropped_bytes(&mut rig, "ether1", &with(17, 19), "malformed-header");
    dropped_bytes(&mut rig, "ether1", &with(16, 0x40), "malformed-header");
    for at in 18..34 {
        let mut frame = good.clone();
        frame[at] ^= 0x10;
        dropped_bytes(&mut rig, "ether1", &frame, "bad-checksum");
    }
    // Cut anywhere the packet is shorter than it says.
    cut(&mut rig, &good, 34);
    // Padding after the packet is none of its business.
    let mut padded = good.clone();
    padded.extend([0; 30]);
    assert_eq!(rig.run(Hook::Xdp, "ether1", &padded).unwrap().reasons, ["forwarded"]);
}

#[test]
fn rfc8200_3_header_checks() {
    let mut rig = router();
    let good = v6("2001:db8:1::2", "2001:db8:a1::1").bytes();
    cut(&mut rig, &good, 54);
    let mut version = good.clone();
    version[14] = 0x40;
    dropped_bytes(&mut rig, "ether1", &version, "malformed-header");
}

#[test]
fn rfc1812_5_3_7_martians() {
    let mut rig = router();
    for source in
        ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"]
    {
        dropped(&mut rig, &v4(source, "10.1.0.1"), "martian-source");
    }
    for destination in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "240.0.0.1"] {
        dropped(&mut rig, &v4("192.0.2.2", destination), "martian-destination");
    }
    for source in ["::", "::1", "::192.0.2.1", "::ffff:192.0.2.1"] {
        dropped(&mut rig, &v6(source, "2001:db8:a1::1"), "martian-source");
    }
    for destination in ["::", "::1", "::ffff:192.0.2.1"] {
        dropped(&mut rig, &v6("2001:db8:1::2", destination), "martian-destination");
    }
}

#[test]
fn rfc6092_rec1_multicast_sources_never_cross() {
    let mut rig = router();
    dropped(&mut rig, &v6("ff02::1", "2001:db8:a1::1"), "martian-source");
}

#[test]
fn rfc6092_rec2_multicast_is_the_hosts() {
    let mut rig = router();
    hosts(&mut rig, &v6("2001:db8:1::2", "ff05::2"), "multicast");
    hosts(&mut rig, &v4("192.0.2.2", "224.0.0.5"), "multicast");
}

#[test]
fn rfc6092_rec3_scopes_never_cross() {
    let mut rig = router();
    for (source, destination) in [
        ("fe80::2", "2001:db8:a1::1"),
        ("2001:db8:1::2", "fe80::99"),
        ("2001:db8:1::2", "fec0::1"),
        ("fec0::1", "2001:db8:a1::1"),
    ] {
        dropped(&mut rig, &v6(source, destination), "bogus-scope");
    }
    dropped(&mut rig, &v4("169.254.1.1", "10.1.0.1"), "bogus-scope");
    dropped(&mut rig, &v4("192.0.2.2", "169.254.1.1"), "bogus-scope");
    // They may speak to the host itself.
    hosts(&mut rig, &v6("fe80::2", "fe80::1"), "local");
    hosts(&mut rig, &v4("169.254.1.1", "192.0.2.1"), "local");
}

#[test]
fn rfc6092_rec4_routing_header_type_0() {
    let mut rig = router();
    let plain = v6("2001:db8:1::2", "2001:db8:a1::1");
    dropped(&mut rig, &plain.clone().extension(43, &[0, 0, 0, 1, 0, 0, 0, 0]), "routing-header");
    dropped(&mut rig, &plain.clone().extension(60, &[0; 8]).extension(43, &[0; 8]), "routing-header");
    let other = plain.extension(43, &[0, 0, 2, 1, 0, 0, 0, 0]).bytes();
    assert_eq!(rig.run(Hook::Xdp, "ether1", &other).unwrap().reasons, ["forwarded"]);
}

#[test]
fn rfc8200_4_extension_headers() {
    let mut rig = router();
    let plain = v6("2001:db8:1::2", "2001:db8:a1::1");
    for number in [0, 44, 51, 60, 135, 139, 140] {
        let frame = plain.clone().extension(number, &[0; 8]).bytes();
        assert_eq!(rig.run(Hook::Xdp, "ether1", &frame).unwrap().reasons, ["forwarded"], "{number}");
        assert_eq!(rig.run(Hook::TcIngress, "ether1", &frame).unwrap().reasons, ["forwarded-tc"], "{number}");
    }
    // Hop-by-hop options come first or not at all (RFC 8200, 4.1).
    dropped(&mut rig, &plain.clone().extension(60, &[0; 8]).extension(0, &[0; 8]), "malformed-header");
    // A header that goes beyond the packet.
    dropped(&mut rig, &plain.clone().extension(60, &[0, 200, 0, 0, 0, 0, 0, 0]), "malformed-header");
}

#[test]
fn rfc9099_2_2_too_many_extension_headers() {
    let mut rig = router();
    let mut frame = v6("2001:db8:1::2", "2001:db8:a1::1");
    for _ in 0..8 {
        frame = frame.extension(60, &[0; 8]);
    }
    assert_eq!(rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap().reasons, ["forwarded"]);
    dropped(&mut rig, &frame.extension(60, &[0; 8]), "extension-headers");
}

#[test]
fn own_addresses_do_not_come_from_outside() {
    let mut rig = router();
    dropped(&mut rig, &v4("198.51.100.1", "10.1.0.1"), "own-source");
    dropped(&mut rig, &v6("2001:db8:2::1", "2001:db8:a1::1"), "own-source");
}

#[test]
fn rfc3704_reverse_path() {
    let mut rig = router();
    let back = [
        // From where it belongs, from another port's network, from nowhere.
        (v4("192.0.2.2", "10.1.0.1"), v4("203.0.113.2", "10.1.0.1"), v4("10.99.0.1", "10.1.0.1")),
        (
            v6("2001:db8:1::2", "2001:db8:a1::1"),
            v6("2001:db8:3::2", "2001:db8:a1::1"),
            v6("2001:db8:99::1", "2001:db8:a1::1"),
        ),
    ];
    for (flag, elsewhere, nowhere) in
        [(0, true, true), (port_flag::RP_LOOSE, true, false), (port_flag::RP_STRICT, false, false)]
    {
        rig.port("ether1", |port| {
            port.flags &= !(port_flag::RP_LOOSE | port_flag::RP_STRICT);
            port.flags |= flag;
        })
        .unwrap();
        for (right, other_port, unknown) in &back {
            for (frame, passes) in [(right, true), (other_port, elsewhere), (unknown, nowhere)] {
                if passes {
                    for _ in 0..2 {
                        assert_eq!(
                            rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap().reasons,
                            ["forwarded"]
                        );
                    }
                } else {
                    dropped(&mut rig, frame, "rp-filter");
                }
            }
        }
    }
}

#[test]
fn blackholes_are_silent() {
    let mut rig = router();
    dropped(&mut rig, &v4("192.0.2.2", "10.2.0.1"), "blackhole");
    dropped(&mut rig, &v6("2001:db8:1::2", "2001:db8:a2::1"), "blackhole");
}

#[test]
fn a_port_that_does_not_forward_still_delivers() {
    let mut rig = router();
    rig.port("ether1", |port| port.flags &= !(port_flag::FORWARD4 | port_flag::FORWARD6)).unwrap();
    dropped(&mut rig, &v4("192.0.2.2", "10.1.0.1"), "forwarding-off");
    dropped(&mut rig, &v6("2001:db8:1::2", "2001:db8:a1::1"), "forwarding-off");
    hosts(&mut rig, &v4("192.0.2.2", "192.0.2.1"), "local");
    hosts(&mut rig, &v6("2001:db8:1::2", "2001:db8:1::1"), "local");
}

#[test]
fn local_delivery_asks_neither_ttl_nor_mtu() {
    let mut rig = router();
    for destination in ["192.0.2.1", "198.51.100.1", "192.0.2.255"] {
        hosts(&mut rig, &v4("192.0.2.2", destination).ttl(0), "local");
    }
    hosts(&mut rig, &v6("2001:db8:1::2", "2001:db8:2::1").ttl(1).udp(1, 2, 1480), "local");
    hosts(&mut rig, &v4("192.0.2.2", "192.0.2.1").options(&[7, 7, 4, 0, 0, 0, 0, 0]), "local");
}

#[test]
fn rfc1812_5_3_4_link_broadcasts_are_not_forwarded() {
    let mut rig = router();
    let broadcast = |source: &str, destination: &str| on("ether1", HOST1, [255; 6]).ip(source, destination);
    dropped(&mut rig, &broadcast("192.0.2.2", "10.1.0.1"), "link-broadcast");
    dropped(&mut rig, &broadcast("2001:db8:1::2", "2001:db8:a1::1"), "link-broadcast");
    // Nor are they answered with errors.
    dropped(&mut rig, &broadcast("192.0.2.2", "10.1.0.1").ttl(1), "link-broadcast");
    hosts(&mut rig, &broadcast("192.0.2.2", "255.255.255.255"), "broadcast");
    hosts(&mut rig, &broadcast("192.0.2.2", "192.0.2.255"), "local");
    // A host that has no address yet (RFC 2131).
    hosts(&mut rig, &broadcast("0.0.0.0", "255.255.255.255").udp(68, 67, 240), "broadcast");
}

#[test]
fn what_is_not_ip_or_not_for_us_is_the_hosts() {
    let mut rig = router();
    hosts(&mut rig, &v4("192.0.2.2", "10.1.0.1").ethertype(0x0806), "not-ip");
    hosts(&mut rig, &v4("192.0.2.2", "10.1.0.1").ethertype(0x88cc), "not-ip");
    hosts(&mut rig, &on("ether1", HOST1, [2, 9, 9, 9, 9, 9]).ip("192.0.2.2", "10.1.0.1"), "other-host");
    for tag in [0x8100, 0x88a8] {
        let frame = v4("192.0.2.2", "10.1.0.1").ethertype(tag).bytes();
        let answer = rig.run(Hook::Xdp, "ether1", &frame).unwrap();
        assert_eq!((answer.action, answer.reasons), (XDP_PASS, vec!["vlan"]));
    }
}

#[test]
fn neighbor_discovery_is_the_hosts() {
    let mut rig = router();
    for (source, destination, kind) in [
        ("fe80::2", "ff02::1:ff00:1", 135),
        ("::", "ff02::1:ff00:1", 135),
        ("fe80::2", "ff02::2", 133),
        ("fe80::2", "ff02::1", 134),
        ("2001:db8:1::2", "ff02::1", 136),
    ] {
        let frame = v6(source, destination).ttl(255).raw(58, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        hosts(&mut rig, &frame, "neighbor-discovery");
    }
    let listener = v6("fe80::2", "ff02::16").ttl(1).extension(0, &[0, 0, 5, 2, 0, 0, 1, 0]);
    hosts(&mut rig, &listener.raw(58, &[143, 0, 0, 0, 0, 0, 0, 0]), "multicast");
}

#[test]
fn unmanaged_ports_are_left_alone() {
    let mut rig = router();
    let frame = v4("192.0.2.2", "10.1.0.1").bytes();
    let answer = rig.run(Hook::TcIngress, "ether4", &frame).unwrap();
    assert_eq!((answer.action, answer.reasons, answer.mark), (TC_PASS, vec!["unmanaged-port"], 0));
    assert_eq!(answer.frame, frame);
}

#[test]
fn options_and_fragmentation_are_the_kernels() {
    let mut rig = router();
    // Record route.
    kernels(&mut rig, &v4("192.0.2.2", "10.1.0.1").options(&[7, 7, 4, 0, 0, 0, 0, 0]));
    kernels(&mut rig, &v4("192.0.2.2", "203.0.113.2").udp(1, 2, 1400));
    // A packet that leaves where it came in, on a port that sends redirects.
    rig.port("ether1", |port| port.flags |= port_flag::SEND_REDIRECTS).unwrap();
    router_tests::packet::ip("route add 10.20.0.0/16 via 192.0.2.2").unwrap();
    kernels(&mut rig, &v4("192.0.2.2", "10.20.0.1"));
}

#[test]
fn without_a_neighbor_tc_sends() {
    let mut rig = router();
    let cases = [
        (v4("192.0.2.2", "198.51.100.77"), "ether2", "198.51.100.77", verdict::SEND4),
        (v6("2001:db8:1::2", "2001:db8:2::77"), "ether2", "2001:db8:2::77", verdict::SEND6),
        // A port that is not managed, one that XDP can't transmit to, a next hop of the other family.
        (v4("192.0.2.2", "10.5.0.1"), "ether4", "10.5.0.1", verdict::SEND4),
        (v6("2001:db8:1::2", "2001:db8:a5::1"), "ether4", "2001:db8:a5::1", verdict::SEND6),
        (v4("192.0.2.2", "10.6.0.1"), "ether5", "10.6.0.1", verdict::SEND4),
    ];
    for (frame, egress, next_hop, said) in cases {
        let lowered = frame.clone().ttl(63).bytes();
        let next_hop: IpAddr = next_hop.parse().unwrap();
        for _ in 0..2 {
            let answer = rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap();
            assert_eq!((answer.action, answer.reasons), (XDP_PASS, vec!["handed-over"]));
            assert_eq!((answer.egress.as_deref(), answer.next_hop), (Some(egress), Some(next_hop)));
            assert_eq!(answer.frame, lowered);
            let handover = answer.handover.expect("metadata");
            assert_eq!(handover.verdict, said);
            let bytes = match next_hop {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            assert_eq!(handover.next_hop[..bytes.len()], bytes);
            let answer = rig.run(Hook::TcIngress, "ether1", &frame.bytes()).unwrap();
            assert_eq!(
                (answer.action, answer.reasons, answer.frame),
                (7, vec!["forwarded-tc"], lowered.clone())
            );
            assert_eq!((answer.egress.as_deref(), answer.next_hop), (Some(egress), Some(next_hop)));
        }
    }
}

#[test]
fn ipv4_goes_by_way_of_an_ipv6_next_hop() {
    let mut rig = router();
    let frame = v4("192.0.2.2", "10.7.0.1");
    assert_eq!(rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap().reasons, ["forwarded"]);
    let answer = rig.run(Hook::TcIngress, "ether1", &frame.bytes()).unwrap();
    assert_eq!(answer.next_hop, Some("2001:db8:2::2".parse().unwrap()));
}

#[test]
fn tc_measures_merged_packets_by_their_segments() {
    let mut rig = router();
    let frame = v4("192.0.2.2", "203.0.113.2").udp(1, 2, 3000).dont_fragment().bytes();
    let merged = |size: u32| move |skb: &mut SkbContext| (skb.gso_size, skb.gso_segs) = (size, 3);
    let answer = rig.run_with(Hook::TcIngress, "ether1", &frame, merged(1400 - 28)).unwrap();
    assert_eq!(answer.reasons, ["forwarded-tc"]);
    assert_eq!(rig.reasons().unwrap()[&Reason::ForwardedTc].packets, 3);
    let answer = rig.run_with(Hook::TcIngress, "ether1", &frame, merged(1400 - 27)).unwrap();
    assert_eq!(answer.reasons, ["icmp-sent", "too-big"]);
    assert!(answer.frame.len() <= 14 + 576);
}

#[test]
fn the_egress_guard_lets_nothing_pass_unseen() {
    let mut rig = router();
    let forwarded = |mark: u32| move |skb: &mut SkbContext| (skb.ingress_ifindex, skb.mark) = (1, mark);
    for (stranger, own) in [
        (v4("192.0.2.2", "10.1.0.1"), v4("198.51.100.1", "10.1.0.1")),
        (v6("2001:db8:1::2", "2001:db8:a1::1"), v6("2001:db8:2::1", "2001:db8:a1::1")),
    ] {
        let (stranger, own) = (stranger.bytes(), own.bytes());
        let answer = rig.run_with(Hook::TcEgress, "ether2", &stranger, forwarded(0x77)).unwrap();
        assert_eq!((answer.action, answer.reasons), (TC_DROP, vec!["unfiltered"]));
        // What has the bit passes without it; the operator's bits stay.
        let answer = rig.run_with(Hook::TcEgress, "ether2", &stranger, forwarded(0x0100_0077)).unwrap();
        assert_eq!((answer.action, answer.mark), (TC_PASS, 0x77));
        // The host's own.
        let answer = rig.run_with(Hook::TcEgress, "ether2", &stranger, |skb| skb.mark = 0x77).unwrap();
        assert_eq!((answer.action, answer.mark, answer.reasons.len()), (TC_PASS, 0x77, 0));
        let answer = rig.run_with(Hook::TcEgress, "ether2", &own, forwarded(0)).unwrap();
        assert_eq!((answer.action, answer.reasons.len()), (TC_PASS, 0));
        // Ports that are not managed are none of its business.
        let answer = rig.run_with(Hook::TcEgress, "ether4", &stranger, forwarded(0)).unwrap();
        assert_eq!((answer.action, answer.reasons.len()), (TC_PASS, 0));
    }
    rig.port("ether2", |port| port.flags |= port_flag::KEEP_MARK).unwrap();
    let frame = v4("192.0.2.2", "10.1.0.1").bytes();
    assert_eq!(
        rig.run_with(Hook::TcEgress, "ether2", &frame, forwarded(0x0100_0077)).unwrap().mark,
        0x0100_0077
    );
}

#[test]
fn a_redirect_without_device_is_counted() {
    let mut rig = router();
    rig.port("ether2", |port| port.tx_index = 900).unwrap();
    let answer = rig.run(Hook::Xdp, "ether1", &v4("192.0.2.2", "10.1.0.1").bytes()).unwrap();
    assert_eq!((answer.action, answer.reasons), (XDP_DROP, vec!["redirect-failed"]));
}

#[test]
fn unfinished_checksums_go_up_untouched() {
    let mut rig = router();
    rig.port("ether1", |port| port.flags |= port_flag::UNFINISHED).unwrap();
    for (source, destination) in [("192.0.2.2", "10.1.0.1"), ("2001:db8:1::2", "2001:db8:a1::1")] {
        let mut frame = v4(source, destination).bytes();
        assert_eq!(rig.run(Hook::Xdp, "ether1", &frame).unwrap().reasons, ["forwarded"]);
        let (addresses, l4) = if source.contains(':') { (22..54, 54) } else { (26..34, 34) };
        let length = (frame.len() - l4) as u64;
        let pseudo = router_common::csum::fold(router_common::csum::sum(&frame[addresses]) + length + 17);
        frame[l4 + 6..l4 + 8].copy_from_slice(&pseudo.to_be_bytes());
        let answer = rig.run(Hook::Xdp, "ether1", &frame).unwrap();
        assert_eq!((answer.action, answer.reasons), (XDP_PASS, vec!["unfinished"]));
        assert_eq!((answer.handover, answer.frame), (None, frame));
    }
}

/// Reasons that no test run can lead to, each with why.
const UNREACHED: &[(Reason, &str)] = &[
    (Reason::NoHeadroom, "a test run's frame has 256 bytes of headroom"),
    (Reason::FlowTableBusy, "another CPU would have to hold a bucket's lock meanwhile"),
    (Reason::RuleError, "the compiler makes no such image"),
    (Reason::Internal, "for what cannot happen: a map without its entries, a FIB answer without a meaning"),
];

/// Holds the list of reasons against the names that stand in these tables.
#[test]
fn every_reason_is_reached() {
    let tables = [
        include_str!("verdict.rs"),
        include_str!("forward.rs"),
        include_str!("fragment.rs"),
        include_str!("icmp_error.rs"),
        include_str!("track.rs"),
        include_str!("translate.rs"),
        include_str!("rules/accept.rs"),
        include_str!("../firewall/uplinks.rs"),
    ]
    .concat();
    let unreached: BTreeSet<Reason> = UNREACHED.iter().map(|(reason, _)| *reason).collect();
    // The table of rejects goes over all of its kinds.
    let rejects = router_common::maps::image::REJECT_BASE;
    for reason in Reason::ALL.iter().filter(|reason| (**reason as u16) < rejects) {
        let named = tables.contains(&format!("\"{}\"", reason.name()));
        assert_eq!(named, !unreached.contains(reason), "{reason:?}");
    }
}
