//! `connection-mark`, `packet-mark`, `routing-mark`: no mark is 0, and no other is there without mangle.

use super::*;

#[test]
fn what_is_not_marked_has_no_mark() {
    let mut rig = firewall();
    for mark in ["connection-mark", "packet-mark", "routing-mark"] {
        let lines = [("no-mark", true), ("!no-mark", false), ("voice", false), ("!voice", true)];
        for (value, met) in lines {
            check(&mut rig, FORWARD4, &[(&format!("{mark}={value}"), udp4(), met)]);
        }
    }
}
