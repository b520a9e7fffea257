//! `action=masquerade`.

use router_tests::packet::{ip, on};

use super::nat::check;
use super::*;
use crate::lab::{HOST2, ROUTER2};

const SAME: &str = "192.0.2.2:4000 10.1.0.1:53";
const MASQUERADED: &str = "198.51.100.1:4000 10.1.0.1:53";

#[test]
fn the_source_is_the_address_of_the_port_that_it_leaves_by() {
    check(
        "ip firewall nat add chain=srcnat action=masquerade",
        &[
            ("", SAME, MASQUERADED),
            ("out-interface=ether2", SAME, MASQUERADED),
            ("out-interface=ether1", SAME, SAME),
            ("src-address=192.0.2.2/32", SAME, MASQUERADED),
            ("src-address=192.0.2.3/32", SAME, SAME),
            ("src-address=0.0.0.0/0", SAME, MASQUERADED),
            ("src-address=192.0.2.2-192.0.2.2", SAME, MASQUERADED),
            ("protocol=PROTOCOL dst-port=53", SAME, MASQUERADED),
            ("protocol=PROTOCOL dst-port=53-53", SAME, MASQUERADED),
            ("protocol=PROTOCOL dst-port=54", SAME, SAME),
            // The other way round.
            ("", "10.1.0.1:4000 192.0.2.2:53", "192.0.2.1:4000 192.0.2.2:53"),
        ],
    );
}

#[test]
fn ports_stay_if_they_may() {
    check(
        "ip firewall nat add chain=srcnat action=masquerade",
        &[
            ("", "192.0.2.2:1 10.1.0.1:65535", "198.51.100.1:1 10.1.0.1:65535"),
            ("", "192.0.2.2:500 10.1.0.1:500", "198.51.100.1:500 10.1.0.1:500"),
            ("", "192.0.2.2:65535 10.1.0.1:1", "198.51.100.1:65535 10.1.0.1:1"),
            ("", "192.0.2.2:0 10.1.0.1:0", "198.51.100.1:0 10.1.0.1:0"),
            ("protocol=PROTOCOL dst-port=0", "192.0.2.2:4000 10.1.0.1:0", "198.51.100.1:4000 10.1.0.1:0"),
            ("protocol=PROTOCOL to-ports=5000", SAME, "198.51.100.1:5000 10.1.0.1:53"),
            ("protocol=PROTOCOL to-ports=5000-5000", SAME, "198.51.100.1:5000 10.1.0.1:53"),
            ("protocol=PROTOCOL to-ports=65535", SAME, "198.51.100.1:65535 10.1.0.1:53"),
            ("protocol=PROTOCOL to-ports=4000-4001", SAME, MASQUERADED),
            ("protocol=PROTOCOL to-ports=1-65535", SAME, MASQUERADED),
            ("protocol=PROTOCOL to-ports=0-65535", SAME, MASQUERADED),
        ],
    );
}

#[test]
fn ipv6_too() {
    let sent = "[2001:db8:1::2]:4000 [2001:db8:a1::1]:53";
    let becomes = "[2001:db8:2::1]:4000 [2001:db8:a1::1]:53";
    check(
        "ipv6 firewall nat add chain=srcnat action=masquerade",
        &[
            ("", sent, becomes),
            ("src-address=::/0", sent, becomes),
            ("src-address=2001:db8:1::2/128", sent, becomes),
            ("src-address=2001:db8:1::3/128", sent, sent),
            ("protocol=PROTOCOL to-ports=1", sent, "[2001:db8:2::1]:1 [2001:db8:a1::1]:53"),
        ],
    );
}

/// Two addresses of a port, and routes that prefer one.
const ADDRESSES: &str = "
address add 203.0.113.129/25 dev ether2
address add 2001:db8:4::1/64 dev ether2 nodad
neighbor add 203.0.113.130 lladdr 02:00:00:00:02:02 dev ether2 nud permanent
neighbor add 2001:db8:4::2 lladdr 02:00:00:00:02:02 dev ether2 nud permanent
route add 10.9.0.0/16 via 203.0.113.130
route add 10.10.0.0/16 via 198.51.100.2 src 203.0.113.129
route add 10.11.0.0/16 via 198.51.100.2 src 192.0.2.1
route add 2001:db8:aa::/48 via 2001:db8:2::2 src 2001:db8:4::1
";

/// Linux 6.7 is the first whose FIB tells programs the source.
fn need_fib_source() {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    if (numbers.next(), numbers.next()) < (Some(6), Some(7)) {
        lab::skip!("the FIB of Linux {} tells no source", release.trim());
    }
}

#[test]
fn of_several_addresses_the_route_says_which() {
    need_fib_source();
    for hook in HOOKS {
        let mut rig = firewall();
        ip(ADDRESSES).unwrap();
        rig.rules(
            "/ip firewall nat add chain=srcnat action=masquerade\n\
             /ipv6 firewall nat add chain=srcnat action=masquerade",
        )
        .unwrap();
        for (source, destination, becomes) in [
            ("192.0.2.2", "10.1.0.1", "198.51.100.1"),
            ("192.0.2.2", "10.9.0.1", "203.0.113.129"),
            ("192.0.2.2", "203.0.113.130", "203.0.113.129"),
            ("192.0.2.2", "10.10.0.1", "203.0.113.129"),
            ("192.0.2.2", "10.11.0.1", "192.0.2.1"),
            ("2001:db8:1::2", "2001:db8:4::2", "2001:db8:4::1"),
            ("2001:db8:1::2", "2001:db8:aa::1", "2001:db8:4::1"),
            ("2001:db8:1::2", "2001:db8:2::2", "2001:db8:2::1"),
        ] {
            // The second packet finds its connection.
            for round in 0..2 {
                let sent = from_host1().ip(source, destination).udp(4000, 53, 20);
                let answer = rig.run(hook, "ether1", &sent.bytes()).unwrap();
                let expected = on("ether2", ROUTER2, HOST2).ip(becomes, destination).udp(4000, 53, 20);
                let expected = expected.ttl(63).packet();
                let seen = router_tests::packet::describe(&answer.frame);
                assert_eq!(answer.frame[14..], expected, "{hook:?} {destination}, round {round}: {seen}");
            }
        }
    }
}

#[test]
fn what_the_host_sends_has_the_address_of_its_route_too() {
    need_fib_source();
    let mut rig = firewall();
    ip(ADDRESSES).unwrap();
    rig.rules("/ip firewall nat add chain=srcnat action=masquerade").unwrap();
    let sent = on("ether2", ROUTER2, HOST2).ip("192.0.2.1", "10.9.0.1").udp(4000, 53, 20);
    let answer = rig.run(Hook::TcEgress, "ether2", &sent.bytes()).unwrap();
    let expected = on("ether2", ROUTER2, HOST2).ip("203.0.113.129", "10.9.0.1").udp(4000, 53, 20);
    assert_eq!(answer.frame[14..], expected.packet(), "{}", router_tests::packet::describe(&answer.frame));
}
