//! `nth`.

use super::*;

#[test]
fn every_so_many_packets_one_is_met() {
    let mut rig = firewall();
    let values = [
        ("3,1", [1, 0, 0, 1, 0, 0]),
        ("3,3", [0, 0, 1, 0, 0, 1]),
        ("1,1", [1; 6]),
        ("!2,1", [0, 1, 0, 1, 0, 1]),
    ];
    for (number, (value, expected)) in values.into_iter().enumerate() {
        // Rules before it, so that each has a counter that has not been used.
        let before = "/ip firewall filter add chain=forward protocol=gre\n".repeat(number);
        rig.rules(&format!("{before}/{FORWARD4} nth={value} action=drop")).unwrap();
        let met: Vec<u8> = (0..6).map(|_| u8::from(reason(&mut rig, &udp4()) == "filter-drop")).collect();
        assert_eq!(met, expected, "{value}");
    }
}
