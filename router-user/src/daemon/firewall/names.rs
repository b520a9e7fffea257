//! Domain names in address lists: resolved, and kept fresh.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dataplane::Named;
use plan::Desired;
use plan::desired::ListedName;
use tokio::sync::watch;

use crate::daemon::resolve;
use crate::daemon::scripts::Scripts;

/// How long an answer is believed, whatever it says.
const LIFE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(24 * 3600));
/// Until the next attempt for a name that could not be resolved.
const AGAIN: Duration = Duration::from_secs(30);
/// Names that are resolved at the same time.
const AT_ONCE: usize = 8;

type Wanted = watch::Receiver<Option<Vec<ListedName>>>;
/// Id of a list, and an address in it.
type Member = (u32, IpAddr);
type Answer = Result<(Vec<IpAddr>, Duration), String>;

/// A handle on the task, which ends with it.
pub struct Names(watch::Sender<Option<Vec<ListedName>>>);

impl Names {
    pub fn start(named: Named, scripts: Arc<Scripts>) -> Names {
        let (wanted, changes) = watch::channel(None);
        tokio::spawn(run(named, changes, scripts));
        Names(wanted)
    }

    /// These are to be resolved from now on.
    pub fn set(&self, desired: Option<&Desired>) {
        let names = desired.map(|desired| desired.names.as_slice()).unwrap_or_default();
        self.0.send_if_modified(|wanted| {
            let differs = wanted.as_deref() != Some(names);
            if differs {
                *wanted = Some(names.to_vec());
            }
            differs
        });
    }
}

/// What is known of a name.
#[derive(Default)]
struct State {
    addresses: BTreeSet<IpAddr>,
    /// None: is being resolved.
    due: Option<Instant>,
    failing: bool,
    /// Was resolved since the start.
    known: bool,
}

/// All names, and what has to be members for them.
#[derive(Default)]
struct Book(BTreeMap<ListedName, State>);

impl Book {
    fn want(&mut self, names: &[ListedName], now: Instant) {
        self.0.retain(|name, _| names.contains(name));
        for name in names {
            self.0.entry(name.clone()).or_insert_with(|| State { due: Some(now), ..State::default() });
        }
    }

    /// Names to be resolved now, as many as may be at the same time.
    fn begin(&mut self, now: Instant) -> Vec<ListedName> {
        let at_work = self.0.values().filter(|state| state.due.is_none()).count();
        let due = self.0.iter_mut().filter(|(_, state)| state.due.is_some_and(|due| due <= now));
        let begun = due.take(AT_ONCE.saturating_sub(at_work)).map(|(name, state)| {
            state.due = None;
            name.clone()
        });
        begun.collect()
    }

    /// Takes an answer; the text is to be logged. What fails keeps the addresses that it had.
    fn answered(&mut self, name: &ListedName, answer: Answer, now: Instant) -> Option<String> {
        let state = self.0.get_mut(name)?;
        match answer {
            Ok((addresses, life)) => {
                state.addresses = addresses.into_iter().collect();
                state.due = Some(now + life.clamp(LIFE.0, LIFE.1));
                state.known = true;
                let again = std::mem::take(&mut state.failing);
                again.then(|| format!("{} of an address list is resolved again", name.name))
            }
            Err(reason) => {
                state.due = Some(now + AGAIN);
                let begins = !std::mem::replace(&mut state.failing, true);
                begins.then(|| format!("{} of an address list can't be resolved: {reason}", name.name))
            }
        }
    }

    fn members(&self) -> BTreeSet<Member> {
        let all = self.0.iter();
        all.flat_map(|(name, state)| state.addresses.iter().map(|address| (name.list, *address))).collect()
    }

    /// Lists with a name of which nothing is known yet: members from an earlier process stay.
    fn unknown(&self) -> BTreeSet<u32> {
        self.0.iter().filter(|(_, state)| !state.known).map(|(name, _)| name.list).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().filter_map(|state| state.due).min()
    }
}

/// What is a member and should not be, and the other way round.
fn changes(there: &BTreeSet<Member>, book: &Book) -> (Vec<Member>, Vec<Member>) {
    let (wanted, unknown) = (book.members(), book.unknown());
    let add = wanted.difference(there).copied().collect();
    let remove = there.difference(&wanted).filter(|(list, _)| !unknown.contains(list)).copied().collect();
    (add, remove)
}

async fn run(mut named: Named, mut wanted: Wanted, scripts: Arc<Scripts>) {
    let mut book = Book::default();
    let mut there: BTreeSet<Member> = match named.all() {
        Ok(all) => all.into_iter().collect(),
        Err(error) => {
            tracing::warn!("read the address lists: {error}");
            BTreeSet::new()
        }
    };
    // The configuration comes first, so that nothing goes that it wants.
    if wanted.changed().await.is_err() {
        return;
    }
    let (answers, mut answered) = tokio::sync::mpsc::channel(AT_ONCE);
    loop {
        book.want(wanted.borrow_and_update().as_deref().unwrap_or_default(), Instant::now());
        for name in book.begin(Instant::now()) {
            let answers = answers.clone();
            tokio::task::spawn_blocking(move || {
                let answer = resolve::all(&name.name, name.v6);
                // The router may have ended.
                let _ = answers.blocking_send((name, answer));
            });
        }
        let (add, remove) = changes(&there, &book);
        for (list, address) in add {
            match named.add(list, address) {
                Ok(()) => drop(there.insert((list, address))),
                Err(error) => tracing::warn!("add {address} to an address list: {error}"),
            }
        }
        for (list, address) in remove {
            match named.remove(list, address) {
                Ok(()) => drop(there.remove(&(list, address))),
                Err(error) => tracing::warn!("take {address} out of an address list: {error}"),
            }
        }
        let wait = book.next().map_or(LIFE.1, |due| due.saturating_duration_since(Instant::now()));
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() {
                return;
            },
            Some((name, answer)) = answered.recv() => {
                if let Some(text) = book.answered(&name, answer, Instant::now()) {
                    tracing::warn!(target: "firewall", "{text}");
                    scripts.log("dns,warning", &text);
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(list: u32, text: &str) -> ListedName {
        ListedName { list, v6: false, name: text.into() }
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn ok(last: &[u8], seconds: u64) -> Answer {
        Ok((last.iter().map(|last| address(*last)).collect(), Duration::from_secs(seconds)))
    }

    #[test]
    fn names_are_resolved_again_when_their_life_is_over() {
        let (mut book, start) = (Book::default(), Instant::now());
        let a = name(1, "a.example");
        book.want(std::slice::from_ref(&a), start);
        assert_eq!(book.begin(start), std::slice::from_ref(&a));
        assert!(book.begin(start).is_empty(), "at work");
        assert_eq!(book.answered(&a, ok(&[1, 2], 60), start), None);
        assert_eq!(book.members(), BTreeSet::from([(1, address(1)), (1, address(2))]));
        assert!(book.begin(start + Duration::from_secs(59)).is_empty());
        assert_eq!(book.begin(start + Duration::from_secs(60)), std::slice::from_ref(&a));
        assert_eq!(book.answered(&a, ok(&[2], 0), start), None);
        assert_eq!(book.members(), BTreeSet::from([(1, address(2))]));
        assert_eq!(book.next(), Some(start + LIFE.0), "an answer of no life is not asked for without end");
    }

    #[test]
    fn what_fails_keeps_its_addresses_and_is_told_of_once() {
        let (mut book, now) = (Book::default(), Instant::now());
        let a = name(1, "a.example");
        book.want(std::slice::from_ref(&a), now);
        book.answered(&a, ok(&[1], 60), now);
        assert!(book.answered(&a, Err("timeout".into()), now).unwrap().contains("timeout"));
        assert_eq!(book.answered(&a, Err("timeout".into()), now), None);
        assert_eq!(book.members(), BTreeSet::from([(1, address(1))]));
        assert!(book.answered(&a, ok(&[1], 60), now).unwrap().contains("again"));
    }

    #[test]
    fn members_of_an_earlier_process_stay_until_their_list_is_known() {
        let (mut book, now) = (Book::default(), Instant::now());
        let (a, b) = (name(1, "a.example"), name(1, "b.example"));
        book.want(&[a.clone(), b.clone()], now);
        let there = BTreeSet::from([(1, address(1)), (1, address(9)), (2, address(3))]);
        assert_eq!(changes(&there, &book), (vec![], vec![(2, address(3))]));
        book.answered(&a, ok(&[1], 60), now);
        assert_eq!(changes(&there, &book), (vec![], vec![(2, address(3))]), "b is not known yet");
        book.answered(&b, ok(&[1, 4], 60), now);
        assert_eq!(changes(&there, &book), (vec![(1, address(4))], vec![(1, address(9)), (2, address(3))]));
        // Two names with one address: it stays with the other.
        book.want(std::slice::from_ref(&b), now);
        assert!(book.members().contains(&(1, address(1))));
        book.want(&[], now);
        assert!(book.members().is_empty());
    }
}
