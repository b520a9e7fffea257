//! `action=redirect`.

use super::nat::check;

const SENT: &str = "192.0.2.2:4000 10.1.0.1:53";

#[test]
fn the_destination_is_the_address_of_the_port_that_it_comes_in_by() {
    let own = "192.0.2.2:4000 192.0.2.1:53";
    check(
        "ip firewall nat add chain=dstnat action=redirect",
        &[
            ("", SENT, own),
            ("dst-address=0.0.0.0/0", SENT, own),
            ("dst-address=10.1.0.1/32", SENT, own),
            ("dst-address=10.1.0.2/32", SENT, SENT),
            ("protocol=PROTOCOL dst-port=53", SENT, own),
            ("protocol=PROTOCOL dst-port=53-53 to-ports=53", SENT, own),
            ("protocol=PROTOCOL to-ports=5353", SENT, "192.0.2.2:4000 192.0.2.1:5353"),
            ("protocol=PROTOCOL to-ports=5353-5353", SENT, "192.0.2.2:4000 192.0.2.1:5353"),
            ("protocol=PROTOCOL to-ports=50-60", SENT, own),
            (
                "protocol=PROTOCOL dst-port=0 to-ports=1",
                "192.0.2.2:4000 10.1.0.1:0",
                "192.0.2.2:4000 192.0.2.1:1",
            ),
            ("", "10.1.0.1:4000 192.0.2.2:80", "10.1.0.1:4000 198.51.100.1:80"),
        ],
    );
}

#[test]
fn ipv6_too() {
    let sent = "[2001:db8:1::2]:4000 [2001:db8:a1::1]:53";
    check(
        "ipv6 firewall nat add chain=dstnat action=redirect",
        &[
            ("", sent, "[2001:db8:1::2]:4000 [2001:db8:1::1]:53"),
            ("protocol=PROTOCOL to-ports=5353", sent, "[2001:db8:1::2]:4000 [2001:db8:1::1]:5353"),
        ],
    );
}
