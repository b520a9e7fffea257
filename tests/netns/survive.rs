//! Traffic flows on while the daemon is killed, stopped, started and reloaded.

use std::{thread, time::Duration};

use lab::UdpStream;
use rustix::process::Signal;

use router_tests::support::{BASE, Router, eventually, pings, socket};

const TARGETS: [&str; 2] = ["198.51.100.2:5000", "[2001:db8:2::2]:5000"];

fn streams(router: &Router) -> [UdpStream; 2] {
    TARGETS.map(|target| UdpStream::start(router.a(), router.b(), socket(target), 1000, 100).unwrap())
}

fn assert_nothing_lost(streams: [UdpStream; 2]) {
    for (stream, target) in streams.into_iter().zip(TARGETS) {
        let delivery = stream.stop_after(500).unwrap();
        assert_eq!((delivery.lost(), delivery.duplicated), (0, 0), "{target}: {delivery:?}");
    }
}

fn killed(label: &str, mode: &str) {
    let mut router = Router::start_wired(label, mode, "");
    router.assert_reachable();
    let streams = streams(&router);
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(200));
        router.daemon.kill().unwrap();
        thread::sleep(Duration::from_millis(400));
        router.restart();
    }
    assert_nothing_lost(streams);
    let status = router.status();
    let found = status["data_plane"].as_str().unwrap();
    assert!(found.contains("adopted"), "{found}");
}

#[test]
fn a_killed_daemon_loses_nothing_and_the_next_adopts_in_xdp() {
    killed("killx", "xdp");
}

#[test]
fn a_killed_daemon_loses_nothing_and_the_next_adopts_in_tc() {
    killed("killt", "tc");
}

#[test]
fn a_dead_daemon_does_not_freeze_routes() {
    let mut router = Router::start_wired("dead", "xdp", "");
    router.assert_reachable();
    router.daemon.kill().unwrap();
    router.assert_reachable();
    router.netns().ip("route add blackhole 198.51.100.2/32").unwrap();
    // The heartbeat is missed after 3 s; from then on an answer lives 1 s.
    thread::sleep(Duration::from_secs(6));
    assert_eq!(pings(router.a(), "198.51.100.2", "-c 1 -W 1"), (1, 0));
    router.netns().ip("route del blackhole 198.51.100.2/32").unwrap();
    thread::sleep(Duration::from_secs(2));
    router.assert_reachable();
}

#[test]
fn a_reload_under_load_loses_nothing() {
    let router = Router::start_wired("reload", "xdp", "");
    router.assert_reachable();
    let streams = streams(&router);
    for round in 1..=5 {
        thread::sleep(Duration::from_millis(150));
        router.write(&format!(
            "{BASE}/ip address\nadd address=203.0.113.{round}/32 interface=ether1\n\
             /ip route\nadd dst-address=10.{round}.0.0/16 gateway=198.51.100.2\n"
        ));
        if round % 2 == 0 {
            router.daemon.signal(Signal::HUP).unwrap();
        } else {
            router.ctl(&["reload"]);
        }
        eventually("the reload took effect", || {
            let routes = router.netns().ip("route show").unwrap();
            routes.contains(&format!("10.{round}.0.0/16"))
                && !routes.contains(&format!("10.{}.0.0/16", round - 1))
        });
    }
    let addresses = router.netns().ip("-br addr show ether1").unwrap();
    assert!(addresses.contains("203.0.113.5/32") && !addresses.contains("203.0.113.4/32"), "{addresses}");
    assert_nothing_lost(streams);
}

#[test]
fn a_stop_leaves_traffic_flowing() {
    let mut router = Router::start_wired("stop", "xdp", "");
    router.assert_reachable();
    let streams = streams(&router);
    thread::sleep(Duration::from_millis(300));
    assert!(router.daemon.stop().unwrap().success());
    thread::sleep(Duration::from_millis(500));
    assert_nothing_lost(streams);
}

#[test]
fn a_live_command_takes_effect_and_survives_a_kill() {
    let mut router = Router::start_wired("live", "xdp", "");
    router.ctl(&["/ip address add address=203.0.113.1/29 interface=ether2"]);
    let has = |router: &Router| router.netns().ip("-br addr show ether2").unwrap().contains("203.0.113.1/29");
    assert!(has(&router));
    router.daemon.kill().unwrap();
    router.netns().ip("addr del 203.0.113.1/29 dev ether2").unwrap();
    router.restart();
    assert!(has(&router), "the next start repairs");
    let export = router.ctl(&["export"]);
    assert!(export.contains("203.0.113.1/29"), "{export}");
}
