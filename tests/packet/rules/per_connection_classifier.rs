//! `per-connection-classifier`.

use super::*;

/// How many of 200 flows meet each share; every packet of a flow fares as its first.
fn shares(rig: &mut Rig, fields: &str, denominator: u32, frame: impl Fn(u8) -> Frame) -> Vec<usize> {
    let mut met_by = vec![0; 200];
    let mut shares = Vec::new();
    for remainder in 0..denominator {
        let matcher = format!("per-connection-classifier={fields}:{denominator}/{remainder}");
        rig.rules(&format!("/{FORWARD4} {matcher} action=drop")).unwrap();
        let mut met = 0;
        for (n, met_by) in (0..).zip(&mut met_by) {
            let reasons: Vec<&str> = (0..3).map(|_| reason(rig, &frame(n))).collect();
            assert!(reasons.iter().all(|other| *other == reasons[0]), "{matcher}: {reasons:?}");
            if reasons[0] == "filter-drop" {
                *met_by += 1;
                met += 1;
            }
        }
        shares.push(met);
    }
    assert!(met_by.iter().all(|times| *times == 1), "each flow is of one share");
    shares
}

#[test]
fn flows_are_spread_and_each_stays() {
    let mut rig = firewall();
    let by_source = |n: u8| from_host1().ip(&format!("192.0.2.{}", n.max(2)), "10.1.0.1").udp(4000, 53, 20);
    for denominator in [1, 2, 3] {
        let shares = shares(&mut rig, "src-address", denominator, by_source);
        let least = 200 / denominator as usize * 6 / 10;
        assert!(shares.iter().all(|share| *share >= least), "{shares:?}");
    }
    let by_port = |n: u8| from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000 + u16::from(n), 53, 20);
    let shares_of = shares(&mut rig, "both-addresses-and-ports", 2, by_port);
    assert!(shares_of.iter().all(|share| *share >= 60), "{shares_of:?}");
    // What is not looked at does not matter.
    let same = shares(&mut rig, "both-addresses", 2, by_port);
    assert!(same == [200, 0] || same == [0, 200], "{same:?}");
}
