//! Verbs that the daemon answers.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use management::client::{self, Error};
use management::protocol::{Answer, Applied, Apply, Export, Manner, Printed, Request, Text};
use management::{Instance, Paths};

use crate::cli::routerctl::{Common, Taking, Verb};
use crate::ctl::{console, show, target};
use crate::daemon::detach;
use crate::files;

pub fn run(common: &Common, verb: Verb) -> anyhow::Result<ExitCode> {
    let (instance, paths) = target(common)?;
    let verb = match verb {
        Verb::RouterOs(words) => match console::import(&words.join(" ")) {
            Some(import) => Verb::Import(import?),
            None => Verb::RouterOs(words),
        },
        verb => verb,
    };
    let mut into = None;
    // The file and its text, for errors that point into it.
    let mut source: Option<(String, String)> = None;
    let request = match verb {
        Verb::Apply(apply) => {
            let text = files::read(&apply.file)?;
            let name = apply.file.display().to_string();
            source = Some((name.clone(), text.clone()));
            Request::Apply(Apply {
                file: Text { format: files::format(&apply.file), text },
                name,
                comment: apply.comment,
                confirm_seconds: apply.confirm,
                accept_gaps: apply.accept_gaps,
                manner: manner(&apply.taking),
            })
        }
        Verb::Import(import) => {
            let text = files::read(&import.file)?;
            let name = import.file.display().to_string();
            if import.verbose {
                show::print(&console::verbose(&text))?;
            }
            source = Some((name.clone(), text.clone()));
            Request::Apply(Apply {
                file: Text { format: files::format(&import.file), text },
                name,
                comment: None,
                confirm_seconds: None,
                accept_gaps: false,
                manner: Manner {
                    on_top: true,
                    dry_run: import.dry_run,
                    from_line: import.from_line,
                    ..manner(&import.taking)
                },
            })
        }
        Verb::Diff { file } => {
            let text = files::read(&file)?;
            source = Some((file.display().to_string(), text.clone()));
            Request::Diff(Text { format: files::format(&file), text })
        }
        Verb::Confirm => Request::Confirm,
        Verb::Export(export) => Request::Export(Export {
            format: export.format.into(),
            menu: export.menu,
            sensitive: export.show_sensitive,
            verbose: export.verbose,
        }),
        Verb::Print { menu, arguments } => {
            let menu = menu.trim_start_matches('/').replace('/', " ");
            command(format!("/{menu} print {}", arguments.join(" ")), &mut source)
        }
        Verb::RouterOs(words) => {
            let line = words.join(" ");
            let (line, file) = match console::redirected(&line) {
                Some((line, file)) => (line, Some(file)),
                None => (line, None),
            };
            into = file;
            command(line, &mut source)
        }
        Verb::Status => Request::Status,
        Verb::History(history) => match history.version {
            None => Request::History,
            Some(number) => Request::Version { number, compare: history.diff },
        },
        Verb::Rollback { version, confirm } => {
            Request::Rollback { number: version, confirm_seconds: confirm }
        }
        Verb::Reload => Request::Reload,
        Verb::Detach => return detach(&instance, &paths),
        other => bail!("not a request: {other:?}"),
    };
    let only_new = matches!(&request, Request::Command { line, .. } if line.contains("follow-only"));
    let mut before: Option<String> = None;
    let answer = loop {
        match client::call(&paths.socket(), &request, |_| true) {
            Ok(Answer::Printed(Printed { text, again_ms: Some(again), .. })) if only_new => {
                if let Some(before) = &before {
                    show::print(&show::new_lines(before, &text))?;
                }
                before = Some(text);
                std::thread::sleep(Duration::from_millis(again));
            }
            Ok(Answer::Printed(Printed { text, rows, again_ms: Some(again) })) => {
                show::home()?;
                show::answer(&Answer::Printed(Printed { text, rows, again_ms: None }), common.json)?;
                std::thread::sleep(Duration::from_millis(again));
            }
            answer => break answer,
        }
    };
    match answer {
        Ok(Answer::Text(text) | Answer::Printed(Printed { text, .. })) if into.is_some() => {
            into.map_or(Ok(()), |file| console::write(&file, &text))?;
            Ok(ExitCode::SUCCESS)
        }
        Ok(answer) => {
            show::answer(&answer, common.json)?;
            let Answer::Applied(Applied { stopped: Some(place), .. }) = &answer else {
                return Ok(ExitCode::SUCCESS);
            };
            let (name, text) = source.unwrap_or_default();
            eprint!("{}", files::explain(&name, &text, std::slice::from_ref(place)));
            eprintln!("routerctl: ended at line {}: what stands before it is in force", place.line);
            Ok(ExitCode::FAILURE)
        }
        Err(Error::Failed(failure)) if !common.json && !failure.errors.is_empty() => {
            let (name, text) = source.unwrap_or_default();
            eprint!("{}", files::explain(&name, &text, &failure.errors));
            if !text.is_empty() && name != COMMAND {
                eprintln!("routerctl: {}", failure.message);
            }
            Ok(ExitCode::FAILURE)
        }
        Err(error) => Err(error).with_context(|| format!("instance {instance}")),
    }
}

fn manner(taking: &Taking) -> Manner {
    Manner { strict: taking.strict, keep_going: taking.keep_going, ..Manner::default() }
}

const COMMAND: &str = "command";

/// The session of the shell that this was started from: a number of `print` holds for the command typed next.
fn session() -> Option<u32> {
    session_of(&std::fs::read_to_string("/proc/self/stat").ok()?)
}

/// Field 6 of /proc/[pid]/stat (proc(5)). The name of the program, in brackets, may hold blanks; 0 is a session that
/// began outside this process namespace.
fn session_of(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(3)?.parse().ok().filter(|id| *id > 0)
}

fn command(line: String, source: &mut Option<(String, String)>) -> Request {
    *source = Some((COMMAND.into(), line.clone()));
    Request::Command { line, width: show::width(), session: session() }
}

/// The daemon does it itself and ends; where none runs, it is done here.
fn detach(instance: &Instance, paths: &Paths) -> anyhow::Result<ExitCode> {
    match client::call(&paths.socket(), &Request::Detach, |_| true) {
        Ok(_) | Err(Error::NotRunning(_)) => {}
        Err(error) => return Err(error.into()),
    }
    detach::from_outside(instance, paths)?;
    show::print(&format!("instance {instance}: plain Linux again"))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::session_of;

    #[test]
    fn a_session_has_a_number_above_zero() {
        assert_eq!(session_of("7 (a b) c) S 1 7 5 34816 7"), Some(5));
        assert_eq!(session_of("7 (routerctl) S 1 7 0 0 -1"), None);
        assert_eq!(session_of("7"), None);
    }
}
