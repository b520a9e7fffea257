//! The unit file under a real systemd, with all its hardening: what it forbids too much shows only there.

use std::{
    fs, io,
    path::Path,
    process::{Child, Command, Stdio},
};

use router_tests::support::eventually;

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../router-user/systemd/routerd.service");
const CONFIG: &str =
    "/ip address add address=192.0.2.1/24 interface=ether9\n/system identity set name=Edge\n";

/// A systemd that starts `routerd.service` and nothing else, with processes, mounts and a host name of its own. The
/// network is the machine's, since a router sets the host name only there; its port is a veth beside the cards.
struct Systemd {
    /// `unshare`, whose end is that of all below it.
    child: Child,
    /// systemd, as seen from here.
    pid: u32,
}

impl Systemd {
    fn boot() -> Systemd {
        let veth = "link add ether9 type veth peer name far9";
        assert!(Command::new("ip").args(veth.split(' ')).status().unwrap().success());
        let mut unshare = Command::new("unshare");
        unshare.args("--pid --fork --kill-child --mount-proc --uts".split(' '));
        unshare.args("/lib/systemd/systemd --system --unit=routerd.service --log-target=null".split(' '));
        unshare.env("container", "test").stdin(Stdio::null());
        let child = unshare.spawn().unwrap();
        let mut pid = 0;
        eventually("systemd is there", || {
            let children = format!("/proc/{0}/task/{0}/children", child.id());
            pid = fs::read_to_string(children).unwrap_or_default().trim().parse().unwrap_or(0);
            pid != 0
        });
        Systemd { child, pid }
    }

    /// Output of a command inside, whatever its status.
    fn run(&self, line: &str) -> String {
        let mut nsenter = Command::new("nsenter");
        nsenter.args(["--all", "--target", &self.pid.to_string()]).args(["sh", "-c", line]);
        let out = nsenter.stdin(Stdio::null()).output().unwrap();
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    }

    #[track_caller]
    fn expect(&self, line: &str, part: &str) {
        let mut seen = String::new();
        let mut holds = || {
            seen = self.run(line);
            seen.contains(part)
        };
        // Loading the programs takes up to a minute in an emulated machine.
        if !(0..24).any(|_| {
            holds() || {
                std::thread::sleep(std::time::Duration::from_secs(5));
                false
            }
        }) {
            panic!("{line}: no {part:?} in {seen}\n{}", self.run("systemctl status routerd"));
        }
    }
}

impl Drop for Systemd {
    fn drop(&mut self) {
        // Nothing is left to be done where it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn install() {
    for program in ["routerd", "routerctl"] {
        // Without debug information, since the machine's file system is in memory; and where ProtectHome does not hide it.
        let mut strip = Command::new("strip");
        strip.arg(lab::daemon::binary(program).unwrap()).args(["-o", &format!("/usr/bin/{program}")]);
        assert!(strip.status().unwrap().success());
    }
    // The guest sees the host's files: a router that runs there has its own past.
    if let Err(fault) = fs::remove_dir_all("/var/lib/routerd") {
        assert_eq!(fault.kind(), io::ErrorKind::NotFound, "/var/lib/routerd: {fault}");
    }
    let folder = Path::new("/etc/systemd/system/routerd.service.d");
    fs::create_dir_all(folder).unwrap();
    fs::create_dir_all("/etc/routerd").unwrap();
    fs::copy(UNIT, "/etc/systemd/system/routerd.service").unwrap();
    // No boot of a whole system.
    fs::write(folder.join("alone.conf"), "[Unit]\nDefaultDependencies=no\n").unwrap();
    fs::write("/etc/routerd/router.rsc", CONFIG).unwrap();
}

#[test]
fn the_unit_starts_reloads_restarts_and_stops() {
    if std::env::var_os("ROUTERD_CARDS").is_none() {
        lab::skip!(
            "needs a virtual machine, whose /etc it writes to (cargo xtask test starts it there, too)"
        );
    }
    install();
    let systemd = Systemd::boot();
    let is_active = "systemctl show routerd -p ActiveState,SubState,NRestarts";
    systemd.expect(is_active, "SubState=running");
    systemd.expect(is_active, "NRestarts=0");
    systemd.expect("systemctl show routerd -p StatusText", "version 1, 1 port");
    systemd.expect("ip -br addr show ether9", "192.0.2.1/24");
    systemd.expect("hostname", "Edge");

    // What only a command under the unit's restrictions shows: links, addresses, routes, the stored configuration.
    let link = "'/interface ethernet set ether9 mtu=1400'";
    let route = "'/ip route add dst-address=203.0.113.0/24 gateway=192.0.2.9'";
    systemd.run(&format!("routerctl {link}; routerctl {route}; ip link set far9 up"));
    systemd.expect("ip link show ether9", "mtu 1400");
    systemd.expect("ip route", "203.0.113.0/24 via 192.0.2.9");

    let own = systemd.run("systemctl show routerd -p MainPID --value");
    systemd.run("systemctl restart routerd");
    systemd.expect(is_active, "SubState=running");
    assert_ne!(systemd.run("systemctl show routerd -p MainPID --value"), own);
    systemd.expect("routerctl status", "data plane");
    systemd.expect("routerctl '/ip route print'", "203.0.113.0/24");

    systemd.run("systemctl kill -s KILL routerd");
    systemd.expect(is_active, "NRestarts=1");
    systemd.expect(is_active, "SubState=running");

    // A reload takes the file again: what was added live is gone.
    systemd.run("systemctl reload routerd");
    systemd.expect("ip route | grep -c 203.0.113.0", "0");

    // The data plane stays after a stop, and one command takes it away.
    systemd.run("systemctl stop routerd");
    systemd.expect(is_active, "ActiveState=inactive");
    systemd.expect("ls /sys/fs/bpf/routerd", "main");
    systemd.run("routerctl detach");
    systemd.expect("ls /sys/fs/bpf/routerd/main", "No such file");
}
