//! `/system scheduler`: scripts by time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::script::{Rights, Script};
use config::{Item, Tree};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{Run, Runs, Scripts, locked};

/// `start-time=startup` means so long after the router began.
const STARTUP: SignedDuration = SignedDuration::from_secs(3);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(500);

/// An entry, as it was when its next run was worked out.
#[derive(Clone, PartialEq)]
struct Entry {
    date: String,
    time: String,
    interval_ms: u64,
}

/// Starts what is due, as long as the router runs.
pub async fn run(scripts: Arc<Scripts>) {
    let began = Timestamp::now();
    let mut known: BTreeMap<String, Entry> = BTreeMap::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let (_, tree) = scripts.current();
        look(&scripts, &tree, &mut known, began, Timestamp::now());
    }
}

/// Starts the entries of a configuration that are due at a time.
fn look(
    scripts: &Arc<Scripts>,
    tree: &Tree,
    known: &mut BTreeMap<String, Entry>,
    began: Timestamp,
    now: Timestamp,
) {
    let mut entries = BTreeMap::new();
    for item in tree.items("system/scheduler").filter(|item| !item.is_disabled()) {
        let name = item.text("name").unwrap_or_default();
        let entry = entry(item);
        let mut all = locked(&scripts.scheduled);
        let runs = all.entry(name.clone()).or_default();
        if known.get(&name) != Some(&entry) {
            runs.next = first(&entry, began, now);
        }
        if runs.next.is_some_and(|next| next <= now) {
            runs.count += 1;
            runs.last = Some(now);
            runs.next = following(*runs, &entry, now);
            drop(all);
            let run = Run { rights: Rights::of_item(item), ..Run::named(&name) };
            fire(scripts, tree, run, &item.text("on-event").unwrap_or_default());
        }
        entries.insert(name, entry);
    }
    locked(&scripts.scheduled).retain(|name, _| entries.contains_key(name));
    *known = entries;
}

fn entry(item: &Item) -> Entry {
    let interval_ms = match item.effective("interval") {
        Some(config::Value::Time(ms)) => *ms,
        _ => 0,
    };
    let text = |name: &str| item.text(name).unwrap_or_default();
    Entry { date: text("start-date"), time: text("start-time"), interval_ms }
}

/// The first run from now on; None where there is none any more. An entry without a time begins when it is seen.
fn first(entry: &Entry, began: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let zone = TimeZone::system();
    let start = if entry.time == "startup" {
        began.checked_add(STARTUP).ok()?
    } else if entry.time.is_empty() && entry.date.is_empty() {
        let interval = SignedDuration::from_millis(i64::try_from(entry.interval_ms).ok()?);
        return (entry.interval_ms > 0).then(|| now.checked_add(interval).ok())?;
    } else {
        let time: Time = if entry.time.is_empty() { Time::midnight() } else { entry.time.parse().ok()? };
        let today = now.to_zoned(zone.clone()).date();
        let date: Date = if entry.date.is_empty() { today } else { entry.date.parse().ok()? };
        DateTime::from_parts(date, time).to_zoned(zone).ok()?.timestamp()
    };
    if start >= now {
        return Some(start);
    }
    following(Runs { next: Some(start), ..Runs::default() }, entry, now)
}

/// The run after one, behind `now`.
fn following(runs: Runs, entry: &Entry, now: Timestamp) -> Option<Timestamp> {
    let interval = i64::try_from(entry.interval_ms).ok().filter(|ms| *ms > 0)?;
    let last = runs.next?;
    let passed = now.as_millisecond().checked_sub(last.as_millisecond())?.div_euclid(interval);
    let steps = passed.max(0).checked_add(1)?.checked_mul(interval)?;
    last.checked_add(SignedDuration::from_millis(steps)).ok()
}

/// Runs what an event gives: the name of a stored script, or a script.
pub fn fire(scripts: &Arc<Scripts>, tree: &Tree, run: Run, event: &str) {
    let stored = tree.items("system/script").any(|item| item.text("name").as_deref() == Some(event));
    // A stored script asks for its own rights, as it does when it is run by name.
    let source =
        if stored { format!("/system script run {}", config::quoted(event)) } else { event.to_owned() };
    let name = run.name.clone();
    let begun = Script::parse(&source)
        .map_err(|errors| super::first(&errors))
        .and_then(|script| scripts.start(run, script, None).map(drop));
    if let Err(message) = begun {
        tracing::warn!(target: "script", "{name}: {message}");
        scripts.log("script,error", &format!("{name}: {message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let time: DateTime = text.parse().unwrap();
        time.to_zoned(TimeZone::system()).unwrap().timestamp()
    }

    fn entry(date: &str, time: &str, interval_ms: u64) -> Entry {
        Entry { date: date.into(), time: time.into(), interval_ms }
    }

    #[test]
    fn the_first_run_is_the_next_one_of_the_series() {
        let (began, now) = (at("2026-03-01 08:00:00"), at("2026-03-01 12:00:10"));
        let hour = 3_600_000;
        for (entry, expected) in [
            (entry("2026-03-02", "06:00:00", 0), Some("2026-03-02 06:00:00")),
            (entry("2026-03-01", "06:00:00", 0), None),
            (entry("2026-03-01", "06:00:00", hour), Some("2026-03-01 13:00:00")),
            (entry("", "23:00:00", 0), Some("2026-03-01 23:00:00")),
            (entry("", "startup", 0), None),
            (entry("", "startup", hour), Some("2026-03-01 13:00:03")),
            (entry("", "", hour), Some("2026-03-01 13:00:10")),
            (entry("", "", 0), None),
            (entry("soon", "", hour), None),
        ] {
            assert_eq!(first(&entry, began, now), expected.map(at));
        }
    }

    #[test]
    fn missed_runs_are_not_made_up_for() {
        let runs = Runs { next: Some(at("2026-03-01 12:00:00")), ..Runs::default() };
        let late = at("2026-03-01 12:03:30");
        assert_eq!(following(runs, &entry("", "", 60_000), late), Some(at("2026-03-01 12:04:00")));
        assert_eq!(following(runs, &entry("", "", 0), late), None);
    }
}
