//! What the first raw rules drop by a list is dropped by the fast path.

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

#[test]
fn a_listed_source_needs_no_slow_path() {
    for hook in [Hook::Xdp, Hook::TcIngress] {
        let mut rig = shielded(BAD);
        rig.slow_path(false).unwrap();
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
        for other in ["192.0.2.4", "192.0.2.63", "192.0.2.128", "2001:db8:1::3"] {
            assert_eq!(reasons(&mut rig, hook, &udp(other)), "no-slow-path", "{hook:?}, {other}");
        }
        // The first rule that has the source counts: IP packets, and their bytes.
        assert_eq!(rig.counted(RULES).unwrap(), [(4, 48 + 40 + 48 + 48), (1, 48), (1, 68)], "{hook:?}");
    }
}

#[test]
fn what_the_shield_is_no_help_for_walks_the_rules() {
    let xdp = Hook::Xdp;
    // Rules before it, or more to ask: the packet may be another's.
    for rules in [
        BAD.replacen(
            "/ip firewall raw\n",
            "/ip firewall raw\nadd chain=prerouting dst-port=53 protocol=udp\n",
            1,
        ),
        BAD.replace("src-address-list=bad\n", "src-address-list=bad protocol=udp dst-port=53\n"),
    ] {
        let mut rig = shielded(&rules);
        let accepted = rules.contains("prerouting dst-port");
        let expected = if accepted { "forwarded" } else { "raw-drop" };
        assert_eq!(reasons(&mut rig, xdp, &udp("192.0.2.2")), expected, "{rules}");
        rig.slow_path(false).unwrap();
        if !accepted {
            assert_eq!(reasons(&mut rig, xdp, &udp("192.0.2.2")), "no-slow-path", "{rules}");
        }
    }
    // A fragment fares as its first one does.
    let mut rig = shielded(BAD);
    rig.slow_path(false).unwrap();
    let first = from_host1().ip("192.0.2.2", "10.1.0.1").part(7, 0, true).udp(4000, 53, 24);
    assert_eq!(reasons(&mut rig, xdp, &first), "no-slow-path");
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
