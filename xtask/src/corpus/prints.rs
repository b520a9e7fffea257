//! What a real router printed: the items are read from its text, shown by our `print`, and the lines compared.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result};
use config::{Item, Row, Rows, Tree, run_with, schema};

use super::{Figure, tally::Tally};

/// Reads `INDEX.md`, whose table names a file and the command that gave it, and the files beside it.
pub fn figure(folder: &Path) -> Result<Option<Figure>> {
    let index = folder.join("INDEX.md");
    if !index.is_file() {
        return Ok(None);
    }
    let index = fs::read_to_string(&index).with_context(|| format!("read {}", index.display()))?;
    let (mut same, mut all) = (0, 0);
    let mut differing = Tally::default();
    for row in index.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split('|').map(str::trim).collect();
        let [file, command] = cells.as_slice() else { continue };
        let Ok(bytes) = fs::read(folder.join(file)) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        let Some(listing) = Listing::read(command.trim_matches('`'), &text) else { continue };
        let mut ours: HashMap<String, usize> = HashMap::new();
        for line in listing.shown().lines() {
            *ours.entry(line.trim().to_owned()).or_default() += 1;
        }
        for line in listing.lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty()) {
            all += 1;
            match ours.get_mut(line).filter(|left| **left > 0) {
                Some(left) => {
                    *left -= 1;
                    same += 1;
                }
                None => differing.add(line.to_owned(), || (*file).to_owned()),
            }
        }
    }
    let name = "print: the lines of a real router";
    Ok(Some(Figure { met: None, ..Figure::share(name, same, all, "", 0.0, differing) }))
}

/// One output, with what it tells.
struct Listing {
    menu: &'static schema::Menu,
    words: String,
    lines: Vec<String>,
    rows: Vec<Row>,
}

impl Listing {
    /// None for what is no `print` of a menu.
    fn read(command: &str, text: &str) -> Option<Listing> {
        let (path, words) = command.trim_start_matches('/').split_once(" print")?;
        let menu = schema::menu(&path.replace(' ', "/"))?;
        // A log line may be in the middle of a capture.
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.trim_end().to_owned())
            .filter(|line| !line.contains(" echo: "))
            .collect();
        let is_settings = !lines.iter().any(|line| number(line).is_some())
            && lines.iter().any(|line| line.contains(": ") && !line.starts_with("Flags"));
        let rows = if is_settings {
            vec![settings(&lines)]
        } else if lines.iter().any(|line| line.trim_start_matches(' ').starts_with("# ")) {
            table(&lines)
        } else {
            records(menu, &lines)
        };
        Some(Listing { menu, words: words.to_owned(), lines, rows })
    }

    fn shown(&self) -> String {
        let mut tree = Tree::new();
        let only = if self.menu.kind == schema::Kind::Settings { "" } else { " dynamic" };
        let words = self.words.replace(" all", "").replace(" status", "");
        let command = format!("{} print{words}{only}", self.menu.blank_path());
        run_with(&mut tree, &command, self).map(|output| output.text).unwrap_or_default()
    }
}

impl Rows for Listing {
    fn rows(&self, menu: &str) -> Vec<Row> {
        if menu == self.menu.path { self.rows.clone() } else { Vec::new() }
    }

    fn values(&self, _item: &Item) -> Vec<(String, String)> {
        self.rows.first().map(|row| row.values.clone()).unwrap_or_default()
    }
}

/// The number that a line begins with, and what follows it.
fn number(line: &str) -> Option<(usize, &str)> {
    let line = line.trim_start();
    let end = line.find(|c: char| !c.is_ascii_digit())?;
    Some((line.get(..end)?.parse().ok()?, line.get(end..)?)).filter(|(_, rest)| rest.starts_with(' '))
}

fn settings(lines: &[String]) -> Row {
    let pairs = lines.iter().filter_map(|line| line.split_once(": "));
    Row {
        flags: String::new(),
        values: pairs.map(|(n, v)| (n.trim().to_owned(), v.to_owned())).collect(),
        ..Row::default()
    }
}

/// `print detail` and `terse`: a number, flags, an optional comment, and pairs.
fn records(menu: &schema::Menu, lines: &[String]) -> Vec<Row> {
    let mut texts: Vec<String> = Vec::new();
    let mut before = "";
    for line in lines.iter().filter(|line| !line.starts_with("Flags:")) {
        // Lines of the log and routes of others have no number: flags at most, and the first pair.
        let (head, rest) = line.split_once('=').unwrap_or((line, ""));
        let (flags, name) = head.trim().rsplit_once(' ').unwrap_or(("", head.trim()));
        let begins = !rest.is_empty()
            && menu.shown.first().is_some_and(|first| first == name)
            && flags.bytes().all(|byte| byte.is_ascii_alphabetic())
            && (before.is_empty() || !flags.is_empty());
        match (number(line), texts.last_mut()) {
            (Some((_, rest)), _) => texts.push(rest.to_owned()),
            (None, _) if begins => texts.push(format!(" {line}")),
            (None, Some(last)) if !line.is_empty() => {
                last.push('\n');
                last.push_str(line);
            }
            (None, _) => {}
        }
        before = line;
    }
    texts.iter().map(|text| record(menu, text)).collect()
}

fn record(menu: &schema::Menu, text: &str) -> Row {
    let known = |name: &str| menu.property(name).or_else(|| menu.status(name)).is_some();
    // Pairs begin where a known name stands before a sign.
    let begins: Vec<usize> = text
        .match_indices([' ', '\n'])
        .map(|(at, _)| at + 1)
        .filter(|at| text[*at..].split_once('=').is_some_and(|(name, _)| known(name)))
        .collect();
    let head = text.get(..begins.first().copied().unwrap_or(text.len())).unwrap_or_default();
    let (flags, comment) = head.split_once(";;; ").unwrap_or((head, ""));
    let flags = flags.split_whitespace().collect();
    let mut row = Row { flags, ..Row::default() };
    if !comment.is_empty() {
        row.values.push(("comment".into(), comment.trim().to_owned()));
    }
    for (n, begin) in begins.iter().enumerate() {
        let end = begins.get(n + 1).copied().unwrap_or(text.len());
        if let Some((name, value)) = text.get(*begin..end).and_then(|pair| pair.trim().split_once('=')) {
            row.values.push((name.to_owned(), value.trim_matches('"').to_owned()));
        }
    }
    row
}

/// A table: the columns begin where their heads do; comments stand on the line before.
fn table(lines: &[String]) -> Vec<Row> {
    let Some(at) = lines.iter().position(|line| line.trim_start().starts_with("# ")) else {
        return Vec::new();
    };
    let head = &lines[at];
    let mut columns: Vec<(usize, usize, String)> = Vec::new();
    let mut from = head.find('#').map_or(0, |at| at + 1);
    while let Some(skip) = head.get(from..).and_then(|rest| rest.find(|c: char| c != ' ')) {
        let begin = from + skip;
        let end = head[begin..].find(' ').map_or(head.len(), |at| begin + at);
        columns.push((begin, end, head[begin..end].to_ascii_lowercase()));
        from = end;
    }
    let mut rows = Vec::new();
    let mut comment = None;
    for line in &lines[at + 1..] {
        if let Some(text) = line.trim_start().strip_prefix(";;; ") {
            comment = Some(text.to_owned());
            continue;
        }
        let Some((_, rest)) = number(line) else { continue };
        let offset = line.len() - rest.len();
        let first = columns.first().map_or(line.len(), |(begin, ..)| *begin);
        let flags: String =
            line.get(offset..first.min(line.len())).unwrap_or_default().split_whitespace().collect();
        let mut row = Row { flags, ..Row::default() };
        if let Some(comment) = comment.take() {
            row.values.push(("comment".into(), comment));
        }
        for (n, (begin, end, name)) in columns.iter().enumerate() {
            // A cell reaches beyond its head on the right, or on the left where numbers stand.
            let left = (0..*begin).rev().find(|at| line.as_bytes().get(*at).is_none_or(|b| *b == b' '));
            let touches = line.as_bytes().get(*begin).is_some_and(|b| *b != b' ');
            let from = if touches { left.map_or(0, |at| at + 1) } else { *begin };
            let to = columns.get(n + 1).map_or(line.len(), |(next, ..)| (*next).max(*end));
            let cell = line.get(from.min(line.len())..to.min(line.len())).unwrap_or_default().trim();
            if !cell.is_empty() {
                row.values.push((name.clone(), cell.to_owned()));
            }
        }
        rows.push(row);
    }
    rows
}
