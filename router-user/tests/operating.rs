//! The two programs as an operator meets them, in network namespaces of their own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::thread::sleep;
use std::time::{Duration, Instant};

use lab::{Daemon, Lab, ctl, ctl_json, need_root, routerctl};
use rustix::process::Signal;
use serde_json::Value;

const BASE: &str =
    "/ip address\nadd address=192.0.2.1/24 interface=ether1\nadd address=198.51.100.1/24 interface=ether2\n";
const MOVED: &str = "/ip address\nadd address=203.0.113.1/24 interface=ether1\nadd address=198.51.100.1/24 interface=ether2\n";

/// A router with two ports, its hosts, and a file to configure it with.
struct Bench {
    lab: Lab,
    dir: tempfile::TempDir,
}

impl Bench {
    fn new(label: &str) -> Bench {
        let mut lab = Lab::new(label).unwrap();
        lab.host("a", "ether1", &["addr add 192.0.2.2/24 dev eth0", "route add default via 192.0.2.1"])
            .unwrap();
        lab.host("b", "ether2", &["addr add 198.51.100.2/24 dev eth0", "route add default via 198.51.100.1"])
            .unwrap();
        let bench = Bench { lab, dir: tempfile::tempdir().unwrap() };
        bench.file("router.rsc", BASE);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    fn start(&self) -> Daemon {
        self.start_with(&[])
    }

    fn start_with(&self, options: &[&str]) -> Daemon {
        Daemon::start(&self.lab.router, &self.path("router.rsc"), options).unwrap()
    }

    fn ctl(&self, arguments: &[&str]) -> String {
        ctl(&self.lab.router, arguments).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        ctl_json(&self.lab.router, arguments).unwrap()
    }

    fn try_ctl(&self, arguments: &[&str]) -> Output {
        routerctl(&self.lab.router, arguments).unwrap()
    }

    fn addresses(&self) -> String {
        self.lab.router.ip("-4 -brief addr").unwrap()
    }

    fn has(&self, address: &str) -> bool {
        self.addresses().split_whitespace().any(|word| word == address)
    }

    /// Waits up to five seconds.
    #[track_caller]
    fn eventually(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !holds() {
            assert!(Instant::now() < deadline, "never: {what}\n{}", self.addresses());
            sleep(Duration::from_millis(20));
        }
    }

    fn pins(&self) -> PathBuf {
        Path::new("/sys/fs/bpf/routerd").join(self.lab.router.name())
    }

    fn pings(&self) -> bool {
        let target = "198.51.100.2".parse().unwrap();
        lab::ping(self.lab.on("a"), target, "-c 3 -i 0.1 -W 1").unwrap().1 > 0
    }
}

#[test]
fn a_live_command_survives_kill_and_restart() {
    need_root!();
    let bench = Bench::new("op-live");
    let mut daemon = bench.start();
    assert!(bench.has("192.0.2.1/24"));
    assert!(bench.pings());
    bench.ctl(&["/ip address add address=203.0.113.1/24 interface=ether2 comment=\"made live\""]);
    assert!(bench.has("203.0.113.1/24"));
    assert!(bench.ctl(&["export"]).contains("203.0.113.1/24"));

    let generation = bench.json(&["status"])["generation"].as_u64().unwrap();
    daemon.kill().unwrap();
    assert!(bench.pings(), "traffic flows on without the daemon");
    let _daemon = bench.start();
    assert!(bench.ctl(&["export"]).contains("comment=\"made live\""));
    assert!(bench.has("203.0.113.1/24"));
    let status = bench.json(&["status"]);
    assert!(status["data_plane"].as_str().unwrap().contains("adopted"), "{status}");
    assert!(status["generation"].as_u64().unwrap() >= generation, "{status}");
    assert!(bench.pings());
}

#[test]
fn a_command_with_an_error_changes_nothing() {
    need_root!();
    let bench = Bench::new("op-err");
    let _daemon = bench.start();
    let before = bench.ctl(&["export"]);
    let out = bench.try_ctl(&["/ip adress add address=203.0.113.1/24 interface=ether2"]);
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("bad command name adress"), "{said}");
    assert_eq!(bench.ctl(&["export"]), before);
    assert!(!bench.try_ctl(&["no-such-verb"]).status.success());
}

#[test]
fn a_second_daemon_is_refused_by_the_number_of_the_first() {
    need_root!();
    let bench = Bench::new("op-two");
    let daemon = bench.start();
    let mut command = bench.lab.router.command(lab::daemon::binary("routerd").unwrap());
    let out = command.args(["run", "--config"]).arg(bench.path("router.rsc")).output().unwrap();
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains(&format!("process {}", daemon.pid())), "{said}");
    assert_eq!(bench.json(&["status"])["pid"].as_u64(), Some(daemon.pid().into()));
}

#[test]
fn sighup_loads_the_file_again_and_a_broken_one_changes_nothing() {
    need_root!();
    let bench = Bench::new("op-hup");
    let mut daemon = bench.start();
    bench.file("router.rsc", &BASE.replace("192.0.2.1/24", "192.0.2.3/24"));
    daemon.signal(Signal::HUP).unwrap();
    bench.eventually("the new address", || bench.has("192.0.2.3/24") && !bench.has("192.0.2.1/24"));

    bench.file(
        "router.rsc",
        "/ip address\nadd address=203.0.113.9/24 interface=ether1\nadd address=nonsense\n",
    );
    daemon.signal(Signal::HUP).unwrap();
    daemon.wait_for("READY=1").unwrap();
    assert!(!bench.try_ctl(&["reload"]).status.success());
    assert!(bench.has("192.0.2.3/24") && !bench.has("203.0.113.9/24"));
    assert_eq!(bench.json(&["history"]).as_array().unwrap().len(), 2);

    // The file is broken at a restart as well: the router goes on with what it ran before, and says so.
    daemon.stop().unwrap();
    let _daemon = bench.start();
    assert!(bench.has("192.0.2.3/24"));
    assert!(bench.json(&["status"])["fault"].is_string());
}

#[test]
fn sighup_before_the_start_is_finished_does_no_harm() {
    need_root!();
    let bench = Bench::new("op-early");
    let mut daemon = Daemon::spawn(&bench.lab.router, &bench.path("router.rsc"), &[]).unwrap();
    let status = format!("/proc/{}/status", daemon.pid());
    // The dynamic loader runs before the first instruction that is ours.
    let blocked = || {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("SigBlk:\t"));
        line.and_then(|mask| u64::from_str_radix(mask, 16).ok()).is_some_and(|mask| mask & 1 != 0)
    };
    bench.eventually("the signal is blocked", blocked);
    daemon.signal(Signal::HUP).unwrap();
    daemon.wait_for("READY=1").unwrap();
    bench.eventually("the daemon answers", || bench.try_ctl(&["status"]).status.success());
}

#[test]
fn history_difference_and_rollback() {
    need_root!();
    let bench = Bench::new("op-hist");
    let _daemon = bench.start();
    let second = bench.file("second.rsc", MOVED);
    let applied = bench.json(&["apply", &second, "--comment", "moved"]);
    assert_eq!(applied["version"], 2);
    assert!(bench.has("203.0.113.1/24") && !bench.has("192.0.2.1/24"));
    let again = bench.json(&["apply", &second]);
    assert_eq!(
        (again["version"].clone(), again["steps"].clone()),
        (2.into(), Value::Array(vec![])),
        "{again}"
    );

    let history = bench.json(&["history"]);
    assert_eq!(history[0]["comment"], "moved");
    let changes = bench.ctl(&["history", "1", "--diff"]);
    assert!(changes.contains("- add address=192.0.2.1/24"), "{changes}");
    assert!(changes.contains("+ add address=203.0.113.1/24"), "{changes}");
    bench.ctl(&["rollback", "1"]);
    assert!(bench.has("192.0.2.1/24") && !bench.has("203.0.113.1/24"));
    assert_eq!(bench.json(&["status"])["configuration"], 3);
    assert!(!bench.try_ctl(&["rollback", "77"]).status.success());
}

#[test]
fn undo_and_redo_go_through_the_history() {
    need_root!();
    let bench = Bench::new("op-undo");
    let _daemon = bench.start();
    assert!(!bench.try_ctl(&["/undo"]).status.success(), "nothing was done yet");
    bench.ctl(&["/ip address add address=203.0.113.1/24 interface=ether2"]);
    bench.ctl(&["/ip address add address=203.0.113.129/25 interface=ether2"]);
    assert!(bench.ctl(&["/undo"]).contains("203.0.113.129/25"));
    assert!(bench.has("203.0.113.1/24") && !bench.has("203.0.113.129/25"));
    bench.ctl(&["/undo"]);
    assert!(!bench.has("203.0.113.1/24"));
    let history = bench.ctl(&["/system history print"]);
    assert_eq!(history.lines().filter(|line| line.contains(" R /ip")).count(), 2, "{history}");
    bench.ctl(&["/redo"]);
    assert!(bench.has("203.0.113.1/24") && !bench.has("203.0.113.129/25"));
    // Something new: what could be made again is gone.
    bench.ctl(&["/system identity set name=New"]);
    assert!(!bench.try_ctl(&["/redo"]).status.success());
    bench.ctl(&["/undo"]);
    bench.ctl(&["/undo"]);
    assert!(!bench.has("203.0.113.1/24"));
}

#[test]
fn console_commands_read_and_write_files() {
    need_root!();
    let bench = Bench::new("op-file");
    let _daemon = bench.start();
    let more = bench.file("more.rsc", "/ip address\nadd address=203.0.113.1/24 interface=ether2\n");
    let said = bench.ctl(&[&format!("/import file-name={more} verbose=yes")]);
    assert!(said.contains("#line 2\nadd address=203.0.113.1/24"), "{said}");
    assert!(bench.has("203.0.113.1/24") && bench.has("192.0.2.1/24"));
    let out = bench.path("out.rsc");
    bench.ctl(&[&format!("/ip address export file={}", out.display())]);
    assert!(fs::read_to_string(out).unwrap().contains("add address=203.0.113.1/24"));
}

/// A script, one of the scheduler, and one that would never end.
#[test]
fn scripts_run_in_the_daemon() {
    need_root!();
    let bench = Bench::new("op-script");
    let _daemon = bench.start();
    let source =
        r#":foreach i in={1;2} do={ /ip address add address=("203.0.113." . $i . "/32") interface=ether2 }"#;
    bench.ctl(&[&format!("/system script add name=twice source={{{source}}}")]);
    bench.ctl(&["/system script run twice"]);
    assert!(bench.has("203.0.113.1/32") && bench.has("203.0.113.2/32"));
    bench.ctl(&[
        "/system scheduler add name=soon interval=1s on-event=\"/system identity set name=Scheduled\"",
    ]);
    bench.eventually("the scheduler", || bench.ctl(&["export"]).contains("name=Scheduled"));
    let endless = bench.try_ctl(&[":while (true) do={ :local x 1 }"]);
    assert!(!endless.status.success());
    bench.ctl(&["status"]);
}

/// Scripts ask hosts, and hosts that come and go start scripts.
#[test]
fn scripts_reach_other_hosts_and_netwatch_starts_them() {
    need_root!();
    let bench = Bench::new("op-watch");
    let _daemon = bench.start();
    let table = bench.ctl(&["/ping 192.0.2.2 count=2 interval=100ms"]);
    assert!(table.contains("sent=2 received=2 packet-loss=0%"), "{table}");
    let said = bench.ctl(&[":put (\"of two: \" . [/ping 192.0.2.77 count=2 interval=100ms])"]);
    assert_eq!(said.trim(), "of two: 0");
    bench.ctl(&["/tool netwatch add host=192.0.2.2 interval=300ms timeout=200ms start-delay=0s \
         up-script={/system identity set name=(\"seen-\" . $status)} \
         down-script={/system identity set name=(\"lost-\" . $host)}"]);
    bench.eventually("the host is seen", || bench.ctl(&["export"]).contains("name=seen-up"));
    assert!(bench.ctl(&["/tool netwatch print"]).contains(" up "), "the state is shown");
    bench.lab.on("a").ip("link set eth0 down").unwrap();
    bench.eventually("the host is lost", || bench.ctl(&["export"]).contains("name=lost-192.0.2.2"));
    let refused = bench.try_ctl(&["/tool fetch url=http://198.51.100.2:9/ output=none"]);
    assert!(!refused.status.success());
    bench.ctl(&[":undo"]);
    assert!(!bench.ctl(&["export"]).contains("name=lost"));
}

#[test]
fn diff_shows_the_steps_and_makes_none() {
    need_root!();
    let bench = Bench::new("op-diff");
    let _daemon = bench.start();
    let other = bench.file("other.rsc", &BASE.replace("192.0.2.1/24", "192.0.2.77/24"));
    let steps = bench.ctl(&["diff", &other]);
    assert!(steps.contains("+ address 192.0.2.77/24") && steps.contains("- address 192.0.2.1/24"), "{steps}");
    assert!(bench.has("192.0.2.1/24") && !bench.has("192.0.2.77/24"));
    let same = bench.path("router.rsc");
    assert_eq!(bench.ctl(&["diff", same.to_str().unwrap()]), "nothing would change\n");
}

#[test]
fn an_unconfirmed_configuration_returns() {
    need_root!();
    let bench = Bench::new("op-conf");
    let mut daemon = bench.start();
    let trial = bench.file("trial.rsc", MOVED);
    bench.ctl(&["apply", &trial, "--confirm", "2"]);
    assert!(bench.has("203.0.113.1/24"));
    bench.eventually("the old address is back", || bench.has("192.0.2.1/24") && !bench.has("203.0.113.1/24"));
    assert!(!bench.try_ctl(&["confirm"]).status.success());

    // The time runs on while the daemon is dead.
    bench.ctl(&["apply", &trial, "--confirm", "2"]);
    daemon.kill().unwrap();
    let mut daemon = bench.start();
    bench.eventually("the old address is back", || bench.has("192.0.2.1/24") && !bench.has("203.0.113.1/24"));

    bench.ctl(&["apply", &trial, "--confirm", "60"]);
    bench.ctl(&["confirm"]);
    assert!(bench.json(&["status"])["confirm_seconds"].is_null());
    daemon.kill().unwrap();
    let _daemon = bench.start();
    assert!(bench.has("203.0.113.1/24"));
}

#[test]
fn what_the_kernel_refuses_leaves_all_as_it_was() {
    need_root!();
    let bench = Bench::new("op-undo");
    let _daemon = bench.start();
    let (before, text) = (bench.addresses(), bench.ctl(&["export"]));
    // More than a veth can carry: the kernel refuses it.
    let refused = bench.file(
        "refused.rsc",
        "/interface ethernet\nset [ find default-name=ether2 ] mtu=65536\n\
         /ip address\nadd address=203.0.113.1/24 interface=ether1\n",
    );
    let out = bench.try_ctl(&["apply", &refused]);
    assert!(!out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
    assert_eq!(bench.addresses(), before);
    assert_eq!(bench.ctl(&["export"]), text);
    assert_eq!(bench.json(&["status"])["configuration"], 1);
    assert!(bench.pings());
}

#[test]
fn a_port_that_appears_comes_alive() {
    need_root!();
    let bench = Bench::new("op-port");
    bench.file("router.rsc", &format!("{BASE}add address=203.0.113.1/24 interface=ether3\n"));
    let _daemon = bench.start();
    let inactive = || bench.json(&["status"])["inactive"].to_string();
    assert!(inactive().contains("ether3"), "{}", inactive());
    bench.lab.router.ip("link add ether3 type veth peer name peer3").unwrap();
    bench.eventually("the address of ether3", || bench.has("203.0.113.1/24"));
    bench.eventually("nothing is inactive", || inactive() == "[]");
    bench.lab.router.ip("link del ether3").unwrap();
    bench.eventually("ether3 is inactive", || inactive().contains("ether3"));
    assert!(bench.pings());
}

#[test]
fn stop_leaves_traffic_flowing_and_detach_gives_plain_linux() {
    need_root!();
    let bench = Bench::new("op-stop");
    let forwarding = bench.lab.router.read_sysctl("net.ipv4.ip_forward").unwrap();
    let mut daemon = bench.start();
    assert!(daemon.stop().unwrap().success());
    assert!(bench.pings());
    assert!(
        !bench.json(&["map", "ports"]).as_array().unwrap().is_empty(),
        "maps are read without the daemon"
    );

    bench.ctl(&["detach"]);
    assert!(!bench.pins().exists());
    assert!(!bench.has("192.0.2.1/24"));
    assert_eq!(bench.lab.router.read_sysctl("net.ipv4.ip_forward").unwrap(), forwarding);
    assert!(!bench.lab.router.ip("link show ether1").unwrap().contains("xdp"));

    // The configuration is still there for the next start; a running daemon detaches and ends as well.
    let mut daemon = bench.start();
    assert!(bench.has("192.0.2.1/24") && bench.pings());
    bench.ctl(&["detach"]);
    assert!(daemon.wait(Duration::from_secs(5)).unwrap().success());
    assert!(!bench.pins().exists() && !bench.has("192.0.2.1/24"));

    let mut daemon = bench.start_with(&["--detach-on-exit"]);
    assert!(daemon.stop().unwrap().success());
    assert!(!bench.pins().exists() && !bench.has("192.0.2.1/24"));
}

#[test]
fn a_file_that_is_no_configuration_is_refused_and_nothing_changed() {
    need_root!();
    let bench = Bench::new("op-bad");
    let before = bench.addresses();
    let garbage: Vec<u8> =
        (0..10u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8 & 0x7f).collect();
    let refused = || {
        let mut daemon = Daemon::spawn(&bench.lab.router, &bench.path("router.rsc"), &[]).unwrap();
        let status = daemon.wait(Duration::from_secs(60)).unwrap();
        assert_eq!(status.code(), Some(1), "{}", daemon.log());
        assert_eq!(bench.addresses(), before);
        daemon.log()
    };
    for content in [&b"/ip adress\n"[..], b"/ip address\n\xff\xfe\x00", &garbage] {
        fs::write(bench.path("router.rsc"), content).unwrap();
        assert!(refused().len() < 1 << 20, "the log is bounded");
    }
    fs::remove_file(bench.path("router.rsc")).unwrap();
    assert!(refused().contains("router.rsc"));
}

/// Kills the daemon at different moments of an apply; the next start makes the host as configured, old or new.
#[test]
fn kill_at_any_moment_of_an_apply_is_repaired() {
    need_root!();
    let bench = Bench::new("op-kill");
    let port = "/interface ethernet\nset [ find default-name=ether1 ] comment=x mtu=1400\n";
    let (old, new) = (bench.path("router.rsc"), bench.file("new.rsc", &format!("{port}{MOVED}")));
    for delay_ms in [0, 2, 4, 8, 12, 16, 24, 40] {
        let mut daemon = bench.start();
        bench.ctl(&["apply", old.to_str().unwrap()]);
        let mut command = bench.lab.router.command(lab::daemon::binary("routerctl").unwrap());
        let mut apply = command.args(["apply", &new]).spawn().unwrap();
        sleep(Duration::from_millis(delay_ms));
        daemon.kill().unwrap();
        apply.wait().unwrap();

        let mut daemon = bench.start();
        let status = bench.json(&["status"]);
        assert!(status["fault"].is_null(), "{status}");
        let moved = bench.ctl(&["export"]).contains("203.0.113.1/24");
        assert_eq!(bench.has("203.0.113.1/24"), moved, "after {delay_ms} ms\n{}", bench.addresses());
        assert_eq!(bench.has("192.0.2.1/24"), !moved, "after {delay_ms} ms\n{}", bench.addresses());
        assert!(bench.has("198.51.100.1/24"));
        daemon.stop().unwrap();
    }
}

#[test]
fn the_data_plane_is_seen_with_and_without_the_daemon() {
    need_root!();
    let bench = Bench::new("op-see");
    let mut daemon = bench.start_with(&["--port-mode", "all=xdp"]);
    assert!(bench.pings());
    let forwarded = || {
        let reasons = bench.json(&["map", "reasons", "reason=forwarded "]);
        reasons[0]["packets"].as_u64().unwrap()
    };
    assert!(forwarded() > 0);
    let question = ["explain", "in=ether1", "src=192.0.2.2", "dst=198.51.100.2", "protocol=udp"];
    let explanation = bench.json(&question);
    assert_eq!(explanation["fast"], true, "{explanation}");
    assert_eq!(explanation["reason"], "forwarded", "{explanation}");
    let nowhere = bench.json(&["explain", "in=ether1", "src=192.0.2.2", "dst=203.0.113.1"]);
    assert_eq!((&nowhere["fast"], &nowhere["reason"]), (&false.into(), &"no-route".into()), "{nowhere}");
    let stats = bench.json(&["stats"]);
    assert_eq!(stats["ports"].as_array().unwrap().len(), 2, "{stats}");
    let objects = bench.ctl(&["map", "objects", "link"]);
    assert!(objects.contains("xdp_port") && !objects.contains("CONTROL"), "{objects}");

    daemon.kill().unwrap();
    assert!(forwarded() > 0);
    assert_eq!(bench.json(&question)["fast"], true);
    assert_eq!(bench.json(&["map", "ports"]).as_array().unwrap().len(), 2);
}

#[test]
fn a_trace_follows_matching_packets_and_leaves_no_trace() {
    need_root!();
    let bench = Bench::new("op-trace");
    let mut daemon = bench.start();
    let tracing = || bench.json(&["map", "images"])["control"]["tracing"].as_bool().unwrap();
    let follow = |signal: Option<Signal>| {
        let mut command = bench.lab.router.command(lab::daemon::binary("routerctl").unwrap());
        command.args(["trace", "src=192.0.2.0/24", "protocol=icmp", "-c", "2", "--json"]);
        let child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        bench.eventually("the trace runs", tracing);
        match signal {
            None => assert!(bench.pings()),
            Some(signal) => {
                let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
                rustix::process::kill_process(pid, signal).unwrap();
            }
        }
        let out = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        bench.eventually("the trace is off", || !tracing());
        out
    };
    let steps = follow(None);
    assert!(steps.lines().count() >= 2 && steps.contains("192.0.2.2 > 198.51.100.2 icmp"), "{steps}");
    assert!(!steps.contains("198.51.100.2 > 192.0.2.2"), "{steps}");
    // A client that is killed, with nothing to see at the moment.
    follow(Some(Signal::KILL));
    daemon.kill().unwrap();
    assert!(follow(None).contains("192.0.2.2 > 198.51.100.2 icmp"));
    follow(Some(Signal::INT));
}

#[test]
fn others_reach_neither_socket_nor_state() {
    need_root!();
    let bench = Bench::new("op-peer");
    let _daemon = bench.start();
    let name = bench.lab.router.name();
    let socket = Path::new("/run/routerd").join(name).join("control.sock");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0, 0));
    let state = Path::new("/var/lib/routerd").join(name).join("config.rsc");
    assert_eq!(fs::metadata(state).unwrap().permissions().mode() & 0o777, 0o600);
}
