//! Rules change while connections stand.

use std::{fs, thread, time::Duration};

use lab::{Bulk, Daemon, Delivery, UdpStream};

use super::{HOME, Talk, home};
use router_tests::support::{BASE, Router, eventually, socket};

const ROUNDS: u32 = 100;
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

#[test]
fn a_hundred_reloads_lose_nothing_and_forget_no_connection() {
    let router = home("fwrel", "xdp", "");
    let load = Load::start(&router);
    let closed = NOTHING_NEW.replace(" disabled=yes", "");
    for round in 0..ROUNDS {
        // Rules before and after those that matter, so that every index moves.
        let more = (0..round % 5).fold(String::new(), |text, rule| {
            text + &format!(
                "add action=drop chain=forward dst-port={} place-before=0 protocol=tcp\n",
                7000 + rule
            )
        });
        let text = format!("{BASE}{HOME}{closed}/ip firewall filter\n{more}");
        fs::write(router.file(), text).unwrap();
        router.ctl(&["apply", router.file().to_str().unwrap()]);
        load.keep_talking();
    }
    let delivered = load.assert_whole(&router);
    assert!(delivered.iter().all(|delivery| delivery.received > u64::from(ROUNDS)), "{delivered:?}");
    // And the new policy is in force.
    assert!(!Talk::new(&router).passes());
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
