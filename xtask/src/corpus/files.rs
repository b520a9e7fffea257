//! Configurations: what is taken of them, and whether what is written comes back the same.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use config::{Attempt, ExportOptions, ImportOptions, Tree};

use super::{Figure, file_name, scripts::Scripts, tally::Tally};

/// Errors of form: what these stand for could not be read at all.
const FORM: [&str; 7] = [
    "missing closing",
    "expected closing",
    "unexpected end of script",
    "unterminated",
    "invalid character",
    "too many errors",
    "the text is too long",
];

pub fn figures(paths: &[PathBuf]) -> Result<Vec<Figure>> {
    let mut counts = Counts::default();
    for path in paths {
        counts.file(path)?;
    }
    Ok(counts.figures(paths.len()))
}

#[derive(Default)]
struct Counts {
    parsed: usize,
    clean: usize,
    accepted: usize,
    statements: usize,
    round: usize,
    unread: Tally,
    refused: Tally,
    changed: Tally,
    scripts: Scripts,
}

impl Counts {
    fn file(&mut self, path: &Path) -> Result<()> {
        let name = file_name(path);
        let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
        let Ok(text) = std::str::from_utf8(&bytes) else {
            self.unread.add("not UTF-8".into(), || name.clone());
            return Ok(());
        };
        let attempt = config::attempt(&Tree::new(), text, &ImportOptions::default());
        let unread: Vec<_> = attempt
            .errors
            .iter()
            .filter(|error| FORM.iter().any(|form| error.message.starts_with(form)))
            .collect();
        unread.iter().for_each(|error| self.unread.error(error, &name));
        attempt.errors.iter().for_each(|error| self.refused.error(error, &name));
        self.parsed += usize::from(unread.is_empty());
        self.clean += usize::from(attempt.errors.is_empty());
        self.accepted += attempt.statements.len();
        self.statements += attempt.statements.len() + attempt.failed;
        self.scripts.try_out(&attempt.tree, &name);
        match round_trip(&attempt) {
            Ok(()) => self.round += 1,
            Err(what) => self.changed.add(what, || name),
        }
        Ok(())
    }

    fn figures(self, files: usize) -> Vec<Figure> {
        let mut figures = vec![
            Figure::share("files read to their end", self.parsed, files, "all", 100.0, self.unread),
            Figure::share(
                "statements accepted",
                self.accepted,
                self.statements,
                "99.5 %",
                99.5,
                self.refused,
            ),
            Figure {
                name: "files without an error".into(),
                got: format!("{} of {files}", self.clean),
                goal: "",
                met: None,
                failed: Tally::default(),
            },
            Figure::share("rsc -> rsc -> yaml -> rsc", self.round, files, "all", 100.0, self.changed),
        ];
        figures.extend(self.scripts.figures());
        figures
    }
}

/// What was taken of a file is written, read, written as YAML, read and written again, and stays the same.
fn round_trip(attempt: &Attempt) -> Result<(), String> {
    let sensitive = ExportOptions { sensitive: true, ..ExportOptions::default() };
    let fresh = Tree::new();
    let first = config::export(&attempt.tree, &sensitive);
    let second = config::import(&fresh, &first).map_err(|errors| refused("export", &errors))?.tree;
    differ("export", &first, &config::export(&second, &sensitive))?;
    let yaml = config::to_yaml(&second);
    let third = config::from_yaml(&fresh, &yaml).map_err(|errors| refused("YAML", &errors))?.tree;
    differ("YAML", &first, &config::export(&third, &sensitive))?;
    if third != second {
        return Err("YAML: the export is the same, the configuration is not".into());
    }
    Ok(())
}

fn refused(form: &str, errors: &config::Errors) -> String {
    let first = errors.0.first().map(|e| match &e.hint {
        Some(hint) => format!("{} | {hint}", e.message),
        None => e.message.clone(),
    });
    format!("{form} refused: {}", first.unwrap_or_default())
}

fn differ(form: &str, before: &str, after: &str) -> Result<(), String> {
    if before == after {
        return Ok(());
    }
    let mut pairs = before.lines().zip(after.lines());
    let (old, new) = pairs.find(|(old, new)| old != new).unwrap_or(("", "(another number of lines)"));
    Err(format!("{form} differs: {old} -> {new}"))
}
