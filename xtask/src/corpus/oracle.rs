//! Scripts with what a real parser made of them: a listing, or its first error.

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::{Figure, tally::Tally};

#[derive(Deserialize)]
struct Row {
    name: String,
    source: String,
    /// `ok`, `error`, or `partial`: read, with unknown commands in the listing.
    verdict: String,
    /// The listing, or the error with its place.
    il: String,
}

#[derive(Default)]
struct Counts {
    rows: usize,
    agreed: usize,
    refused: usize,
    placed: usize,
    listed: usize,
    same: usize,
    disagreed: Tally,
    misplaced: Tally,
    different: Tally,
}

pub fn figures(path: &Path) -> Result<Vec<Figure>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut counts = Counts::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let row: Row = serde_json::from_str(line).with_context(|| format!("read {}", path.display()))?;
        counts.row(row);
    }
    let Counts { rows, agreed, refused, placed, listed, same, disagreed, misplaced, different } = counts;
    Ok(vec![
        Figure::share("oracle: accepted or refused alike", agreed, rows, "97 %", 97.0, disagreed),
        Figure::share("oracle: place of the first error", placed, refused, "95 %", 95.0, misplaced),
        Figure::share("oracle: same listing", same, listed, "95 %", 95.0, different),
    ])
}

impl Counts {
    fn row(&mut self, row: Row) {
        let Row { name, source, verdict, il } = row;
        self.rows += 1;
        let given = config::listing(&source);
        let is_error = verdict == "error";
        if given.is_err() == is_error {
            self.agreed += 1;
        } else {
            let ours = given.as_ref().map_or_else(ToString::to_string, |_| "accepted".into());
            let theirs = if is_error { il.as_str() } else { "accepted" };
            self.disagreed.add(format!("{ours}, not {theirs}"), || name.clone());
        }
        if is_error {
            self.refused += 1;
            let ours = given.map_or_else(|error| error.to_string(), |_| "accepted".into());
            if place(&ours).is_some() && place(&ours) == place(&il) {
                self.placed += 1;
            } else {
                self.misplaced.add(format!("{ours}, not {il}"), || name);
            }
        } else {
            self.listed += 1;
            let ours = given.unwrap_or_else(|error| error.to_string());
            let il = without_scopes(il.trim());
            if ours.trim() == il {
                self.same += 1;
            } else {
                self.different.add(difference(&ours, &il), || name);
            }
        }
    }
}

/// `(line 1 column 2)` at the end.
fn place(message: &str) -> Option<&str> {
    message.rfind("(line ").and_then(|at| message.get(at..))
}

/// A listing without what a router lists beside conditions: before them the names that they could use, which end with
/// `$.about`, behind them the digit of how the query is done.
fn without_scopes(listing: &str) -> String {
    const BEGIN: &str = "where=";
    const LAST: &str = "$.about;";
    let mut text = String::new();
    let mut rest = listing;
    while let Some(at) = rest.find(BEGIN) {
        let (before, condition) = rest.split_at(at + BEGIN.len());
        text.push_str(before);
        let names: usize =
            condition.split_inclusive(';').take_while(|name| name.starts_with('$')).map(str::len).sum();
        let scope = condition.get(..names).and_then(|names| Some(names.find(LAST)? + LAST.len()));
        rest = condition.get(scope.unwrap_or(0)..).unwrap_or_default();
        if scope.is_some() {
            let end = condition_end(rest);
            let (inside, behind) = rest.split_at(end);
            text.push_str(&without_scopes(inside));
            rest = behind.strip_prefix(";5").or_else(|| behind.strip_prefix(";0")).unwrap_or(behind);
        }
    }
    text.push_str(rest);
    text
}

/// Where a condition ends: at a `;` or `)` outside of its own brackets.
fn condition_end(text: &str) -> usize {
    let mut level = 0u32;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => level += 1,
            b')' if level == 0 => return at,
            b')' => level -= 1,
            b';' if level == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

/// Where two listings part.
fn difference(ours: &str, theirs: &str) -> String {
    const BEFORE: usize = 30;
    const SHOWN: usize = 80;
    let same = ours.chars().zip(theirs.chars()).take_while(|(a, b)| a == b).count();
    let cut = |text: &str| text.chars().skip(same.saturating_sub(BEFORE)).take(SHOWN).collect::<String>();
    format!("{:?}, not {:?}", cut(ours), cut(theirs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_of_conditions_are_left_out() {
        let listing = "(evl /a/setnumbers=(evl (evl /a/findwhere=$x;$.id;$.about;(= $x (evl (evl /a/findwhere=$x;$.about;$y;0)));5)))";
        let wanted = "(evl /a/setnumbers=(evl (evl /a/findwhere=(= $x (evl (evl /a/findwhere=$y))))))";
        assert_eq!(without_scopes(listing), wanted);
        assert_eq!(without_scopes("(evl /a/findwhere=$x)"), "(evl /a/findwhere=$x)");
    }
}
