//! `action=log`, `log=yes`.

use super::*;
use router_common::facts::connection_state;

#[test]
fn every_packet_that_matches_is_told_of() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall filter\nadd chain=forward action=log protocol=udp\nadd chain=forward action=drop log=yes log-prefix=x",
    )
    .unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
    let logged = rig.logged().unwrap();
    assert_eq!(logged.iter().map(|packet| packet.key).collect::<Vec<_>>(), [1, 2]);
    let facts = logged[0].facts;
    assert_eq!((facts.src_port, facts.dst_port, facts.length_bytes), (4000, 53, 48));
    assert_eq!((facts.state, facts.src_mac), (connection_state::NEW, [2, 0, 0, 0, 1, 2]));
    assert_eq!(Some(facts.out_ifindex), rig.ifindex("ether2"));
    assert_eq!(reason(&mut rig, &tcp4(2)), "filter-drop");
    assert_eq!(rig.logged().unwrap().len(), 1);
}

#[test]
fn no_more_than_so_many_a_second_and_the_rest_is_counted() {
    use router_common::maps::rule::LOGGED_MAX;
    let mut rig = firewall();
    rig.rules("/ip firewall raw add chain=prerouting log=yes action=drop").unwrap();
    for _ in 0..LOGGED_MAX + 7 {
        reason(&mut rig, &udp4());
    }
    assert_eq!(rig.logged().unwrap().len(), LOGGED_MAX as usize);
    rig.control(|control| control.tick += 1).unwrap();
    reason(&mut rig, &udp4());
    assert_eq!(rig.logged().unwrap()[0].lost, 7);
}
