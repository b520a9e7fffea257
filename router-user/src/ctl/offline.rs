//! Verbs that need no router: what a file says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use config::{Error, Errors, Note, Outcome, Tree};
use management::protocol::Format;
use serde::Serialize;

use crate::cli::routerctl::{Common, Syntax};
use crate::ctl::show;
use crate::files;

/// What `check --json` prints.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: Vec<FileReport>,
    totals: Totals,
}

#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    statements: usize,
    enforced: usize,
    kept: usize,
    errors: Vec<Error>,
    notes: Vec<Note>,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    files: usize,
    statements: usize,
    enforced: usize,
    kept: usize,
    errors: usize,
}

pub fn check(common: &Common, files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    for path in files {
        let name = path.display().to_string();
        let text = files::read(path);
        let file = match &text {
            Ok(text) => file_report(name.clone(), import(files::format(path), text)),
            Err(error) => {
                let message = format!("{error:#}");
                file_report(
                    name.clone(),
                    Err(Errors(vec![Error { line: 0, column: 0, message, hint: None }])),
                )
            }
        };
        if !common.json {
            for_reader(&file, text.as_deref().unwrap_or_default())?;
        }
        report.totals.add(&file);
        report.files.push(file);
    }
    if common.json {
        show::json(&report)?;
    } else if files.len() > 1 {
        let Totals { files, statements, enforced, kept, errors } = report.totals;
        show::print(&format!(
            "{files} files: {statements} statements, {enforced} enforced, {kept} kept, {errors} errors"
        ))?;
    }
    Ok(if report.totals.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn file_report(file: String, outcome: Result<Outcome, Errors>) -> FileReport {
    match outcome {
        Ok(outcome) => {
            let statements = outcome.statements.len();
            let kept =
                outcome.statements.iter().filter(|s| matches!(s.status, config::Status::Kept(_))).count();
            let notes = outcome.notes;
            FileReport { file, statements, enforced: statements - kept, kept, errors: Vec::new(), notes }
        }
        Err(Errors(errors)) => {
            FileReport { file, statements: errors.len(), enforced: 0, kept: 0, errors, notes: Vec::new() }
        }
    }
}

impl Totals {
    fn add(&mut self, file: &FileReport) {
        self.files += 1;
        self.statements += file.statements;
        self.enforced += file.enforced;
        self.kept += file.kept;
        self.errors += file.errors.len();
    }
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

pub fn convert(to: Syntax, path: &Path) -> anyhow::Result<ExitCode> {
    let text = files::read(path)?;
    let tree = match import(files::format(path), &text) {
        Ok(outcome) => outcome.tree,
        Err(errors) => {
            let failure = files::failure(&errors);
            eprint!("{}", files::explain(&path.display().to_string(), &text, &failure.errors));
            return Ok(ExitCode::FAILURE);
        }
    };
    show::print(&match to {
        Syntax::Rsc => files::stored(&tree),
        Syntax::Yaml => String::new(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn import(format: Format, text: &str) -> Result<Outcome, Errors> {
    let base = Tree::new();
    match format {
        Format::Rsc => config::import(&base, text),
        Format::Yaml => config::import(&base, text),
    }
}
