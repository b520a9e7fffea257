//! `/ip firewall connection tracking`.

use config::{Errors, Tree};
use router_common::conntrack::timeout::Class;
use router_common::maps::flow::{self, tracking};
use router_common::maps::image::{
    HEADER, Matchers, Record, Rule, action, chain, dimension, header, matcher, root, word,
};

use crate::desired::RuleImage;
use crate::settings::record;
use crate::view::Tracking;

/// Timers and switches of connection tracking. `enabled=auto` tracks as soon as there is a rule.
pub fn compile(tree: &Tree, rules: &RuleImage) -> Result<flow::Tracking, Errors> {
    let view: Tracking = record(tree, "ip/firewall/connection/tracking")?;
    let mut compiled = flow::Tracking::default();
    for (class, milliseconds) in [
        (Class::SynSent, view.syn_sent_ms),
        (Class::SynReceived, view.syn_received_ms),
        (Class::Established, view.established_ms),
        (Class::FinWait, view.fin_wait_ms),
        (Class::CloseWait, view.close_wait_ms),
        (Class::LastAck, view.last_ack_ms),
        (Class::TimeWait, view.time_wait_ms),
        (Class::Close, view.close_ms),
        (Class::MaxRetrans, view.max_retrans_ms),
        (Class::Unacked, view.unacked_ms),
        (Class::Udp, view.udp_ms),
        (Class::UdpStream, view.udp_stream_ms),
        (Class::Icmp, view.icmp_ms),
        (Class::Generic, view.generic_ms),
    ] {
        compiled.timeouts.set(class, u32::try_from(milliseconds.div_ceil(1000)).unwrap_or(u32::MAX));
    }
    let enabled = view.enabled == "yes" || view.enabled == "auto" && !rules.rules.is_empty();
    let cell = |index: u32| rules.cells.get(index as usize);
    let all = || rules.rules.iter().filter_map(|rule| cell(rule.cell)).map(Rule::of);
    let fasttracks = all().any(|rule| rule.action == action::FASTTRACK);
    let asks = |bit: u32| {
        all()
            .filter_map(|rule| cell(rule.matchers))
            .map(Matchers::of)
            .any(|matchers| matchers.present & bit != 0)
    };
    let root = |family: usize, of: usize| {
        let roots = cell(HEADER).and_then(|top| cell(word(top, family as u32) + 1));
        roots.map_or(0, |roots| word(roots, of as u32))
    };
    let families = [header::ROOT4, header::ROOT6];
    let asks_types =
        families.iter().any(|family| root(*family, root::DIMENSIONS) >> dimension::TYPE & 1 != 0);
    let empty = |family: usize| {
        let chains = cell(HEADER).and_then(|top| cell(word(top, family as u32)));
        let is_empty = |chain: &u32| {
            chains.is_none_or(|ranges| word(ranges, *chain) & 0xffff == word(ranges, *chain) >> 16)
        };
        (0..chain::COUNT).filter(is_empty).fold(0, |bits, chain| bits | 1 << chain)
    };
    compiled.empty = empty(header::ROOT4) | empty(header::ROOT6) << flow::EMPTY6_SHIFT;
    let [shield4, shield6] = families.map(|family| root(family, root::SHIELD) != 0);
    for (flag, on) in [
        (tracking::ENABLED, enabled),
        (tracking::LOOSE, view.loose),
        (tracking::LIBERAL, view.liberal),
        (tracking::FASTTRACK, fasttracks),
        (tracking::NO_TYPES, !asks_types),
        (tracking::NO_LISTS, !asks(matcher::SRC_LIST | matcher::DST_LIST)),
        (tracking::MSS, asks(matcher::TCP_MSS)),
        (tracking::OPTIONS, asks(matcher::OPTIONS | matcher::HEADERS)),
        (tracking::PAYLOAD, asks(matcher::CONTENT)),
        (tracking::SHIELD4, shield4),
        (tracking::SHIELD6, shield6),
    ] {
        compiled.flags |= if on { flag } else { 0 };
    }
    Ok(compiled)
}

#[cfg(test)]
mod tests {
    use config::Tree;
    use router_common::maps::flow::{self, tracking};
    use router_common::maps::image::chain;

    use crate::HostFacts;

    fn flags(text: &str) -> u32 {
        let tree = config::import(&Tree::new(), text).unwrap().tree;
        crate::compile(&tree, &HostFacts::default()).unwrap().image.tracking.flags
    }

    #[test]
    fn a_rule_turns_tracking_on_and_a_fasttracking_one_says_so() {
        assert_eq!(flags("") & (tracking::ENABLED | tracking::FASTTRACK), 0);
        let rule = "/ip firewall filter add chain=forward connection-state=established";
        assert_eq!(flags(rule) & (tracking::ENABLED | tracking::FASTTRACK), tracking::ENABLED);
        let fasttrack = format!("{rule} action=fasttrack-connection");
        assert_ne!(flags(&fasttrack) & tracking::FASTTRACK, 0);
        assert_eq!(flags(&format!("{fasttrack} disabled=yes")) & tracking::FASTTRACK, 0);
    }

    #[test]
    fn chains_without_rules_are_not_walked() {
        let text = "/ip firewall mangle add chain=forward action=passthrough\n\
                    /ipv6 firewall filter add chain=own action=drop";
        let tree = config::import(&Tree::new(), text).unwrap().tree;
        let empty = crate::compile(&tree, &HostFacts::default()).unwrap().image.tracking.empty;
        let all = (1 << chain::COUNT) - 1;
        assert_eq!(empty, all & !(1 << chain::MANGLE_FORWARD) | all << flow::EMPTY6_SHIFT);
        let none = crate::compile(&Tree::new(), &HostFacts::default()).unwrap().image.tracking.empty;
        assert_eq!(none, all | all << flow::EMPTY6_SHIFT);
    }

    #[test]
    fn what_no_rule_asks_is_not_looked_up() {
        let none = tracking::NO_TYPES | tracking::NO_LISTS;
        let rule = "/ip firewall filter add chain=forward action=drop";
        assert_eq!(flags(rule) & none, none);
        assert_eq!(flags(&format!("{rule} dst-address-type=local")) & none, tracking::NO_LISTS);
        let list = format!(
            "{rule} src-address-list=seen\n/ip firewall filter add chain=input action=add-src-to-address-list \
                            address-list=seen address-list-timeout=1m"
        );
        assert_eq!(flags(&list) & none, tracking::NO_TYPES);
        assert_eq!(flags(&list) & (tracking::SHIELD4 | tracking::SHIELD6), 0);
        let v6 = "/ipv6 firewall filter add chain=forward action=drop src-address-type=multicast";
        assert_eq!(flags(v6) & none, tracking::NO_LISTS);
    }

    #[test]
    fn raw_rules_that_drop_lists_at_once_are_a_shield() {
        let shields = |rules: &str| {
            let lists = "/ip firewall address-list\nadd list=bad address=10.0.0.0/8\nadd list=worse address=192.0.2.1\n";
            flags(&format!("{lists}/ip firewall raw\n{rules}")) & tracking::SHIELD4 != 0
        };
        assert!(shields("add chain=prerouting action=drop src-address-list=bad"));
        assert!(shields(
            "add chain=prerouting action=drop src-address-list=bad comment=x\nadd chain=output action=drop"
        ));
        for not in [
            "action=drop src-address-list=!bad",
            "action=drop dst-address-list=bad",
            "action=notrack \
                     src-address-list=bad",
            "action=drop src-address-list=bad in-interface=ether1",
            "action=drop \
                     src-address-list=bad log=yes",
        ] {
            assert!(!shields(&format!("add chain=prerouting {not}")), "{not}");
        }
        assert!(!shields("add chain=output action=drop src-address-list=bad"));
        assert!(!shields(
            "add chain=prerouting action=accept protocol=tcp\n\
                          add chain=prerouting action=drop src-address-list=bad"
        ));
    }
}
