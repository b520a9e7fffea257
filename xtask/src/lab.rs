//! `cargo xtask lab`: the office lab of the demo, standing until it is taken down.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use ::lab::{Daemon, HttpServer, Lab, Netns, netns, topology};
use anyhow::{Context, Result, bail};
use clap::Subcommand;
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    build,
    setup::{self, Purpose},
    shell,
};

/// Prefix of the standing lab's namespaces.
pub const PREFIX: &str = "rd-lab";
/// Process ids of the standing lab, one line each: id and namespace.
const RECORD: &str = "/run/routerd-lab";

#[derive(Subcommand, Clone)]
pub enum Verb {
    /// Builds, lays out the lab and starts routerd in it
    Up {
        /// The router's configuration
        #[arg(long, default_value = "configs/smb-office.rsc")]
        config: PathBuf,
    },
    /// Removes the lab
    Down,
    /// Shows what stands
    Status,
}

pub fn run(verb: &Verb) -> Result<ExitCode> {
    match verb {
        Verb::Up { config } => {
            setup::run(&setup::Options { purpose: Purpose::Demo })?;
            build::run(&build::Options::default())?;
            let config = fs::canonicalize(config).with_context(|| format!("find {}", config.display()))?;
            shell::as_root(&["lab-up", &config.display().to_string()])
        }
        Verb::Down => shell::as_root(&["lab-down"]),
        Verb::Status => shell::as_root(&["lab-status"]),
    }
}

/// As root: the lab and a router in it, both left standing.
pub fn up(config: &Path) -> Result<ExitCode> {
    crate::signal::catch()?;
    let lab = topology::office(Some(PREFIX))?;
    let daemon = start(&lab, config)?;
    crate::signal::check()?;
    leave(lab, daemon)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the router of a lab. The lab's hosts send no hardware VLAN tags, so XDP on veth is safe.
pub fn start(lab: &Lab, config: &Path) -> Result<Daemon> {
    Daemon::start(&lab.router, config, &["--port-mode", "all=xdp"])
}

/// Leaves a lab standing, with a web server on its provider's side, and says how to enter it.
pub fn leave(mut lab: Lab, daemon: Daemon) -> Result<()> {
    let server = lab.on("wan").name().to_owned();
    let mut http = Command::new(std::env::current_exe()?);
    http.args(["lab-http", &server]).process_group(0);
    let http = http.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let router = lab.router.name().to_owned();
    let log = daemon.log_file();
    fs::write(RECORD, format!("{} {router}\n{} {server}\n", daemon.leave(), http.id()))?;
    lab.keep();
    let binaries = build::binaries(false);
    let sudo = if std::env::var_os("SUDO_USER").is_some() { "sudo " } else { "" };
    println!("\nThe lab stands; routerd logs to {}. Enter it:", log.display());
    for host in lab.hosts() {
        println!("  {sudo}ip netns exec {} bash    # {}, behind {}", host.netns.name(), host.role, host.port);
    }
    println!("  {sudo}ip netns exec {router} {}/routerctl status", binaries.display());
    println!("  {sudo}ip netns exec {} ping 203.0.113.1", lab.on("lan1").name());
    println!("  {sudo}ip netns exec {} curl http://198.51.100.80/", lab.on("lan1").name());
    println!("Remove it: cargo xtask lab down");
    Ok(())
}

pub fn down() -> Result<ExitCode> {
    for (pid, name) in recorded() {
        if let Some(pid) = Pid::from_raw(pid)
            && runs_in(pid, &name)
        {
            kill_process(pid, Signal::TERM)?;
            let deadline = Instant::now() + Duration::from_secs(5);
            while runs_in(pid, &name) {
                if Instant::now() > deadline {
                    kill_process(pid, Signal::KILL)?;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
    let names = netns::list(&format!("{PREFIX}-"));
    for name in &names {
        netns::remove(name)?;
    }
    if Path::new(RECORD).exists() {
        fs::remove_file(RECORD)?;
    }
    println!("{}", if names.is_empty() { "no lab stands".to_owned() } else { format!("removed {names:?}") });
    Ok(ExitCode::SUCCESS)
}

pub fn status() -> Result<ExitCode> {
    let names = netns::list(&format!("{PREFIX}-"));
    if names.is_empty() {
        println!("no lab stands");
        return Ok(ExitCode::FAILURE);
    }
    for name in names {
        let addresses = Netns::open(&name)?.ip("-br address")?;
        println!("{name}");
        addresses.lines().filter(|line| !line.starts_with("lo ")).for_each(|line| println!("  {line}"));
    }
    for (pid, name) in recorded() {
        let runs = Pid::from_raw(pid).is_some_and(|pid| runs_in(pid, &name));
        println!("process {pid} in {name}: {}", if runs { "runs" } else { "has ended" });
    }
    Ok(ExitCode::SUCCESS)
}

/// The standing lab's web server.
pub fn serve_http(name: &str) -> Result<ExitCode> {
    HttpServer::start(&Netns::open(name)?, 80, 1 << 20)?.wait();
    bail!("the web server ended")
}

fn recorded() -> Vec<(i32, String)> {
    let text = fs::read_to_string(RECORD).unwrap_or_default();
    let entry = |line: &str| {
        let (pid, name) = line.split_once(' ')?;
        Some((pid.parse().ok()?, name.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

/// Whether the process is ours still: its number may belong to another by now.
fn runs_in(pid: Pid, name: &str) -> bool {
    let own = std::env::current_exe().ok().and_then(|file| file.parent().map(Path::to_path_buf));
    let program = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero())).ok();
    let program = program.and_then(|file| file.parent().map(Path::to_path_buf));
    Path::new("/run/netns").join(name).exists() && program.is_some() && program == own
}
