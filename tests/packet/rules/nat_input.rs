//! `/ip firewall nat chain=input`: another source for what is delivered to the host.

use router_tests::packet::on;

use super::*;
use crate::lab::{HOST3, ROUTER3};

fn query(source: &str) -> Frame {
    from_host1().ip(source, "192.0.2.1").udp(4000, 53, 20)
}

#[test]
fn the_host_sees_another_source_and_its_answer_finds_back() {
    for hook in HOOKS {
        let mut rig = firewall();
        rig.rules(
            "/ip firewall nat\nadd chain=input protocol=udp dst-port=53 action=src-nat to-addresses=203.0.113.2\n\
             add chain=srcnat action=src-nat to-addresses=203.0.113.9\n\
             /ip firewall filter add chain=input src-address=192.0.2.2",
        )
        .unwrap();
        for _ in 0..2 {
            let answer = rig.run(hook, "ether1", &query("192.0.2.2").bytes()).unwrap();
            assert_eq!(answer.reasons, ["local"], "{hook:?} {}", answer.action);
            assert_eq!(answer.frame[14..], query("203.0.113.2").packet(), "{hook:?}");
        }
        assert_eq!(rig.counted_at(2).unwrap().0, 2, "the filter sees the source as it came");
        // The host answers to where its route to the new source leads: the answer leaves where the client is.
        let sent = on("ether3", ROUTER3, HOST3).ip("192.0.2.1", "203.0.113.2").udp(53, 4000, 20);
        let answer = rig.run(Hook::TcEgress, "ether3", &sent.bytes()).unwrap();
        assert_eq!((answer.action, answer.mark), (7, settings().mark_done), "{hook:?}");
        let expected = on("ether3", ROUTER3, HOST3).ip("192.0.2.1", "192.0.2.2").udp(53, 4000, 20);
        assert_eq!(answer.frame[14..], expected.packet(), "{hook:?}");
    }
}

#[test]
fn what_is_forwarded_does_not_meet_the_chain() {
    let mut rig = firewall();
    rig.rules("/ip firewall nat add chain=input action=src-nat to-addresses=203.0.113.2").unwrap();
    let answer = rig.run(Hook::Xdp, "ether1", &udp4().bytes()).unwrap();
    assert_eq!(answer.reasons, ["forwarded"]);
    assert_eq!(answer.frame[26..30], [192, 0, 2, 2]);
}
