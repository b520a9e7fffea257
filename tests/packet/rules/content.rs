//! `content`.

use super::*;

#[test]
fn bytes_anywhere_in_the_payload() {
    let mut rig = firewall();
    // The payload of UDP here is 0, 1, 2, ...: letters from 65 on.
    let udp = |bytes| from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, bytes);
    let udp6 = |bytes| from_host1().ip("2001:db8:1::2", "2001:db8:a1::1").udp(4000, 53, bytes);
    let lines = |udp: &dyn Fn(usize) -> Frame| {
        [
            ("content=ABC", udp(100), true),
            ("content=ABD", udp(100), false),
            ("content=!ABC", udp(100), false),
            ("content=abc", udp(100), true),
            ("content=abc", udp(99), false),
            ("content=ABCDEFGHIJKLMNOPQRSTUVWXYZ", udp(91), true),
            ("content=ABCDEFGHIJKLMNOPQRSTUVWXYZ", udp(90), false),
            ("content=ABCDEFGH", udp(1400), true),
        ]
    };
    check(&mut rig, FORWARD4, &lines(&udp));
    check(&mut rig, FORWARD6, &lines(&udp6));
    let segment = Segment { source: 4000, destination: 21, seq: 1, ack: 1, flags: 24 };
    let tcp = || from_host1().ip("192.0.2.2", "10.1.0.1").tcp(segment, 100);
    check(
        &mut rig,
        FORWARD4,
        &[("protocol=tcp content=ABC", tcp(), true), ("protocol=tcp content=ABE", tcp(), false)],
    );
    // Nothing is found in nothing.
    check(&mut rig, FORWARD4, &[("protocol=tcp content=A", tcp4(16), false)]);
}
