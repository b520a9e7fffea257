//! `route`: to a gateway, whatever the route says.

use super::*;

#[test]
fn a_packet_goes_by_the_gateway_that_the_rule_names() {
    let mut rig = firewall();
    let route =
        |gateway: &str| format!("/ip firewall mangle add chain=prerouting action=route route-dst={gateway}");
    rig.rules(&route("203.0.113.2")).unwrap();
    for _ in 0..2 {
        // Its own route leads to ether2.
        let answer = rig.run(Hook::Xdp, "ether1", &udp4().bytes()).unwrap();
        assert_eq!((answer.reasons, answer.egress.as_deref()), (vec!["forwarded"], Some("ether3")));
        let answer = rig.run(Hook::TcIngress, "ether1", &udp4().bytes()).unwrap();
        assert_eq!((answer.reasons, answer.egress.as_deref()), (vec!["forwarded-tc"], Some("ether3")));
        assert_eq!(answer.next_hop, Some("203.0.113.2".parse().unwrap()));
    }
    // A gateway that nothing leads to takes the packet nowhere.
    rig.rules(&route("172.16.0.1")).unwrap();
    let answer = rig.run(Hook::Xdp, "ether1", &udp4().bytes()).unwrap();
    assert!(answer.reasons.contains(&"no-route"), "{:?}", answer.reasons);
}
