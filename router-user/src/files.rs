//! Configuration files as both programs read and show them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use config::{ExportOptions, Tree};
use management::protocol::{Failure, Format, Place};
use management::status::Kept;

/// No router's export comes near; a larger file is something else.
const FILE_BYTES: u64 = 128 << 20;

/// What a file's name says of its syntax: `.yaml` and `.yml` are YAML, all else is RouterOS's.
pub fn format(path: &Path) -> Format {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("yaml" | "yml") => Format::Yaml,
        _ => Format::Rsc,
    }
}

/// Reads a whole file as text.
pub fn read(path: &Path) -> anyhow::Result<String> {
    let show = path.display();
    let file = File::open(path).with_context(|| format!("open {show}"))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).with_context(|| format!("read {show}"))?;
    if bytes.len() as u64 > FILE_BYTES {
        bail!("{show} is larger than {} MiB: not a configuration", FILE_BYTES >> 20);
    }
    String::from_utf8(bytes).map_err(|error| {
        let place = place_of(error.as_bytes(), error.utf8_error().valid_up_to());
        anyhow::anyhow!("{show} is not UTF-8 text ({place})")
    })
}

fn place_of(bytes: &[u8], offset: usize) -> String {
    let before = bytes.get(..offset).unwrap_or(bytes);
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
    format!("line {line} column {column}")
}

/// The text that is made persistent.
pub fn stored(tree: &Tree) -> String {
    config::export(tree, &stored_options())
}

/// How that is written.
pub fn stored_options() -> ExportOptions {
    ExportOptions { sensitive: true, ..ExportOptions::default() }
}

pub fn kept(note: config::Note) -> Kept {
    Kept { line: note.line, menu: note.menu, reason: note.reason }
}

pub fn place(error: &config::Error) -> Place {
    Place { line: error.line, column: error.column, message: error.message.clone(), hint: error.hint.clone() }
}

pub fn failure(errors: &config::Errors) -> Failure {
    let errors: Vec<Place> = errors.0.iter().map(place).collect();
    let message = match errors.len() {
        1 => "1 error, nothing changed".to_owned(),
        n => format!("{n} errors, nothing changed"),
    };
    Failure { message, errors }
}

/// Errors shown for a reader: place, text, the source line with a caret, a hint. The first hundred.
pub fn explain(name: &str, text: &str, errors: &[Place]) -> String {
    const SHOWN: usize = 100;
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    for error in errors.iter().take(SHOWN) {
        if error.line == 0 {
            out.push_str(&format!("{name}: {}\n", error.message));
        } else {
            out.push_str(&format!("{name}:{}:{}: {}\n", error.line, error.column, error.message));
        }
        let source = usize::try_from(error.line).ok().and_then(|n| lines.get(n.checked_sub(1)?));
        if let Some(source) = source {
            out.push_str(&excerpt(source, error));
        }
        if let Some(hint) = &error.hint {
            out.push_str(&format!("      = {hint}\n"));
        }
    }
    if errors.len() > SHOWN {
        out.push_str(&format!("{name}: and {} more\n", errors.len() - SHOWN));
    }
    out
}

/// The source line around the column, at most 100 characters of it, and a caret below. Columns count bytes.
fn excerpt(source: &str, error: &Place) -> String {
    const BEFORE: usize = 60;
    const SHOWN: usize = 100;
    let byte = usize::try_from(error.column).unwrap_or(1).saturating_sub(1);
    let column = source.char_indices().take_while(|(at, _)| *at < byte).count();
    let skipped = column.saturating_sub(BEFORE);
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let shown: String = source.chars().skip(skipped).take(SHOWN).map(clean).collect();
    format!("{:>5} | {shown}\n      | {}^\n", error.line, " ".repeat(column - skipped))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: u32, column: u32) -> Place {
        Place { line, column, message: "bad command name frewall".into(), hint: Some("firewall?".into()) }
    }

    #[test]
    fn an_error_points_at_its_place() {
        let text = "/ip address\n/ip frewall filter\n";
        let shown = explain("a.rsc", text, &[place(2, 5)]);
        assert_eq!(
            shown,
            "a.rsc:2:5: bad command name frewall\n    2 | /ip frewall filter\n      |     ^\n      = firewall?\n"
        );
    }

    #[test]
    fn places_outside_the_text_and_long_lines_do_no_harm() {
        let long = "ä".repeat(5000);
        for (line, column) in [(0, 0), (1, 0), (1, 1), (1, 9999), (1, u32::MAX), (2, 1), (u32::MAX, u32::MAX)]
        {
            let shown = explain("a", &long, &[place(line, column)]);
            assert!(shown.chars().count() < 6000, "{line} {column}");
        }
    }

    #[test]
    fn what_is_not_text_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.rsc");
        std::fs::write(&path, b"/ip\nab\xff").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("(line 2 column 3)"));
        assert!(read(&dir.path().join("absent")).is_err());
        assert!(read(dir.path()).is_err());
    }
}
