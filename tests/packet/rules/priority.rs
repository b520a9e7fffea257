//! `priority`, `ingress-priority`, `set-priority`, and what the host's queues are told.

use super::*;

#[test]
fn what_was_set_is_seen_by_the_rules_behind_it() {
    let mut rig = firewall();
    let set = |new: &str| {
        format!("/ip firewall mangle add chain=prerouting action=set-priority new-priority={new}\n")
    };
    for (new, tos, priority) in [
        ("5", 0, 5),
        ("from-dscp", 46 << 2, 46),
        ("from-dscp-high-3-bits", 46 << 2, 5),
        ("from-ingress", 46 << 2, 0),
    ] {
        for (value, met) in
            [(priority.to_string(), true), (format!("!{priority}"), false), ("63".to_owned(), false)]
        {
            rig.rules(&format!("{}/{FORWARD4} priority={value} action=drop", set(new))).unwrap();
            assert_eq!(reason(&mut rig, &udp4().tos(tos)) == "filter-drop", met, "{new}, {value}");
        }
    }
    check(&mut rig, FORWARD4, &[("ingress-priority=0", udp4(), true), ("ingress-priority=1", udp4(), false)]);
}

#[test]
fn the_host_is_told_mark_and_priority() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall mangle add chain=forward action=mark-packet new-packet-mark=voice\n\
         /ip firewall mangle add chain=forward action=set-priority new-priority=6",
    )
    .unwrap();
    // ether5 can't be redirected to by XDP: what goes there goes up.
    let frame = || from_host1().ip("192.0.2.2", "10.6.0.1").udp(4000, 53, 20);
    for _ in 0..3 {
        let answer = rig.run(Hook::Xdp, "ether1", &frame().bytes()).unwrap();
        assert_eq!(answer.reasons, ["handed-over"]);
        assert_eq!(answer.handover.unwrap().class, 6 << 16 | 1);
        let answer = rig.run(Hook::TcIngress, "ether1", &frame().bytes()).unwrap();
        assert_eq!((answer.reasons, answer.mark & 0xffff), (vec!["forwarded-tc"], 1));
    }
}
