//! `action=reject`.

use super::*;

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
