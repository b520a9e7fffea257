//! `connection-nat-state`.

use router_tests::packet::on;

use super::*;
use crate::lab::{HOST2, ROUTER2};

const NAT: &str = "/ip firewall nat
add chain=srcnat out-interface=ether2 protocol=udp dst-port=53 action=masquerade
add chain=dstnat in-interface=ether2 protocol=udp dst-port=8080 action=dst-nat to-addresses=192.0.2.2 to-ports=80
/ipv6 firewall nat
add chain=srcnat out-interface=ether2 protocol=udp dst-port=53 action=masquerade";

fn from_host2(source: &str, destination: &str) -> Frame {
    on("ether2", HOST2, ROUTER2).ip(source, destination)
}

/// A connection that is masqueraded, one whose port is forwarded, one that is neither, one of IPv6 that is masqueraded:
/// a packet and an answer, as they come.
fn connections() -> [[Frame; 2]; 4] {
    let plain = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4001, 54, 20);
    [
        [udp4(), from_host2("10.1.0.1", "198.51.100.1").udp(53, 4000, 20)],
        [
            from_host2("10.1.0.9", "198.51.100.1").udp(4000, 8080, 20),
            from_host1().ip("192.0.2.2", "10.1.0.9").udp(80, 4000, 20),
        ],
        [plain, from_host2("10.1.0.1", "192.0.2.2").udp(54, 4001, 20)],
        [udp6(), from_host2("2001:db8:a1::1", "2001:db8:2::1").udp(53, 4000, 20)],
    ]
}

/// A matcher, and whether it meets each of the [`connections`].
const LINES: [(&str, [bool; 4]); 6] = [
    ("srcnat", [true, false, false, true]),
    ("!srcnat", [false, true, true, false]),
    ("dstnat", [false, true, false, false]),
    ("!dstnat", [true, false, true, true]),
    ("srcnat,dstnat", [true, true, false, true]),
    ("!srcnat,dstnat", [false, false, true, false]),
];

fn rules(state: &str) -> String {
    let rule = format!("firewall filter add chain=forward connection-nat-state={state} action=drop");
    format!("{NAT}\n/ip {rule}\n/ipv6 {rule}")
}

#[test]
fn both_directions_of_a_translated_connection() {
    for hook in HOOKS {
        let passed = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
        let mut rig = firewall();
        rig.rules(NAT).unwrap();
        let run = |rig: &mut Rig, frame: &Frame| {
            rig.run(hook, &frame.port, &frame.bytes()).unwrap().reasons.join(" ")
        };
        for frame in connections().iter().flatten() {
            assert_eq!(run(&mut rig, frame), passed);
        }
        for (state, met) in LINES {
            rig.rules(&rules(state)).unwrap();
            for (number, (packets, met)) in connections().iter().zip(met).enumerate() {
                let expected = if met { "filter-drop" } else { passed };
                // Twice: what passes is remembered.
                for frame in packets.iter().chain(packets) {
                    assert_eq!(run(&mut rig, frame), expected, "{state}, {number}, {hook:?}");
                }
            }
        }
    }
}

/// The source is chosen last, so that the filter does not know of it when a connection begins; the destination is.
#[test]
fn of_a_first_packet_the_destination_is_known() {
    for (state, met) in [
        ("srcnat", [false, false, false, false]),
        ("!srcnat", [true, true, true, true]),
        ("dstnat", [false, true, false, false]),
        ("!dstnat", [true, false, true, true]),
    ] {
        let mut rig = firewall();
        rig.rules(&rules(state)).unwrap();
        for (number, ([first, _], met)) in connections().iter().zip(met).enumerate() {
            let expected = if met { "filter-drop" } else { "forwarded" };
            assert_eq!(reason(&mut rig, first), expected, "{state}, {number}");
        }
    }
}

/// What became of the first packet is not remembered for those that follow: they are of a translated connection.
#[test]
fn of_the_second_packet_the_source_is_known() {
    for hook in HOOKS {
        let mut rig = firewall();
        rig.rules(&rules("srcnat")).unwrap();
        let [[first, _], .., [first6, _]] = connections();
        for frame in [first, first6] {
            let mut run = || rig.run(hook, &frame.port, &frame.bytes()).unwrap().reasons.join(" ");
            assert!(["forwarded", "forwarded-tc"].contains(&run().as_str()), "{hook:?}");
            assert_eq!(run(), "filter-drop", "{hook:?}");
        }
    }
}
