//! `routerd`: the router.

mod begin;
mod changes;
pub mod detach;
mod fetch;
mod firewall;
mod fragments;
mod gateways;
mod live;
mod logging;
mod netwatch;
mod past;
mod ping;
mod requests;
mod resolve;
mod resources;
mod router;
mod scripts;
mod serve;
mod sides;
pub mod signals;
pub mod start;
mod status;
mod transaction;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::cli::routerd::{Routerd, Run, Verb};

pub fn main() -> ExitCode {
    // Before anything else: a SIGHUP that comes early waits instead of ending the process.
    if let Err(error) = signals::block() {
        eprintln!("routerd: block signals: {error}");
        return ExitCode::FAILURE;
    }
    let Verb::Run(run) = Routerd::parse().verb;
    logging::start();
    match run_router(&run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", shorten(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn run_router(run: &Run) -> anyhow::Result<()> {
    if let Some(netns) = &run.netns {
        start::enter(netns)?;
    }
    let instance = start::instance(run)?;
    let paths = start::paths(run, &instance)?;
    let _lock = start::lock(&instance, &paths)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("start the runtime")?;
    runtime.block_on(serve::run(run, instance, paths))
}

/// The verifier's log of a refused program has thousands of lines: the beginning names what was refused, the end why.
fn shorten(message: &str) -> String {
    const HEAD: usize = 4;
    const TAIL: usize = 12;
    let lines: Vec<&str> = message.lines().collect();
    match (lines.get(..HEAD), lines.len().checked_sub(TAIL).and_then(|from| lines.get(from..))) {
        (Some(head), Some(tail)) if lines.len() > HEAD + TAIL => {
            let left_out = lines.len() - HEAD - TAIL;
            format!("{}\n... {left_out} lines ...\n{}", head.join("\n"), tail.join("\n"))
        }
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::shorten;

    #[test]
    fn a_long_message_keeps_its_ends() {
        let long: String = (0..1000).map(|n| format!("line {n}\n")).collect();
        let short = shorten(&long);
        assert!(short.starts_with("line 0\n") && short.ends_with("line 999"), "{short}");
        assert_eq!(short.lines().count(), 17);
        assert_eq!(shorten("one\ntwo"), "one\ntwo");
    }
}
