//! What rules come to, and which are refused.

use config::{Tree, import};
use router_common::maps::image::{chain, nat_flag, nat_kind};

use super::rule::{self, Action, Rules};
use crate::facts::{HostLink, Timed};
use crate::{Desired, HostFacts, compile};

fn facts() -> HostFacts {
    let link = |ifindex: u32| HostLink {
        ifindex,
        name: format!("ether{}", ifindex - 1),
        mac: vec![2, 0, 0, 0, 0, ifindex as u8],
        mtu_bytes: 1500,
        ..HostLink::default()
    };
    HostFacts { links: (2..=4).map(link).collect(), ..HostFacts::default() }
}

/// Ports ether1 to ether3 have the indices 2 to 4.
const PORTS: &str = "/interface ethernet\nset [ find default-name=ether1 ] comment=a\n\
    set [ find default-name=ether2 ] comment=b\nset [ find default-name=ether3 ] comment=c\n";

fn tried(text: &str) -> Result<Desired, Vec<String>> {
    let tree = import(&Tree::new(), &format!("{PORTS}{text}")).unwrap_or_else(|e| panic!("{e}")).tree;
    compile(&tree, &facts()).map_err(|errors| errors.0.iter().map(ToString::to_string).collect())
}

fn plan(text: &str) -> Desired {
    tried(text).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn refused(text: &str) -> Vec<String> {
    tried(text).err().unwrap_or_default()
}

fn forward(rules: &Rules) -> &[std::sync::Arc<super::rule::Rule>] {
    &rules.chains[chain::FILTER_FORWARD as usize].rules
}

/// The interfaces that the first forward rule takes, of 2 to 5.
fn taken(text: &str) -> Vec<u32> {
    let desired = plan(text);
    let rule = &forward(&desired.firewall.v4)[0];
    (2..=5).filter(|index| rule.matches.input.iter().all(|is| is.value.contains(index) != is.not)).collect()
}

#[test]
fn without_rules_there_is_no_image() {
    let desired = plan(
        "/ip firewall filter add chain=forward disabled=yes\n/ip firewall address-list add list=a address=192.0.2.1",
    );
    assert!(desired.image.rules.cells.is_empty() && desired.gaps.is_empty() && desired.inactive.is_empty());
}

#[test]
fn lists_of_interfaces_are_their_members() {
    const LISTS: &str = "/interface list add name=LAN\n/interface list add name=WAN\n\
        /interface list add name=BOTH include=LAN,WAN\n/interface list add name=REST exclude=LAN include=all\n\
        /interface list member add list=LAN interface=ether2\n/interface list member add list=LAN interface=ether3\n\
        /interface list member add list=LAN interface=ether1 disabled=yes\n\
        /interface list member add list=WAN interface=ether1\n";
    for (matcher, expected) in [
        ("in-interface-list=LAN", &[3, 4][..]),
        ("in-interface-list=!LAN", &[2, 5]),
        ("in-interface-list=BOTH", &[2, 3, 4]),
        ("in-interface-list=REST", &[2, 5]),
        ("in-interface-list=all", &[2, 3, 4, 5]),
        ("in-interface-list=static", &[2, 3, 4, 5]),
        ("in-interface-list=none", &[]),
        ("in-interface-list=!none", &[2, 3, 4, 5]),
        ("in-interface-list=dynamic", &[]),
        ("in-interface=ether2", &[3]),
        ("in-interface=!ether2", &[2, 4, 5]),
        ("in-interface=all-ethernet", &[2, 3, 4]),
        ("in-interface=all-vlan", &[]),
        ("in-interface=ether2 in-interface-list=LAN", &[3]),
        ("in-interface=ether1 in-interface-list=LAN", &[]),
    ] {
        let text = format!("{LISTS}/ip firewall filter add chain=forward {matcher}");
        assert_eq!(taken(&text), expected, "{matcher}");
    }
}

#[test]
fn an_interface_that_is_not_there_makes_a_rule_invalid() {
    let desired = plan("/ip firewall filter add chain=forward in-interface=!ether9 action=drop");
    assert!(desired.image.rules.cells.is_empty());
    assert_eq!(desired.inactive.iter().filter(|item| item.menu == "/ip/firewall/filter").count(), 1);
}

#[test]
fn what_a_rule_names_and_nothing_has_is_a_gap() {
    let rules = "/ip firewall filter\nadd chain=forward in-interface=lan action=drop\nadd chain=forward out-interface-list=!TRUSTED action=drop";
    let desired = plan(rules);
    let gaps: Vec<_> = desired.gaps.iter().map(|gap| (gap.span.line, gap.what.as_str())).collect();
    assert_eq!(
        gaps,
        [
            (6, "input does not match any value of in-interface"),
            (7, "input does not match any value of out-interface-list")
        ]
    );
}

#[test]
fn what_is_not_built_is_a_gap_with_its_place() {
    let desired = plan(
        "/ip firewall filter\nadd chain=forward tls-host=a.example action=drop\nadd chain=forward routing-table=main\nadd chain=forward",
    );
    let gaps: Vec<_> = desired.gaps.iter().map(|gap| (gap.span.line, gap.what.as_str())).collect();
    // Three lines set the ports up, and one opens the menu.
    assert_eq!(gaps, [(6, "tls-host"), (7, "routing-table")]);
    assert_eq!(forward(&desired.firewall.v4).len(), 1);
}

#[test]
fn gaps_say_why() {
    let desired = plan(
        "/interface bridge add name=bridge1\n/interface bridge port add bridge=bridge1 interface=ether2\n\
         /interface list add name=lan\n/ip firewall filter\n\
         add chain=forward in-bridge-port=ether2 action=drop\nadd chain=forward out-bridge-port-list=lan",
    );
    let gaps: Vec<&str> = desired.gaps.iter().map(|gap| gap.what.as_str()).collect();
    let expected = [
        "in-bridge-port (bridge bridge1 is not built yet)",
        "out-bridge-port-list (bridge bridge1 is not built yet)",
    ];
    assert_eq!(gaps, expected);
}

/// Nothing comes by a bridge where there is none.
#[test]
fn what_is_no_port_of_a_bridge_is_never_met_as_one() {
    let desired = plan(
        "/interface list add name=lan\n/ip firewall filter\n\
         add chain=forward in-bridge-port=ether1\nadd chain=forward in-bridge-port=!ether1\n\
         add chain=forward out-bridge-port-list=lan\nadd chain=forward out-bridge-port-list=!lan",
    );
    let inactive: Vec<&str> = desired.inactive.iter().map(|item| item.reason.as_str()).collect();
    assert_eq!(inactive, ["in/out-bridge-port matcher not possible when interface (ether1) is not slave"]);
    assert_eq!(forward(&desired.firewall.v4).len(), 3);
}

#[test]
fn entries_with_a_timeout_are_in_force_while_the_host_knows_them() {
    let mut facts = facts();
    let number = rule::name_number("a");
    facts.timed = vec![
        (number, false, Timed::Range("10.0.0.0".parse().unwrap(), "10.255.255.255".parse().unwrap())),
        (number, false, Timed::Name("example.com".into())),
        (number, true, Timed::Range("2001:db8::".parse().unwrap(), "2001:db8::f".parse().unwrap())),
        (rule::name_number("unused"), false, Timed::Name("example.net".into())),
    ];
    let rule = "firewall filter add chain=forward src-address-list=a action=drop\n";
    let tree = import(&Tree::new(), &format!("{PORTS}/ip {rule}/ipv6 {rule}")).unwrap().tree;
    let desired = compile(&tree, &facts).unwrap();
    let list = |rules: &Rules| rules.lists.iter().find(|list| list.id == number).unwrap().entries.to_vec();
    assert_eq!(list(&desired.firewall.v4), [(10 << 24, (11 << 24) - 1)]);
    assert_eq!(list(&desired.firewall.v6).len(), 1);
    let names: Vec<&str> = desired.names.iter().map(|name| name.name.as_str()).collect();
    assert_eq!(names, ["example.com"]);
}

#[test]
fn routeros_refuses_these_with_their_place() {
    const SLAVE: &str =
        "/interface bridge add name=bridge1\n/interface bridge port add bridge=bridge1 interface=ether2\n";
    for (text, error) in [
        (
            "/ip firewall raw add chain=prerouting out-interface=ether1",
            "failure: outgoing interface matching not possible in input and prerouting chains (prerouting) (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=input out-interface-list=all",
            "failure: outgoing interface matching not possible in input and prerouting chains (input) (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=output in-interface=ether1",
            "failure: incoming interface matching not possible in output and postrouting chains (output) (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward dst-port=80",
            "failure: ports can be specified if proto is tcp,udp,udp-lite,dccp,sctp (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward protocol=!tcp port=80",
            "failure: ports can be specified if proto is tcp,udp,udp-lite,dccp,sctp (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward tcp-flags=syn",
            "failure: tcp-flags can be specified only if proto is tcp (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward action=reject reject-with=tcp-reset",
            "failure: reject-with tcp-reset can be used only if proto is tcp (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward action=jump",
            "missing value(s) of argument(s) jump-target (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward action=jump jump-target=forward",
            "failure: jump loop: chain forward comes back to itself (line 5 column 1)",
        ),
        (
            "/ip firewall nat add chain=srcnat action=dst-nat to-addresses=192.0.2.1",
            "failure: dst-nat action must be in dstnat or output chain (line 5 column 1)",
        ),
        (
            "/ip firewall nat add chain=srcnat action=src-nat",
            "failure: action src-nat requires to-addresses (line 5 column 1)",
        ),
        (
            "/ip firewall filter add chain=forward limit=abc",
            "invalid value for argument limit (line 5 column 1)",
        ),
    ] {
        assert_eq!(refused(text), [error], "{text}");
    }
    let slave = format!("{SLAVE}/ip firewall filter add chain=forward in-interface=ether2");
    assert_eq!(
        refused(&slave),
        [
            "failure: in/out-interface matcher not possible when interface (ether2) is slave - use master instead (bridge1) (line 7 column 1)"
        ]
    );
}

#[test]
fn jumps_may_go_sixteen_deep_and_no_loop() {
    let chain = |depth: usize| -> String {
        (0..depth)
            .map(|n| {
                let from = if n == 0 { "forward".to_owned() } else { format!("c{n}") };
                format!("/ip firewall filter add chain={from} action=jump jump-target=c{}\n", n + 1)
            })
            .chain([format!("/ip firewall filter add chain=c{depth}\n")])
            .collect()
    };
    assert!(tried(&chain(16)).is_ok());
    assert_eq!(refused(&chain(17)), ["failure: more than 16 jumps follow each other (line 5 column 1)"]);
    let around = "/ip firewall filter\nadd chain=forward action=jump jump-target=a\nadd chain=a action=jump jump-target=b\nadd chain=b action=jump jump-target=a";
    assert_eq!(refused(around), ["failure: jump loop: chain a comes back to itself (line 8 column 1)"]);
    // A chain without rules is fine.
    let desired = plan("/ip firewall filter add chain=forward action=jump jump-target=nowhere");
    assert_eq!(forward(&desired.firewall.v4)[0].action, Action::Jump(None));
}

#[test]
fn actions_of_nat_carry_their_parameters() {
    let desired = plan(
        "/ip firewall nat\nadd chain=srcnat action=masquerade out-interface=ether1 to-ports=1024-2047\n\
         add chain=srcnat action=src-nat to-addresses=198.51.100.8-198.51.100.11 randomise-ports=yes\n\
         add chain=dstnat action=netmap to-addresses=198.51.100.0/28\n\
         /ipv6 firewall nat add chain=dstnat action=dst-nat to-address=2001:db8::5 protocol=tcp to-ports=80",
    );
    let nat =
        |rules: &Rules, chain: u32, index: usize| match &rules.chains[chain as usize].rules[index].action {
            Action::Nat(nat) => **nat,
            other => panic!("{other:?}"),
        };
    let v4 = &desired.firewall.v4;
    let masquerade = nat(v4, chain::NAT_SRCNAT, 0);
    assert_eq!((masquerade.kind, masquerade.flags), (nat_kind::MASQUERADE, nat_flag::PORTS));
    assert_eq!((masquerade.port_from, masquerade.port_to), (1024, 2047));
    let pool = nat(v4, chain::NAT_SRCNAT, 1);
    assert_eq!(
        (pool.from[..4].to_vec(), pool.to[..4].to_vec()),
        (vec![198, 51, 100, 8], vec![198, 51, 100, 11])
    );
    assert_eq!(pool.flags, nat_flag::ADDRESSES | nat_flag::RANDOMISE_PORTS);
    let map = nat(v4, chain::NAT_DSTNAT, 0);
    assert_eq!((map.kind, map.prefix_length), (nat_kind::NETMAP, 28));
    assert_eq!((map.flags, map.to[3]), (nat_flag::ADDRESSES | nat_flag::PREFIX, 15));
    let inside = nat(&desired.firewall.v6, chain::NAT_DSTNAT, 0);
    assert_eq!((inside.kind, inside.port_from, inside.from[15]), (nat_kind::DST_NAT, 80, 5));
}

#[test]
fn nat_of_the_host_itself_names_what_it_cannot_do() {
    let desired = plan(
        "/ip firewall nat\nadd chain=output action=dst-nat to-addresses=192.0.2.1\n\
         add chain=input action=src-nat to-addresses=192.0.2.1\n\
         add chain=output action=redirect protocol=tcp to-ports=80\nadd chain=input action=masquerade",
    );
    for chain in [chain::NAT_OUTPUT, chain::NAT_INPUT] {
        assert_eq!(desired.firewall.v4.chains[chain as usize].rules.len(), 1);
    }
    let gaps: Vec<&str> = desired.gaps.iter().map(|gap| gap.what.as_str()).collect();
    let [redirect, masquerade] = gaps[..] else { panic!("{gaps:?}") };
    assert!(redirect.starts_with("action=redirect in chain=output"), "{redirect}");
    assert!(masquerade.starts_with("action=masquerade in chain=input"), "{masquerade}");
}

#[test]
fn an_ipsec_policy_of_none_holds_where_there_is_no_ipsec() {
    const RULES: &str = "/ip firewall filter add chain=forward ipsec-policy=out,none\n\
        /ip firewall filter add chain=forward ipsec-policy=in,ipsec\n";
    let desired = plan(RULES);
    assert_eq!(forward(&desired.firewall.v4).len(), 1);
    assert!(desired.gaps.is_empty());
    let policy = "/ip ipsec policy add src-address=192.0.2.0/24 dst-address=198.51.100.0/24 action=discard\n";
    assert_eq!(plan(&format!("{policy}{RULES}")).gaps.len(), 2);
}

#[test]
fn an_edited_rule_keeps_its_key_and_another_text() {
    let rule = |desired: &Desired| {
        let rule = &forward(&desired.firewall.v4)[0];
        (rule.key, rule.text)
    };
    let tree = import(&Tree::new(), "/ip firewall filter add chain=forward comment=x").unwrap().tree;
    let edited = import(&tree, "/ip firewall filter set 0 action=drop").unwrap().tree;
    let renamed = import(&tree, "/ip firewall filter set 0 comment=y").unwrap().tree;
    let [a, b, c] = [tree, edited, renamed].map(|tree| rule(&compile(&tree, &facts()).unwrap()));
    assert!(a.0 == b.0 && a.1 != b.1);
    assert_eq!(a, c);
}

#[test]
fn twenty_thousand_rules_fit_and_forty_thousand_are_refused() {
    let rules = |count: usize| {
        let lines =
            (0..count).map(|n| format!("add chain=forward dst-address=10.{}.{}.1\n", n / 256, n % 256));
        format!("/ip firewall filter\n{}", lines.collect::<String>())
    };
    assert_eq!(plan(&rules(20_000)).image.rules.rules.len(), 20_000);
    assert_eq!(refused(&rules(40_000)), ["failure: 40000 rules of one family, more than 32768"]);
}
