//! `src-port`, `dst-port`, `port`.

use super::*;

#[test]
fn single_ports_ranges_and_lists() {
    let mut rig = firewall();
    let zero = || from_host1().ip("192.0.2.2", "10.1.0.1").udp(0, 65535, 20);
    let lines = [
        ("protocol=udp dst-port=53", udp4(), true),
        ("protocol=udp dst-port=52", udp4(), false),
        ("protocol=udp dst-port=!53", udp4(), false),
        ("protocol=udp dst-port=!52", udp4(), true),
        ("protocol=udp dst-port=53-53", udp4(), true),
        ("protocol=udp dst-port=0-52", udp4(), false),
        ("protocol=udp dst-port=54-65535", udp4(), false),
        ("protocol=udp dst-port=1,2,50-60,99", udp4(), true),
        ("protocol=udp src-port=4000", udp4(), true),
        ("protocol=udp src-port=53", udp4(), false),
        ("protocol=udp port=53", udp4(), true),
        ("protocol=udp port=4000", udp4(), true),
        ("protocol=udp port=54", udp4(), false),
        ("protocol=udp port=!54", udp4(), true),
        ("protocol=udp port=!53", udp4(), false),
        ("protocol=udp port=!4000", udp4(), false),
        ("protocol=udp src-port=0", zero(), true),
        ("protocol=udp dst-port=65535", zero(), true),
        ("protocol=udp src-port=1-65535", zero(), false),
        ("protocol=tcp dst-port=53", udp4(), false),
        ("protocol=tcp dst-port=80", tcp4(2), true),
    ];
    check(&mut rig, FORWARD4, &lines);
    check(&mut rig, RAW4, &lines[..4]);
}
