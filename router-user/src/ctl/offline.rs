//! Verbs that need no router: what a file says.

use std::collections::HashMap;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use config::{Error, Errors, FileReport, ImportOptions, NeedKind, Report, Tree, Verdict};
use management::protocol::Format;

use crate::cli::routerctl::{Check, Common, Syntax};
use crate::ctl::show;
use crate::files;

pub fn check(common: &Common, options: &Check) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let mut texts = HashMap::new();
    let import = ImportOptions { strict: options.strict, ..ImportOptions::default() };
    for path in &options.files {
        let name = path.display().to_string();
        let (text, files) = match files::read(path) {
            Ok(text) => {
                let checked = config::check_with([(name.as_str(), text.as_bytes())], &import).files;
                (text, checked)
            }
            Err(error) => (String::new(), vec![unreadable(name.clone(), &error)]),
        };
        for file in files {
            if !common.json {
                for_reader(&file, &text)?;
            }
            report.push(file);
        }
        if options.html.is_some() {
            texts.insert(name, text);
        }
    }
    if let Some(page) = &options.html {
        std::fs::write(page, config::html(&report, &texts))
            .with_context(|| format!("write {}", page.display()))?;
    }
    if common.json {
        show::json(&report)?;
    } else if options.files.len() > 1 {
        let totals = report.totals;
        show::print(&format!(
            "{} files: {} statements, {} enforced, {} kept, {} errors, score {}",
            totals.files, totals.statements, totals.enforced, totals.kept, totals.errors, totals.score
        ))?;
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unreadable(file: String, error: &anyhow::Error) -> FileReport {
    let error = Error { line: 0, column: 0, message: format!("{error:#}"), hint: None, menu: None };
    FileReport { file, errors: vec![error], ..FileReport::default() }
}

/// Errors to standard error with their source lines; what is kept, by menu, and the sum to standard output.
fn for_reader(file: &FileReport, text: &str) -> anyhow::Result<()> {
    let failure = files::failure(&Errors(file.errors.clone()));
    eprint!("{}", files::explain(&file.file, text, &failure.errors));
    let mut out = String::new();
    let name = &file.file;
    for (menu, reason, lines) in kept(file) {
        out.push_str(&format!("{name}:{}: kept: {menu}: {reason}\n", ranges(&lines)));
    }
    if !file.menus.is_empty() {
        let count = |n: usize| if n == 0 { String::new() } else { n.to_string() };
        let rows = file.menus.iter().map(|menu| {
            let path = if menu.menu.len() > 1 { menu.menu.clone() } else { "(none)".into() };
            vec![path, count(menu.enforced), count(menu.kept), count(menu.errors)]
        });
        out.push_str(&format!("\n{}\n", show::table(&["menu", "enforced", "kept", "errors"], rows)));
    }
    for need in &file.needs {
        let kind = match need.kind {
            NeedKind::Hardware => "missing hardware",
            NeedKind::Software => "to install",
            NeedKind::Release => "waiting for",
        };
        out.push_str(&format!("{kind}: {} ({} lines)\n", need.what, need.statements));
    }
    out.push_str(&format!(
        "{name}: {} statements, {} enforced, {} kept, {} errors, score {}",
        file.statements,
        file.enforced,
        file.kept,
        file.errors.len(),
        file.score
    ));
    show::print(&out)
}

/// Menu, reason and lines of what is kept, by the first line; lines in order.
fn kept(file: &FileReport) -> Vec<(&str, &str, Vec<u32>)> {
    let mut groups: Vec<(&str, &str, Vec<u32>)> = Vec::new();
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let kept_lines = file.lines.iter().filter(|line| line.verdict == Verdict::Kept);
    let lines = kept_lines.map(|l| (l.menu.as_str(), l.reason.as_deref().unwrap_or_default(), l.line));
    let notes = file.notes.iter().map(|note| (note.menu.as_str(), note.reason.as_str(), note.line));
    for (menu, reason, line) in lines.chain(notes) {
        let place = *places.entry((menu, reason)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some((.., lines)) => lines.push(line),
            None => groups.push((menu, reason, vec![line])),
        }
    }
    for (.., lines) in &mut groups {
        lines.sort_unstable();
        lines.dedup();
    }
    groups.sort_by_key(|(.., lines)| lines.first().copied());
    groups
}

/// `3,7-9`; at most a few of them.
fn ranges(lines: &[u32]) -> String {
    const SHOWN: usize = 8;
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for line in lines {
        match ranges.last_mut() {
            Some((_, last)) if line.checked_sub(1) == Some(*last) => *last = *line,
            _ => ranges.push((*line, *line)),
        }
    }
    let text = |(from, to): &(u32, u32)| if from == to { from.to_string() } else { format!("{from}-{to}") };
    let mut shown: Vec<String> = ranges.iter().take(SHOWN).map(text).collect();
    if ranges.len() > SHOWN {
        shown.push("...".into());
    }
    shown.join(",")
}

pub fn parse(base: bool, path: &Path) -> anyhow::Result<ExitCode> {
    let text = files::read(path)?;
    let listing = if base { config::listing(&text) } else { config::full_listing(&text) };
    match listing {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_in_ranges() {
        assert_eq!(ranges(&[3, 4, 5, 9]), "3-5,9");
        assert_eq!(ranges(&[]), "");
        assert_eq!(ranges(&(0..40).map(|n| n * 2).collect::<Vec<_>>()), "0,2,4,6,8,10,12,14,...");
    }
}
