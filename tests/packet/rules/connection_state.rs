//! `connection-state`.

use super::*;
use crate::lab::{HOST2, ROUTER2};
use router_tests::packet::on;

#[test]
fn the_first_packet_is_new() {
    let mut rig = firewall();
    check(
        &mut rig,
        FORWARD4,
        &[
            ("connection-state=new", udp4(), true),
            ("connection-state=established,related", udp4(), false),
            ("connection-state=!new", udp4(), false),
            ("connection-state=!established", udp4(), true),
            ("connection-state=invalid", tcp4(6), true),
            ("connection-state=!invalid", tcp4(6), false),
        ],
    );
    // Raw rules come before the state is known; a rule of both tables meets the packet twice.
    check(&mut rig, FORWARD6, &[("connection-state=new", udp6(), true)]);
}

#[test]
fn an_answered_exchange_is_established() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall filter\nadd chain=forward connection-state=established\n\
         add chain=forward connection-state=new in-interface=ether1\nadd chain=forward action=drop",
    )
    .unwrap();
    let answer = on("ether2", HOST2, ROUTER2).ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20);
    assert_eq!(reason(&mut rig, &answer), "filter-drop");
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    assert_eq!(reason(&mut rig, &answer), "forwarded");
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    // Two by the first rule, one by the second, one by the last.
    let packets: Vec<u64> = rig.counted(3).unwrap().into_iter().map(|(packets, _)| packets).collect();
    assert_eq!(packets, [2, 1, 1]);
    // What takes the fast path is counted as well.
    for _ in 0..5 {
        assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    }
    assert_eq!(rig.counted(3).unwrap()[0], (7, 7 * 48));
}

#[test]
fn new_rules_hold_for_established_flows_at_once() {
    let mut rig = firewall();
    rig.rules("/ip firewall filter add chain=forward").unwrap();
    for _ in 0..3 {
        assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    }
    rig.rules("/ip firewall filter add chain=forward action=drop").unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
}
