//! A router with two hosts: `a` on ether1, `b` on ether2, in both families.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use lab::{Daemon, Lab, Netns, ctl, ctl_json, ping};
use tempfile::TempDir;

pub const A4: &str = "192.0.2.2";
pub const B4: &str = "198.51.100.2";
pub const B6: &str = "2001:db8:2::2";

/// What every scenario starts from.
pub const BASE: &str = "\
/ip address
add address=192.0.2.1/24 interface=ether1
add address=198.51.100.1/24 interface=ether2
/ipv6 address
add address=2001:db8:1::1/64 advertise=no interface=ether1
add address=2001:db8:2::1/64 advertise=no interface=ether2
";

pub struct Router {
    // Dropped in this order: the daemon before its namespace.
    pub daemon: Daemon,
    pub lab: Lab,
    folder: TempDir,
    mode: String,
}

impl Router {
    /// [`BASE`] and more lines, with every port in `mode`: `xdp`, `tc`, or `xdp,ether2=tc`. Labels are unique among all
    /// scenarios.
    pub fn start(label: &str, mode: &str, more: &str) -> Router {
        Router::with(hosts(label), mode, more)
    }

    /// As [`Router::start`], with hosts that finish their checksums, as all frames on a wire are.
    pub fn start_wired(label: &str, mode: &str, more: &str) -> Router {
        let lab = hosts(label);
        for host in lab.hosts() {
            host.netns.run("ethtool -K eth0 tx off").unwrap();
        }
        Router::with(lab, mode, more)
    }

    /// As [`Router::start`] in a lab that stands already.
    pub fn with(lab: Lab, mode: &str, more: &str) -> Router {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("router.rsc");
        fs::write(&file, format!("{BASE}{more}")).unwrap();
        let mode = format!("all={mode}");
        let daemon = start(&lab, &file, &mode);
        Router { daemon, lab, folder, mode }
    }

    /// Starts the daemon anew, after it ended or was killed.
    pub fn restart(&mut self) {
        self.daemon = start(&self.lab, &self.file(), &self.mode);
    }

    pub fn file(&self) -> PathBuf {
        self.folder.path().join("router.rsc")
    }

    pub fn write(&self, text: &str) {
        fs::write(self.file(), text).unwrap();
    }

    pub fn netns(&self) -> &Netns {
        &self.lab.router
    }

    pub fn a(&self) -> &Netns {
        self.lab.on("a")
    }

    pub fn b(&self) -> &Netns {
        self.lab.on("b")
    }

    pub fn ctl(&self, arguments: &[&str]) -> String {
        ctl(&self.lab.router, arguments).unwrap()
    }

    pub fn status(&self) -> serde_json::Value {
        ctl_json(&self.lab.router, &["status"]).unwrap()
    }

    /// Packets that left the pipeline by a reason so far.
    #[track_caller]
    pub fn packets(&self, reason: &str) -> u64 {
        let reasons = ctl_json(&self.lab.router, &["map", "reasons"]).unwrap();
        let row = reasons.as_array().unwrap().iter().find(|row| row["reason"] == reason);
        row.unwrap_or_else(|| panic!("no reason {reason}"))["packets"].as_u64().unwrap()
    }

    /// Dropped packets by reason, where there are any. An emulated receiver's backlog fills up under TCP, which sends
    /// again: what it refuses does not count there.
    pub fn dropped(&self) -> Vec<(String, u64)> {
        let refused = |reason: &str| lab::is_emulated() && reason == "redirect-failed";
        let reasons = ctl_json(&self.lab.router, &["map", "reasons"]).unwrap();
        let drops = reasons.as_array().unwrap().iter().filter(|row| row["class"] == "drop");
        let named =
            drops.map(|row| (row["reason"].as_str().unwrap().to_owned(), row["packets"].as_u64().unwrap()));
        named.filter(|(reason, packets)| *packets > 0 && !refused(reason)).collect()
    }

    /// Asserts that `a` reaches `b` in both families.
    #[track_caller]
    pub fn assert_reachable(&self) {
        for target in [B4, B6] {
            assert_eq!(pings(self.a(), target, "-c 3 -i 0.05 -W 2"), (3, 3), "ping {target}");
        }
    }
}

fn start(lab: &Lab, file: &Path, mode: &str) -> Daemon {
    let options: Vec<&str> = mode.split(',').flat_map(|mode| ["--port-mode", mode]).collect();
    Daemon::start(&lab.router, file, &options).unwrap()
}

fn hosts(label: &str) -> Lab {
    if !lab::is_root() {
        lab::skip!("needs root (cargo xtask test asks sudo for it)");
    }
    let mut lab = Lab::new(label).unwrap();
    for (role, port, setup) in sides() {
        lab.host(role, port, &setup.each_ref().map(String::as_str)).unwrap();
    }
    lab
}

/// Role, port and set-up of the two hosts.
pub fn sides() -> [(&'static str, &'static str, [String; 4]); 2] {
    [("a", "ether1", "192.0.2", 1), ("b", "ether2", "198.51.100", 2)].map(|(role, port, net4, net6)| {
        let setup = [
            format!("addr add {net4}.2/24 dev eth0"),
            format!("addr add 2001:db8:{net6}::2/64 dev eth0 nodad"),
            format!("route add default via {net4}.1"),
            format!("route add default via 2001:db8:{net6}::1"),
        ];
        (role, port, setup)
    })
}

#[track_caller]
pub fn pings(from: &Netns, target: &str, options: &str) -> (u32, u32) {
    ping(from, target.parse::<IpAddr>().unwrap(), options).unwrap()
}

pub fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Waits for a condition that comes true by itself; panics after ten seconds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 10 s: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// What `ping` prints, whether or not anybody answers.
pub fn ping_text(from: &Netns, target: &str, options: &str) -> String {
    let mut ping = from.command("ping");
    let out = ping.arg("-n").args(options.split_whitespace()).arg(target).output().unwrap();
    String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned()
}
