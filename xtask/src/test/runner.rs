//! Runs tests: one process each, a few at a time, each with a time limit.
//!
//! Runs as a process of its own (`xtask run-tests FILE`), as root, on this machine or in a virtual one; outcomes go to a
//! file line by line, so that those before a crash of the machine are kept.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use super::{
    program::Program,
    report::{Outcome, Verdict},
};

/// Longest time for one test; a virtual machine without hardware support is ten times slower.
const LIMIT: Duration = Duration::from_secs(240);

/// A run to be done by another process.
pub struct Job {
    pub file: PathBuf,
    results: PathBuf,
    prefix: String,
}

#[derive(Serialize, Deserialize)]
struct Plan {
    programs: Vec<Program>,
    filters: Vec<String>,
    /// Put before every name.
    prefix: String,
    results: PathBuf,
}

impl Job {
    pub fn prepare(programs: &[Program], filters: &[String], prefix: &str, folder: &Path) -> Result<Job> {
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let (file, results) = (folder.join("plan.json"), folder.join("results.jsonl"));
        if results.exists() {
            fs::remove_file(&results)?;
        }
        let plan = Plan {
            programs: programs.to_vec(),
            filters: filters.to_vec(),
            prefix: prefix.to_owned(),
            results: results.clone(),
        };
        fs::write(&file, serde_json::to_vec_pretty(&plan)?)?;
        Ok(Job { file, results, prefix: prefix.to_owned() })
    }

    /// The outcomes; a run that did not reach its end counts as one more failure, told as `ended`.
    pub fn outcomes(&self, ended: &str) -> Result<Vec<Outcome>> {
        let text = fs::read_to_string(&self.results).unwrap_or_default();
        let mut outcomes: Vec<Outcome> =
            text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if text.lines().last() != Some(END) {
            let name = format!("{}the run as a whole", self.prefix);
            outcomes.push(Outcome { name, verdict: Verdict::Failed(ended.to_owned()), milliseconds: 0 });
        }
        Ok(outcomes)
    }
}

/// Last line of a complete results file.
const END: &str = "\"end\"";

struct Test<'p> {
    program: &'p Program,
    name: String,
    ignored: bool,
}

/// The inner verb: runs a plan to its end. Failed tests are no failure of the runner.
pub fn run(file: &Path) -> Result<ExitCode> {
    let plan: Plan = serde_json::from_slice(&fs::read(file)?).context("read the plan")?;
    let results = Mutex::new(File::create(&plan.results)?);
    let mut tests = Vec::new();
    for program in &plan.programs {
        tests.extend(list(program)?);
    }
    tests.retain(|test| {
        let name = format!("{}::{}", test.program.name, test.name);
        plan.filters.is_empty() || plan.filters.iter().any(|filter| name.contains(filter.as_str()))
    });
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, |count| count.get());
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    while let Some(test) = tests.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = one(test, &plan.prefix)?;
                        let mut results = results.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        show(&outcome);
                        writeln!(results, "{}", serde_json::to_string(&outcome)?)?;
                    }
                    Ok(())
                })
            })
            .collect();
        for worker in workers {
            match worker.join() {
                Ok(result) => result?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        Ok::<(), anyhow::Error>(())
    })?;
    let mut results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    writeln!(results, "{END}")?;
    Ok(ExitCode::SUCCESS)
}

fn list(program: &Program) -> Result<Vec<Test<'_>>> {
    let names = |ignored: bool| -> Result<Vec<String>> {
        let mut command = Command::new(&program.file);
        command.args(["--list", "--format", "terse"]).current_dir(&program.folder);
        if ignored {
            command.arg("--ignored");
        }
        let text = crate::shell::output(&mut command)?;
        Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    };
    let ignored = names(true)?;
    let tests = names(false)?.into_iter();
    Ok(tests.map(|name| Test { program, ignored: ignored.contains(&name), name }).collect())
}

fn one(test: &Test, prefix: &str) -> Result<Outcome> {
    let name = format!("{prefix}{}::{}", test.program.name, test.name);
    let begin = Instant::now();
    // A file and not a pipe: a process that outlives its test would hold a pipe open.
    let file = std::env::temp_dir().join(format!(
        "routerd-test-{}-{:?}",
        std::process::id(),
        thread::current().id()
    ));
    let output = File::create(&file)?;
    let mut command = Command::new(&test.program.file);
    command.args(["--exact", &test.name, "--nocapture", "--test-threads", "1"]);
    command.current_dir(&test.program.folder).env("CARGO_MANIFEST_DIR", &test.program.folder);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command.spawn().with_context(|| format!("start {}", test.program.file.display()))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if begin.elapsed() > LIMIT {
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                kill_process_group(group, Signal::KILL)?;
            }
            child.wait()?;
            break None;
        }
        thread::sleep(Duration::from_millis(5));
    };
    let printed = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
    fs::remove_file(&file)?;
    let verdict = match status {
        None => Verdict::Failed(format!("not done after {} s; it printed:\n{printed}", LIMIT.as_secs())),
        Some(status) => verdict(status.success(), test.ignored, &printed),
    };
    Ok(Outcome { name, verdict, milliseconds: begin.elapsed().as_millis().try_into().unwrap_or(u64::MAX) })
}

fn verdict(success: bool, ignored: bool, printed: &str) -> Verdict {
    if ignored && success {
        // `test NAME ... ignored, REASON`
        let reason =
            printed.lines().find_map(|line| line.split_once(" ... ignored")).map(|(_, reason)| reason);
        let reason = reason.unwrap_or_default().trim_start_matches(", ").trim();
        return Verdict::Skipped(if reason.is_empty() { "ignored" } else { reason }.to_owned());
    }
    if success {
        return Verdict::Passed;
    }
    match printed.lines().find_map(|line| line.strip_prefix("skipped: ")) {
        Some(reason) => Verdict::Skipped(reason.to_owned()),
        None => Verdict::Failed(printed.to_owned()),
    }
}

fn show(outcome: &Outcome) {
    let (word, more) = match &outcome.verdict {
        Verdict::Passed => ("ok     ", String::new()),
        Verdict::Failed(_) => ("FAILED ", String::new()),
        Verdict::Skipped(reason) => ("skipped", format!(": {reason}")),
    };
    println!("{word} {:>7.2}s {}{more}", outcome.milliseconds as f64 / 1000.0, outcome.name);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_that_begins_with_skipped_is_a_skip() {
        let printed = "thread 'a' panicked at tests/a.rs:3:5:\nskipped: kernel has no tcx\nnote: run with";
        assert_eq!(verdict(false, false, printed), Verdict::Skipped("kernel has no tcx".into()));
        assert_eq!(verdict(false, false, "boom"), Verdict::Failed("boom".into()));
        assert_eq!(verdict(true, false, "skipped: but it passed"), Verdict::Passed);
    }

    #[test]
    fn an_ignored_test_keeps_its_reason() {
        let printed = "\nrunning 1 test\ntest a::b ... ignored, takes an hour\n\ntest result: ok.";
        assert_eq!(verdict(true, true, printed), Verdict::Skipped("takes an hour".into()));
    }

    #[test]
    fn a_run_that_breaks_off_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let job = Job::prepare(&[], &[], "[6.1] ", folder.path()).unwrap();
        let outcomes = job.outcomes("the machine died").unwrap();
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].verdict, Verdict::Failed("the machine died".into()));
        run(&job.file).unwrap();
        assert_eq!(job.outcomes("").unwrap(), []);
    }
}
