//! Rules change while connections stand.

use std::{fs, process::Stdio, thread, time::Duration};

use lab::{Bulk, Daemon, Delivery, UdpStream};

use super::{HOME, Talk, home};
use router_tests::support::{BASE, Router, eventually, socket};

/// A connection that is forgotten would have to begin anew, and that is refused. A stream that nobody answers stays new.
const NOTHING_NEW: &str = "\
/ip firewall filter
add action=drop chain=forward comment=nothing-new connection-state=new disabled=yes protocol=tcp
add action=drop chain=forward comment=nothing-new connection-state=new disabled=yes dst-port=!5000 protocol=udp
/ipv6 firewall filter
add action=drop chain=forward comment=nothing-new connection-state=new disabled=yes protocol=tcp
";

fn shut(router: &Router) {
    for family in ["ip", "ipv6"] {
        router.ctl(&[&format!("/{family} firewall filter enable [find comment=nothing-new]")]);
    }
}

/// Connections of both families and of both kinds, which are to live through what follows.
struct Load {
    talk: Talk,
    udp: Vec<UdpStream>,
    tcp: Vec<Bulk>,
}

impl Load {
    fn start(router: &Router) -> Load {
        let (a, b) = (router.a(), router.b());
        let udp = ["198.51.100.2:5000", "[2001:db8:2::2]:5000"];
        let tcp = ["198.51.100.2:5001", "[2001:db8:2::2]:5002"];
        let talk = Talk::new(router);
        assert!(talk.passes() && talk.is_answered());
        let load = Load {
            talk,
            udp: udp.map(|target| UdpStream::start(a, b, socket(target), 500, 100).unwrap()).into(),
            tcp: tcp.map(|target| Bulk::start(a, b, socket(target)).unwrap()).into(),
        };
        for stream in &load.udp {
            eventually("the stream runs", || stream.sent() > 10);
        }
        load
    }

    /// One exchange of the connection that is silent otherwise: it would be forgotten after thirty seconds.
    #[track_caller]
    fn keep_talking(&self) {
        assert!(self.talk.passes() && self.talk.is_answered());
    }

    /// Nothing was lost, and no connection has broken or stands still.
    #[track_caller]
    fn assert_whole(self, router: &Router) -> Vec<Delivery> {
        self.keep_talking();
        for bulk in self.tcp {
            let before = bulk.arrived();
            eventually("TCP flows on", || bulk.arrived() > before);
            let (sent, received) = bulk.stop().unwrap();
            assert_eq!(sent, received);
        }
        let end = |stream: UdpStream| {
            let delivery = stream.stop().unwrap();
            let found = (delivery.lost(), delivery.duplicated);
            assert_eq!(found, (0, 0), "{delivery:?} {:?}", router.dropped());
            delivery
        };
        self.udp.into_iter().map(end).collect()
    }
}

/// Applies a file with a few rules in front of those that matter, so that every index moves.
fn apply(router: &Router, filter: &str, round: u32) {
    let more = (0..round % 5).fold(String::new(), |text, rule| {
        text + &format!(
            "add action=drop chain=forward dst-port={} place-before=0 protocol=tcp\n",
            7000 + rule
        )
    });
    router.write(&format!("{BASE}{HOME}{filter}/ip firewall filter\n{more}"));
    router.ctl(&["apply", router.file().to_str().unwrap()]);
}

fn reload_under_load(label: &str, mode: &str, rounds: u32) {
    let router = home(label, mode, "");
    let load = Load::start(&router);
    let closed = NOTHING_NEW.replace(" disabled=yes", "");
    for round in 0..rounds {
        apply(&router, &closed, round);
        load.keep_talking();
    }
    let delivered = load.assert_whole(&router);
    assert!(delivered.iter().all(|delivery| delivery.received > u64::from(rounds)), "{delivered:?}");
    // And the new policy is in force.
    assert!(!Talk::new(&router).passes());
}

#[test]
fn a_hundred_reloads_lose_nothing_and_forget_no_connection() {
    reload_under_load("fwrel", "xdp", 100);
}

#[test]
fn reloads_lose_nothing_on_ports_without_xdp() {
    reload_under_load("fwreltc", "tc", 25);
}

/// As fast as it goes: what links lose then, TCP sends again. What was sent and is not received stands in a socket.
#[test]
fn iperf3_runs_through_reloads() {
    const IN_SOCKETS: f64 = 16e6;
    if lab::daemon::installed("iperf3").is_none() {
        lab::skip!("iperf3 is not installed");
    }
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwiprf{mode}"), mode, "");
        let start = |netns: &lab::Netns, options: &str| {
            let mut command = netns.command("iperf3");
            command.args(options.split(' ')).stdout(Stdio::piped()).spawn().unwrap()
        };
        let mut server = start(router.b(), "-s -1");
        thread::sleep(Duration::from_millis(300));
        let mut client = start(router.a(), "-c 198.51.100.2 -t 5 -J");
        let mut rounds = 0;
        while client.try_wait().unwrap().is_none() {
            apply(&router, "", rounds);
            rounds += 1;
        }
        let report = client.wait_with_output().unwrap().stdout;
        server.kill().unwrap();
        server.wait().unwrap();
        let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
        assert!(report["error"].is_null(), "{mode}: {}", report["error"]);
        let [sent, received] =
            ["sum_sent", "sum_received"].map(|sum| report["end"][sum]["bytes"].as_f64().unwrap());
        assert!(received > 1e6 && sent - received < IN_SOCKETS, "{mode}: {received} of {sent}");
        assert!(rounds > 3, "{mode}: {rounds} reloads");
    }
}

#[test]
fn single_rules_come_and_go_without_loss() {
    let router = home("fwone", "xdp", NOTHING_NEW);
    let load = Load::start(&router);
    let rule = |command: &str| router.ctl(&[&format!("/ip firewall filter {command}")]);
    shut(&router);
    for _ in 0..10 {
        rule("add action=drop chain=forward comment=extra dst-port=7000 place-before=0 protocol=tcp");
        rule("move [find comment=extra] destination=[find comment=fwd-known]");
        rule("disable [find comment=extra]");
        rule("enable [find comment=extra]");
        rule("remove [find comment=extra]");
        load.keep_talking();
    }
    load.assert_whole(&router);
    assert!(!Talk::new(&router).passes());
}

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

/// A list's new entry is in force at once, for connections that stand as well.
#[test]
fn an_address_list_acts_on_standing_connections() {
    const LISTED: &str = "/ip firewall filter\n\
        add action=drop chain=forward dst-address-list=shut place-before=[find comment=fwd-known]\n";
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwlst{mode}"), mode, LISTED);
        let talk = Talk::new(&router);
        assert!(talk.passes() && talk.is_answered(), "{mode}");
        router.ctl(&["/ip firewall address-list add address=198.51.100.0/30 list=shut"]);
        assert!(!talk.passes(), "{mode}: listed");
        assert!(talk.is_answered(), "{mode}: the other direction's destination is not listed");
        router.ctl(&["/ip firewall address-list remove [find list=shut]"]);
        assert!(talk.passes() && talk.is_answered(), "{mode}");
    }
}

/// What passes only because a list has its source passes until the entry's time is over, however many packets it sends.
#[test]
fn an_entry_that_lets_a_connection_pass_expires() {
    const GUESTS: &str = "/ip firewall filter\n\
        add action=accept chain=forward protocol=udp src-address-list=guests place-before=[find comment=fwd-known]\n\
        add action=drop chain=forward protocol=udp src-address=192.0.2.2 place-before=[find comment=fwd-known]\n";
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwgst{mode}"), mode, GUESTS);
        let talk = Talk::new(&router);
        assert!(!talk.passes(), "{mode}: no member yet");
        router.ctl(&["/ip firewall address-list add address=192.0.2.2 list=guests timeout=8s"]);
        for _ in 0..3 {
            assert!(talk.passes(), "{mode}: a member");
        }
        eventually("its time is over", || !talk.passes());
        assert!(!talk.passes(), "{mode}");
    }
}

/// The same where no daemon is left to notice.
#[test]
fn an_entry_expires_without_a_daemon() {
    const GUESTS: &str = "/ip firewall filter\n\
        add action=accept chain=forward protocol=udp src-address-list=guests place-before=[find comment=fwd-known]\n\
        add action=drop chain=forward protocol=udp src-address=192.0.2.2 place-before=[find comment=fwd-known]\n";
    for mode in ["xdp", "tc"] {
        let mut router = home(&format!("fwgone{mode}"), mode, GUESTS);
        let talk = Talk::new(&router);
        router.ctl(&["/ip firewall address-list add address=192.0.2.2 list=guests timeout=9s"]);
        assert!(talk.passes(), "{mode}: a member");
        router.daemon.kill().unwrap();
        for _ in 0..3 {
            assert!(talk.passes(), "{mode}: still a member");
        }
        eventually("its time is over", || !talk.passes());
        assert!(!talk.passes(), "{mode}");
        router.restart();
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

#[test]
fn a_daemon_killed_and_started_again_under_load_forgets_nothing() {
    for mode in ["xdp", "tc"] {
        let mut router = home(&format!("fwkill{mode}"), mode, NOTHING_NEW);
        let load = Load::start(&router);
        shut(&router);
        for _ in 0..3 {
            router.daemon.kill().unwrap();
            thread::sleep(Duration::from_millis(300));
            assert!(!Talk::new(&router).passes(), "{mode}: rules hold without a daemon");
            router.restart();
        }
        load.assert_whole(&router);
        assert!(!Talk::new(&router).passes(), "{mode}");
        let found = router.status()["data_plane"].to_string();
        assert!(found.contains("adopted"), "{mode}: {found}");
    }
}

/// Another build takes over: its programs replace those that run.
#[test]
fn an_upgrade_under_load_forgets_nothing() {
    let mut router = home("fwupg", "xdp", NOTHING_NEW);
    let load = Load::start(&router);
    shut(&router);
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("routerd");
    fs::copy(lab::daemon::binary("routerd").unwrap(), &other).unwrap();
    router.daemon.stop().unwrap();
    let daemon = Daemon::start_program(&other, router.netns(), &router.file(), &["--port-mode", "all=xdp"]);
    router.daemon = daemon.unwrap();
    load.assert_whole(&router);
    assert!(!Talk::new(&router).passes());
}

/// Too many addresses to be members one by one: the entry is no part of the configuration, outlives the daemon, and ends.
#[test]
fn a_large_range_is_listed_until_its_time_is_over() {
    const SHUT: &str = "/ip firewall filter\n\
        add action=drop chain=forward dst-address-list=shut place-before=[find comment=fwd-known]\n";
    let mut router = home("fwlarge", "xdp", SHUT);
    let talk = Talk::new(&router);
    assert!(talk.passes());
    router
        .ctl(&["/ip firewall address-list add address=198.0.0.0/8 comment=\"for now\" list=shut timeout=1h"]);
    assert!(!talk.passes(), "listed");
    let shown = router.ctl(&["/ip firewall address-list print terse where list=shut"]);
    assert!(shown.starts_with("0 D comment=for now list=shut address=198.0.0.0/8"), "{shown}");
    assert!(!router.ctl(&["/export"]).contains("198.0.0.0/8"));
    router.daemon.kill().unwrap();
    assert!(!talk.passes(), "nobody is there to end it");
    router.restart();
    assert!(!talk.passes(), "known again");
    router.ctl(&["/ip firewall address-list remove [find list=shut]"]);
    assert!(talk.passes(), "removed");
    router.ctl(&["/ip firewall address-list add address=198.0.0.0/8 list=shut timeout=4s"]);
    assert!(!talk.passes(), "listed again");
    eventually("its time is over", || talk.passes());
    assert_eq!(router.ctl(&["/ip firewall address-list print count-only"]), "0\n");
}

/// `address-list-timeout=none-static`: an entry like any other, which its rule may make again.
#[test]
fn what_a_rule_lists_for_good_is_an_entry_of_the_configuration() {
    const SEEN: &str = "/ip firewall filter\n\
        add action=add-src-to-address-list address-list=\"who was here\" address-list-timeout=none-static \
        chain=forward src-address=192.0.2.2 place-before=[find comment=fwd-known]\n\
        add action=drop chain=forward disabled=yes comment=shut src-address-list=\"who was here\" \
        place-before=[find comment=fwd-known]\n";
    let mut router = home("fwgood", "xdp", SEEN);
    let talk = Talk::new(&router);
    let exported =
        |router: &Router| router.ctl(&["/export"]).contains("address=192.0.2.2 list=\"who was here\"");
    assert!(talk.passes() && !exported(&router));
    eventually("the configuration has it", || exported(&router));
    let shown = router.ctl(&["/ip firewall address-list print terse"]);
    assert!(
        shown.starts_with("0 list=who was here address=192.0.2.2") && shown.lines().count() == 1,
        "{shown}"
    );
    assert!(talk.passes());
    router.daemon.kill().unwrap();
    router.restart();
    assert!(exported(&router));
    router.ctl(&["/ip firewall filter set [find comment=shut] disabled=no"]);
    assert!(!talk.passes(), "listed");
    // Who removes the entry removes the member; the rule sees the next packet first.
    router.ctl(&["/ip firewall filter set [find action=add-src-to-address-list] disabled=yes"]);
    router.ctl(&["/ip firewall address-list remove [find]"]);
    assert!(talk.passes(), "listed no more");
    assert_eq!(router.ctl(&["/ip firewall address-list print count-only"]), "0\n");
}
