//! `/ip firewall nat chain=output`: another destination for what the host itself sends.

use router_tests::packet::on;

use super::*;
use crate::lab::{HOST1, HOST2, ROUTER1, ROUTER2};

/// TC_ACT_REDIRECT.
const REDIRECT: u32 = 7;
/// TC_ACT_UNSPEC: the packet goes on as it is.
const PASS: u32 = u32::MAX;

/// Compares the packets behind the Ethernet headers.
#[track_caller]
fn assert_packet(frame: &[u8], expected: &Frame) {
    assert_eq!(frame[14..], expected.packet(), "{}", router_tests::packet::describe(frame));
}

fn resolver(source: &str, destination: &str, port: u16) -> Frame {
    on("ether2", ROUTER2, HOST2).ip(source, destination).udp(4000, port, 20)
}

#[test]
fn a_new_destination_has_its_own_route() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall nat\n\
         add chain=output protocol=udp dst-port=53 dst-address=198.51.100.2 action=dst-nat to-addresses=192.0.2.2 to-ports=5353\n\
         add chain=srcnat out-interface=ether1 action=src-nat to-addresses=192.0.2.1\n\
         /ip firewall filter add chain=output dst-address=192.0.2.2 out-interface=ether2",
    )
    .unwrap();
    // The second packet finds its connection.
    for _ in 0..2 {
        let sent = resolver("198.51.100.1", "198.51.100.2", 53);
        let answer = rig.run(Hook::TcEgress, "ether2", &sent.bytes()).unwrap();
        assert_eq!((answer.action, answer.mark), (REDIRECT, settings().mark_done));
        assert!(answer.reasons.is_empty(), "{:?}", answer.reasons);
        // Source NAT sees the port of the new route, the filter the new destination and the port that the host meant.
        assert_packet(&answer.frame, &resolver("192.0.2.1", "192.0.2.2", 5353));
    }
    assert_eq!(rig.counted_at(2).unwrap().0, 2, "the filter's rule");
    let back = on("ether1", HOST1, ROUTER1).ip("192.0.2.2", "192.0.2.1").udp(5353, 4000, 20);
    let answer = rig.run(Hook::Xdp, "ether1", &back.bytes()).unwrap();
    assert_eq!(answer.reasons, ["local"]);
    let heard = on("ether1", HOST1, ROUTER1).ip("198.51.100.2", "198.51.100.1").udp(53, 4000, 20);
    assert_packet(&answer.frame, &heard);
    // Another destination is nobody's business.
    let other = resolver("198.51.100.1", "198.51.100.3", 53);
    let answer = rig.run(Hook::TcEgress, "ether2", &other.bytes()).unwrap();
    assert_eq!(answer.action, PASS);
    assert_packet(&answer.frame, &other);
}

#[test]
fn another_port_alone_needs_no_other_route() {
    let mut rig = firewall();
    rig.rules("/ip firewall nat add chain=output protocol=udp dst-port=53 action=dst-nat to-ports=54")
        .unwrap();
    let sent = resolver("198.51.100.1", "198.51.100.2", 53);
    let answer = rig.run(Hook::TcEgress, "ether2", &sent.bytes()).unwrap();
    assert_eq!((answer.action, answer.mark), (PASS, 0));
    assert_packet(&answer.frame, &resolver("198.51.100.1", "198.51.100.2", 54));
}

#[test]
fn ipv6_too() {
    let mut rig = firewall();
    rig.rules(
        "/ipv6 firewall nat add chain=output dst-address=2001:db8:2::2/128 action=dst-nat to-address=2001:db8:1::2/128",
    )
    .unwrap();
    let sent = resolver("2001:db8:2::1", "2001:db8:2::2", 53);
    let answer = rig.run(Hook::TcEgress, "ether2", &sent.bytes()).unwrap();
    assert_eq!((answer.action, answer.mark), (REDIRECT, settings().mark_done));
    assert_packet(&answer.frame, &resolver("2001:db8:2::1", "2001:db8:1::2", 53));
}

#[test]
fn where_there_is_no_way_the_packet_is_dropped() {
    for (to, reason) in [("10.9.9.9", "no-route"), ("192.0.2.1", "no-route"), ("10.2.0.1", "blackhole")] {
        let mut rig = firewall();
        rig.rules(&format!(
            "/ip firewall nat add chain=output protocol=udp action=dst-nat to-addresses={to}"
        ))
        .unwrap();
        let sent = resolver("198.51.100.1", "198.51.100.2", 53);
        let answer = rig.run(Hook::TcEgress, "ether2", &sent.bytes()).unwrap();
        assert_eq!((answer.action, answer.reasons), (2, vec![reason]), "{to}");
        assert!(rig.flows4().unwrap().is_empty(), "{to}");
    }
}
