//! `action=notrack`.

use super::*;

#[test]
fn such_packets_are_untracked() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall raw add chain=prerouting action=notrack protocol=udp\n\
         /ip firewall filter\nadd chain=forward connection-state=untracked action=drop",
    )
    .unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
    assert_eq!(reason(&mut rig, &tcp4(2)), "forwarded");
    assert_eq!(rig.flows4().unwrap().len(), 2);
}
