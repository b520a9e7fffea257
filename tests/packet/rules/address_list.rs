//! `src-address-list`, `dst-address-list`.

use super::*;

const LIST: &str = "ip firewall address-list add list=bad address=192.0.2.2\n\
    /ip firewall address-list add list=net address=192.0.2.0/24\n\
    /ip firewall address-list add list=net address=198.51.100.0-198.51.100.255\n\
    /ip firewall address-list add list=far address=10.1.0.1\n\
    /ip firewall address-list add list=off address=192.0.2.2 disabled=yes\n/";

#[test]
fn members_of_lists() {
    let mut rig = firewall();
    for table in [FORWARD4, RAW4] {
        check(
            &mut rig,
            &format!("{LIST}{table}"),
            &[
                ("src-address-list=bad", udp4(), true),
                ("src-address-list=!bad", udp4(), false),
                ("src-address-list=net", udp4(), true),
                ("src-address-list=far", udp4(), false),
                ("dst-address-list=far", udp4(), true),
                ("dst-address-list=net", udp4(), false),
                ("src-address-list=net dst-address-list=far", udp4(), true),
                ("src-address-list=off", udp4(), false),
                ("src-address-list=absent", udp4(), false),
                ("src-address-list=!absent", udp4(), true),
            ],
        );
    }
    let six = "ipv6 firewall address-list add list=six address=2001:db8:1::/64\n\
        /ipv6 firewall address-list add list=one address=2001:db8:a1::1\n/";
    check(
        &mut rig,
        &format!("{six}{FORWARD6}"),
        &[
            ("src-address-list=six", udp6(), true),
            ("src-address-list=one", udp6(), false),
            ("dst-address-list=one", udp6(), true),
            ("dst-address-list=!one", udp6(), false),
        ],
    );
}
