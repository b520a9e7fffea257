//! `routerd`: the router.

mod begin;
mod changes;
pub mod detach;
mod logging;
mod requests;
mod router;
mod serve;
mod sides;
mod signals;
mod start;
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
            tracing::error!("{error:#}");
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
