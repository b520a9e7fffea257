//! Fragments: what becomes of the first one becomes of the others.

use router_common::maps::flow::{Tracking, tracking};
use router_common::maps::fragment::KEPT_TICKS;
use router_tests::packet::{Frame, Hook, Rig, Segment, SkbContext, describe, on};

use crate::lab::{HOST1, HOST2, ROUTER1, ROUTER2, from_host1, from_host2, router};

const XDP_DROP: u32 = 1;
const TC_ACT_SHOT: u32 = 2;
const TC_ACT_REDIRECT: u32 = 7;

const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];
/// Units of eight bytes that the first fragments have here.
const UNITS: u16 = 3;

/// Tracks connections, with these rules.
fn firewall(rules: &str) -> Rig {
    let mut rig = router();
    rig.track(Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() }).unwrap();
    rig.rules(rules).unwrap();
    // Nobody has been heard of for long: what comes too early is not held.
    rig.control(|control| control.tick = 100).unwrap();
    rig
}

fn udp(frame: Frame, id: u16, port: u16) -> Frame {
    frame.part(id, 0, true).udp(4000, port, 16)
}

fn rest(frame: Frame, id: u16) -> Frame {
    frame.part(id, UNITS, false).raw(17, &[7; 21])
}

const PAIRS: [(&str, &str); 2] = [("192.0.2.2", "198.51.100.2"), ("2001:db8:1::2", "2001:db8:2::2")];

fn run(rig: &mut Rig, hook: Hook, frame: &Frame) -> String {
    let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
    answer.reasons.join(" ")
}

/// Runs the frame and expects it to leave as `expected` says.
fn leaves(rig: &mut Rig, hook: Hook, frame: &Frame, expected: &Frame) {
    let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
    let (reason, expected) = match hook {
        Hook::Xdp if frame.port == "ether1" => ("forwarded", expected.clone().macs(ROUTER2, HOST2)),
        Hook::Xdp => ("forwarded", expected.clone().macs(ROUTER1, HOST1)),
        _ => ("forwarded-tc", expected.clone()),
    };
    let expected = expected.ttl(63).bytes();
    assert_eq!(answer.reasons, [reason], "{hook:?} {}", describe(&answer.frame));
    assert!(answer.frame == expected, "got {}\nnot {}", describe(&answer.frame), describe(&expected));
}

#[test]
fn later_fragments_share_the_verdict() {
    for hook in HOOKS {
        let mut rig = firewall(
            "/ip firewall filter add chain=forward protocol=udp dst-port=!53 action=drop\n\
             /ipv6 firewall filter add chain=forward protocol=udp dst-port=!53 action=reject",
        );
        for (source, destination) in PAIRS {
            let frame = || from_host1().ip(source, destination);
            let (first, later) = (udp(frame(), 1, 53), rest(frame(), 1));
            leaves(&mut rig, hook, &first, &first);
            leaves(&mut rig, hook, &later, &later);
            // Any number of them, in any order.
            let middle = frame().part(1, 9, true).raw(17, &[1; 8]);
            leaves(&mut rig, hook, &middle, &middle);
            leaves(&mut rig, hook, &later, &later);

            let dropped = run(&mut rig, hook, &udp(frame(), 2, 54));
            assert!(dropped.contains("filter-drop") || dropped.contains("reject"), "{dropped}");
            assert_eq!(run(&mut rig, hook, &rest(frame(), 2)), "filter-drop", "and no second answer");
            // The first of this one has not been seen.
            assert_eq!(run(&mut rig, hook, &rest(frame(), 3)), "fragment-unknown");
        }
    }
}

#[test]
fn later_fragments_share_the_translation() {
    for hook in HOOKS {
        let mut rig = firewall(
            "/ip firewall nat\nadd chain=srcnat out-interface=ether2 action=masquerade\n\
             add chain=dstnat in-interface=ether1 dst-address=10.9.9.9 action=dst-nat to-addresses=198.51.100.2 to-ports=54\n\
             /ipv6 firewall nat add chain=srcnat out-interface=ether2 action=masquerade",
        );
        let own = ["198.51.100.1", "2001:db8:2::1"];
        for ((source, destination), own) in PAIRS.into_iter().zip(own) {
            let frame = || from_host1().ip(source, destination);
            let out = || from_host1().ip(own, destination);
            leaves(&mut rig, hook, &udp(frame(), 1, 53), &udp(out(), 1, 53));
            leaves(&mut rig, hook, &rest(frame(), 1), &rest(out(), 1));

            let answer = || from_host2().ip(destination, own);
            let back = || from_host2().ip(destination, source);
            let first = |frame: Frame| frame.part(1, 0, true).udp(53, 4000, 16);
            leaves(&mut rig, hook, &first(answer()), &first(back()));
            leaves(&mut rig, hook, &rest(answer(), 1), &rest(back(), 1));
        }
        let frame = || from_host1().ip("192.0.2.2", "10.9.9.9");
        let out = || from_host1().ip("198.51.100.1", "198.51.100.2");
        leaves(&mut rig, hook, &udp(frame(), 2, 53), &udp(out(), 2, 54));
        leaves(&mut rig, hook, &rest(frame(), 2), &rest(out(), 2));
    }
}

/// What mangle makes of the first it makes of the others: hosts put them together to one packet.
#[test]
fn later_fragments_share_what_mangle_changes() {
    let rules = |family: &str, ttl: &str| {
        format!(
            "/{family} firewall mangle\nadd chain=prerouting protocol=udp dst-port=53 action={ttl}:10\n\
             add chain=forward protocol=udp dst-port=53 action=change-dscp new-dscp=46\n\
             add chain=forward protocol=udp dst-port=53 action=set-priority new-priority=5\n\
             add chain=postrouting protocol=udp dst-port=53 action=mark-packet new-packet-mark=voice\n"
        )
    };
    for hook in HOOKS {
        let mut rig = firewall(&format!(
            "{}{}",
            rules("ip", "change-ttl new-ttl=set"),
            rules("ipv6", "change-hop-limit new-hop-limit=set")
        ));
        for (source, destination) in PAIRS {
            // The others would not get as far by themselves.
            let frame = |ttl| from_host1().ip(source, destination).ttl(ttl);
            let fragments = [udp(frame(64), 1, 53), rest(frame(1), 1)];
            for fragment in fragments {
                let answer = rig.run(hook, &fragment.port, &fragment.bytes()).unwrap();
                let shown = describe(&answer.frame);
                assert!(matches!(answer.reasons[..], ["forwarded" | "forwarded-tc"]), "{answer:?}");
                let ip = &answer.frame[answer.frame.len() - fragment.bytes().len() + 14..];
                let (ttl, class) = match source.contains(':') {
                    true => (ip[7], ip[0] << 4 | ip[1] >> 4),
                    false => (ip[8], ip[1]),
                };
                assert_eq!((ttl, class), (9, 46 << 2), "{hook:?} {shown}");
            }
            // Another packet has what it came with.
            let other = udp(frame(64), 2, 54);
            leaves(&mut rig, hook, &other, &other);
            let other = rest(frame(64), 2);
            leaves(&mut rig, hook, &other, &other);
        }
        // What the host's queues are told, where the host sends it.
        let classes = [
            udp(from_host1().ip("192.0.2.2", "10.6.0.1"), 3, 53),
            rest(from_host1().ip("192.0.2.2", "10.6.0.1"), 3),
        ]
        .map(|frame| rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap().handover.map(|told| told.class));
        assert!(classes[0].is_some_and(|class| class >> 16 == 5 && class & 0xffff != 0), "{classes:?}");
        assert_eq!(classes[0], classes[1]);
    }
}

#[test]
fn later_fragments_share_the_way() {
    for rules in [
        "/routing table add name=other fib\n\
         /ip firewall mangle add chain=prerouting dst-port=53 protocol=udp action=mark-routing new-routing-mark=other",
        "/ip firewall mangle add chain=prerouting dst-port=53 protocol=udp action=route route-dst=203.0.113.2",
    ] {
        let mut rig = firewall(rules);
        let frame = || from_host1().ip("192.0.2.2", "10.1.0.1");
        for (id, port, egress) in [(1, 53, "ether3"), (2, 54, "ether2")] {
            for fragment in [udp(frame(), id, port), rest(frame(), id)] {
                let answer = rig.run(Hook::Xdp, "ether1", &fragment.bytes()).unwrap();
                let left = (answer.reasons, answer.egress.as_deref());
                assert_eq!(left, (vec!["forwarded"], Some(egress)), "{rules} {port}");
            }
        }
    }
}

#[test]
fn fragments_for_the_host_are_the_kernels() {
    for hook in HOOKS {
        let mut rig = firewall(
            "/ip firewall filter add chain=input protocol=udp dst-port=!53 action=drop\n\
             /ipv6 firewall filter add chain=input protocol=udp dst-port=!53 action=drop",
        );
        for (source, destination) in [("192.0.2.2", "192.0.2.1"), ("2001:db8:1::2", "2001:db8:1::1")] {
            let frame = || from_host1().ip(source, destination);
            assert_eq!(run(&mut rig, hook, &udp(frame(), 1, 53)), "local");
            assert_eq!(run(&mut rig, hook, &rest(frame(), 1)), "local");
            assert_eq!(run(&mut rig, hook, &udp(frame(), 2, 54)), "filter-drop");
            assert_eq!(run(&mut rig, hook, &rest(frame(), 2)), "filter-drop");
        }
    }
}

#[test]
fn what_the_host_sends_in_fragments_follows_too() {
    let mut rig = firewall("/ip firewall filter add chain=output protocol=udp dst-port=54 action=drop");
    let frame = || on("ether2", ROUTER2, HOST2).ip("198.51.100.1", "198.51.100.2");
    let mut run = |frame: Frame| rig.run(Hook::TcEgress, "ether2", &frame.bytes()).unwrap();
    assert!(run(udp(frame(), 1, 53)).reasons.is_empty());
    assert!(run(rest(frame(), 1)).reasons.is_empty());
    assert_eq!(run(udp(frame(), 2, 54)).reasons, ["filter-drop"]);
    assert_eq!(run(rest(frame(), 2)).reasons, ["filter-drop"]);
}

/// RFC 1858, RFC 3128, RFC 5722; RFC 8200, 4.5.
#[test]
fn what_fragments_could_hide_is_dropped() {
    for (source, destination) in PAIRS {
        let mut rig = firewall("");
        let frame = || from_host1().ip(source, destination);
        let segment = Segment { source: 4000, destination: 80, seq: 1, ack: 0, flags: 2 };
        let first = frame().part(1, 0, true).tcp(segment, 20);
        for (fragment, reason) in [
            // The flags would come later.
            (frame().part(2, 0, true).raw(6, &[0; 16]), "fragment-tiny"),
            (frame().part(2, 1, false).raw(6, &[0; 16]), "fragment-tiny"),
            (frame().part(2, 0, true).raw(17, &[]), "malformed-header"),
            // Only the last may have odd bytes, and none may lie beyond the largest packet.
            (frame().part(2, 0, true).raw(17, &[0; 15]), "malformed-header"),
            (frame().part(2, 8191, false).raw(17, &[0; 8]), "malformed-header"),
            (first.clone(), "forwarded"),
            (frame().part(1, 5, true).raw(6, &[0; 8]), "forwarded"),
            (frame().part(1, 4, true).raw(6, &[0; 8]), "fragment-overlap"),
            // The rest of an overlapping packet goes as well.
            (frame().part(1, 6, false).raw(6, &[0; 8]), "fragment-overlap"),
        ] {
            assert_eq!(run(&mut rig, Hook::Xdp, &fragment), reason, "{}", describe(&fragment.bytes()));
        }
    }
}

#[test]
fn a_fragment_on_another_port_is_no_part() {
    let mut rig = firewall("");
    let frame = || from_host1().ip("192.0.2.2", "198.51.100.2");
    assert_eq!(run(&mut rig, Hook::Xdp, &udp(frame(), 1, 53)), "forwarded");
    let spoofed = rest(from_host2().ip("192.0.2.2", "198.51.100.2"), 1);
    assert_eq!(run(&mut rig, Hook::Xdp, &spoofed), "fragment-unknown");
    // Nor is one of another protocol.
    let other = frame().part(1, UNITS, false).raw(6, &[7; 21]);
    assert_eq!(run(&mut rig, Hook::Xdp, &other), "fragment-unknown");
}

#[test]
fn a_first_fragment_is_kept_for_half_a_minute() {
    let mut rig = firewall("");
    let frame = || from_host1().ip("192.0.2.2", "198.51.100.2");
    assert_eq!(run(&mut rig, Hook::Xdp, &udp(frame(), 1, 53)), "forwarded");
    rig.control(|control| control.tick += KEPT_TICKS - 1).unwrap();
    assert_eq!(run(&mut rig, Hook::Xdp, &rest(frame(), 1)), "forwarded");
    rig.control(|control| control.tick += 1).unwrap();
    assert_eq!(run(&mut rig, Hook::Xdp, &rest(frame(), 1)), "fragment-unknown");
}

#[test]
fn a_fragmented_packet_counts_once_with_all_its_bytes() {
    let mut rig = firewall("/ip firewall filter add chain=forward protocol=udp action=accept");
    let frame = || from_host1().ip("192.0.2.2", "198.51.100.2");
    for fragment in [udp(frame(), 1, 53), rest(frame(), 1)] {
        assert_eq!(run(&mut rig, Hook::Xdp, &fragment), "forwarded");
    }
    // One header, 24 and 21 bytes.
    assert_eq!(rig.counted(1).unwrap(), [(1, 65)]);
    let flow = rig.flows4().unwrap().into_iter().max_by_key(|flow| flow.entry.packets).unwrap();
    assert_eq!((flow.entry.packets, flow.entry.bytes), (1, 65));
}

#[test]
fn without_tracking_each_fragment_is_judged_by_itself() {
    let mut rig = router();
    rig.track(Tracking::default()).unwrap();
    rig.rules("/ip firewall filter add chain=forward protocol=udp dst-port=53 action=drop").unwrap();
    let frame = || from_host1().ip("192.0.2.2", "198.51.100.2");
    assert_eq!(run(&mut rig, Hook::Xdp, &udp(frame(), 1, 53)), "filter-drop");
    assert_eq!(run(&mut rig, Hook::Xdp, &rest(frame(), 1)), "forwarded");
}

#[test]
fn an_early_fragment_goes_to_the_daemon_and_comes_back() {
    for hook in HOOKS {
        let mut rig = firewall("");
        rig.control(|control| control.tick = 0).unwrap();
        for (source, destination) in PAIRS {
            let early = rest(from_host1().ip(source, destination), 1);
            let answer = rig.run(hook, "ether1", &early.bytes()).unwrap();
            assert_eq!(answer.reasons, ["fragment-held"]);
            assert_eq!(answer.action, if hook == Hook::Xdp { XDP_DROP } else { TC_ACT_SHOT });
            let held = rig.held().unwrap();
            assert_eq!(held.len(), 1);
            let (about, frame) = &held[0];
            assert_eq!(*frame, early.bytes());
            assert_eq!(about.key.port, rig.ifindex("ether1").unwrap());
            assert_eq!(about.mark, 0xfe00_0000);

            // On its way back, it is turned round.
            let mark = |skb: &mut SkbContext| skb.mark = about.mark;
            let answer = rig.run_with(Hook::TcEgress, "ether1", frame, mark).unwrap();
            assert_eq!((answer.action, answer.reasons), (TC_ACT_REDIRECT, vec![]));
            let answer = rig.run_with(Hook::TcIngress, "ether1", frame, mark).unwrap();
            assert_eq!(answer.reasons, ["fragment-unknown"], "not held twice");
            assert!(rig.held().unwrap().is_empty());
            run(&mut rig, hook, &udp(from_host1().ip(source, destination), 1, 53));
            let answer = rig.run_with(Hook::TcIngress, "ether1", frame, mark).unwrap();
            assert_eq!(answer.reasons, ["forwarded-tc"]);
            assert_eq!(answer.mark, 0x0100_0000, "no trace of the mark is left");
        }
    }
}

#[test]
fn early_fragments_are_dropped_once_the_daemon_is_silent_or_has_enough() {
    let mut rig = firewall("");
    rig.control(|control| (control.tick, control.heartbeat_tick) = (100, 97)).unwrap();
    let early = |id| rest(from_host1().ip("192.0.2.2", "198.51.100.2"), id);
    assert_eq!(run(&mut rig, Hook::Xdp, &early(1)), "fragment-held");
    rig.control(|control| control.tick = 101).unwrap();
    assert_eq!(run(&mut rig, Hook::Xdp, &early(2)), "fragment-unknown");
    rig.control(|control| control.heartbeat_tick = 101).unwrap();
    let held = (3..2000).take_while(|id| run(&mut rig, Hook::Xdp, &early(*id)) == "fragment-held").count();
    assert!((400..512).contains(&held), "{held}");
    assert_eq!(run(&mut rig, Hook::Xdp, &early(2000)), "fragment-unknown");
    let _ = rig.held().unwrap();
    assert_eq!(run(&mut rig, Hook::Xdp, &early(2001)), "fragment-held");
}

#[test]
fn early_jumbo_fragments_are_held_as_well() {
    let mut rig = firewall("");
    rig.control(|control| control.tick = 0).unwrap();
    let early = from_host1().ip("192.0.2.2", "198.51.100.2").part(1, UNITS, false).raw(17, &[9; 3500]);
    assert_eq!(run(&mut rig, Hook::TcIngress, &early), "fragment-held");
    assert_eq!(rig.held().unwrap()[0].1, early.bytes());
}
