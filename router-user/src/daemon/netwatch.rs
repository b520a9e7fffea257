//! `/tool netwatch`: hosts are tested in turn; the scripts of those that come or go are started.

mod probe;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::script::{Rights, Variables};
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;

use super::scripts::{Run, Scripts, fire, local, locked};
use probe::Outcome;
use watch::Watch;

/// How often it is looked whether a test is due.
const TICK: Duration = Duration::from_millis(250);
/// Tests at the same time; the rest waits.
const MAX_TESTS: usize = 64;
/// RouterOS gives these scripts no more.
const RIGHTS: &str = "read,write,test,reboot";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
    Unknown,
    Up,
    Down,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Status::Unknown => "unknown",
            Status::Up => "up",
            Status::Down => "down",
        }
    }
}

/// What is known of a watched host.
#[derive(Clone, Debug, Default)]
pub struct State {
    watch: Watch,
    status: Status,
    since: Option<Timestamp>,
    done: u64,
    failed: u64,
    measured: Vec<(&'static str, String)>,
    due: Option<Instant>,
    testing: bool,
}

/// States by the number of the item.
pub type States = BTreeMap<u32, State>;

impl State {
    /// Names and texts, for `print` and `get`.
    pub fn shown(&self) -> Vec<(String, String)> {
        let mut values = vec![("status", self.status.word().to_owned())];
        values.extend(self.since.map(|since| ("since", local(since))));
        values.push(("done-tests", self.done.to_string()));
        values.push(("failed-tests", self.failed.to_string()));
        values.extend(self.measured.clone());
        values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
    }

    fn variables(&self) -> Variables {
        let mut given = Variables::default();
        for (name, text) in self.watch.told() {
            given.set(name, &text);
        }
        for (name, text) in self.shown() {
            given.set(&name, &text);
        }
        given
    }

    /// Takes the outcome of a test; gives the events that it makes, `up`, `down` and `test`.
    fn take(&mut self, outcome: Outcome, now: Timestamp) -> Vec<&'static str> {
        self.testing = false;
        self.done += 1;
        self.failed += u64::from(!outcome.up);
        self.measured = outcome.measured;
        let before = self.status;
        self.status = if outcome.up { Status::Up } else { Status::Down };
        let mut events = Vec::new();
        if before != self.status {
            self.since = Some(now);
            let first = before == Status::Unknown;
            match self.status {
                Status::Up if !(first && self.watch.ignore_initial_up) => events.push("up"),
                Status::Down if !(first && self.watch.ignore_initial_down) => events.push("down"),
                _ => {}
            }
        }
        events.push("test");
        events
    }
}

/// Tests what is due, as long as the router runs.
pub async fn run(scripts: Arc<Scripts>) {
    let began = Instant::now();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        for (id, watch) in due(&scripts, began, Instant::now()) {
            tokio::spawn(test(Arc::clone(&scripts), id, watch));
        }
    }
}

/// What is to be tested now; it counts as begun.
fn due(scripts: &Scripts, began: Instant, now: Instant) -> Vec<(u32, Watch)> {
    let (_, tree) = scripts.current();
    let mut states = locked(&scripts.watched);
    let mut found = States::new();
    let mut due = Vec::new();
    for item in tree.items("tool/netwatch").filter(|item| !item.is_disabled()) {
        let id = item.id().0;
        let watch = Watch::of(item);
        let mut state = match states.remove(&id) {
            Some(state) if state.watch == watch => state,
            _ => State {
                due: Some((now + watch.start_delay).max(began + watch.startup_delay)),
                watch,
                ..State::default()
            },
        };
        let running = found.values().filter(|state: &&State| state.testing).count();
        if !state.testing && running < MAX_TESTS && state.due.is_some_and(|at| at <= now) {
            state.testing = true;
            state.due = Some(now + state.watch.interval);
            due.push((id, state.watch.clone()));
        }
        found.insert(id, state);
    }
    *states = found;
    due
}

async fn test(scripts: Arc<Scripts>, id: u32, watch: Watch) {
    let asked = watch.clone();
    // A test that panicked is one that failed.
    let outcome = tokio::task::spawn_blocking(move || probe::run(&asked)).await.unwrap_or_default();
    let (events, given) = {
        let mut states = locked(&scripts.watched);
        // It may have been changed or removed meanwhile.
        let Some(state) = states.get_mut(&id).filter(|state| state.watch == watch) else { return };
        let before = state.status;
        let events = state.take(outcome, Timestamp::now());
        if before != state.status {
            let line = format!("netwatch {}: {}", watch.host, state.status.word());
            tracing::info!(target: "script", "{line}");
            scripts.log("netwatch,info", &line);
        }
        (events, state.variables())
    };
    let (_, tree) = scripts.current();
    for event in events {
        let source = match event {
            "up" => &watch.up_script,
            "down" => &watch.down_script,
            _ => &watch.test_script,
        };
        if !source.trim().is_empty() {
            let name = format!("netwatch {}", watch.host);
            fire(&scripts, &tree, Run { name, given: given.clone(), rights: Rights::of(RIGHTS) }, source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scripts::Place;
    use super::*;

    fn outcome(up: bool) -> Outcome {
        Outcome { up, measured: Vec::new() }
    }

    #[test]
    fn a_change_starts_scripts_and_the_first_one_can_be_passed_over() {
        let now = Timestamp::now();
        let mut state = State::default();
        assert_eq!(state.take(outcome(true), now), ["up", "test"]);
        assert_eq!(state.take(outcome(true), now), ["test"]);
        assert_eq!(state.take(outcome(false), now), ["down", "test"]);
        assert_eq!((state.done, state.failed), (3, 1));
        let watch = Watch { ignore_initial_down: true, ..Watch::default() };
        let mut state = State { watch, ..State::default() };
        assert_eq!(state.take(outcome(false), now), ["test"]);
        assert_eq!(state.take(outcome(true), now), ["up", "test"]);
        assert_eq!(state.take(outcome(false), now), ["down", "test"]);
    }

    #[test]
    fn tests_begin_after_their_delay_and_follow_in_their_interval() {
        let (scripts, _wishes) = Scripts::new(Place::default());
        let text = "/tool netwatch
add host=192.0.2.1 interval=2s start-delay=1s
add host=192.0.2.2 disabled=yes";
        scripts.publish(&config::import(&config::Tree::new(), text).unwrap().tree);
        let began = Instant::now();
        let at = |ms| due(&scripts, began, began + Duration::from_millis(ms)).len();
        assert_eq!((at(0), at(900), at(1000)), (0, 0, 1));
        assert_eq!(at(3500), 0, "the first test is not over");
        locked(&scripts.watched)
            .values_mut()
            .for_each(|state| drop(state.take(outcome(true), Timestamp::now())));
        assert_eq!(at(3600), 1);
        let shown = locked(&scripts.watched).values().next().unwrap().shown();
        assert!(shown.contains(&("status".into(), "up".into())), "{shown:?}");
    }

    #[test]
    fn scripts_are_told_what_hooks_of_this_menu_are() {
        let known = config::script::typical("tool/netwatch", "up-script");
        let known: Vec<&str> = known.names().collect();
        let measured = vec![("rtt-avg", "1ms".to_owned()), ("tcp-connect-time", "1ms".to_owned())];
        let state = State { since: Some(Timestamp::now()), measured, ..State::default() };
        for name in state.variables().names() {
            assert!(known.contains(&name), "{name}");
        }
    }

    #[tokio::test]
    async fn a_host_that_answers_is_up_and_its_script_knows_it() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (scripts, mut wishes) = Scripts::new(Place::default());
        let text = format!(
            "/tool netwatch add host=127.0.0.1 type=tcp-conn port={port} start-delay=0s interval=1s \
             up-script=\":global seen \\\"\\$host \\$status\\\"\""
        );
        scripts.publish(&config::import(&config::Tree::new(), &text).unwrap().tree);
        tokio::spawn(run(Arc::clone(&scripts)));
        tokio::spawn(async move { while wishes.tasks.recv().await.is_some() {} });
        for _ in 0..200 {
            if scripts.globals().list() == [("seen".to_owned(), "127.0.0.1 up".to_owned())] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the script did not run: {:?}", scripts.globals().list());
    }
}
