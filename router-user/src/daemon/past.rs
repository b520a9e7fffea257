//! `/undo`, `/redo` and what `/system history print` shows.

use config::{Item, Row, Rows};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use management::protocol::Failure;
use management::store::{Meta, Store};
use management::undo::{Step, Steps};

use crate::daemon::requests::{failed, failed_change};
use crate::daemon::router::{Change, Router, Trial};
use crate::files;

/// Other rows, and those of the history.
pub struct WithPast<'a, R>(pub R, pub &'a Store);

impl<R: Rows> Rows for WithPast<'_, R> {
    fn rows(&self, menu: &str) -> Vec<Row> {
        let mut rows = self.0.rows(menu);
        if menu == "system/history" {
            rows.extend(past(&self.1.history().unwrap_or_default()));
        }
        rows
    }

    fn flags(&self, item: &Item) -> String {
        self.0.flags(item)
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        self.0.values(item)
    }

    fn width(&self) -> Option<usize> {
        self.0.width()
    }
}

/// Newest first, as RouterOS has them; steps back and forth only show as flags.
fn past(history: &[Meta]) -> Vec<Row> {
    let steps = Steps::of(history);
    let changes = history.iter().filter(|meta| Step::of(&meta.origin).is_none());
    let rows = changes.map(|meta| {
        let flags = match meta.version {
            version if steps.undoable.contains(&version) => "U",
            version if steps.redoable.contains(&version) => "R",
            _ => "",
        };
        let mut values = vec![("action".to_owned(), meta.origin.clone())];
        if let Ok(time) = meta.time.parse::<Timestamp>() {
            let time = time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
            values.push(("time".to_owned(), time.to_string()));
        }
        Row { flags: flags.to_owned(), values, ..Row::default() }
    });
    rows.collect()
}

/// Whether a command line is nothing but `/undo` or `/redo`.
pub fn is_step(line: &str) -> Option<&'static str> {
    match line.trim().trim_start_matches(['/', ':']) {
        "undo" => Some("undo"),
        "redo" => Some("redo"),
        _ => None,
    }
}

impl Router {
    /// Takes back the last change, or makes the one again that was taken back last; tells which.
    pub async fn step(&mut self, word: &str) -> Result<String, Failure> {
        let history = self.store.history().map_err(failed)?;
        let steps = Steps::of(&history);
        let (step, content) = match word {
            "undo" => {
                let last = steps.undoable.last().ok_or_else(|| Failure::new("failure: nothing to undo"))?;
                (Step::Undo(*last), last - 1)
            }
            _ => {
                let last = steps.redoable.last().ok_or_else(|| Failure::new("failure: nothing to redo"))?;
                (Step::Redo(*last), *last)
            }
        };
        let (Step::Undo(number) | Step::Redo(number)) = step;
        let version = self.store.version(content).map_err(failed)?;
        let tree = Router::read(management::protocol::Format::Rsc, &version.text)
            .map_err(|errors| files::failure(&errors))?;
        let change = Change {
            tree,
            origin: step.origin(),
            comment: None,
            source: None,
            trial: Trial::Keep,
            gaps_accepted: version.meta.gaps_accepted,
        };
        self.change(change).await.map_err(failed_change)?;
        let what = history.iter().find(|meta| meta.version == number).map(|meta| meta.origin.as_str());
        Ok(format!("{}: {}\n", step.origin(), what.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::is_step;

    #[test]
    fn only_the_command_alone_is_a_step() {
        for line in ["/undo", "undo", " /undo ", ":undo"] {
            assert_eq!(is_step(line), Some("undo"), "{line}");
        }
        assert_eq!(is_step("/redo"), Some("redo"));
        for line in ["/undo 3", "/ip address print", "", "/"] {
            assert_eq!(is_step(line), None, "{line}");
        }
    }
}
