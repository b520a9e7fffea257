//! Open, attach, stage, flip, take over, replace, detach: on real devices of the test's own.

mod support;

use std::fs;
use std::net::IpAddr;

use lab::need_root;
use router_dataplane::{Dataplane, Error, Inspector, Mode, Running};
use support::{host, ifindex, image, ip, link, run, xdp_program};

#[test]
fn a_fresh_host_gets_programs_and_an_image() {
    need_root!();
    let host = host();
    let (mut dataplane, report) = host.open(Mode::Xdp);
    assert_eq!((report.adopted, report.replaced.len(), report.ports.len()), (None, 0, 0));
    assert_eq!(report.losses_uncounted, None);

    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    let inspector = Inspector::open(&host.pins()).unwrap();
    assert_eq!(inspector.ports().unwrap(), [], "nothing is visible before the flip");
    assert_ne!(xdp_program("p1"), 0, "but the programs are attached");
    dataplane.flip(staged).unwrap();

    let ports = inspector.ports().unwrap();
    assert_eq!(ports.iter().map(|p| p.host_name.as_str()).collect::<Vec<_>>(), ["p1", "p2"]);
    assert_eq!(ports.iter().map(|p| p.tx_index).collect::<Vec<_>>(), [0, 1]);
    assert!(ports[0].flags.contains(&"native".to_owned()), "{:?}", ports[0].flags);
    assert!(ports[0].flags.contains(&"xdp-tx".to_owned()), "{:?}", dataplane.ports());
    assert_eq!(inspector.control().generation, 1);
    assert!(inspector.images()[1].active && !inspector.images()[0].active);
    assert_eq!(dataplane.ports()[0].mode, Running::Native);
    assert_eq!(support::tc_programs("p1"), ["tc_ingress", "tc_egress"]);

    let objects = inspector.objects().unwrap();
    for (object, name) in [("map", "PORTS"), ("program", "xdp_port"), ("program", "tc_egress")] {
        let found = objects.iter().find(|o| o.object == object && o.name == name);
        let found = found.unwrap_or_else(|| panic!("no {object} {name} in {objects:?}"));
        assert!(found.id != 0 && found.memory_bytes > 0, "{found:?}");
    }
    assert!(objects.iter().any(|o| o.object == "link" && o.kind == "xdp_port"), "{objects:?}");
}

#[test]
fn the_same_image_again_changes_nothing() {
    need_root!();
    let host = host();
    let (mut dataplane, _) = host.open(Mode::Xdp);
    let staged = dataplane.stage(&image(&["p1"])).unwrap();
    assert!(!staged.is_unchanged());
    dataplane.flip(staged).unwrap();
    let again = dataplane.stage(&image(&["p1"])).unwrap();
    assert!(again.is_unchanged());
    dataplane.flip(again).unwrap();
    assert_eq!(dataplane.inspect().control().generation, 1);

    let mut other = image(&["p1"]);
    other.ports[0].port.mtu_bytes = 1400;
    let staged = dataplane.stage(&other).unwrap();
    dataplane.flip(staged).unwrap();
    assert_eq!(dataplane.inspect().ports().unwrap()[0].mtu_bytes, 1400);
    assert_eq!(dataplane.inspect().control().generation, 2);
}

#[test]
fn an_aborted_image_leaves_no_trace() {
    need_root!();
    let host = host();
    let (mut dataplane, _) = host.open(Mode::Xdp);
    let staged = dataplane.stage(&image(&["p1"])).unwrap();
    dataplane.flip(staged).unwrap();
    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    assert_ne!(xdp_program("p2"), 0);
    dataplane.abort(staged);
    assert_eq!(xdp_program("p2"), 0);
    assert_ne!(xdp_program("p1"), 0);
    assert_eq!(dataplane.inspect().ports().unwrap().len(), 1);
}

#[test]
fn a_port_that_is_not_there_fails_the_image_and_undoes_it() {
    need_root!();
    let host = host();
    let (mut dataplane, _) = host.open(Mode::Xdp);
    let mut broken = image(&["p1", "p2"]);
    broken.ports[1].port.ifindex = 4999;
    let error = dataplane.stage(&broken).unwrap_err();
    assert!(matches!(error, Error::NoInterface { ifindex: 4999, .. }), "{error}");
    assert_eq!(xdp_program("p1"), 0);
}

#[test]
fn a_staged_image_can_not_overtake_another() {
    need_root!();
    let host = host();
    let (mut dataplane, _) = host.open(Mode::Tc);
    let first = dataplane.stage(&image(&["p1"])).unwrap();
    let second = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    dataplane.flip(second).unwrap();
    assert!(matches!(dataplane.flip(first), Err(Error::Stale { staged: 0, active: 1 })));
}

#[test]
fn the_next_process_takes_everything_over() {
    need_root!();
    let host = host();
    let (mut dataplane, _) = host.open(Mode::Xdp);
    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    dataplane.flip(staged).unwrap();
    dataplane.set_locals(&[(IpAddr::from([192, 0, 2, 1]), 7)]).unwrap();
    dataplane.heartbeat();
    let before = xdp_program("p1");
    drop(dataplane);
    assert_eq!(xdp_program("p1"), before, "attached without a process");

    let (mut dataplane, report) = host.open(Mode::Xdp);
    // The image, and two more for other addresses.
    assert_eq!(report.adopted, Some(3));
    assert_eq!(report.ports, [ifindex("p1"), ifindex("p2")]);
    let after = xdp_program("p1");
    assert!(after != 0 && after != before, "the new program is behind the same link");
    assert_eq!(dataplane.inspect().locals().unwrap().len(), 1);

    // A port leaves, another keeps its index.
    let staged = dataplane.stage(&image(&["p2"])).unwrap();
    dataplane.flip(staged).unwrap();
    assert_eq!(dataplane.inspect().ports().unwrap()[0].tx_index, 1);
    assert_eq!((xdp_program("p1"), xdp_program("p2")), (0, after));
}

#[test]
fn state_of_another_abi_is_replaced_without_taking_programs_off() {
    need_root!();
    let host = host();
    let (mut dataplane, report) = host.open(Mode::Xdp);
    let staged = dataplane.stage(&image(&["p1"])).unwrap();
    dataplane.flip(staged).unwrap();
    drop(dataplane);
    let other = host.pins().join("00000000deadbeef");
    fs::rename(host.pins().join(&report.fingerprint), &other).unwrap();
    let before = xdp_program("p1");

    let (mut dataplane, report) = host.open(Mode::Xdp);
    assert_eq!(report.adopted, None);
    assert_eq!(report.replaced, ["00000000deadbeef"]);
    assert_eq!(xdp_program("p1"), before, "the old program runs on until the new image is there");
    let staged = dataplane.stage(&image(&["p1"])).unwrap();
    assert_eq!(xdp_program("p1"), before);
    dataplane.flip(staged).unwrap();
    let after = xdp_program("p1");
    assert!(after != 0 && after != before);
    assert!(!other.exists());
}

#[test]
fn detach_gives_plain_linux_back() {
    need_root!();
    let host = host();
    let rx_vlan =
        || run("ethtool -k p1").lines().find(|l| l.starts_with("rx-vlan-offload")).map(str::to_owned);
    let before = rx_vlan();
    assert!(before.as_ref().unwrap().contains("on"), "{before:?}");
    let (mut dataplane, _) = host.open(Mode::Xdp);
    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    dataplane.flip(staged).unwrap();
    assert!(rx_vlan().unwrap().contains("off"));
    drop(dataplane);
    let (dataplane, _) = host.open(Mode::Xdp);
    dataplane.detach().unwrap();
    assert_eq!((xdp_program("p1"), xdp_program("p2")), (0, 0));
    assert_eq!(rx_vlan(), before);
    assert!(!host.pins().exists());
    assert!(support::tc_programs("p1").is_empty());
    assert!(!run("tc qdisc show dev p1").contains("clsact"));
}

#[test]
fn detach_finds_what_another_abi_left() {
    need_root!();
    let host = host();
    let (mut dataplane, report) = host.open(Mode::Tc);
    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    dataplane.flip(staged).unwrap();
    drop(dataplane);
    fs::rename(host.pins().join(&report.fingerprint), host.pins().join("00000000deadbeef")).unwrap();
    assert_eq!(support::tc_programs("p2"), ["tc_ingress", "tc_egress"]);
    let (dataplane, report) = host.open(Mode::Tc);
    assert_eq!(report.ports, [ifindex("p1"), ifindex("p2")]);
    dataplane.detach().unwrap();
    assert!(support::tc_programs("p1").is_empty() && support::tc_programs("p2").is_empty());
    assert!(!host.pins().exists());
}

#[test]
fn programs_of_others_are_named_and_left_alone() {
    need_root!();
    let host = host();
    // A program of our own object plays the other one.
    let elsewhere = support::options(&host.pins().with_file_name("other"), Mode::Generic);
    let (mut other, _) = Dataplane::open(elsewhere).unwrap();
    let staged = other.stage(&image(&["p1"])).unwrap();
    other.flip(staged).unwrap();
    let theirs = xdp_program("p1");

    let (mut dataplane, _) = host.open(Mode::Xdp);
    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    dataplane.flip(staged).unwrap();
    assert_eq!(xdp_program("p1"), theirs);
    let ports = dataplane.ports();
    assert_eq!((ports[0].mode, ports[1].mode), (Running::Tc, Running::Native));
    assert!(ports[0].reason.contains(&format!("xdp_port (id {theirs})")), "{}", ports[0].reason);
    let foreign = dataplane.inspect().foreign_programs().unwrap();
    assert!(
        foreign.iter().any(|f| f.host_name == "p1" && f.hook == "xdp" && u64::from(f.id) == theirs),
        "{foreign:?}"
    );
    assert!(foreign.iter().all(|f| f.host_name == "p1"), "{foreign:?}");
}

#[test]
fn the_mode_is_chosen_per_port_with_a_reason() {
    need_root!();
    let host = host();
    run("ethtool -K h2 tx-vlan-hw-insert on");
    ip("link add b1 type bridge");
    ip("link set b1 up");
    let (mut dataplane, _) = host.open(Mode::Auto);
    let staged = dataplane.stage(&image(&["p1", "p2", "b1"])).unwrap();
    dataplane.flip(staged).unwrap();
    let mode = |name: &str| {
        let ports = dataplane.ports();
        let port = ports.iter().find(|p| p.name == name).unwrap();
        (port.mode, port.reason.clone())
    };
    assert_eq!(mode("p1").0, Running::Native, "{}", mode("p1").1);
    assert_eq!(mode("p2").0, Running::Tc);
    assert!(mode("p2").1.contains("h2 keeps VLAN tags beside the frame"), "{}", mode("p2").1);
    assert_eq!(mode("b1").0, Running::Tc, "{}", mode("b1").1);

    // The operator's switch, live.
    let wishes = [("p1", Mode::Tc), ("p2", Mode::Generic)].map(|(name, mode)| (name.to_owned(), mode));
    dataplane.set_port_modes(wishes.into(), Mode::Auto);
    let staged = dataplane.stage(&image(&["p1", "p2", "b1"])).unwrap();
    dataplane.flip(staged).unwrap();
    let modes: Vec<Running> = dataplane.ports().iter().map(|p| p.mode).collect();
    assert!(modes.contains(&Running::Generic), "{modes:?}");
    assert_eq!(xdp_program("p1"), 0);
    assert_eq!(link("p2")["xdp"]["mode"], 2, "generic");
}

#[test]
fn a_veths_peer_is_looked_up_in_other_namespaces() {
    need_root!();
    let host = host();
    let name = format!("rd-peer-{}", std::process::id());
    let peer = lab::Netns::create(&name).unwrap();
    ip(&format!("link add p3 type veth peer name eth0 netns {name}"));
    ip("link set p3 up");
    let (mut dataplane, _) = host.open(Mode::Auto);
    let mut run_p3 = || {
        let staged = dataplane.stage(&image(&["p3"])).unwrap();
        dataplane.flip(staged).unwrap();
        let port = dataplane.ports().remove(0);
        (port.mode, port.tx, format!("{}; {}", port.reason, port.tx_reason))
    };
    let (mode, _, reason) = run_p3();
    assert_eq!(mode, Running::Tc);
    assert!(reason.contains(&format!("peer eth0 in /run/netns/{name} keeps VLAN tags")), "{reason}");
    peer.run("ethtool -K eth0 tx-vlan-hw-insert off tx-vlan-stag-hw-insert off").unwrap();
    let (mode, tx, reason) = run_p3();
    // Kernels before 6.3 can't tell that the peer would lose frames, and are as careful.
    assert_eq!((mode, tx), (Running::Native, false), "{reason}");

    assert!(!dataplane.has_drifted());
    peer.ip("link set eth0 up").unwrap();
    peer.run("ethtool -K eth0 gro on").unwrap();
    assert_eq!(dataplane.has_drifted(), dataplane.features().xdp_features);
}

#[test]
fn control_words_are_reached_from_other_threads() {
    need_root!();
    let host = host();
    let (mut dataplane, _) = host.open(Mode::Tc);
    let pulse = dataplane.pulse();
    let before = pulse.read();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let pulse = pulse.clone();
            scope.spawn(move || (0..1000).for_each(|_| pulse.bump_route_epoch()));
        }
    });
    assert_eq!(pulse.read().route_epoch, before.route_epoch + 4000);
    dataplane.set_cache_routes(true);
    assert!(dataplane.inspect().control().cache_routes);
    dataplane.set_cache_routes(false);
    assert!(!dataplane.inspect().control().cache_routes);

    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    dataplane.set_locals(&[(v6, 3), (IpAddr::from([192, 0, 2, 1]), 3)]).unwrap();
    dataplane.set_locals(&[(v6, 4)]).unwrap();
    let locals = dataplane.inspect().locals().unwrap();
    assert_eq!(locals.iter().map(|l| (l.address, l.ifindex)).collect::<Vec<_>>(), [(v6, 4)]);
}

#[test]
fn the_timer_counts_seconds_and_notices_a_silent_daemon() {
    need_root!();
    let host = host();
    let (dataplane, _) = host.open(Mode::Tc);
    dataplane.heartbeat();
    let wait = |what: &str, done: &dyn Fn() -> bool| {
        for _ in 0..100 {
            if done() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("{what}: {:?}", dataplane.inspect().control());
    };
    wait("two ticks", &|| dataplane.inspect().control().tick >= 2);
    let epoch = dataplane.inspect().control().route_epoch;
    wait("the epoch moves on without heartbeat", &|| dataplane.inspect().control().route_epoch > epoch);
    assert!(dataplane.inspect().control().silent_s > 3);
    dataplane.heartbeat();
    wait("the heartbeat is heard", &|| dataplane.inspect().control().silent_s <= 1);
}

#[test]
fn nothing_is_loaded_before_the_first_start() {
    need_root!();
    let host = host();
    assert!(matches!(Inspector::open(&host.pins()), Err(Error::NotLoaded(instance)) if instance == "test"));
    let outside = tempfile::tempdir().unwrap();
    let error = Dataplane::open(support::options(&outside.path().join("x"), Mode::Tc)).err().unwrap();
    assert!(matches!(error, Error::Bpffs { .. }), "{error}");
}

/// Plays both sides: started again with this variable set, it is the process that gets killed.
const VICTIM: &str = "DATAPLANE_TEST_VICTIM";

#[test]
fn a_process_killed_at_any_moment_leaves_what_the_next_can_take_over() {
    need_root!();
    if let Some(pins) = std::env::var_os(VICTIM) {
        loop {
            let options = support::options(pins.as_ref(), Mode::Xdp);
            let (mut dataplane, _) = Dataplane::open(options).unwrap();
            for devices in [&["p1"][..], &["p1", "p2"]] {
                let staged = dataplane.stage(&image(devices)).unwrap();
                dataplane.flip(staged).unwrap();
            }
        }
    }
    let host = host();
    let name = "a_process_killed_at_any_moment_leaves_what_the_next_can_take_over";
    // Spread over what one turn takes here: loading, attaching, flipping, and loading again.
    let begin = std::time::Instant::now();
    host.open(Mode::Xdp).0.detach().unwrap();
    let turn = begin.elapsed();
    let rounds = if turn.as_secs() < 2 { 12 } else { 4 };
    for round in 0..rounds {
        let mut victim = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name])
            .env(VICTIM, host.pins())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(turn.mul_f64(0.1 + 1.5 * f64::from(round) / f64::from(rounds)));
        assert!(victim.try_wait().unwrap().is_none(), "it runs until it is killed");
        victim.kill().unwrap();
        victim.wait().unwrap();

        let (mut dataplane, report) = host.open(Mode::Xdp);
        let before = xdp_program("p1");
        assert!(report.adopted.is_none() || before != 0, "round {round}: an image, but no program");
        let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
        dataplane.flip(staged).unwrap();
        assert_eq!(dataplane.inspect().ports().unwrap().len(), 2, "round {round}");
        assert_ne!(xdp_program("p2"), 0, "round {round}");
    }
    let (dataplane, _) = host.open(Mode::Xdp);
    dataplane.detach().unwrap();
    assert_eq!((xdp_program("p1"), xdp_program("p2"), host.pins().exists()), (0, 0, false));
}
