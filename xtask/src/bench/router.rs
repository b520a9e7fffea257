//! Sets the router namespace up for a case.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use aya::{Ebpf, maps::DevMap};
use rustix::process::{Pid, Signal, kill_process};

use super::{
    case::{Case, Router},
    namespace::{G0_MAC, S0_MAC, Topology, command, ip, sysctl},
    traffic::{attach, ifindex},
};

const READY_TIMEOUT: Duration = Duration::from_secs(20);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Sets up the router of `case`; the daemon, where there is one, lives as long as what is returned.
pub fn start(case: Case, topology: &Topology, programs: &mut Ebpf, routerd: &Path) -> Result<Option<Daemon>> {
    if case.router == Router::Routerd {
        return Daemon::start(topology, routerd).map(Some);
    }
    topology.router.run(|| {
        configure_kernel()?;
        match case.router {
            Router::Redirect => attach(programs, "redirect", "r0"),
            Router::Drop => attach(programs, "drop_counted", "r0"),
            Router::FibDirect => {
                let mut devices: DevMap<_> =
                    programs.map_mut("DEVICES").context("the object has no map DEVICES")?.try_into()?;
                for device in ["r0", "r1"] {
                    let index = ifindex(device)?;
                    devices.set(index, index, None, 0)?;
                }
                attach(programs, "fib_direct", "r0")
            }
            Router::Nft => {
                sysctl("netfilter/nf_conntrack_checksum", "0")?;
                command("nft", &["-f", "-"], &rules(25))
            }
            Router::Kernel | Router::Routerd => Ok(()),
        }
    })?;
    Ok(None)
}

/// Addresses, static neighbours, one route each way, forwarding on.
fn configure_kernel() -> Result<()> {
    for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
        sysctl(key, "1")?;
    }
    for scope in ["all", "r0", "r1"] {
        sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
    }
    ip(&format!(
        "address add 192.168.1.1/24 dev r0\n\
         address add 192.168.2.1/24 dev r1\n\
         address add 2001:db8:1::1/64 dev r0 nodad\n\
         address add 2001:db8:2::1/64 dev r1 nodad\n\
         neighbour replace 192.168.1.2 lladdr {G0_MAC} dev r0 nud permanent\n\
         neighbour replace 192.168.2.2 lladdr {S0_MAC} dev r1 nud permanent\n\
         neighbour replace 2001:db8:1::2 lladdr {G0_MAC} dev r0 nud permanent\n\
         neighbour replace 2001:db8:2::2 lladdr {S0_MAC} dev r1 nud permanent\n\
         route add 10.0.0.0/8 via 192.168.1.2\n\
         route add 198.18.0.0/15 via 192.168.2.2\n\
         route add 2001:db8:10::/48 via 2001:db8:1::2\n\
         route add 2001:db8:20::/48 via 2001:db8:2::2\n"
    ))
}

/// The same for routerd, with ether1 = r0 and ether2 = r1.
fn configuration() -> String {
    format!(
        "/ip address\n\
         add address=192.168.1.1/24 interface=ether1\n\
         add address=192.168.2.1/24 interface=ether2\n\
         /ipv6 address\n\
         add address=2001:db8:1::1/64 interface=ether1 advertise=no no-dad=yes\n\
         add address=2001:db8:2::1/64 interface=ether2 advertise=no no-dad=yes\n\
         /ip arp\n\
         add address=192.168.1.2 mac-address={G0_MAC} interface=ether1\n\
         add address=192.168.2.2 mac-address={S0_MAC} interface=ether2\n\
         /ipv6 neighbor\n\
         add address=2001:db8:1::2 mac-address={G0_MAC} interface=ether1\n\
         add address=2001:db8:2::2 mac-address={S0_MAC} interface=ether2\n\
         /ip route\n\
         add dst-address=10.0.0.0/8 gateway=192.168.1.2\n\
         add dst-address=198.18.0.0/15 gateway=192.168.2.2\n\
         /ipv6 route\n\
         add dst-address=2001:db8:10::/48 gateway=2001:db8:1::2\n\
         add dst-address=2001:db8:20::/48 gateway=2001:db8:2::2\n"
    )
}

/// `count` rules that match nothing, then the one that accepts; the flows are one-way, so every packet passes them all.
fn rules(count: u32) -> String {
    let mut text =
        "table inet bench {\n chain forward {\n  type filter hook forward priority 0; policy drop;\n\
                    ct state established,related accept\n  ct state invalid drop\n"
            .to_owned();
    for i in 0..count {
        text += &format!("  ip saddr 172.16.{}.{} udp dport {} drop\n", i >> 8, i & 255, 1000 + i);
    }
    text + "  ct state new accept\n }\n}\n"
}

/// A running routerd with directories of its own; detached from the ports on drop.
pub struct Daemon {
    child: Child,
    instance: String,
    directory: tempfile::TempDir,
}

impl Daemon {
    fn start(topology: &Topology, routerd: &Path) -> Result<Daemon> {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let path = |name: &str| directory.path().join(name);
        fs::write(path("bench.rsc"), configuration())?;
        let ready = UnixDatagram::bind(path("notify"))?;
        ready.set_read_timeout(Some(Duration::from_millis(100)))?;
        let log = fs::File::create(path("log"))?;
        let child = Command::new(routerd)
            .args(["run", "--netns", &topology.router.name, "--port", "ether1=r0", "--port", "ether2=r1"])
            .args(["--port-mode", "all=xdp", "--detach-on-exit"])
            .arg("--config")
            .arg(path("bench.rsc"))
            .arg("--state-dir")
            .arg(path("state"))
            .arg("--run-dir")
            .arg(path("run"))
            .env("NOTIFY_SOCKET", path("notify"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("start {}", routerd.display()))?;
        let mut daemon = Daemon { child, instance: topology.router.name.clone(), directory };
        daemon.wait_ready(&ready)?;
        Ok(daemon)
    }

    fn wait_ready(&mut self, ready: &UnixDatagram) -> Result<()> {
        let start = Instant::now();
        let mut message = [0; 4096];
        loop {
            if let Ok(length) = ready.recv(&mut message)
                && message
                    .get(..length)
                    .is_some_and(|text| text.split(|b| *b == b'\n').any(|line| line == b"READY=1"))
            {
                return Ok(());
            }
            let exited = self.child.try_wait()?;
            if exited.is_some() || start.elapsed() > READY_TIMEOUT {
                let log = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                match exited {
                    Some(status) => bail!("routerd ended with {status}:\n{log}"),
                    None => bail!("routerd is not ready after {} s:\n{log}", READY_TIMEOUT.as_secs()),
                }
            }
        }
    }

    fn stop(&mut self) -> Result<()> {
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(pid, Signal::TERM)?;
        }
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_TIMEOUT {
                self.child.kill()?;
                self.child.wait()?;
                bail!("routerd did not end on SIGTERM");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("{error:#}");
        }
        let pins = PathBuf::from("/sys/fs/bpf/routerd").join(&self.instance);
        if pins.exists()
            && let Err(error) = fs::remove_dir_all(&pins)
        {
            eprintln!("remove {}: {error}", pins.display());
        }
    }
}
