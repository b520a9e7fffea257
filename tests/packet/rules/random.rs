//! `random`.

use super::*;

#[test]
fn about_so_many_of_a_hundred_are_met() {
    let mut rig = firewall();
    for (percent, least, most) in [(1, 0, 30), (50, 120, 280), (99, 370, 400)] {
        rig.rules(&format!("/{FORWARD4} random={percent} action=drop")).unwrap();
        let met = (0..400).filter(|_| reason(&mut rig, &udp4()) == "filter-drop").count();
        assert!((least..=most).contains(&met), "{percent}: {met}");
    }
}
