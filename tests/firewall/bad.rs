//! Bad rules against a running router: RouterOS's words, the place, and the rules before them stay in force.

use std::{fmt::Write, fs};

use lab::routerctl;

use super::{HOME, Talk, home};
use router_tests::support::{B4, BASE, Router, pings};

/// Applies the configuration with more lines; gives what was said where it was refused.
fn refusal(router: &Router, more: &str) -> String {
    let file = router.file();
    fs::write(&file, format!("{BASE}{HOME}{more}\n")).unwrap();
    let out = routerctl(router.netns(), &["apply", file.to_str().unwrap()]).unwrap();
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(!out.status.success(), "taken: {more}\n{said}");
    said
}

/// Line and column of a statement that stands in the n-th line after the good ones.
fn at(line: usize, column: usize) -> String {
    format!(":{}:{column}: ", BASE.lines().count() + HOME.lines().count() + line)
}

const FILTER: &str = "/ip firewall filter add action=drop chain=forward";

#[test]
fn bad_rules_are_refused_with_their_place_and_the_old_ones_stay_in_force() {
    let router = home("fwbad", "xdp", "");
    let talk = Talk::new(&router);
    assert!(talk.passes() && talk.is_answered());
    let before = router.ctl(&["export"]);
    for (text, line, column, expected) in [
        (
            &*format!("{FILTER} in-interface-list=absent"),
            1,
            1,
            "input does not match any value of in-interface-list",
        ),
        (&format!("{FILTER} out-interface=absent0"), 1, 1, "input does not match any value of out-interface"),
        (
            &format!("{FILTER} src-address=192.0.2.9-192.0.2.1"),
            1,
            63,
            "invalid value for argument src-address",
        ),
        (
            "/ip firewall address-list add address=192.0.2.9-192.0.2.1 list=shut",
            1,
            1,
            "failure: 192.0.2.9-192.0.2.1 is not a valid dns name",
        ),
        (&format!("{FILTER} dst-port=90-80 protocol=tcp"), 1, 60, "invalid value for argument dst-port"),
        (
            &format!("{FILTER} dst-port=80"),
            1,
            1,
            "failure: ports can be specified if proto is tcp,udp,udp-lite,dccp,sctp",
        ),
        (
            "/ip firewall filter\nadd action=jump chain=forward jump-target=one\nadd action=jump chain=one jump-target=two\n\
             add action=jump chain=two jump-target=one",
            4,
            1,
            "failure: jump loop: chain one comes back to itself",
        ),
        (
            "/ip firewall filter add action=jump chain=forward",
            1,
            1,
            "missing value(s) of argument(s) jump-target",
        ),
        (
            "/ip firewall raw add action=drop chain=prerouting out-interface=ether1",
            1,
            1,
            "failure: outgoing interface matching not possible in input and prerouting chains (prerouting)",
        ),
        (
            "/ip firewall filter add action=drop chain=output in-interface=ether1",
            1,
            1,
            "failure: incoming interface matching not possible in output and postrouting chains (output)",
        ),
        (
            "/interface bridge add name=bridge1\n/interface bridge port add bridge=bridge1 interface=ether3\n\
             /ip firewall filter add action=drop chain=forward in-interface=ether3",
            3,
            1,
            "failure: in/out-interface matcher not possible when interface (ether3) is slave - use master instead (bridge1)",
        ),
    ] {
        let said = refusal(&router, text);
        let wanted = at(line, column);
        let place = said.lines().any(|said| said.contains(&wanted) && said.contains(expected));
        assert!(place, "{text}\n wanted {wanted}{expected}\n{said}");
        assert!(talk.passes() && talk.is_answered(), "{text}");
    }
    assert_eq!(router.ctl(&["export"]), before);
    // What the rules keep out stays out.
    router.b().ip("route add 192.0.2.0/24 via 198.51.100.1").unwrap();
    assert_eq!(super::curl(router.b(), "-m 1 http://192.0.2.2/"), "0");
    assert!(router.packets("filter-drop") > 0);
}

/// A chain without rules, and a list without entries, are fine: the jump returns at once, the list matches nothing.
#[test]
fn names_that_only_rules_give_are_taken() {
    let router = home("fwname", "xdp", "");
    let talk = Talk::new(&router);
    for rule in [
        "action=jump jump-target=nowhere",
        "action=drop dst-address-list=nobody",
        "action=drop src-address-list=nobody",
    ] {
        router.ctl(&[&format!("/ip firewall filter add chain=forward place-before=0 {rule}")]);
        assert!(talk.passes() && talk.is_answered(), "{rule}");
    }
    router
        .ctl(&["/ip firewall filter add action=drop chain=forward dst-address-list=!nobody place-before=0"]);
    assert!(!talk.passes());
}

/// As many rules as nobody writes by hand; the last one decides.
#[test]
fn twenty_thousand_rules_are_taken() {
    let router = home("fwmany", "xdp", "");
    let talk = Talk::new(&router);
    assert!(talk.passes());
    let mut text =
        format!("{BASE}/ip firewall nat add action=masquerade chain=srcnat\n/ip firewall filter\n");
    for rule in 1..20_000u32 {
        let (high, low) = (rule >> 8, rule & 255);
        let source = format!("src-address=10.{high}.{low}.0/24");
        writeln!(text, "add action=drop chain=forward dst-port={rule} protocol=udp {source}").unwrap();
    }
    text += "add action=drop chain=forward protocol=udp\n";
    fs::write(router.file(), &text).unwrap();
    router.ctl(&["apply", router.file().to_str().unwrap()]);
    assert!(!talk.passes());
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
}
