//! What the first raw rules drop by a list is dropped without a walk.

use router_common::maps::flow::{Tracking, tracking};
use router_tests::packet::{Frame, Hook, Rig, Segment, on};

use crate::lab::{HOST2, ROUTER2, from_host1, router};

const BAD: &str = "/ip firewall address-list
add list=bad address=192.0.2.2
add list=bad address=192.0.2.64/26
add list=worse address=192.0.2.3
add list=worse address=192.0.2.2
/ip firewall raw
add chain=prerouting action=drop src-address-list=bad
add chain=prerouting action=drop src-address-list=worse
/ipv6 firewall address-list add list=bad address=2001:db8:1::2
/ipv6 firewall raw add chain=prerouting action=drop src-address-list=bad
";
const RULES: u32 = 3;

fn shielded(rules: &str) -> Rig {
    let mut rig = router();
    rig.track(Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() }).unwrap();
    rig.rules(rules).unwrap();
    rig
}

fn udp(source: &str) -> Frame {
    let destination = if source.contains(':') { "2001:db8:a1::1" } else { "10.1.0.1" };
    from_host1().ip(source, destination).udp(4000, 53, 20)
}

fn syn(source: &str) -> Frame {
    let segment = Segment { source: 4000, destination: 80, seq: 1, ack: 0, flags: 2 };
    from_host1().ip(source, "10.1.0.1").tcp(segment, 0)
}

fn reasons(rig: &mut Rig, hook: Hook, frame: &Frame) -> String {
    rig.run(hook, &frame.port, &frame.bytes()).unwrap().reasons.join(" ")
}

/// With NO_CACHE the rules are walked: both ways come to the same.
#[test]
fn a_listed_source_is_dropped_and_counted_as_by_the_rules() {
    for (hook, flags) in
        [Hook::Xdp, Hook::TcIngress].into_iter().flat_map(|hook| [(hook, 0), (hook, tracking::NO_CACHE)])
    {
        let mut rig = router();
        let flags = tracking::ENABLED | tracking::LOOSE | flags;
        rig.track(Tracking { flags, ..Tracking::default() }).unwrap();
        rig.rules(BAD).unwrap();
        let frames = [
            udp("192.0.2.2"),
            syn("192.0.2.2"),
            udp("192.0.2.65"),
            udp("192.0.2.127"),
            udp("192.0.2.3"),
            udp("2001:db8:1::2"),
        ];
        for frame in &frames {
            assert_eq!(reasons(&mut rig, hook, frame), "raw-drop", "{hook:?}");
        }
        let passed = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
        for other in ["192.0.2.4", "192.0.2.63", "192.0.2.128", "2001:db8:1::3"] {
            assert_eq!(reasons(&mut rig, hook, &udp(other)), passed, "{hook:?}, {other}");
        }
        // The first rule that has the source counts: IP packets, and their bytes.
        assert_eq!(rig.counted(RULES).unwrap(), [(4, 48 + 40 + 48 + 48), (1, 48), (1, 68)], "{hook:?}");
    }
}

/// Rules before it, or more to ask: the packet may be another's.
#[test]
fn other_rules_are_walked() {
    let accept = "/ip firewall raw\nadd chain=prerouting dst-port=53 protocol=udp\n";
    for (rules, expected) in [
        (BAD.replacen("/ip firewall raw\n", accept, 1), "forwarded"),
        (
            BAD.replace("src-address-list=bad\n", "src-address-list=bad protocol=udp dst-port=53\n"),
            "raw-drop",
        ),
        (BAD.replace("src-address-list=bad\n", "src-address-list=bad protocol=tcp\n"), "raw-drop"),
    ] {
        let mut rig = shielded(&rules);
        assert_eq!(reasons(&mut rig, Hook::Xdp, &udp("192.0.2.2")), expected, "{rules}");
    }
    // A fragment meets the rules, as those behind it fare.
    let mut rig = shielded(BAD);
    let first = from_host1().ip("192.0.2.2", "10.1.0.1").part(7, 0, true).udp(4000, 53, 24);
    assert_eq!(reasons(&mut rig, Hook::Xdp, &first), "raw-drop");
}

/// Connections from before the list had the source: decisions of the image before count no more, fasttrack goes on.
#[test]
fn connections_that_stand_meet_the_rules_themselves() {
    const FAST: &str = "/ip firewall filter
add chain=forward connection-state=established action=fasttrack-connection
add chain=forward
";
    for (label, filter) in [("", ""), ("fasttracked", FAST)] {
        let mut rig = router();
        let fasttrack = if filter.is_empty() { 0 } else { tracking::FASTTRACK };
        let flags = tracking::ENABLED | tracking::LOOSE | fasttrack;
        rig.track(Tracking { flags, ..Tracking::default() }).unwrap();
        rig.rules(filter).unwrap();
        assert_eq!(reasons(&mut rig, Hook::Xdp, &udp("192.0.2.2")), "forwarded");
        let answer = on("ether2", HOST2, ROUTER2).ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20);
        for _ in 0..2 {
            assert_eq!(reasons(&mut rig, Hook::Xdp, &answer), "forwarded");
        }
        rig.rules(&format!("{filter}{BAD}")).unwrap();
        let expected = if filter.is_empty() { "raw-drop" } else { "forwarded" };
        for _ in 0..2 {
            assert_eq!(reasons(&mut rig, Hook::Xdp, &udp("192.0.2.2")), expected, "{label}");
        }
    }
}
