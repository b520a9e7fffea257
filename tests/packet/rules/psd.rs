//! `psd`.

use super::*;

fn probe(port: u16) -> Frame {
    from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, port, 20)
}

#[test]
fn a_source_that_asks_for_many_ports_scans() {
    let mut rig = firewall();
    // Low ports weigh three, others one.
    rig.rules(&format!("/{FORWARD4} protocol=udp psd=21,3s,3,1 action=drop")).unwrap();
    let met = |rig: &mut Rig, port| reason(rig, &probe(port)) == "filter-drop";
    let low: Vec<bool> = (1..=8).map(|port| met(&mut rig, port)).collect();
    assert_eq!(low, [false, false, false, false, false, false, true, true]);
    // Another source is none.
    assert_eq!(reason(&mut rig, &from_host1().ip("192.0.2.3", "10.1.0.1").udp(4000, 9, 20)), "forwarded");
    // Silence for longer than the delay ends it.
    rig.control(|control| control.tick += 4).unwrap();
    let high: Vec<bool> = (2000..2024).map(|port| met(&mut rig, port)).collect();
    assert_eq!(high.iter().position(|met| *met), Some(20));
    // One port again and again weighs once.
    rig.control(|control| control.tick += 4).unwrap();
    assert!((0..50).all(|_| !met(&mut rig, 53)));
}
