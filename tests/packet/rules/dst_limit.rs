//! `dst-limit`.

use super::*;

#[test]
fn each_address_has_a_bucket_of_its_own() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall filter\nadd chain=forward dst-limit=1/1h,2,dst-address/1m\nadd chain=forward action=drop",
    )
    .unwrap();
    let other = from_host1().ip("192.0.2.2", "10.1.0.9").udp(4000, 53, 20);
    let reasons: Vec<_> = (0..3).map(|_| reason(&mut rig, &udp4())).collect();
    assert_eq!(reasons, ["forwarded", "forwarded", "filter-drop"]);
    assert_eq!(reason(&mut rig, &other), "forwarded");
}
