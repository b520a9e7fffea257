//! `cargo xtask bench`: packets per second and nanoseconds per packet of this router, a bare XDP redirect,
//! `xdp-forward`'s way and the plain kernel, in one run on one CPU. `docs/benchmarks.md` says how it counts.

mod case;
mod namespace;
mod report;
mod router;
mod traffic;

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};

use self::{
    case::{Case, Router},
    report::{Report, Sample},
    traffic::Generator,
};
use crate::{build, shell};

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
    /// Seconds that a case is measured per round
    #[arg(long, default_value_t = 0.7)]
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
    if options.list {
        for case in Case::all() {
            println!("{:<16} {}", case.name(), case.describe());
        }
        return Ok(());
    }
    ensure!(!cases.is_empty(), "no case matches; `cargo xtask bench --list` shows them");
    ensure!(options.rounds > 0 && options.secs > 0.0, "rounds and seconds must be above 0");
    ensure!(lab::is_root(), "the bench lays out network namespaces: run it as root");
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
        generator: Generator { cpu: options.cpu.unwrap_or(cpus - 1), secs: options.secs },
        verify: options.verify,
    };
    namespace::remove_stale()?;

    let mut report = Report::new(cases.clone());
    for round in 0..options.rounds {
        for case in order(&cases, round as usize) {
            let sample = rig.measure(case).with_context(|| format!("case {}", case.name()))?;
            eprintln!("round {} of {}  {:<16} {}", round + 1, options.rounds, case.name(), sample);
            ensure!(sample.arrived > 0, "case {}: no packet arrived", case.name());
            ensure!(
                sample.bad == 0 || case.router == Router::Redirect,
                "case {}: {} packets arrived with a wrong TTL or checksum",
                case.name(),
                sample.bad
            );
            report.add(round, case, sample);
        }
    }
    if options.json {
        report.print_json()
    } else {
        report.print_table()
    }
    Ok(())
}

/// What all cases share.
struct Rig {
    object: Vec<u8>,
    routerd: PathBuf,
    generator: Generator,
    verify: bool,
}

impl Rig {
    /// Sets one case up, measures it and tears it down.
    fn measure(&self, case: Case) -> Result<Sample> {
        let topology = namespace::Topology::create()?;
        let mut programs = traffic::load(&self.object, &topology, case.traffic)?;
        topology
            .sink
            .run(|| traffic::attach(&mut programs, if self.verify { "sink_verify" } else { "sink" }, "s0"))?;
        let daemon = router::start(case, &topology, &mut programs, &self.routerd)?;
        let sample = topology.generator.run(|| self.generator.measure(&mut programs, case.traffic));
        drop(daemon);
        sample
    }
}

/// The cases of one round: each round begins with another case, and the yardstick comes before, amid and after.
fn order(cases: &[Case], round: usize) -> Vec<Case> {
    let others: Vec<Case> = cases.iter().copied().filter(|case| case.router != Router::Redirect).collect();
    let mut order = vec![Case::YARDSTICK];
    for i in 0..others.len() {
        order.extend(others.get((i + round) % others.len()));
        if i % 6 == 5 {
            order.push(Case::YARDSTICK);
        }
    }
    if order.last() != Some(&Case::YARDSTICK) || order.len() == 1 {
        order.push(Case::YARDSTICK);
    }
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

    #[test]
    fn the_yardstick_frames_every_round() {
        let cases: Vec<Case> = Case::all().collect();
        for round in 0..3 {
            let order = order(&cases, round);
            assert_eq!(order.first(), Some(&Case::YARDSTICK));
            assert_eq!(order.last(), Some(&Case::YARDSTICK));
            let others = order.iter().filter(|case| **case != Case::YARDSTICK).count();
            assert_eq!(others, cases.len() - 1, "every case once");
        }
    }
}
