//! What failed, counted, with the first place of each.

use std::cmp::Reverse;
use std::collections::BTreeMap;

#[derive(Default)]
pub struct Tally(BTreeMap<String, (usize, String)>);

impl Tally {
    pub fn add(&mut self, what: String, place: impl FnOnce() -> String) {
        self.0.entry(what).or_insert_with(|| (0, place())).0 += 1;
    }

    /// An error by its message and hint; places differ, so they are no part of it.
    pub fn error(&mut self, error: &config::Error, file: &str) {
        let what = match &error.hint {
            Some(hint) => format!("{} | {hint}", error.message),
            None => error.message.clone(),
        };
        self.add(what.replace('\n', " "), || format!("{file}:{}:{}", error.line, error.column));
    }

    pub fn print(&self, title: &str, rows: usize) {
        if self.0.is_empty() {
            return;
        }
        let mut sorted: Vec<_> = self.0.iter().collect();
        sorted.sort_by_key(|(_, (count, _))| Reverse(*count));
        println!("{title}:");
        for (what, (count, place)) in sorted.iter().take(rows) {
            println!("{count:6} {what} ({place})");
        }
        if sorted.len() > rows {
            println!("       and {} more kinds", sorted.len() - rows);
        }
        println!();
    }
}
