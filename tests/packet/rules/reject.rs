//! `action=reject`.

use super::*;
use crate::lab::{HOST1, ROUTER1};
use router_common::csum;
use router_tests::packet::{describe, on};

/// Type and code of the ICMP error in the packet's place.
fn error(rig: &mut Rig, frame: &Frame) -> (Vec<&'static str>, u8, u8) {
    let answer = rig.run(Hook::Xdp, &frame.port, &frame.bytes()).unwrap();
    let header = if answer.frame.get(12..14) == Some(&[0x86, 0xdd]) { 14 + 40 } else { 14 + 20 };
    assert_eq!(answer.egress.as_deref(), Some("ether1"));
    (answer.reasons, answer.frame[header], answer.frame[header + 1])
}

#[test]
fn every_kind_is_an_error_of_its_own() {
    let mut rig = firewall();
    for (with, kind, code) in [
        ("", 3, 0),
        ("reject-with=icmp-network-unreachable", 3, 0),
        ("reject-with=icmp-host-unreachable", 3, 1),
        ("reject-with=icmp-protocol-unreachable", 3, 2),
        ("reject-with=icmp-port-unreachable", 3, 3),
        ("reject-with=icmp-net-prohibited", 3, 9),
        ("reject-with=icmp-host-prohibited", 3, 10),
        ("reject-with=icmp-admin-prohibited", 3, 13),
    ] {
        rig.rules(&format!("/{FORWARD4} action=reject {with}")).unwrap();
        let (reasons, found, found_code) = error(&mut rig, &udp4());
        assert_eq!((found, found_code), (kind, code), "{with}");
        assert!(
            reasons.contains(&"icmp-sent") && reasons.iter().any(|r| r.starts_with("reject-")),
            "{reasons:?}"
        );
    }
    for (with, code) in [
        ("", 0),
        ("reject-with=icmp-no-route", 0),
        ("reject-with=icmp-admin-prohibited", 1),
        ("reject-with=icmp-not-neighbour", 2),
        ("reject-with=icmp-address-unreachable", 3),
        ("reject-with=icmp-port-unreachable", 4),
        ("reject-with=icmp-source-address-failed-policy", 5),
        ("reject-with=icmp-err-src-routing-header", 7),
        ("reject-with=icmp-headers-too-long", 8),
    ] {
        rig.rules(&format!("/{FORWARD6} action=reject {with}")).unwrap();
        let (_, found, found_code) = error(&mut rig, &udp6());
        assert_eq!((found, found_code), (1, code), "{with}");
    }
}

const RESET: &str = "action=reject reject-with=tcp-reset protocol=tcp";

#[test]
fn a_segment_is_answered_with_a_reset_of_the_host_it_was_for() {
    let mut rig = firewall();
    let segment = |flags: u8, payload: usize, family: u8| {
        let header = Segment { source: 4000, destination: 80, seq: 1000, ack: 5000, flags };
        let frame = from_host1();
        let frame = match family {
            4 => frame.ip("192.0.2.2", "10.1.0.1"),
            _ => frame.ip("2001:db8:1::2", "2001:db8:a1::1"),
        };
        frame.tcp(header, payload)
    };
    rig.rules(&format!("/{FORWARD4} {RESET}\n/{FORWARD6} {RESET}")).unwrap();
    for hook in HOOKS {
        for family in [4, 6] {
            // A SYN is acknowledged; data is answered where it is expected to go on.
            for (flags, payload, expected) in
                [(2, 0, (0, 1001, 0x14)), (16, 30, (5000, 0, 4)), (1, 7, (0, 1008, 0x14))]
            {
                let frame = segment(flags, payload, family);
                let answer = rig.run(hook, "ether1", &frame.bytes()).unwrap();
                assert_eq!(answer.egress.as_deref(), Some("ether1"), "{hook:?} {family} {flags}");
                assert!(answer.reasons.contains(&"reject-tcp-reset"), "{:?}", answer.reasons);
                let (seq, ack, flags) = expected;
                let header = Segment { source: 80, destination: 4000, seq, ack, flags };
                let wanted = on("ether1", ROUTER1, HOST1);
                let wanted = match family {
                    4 => wanted.ip("10.1.0.1", "192.0.2.2"),
                    _ => wanted.ip("2001:db8:a1::1", "2001:db8:1::2"),
                };
                let wanted = wanted.tcp(header, 0).window(0).bytes();
                let (found, wanted) = match hook {
                    Hook::Xdp => (&answer.frame[..], &wanted[..]),
                    // The neighbour's address is put in behind the program.
                    _ => (&answer.frame[14..], &wanted[14..]),
                };
                assert!(
                    found == wanted,
                    "{hook:?}: got {}\nnot {}",
                    describe(&answer.frame),
                    describe(wanted)
                );
            }
            // A reset is dropped, and a datagram is not the rule's.
            let answer = rig.run(hook, "ether1", &segment(4, 0, family).bytes()).unwrap();
            assert_eq!(answer.reasons, ["reject-tcp-reset"]);
        }
    }
}

/// A datagram whose checksum is left to a device: what stands there is the pseudo-header's.
fn unfinished(frame: &Frame) -> (Vec<u8>, usize) {
    let mut bytes = frame.bytes();
    let (addresses, l4) = if bytes[12] == 0x86 { (22..54, 54) } else { (26..34, 34) };
    let pseudo = csum::fold(csum::sum(&bytes[addresses]) + (bytes.len() - l4) as u64 + 17);
    bytes[l4 + 6..l4 + 8].copy_from_slice(&pseudo.to_be_bytes());
    (bytes, l4)
}

#[test]
fn in_tc_the_error_is_right_once_the_device_has_finished_its_quote() {
    let mut rig = firewall();
    rig.rules(&format!("/{FORWARD4} action=reject\n/{FORWARD6} action=reject")).unwrap();
    for frame in [udp4(), udp6()] {
        let (bytes, l4) = unfinished(&frame);
        let answer = rig.run(Hook::TcIngress, "ether1", &bytes).unwrap();
        assert!(answer.reasons.contains(&"icmp-sent"), "{:?}", answer.reasons);
        let mut error = answer.frame;
        // The quote's segment stands behind two IP headers and the ICMP header.
        let quoted = l4 + (l4 - 14) + 8;
        let finished = csum::finish(csum::sum(&error[quoted..]));
        error[quoted + 6..quoted + 8].copy_from_slice(&finished.to_be_bytes());
        let message = csum::sum(&error[l4..]);
        let sum = match l4 {
            34 => message,
            _ => message + csum::sum(&error[22..54]) + (error.len() - l4) as u64 + 58,
        };
        assert_eq!(csum::fold(sum), 0xffff);
    }
}
