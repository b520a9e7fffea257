//! One file of lines that have to be accepted as they are.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{Figure, file_name, tally::Tally};

pub fn figure(path: &Path) -> Result<Figure> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let name = file_name(path);
    let report = config::check([(name.as_str(), bytes.as_slice())]);
    let mut failed = Tally::default();
    for error in report.files.iter().flat_map(|file| &file.errors) {
        failed.error(error, &name);
    }
    let totals = report.totals;
    let good = totals.enforced + totals.kept;
    Ok(Figure::share(&name, good, totals.statements, "all", 100.0, failed))
}
