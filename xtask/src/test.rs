//! `cargo xtask test`: builds every test program, runs each test in a process of its own, counts.

mod program;
mod report;
pub mod runner;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use anyhow::{Context, Result};
use clap::Args;

use crate::{
    build,
    setup::{self, Purpose},
    shell,
    vm::{self, Card},
};
use program::Program;
use report::{Outcome, Report};

/// Longest time for one machine with all its tests.
const MACHINE_LIMIT_S: u64 = 3600;

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
    /// Every test of what speaks to the kernel in each machine, for hours
    #[arg(long)]
    all: bool,
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
        let mut programs = programs.clone();
        // Without machines they run here, to say why they can't.
        programs.retain(|program| options.no_vm || !program.needs_machine());
        report.add(here(&programs, &options.filters, folder.join("here"))?);
    }
    if !options.no_vm {
        let programs = &programs;
        // Each machine is one thread of this host, so they run side by side.
        let runs = thread::scope(|scope| {
            let start = |kernel: &String| {
                shell::step(&format!("tests on Debian's kernel {kernel}, in a virtual machine"));
                let (kernel, folder) = (kernel.clone(), folder.join(kernel));
                scope.spawn(move || in_vm(&kernel, programs, options, folder))
            };
            let runs: Vec<_> = options.kernels.iter().map(start).collect();
            runs.into_iter().map(|run| run.join()).collect::<Vec<_>>()
        });
        for run in runs {
            match run {
                Ok(outcomes) => report.add(outcomes?),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    }
    Ok(report.print())
}

/// Runs the programs on this machine, as root where sudo gives that.
fn here(programs: &[Program], filters: &[String], folder: PathBuf) -> Result<Vec<Outcome>> {
    let job = runner::Job::prepare(programs, filters, "", &folder)?;
    let own = copy_of_self(&folder)?;
    let mut command = if ::lab::is_root() || shell::which("sudo").is_none() {
        Command::new(own)
    } else {
        shell::sudo(&own)
    };
    command.arg("run-tests").arg(&job.file);
    let status = command.status().context("start the tests")?;
    job.outcomes(&format!("the test runner ended with {status}"))
}

/// Runs what speaks to the kernel once more under another kernel.
fn in_vm(kernel: &str, programs: &[Program], options: &Options, folder: PathBuf) -> Result<Vec<Outcome>> {
    if let Some(reason) = vm::trouble() {
        return Ok(vec![Outcome::skipped(&format!("[{kernel}] all tests"), reason)]);
    }
    let is_wanted = |program: &&Program| {
        if options.all { program.speaks_to_kernel() } else { program.needs_kernel(kernel) }
    };
    let programs: Vec<Program> = programs.iter().filter(is_wanted).cloned().collect();
    let job = runner::Job::prepare(&programs, &options.filters, &format!("[{kernel}] "), &folder)?;
    let own = copy_of_self(&folder)?;
    let command = [own.as_os_str(), "run-tests".as_ref(), job.file.as_os_str()];
    let mut machine = vm::Options::new(kernel, command);
    machine.nics = vec![Card::on_hub(1), Card::on_hub(1), Card::on_hub(2), Card::on_hub(2)];
    let cards: Vec<String> = (0..machine.nics.len()).map(Card::mac).collect();
    machine.environment = vec![("ROUTERD_CARDS".into(), cards.join(","))];
    machine.writable = vec![folder];
    machine.timeout = if options.all { 4 * MACHINE_LIMIT_S } else { MACHINE_LIMIT_S };
    match vm::run(&machine) {
        Ok(status) => job.outcomes(&format!("the virtual machine ended with {status}")),
        Err(error) => job.outcomes(&format!("{error:#}")),
    }
}

/// This program under a name that stays: building its own tests replaces the file it was started from.
fn copy_of_self(folder: &Path) -> Result<PathBuf> {
    let copy = folder.join("runner");
    fs::copy("/proc/self/exe", &copy).with_context(|| format!("write {}", copy.display()))?;
    Ok(copy)
}
