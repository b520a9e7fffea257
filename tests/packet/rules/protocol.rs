//! `protocol`.

use super::*;

#[test]
fn by_name_and_number() {
    let mut rig = firewall();
    let gre = || from_host1().ip("192.0.2.2", "10.1.0.1").raw(47, &[0, 0, 8, 0, 1, 2, 3, 4]);
    check(
        &mut rig,
        FORWARD4,
        &[
            ("protocol=udp", udp4(), true),
            ("protocol=17", udp4(), true),
            ("protocol=tcp", udp4(), false),
            ("protocol=!tcp", udp4(), true),
            ("protocol=!udp", udp4(), false),
            ("protocol=gre", gre(), true),
            ("protocol=0", gre(), false),
            ("protocol=255", gre(), false),
        ],
    );
    check(&mut rig, FORWARD6, &[("protocol=udp", udp6(), true), ("protocol=icmpv6", udp6(), false)]);
}

#[test]
fn behind_extension_headers() {
    let mut rig = firewall();
    let frame = || {
        let body = [0x0f, 0xa0, 0, 53, 0, 12, 0, 0, 1, 2, 3, 4];
        from_host1()
            .ip("2001:db8:1::2", "2001:db8:a1::1")
            .extension(60, &[0, 0, 1, 4, 0, 0, 0, 0])
            .raw(17, &body)
    };
    check(
        &mut rig,
        RAW6,
        &[("protocol=udp dst-port=53", frame(), true), ("protocol=udp dst-port=54", frame(), false)],
    );
}
