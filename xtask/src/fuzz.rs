//! `cargo xtask fuzz`: the fuzz targets, each for a while.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::shell;

/// The package of the targets: a workspace of its own, for a nightly compiler.
const FOLDER: &str = "tests/fuzz";

#[derive(Args, Clone)]
pub struct Options {
    /// Targets; all if none is named
    targets: Vec<String>,
    /// Time for each
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub fn run(options: &Options) -> Result<()> {
    if shell::output(shell::cargo().args(["+nightly", "--version"])).is_err() {
        println!("skipped: fuzz: no nightly compiler (rustup toolchain install nightly)");
        return Ok(());
    }
    if shell::output(shell::cargo().args(["fuzz", "--version"])).is_err() {
        shell::run(shell::cargo().args(["install", "--locked", "cargo-fuzz"]))?;
    }
    let all = targets()?;
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    if chosen.is_empty() {
        bail!("{FOLDER} has no targets");
    }
    if let Some(target) = chosen.iter().find(|target| !all.contains(target)) {
        bail!("no fuzz target {target}; there are {}", all.join(", "));
    }
    shell::run(cargo_fuzz("build").args(["--fuzz-dir", FOLDER, "--target-dir"]).arg(built()))?;
    // Each is one thread, so as many run side by side as there are processors.
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while let Some(target) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            fuzz(target, options.seconds)?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, |count| count.get());
        let workers: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let ended = workers.into_iter().map(|worker| match worker.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        ended.collect()
    })
}

fn fuzz(target: &str, seconds: u64) -> Result<()> {
    let mut fuzz = cargo_fuzz("run");
    fuzz.args(["--fuzz-dir", FOLDER, "--target-dir"]).arg(built()).args([target, "--"]);
    fuzz.args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned()]);
    shell::run(fuzz.args(["-rss_limit_mb=2048", "-timeout=10"]))
}

fn cargo_fuzz(verb: &str) -> Command {
    let mut cargo = shell::cargo();
    cargo.args(["+nightly", "fuzz", verb]);
    cargo
}

fn built() -> PathBuf {
    shell::target().join("fuzz")
}

fn targets() -> Result<Vec<String>> {
    let folder: PathBuf = shell::root().join(FOLDER).join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("read {}", folder.display()))?;
    let names = entries
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".rs")?.to_owned()));
    let mut names: Vec<String> = names.collect();
    names.sort();
    Ok(names)
}
