//! `routerctl`: what an operator types.

mod console;
mod explain;
mod offline;
mod plane;
mod remote;
mod rules;
mod show;
mod trace;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};
use management::client;
use management::instance::NETNS_DIR;
use management::{Instance, Paths};
use nix::unistd::Uid;

use crate::cli::routerctl::{Common, Program, Routerctl, Verb};
use crate::cli::routerd::Routerd;
use crate::daemon::start;

pub fn main() -> ExitCode {
    let Routerctl { common, verb } = Routerctl::parse();
    match run(&common, verb) {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            match error.downcast_ref::<client::Error>() {
                Some(client::Error::Failed(failure)) if common.json => show::json_to_stderr(failure),
                _ => eprintln!("routerctl: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}

fn run(common: &Common, verb: Verb) -> anyhow::Result<ExitCode> {
    match verb {
        Verb::Parse { base, file } => return offline::parse(base, &file),
        Verb::Check(check) => return offline::check(common, &check),
        Verb::Convert { to, file } => return offline::convert(to, &file),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Routerctl::command(), "routerctl", &mut script);
            std::io::stdout().write_all(&script)?;
        }
        Verb::Man { program, all } => man(program, all.as_deref())?,
        Verb::Map(map) => plane::map(common, &map)?,
        Verb::Trace(trace) => trace::run(common, &trace, false)?,
        Verb::Drops { follow: true, packets } => trace::run(common, &packets, true)?,
        Verb::Drops { follow: false, .. } => plane::drops(common)?,
        Verb::Explain { packet } => explain::run(common, &packet)?,
        Verb::Stats { watch, interval } => plane::stats(common, watch, interval)?,
        Verb::RouterOs(words) if !words.first().is_some_and(|word| word.starts_with(['/', ':'])) => {
            bail!(
                "no such verb {} (a RouterOS command begins with / or :; routerctl --help)",
                words.join(" ")
            );
        }
        verb => return remote::run(common, verb),
    }
    Ok(ExitCode::SUCCESS)
}

fn man(program: Program, all: Option<&Path>) -> anyhow::Result<()> {
    if let Some(dir) = all {
        std::fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
        for command in [Routerctl::command(), Routerd::command()] {
            clap_mangen::generate_to(command, dir).with_context(|| format!("write to {}", dir.display()))?;
        }
        return Ok(());
    }
    let command = match program {
        Program::Routerctl => Routerctl::command(),
        Program::Routerd => Routerd::command(),
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command).section("8").render(&mut page).context("write the man page")?;
    Ok(std::io::stdout().write_all(&page)?)
}

/// The router that is meant, and where its files are.
fn target(common: &Common) -> anyhow::Result<(Instance, Paths)> {
    let instance = match &common.instance {
        Some(name) => Instance::named(name)?,
        None => Instance::current()?,
    };
    enter(&instance)?;
    let paths = Paths::new(&instance, &common.state_dir, &common.run_dir, &common.bpffs);
    Ok((instance, paths))
}

/// An instance that has the name of a network namespace runs in it, and its links are seen only there.
fn enter(instance: &Instance) -> anyhow::Result<()> {
    let elsewhere = Instance::current().is_ok_and(|current| current != *instance);
    if elsewhere && Path::new(NETNS_DIR).join(instance.name()).exists() && Uid::effective().is_root() {
        start::enter(instance.name())?;
    }
    Ok(())
}

/// The reader of a pipe has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
