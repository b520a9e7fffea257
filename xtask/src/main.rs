//! The one build entry: `cargo xtask VERB`.

mod bench;
mod build;
mod elf;
mod setup;
mod shell;
mod test;
mod vm;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "Builds, shows and tests the router.")]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Finds or installs what building, the demo and the tests need
    Setup(setup::Options),
    /// Builds the eBPF object, then routerd and routerctl
    Build(build::Options),
    /// Measures packets per second against a bare redirect, xdp-forward and the kernel
    Bench(bench::Options),
    /// Builds and runs every test: unit, packet tables, scenarios, virtual machines
    Test(test::Options),
    /// Runs a command as root under another kernel, in a virtual machine
    Vm(vm::Options),
    #[command(hide = true)]
    RunTests { plan: PathBuf },
}

fn main() -> ExitCode {
    match run(Arguments::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Setup(options) => setup::run(&options)?,
        Verb::Build(options) => build::run(&options)?,
        Verb::Bench(options) => bench::run(&options)?,
        Verb::Test(options) => return test::run(&options),
        Verb::Vm(options) => return Ok(ExitCode::from(vm::run(&options)?)),
        Verb::RunTests { plan } => return test::runner::run(&plan),
    }
    Ok(ExitCode::SUCCESS)
}
