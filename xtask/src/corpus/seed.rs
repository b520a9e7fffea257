//! One file of lines that have to be accepted as they are.

use std::{collections::HashSet, fs, path::Path};

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
    let wrong: HashSet<u32> =
        report.files.iter().flat_map(|file| &file.errors).map(|error| error.line).collect();
    let lines = command_lines(&String::from_utf8_lossy(&bytes));
    let good = lines.iter().filter(|line| !wrong.contains(line)).count();
    Ok(Figure::share(&name, good, lines.len(), "all", 100.0, failed))
}

/// Numbers of the lines that begin a command or name a menu.
fn command_lines(text: &str) -> Vec<u32> {
    let mut joined = false;
    let mut numbers = Vec::new();
    for (number, line) in (1u32..).zip(text.lines()) {
        let line = line.trim();
        if !joined && !line.is_empty() && !line.starts_with('#') {
            numbers.push(number);
        }
        joined = line.ends_with('\\') && !line.starts_with('#');
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_lines_count_once() {
        assert_eq!(command_lines("# a\n/ip address\nadd a=1 \\\n    b=2\n\nadd\n"), [2, 3, 6]);
    }
}
