//! `cargo xtask test`: builds every test program, runs each test in a process of its own, counts.

mod program;
mod report;
pub mod runner;

use std::{fs, path::PathBuf, process::Command, process::ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build,
    setup::{self, Purpose},
    shell,
    vm::{self, Card},
};
use program::Program;
use report::Report;

#[derive(Args, Clone, Default)]
pub struct Options {
    /// Only tests whose name (package/program::test) holds one of these texts
    #[arg(value_name = "TEXT")]
    filters: Vec<String>,
    /// Leave the virtual machines out
    #[arg(long)]
    no_vm: bool,
    /// Only the virtual machines
    #[arg(long, conflicts_with = "no_vm")]
    vm: bool,
    /// Kernels of the virtual machines
    #[arg(long, value_name = "VERSION", value_delimiter = ',', default_value = "6.1,6.12")]
    kernels: Vec<String>,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    setup::run(&setup::Options { purpose: Purpose::Test })?;
    build::run(&build::Options::default())?;
    let programs = program::build()?;
    let folder = shell::target().join("test");
    fs::create_dir_all(&folder)?;
    let mut report = Report::default();
    if !options.vm {
        shell::step("tests on this kernel");
        report.add(here(&programs, &options.filters, folder.join("here"))?);
    }
    if !options.no_vm {
        for kernel in &options.kernels {
            shell::step(&format!("tests on Debian's kernel {kernel}, in a virtual machine"));
            report.add(in_vm(kernel, &programs, &options.filters, folder.join(kernel))?);
        }
    }
    Ok(report.print())
}

/// Runs the programs on this machine, as root where sudo gives that.
fn here(programs: &[Program], filters: &[String], folder: PathBuf) -> Result<Vec<report::Outcome>> {
    let job = runner::Job::prepare(programs, filters, "", &folder)?;
    let own = std::env::current_exe()?;
    let mut command = if ::lab::is_root() || shell::which("sudo").is_none() {
        Command::new(own)
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--preserve-env=PATH,CARGO_TERM_COLOR"]).arg(own);
        sudo
    };
    command.arg("run-tests").arg(&job.file);
    let status = command.status().context("start the tests")?;
    job.outcomes(&format!("the test runner ended with {status}"))
}

/// Runs what speaks to the kernel once more under another kernel.
fn in_vm(
    kernel: &str,
    programs: &[Program],
    filters: &[String],
    folder: PathBuf,
) -> Result<Vec<report::Outcome>> {
    let programs: Vec<Program> = programs.iter().filter(|program| program.needs_kernel()).cloned().collect();
    let job = runner::Job::prepare(&programs, filters, &format!("[{kernel}] "), &folder)?;
    let own = std::env::current_exe()?;
    let command = [own.as_os_str(), "run-tests".as_ref(), job.file.as_os_str()];
    let mut machine = vm::Options::new(kernel, command);
    machine.nics = vec![Card::on_hub(1), Card::on_hub(1), Card::on_hub(2), Card::on_hub(2)];
    machine.writable = vec![folder];
    machine.timeout = 600;
    match vm::run(&machine) {
        Ok(status) => job.outcomes(&format!("the virtual machine ended with {status}")),
        Err(error) => job.outcomes(&format!("{error:#}")),
    }
}
