//! `action=netmap`.

use super::nat::check;

const IN: &str = "10.1.0.9:4000 203.0.113.2:80";
const OUT: &str = "192.0.2.2:4000 10.1.0.1:53";

#[test]
fn a_prefix_of_destinations_stands_for_another() {
    let becomes = "10.1.0.9:4000 192.0.2.2:80";
    check(
        "ip firewall nat add chain=dstnat action=netmap",
        &[
            ("dst-address=203.0.113.0/24 to-addresses=192.0.2.0/24", IN, becomes),
            ("dst-address=203.0.113.0/28 to-addresses=192.0.2.0/28", IN, becomes),
            ("dst-address=203.0.113.2/31 to-addresses=192.0.2.2/31", IN, becomes),
            ("dst-address=203.0.113.2/32 to-addresses=192.0.2.2/32", IN, becomes),
            ("dst-address=203.0.113.2 to-addresses=192.0.2.2", IN, becomes),
            ("dst-address=203.0.113.0/24 to-addresses=192.0.2.0-192.0.2.255", IN, becomes),
            ("protocol=PROTOCOL to-addresses=192.0.2.0/24 to-ports=8080", IN, "10.1.0.9:4000 192.0.2.2:8080"),
            ("dst-address=203.0.112.0/24 to-addresses=192.0.2.0/24", "10.1.0.9:4000 192.0.2.2:80", becomes),
            // Nothing is in common with all addresses.
            ("to-addresses=0.0.0.0/0", "10.1.0.9:4000 192.0.2.2:80", becomes),
        ],
    );
}

#[test]
fn a_prefix_of_sources_stands_for_another() {
    check(
        "ip firewall nat add chain=srcnat action=netmap",
        &[
            ("src-address=192.0.2.0/24 to-addresses=203.0.113.0/24", OUT, "203.0.113.2:4000 10.1.0.1:53"),
            ("src-address=192.0.2.0/28 to-addresses=203.0.113.16/28", OUT, "203.0.113.18:4000 10.1.0.1:53"),
            ("src-address=192.0.2.2/32 to-addresses=203.0.113.7/32", OUT, "203.0.113.7:4000 10.1.0.1:53"),
            ("src-address=192.0.3.0/24 to-addresses=203.0.113.0/24", OUT, OUT),
            ("to-addresses=0.0.0.0/0", OUT, OUT),
        ],
    );
}

#[test]
fn ipv6_too() {
    let sent = "[2001:db8:1::2]:4000 [2001:db8:a1::1]:53";
    check(
        "ipv6 firewall nat add chain=srcnat action=netmap",
        &[
            (
                "src-address=2001:db8:1::/64 to-address=2001:db8:77::/64",
                sent,
                "[2001:db8:77::2]:4000 [2001:db8:a1::1]:53",
            ),
            ("to-address=2001:db8:77::7/128", sent, "[2001:db8:77::7]:4000 [2001:db8:a1::1]:53"),
            ("to-address=::/0", sent, sent),
        ],
    );
}
