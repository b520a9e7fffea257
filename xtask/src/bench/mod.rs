//! `cargo xtask bench`: packets per second and nanoseconds per packet of this router, a bare XDP redirect,
//! `xdp-forward`'s way and the plain kernel, in one run on one CPU. `docs/benchmarks.md` says how it counts.

mod case;
mod limits;
mod namespace;
mod policy;
mod reload;
mod report;
mod router;
mod traffic;

use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use aya::Ebpf;
use lab::Daemon;

use self::{
    case::{Case, Life, Policy, Router},
    namespace::Topology,
    reload::Reload,
    report::{Count, Report, Sample},
};
use crate::{build, shell};

/// CPU time between two changes from a case to the yardstick and back.
const SLICE: Duration = Duration::from_millis(25);
/// An exchange that lasts longer is a stream, for both firewalls.
const STREAM: Duration = Duration::from_secs(4);

#[derive(clap::Args)]
pub struct Options {
    /// Cases to run, `*` stands for any text; may be repeated (default: all)
    #[arg(long = "case", value_name = "PATTERN")]
    cases: Vec<String>,
    /// Print the cases and exit
    #[arg(long)]
    list: bool,
    /// Rounds; each sets every case up afresh
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Seconds that a case and its yardstick are measured per round
    #[arg(long, default_value_t = 1.0)]
    secs: f64,
    /// The CPU that does all the work (default: the last one)
    #[arg(long)]
    cpu: Option<usize>,
    /// Check TTL and checksums of every packet that arrives (not for timing)
    #[arg(long)]
    verify: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Measure what is built already
    #[arg(long)]
    no_build: bool,
    /// The daemon to measure (default: `target/release/routerd`)
    #[arg(long, value_name = "FILE")]
    routerd: Option<PathBuf>,
}

pub fn run(options: &Options) -> Result<()> {
    let cases: Vec<Case> = Case::all().filter(|case| selected(&options.cases, &case.name())).collect();
    let reloads: Vec<Reload> =
        Reload::all().filter(|reload| selected(&options.cases, &reload.name())).collect();
    if options.list {
        for case in Case::all() {
            println!("{:<24} {}", case.name(), case.describe());
        }
        for reload in Reload::all() {
            println!("{:<24} {}", reload.name(), reload.describe());
        }
        return Ok(());
    }
    ensure!(
        !cases.is_empty() || !reloads.is_empty(),
        "no case matches; `cargo xtask bench --list` shows them"
    );
    ensure!(options.rounds > 0 && options.secs > 0.0, "rounds and seconds must be above 0");
    ensure!(::lab::is_root(), "the bench lays out network namespaces: run it as root");
    for tool in ["ip", "ethtool", "nft"] {
        shell::which(tool).with_context(|| format!("{tool} is missing; cargo xtask setup"))?;
    }
    if !options.no_build {
        build::run(&build::Options { release: true })?;
    }
    let object = shell::target().join("ebpf/bpfel-unknown-none/bpf/bench");
    let object = fs::read(&object)
        .with_context(|| format!("read {}; cargo xtask build makes it", object.display()))?;
    let routerd = options.routerd.clone().unwrap_or_else(|| build::binaries(true).join("routerd"));
    let cpus = std::thread::available_parallelism()?.get();
    let rig = Rig {
        object,
        routerd,
        cpu: options.cpu.unwrap_or(cpus - 1),
        time: Duration::from_secs_f64(options.secs),
        verify: options.verify,
    };
    lab::topology::remove_orphans(namespace::PREFIX);
    let _limits = limits::raise()?;

    let mut report = Report::default();
    for round in 0..options.rounds {
        for case in rotated(&cases, round as usize) {
            let sample = rig.measure(case).with_context(|| format!("case {}", case.name()))?;
            eprintln!("round {} of {}  {:<24} {sample}", round + 1, options.rounds, case.name());
            report.add(round, case, sample);
        }
        for reload in &reloads {
            let times = reload::measure(&rig, *reload).with_context(|| format!("case {}", reload.name()))?;
            eprintln!("round {} of {}  {:<24} {times}", round + 1, options.rounds, reload.name());
            report.add_times(*reload, times);
        }
    }
    if options.json {
        report.print_json(&cases);
        return Ok(());
    }
    if !cases.is_empty() {
        report.print_table(&cases);
    }
    if !reloads.is_empty() {
        report.print_times();
    }
    Ok(())
}

/// What all cases share.
struct Rig {
    object: Vec<u8>,
    routerd: PathBuf,
    cpu: usize,
    time: Duration,
    verify: bool,
}

impl Rig {
    /// Sets a case and the yardstick up side by side and measures them in turns.
    fn measure(&self, case: Case) -> Result<Sample> {
        let mut yardstick = Lane::create(self, case.yardstick())?;
        let mut lane = Lane::create(self, case)?;
        yardstick.prime()?;
        lane.prime()?;
        let mut sample = Sample { slices: Vec::new() };
        let start = Instant::now();
        while start.elapsed() < self.time {
            let slices = (lane.slice()?, yardstick.slice()?);
            ensure!(slices.0.arrived > 0 && slices.1.arrived > 0, "no packet arrived");
            sample.slices.push(slices);
        }
        let bad = sample.bad();
        ensure!(
            bad == 0 || case.router == Router::Redirect,
            "{bad} packets arrived with a wrong TTL, checksum or source"
        );
        Ok(sample)
    }
}

/// A case set up in namespaces of its own.
struct Lane {
    case: Case,
    daemon: Option<Daemon>,
    programs: Ebpf,
    topology: Topology,
    cpu: usize,
    /// Packets of a slice.
    packets: u32,
}

impl Lane {
    fn create(rig: &Rig, case: Case) -> Result<Lane> {
        let topology = Topology::create()?;
        let translated_to = match case.policy {
            Policy::Masquerade { .. } => [192, 168, 2, 1],
            _ => [0; 4],
        };
        let programs = traffic::load(&rig.object, &topology, case.traffic, translated_to)?;
        let mut lane = Lane { case, daemon: None, programs, topology, cpu: rig.cpu, packets: 0 };
        lane.daemon = router::start(case, &lane.topology, &mut lane.programs, &rig.routerd)?;
        if case.traffic.life == Life::Answered {
            lane.answer()?;
        }
        let sink = if rig.verify && case.router != Router::Redirect { "sink_verify" } else { "sink" };
        lane.topology.sink.enter(|| traffic::attach(&mut lane.programs, sink, "s0"))??;
        Ok(lane)
    }

    /// Has every flow answered twice, with the time between that makes a stream of an exchange.
    fn answer(&mut self) -> Result<()> {
        let Lane { case, topology, programs, .. } = self;
        topology.generator.enter(|| traffic::attach(programs, "discard", "g0"))??;
        if case.router == Router::Nft {
            topology.router.enter(|| traffic::attach(programs, "pass", "r1"))??;
        }
        let reflect = topology.sink.enter(|| traffic::attach_for_now(programs, "reflect", "s0"))??;
        self.send(self.case.traffic.flows)?;
        thread::sleep(STREAM);
        self.send(self.case.traffic.flows)?;
        traffic::detach(&mut self.programs, "reflect", reflect)
    }

    /// Sends every flow at least once and finds out how many packets fill a slice.
    fn prime(&mut self) -> Result<()> {
        let flows = if self.case.traffic.life == Life::New { 0 } else { self.case.traffic.flows };
        self.send(flows.max(20_000))?;
        let packets = 1 << 14;
        let ns = self.send(packets)?.ns();
        self.packets = (SLICE.as_nanos() as f64 / ns).clamp(1024.0, 4e6) as u32;
        Ok(())
    }

    fn slice(&mut self) -> Result<Count> {
        self.send(self.packets)
    }

    fn send(&mut self, packets: u32) -> Result<Count> {
        let (cpu, ipv6, programs) = (self.cpu, self.case.traffic.ipv6, &mut self.programs);
        let mut count = self.topology.generator.enter(|| traffic::send(programs, cpu, ipv6, packets))??;
        if self.case.drops() {
            ensure!(count.arrived == 0, "{} packets of the list arrived", count.arrived);
            count.arrived = count.sent;
        }
        Ok(count)
    }
}

impl Drop for Lane {
    /// Ends the daemon before its namespace goes, and removes its log.
    fn drop(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        let log = daemon.log_file();
        drop(daemon);
        if let Some(folder) = log.parent()
            && let Err(error) = fs::remove_dir_all(folder)
        {
            eprintln!("remove {}: {error}", folder.display());
        }
    }
}

/// Each round begins with another case.
fn rotated(cases: &[Case], round: usize) -> Vec<Case> {
    let mut order = cases.to_vec();
    order.rotate_left(round % cases.len().max(1));
    order
}

fn selected(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, name))
}

/// Whether `name` is `pattern`, where `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => name.strip_prefix(head).is_some_and(|tail| {
            tail.char_indices().map(|(i, _)| i).chain([tail.len()]).any(|i| matches(rest, &tail[i..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expected) in [
            ("kernel-1k", "kernel-1k", true),
            ("kernel", "kernel-1k", false),
            ("*-1k", "kernel-1k", true),
            ("k*l*", "kernel-1k", true),
            ("*", "", true),
            ("*-v6", "kernel-1k", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
