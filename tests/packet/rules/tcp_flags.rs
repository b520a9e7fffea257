//! `tcp-flags`.

use super::*;

#[test]
fn all_listed_are_set_and_all_negated_are_clear() {
    let mut rig = firewall();
    let lines = [
        ("protocol=tcp tcp-flags=syn", tcp4(2), true),
        ("protocol=tcp tcp-flags=syn,!ack", tcp4(2), true),
        ("protocol=tcp tcp-flags=syn,!ack", tcp4(0x12), false),
        ("protocol=tcp tcp-flags=!syn", tcp4(2), false),
        ("protocol=tcp tcp-flags=!syn", tcp4(0x10), true),
        ("protocol=tcp tcp-flags=fin,psh,!urg", tcp4(9), true),
        ("protocol=tcp tcp-flags=!fin,!syn,!rst,!ack", tcp4(0), true),
    ];
    check(&mut rig, RAW4, &lines[..6]);
    let after = || tcp4(0x10);
    // A flow whose packets differ in it is never remembered.
    rig.rules("/ip firewall filter add chain=forward protocol=tcp tcp-flags=psh action=drop").unwrap();
    assert_eq!(reason(&mut rig, &after()), "forwarded");
    assert_eq!(reason(&mut rig, &after()), "forwarded");
    assert_eq!(reason(&mut rig, &tcp4(0x18)), "filter-drop");
}
