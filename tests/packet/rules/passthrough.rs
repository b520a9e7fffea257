//! `action=passthrough`: counts and goes on.

use super::*;

#[test]
fn each_rule_counts_packets_and_bytes_exactly() {
    let mut rig = firewall();
    rig.rules(
        "/ip firewall filter\nadd chain=forward action=passthrough\nadd chain=forward action=passthrough protocol=tcp\n\
         add chain=forward action=passthrough\nadd chain=forward",
    )
    .unwrap();
    for hook in HOOKS {
        for _ in 0..10 {
            rig.run(hook, "ether1", &udp4().bytes()).unwrap();
        }
    }
    let all = (20, 20 * 48);
    assert_eq!(rig.counted(4).unwrap(), [all, (0, 0), all, all]);
}
