//! Three network namespaces and two veth pairs: generator (g0 = r0) router (r1 = s0) sink.

use std::{
    fs::{self, File},
    os::fd::AsFd as _,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context as _, Result, anyhow, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

pub const G0_MAC: &str = "02:00:00:00:00:01";
pub const R0_MAC: &str = "02:00:00:00:00:02";
pub const R1_MAC: &str = "02:00:00:00:00:03";
pub const S0_MAC: &str = "02:00:00:00:00:04";

const PREFIX: &str = "rdbench";

/// A named network namespace, removed on drop.
pub struct Namespace {
    pub name: String,
}

impl Namespace {
    fn create(role: &str) -> Result<Namespace> {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}-{}-{role}{number}", std::process::id());
        command("ip", &["netns", "add", &name], "")?;
        let namespace = Namespace { name };
        // Nothing but the measured packets: no duplicate address detection, no router solicitations.
        namespace.run(|| {
            for (key, value) in [("accept_dad", "0"), ("router_solicitations", "0"), ("accept_ra", "0")] {
                for scope in ["all", "default"] {
                    sysctl(&format!("ipv6/conf/{scope}/{key}"), value)?;
                }
            }
            command("ip", &["link", "set", "lo", "up"], "")
        })?;
        Ok(namespace)
    }

    /// Runs `work` on a thread inside the namespace.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = Path::new("/run/netns").join(&self.name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        thread::scope(|scope| {
            scope
                .spawn(move || {
                    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                        .context("enter a network namespace")?;
                    work()
                })
                .join()
                .map_err(|_| anyhow!("a thread of the bench panicked"))?
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = command("ip", &["netns", "del", &self.name], "") {
            eprintln!("{error:#}");
        }
    }
}

pub struct Topology {
    pub generator: Namespace,
    pub router: Namespace,
    pub sink: Namespace,
}

impl Topology {
    /// Links up and without stray traffic; the router has no addresses yet.
    pub fn create() -> Result<Topology> {
        let topology = Topology {
            generator: Namespace::create("g")?,
            router: Namespace::create("r")?,
            sink: Namespace::create("s")?,
        };
        let (generator, sink) = (&topology.generator.name, &topology.sink.name);
        topology.router.run(|| {
            ip(&format!(
                "link add r0 address {R0_MAC} type veth peer name g0 netns {generator} address {G0_MAC}\n\
                 link add r1 address {R1_MAC} type veth peer name s0 netns {sink} address {S0_MAC}\n\
                 link set r0 up\n\
                 link set r1 up\n"
            ))?;
            // NAPI on, with or without XDP: else what is redirected into a veth is lost.
            ethtool("r0", &["gro", "on"])?;
            ethtool("r1", &["gro", "on"])
        })?;
        for (namespace, device) in [(&topology.generator, "g0"), (&topology.sink, "s0")] {
            namespace.run(|| {
                ethtool(device, &["gro", "on", "tx", "off", "txvlan", "off"])?;
                ip(&format!("link set {device} up\n"))
            })?;
        }
        Ok(topology)
    }
}

/// Removes what a bench that was killed has left.
pub fn remove_stale() -> Result<()> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Ok(()) };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('-');
        if let (Some(PREFIX), Some(pid), Some(_)) = (parts.next(), parts.next(), parts.next())
            && !Path::new("/proc").join(pid).exists()
        {
            drop(Namespace { name });
        }
    }
    Ok(())
}

/// Runs `ip -batch` in the current namespace.
pub fn ip(batch: &str) -> Result<()> {
    command("ip", &["-batch", "-"], batch)
}

/// Writes `/proc/sys/net/<key>` of the current namespace.
pub fn sysctl(key: &str, value: &str) -> Result<()> {
    fs::write(format!("/proc/sys/net/{key}"), value).with_context(|| format!("set {key} to {value}"))
}

fn ethtool(device: &str, features: &[&str]) -> Result<()> {
    command("ethtool", &[&["-K", device], features].concat(), "")
}

pub fn command(program: &str, arguments: &[&str], input: &str) -> Result<()> {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may be gone already; its exit status tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
