//! `connection-bytes`, `connection-rate`.

use super::*;

#[test]
fn a_connection_is_met_from_so_many_bytes_of_both_directions_on() {
    let mut rig = firewall();
    // 48 bytes of IP each.
    rig.rules(&format!("/{FORWARD4} protocol=udp connection-bytes=150-250 action=drop")).unwrap();
    let reply = from_host2().ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20);
    let frames = [udp4(), udp4(), reply, udp4(), udp4(), udp4(), udp4()];
    let met: Vec<bool> = frames.iter().map(|frame| reason(&mut rig, frame) == "filter-drop").collect();
    assert_eq!(met, [false, false, false, true, true, false, false]);
    rig.rules(&format!("/{FORWARD4} protocol=udp connection-bytes=1k-0 action=drop")).unwrap();
    let met = (0..20).filter(|_| reason(&mut rig, &udp4()) == "filter-drop").count();
    assert!((5..20).contains(&met), "{met}");
    // Only of TCP and UDP.
    rig.rules(&format!("/{FORWARD4} connection-bytes=0-0 action=drop")).unwrap();
    let ping = from_host1().ip("192.0.2.2", "10.1.0.1").icmp(8, 0, [0, 7, 0, 1], &[1; 8]);
    assert_eq!(reason(&mut rig, &ping), "forwarded");
}

#[test]
fn the_rate_is_that_of_the_second_before() {
    let mut rig = firewall();
    rig.rules(&format!("/{FORWARD4} protocol=udp connection-rate=1k-100M action=drop")).unwrap();
    // The first second has no rate yet: ten packets of 48 bytes, 3840 bits.
    for _ in 0..10 {
        assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    }
    rig.control(|control| control.tick += 1).unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
    // Silence, and the rate is gone.
    rig.control(|control| control.tick += 9).unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
}
