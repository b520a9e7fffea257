//! `action=src-nat`.

use std::collections::BTreeSet;

use super::nat::check;
use super::*;

const SAME: &str = "192.0.2.2:4000 10.1.0.1:53";
const BECOMES: &str = "203.0.113.9:4000 10.1.0.1:53";

#[test]
fn the_source_is_what_the_rule_says() {
    check(
        "ip firewall nat add chain=srcnat action=src-nat",
        &[
            ("to-addresses=203.0.113.9", SAME, BECOMES),
            ("to-addresses=203.0.113.9/32", SAME, BECOMES),
            ("to-addresses=203.0.113.9-203.0.113.9", SAME, BECOMES),
            ("to-addresses=203.0.113.9 src-address=192.0.2.0/24", SAME, BECOMES),
            ("to-addresses=203.0.113.9 src-address=!192.0.2.0/24", SAME, SAME),
            ("to-addresses=203.0.113.9 dst-address=0.0.0.0/0", SAME, BECOMES),
            // What it is already.
            ("to-addresses=192.0.2.2", SAME, SAME),
            ("to-addresses=203.0.113.9 protocol=PROTOCOL to-ports=7", SAME, "203.0.113.9:7 10.1.0.1:53"),
            ("to-addresses=203.0.113.9 protocol=PROTOCOL to-ports=7-7", SAME, "203.0.113.9:7 10.1.0.1:53"),
            ("to-addresses=203.0.113.9 protocol=PROTOCOL to-ports=3999-4000", SAME, BECOMES),
            ("to-addresses=203.0.113.9", "192.0.2.2:0 10.1.0.1:0", "203.0.113.9:0 10.1.0.1:0"),
        ],
    );
}

#[test]
fn ipv6_too() {
    let sent = "[2001:db8:1::2]:4000 [2001:db8:a1::1]:53";
    check(
        "ipv6 firewall nat add chain=srcnat action=src-nat",
        &[
            ("to-address=2001:db8:77::7/128", sent, "[2001:db8:77::7]:4000 [2001:db8:a1::1]:53"),
            (
                "to-address=2001:db8:77::7/128 protocol=PROTOCOL to-ports=1",
                sent,
                "[2001:db8:77::7]:1 [2001:db8:a1::1]:53",
            ),
        ],
    );
}

#[test]
fn a_host_keeps_its_address_out_of_several() {
    for to in ["203.0.113.8/29", "203.0.113.8-203.0.113.15"] {
        let mut rig = firewall();
        rig.rules(&format!("/ip firewall nat add chain=srcnat action=src-nat to-addresses={to}")).unwrap();
        let mut all = BTreeSet::new();
        for host in 2..100 {
            let mut source = |port, destination| {
                let frame = from_host1().ip(&format!("192.0.2.{host}"), destination).udp(port, 53, 20);
                let answer = rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap();
                assert_eq!(answer.reasons, ["forwarded"], "{to}");
                [answer.frame[26], answer.frame[27], answer.frame[28], answer.frame[29]]
            };
            let chosen = source(4000, "10.1.0.1");
            assert_eq!(source(4001, "10.1.0.1"), chosen, "{to}: another port");
            assert_eq!(source(4000, "10.1.0.2"), chosen, "{to}: another destination");
            all.insert(chosen);
        }
        let expected: BTreeSet<_> = (8..16).map(|last| [203, 0, 113, last]).collect();
        assert_eq!(all, expected, "{to}");
    }
}
