//! Rules change while connections stand.

use super::{Talk, home};

/// Rules see each packet of a connection, so a rule in front of the one that lets connections pass ends it.
#[test]
fn a_new_rule_is_in_force_for_standing_connections_on_their_next_packet() {
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwpol{mode}"), mode, "");
        let talk = Talk::new(&router);
        assert!(talk.passes() && talk.is_answered(), "{mode}");
        let rule = |command: &str| router.ctl(&[&format!("/ip firewall filter {command}")]);
        const FIRST: &str = "place-before=[find comment=fwd-known]";

        rule(&format!("add action=drop chain=forward comment=stop protocol=udp {FIRST}"));
        assert!(!talk.passes() && !talk.is_answered(), "{mode}: a drop in front");
        rule("disable [find comment=stop]");
        assert!(talk.passes() && talk.is_answered(), "{mode}: disabled");
        rule("enable [find comment=stop]");
        assert!(!talk.passes(), "{mode}: enabled");
        rule("set [find comment=stop] in-interface=ether2");
        assert!(talk.passes() && !talk.is_answered(), "{mode}: one direction");
        rule("set [find comment=stop] !in-interface connection-state=new");
        assert!(talk.passes() && talk.is_answered(), "{mode}: new ones only");
        assert!(!Talk::new(&router).passes(), "{mode}: new ones only");
        rule("set [find comment=stop] !connection-state");
        assert!(!talk.passes(), "{mode}: all");
        rule("move [find comment=fwd-known] destination=[find comment=stop]");
        assert!(talk.passes() && talk.is_answered(), "{mode}: behind what passes connections");
        assert!(!Talk::new(&router).passes(), "{mode}: behind what passes connections");
        rule("remove [find comment=stop]");
        assert!(Talk::new(&router).passes(), "{mode}: removed");
    }
}

/// Translation is decided once, by a connection's first packet.
#[test]
fn translation_of_standing_connections_stays() {
    let router = home("fwkeep", "xdp", "");
    let talk = Talk::new(&router);
    assert!(talk.passes() && talk.is_answered());
    assert_eq!(talk.seen_as(), "198.51.100.1");
    router.ctl(&["/ip firewall nat disable [find comment=masquerade]"]);
    assert!(talk.passes() && talk.is_answered());
    assert_eq!(talk.seen_as(), "198.51.100.1");
    router.b().ip("route add 192.0.2.0/24 via 198.51.100.1").unwrap();
    let untranslated = Talk::new(&router);
    assert!(untranslated.passes());
    assert_eq!(untranslated.seen_as(), "192.0.2.2");
}
