//! Runs tests: one process each, or one for many where they share something, a few at a time, each with a time limit.
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
const LIMIT: Duration = Duration::from_secs(400);

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
    let batches = batches(&tests, workers);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let tell = |outcome: Outcome| -> Result<()> {
                        let mut results = results.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
                        show(&outcome);
                        Ok(writeln!(results, "{}", serde_json::to_string(&outcome)?)?)
                    };
                    while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let mut left = *batch;
                        // What ends its process takes only itself along.
                        while let [_, ..] = left {
                            let done = process(left, &plan.prefix, &tell)?;
                            left = left.get(done..).unwrap_or_default();
                        }
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

/// What is run by one process each: the tests of a program that share something in as many parts as there are workers,
/// first, because they take longest.
fn batches<'t, 'p>(tests: &'t [Test<'p>], workers: usize) -> Vec<&'t [Test<'p>]> {
    let by_program = tests.chunk_by(|a, b| a.program.name == b.program.name);
    let (shared, single): (Vec<_>, Vec<_>) =
        by_program.partition(|tests| tests.first().is_some_and(|test| test.program.shares()));
    let parts = shared.into_iter().flat_map(|tests| tests.chunks(tests.len().div_ceil(workers).max(1)));
    parts.chain(single.into_iter().flat_map(|tests| tests.chunks(1))).collect()
}

/// Runs tests of one program in one process, and tells of each; gives how many have ended, at least one.
fn process(tests: &[Test], prefix: &str, tell: &dyn Fn(Outcome) -> Result<()>) -> Result<usize> {
    let Some(Test { program, .. }) = tests.first() else { return Ok(1) };
    let mut begin = Instant::now();
    // A file and not a pipe: a process that outlives its test would hold a pipe open.
    let file = std::env::temp_dir().join(format!(
        "routerd-test-{}-{:?}",
        std::process::id(),
        thread::current().id()
    ));
    let output = File::create(&file)?;
    let mut command = Command::new(&program.file);
    command.args(["--exact", "--nocapture", "--test-threads", "1"]);
    command.args(tests.iter().map(|test| &test.name));
    command.current_dir(&program.folder).env("CARGO_MANIFEST_DIR", &program.folder);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    let mut child = command.spawn().with_context(|| format!("start {}", program.file.display()))?;
    let mut done = 0;
    loop {
        let status = child.try_wait()?;
        let is_late = begin.elapsed() > LIMIT;
        let printed = String::from_utf8_lossy(&fs::read(&file)?).into_owned();
        let parts = parts(&printed, tests);
        // The last one has ended when the next one begins, or with the process.
        let is_last = status.is_some() || is_late;
        let ended = if is_last { parts.len().max(1) } else { parts.len().saturating_sub(1) };
        while done < ended
            && let Some(test) = tests.get(done)
        {
            let name = format!("{prefix}{}::{}", program.name, test.name);
            let part = parts.get(done).copied().unwrap_or(&printed);
            let verdict = if is_late && done + 1 == ended {
                Verdict::Failed(format!("not done after {} s; it printed:\n{part}", LIMIT.as_secs()))
            } else {
                let success = match tests {
                    [_] => status.is_some_and(|status| status.success()),
                    _ => has_passed(part, test),
                };
                verdict(success, test.ignored, part)
            };
            let milliseconds = begin.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
            begin = Instant::now();
            done += 1;
            tell(Outcome { name, verdict, milliseconds })?;
        }
        if status.is_none() && is_late {
            if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
                kill_process_group(group, Signal::KILL)?;
            }
            child.wait()?;
        }
        if is_last {
            fs::remove_file(&file)?;
            return Ok(done);
        }
        thread::sleep(Duration::from_millis(if tests.len() == 1 { 5 } else { 50 }));
    }
}

/// What each test has printed, from its name on, as far as they have begun.
fn parts<'o>(printed: &'o str, tests: &[Test]) -> Vec<&'o str> {
    let mut rest = printed;
    let mut parts = Vec::new();
    let start = |text: &str, test: &Test| text.find(&format!("\ntest {} ... ", test.name)).map(|at| at + 1);
    let mut begin = tests.first().and_then(|test| start(rest, test));
    for next in tests.iter().skip(1).map(Some).chain([None]) {
        let Some(text) = begin.and_then(|at| rest.get(at..)) else { break };
        let end = next.and_then(|test| start(text, test));
        parts.push(text.get(..end.unwrap_or(text.len())).unwrap_or(text));
        (rest, begin) = (text, end);
    }
    parts
}

/// Whether `test NAME ... ` is followed, at the latest at the end of what the test prints, by `ok` or by why it is ignored.
fn has_passed(part: &str, test: &Test) -> bool {
    let own =
        part.split("\ntest result: ").next().unwrap_or(part).split("\nfailures:").next().unwrap_or(part);
    test.ignored
        || own.trim_end().lines().last().is_some_and(|line| line == "ok" || line.ends_with(" ... ok"))
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
    fn what_tests_of_one_process_print_is_told_apart() {
        let program = Program { name: "a/b".into(), file: "b".into(), folder: "/".into() };
        let test = |name: &str, ignored| Test { program: &program, name: name.to_owned(), ignored };
        let tests =
            [test("a", false), test("ab", false), test("c", true), test("d", false), test("e", false)];
        let printed = "\nrunning 5 tests\ntest a ... ok\ntest ab ... said\nok\ntest c ... ignored, slow\n\
            test d ... \nthread 'd' panicked at d.rs:1:\nno ok\nFAILED\n";
        let parts = parts(printed, &tests);
        let passed: Vec<_> = parts.iter().zip(&tests).map(|(part, test)| has_passed(part, test)).collect();
        assert_eq!(passed, [true, true, true, false]);
        assert!(verdict(false, false, parts[3]) == Verdict::Failed(parts[3].to_owned()));
        assert_eq!(verdict(true, true, parts[2]), Verdict::Skipped("slow".into()));
    }

    #[test]
    fn what_shares_is_run_by_as_many_processes_as_there_are_workers() {
        let program = |name: &str| Program { name: name.into(), file: "b".into(), folder: "/".into() };
        let (plain, shared) = (program("a/b"), program("router-tests/packet"));
        let test = |program, name: &str| Test { program, name: name.to_owned(), ignored: false };
        let tests = [
            test(&plain, "x"),
            test(&plain, "y"),
            test(&shared, "a"),
            test(&shared, "b"),
            test(&shared, "c"),
        ];
        let sizes: Vec<usize> = batches(&tests, 2).iter().map(|batch| batch.len()).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
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
