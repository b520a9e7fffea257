//! `packet-size`.

use super::*;

#[test]
fn bytes_of_the_ip_packet() {
    let mut rig = firewall();
    // 20 bytes of payload behind 28 of headers.
    check(
        &mut rig,
        FORWARD4,
        &[
            ("packet-size=48", udp4(), true),
            ("packet-size=48-48", udp4(), true),
            ("packet-size=0-47", udp4(), false),
            ("packet-size=49-65535", udp4(), false),
            ("packet-size=!48", udp4(), false),
            ("packet-size=!0-47", udp4(), true),
        ],
    );
    // One flow, two sizes: nothing is remembered.
    rig.rules("/ip firewall filter add chain=forward packet-size=100-65535 action=drop").unwrap();
    let large = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 200);
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    assert_eq!(reason(&mut rig, &large), "filter-drop");
}
