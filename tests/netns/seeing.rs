//! What an operator sees of the firewall: counters, connections, lists.

use std::net::UdpSocket;
use std::time::Duration;

use lab::{HttpServer, ctl_json, http_get};

use router_tests::support::{B4, B6, Router, eventually, pings, socket};

const RULES: &str = "\
/ip firewall filter
add action=accept chain=forward comment=known connection-state=established,related
add action=accept chain=forward protocol=icmp
add action=drop chain=forward
add action=accept chain=forward in-interface=ether9
";

/// The cells of the row with that number.
fn row(table: &str, number: &str) -> Vec<String> {
    let row = table.lines().find(|line| line.split_whitespace().next() == Some(number));
    row.unwrap_or_else(|| panic!("no row {number} in\n{table}"))
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

#[test]
fn rules_show_what_they_counted_and_begin_anew() {
    let router = Router::start("seecount", "xdp", RULES);
    assert_eq!(pings(router.a(), B4, "-c 5 -i 0.05 -W 2"), (5, 5));
    // 84 bytes of IP each: the first request is new, the other four and five replies are established.
    let stats = router.ctl(&["/ip firewall filter print stats"]);
    assert!(stats.contains("Columns: CHAIN, ACTION, BYTES, PACKETS"), "{stats}");
    assert_eq!(row(&stats, "0"), ["0", "forward", "accept", "756", "9"]);
    assert_eq!(row(&stats, "1"), ["1", "forward", "accept", "84", "1"]);
    assert_eq!(row(&stats, "2"), ["2", "forward", "drop", "0", "0"]);
    // A rule whose interface is not there.
    assert_eq!(row(&stats, "3")[..2], ["3", "I"]);
    assert_eq!(router.ctl(&["/ip firewall filter get 0 packets"]), "9\n");
    let busy = router.ctl(&["/ip firewall filter print count-only where packets>0"]);
    assert_eq!(busy, "2\n");

    router.ctl(&["/ip firewall filter reset-counters [find comment=known]"]);
    let stats = router.ctl(&["/ip firewall filter print stats"]);
    assert_eq!(row(&stats, "0")[3..], ["0", "0"]);
    assert_eq!(row(&stats, "1")[3..], ["84", "1"]);
    router.ctl(&[":if (true) do={ /ip firewall filter reset-counters-all }"]);
    assert_eq!(row(&router.ctl(&["/ip firewall filter print stats"]), "1")[3..], ["0", "0"]);
}

/// Nothing is forgotten while a test looks.
const NAT: &str = "\
/ip firewall connection tracking
set icmp-timeout=1h tcp-close-timeout=1h tcp-close-wait-timeout=1h tcp-fin-wait-timeout=1h tcp-last-ack-timeout=1h \
    tcp-time-wait-timeout=1h
/ip firewall nat
add action=masquerade chain=srcnat out-interface=ether2
/ip firewall filter
add action=add-src-to-address-list address-list=seen address-list-timeout=1h chain=forward protocol=icmp
add action=accept chain=forward
/ipv6 firewall filter
add action=accept chain=forward
";

#[test]
fn connections_are_listed_and_end_on_demand() {
    let router = Router::start("seeconn", "xdp", NAT);
    router.assert_reachable();
    let _server = HttpServer::start(router.b(), 80, 10_000).unwrap();
    http_get(router.a(), socket("198.51.100.2:80"), Duration::from_secs(20)).unwrap();

    let ping = router.ctl(&["/ip firewall connection print terse where protocol=icmp"]);
    let wanted = "protocol=icmp src-address=192.0.2.2 dst-address=198.51.100.2 reply-src-address=198.51.100.2 \
                  reply-dst-address=198.51.100.1 icmp-type=8 icmp-code=0";
    assert!(ping.contains(wanted), "{ping}");
    assert!(ping.contains("orig-packets=3 orig-bytes=252 repl-packets=3 repl-bytes=252"), "{ping}");
    let tcp = router.ctl(&["/ip firewall connection print where dst-port=80"]);
    assert!(tcp.contains("Flags: S - SEEN-REPLY; A - ASSURED; C - CONFIRMED; s - SRCNAT"), "{tcp}");
    assert!(tcp.contains("0 SACs tcp       192.0.2.2"), "{tcp}");
    assert!(router.ctl(&["/ipv6 firewall connection print"]).contains("2001:db8:2::2"));
    let tracking = router.ctl(&["/ip firewall connection tracking print"]);
    assert!(tracking.contains("active-ipv4: yes") && tracking.contains("max-entries: "), "{tracking}");

    let nat = ctl_json(router.netns(), &["map", "nat", "protocol=tcp"]).unwrap();
    assert_eq!(nat[0]["flags"], serde_json::json!(["seen-reply", "assured", "srcnat"]), "{nat}");
    assert!(nat[0]["reply-dst"].as_str().unwrap().starts_with("198.51.100.1:"), "{nat}");
    let connections = ctl_json(router.netns(), &["map", "connections", "protocol=icmpv6"]).unwrap();
    assert_eq!(connections[0]["src"], "2001:db8:1::2", "{connections}");

    let count = || router.ctl(&["/ip firewall connection print count-only"]);
    assert_eq!(count(), "2\n");
    router.ctl(&["/ip firewall connection remove [find protocol=icmp]"]);
    assert_eq!(count(), "1\n");
    router.ctl(&["/ip firewall connection print"]);
    router.ctl(&["/ip firewall connection remove 0"]);
    assert_eq!(count(), "0\n");
    assert_eq!(pings(router.a(), B6, "-c 2 -i 0.05 -W 2"), (2, 2));
    router.assert_reachable();
}

#[test]
fn members_of_lists_that_rules_add_are_listed_and_go_on_demand() {
    let router = Router::start("seelist", "xdp", NAT);
    assert_eq!(pings(router.a(), B4, "-c 1 -W 2"), (1, 1));
    let list = router.ctl(&["/ip firewall address-list print where dynamic"]);
    let cells = row(&list, "0");
    assert_eq!(cells[..4], ["0", "D", "seen", "192.0.2.2"], "{list}");
    assert!(cells[4].starts_with("59m") || cells[4] == "1h", "{list}");
    let lists = ctl_json(router.netns(), &["map", "lists"]).unwrap();
    assert_eq!((&lists[0]["list"], &lists[0]["address"]), (&"seen".into(), &"192.0.2.2".into()), "{lists}");
    router.ctl(&["/ip firewall address-list remove [find dynamic list=seen]"]);
    assert_eq!(router.ctl(&["/ip firewall address-list print count-only"]), "0\n");
}

#[test]
fn maps_name_rules_and_what_counts_for_them() {
    let router = Router::start("seemap", "xdp", RULES);
    assert_eq!(pings(router.a(), B4, "-c 5 -i 0.05 -W 2"), (5, 5));
    let rules = ctl_json(router.netns(), &["map", "rules"]).unwrap();
    assert_eq!(rules.as_array().unwrap().len(), 3, "{rules}");
    assert_eq!((&rules[0]["chain"], &rules[0]["comment"]), (&"forward".into(), &"known".into()));
    assert_eq!((&rules[0]["packets"], &rules[2]["action"]), (&9.into(), &"drop".into()));
    let paths = ctl_json(router.netns(), &["map", "paths", "active=true"]).unwrap();
    assert!(paths[0]["rules"][0].as_str().unwrap().starts_with("forward /ip/firewall/filter *"), "{paths}");
}

/// More rules than a chunk of bits has.
#[test]
fn rows_tell_which_rules_a_value_leaves() {
    let mut rules = String::from("/ip firewall filter\n");
    for port in 1..=600 {
        rules.push_str(&format!("add action=accept chain=forward protocol=tcp dst-port={port}\n"));
    }
    rules.push_str(
        "add action=accept chain=forward dst-address=198.51.100.0/24 out-interface=ether2\n\
         /ipv6 firewall filter\nadd action=drop chain=forward src-address=2001:db8:9::/64\n",
    );
    let router = Router::start("seerows", "xdp", &rules);
    let row = |dimension: &str, value: &str| {
        let filter = [format!("dimension={dimension} "), format!("value={value} ")];
        let found = ctl_json(router.netns(), &["map", "rows", &filter[0], &filter[1]]).unwrap();
        assert_eq!(found.as_array().unwrap().len(), 1, "{dimension} {value}: {found}");
        (found[0]["family"].as_u64().unwrap(), found[0]["rules"].as_str().unwrap().to_owned())
    };
    let is = |family: u64, rules: &str| (family, rules.to_owned());
    assert_eq!(row("protocol", "6"), is(4, "0..600"));
    assert_eq!(row("protocol", "7..255"), is(4, "600"));
    assert_eq!(row("dst-port", "0"), is(4, "600"));
    assert_eq!(row("dst-port", "1"), is(4, "0,600"));
    assert_eq!(row("dst-port", "600"), is(4, "599..600"));
    assert_eq!(row("dst-port", "601..65535"), is(4, "600"));
    assert_eq!(row("dst-address", "198.51.100.0..198.51.100.255"), is(4, "0..600"));
    assert_eq!(row("dst-address", "198.51.101.0..255.255.255.255"), is(4, "0..599"));
    assert_eq!(row("src-address", "2001:db8:9::..2001:db8:9:0:ffff:ffff:ffff:ffff"), is(6, "0"));
    assert_eq!(row("src-address", "::..2001:db8:8:ffff:ffff:ffff:ffff:ffff"), is(6, ""));
}

#[test]
fn a_packet_is_explained_rule_by_rule() {
    let more = "add action=accept chain=forward limit=5,5:packet place-before=[find comment=known]\n";
    let router = Router::start("seewhy", "xdp", &format!("{RULES}{more}"));
    let packet = ["explain", "in=ether1", "src=192.0.2.2", "dst=198.51.100.2", "protocol=icmp"];
    let text = router.ctl(&packet);
    assert!(text.contains("its flow is not kept: limit of /ip/firewall/filter *"), "{text}");
    router.ctl(&["/ip firewall filter remove 0"]);
    let text = router.ctl(&["explain", "in=ether1", "src=192.0.2.2", "dst=198.51.100.2", "protocol=udp"]);
    assert!(text.contains("rules: filter forward -> drop\n"), "{text}");
    let looks: Vec<&str> =
        text.lines().map(str::trim).filter(|line| line.contains("chain=forward")).collect();
    assert_eq!(looks.len(), 3, "{text}");
    assert!(looks[0].starts_with("- accept") && looks[0].ends_with(": not connection-state"), "{text}");
    assert!(looks[1].starts_with("- accept") && looks[1].ends_with(": not protocol"), "{text}");
    assert!(looks[2].starts_with("+ drop") && looks[2].ends_with("chain=forward"), "{text}");
}

#[test]
fn drops_name_reason_chain_and_rule() {
    let router = Router::start("seedrop", "xdp", RULES);
    let mut follow = router.netns().command(lab::daemon::binary("routerctl").unwrap());
    let follow = follow.args(["--json", "drops", "--follow", "dst-port=7", "-c", "1"]);
    let mut follow = follow.stdout(std::process::Stdio::piped()).spawn().unwrap();
    eventually("a dropped packet is told", || {
        let send = || UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"x", "198.51.100.2:7").unwrap();
        assert_eq!(router.a().enter(send).unwrap(), 1);
        follow.try_wait().unwrap().is_some()
    });
    let told: serde_json::Value = serde_json::from_reader(follow.stdout.take().unwrap()).unwrap();
    assert_eq!((&told["reason"], &told["chain"]), (&"filter-drop".into(), &"forward".into()), "{told}");
    assert!(told["rule"].as_str().unwrap().starts_with("/ip/firewall/filter *"), "{told}");
    let reasons = ctl_json(router.netns(), &["drops"]).unwrap();
    assert_eq!(reasons[0]["reason"], "filter-drop", "{reasons}");
}
