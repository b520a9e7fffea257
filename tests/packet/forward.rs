//! Plain forwarding, in XDP and in tc, uncached and cached.

use router_tests::packet::{Frame, Hook, Rig, describe};

use crate::lab::{HOST2, HOST3, ROUTER2, ROUTER3, from_host1, router};

/// Both families' ordinary hosts behind ether2.
const PAIRS: [(&str, &str); 2] = [("192.0.2.2", "10.1.0.1"), ("2001:db8:1::2", "2001:db8:a1::1")];

/// Runs the frame through XDP twice, first on an empty and then on a filled cache, and expects the same of both.
fn redirected(rig: &mut Rig, frame: &Frame, egress: &str, expected: &[u8]) {
    for round in ["uncached", "cached"] {
        let answer = rig.run(Hook::Xdp, &frame.port, &frame.bytes()).expect("a test run");
        assert_eq!(answer.reasons, ["forwarded"], "{round}");
        assert_eq!((answer.action, answer.egress.as_deref()), (4, Some(egress)), "{round}");
        assert!(
            answer.frame == expected,
            "{round}: got {}\nnot {}",
            describe(&answer.frame),
            describe(expected)
        );
        assert_eq!(answer.handover, None);
    }
}

#[test]
fn xdp_redirects_with_new_macs_and_a_lower_ttl() {
    let mut rig = router();
    for (source, destination) in PAIRS {
        let frame = from_host1().ip(source, destination);
        let expected = frame.clone().macs(ROUTER2, HOST2).ttl(63).bytes();
        redirected(&mut rig, &frame, "ether2", &expected);
    }
    let (from, to) = (rig.port_counters("ether1").unwrap(), rig.port_counters("ether2").unwrap());
    assert_eq!((from.xdp.packets, to.sent.packets), (4, 4));
    assert_eq!(from.xdp.bytes, to.sent.bytes);
    assert_eq!((from.tc.packets, from.host.packets, from.drop.packets), (0, 0, 0));
}

#[test]
fn tc_sends_to_the_neighbor_and_marks_done() {
    let mut rig = router();
    for (source, destination) in PAIRS {
        let next_hop = if source.contains(':') { "2001:db8:2::2" } else { "198.51.100.2" };
        let frame = from_host1().ip(source, destination);
        for _ in 0..2 {
            let answer = rig.run(Hook::TcIngress, "ether1", &frame.bytes()).unwrap();
            assert_eq!((answer.action, answer.reasons), (7, vec!["forwarded-tc"]));
            assert_eq!(answer.egress.as_deref(), Some("ether2"));
            assert_eq!(answer.next_hop, Some(next_hop.parse().unwrap()));
            assert_eq!(answer.mark, 0x0100_0000);
            assert_eq!(answer.frame, frame.clone().ttl(63).bytes());
        }
    }
}

#[test]
fn ttl_of_two_is_forwarded_with_one() {
    let mut rig = router();
    for (source, destination) in PAIRS {
        let frame = from_host1().ip(source, destination).ttl(2);
        let expected = frame.clone().macs(ROUTER2, HOST2).ttl(1).bytes();
        redirected(&mut rig, &frame, "ether2", &expected);
    }
}

#[test]
fn frames_of_exactly_the_mtu_pass() {
    let mut rig = router();
    let v4 = from_host1().ip("192.0.2.2", "203.0.113.2").udp(1, 2, 1400 - 28).dont_fragment();
    redirected(&mut rig, &v4, "ether3", &v4.clone().macs(ROUTER3, HOST3).ttl(63).bytes());
    let v6 = from_host1().ip("2001:db8:1::2", "2001:db8:3::2").udp(1, 2, 1400 - 48);
    redirected(&mut rig, &v6, "ether3", &v6.clone().macs(ROUTER3, HOST3).ttl(63).bytes());
}

#[test]
fn fragments_are_forwarded_like_whole_packets() {
    let mut rig = router();
    for (offset, more) in [(0, true), (185, true), (370, false)] {
        let frame = from_host1().ip("192.0.2.2", "10.1.0.1").fragment(offset, more).raw(17, &[7; 64]);
        let expected = frame.clone().macs(ROUTER2, HOST2).ttl(63).bytes();
        redirected(&mut rig, &frame, "ether2", &expected);
    }
    for offset in [0u16, 185] {
        let [high, low] = (offset << 3 | 1).to_be_bytes();
        let frame = from_host1()
            .ip("2001:db8:1::2", "2001:db8:a1::1")
            .extension(44, &[0, 0, high, low, 1, 2, 3, 4])
            .raw(17, &[7; 64]);
        let expected = frame.clone().macs(ROUTER2, HOST2).ttl(63).bytes();
        redirected(&mut rig, &frame, "ether2", &expected);
    }
}

#[test]
fn a_route_change_counts_from_the_next_epoch_on() {
    let mut rig = router();
    let frame = from_host1().ip("192.0.2.2", "10.1.0.1");
    let expected = frame.clone().macs(ROUTER2, HOST2).ttl(63).bytes();
    redirected(&mut rig, &frame, "ether2", &expected);
    router_tests::packet::ip("route replace 10.1.0.0/16 via 203.0.113.2 dev ether3 onlink").unwrap();
    // Still the cached answer: what makes it stale is the epoch alone.
    redirected(&mut rig, &frame, "ether2", &expected);
    rig.control(|control| control.route_epoch += 1).unwrap();
    let expected = frame.clone().macs(ROUTER3, HOST3).ttl(63).bytes();
    redirected(&mut rig, &frame, "ether3", &expected);
}
