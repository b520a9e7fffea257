//! `action=jump`, `action=return`.

use super::*;

#[test]
fn there_and_back() {
    let mut rig = firewall();
    let rules = "/ip firewall filter\nadd chain=forward action=jump jump-target=a\n\
        add chain=forward protocol=udp action=drop\nadd chain=a protocol=tcp action=drop\n\
        add chain=a action=jump jump-target=b\nadd chain=a action=accept dst-address=10.1.0.9\n\
        add chain=b src-port=4000 protocol=udp dst-port=54 action=accept\nadd chain=b action=return\nadd chain=b action=drop";
    rig.rules(rules).unwrap();
    let to = |host: &str, port: u16| from_host1().ip("192.0.2.2", host).udp(4000, port, 20);
    assert_eq!(reason(&mut rig, &to("10.1.0.1", 53)), "filter-drop");
    assert_eq!(reason(&mut rig, &to("10.1.0.9", 53)), "forwarded");
    assert_eq!(reason(&mut rig, &to("10.1.0.1", 54)), "forwarded");
    assert_eq!(reason(&mut rig, &tcp4(2)), "filter-drop");
    let packets: Vec<u64> = rig.counted(8).unwrap().into_iter().map(|(packets, _)| packets).collect();
    // In the order of the chains: forward, a, b.
    assert_eq!(packets, [4, 1, 1, 3, 1, 1, 2, 0]);
}

#[test]
fn sixteen_deep_and_a_chain_without_rules() {
    let mut rig = firewall();
    let mut rules = "/ip firewall filter\nadd chain=forward action=jump jump-target=c1\n".to_owned();
    for depth in 1..16 {
        rules += &format!("add chain=c{depth} action=jump jump-target=c{}\n", depth + 1);
    }
    rules +=
        "add chain=c16 dst-address=10.1.0.9 action=drop\nadd chain=forward dst-address=10.1.0.8 action=drop";
    rig.rules(&rules).unwrap();
    let to = |host: &str| from_host1().ip("192.0.2.2", host).udp(4000, 53, 20);
    assert_eq!(reason(&mut rig, &to("10.1.0.9")), "filter-drop");
    assert_eq!(reason(&mut rig, &to("10.1.0.8")), "filter-drop");
    assert_eq!(reason(&mut rig, &to("10.1.0.7")), "forwarded");
    rig.rules(
        "/ip firewall filter\nadd chain=forward action=jump jump-target=none\nadd chain=forward action=drop",
    )
    .unwrap();
    assert_eq!(reason(&mut rig, &to("10.1.0.7")), "filter-drop");
    rig.rules("/ip firewall filter\nadd chain=forward action=return\nadd chain=forward action=drop").unwrap();
    assert_eq!(reason(&mut rig, &to("10.1.0.7")), "forwarded");
}
