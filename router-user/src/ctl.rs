//! `routerctl`: what an operator types.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};

use crate::cli::routerctl::{Common, Program, Routerctl, Verb};
use crate::cli::routerd::Routerd;

pub fn main() -> ExitCode {
    let arguments = Routerctl::parse();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("routerctl: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Routerctl) -> anyhow::Result<ExitCode> {
    let Routerctl { common: _, verb } = arguments;
    match verb {
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Routerctl::command(), "routerctl", &mut std::io::stdout());
        }
        Verb::Man { program } => {
            let command = match program {
                Program::Routerctl => Routerctl::command(),
                Program::Routerd => Routerd::command(),
            };
            clap_mangen::Man::new(command)
                .section("8")
                .render(&mut std::io::stdout())
                .context("write the man page")?;
        }
        _ => bail!("not here"),
    }
    Ok(ExitCode::SUCCESS)
}
