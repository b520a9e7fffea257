//! `cargo xtask corpus FOLDER`: how much of the RouterOS language is taken, measured on a folder of real material.
//!
//! Any of these may be there: `corpus/*.rsc` (configurations; without that folder, the `.rsc` files of the folder itself),
//! `seed-commands.rsc` (lines that have to be accepted), `oracle/parse-results.jsonl` (scripts with what a real parser made of
//! them), `required-args*.jsonl` (what `add` without arguments says), `prints/` (what `print` shows, with an `INDEX.md` that
//! names file and command).

mod files;
mod oracle;
mod prints;
mod required;
mod scripts;
mod seed;
mod size;
mod tally;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{Table, presets};

use tally::Tally;

#[derive(Args)]
pub struct Options {
    /// The folder with the material
    folder: PathBuf,
    /// List what failed, the most frequent first
    #[arg(long)]
    details: bool,
    /// How many rows of each list
    #[arg(long, default_value_t = 100, value_name = "ROWS")]
    rows: usize,
    /// Address-list lines of the size check; 0: none
    #[arg(long, default_value_t = 100_000)]
    lines: usize,
}

/// One line of the table, with what failed.
struct Figure {
    name: String,
    got: String,
    goal: &'static str,
    /// None: nothing to hold it against.
    met: Option<bool>,
    failed: Tally,
}

impl Figure {
    /// A share of a whole, to be at least `percent`.
    fn share(name: &str, good: usize, all: usize, goal: &'static str, percent: f64, failed: Tally) -> Figure {
        let share = if all == 0 { 100.0 } else { ratio(good, all) * 100.0 };
        Figure {
            name: name.to_owned(),
            got: format!("{good} of {all} ({share:.2} %)"),
            goal,
            met: Some(share >= percent),
            failed,
        }
    }
}

fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

pub fn run(options: &Options) -> Result<()> {
    let folder = &options.folder;
    if !folder.is_dir() {
        bail!("{} is not a folder", folder.display());
    }
    let start = Instant::now();
    let mut figures = Vec::new();
    let seed = folder.join("seed-commands.rsc");
    if seed.is_file() {
        figures.push(seed::figure(&seed)?);
    }
    let corpus = folder.join("corpus");
    let scripts = found(if corpus.is_dir() { &corpus } else { folder }, |name| name.ends_with(".rsc"))?;
    let scripts: Vec<PathBuf> = scripts.into_iter().filter(|path| *path != seed).collect();
    if !scripts.is_empty() {
        figures.extend(files::figures(&scripts)?);
    }
    let oracle = folder.join("oracle/parse-results.jsonl");
    if oracle.is_file() {
        figures.extend(oracle::figures(&oracle)?);
    }
    for list in found(folder, |name| name.starts_with("required-args") && name.ends_with(".jsonl"))? {
        figures.push(required::figure(&list)?);
    }
    figures.extend(prints::figure(&folder.join("prints"))?);
    if options.lines > 0 {
        figures.push(size::figure(options.lines)?);
    }
    if options.details {
        for figure in &figures {
            figure.failed.print(&figure.name, options.rows);
        }
    }
    table(&figures);
    println!("{:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// The files of a folder whose names are wanted, in order.
fn found(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && wanted(&file_name(path)))
        .collect();
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn table(figures: &[Figure]) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED);
    table.set_header(["", "figure", "goal", ""]);
    for figure in figures {
        let verdict = match figure.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "",
        };
        table.add_row([figure.name.as_str(), figure.got.as_str(), figure.goal, verdict]);
    }
    println!("{table}");
}
