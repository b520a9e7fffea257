//! Verbs that need no router: what a file says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::{Error, Errors, FileReport, Report, Tree};
use management::protocol::Format;

use crate::cli::routerctl::{Common, Syntax};
use crate::ctl::show;
use crate::files;

pub fn check(common: &Common, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    for path in files {
        let name = path.display().to_string();
        let (text, files) = match files::read(path) {
            Ok(text) => {
                let checked = config::check([(name.as_str(), text.as_bytes())]).files;
                (text, checked)
            }
            Err(error) => (String::new(), vec![unreadable(name, &error)]),
        };
        for file in files {
            if !common.json {
                for_reader(&file, &text)?;
            }
            report.push(file);
        }
    }
    if common.json {
        show::json(&report)?;
    } else if files.len() > 1 {
        let totals = report.totals;
        show::print(&format!(
            "{} files: {} statements, {} enforced, {} kept, {} errors",
            totals.files, totals.statements, totals.enforced, totals.kept, totals.errors
        ))?;
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unreadable(file: String, error: &anyhow::Error) -> FileReport {
    let error = Error { line: 0, column: 0, message: format!("{error:#}"), hint: None };
    FileReport { file, errors: vec![error], ..FileReport::default() }
}

/// Errors to standard error with their source lines, notes and the sum to standard output.
fn for_reader(file: &FileReport, text: &str) -> anyhow::Result<()> {
    let failure = files::failure(&Errors(file.errors.clone()));
    eprint!("{}", files::explain(&file.file, text, &failure.errors));
    let mut out = String::new();
    for note in &file.notes {
        out.push_str(&format!("{}:{}: kept: {}: {}\n", file.file, note.line, note.menu, note.reason));
    }
    out.push_str(&format!(
        "{}: {} statements, {} enforced, {} kept, {} errors",
        file.file,
        file.statements,
        file.enforced,
        file.kept,
        file.errors.len()
    ));
    show::print(&out)
}

pub fn parse(path: &Path) -> anyhow::Result<ExitCode> {
    let text = files::read(path)?;
    match config::listing(&text) {
        Ok(listing) => {
            show::print(&listing)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => {
            let failure = files::failure(&error.into());
            eprint!("{}", files::explain(&path.display().to_string(), &text, &failure.errors));
            Ok(ExitCode::FAILURE)
        }
    }
}

pub fn convert(to: Syntax, path: &Path) -> anyhow::Result<ExitCode> {
    let text = files::read(path)?;
    let base = Tree::new();
    let outcome = match files::format(path) {
        Format::Rsc => config::import(&base, &text),
        Format::Yaml => config::from_yaml(&base, &text),
    };
    let tree = match outcome {
        Ok(outcome) => outcome.tree,
        Err(errors) => {
            let failure = files::failure(&errors);
            eprint!("{}", files::explain(&path.display().to_string(), &text, &failure.errors));
            return Ok(ExitCode::FAILURE);
        }
    };
    show::print(&match to {
        Syntax::Rsc => files::stored(&tree),
        Syntax::Yaml => config::to_yaml(&tree),
    })?;
    Ok(ExitCode::SUCCESS)
}
