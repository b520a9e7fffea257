//! A long address list through `routerctl check`: time and peak memory of the process.

use std::{
    fmt::Write as _,
    fs,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Figure, tally::Tally};
use crate::shell;

const SECONDS: f64 = 1.0;
const MEGABYTES: u64 = 300;

pub fn figure(lines: usize) -> Result<Figure> {
    let name = format!("{lines} address-list lines");
    let goal = "1 s, 300 MB";
    let routerctl = shell::target().join("release/routerctl");
    if !routerctl.is_file() {
        let got = "no release build (cargo xtask build)".to_owned();
        return Ok(Figure { name, got, goal, met: None, failed: Tally::default() });
    }
    let file = tempfile::Builder::new().suffix(".rsc").tempfile()?;
    fs::write(file.path(), text(lines))?;
    let start = Instant::now();
    let mut child = Command::new(&routerctl)
        .arg("check")
        .arg(file.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("start {}", routerctl.display()))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    let exit = loop {
        peak_kb = peak_kb.max(high_water(&fs::read_to_string(&status).unwrap_or_default()));
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        thread::sleep(Duration::from_millis(1));
    };
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = peak_kb / 1024;
    let mut failed = Tally::default();
    if !exit.success() {
        failed.add(format!("routerctl check: {exit}"), || routerctl.display().to_string());
    }
    Ok(Figure {
        name,
        got: format!("{seconds:.2} s, {megabytes} MB"),
        goal,
        met: Some(exit.success() && seconds < SECONDS && megabytes < MEGABYTES),
        failed,
    })
}

/// Different addresses out of 10.0.0.0/8, the lines as an export has them.
fn text(lines: usize) -> String {
    let mut text = String::from("/ip firewall address-list\n");
    for n in 0..lines {
        let _ = writeln!(text, "add address=10.{}.{}.{} list=big", n >> 16 & 255, n >> 8 & 255, n & 255);
    }
    text
}

/// `VmHWM:     1234 kB`
fn high_water(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
