//! `action=masquerade`.

use super::nat::check;

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
