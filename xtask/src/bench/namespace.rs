//! Three network namespaces and two veth pairs: generator (g0 = r0) router (r1 = s0) sink.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};
use lab::Netns;

pub const G0_MAC: &str = "02:00:00:00:00:01";
pub const R0_MAC: &str = "02:00:00:00:00:02";
pub const R1_MAC: &str = "02:00:00:00:00:03";
pub const S0_MAC: &str = "02:00:00:00:00:04";

/// Namespaces are named `PREFIX<pid>-<number>-<role>`.
pub const PREFIX: &str = "rd-bench-";

pub struct Topology {
    pub generator: Netns,
    pub router: Netns,
    pub sink: Netns,
}

impl Topology {
    /// Links up and without stray traffic; the router has no addresses yet.
    pub fn create() -> Result<Topology> {
        static CREATED: AtomicU32 = AtomicU32::new(0);
        let number = CREATED.fetch_add(1, Ordering::Relaxed);
        let netns = |role| {
            let netns = Netns::create(&format!("{PREFIX}{}-{number}-{role}", std::process::id()))?;
            netns.sysctl("net.ipv6.conf.default.router_solicitations", "0")?;
            Ok::<_, anyhow::Error>(netns)
        };
        let topology = Topology { generator: netns("g")?, router: netns("r")?, sink: netns("s")? };
        let Topology { generator, router, sink } = &topology;
        for (port, port_mac, peer, peer_mac, host) in
            [("r0", R0_MAC, "g0", G0_MAC, generator), ("r1", R1_MAC, "s0", S0_MAC, sink)]
        {
            let to = host.name();
            router.ip(&format!(
                "link add {port} address {port_mac} type veth peer name {peer} netns {to} address {peer_mac}"
            ))?;
            // NAPI on, with or without XDP: else what is redirected into a veth is lost.
            router.run(&format!("ethtool -K {port} gro on"))?;
            router.ip(&format!("link set {port} up"))?;
            host.run(&format!("ethtool -K {peer} gro on tx off txvlan off"))?;
            host.ip(&format!("link set {peer} up"))?;
        }
        Ok(topology)
    }
}

/// Runs a program inside a namespace with `input` on its standard input.
pub fn feed(netns: &Netns, program: &str, arguments: &[&str], input: &str) -> Result<()> {
    let mut command: Command = netns.command(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("start {program}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input may be gone already; its exit status tells.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program} {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
    );
    Ok(())
}
