//! `src-address`, `dst-address`.

use super::*;

#[test]
fn prefixes_ranges_and_single_addresses() {
    let mut rig = firewall();
    let lines = [
        ("src-address=192.0.2.2", udp4(), true),
        ("src-address=192.0.2.2/32", udp4(), true),
        ("src-address=192.0.2.3/32", udp4(), false),
        ("src-address=192.0.2.0/24", udp4(), true),
        ("src-address=0.0.0.0/0", udp4(), true),
        ("src-address=!0.0.0.0/0", udp4(), false),
        ("src-address=192.0.2.2-192.0.2.2", udp4(), true),
        ("src-address=192.0.2.3-192.0.2.9", udp4(), false),
        ("src-address=192.0.1.255-192.0.2.2", udp4(), true),
        ("src-address=!192.0.2.2", udp4(), false),
        ("src-address=!192.0.2.3", udp4(), true),
        ("dst-address=10.1.0.1", udp4(), true),
        ("dst-address=10.0.0.0/8", udp4(), true),
        ("dst-address=10.1.0.2-255.255.255.255", udp4(), false),
        ("dst-address=0.0.0.0-10.1.0.1", udp4(), true),
        ("src-address=192.0.2.2 dst-address=10.1.0.1", udp4(), true),
        ("src-address=192.0.2.2 dst-address=10.1.0.2", udp4(), false),
    ];
    check(&mut rig, FORWARD4, &lines);
    check(&mut rig, RAW4, &lines[..5]);
}

#[test]
fn the_same_of_ipv6() {
    let mut rig = firewall();
    let lines = [
        ("src-address=2001:db8:1::2", udp6(), true),
        ("src-address=2001:db8:1::2/128", udp6(), true),
        ("src-address=2001:db8:1::3/128", udp6(), false),
        ("src-address=2001:db8:1::/64", udp6(), true),
        ("src-address=::/0", udp6(), true),
        ("src-address=!::/0", udp6(), false),
        ("src-address=2001:db8:1::1-2001:db8:1::2", udp6(), true),
        ("src-address=2001:db8:1::3-2001:db8:1::ffff", udp6(), false),
        ("src-address=2001:db8::-2001:db8:1::2", udp6(), true),
        ("src-address=!2001:db8:1::2", udp6(), false),
        ("dst-address=2001:db8:a1::/48", udp6(), true),
        ("dst-address=2001:db8:a1::1/127", udp6(), true),
        ("dst-address=2001:db8:a1::2/127", udp6(), false),
        ("dst-address=::-2001:db8:a1::", udp6(), false),
    ];
    check(&mut rig, FORWARD6, &lines);
    check(&mut rig, RAW6, &lines[..5]);
}

#[test]
fn families_have_rules_of_their_own() {
    let mut rig = firewall();
    check(&mut rig, FORWARD6, &[("", udp4(), false), ("", udp6(), true)]);
    check(&mut rig, FORWARD4, &[("", udp4(), true), ("", udp6(), false)]);
}
