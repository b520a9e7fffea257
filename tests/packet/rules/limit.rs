//! `limit`.

use super::*;

#[test]
fn a_burst_passes_and_packets_of_one_flow_are_not_remembered() {
    let mut rig = firewall();
    rig.rules("/ip firewall filter\nadd chain=forward limit=1/1h,5:packet\nadd chain=forward action=drop")
        .unwrap();
    let reasons: Vec<_> = (0..8).map(|_| reason(&mut rig, &udp4())).collect();
    assert_eq!(reasons, [&["forwarded"; 5][..], &["filter-drop"; 3]].concat());
    assert_eq!(rig.counted(2).unwrap(), [(5, 5 * 48), (3, 3 * 48)]);
    // What another matcher of the rule stops takes no tokens.
    rig.rules("/ip firewall filter\nadd chain=forward protocol=tcp\nadd chain=forward protocol=tcp limit=1/1h,2:packet action=drop").unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
}

#[test]
fn bits_count_by_length() {
    let mut rig = firewall();
    // 48 bytes are 384 bits: two of these packets.
    rig.rules("/ip firewall filter\nadd chain=forward limit=1/1h,800:bit\nadd chain=forward action=drop")
        .unwrap();
    let reasons: Vec<_> = (0..3).map(|_| reason(&mut rig, &udp4())).collect();
    assert_eq!(reasons, ["forwarded", "forwarded", "filter-drop"]);
}
