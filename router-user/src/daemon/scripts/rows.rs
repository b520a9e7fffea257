//! What `print` shows of scripts: the log, variables, jobs, how often and when something ran.

use config::{Item, Row, Rows};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Runs, Scripts, locked};
use crate::daemon::netwatch;

pub struct OfScripts<'a>(pub &'a Scripts);

/// Other rows, and those of scripts.
pub struct With<'a, R>(pub R, pub &'a Scripts);

impl<R: Rows> Rows for With<'_, R> {
    fn rows(&self, menu: &str) -> Vec<Row> {
        let mut rows = self.0.rows(menu);
        rows.extend(OfScripts(self.1).rows(menu));
        rows
    }

    fn flags(&self, item: &Item) -> String {
        self.0.flags(item)
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        let mut values = self.0.values(item);
        values.extend(OfScripts(self.1).values(item));
        values
    }

    fn width(&self) -> Option<usize> {
        self.0.width()
    }
}

impl Rows for OfScripts<'_> {
    fn rows(&self, menu: &str) -> Vec<Row> {
        let row = |values: Vec<(&str, String)>| Row {
            values: values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect(),
            ..Row::default()
        };
        match menu {
            "log" => {
                let log = locked(&self.0.log);
                let lines = log.iter().map(|line| {
                    row(vec![
                        ("buffer", "memory".into()),
                        ("time", local(line.time)),
                        ("topics", line.topics.clone()),
                        ("message", line.message.clone()),
                    ])
                });
                lines.collect()
            }
            "system/script/environment" => {
                let all = self.0.globals.list().into_iter();
                all.map(|(name, value)| row(vec![("name", name), ("value", value)])).collect()
            }
            "system/script/job" => {
                let jobs = locked(&self.0.jobs);
                let all = jobs.values();
                all.map(|job| row(vec![("script", job.script.clone()), ("started", local(job.started))]))
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        let name = item.text("name").unwrap_or_default();
        match item.menu().path.as_str() {
            "system/script" => shown(locked(&self.0.runs).get(&name), "last-started"),
            "tool/netwatch" => {
                let states = locked(&self.0.watched);
                states.get(&item.id().0).map(netwatch::State::shown).unwrap_or_default()
            }
            "system/scheduler" => shown(locked(&self.0.scheduled).get(&name), "next-run"),
            _ => Vec::new(),
        }
    }
}

fn shown(runs: Option<&Runs>, time: &str) -> Vec<(String, String)> {
    let runs = runs.copied().unwrap_or_default();
    let at = if time == "next-run" { runs.next } else { runs.last };
    let mut values = vec![("run-count".to_owned(), runs.count.to_string())];
    values.extend(at.map(|at| (time.to_owned(), local(at))));
    values
}

/// `2026-01-31 12:00:00`
pub fn local(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
