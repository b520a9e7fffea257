//! `connection-limit`.

use router_common::conntrack::timeout::Class;
use router_common::maps::flow::{Tracking, status, tracking};

use super::*;

const DROPS: &str = "/ip firewall filter add chain=forward";

fn udp(source: &str, port: u16) -> Frame {
    from_host1().ip(source, "10.1.0.1").udp(port, 53, 20)
}

fn reasons<const N: usize>(rig: &mut Rig, frames: [Frame; N]) -> [&'static str; N] {
    frames.map(|frame| reason(rig, &frame))
}

/// Two connections of a source stay; the third is more than two, as often as it tries.
#[test]
fn more_connections_than_the_limit_match() {
    for hook in HOOKS {
        let mut rig = firewall();
        rig.rules(&format!("{DROPS} connection-limit=2,32 action=drop")).unwrap();
        let passed = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
        for (port, expected) in [
            (4000, passed),
            (4001, passed),
            (4002, "filter-drop"),
            (4002, "filter-drop"),
            // Those that are there are no more than two.
            (4000, passed),
            (4001, passed),
            (4003, "filter-drop"),
        ] {
            let frame = udp("192.0.2.2", port);
            let answer = rig.run(hook, "ether1", &frame.bytes()).unwrap();
            assert_eq!(answer.reasons, [expected], "{hook:?} {port}");
        }
        // Another source has a count of its own.
        let answer = rig.run(hook, "ether1", &udp("192.0.2.3", 4000).bytes()).unwrap();
        assert_eq!(answer.reasons, [passed], "{hook:?}");
    }
}

#[test]
fn sources_of_one_network_are_counted_together() {
    let mut rig = firewall();
    rig.rules(&format!("{DROPS} connection-limit=2,24 action=drop")).unwrap();
    let frames = [
        udp("192.0.2.2", 1),
        udp("192.0.2.3", 1),
        udp("192.0.2.254", 1),
        udp("192.0.3.2", 1),
        udp("192.0.3.2", 2),
        udp("192.0.3.2", 3),
    ];
    let expected = ["forwarded", "forwarded", "filter-drop", "forwarded", "forwarded", "filter-drop"];
    assert_eq!(reasons(&mut rig, frames), expected);
}

#[test]
fn a_prefix_of_zero_is_everybody_and_a_limit_of_zero_is_nobody() {
    let mut rig = firewall();
    rig.rules(&format!("{DROPS} connection-limit=1,0 action=drop")).unwrap();
    assert_eq!(reasons(&mut rig, [udp("192.0.2.2", 1), udp("203.0.113.9", 1)]), ["forwarded", "filter-drop"]);
    rig.rules(&format!("{DROPS} connection-limit=0,32 action=drop")).unwrap();
    assert_eq!(reason(&mut rig, &udp("192.0.2.2", 9)), "filter-drop");
}

/// A rule counts what comes as far as its limit.
#[test]
fn what_another_matcher_stops_is_not_counted() {
    let mut rig = firewall();
    rig.rules(&format!("{DROPS} protocol=tcp dst-port=80 connection-limit=1,32 action=drop")).unwrap();
    assert_eq!(reasons(&mut rig, [udp("192.0.2.2", 1), udp("192.0.2.2", 2)]), ["forwarded"; 2]);
    let syn = |source| {
        let segment = Segment { source, destination: 80, seq: 1, ack: 0, flags: 2 };
        from_host1().ip("192.0.2.2", "10.1.0.1").tcp(segment, 0)
    };
    assert_eq!(reasons(&mut rig, [syn(1), syn(2)]), ["forwarded", "filter-drop"]);
}

#[test]
fn negated_it_matches_up_to_the_limit() {
    let mut rig = firewall();
    rig.rules("/ip firewall filter\nadd chain=forward connection-limit=!2,32\nadd chain=forward action=drop")
        .unwrap();
    let frames = [1, 2, 3].map(|port| udp("192.0.2.2", port));
    assert_eq!(reasons(&mut rig, frames), ["forwarded", "forwarded", "filter-drop"]);
}

/// What is dropped by a later rule has opened nothing.
#[test]
fn a_connection_that_is_dropped_later_does_not_count() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall filter\nadd chain=forward connection-limit=1,32 action=reject\n\
         add chain=forward protocol=udp src-port=1-9 action=drop",
    )
    .unwrap();
    let frames = [1, 2, 3, 10].map(|port| udp("192.0.2.2", port));
    let expected = ["filter-drop", "filter-drop", "filter-drop", "forwarded"];
    assert_eq!(reasons(&mut rig, frames), expected);
}

/// More than one block of the map, through the end of the first ones.
#[test]
fn a_hundred_connections() {
    let mut rig = firewall();
    rig.rules(&format!("{DROPS} connection-limit=100,32 action=drop")).unwrap();
    for port in 1..=100 {
        assert_eq!(reason(&mut rig, &udp("192.0.2.2", port)), "forwarded", "{port}");
    }
    assert_eq!(reason(&mut rig, &udp("192.0.2.2", 101)), "filter-drop");
    // Packets of those that are there count none twice.
    for port in 1..=100 {
        assert_eq!(reason(&mut rig, &udp("192.0.2.2", port)), "forwarded", "{port}");
    }
}

#[test]
fn what_has_expired_counts_no_more() {
    let mut rig = router();
    let mut settings = Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() };
    settings.timeouts.set(Class::Udp, 10);
    rig.track(settings).unwrap();
    rig.rules(&format!("{DROPS} connection-limit=2,32 action=drop")).unwrap();
    let frames = [1, 2, 3].map(|port| udp("192.0.2.2", port));
    assert_eq!(reasons(&mut rig, frames), ["forwarded", "forwarded", "filter-drop"]);
    rig.control(|control| control.tick += 11).unwrap();
    let frames = [3, 4, 5].map(|port| udp("192.0.2.2", port));
    assert_eq!(reasons(&mut rig, frames), ["forwarded", "forwarded", "filter-drop"]);
}

#[test]
fn a_connection_that_ends_makes_room() {
    let mut rig = firewall();
    rig.rules(&format!("{DROPS} connection-state=new connection-limit=1,32 action=drop")).unwrap();
    let segment = |flags, seq, source| {
        let segment = Segment { source, destination: 80, seq, ack: 0, flags };
        from_host1().ip("192.0.2.2", "10.1.0.1").tcp(segment, 0)
    };
    const SYN: u8 = 2;
    const RST: u8 = 4;
    assert_eq!(reasons(&mut rig, [segment(SYN, 1, 1), segment(SYN, 1, 2)]), ["forwarded", "filter-drop"]);
    reason(&mut rig, &segment(RST, 2, 1));
    let live = rig
        .flows4()
        .unwrap()
        .iter()
        .filter(|flow| flow.entry.word as u32 & status::LIFE == status::LIVE)
        .count();
    assert_eq!(live, 0, "the connection has ended");
    assert_eq!(reasons(&mut rig, [segment(SYN, 1, 2), segment(SYN, 1, 3)]), ["forwarded", "filter-drop"]);
}

#[test]
fn ipv6_networks() {
    let mut rig = firewall();
    rig.rules("/ipv6 firewall filter add chain=forward connection-limit=2,64 action=drop").unwrap();
    let udp = |source, port| from_host1().ip(source, "2001:db8:a1::1").udp(port, 53, 20);
    let frames = [
        udp("2001:db8:1::2", 1),
        udp("2001:db8:1::3", 1),
        udp("2001:db8:1:0:1::1", 1),
        udp("2001:db8:2::2", 1),
    ];
    assert_eq!(reasons(&mut rig, frames), ["forwarded", "forwarded", "filter-drop", "forwarded"]);
}

/// Answers of a server are no connections of the server's.
#[test]
fn answers_are_not_counted() {
    let mut rig = firewall();
    rig.rules(&format!("{DROPS} connection-limit=1,0 action=drop")).unwrap();
    let question = from_host1().ip("192.0.2.2", "198.51.100.2").udp(4000, 53, 20);
    let answer = router_tests::packet::on("ether2", crate::lab::HOST2, crate::lab::ROUTER2)
        .ip("198.51.100.2", "192.0.2.2")
        .udp(53, 4000, 60);
    assert_eq!(reasons(&mut rig, [question.clone(), answer.clone(), question, answer]), ["forwarded"; 4]);
}
