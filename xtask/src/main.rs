//! The one build entry: `cargo xtask VERB`.

mod bench;
mod build;
mod corpus;
mod demo;
mod docs;
mod elf;
mod fuzz;
mod lab;
mod setup;
mod shell;
mod signal;
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
    /// Shows the router at work: a lab, real traffic, a table
    Demo(demo::Options),
    /// A standing lab of network namespaces with a router in it
    #[command(subcommand)]
    Lab(lab::Verb),
    /// Runs the fuzz targets, each for a while
    Fuzz(fuzz::Options),
    /// Measures how much of the RouterOS language is taken, on a folder of configurations
    Corpus(corpus::Options),
    /// Writes the generated documents anew
    Docs,
    /// Writes the JSON Schema of YAML configurations, for editors
    JsonSchema(docs::SchemaOptions),
    /// Builds and runs every test: unit, packet tables, scenarios, virtual machines
    Test(test::Options),
    /// Runs a command as root under another kernel, in a virtual machine
    Vm(vm::Options),
    #[command(hide = true)]
    RunTests { plan: PathBuf },
    #[command(hide = true)]
    DemoLab { keep: String, config: PathBuf },
    #[command(hide = true)]
    LabUp { config: PathBuf },
    #[command(hide = true)]
    LabDown,
    #[command(hide = true)]
    LabStatus,
    #[command(hide = true)]
    LabHttp { netns: String },
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
        Verb::Demo(options) => return demo::run(&options),
        Verb::Lab(verb) => return lab::run(&verb),
        Verb::Fuzz(options) => fuzz::run(&options)?,
        Verb::Corpus(options) => corpus::run(&options)?,
        Verb::Docs => docs::run()?,
        Verb::JsonSchema(options) => docs::json_schema(&options)?,
        Verb::DemoLab { keep, config } => return demo::show(keep == "keep", &config),
        Verb::LabUp { config } => return lab::up(&config),
        Verb::LabDown => return lab::down(),
        Verb::LabStatus => return lab::status(),
        Verb::LabHttp { netns } => return lab::serve_http(&netns),
        Verb::Test(options) => return test::run(&options),
        Verb::Vm(options) => return Ok(ExitCode::from(vm::run(&options)?)),
        Verb::RunTests { plan } => return test::runner::run(&plan),
    }
    Ok(ExitCode::SUCCESS)
}
