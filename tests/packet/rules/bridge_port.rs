//! `in-bridge-port`, `out-bridge-port`, `in-bridge-port-list`, `out-bridge-port-list`: nothing comes by a bridge where
//! there is none.

use super::*;

#[test]
fn no_packet_came_in_by_a_port_of_a_bridge() {
    let mut rig = firewall();
    for side in ["in", "out"] {
        for v6 in [false, true] {
            let (rules, frame) = if v6 { (FORWARD6, udp6()) } else { (FORWARD4, udp4()) };
            for (value, met) in [("bridge-port=!ether1", true), ("bridge-port-list=all", false)] {
                check(&mut rig, rules, &[(&format!("{side}-{value}"), frame.clone(), met)]);
            }
            check(&mut rig, rules, &[(&format!("{side}-bridge-port-list=!all"), frame.clone(), true)]);
        }
    }
}
