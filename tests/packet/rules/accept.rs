//! `action=accept`, `action=drop`.

use super::*;

#[test]
fn the_first_rule_that_decides_ends_the_table() {
    let mut rig = firewall();
    for table in ["ip firewall filter", "ip firewall raw"] {
        let (chain, drop) =
            if table.ends_with("raw") { ("prerouting", "raw-drop") } else { ("forward", "filter-drop") };
        rig.rules(&format!("/{table}\nadd chain={chain}\nadd chain={chain} action=drop")).unwrap();
        assert_eq!(reason(&mut rig, &udp4()), "forwarded", "{table}");
        rig.rules(&format!("/{table}\nadd chain={chain} action=drop\nadd chain={chain}")).unwrap();
        assert_eq!(reason(&mut rig, &udp4()), drop, "{table}");
        rig.rules(&format!("/{table}\nadd chain={chain} action=drop disabled=yes")).unwrap();
        assert_eq!(reason(&mut rig, &udp4()), "forwarded", "{table}");
    }
}

#[test]
fn input_is_for_the_router_and_forward_is_not() {
    let mut rig = firewall();
    let to_router = from_host1().ip("192.0.2.2", "192.0.2.1").udp(4000, 53, 20);
    rig.rules("/ip firewall filter add chain=input action=drop").unwrap();
    assert_eq!(reason(&mut rig, &to_router), "filter-drop");
    assert_eq!(reason(&mut rig, &udp4()), "forwarded");
    rig.rules("/ip firewall filter add chain=forward action=drop").unwrap();
    assert_eq!(reason(&mut rig, &to_router), "local");
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
}

#[test]
fn ten_thousand_rules_are_walked_to_the_last() {
    let mut rig = firewall();
    let rules: String = (0..9_999)
        .map(|n| format!("add chain=forward dst-address=10.9.{}.{} action=accept\n", n / 256, n % 256))
        .collect();
    rig.rules(&format!("/ip firewall filter\n{rules}add chain=forward dst-address=10.1.0.0/16 action=drop"))
        .unwrap();
    assert_eq!(reason(&mut rig, &udp4()), "filter-drop");
    assert_eq!(reason(&mut rig, &from_host1().ip("192.0.2.2", "198.51.100.2").udp(1, 2, 3)), "forwarded");
}
