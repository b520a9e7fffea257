//! Scripts at work: what they share, and the threads they run on, beside the loop.
//!
//! A script's commands change the configuration as live commands do: the loop makes each of them true, or the command
//! fails. What a script sees is the configuration in force.

mod files;
mod host;
mod looks;
mod rows;
mod schedule;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::script::{Globals, Limits, Rights, Script, Start, Variables};
use config::{Act, Errors, Tree};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::netwatch;

pub use looks::Look;
pub use rows::{With, local};
pub use schedule::{fire, run as schedule};

/// Scripts that run at the same time.
const MAX_JOBS: usize = 32;
/// Lines of the log that are kept.
const LOG_LINES: usize = 1000;
/// Deep recursion needs stack; of this only what is used is taken.
const STACK_BYTES: usize = 64 << 20;
const LIMITS: Limits = Limits { steps: 50_000_000, depth: 2000, memory: 64 << 20 };

/// A script's command that changed the configuration.
pub struct Commit {
    pub tree: Tree,
    /// The configuration that the command began with.
    pub generation: u64,
    pub origin: String,
    pub reply: oneshot::Sender<Result<(), String>>,
}

/// A line of `/log print`.
struct Line {
    time: Timestamp,
    topics: String,
    message: String,
}

/// How often something ran, and when last.
#[derive(Clone, Copy, Default)]
struct Runs {
    count: u64,
    last: Option<Timestamp>,
    next: Option<Timestamp>,
}

struct Running {
    script: String,
    started: Timestamp,
}

/// A script that is to run: what it is called, told and allowed.
#[derive(Default)]
pub struct Run {
    pub name: String,
    pub given: Variables,
    pub rights: Rights,
}

impl Run {
    /// Without variables, with every right.
    pub fn named(name: &str) -> Run {
        Run { name: name.to_owned(), ..Run::default() }
    }
}

/// What all scripts of the router share.
pub struct Scripts {
    tree: Mutex<(u64, Tree)>,
    globals: Globals,
    log: Mutex<VecDeque<Line>>,
    /// By name of a script.
    runs: Mutex<BTreeMap<String, Runs>>,
    /// By name of a scheduler's entry.
    scheduled: Mutex<BTreeMap<String, Runs>>,
    jobs: Mutex<BTreeMap<u32, Running>>,
    numbers: AtomicU32,
    commits: mpsc::Sender<Task>,
    looks: mpsc::Sender<Look>,
    place: Place,
    /// The hosts of `/tool netwatch`.
    pub watched: Mutex<netwatch::States>,
}

/// What scripts ask of the loop: commands to make true, and looks at the host.
pub struct Wishes {
    pub tasks: mpsc::Receiver<Task>,
    pub looks: mpsc::Receiver<Look>,
}

/// Where a router's scripts are.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The folder of the router's files.
    pub files: PathBuf,
    /// Links whose names are not those of their ports.
    pub ports: BTreeMap<String, String>,
}

/// What a script wants of the loop.
pub enum Task {
    Commit(Commit),
    /// `/undo` or `/redo`
    Step {
        word: String,
        reply: oneshot::Sender<Result<String, String>>,
    },
    /// What a command asks for beside the configuration.
    Act {
        act: Act,
        reply: oneshot::Sender<Result<(), String>>,
    },
}

/// A value is whole after every change, also after one that ended in a panic.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scripts {
    /// The second half gives what the loop has to do for them.
    pub fn new(place: Place) -> (Arc<Scripts>, Wishes) {
        let (commits, tasks) = mpsc::channel(1);
        let (looks, look_queue) = mpsc::channel(1);
        let scripts = Scripts {
            tree: Mutex::new((0, Tree::new())),
            globals: Globals::default(),
            log: Mutex::default(),
            runs: Mutex::default(),
            scheduled: Mutex::default(),
            jobs: Mutex::default(),
            numbers: AtomicU32::new(0),
            commits,
            looks,
            place,
            watched: Mutex::default(),
        };
        (Arc::new(scripts), Wishes { tasks, looks: look_queue })
    }

    /// The configuration in force is another.
    pub fn publish(&self, tree: &Tree) {
        let mut current = locked(&self.tree);
        current.0 += 1;
        current.1 = tree.clone();
    }

    /// Whether a configuration is still the one in force.
    pub fn is_current(&self, generation: u64) -> bool {
        locked(&self.tree).0 == generation
    }

    pub fn current(&self) -> (u64, Tree) {
        locked(&self.tree).clone()
    }

    pub fn log(&self, topics: &str, message: &str) {
        let mut log = locked(&self.log);
        if log.len() >= LOG_LINES {
            log.pop_front();
        }
        log.push_back(Line { time: Timestamp::now(), topics: topics.into(), message: message.into() });
    }

    #[cfg(test)]
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    fn ran(&self, script: &str) {
        let mut runs = locked(&self.runs);
        let runs = runs.entry(script.to_owned()).or_default();
        runs.count += 1;
        runs.last = Some(Timestamp::now());
    }

    /// Runs a script on a thread of its own; tells the text it put out, or why it failed, to whoever waits.
    pub fn start(
        self: &Arc<Self>,
        run: Run,
        script: Script,
        done: Option<oneshot::Sender<Result<String, Errors>>>,
    ) -> Result<u32, String> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        {
            let mut jobs = locked(&self.jobs);
            if jobs.len() >= MAX_JOBS {
                return Err("failure: too many scripts run already".into());
            }
            jobs.insert(number, Running { script: run.name.clone(), started: Timestamp::now() });
        }
        let scripts = Arc::clone(self);
        let work = move || {
            let Run { name, given, rights } = run;
            let host = host::World::new(Arc::clone(&scripts), &name, rights);
            let start = Start { limits: LIMITS, given, rights };
            let mut tree = scripts.current().1;
            let rows = With(looks::Looks::new(&scripts.looks), &scripts);
            let result = script.run(&mut tree, &rows, Box::new(host), &scripts.globals, start);
            locked(&scripts.jobs).remove(&number);
            if let Err(errors) = &result {
                let line = format!("script error in {name}: {}", first(errors));
                tracing::warn!(target: "script", "{line}");
                scripts.log("script,error", &line);
            }
            if let Some(done) = done {
                // Whoever asked may have gone.
                let _ = done.send(result.map(|output| output.text));
            }
        };
        let thread = std::thread::Builder::new().name("script".into()).stack_size(STACK_BYTES).spawn(work);
        match thread {
            Ok(_) => Ok(number),
            Err(error) => {
                locked(&self.jobs).remove(&number);
                Err(format!("failure: can not start a thread: {error}"))
            }
        }
    }

    /// Runs a script that somebody waits for.
    pub async fn finish(self: &Arc<Self>, name: &str, script: Script) -> Result<String, Errors> {
        let (done, result) = oneshot::channel();
        let no_place = |message: String| Errors::from(config::Error::new(config::Span::default(), message));
        self.start(Run::named(name), script, Some(done)).map_err(no_place)?;
        result.await.unwrap_or_else(|_| Err(no_place("script was ended".into())))
    }
}

fn first(errors: &Errors) -> String {
    errors.0.first().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests;
