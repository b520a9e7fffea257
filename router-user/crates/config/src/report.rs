//! What `check` says about files: each statement enforced, kept or wrong.

use serde::Serialize;

use crate::error::Error;
use crate::{ImportOptions, Note, Status, Tree, parser, yaml};

/// The result of checking files; serialises to what `routerctl check --json` prints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub files: Vec<FileReport>,
    pub totals: Totals,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileReport {
    pub file: String,
    /// Enforced, kept, and those with errors.
    pub statements: usize,
    pub enforced: usize,
    pub kept: usize,
    pub errors: Vec<Error>,
    pub notes: Vec<Note>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub files: usize,
    pub statements: usize,
    pub enforced: usize,
    pub kept: usize,
    pub errors: usize,
}

impl Report {
    pub fn is_clean(&self) -> bool {
        self.totals.errors == 0
    }

    /// Adds one file's result.
    pub fn push(&mut self, file: FileReport) {
        self.totals.files += 1;
        self.totals.statements += file.statements;
        self.totals.enforced += file.enforced;
        self.totals.kept += file.kept;
        self.totals.errors += file.errors.len();
        self.files.push(file);
    }
}

/// Checks files given as name and content, each on its own, as a fresh router would take it. Names that end in `.yaml` or
/// `.yml` are YAML.
pub fn check<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Report {
    let mut report = Report::default();
    for (name, content) in files {
        report.push(check_file(name, content));
    }
    report
}

fn check_file(name: &str, content: &[u8]) -> FileReport {
    let mut file = FileReport { file: name.to_owned(), ..FileReport::default() };
    let text = match parser::decode(content) {
        Ok(text) => text,
        Err(error) => {
            file.errors.push(error);
            return file;
        }
    };
    let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
    let taken = match is_yaml {
        true => yaml::attempt(&Tree::new(), text),
        false => Ok(crate::attempt(&Tree::new(), text, &ImportOptions::default())),
    };
    match taken {
        Ok(attempt) => {
            file.enforced = attempt.statements.iter().filter(|s| s.status == Status::Enforced).count();
            file.kept = attempt.statements.len() - file.enforced;
            file.statements = attempt.statements.len() + attempt.failed;
            file.errors = attempt.errors;
            file.notes = attempt.notes;
        }
        Err(errors) => file.errors = errors.0,
    }
    file
}
