//! What `add` without arguments says, menu by menu.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use config::Tree;
use serde::Deserialize;

use super::{Figure, file_name, tally::Tally};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    path: String,
    /// RouterOS's answer; empty where the item is added.
    raw_error: String,
}

pub fn figure(path: &Path) -> Result<Figure> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut failed = Tally::default();
    let (mut good, mut all) = (0, 0);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let row: Row = serde_json::from_str(line).with_context(|| format!("read {}", path.display()))?;
        let wanted = told(&row.raw_error);
        let given = match config::run(&mut Tree::new(), &format!("{}/add", row.path)) {
            Ok(_) => String::new(),
            Err(errors) => errors.0.into_iter().next().map(|error| error.message).unwrap_or_default(),
        };
        all += 1;
        if given == wanted {
            good += 1;
        } else {
            failed.add(format!("{}: {}, not {}", row.path, shown(&given), shown(wanted)), || "add".into());
        }
    }
    Ok(Figure::share(&file_name(path), good, all, "all, same text", 100.0, failed))
}

/// An answer without what the router puts around it: `Script Error: TEXT (/menu/add; line 1)`.
fn told(raw: &str) -> &str {
    let text = raw.strip_prefix("Script Error: ").unwrap_or(raw);
    match text.rfind(" (/") {
        Some(end) => &text[..end],
        None => text,
    }
}

fn shown(text: &str) -> &str {
    if text.is_empty() { "accepted" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_without_its_frame() {
        let raw = "Script Error: missing value(s) of argument(s) url (/certificate/crl/add; line 1)";
        assert_eq!(told(raw), "missing value(s) of argument(s) url");
        assert_eq!(told("failure: name is empty (/ip/dns/forwarders/add; line 1)"), "failure: name is empty");
        assert_eq!(told("error (3) (/a/add; line 1)"), "error (3)");
        assert_eq!(told(""), "");
    }
}
