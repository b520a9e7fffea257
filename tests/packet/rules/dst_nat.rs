//! `action=dst-nat`.

use super::nat::check;

const SENT: &str = "10.1.0.9:4000 198.51.100.1:8080";
const FORWARDED: &str = "10.1.0.9:4000 192.0.2.2:80";

#[test]
fn the_destination_is_what_the_rule_says() {
    check(
        "ip firewall nat add chain=dstnat action=dst-nat",
        &[
            ("protocol=PROTOCOL dst-port=8080 to-addresses=192.0.2.2 to-ports=80", SENT, FORWARDED),
            (
                "protocol=PROTOCOL dst-port=8080-8080 to-addresses=192.0.2.2/32 to-ports=80-80",
                SENT,
                FORWARDED,
            ),
            ("protocol=PROTOCOL to-addresses=192.0.2.2-192.0.2.2 to-ports=80", SENT, FORWARDED),
            ("protocol=PROTOCOL dst-port=8081 to-addresses=192.0.2.2 to-ports=80", SENT, SENT),
            ("to-addresses=192.0.2.2", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("dst-address=198.51.100.1/32 to-addresses=192.0.2.2", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("dst-address=0.0.0.0/0 to-addresses=192.0.2.2", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("dst-address=198.51.100.2/32 to-addresses=192.0.2.2", SENT, SENT),
            ("dst-address-type=local to-addresses=192.0.2.2", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("in-interface=ether2 to-addresses=192.0.2.2", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("in-interface=ether1 to-addresses=192.0.2.2", SENT, SENT),
        ],
    );
}

#[test]
fn a_port_in_the_range_stays() {
    check(
        "ip firewall nat add chain=dstnat action=dst-nat protocol=PROTOCOL",
        &[
            ("to-addresses=192.0.2.2 to-ports=8000-8090", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("to-addresses=192.0.2.2 to-ports=0-65535", SENT, "10.1.0.9:4000 192.0.2.2:8080"),
            ("to-addresses=192.0.2.2 to-ports=65535", SENT, "10.1.0.9:4000 192.0.2.2:65535"),
            (
                "to-addresses=192.0.2.2 dst-port=0",
                "10.1.0.9:4000 198.51.100.1:0",
                "10.1.0.9:4000 192.0.2.2:0",
            ),
            (
                "to-addresses=192.0.2.2 dst-port=0 to-ports=80",
                "10.1.0.9:4000 198.51.100.1:0",
                "10.1.0.9:4000 192.0.2.2:80",
            ),
            // Without an address: another port of the same host.
            ("to-ports=80", SENT, "10.1.0.9:4000 198.51.100.1:80"),
            ("to-ports=80", "192.0.2.2:4000 10.1.0.9:8080", "192.0.2.2:4000 10.1.0.9:80"),
        ],
    );
}

#[test]
fn ipv6_too() {
    let sent = "[2001:db8:a1::9]:4000 [2001:db8:2::1]:8080";
    check(
        "ipv6 firewall nat add chain=dstnat action=dst-nat",
        &[
            ("to-address=2001:db8:1::2/128", sent, "[2001:db8:a1::9]:4000 [2001:db8:1::2]:8080"),
            (
                "dst-address=2001:db8:2::1/128 protocol=PROTOCOL to-address=2001:db8:1::2/128 to-ports=80",
                sent,
                "[2001:db8:a1::9]:4000 [2001:db8:1::2]:80",
            ),
            (
                "dst-address=::/0 to-address=2001:db8:1::2/128",
                sent,
                "[2001:db8:a1::9]:4000 [2001:db8:1::2]:8080",
            ),
            ("dst-address=2001:db8:2::2/128 to-address=2001:db8:1::2/128", sent, sent),
        ],
    );
}
