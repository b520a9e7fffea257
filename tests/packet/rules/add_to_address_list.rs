//! `action=add-src-to-address-list`, `action=add-dst-to-address-list`.

use super::*;

#[test]
fn an_address_is_a_member_at_once_and_for_a_time() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall filter\nadd chain=forward src-address-list=knocked action=drop\n\
         add chain=forward protocol=udp dst-port=53 action=add-src-to-address-list address-list=knocked \
         address-list-timeout=10s",
    )
    .unwrap();
    let other = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4001, 99, 20);
    // A flow that is remembered while its source is in no list.
    assert_eq!(reason(&mut rig, &other), "forwarded");
    assert_eq!(reason(&mut rig, &other), "forwarded");
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    assert_eq!(reason(&mut rig, &other), "filter-drop");
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
    rig.control(|control| control.tick += 9).unwrap();
    assert_eq!(reason(&mut rig, &other), "filter-drop");
    rig.control(|control| control.tick += 1).unwrap();
    assert_eq!(reason(&mut rig, &other), "forwarded");
}

#[test]
fn the_destination_may_be_added_too() {
    let mut rig = firewall();
    rig.rules(
        "/ipv6 firewall filter\nadd chain=forward dst-address-list=seen action=drop\n\
         add chain=forward action=add-dst-to-address-list address-list=seen",
    )
    .unwrap();
    assert_eq!(reason(&mut rig, &udp6()), "forwarded");
    assert_eq!(reason(&mut rig, &udp6()), "filter-drop");
    rig.control(|control| control.tick += 1_000_000).unwrap();
    assert_eq!(reason(&mut rig, &udp6()), "filter-drop");
}
