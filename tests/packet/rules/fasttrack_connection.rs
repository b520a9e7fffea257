//! `fasttrack-connection`.

use super::*;
use router_common::maps::flow::status;
use router_common::maps::rule::FASTTRACK_SLOTS;

/// Fasttracks what is answered, and drops the rest of it.
const RULES: &str = "/ip firewall filter
add chain=forward connection-state=established action=fasttrack-connection
add chain=forward connection-state=new
add chain=forward action=drop";

fn fasttracking() -> Rig {
    let mut rig = router();
    let flags = tracking::ENABLED | tracking::LOOSE | tracking::FASTTRACK;
    rig.track(Tracking { flags, ..Tracking::default() }).unwrap();
    rig.rules(RULES).unwrap();
    rig
}

fn answer() -> Frame {
    from_host2().ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20)
}

fn fasttracked(rig: &mut Rig) -> usize {
    let flows = rig.flows4().unwrap();
    flows.iter().filter(|flow| flow.entry.word as u32 & status::FASTTRACK != 0).count()
}

#[test]
fn packets_of_fasttracked_connections_meet_no_rules() {
    for hook in HOOKS {
        let mut rig = fasttracking();
        let passed = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
        let run = |rig: &mut Rig, frame: Frame| {
            rig.run(hook, &frame.port, &frame.bytes()).unwrap().reasons.join(" ")
        };
        assert_eq!(run(&mut rig, udp4()), passed);
        assert_eq!(fasttracked(&mut rig), 0, "nobody has answered");
        // The packet that meets the rule still meets those behind it.
        assert_eq!(run(&mut rig, answer()), "filter-drop");
        assert_eq!(fasttracked(&mut rig), 2);
        for _ in 0..3 {
            assert_eq!(run(&mut rig, answer()), passed);
            assert_eq!(run(&mut rig, udp4()), passed);
        }
        let packets: Vec<u64> = rig.counted(3).unwrap().into_iter().map(|(packets, _)| packets).collect();
        assert_eq!(packets, [1, 1, 1]);
        assert_eq!(rig.counted_at(FASTTRACK_SLOTS).unwrap(), (6, 6 * 48));
        // Kept over a reload; raw rules are skipped too. The slow path is needed once a direction.
        rig.rules(&format!(
            "{RULES}
/ip firewall raw add chain=prerouting action=drop"
        ))
        .unwrap();
        assert_eq!(run(&mut rig, answer()), passed);
        rig.slow_path(false).unwrap();
        assert_eq!(run(&mut rig, answer()), passed);
    }
}

#[test]
fn icmp_is_not_fasttracked() {
    let mut rig = fasttracking();
    let request = from_host1().ip("192.0.2.2", "10.1.0.1").icmp(8, 0, [0, 7, 0, 1], &[1; 8]);
    let reply = from_host2().ip("10.1.0.1", "192.0.2.2").icmp(0, 0, [0, 7, 0, 1], &[1; 8]);
    assert_eq!(reason(&mut rig, &request), "forwarded");
    reason(&mut rig, &reply);
    assert_eq!(fasttracked(&mut rig), 0);
}
