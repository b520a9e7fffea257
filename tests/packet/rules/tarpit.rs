//! `tarpit`: a connection is accepted in the host's name, and held.

use super::*;
use crate::lab::{HOST1, ROUTER1};
use router_tests::packet::on;

#[test]
fn who_opens_is_let_in_and_then_held() {
    let mut rig = firewall();
    let rule = "chain=forward action=tarpit protocol=tcp";
    rig.rules(&format!("/ip firewall filter add {rule}\n/ipv6 firewall filter add {rule}")).unwrap();
    let ends = |family: u8| match family {
        4 => ("192.0.2.2", "10.1.0.1"),
        _ => ("2001:db8:1::2", "2001:db8:a1::1"),
    };
    for hook in HOOKS {
        for family in [4, 6] {
            let (source, destination) = ends(family);
            let segment = |flags: u8, payload| {
                let header = Segment { source: 4000, destination: 80, seq: 1000, ack: 5000, flags };
                from_host1().ip(source, destination).tcp(header, payload)
            };
            // SYN -> SYN and ACK with a window of five bytes; data -> an acknowledgment of nothing, without a window.
            for (flags, payload, (seq, ack, answer, window)) in
                [(2, 0, (0, 1001, 18, 5)), (16, 0, (5000, 1000, 16, 0)), (24, 5, (5000, 1000, 16, 0))]
            {
                let found = rig.run(hook, "ether1", &segment(flags, payload).bytes()).unwrap();
                assert_eq!(found.egress.as_deref(), Some("ether1"), "{hook:?} {family} {flags}");
                assert!(found.reasons.contains(&"tarpit"), "{:?}", found.reasons);
                let header = Segment { source: 80, destination: 4000, seq, ack, flags: answer };
                let wanted =
                    on("ether1", ROUTER1, HOST1).ip(destination, source).tcp(header, 0).window(window);
                // In tc the neighbour's address is put in behind the program.
                assert_eq!(found.frame[14..], wanted.bytes()[14..], "{hook:?} {family} {flags}");
            }
            // What ends is dropped.
            for flags in [4, 17] {
                let found = rig.run(hook, "ether1", &segment(flags, 0).bytes()).unwrap();
                assert_eq!(found.reasons, ["tarpit"], "{flags}");
            }
        }
    }
}
