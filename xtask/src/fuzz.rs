//! `cargo xtask fuzz`: the fuzz targets, each for a while.

use std::{fs, path::PathBuf};

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
    for target in chosen {
        if !all.contains(target) {
            bail!("no fuzz target {target}; there are {}", all.join(", "));
        }
        let mut fuzz = shell::cargo();
        fuzz.args(["+nightly", "fuzz", "run", "--fuzz-dir", FOLDER, "--target-dir"]);
        fuzz.arg(shell::target().join("fuzz")).args([target.as_str(), "--"]);
        fuzz.args([format!("-max_total_time={}", options.seconds), "-print_final_stats=1".to_owned()]);
        fuzz.args(["-rss_limit_mb=2048", "-timeout=10"]);
        shell::run(&mut fuzz)?;
    }
    Ok(())
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
