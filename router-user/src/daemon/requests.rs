//! Requests from the control socket.

use config::{ExportOptions, Numbers, Tree};
use management::protocol::{Answer, Applied, Apply, Export, Failure, Format, Manner, Printed, Request, Text};
use management::store::{Source, fingerprint};

use crate::daemon::live::Scope;
use crate::daemon::past::{self, WithPast};
use crate::daemon::router::{Change, Router, Trial};
use crate::daemon::scripts::With;
use crate::take::{Taken, take};
use crate::{difference, files};

/// Sessions whose numbers are remembered, the latest of them.
const SESSIONS: usize = 32;

impl Router {
    /// Everything but streams.
    pub async fn answer(&mut self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Status => Ok(Answer::Status(Box::new(self.status().await))),
            Request::Apply(apply) => self.apply(apply).await,
            Request::Confirm => self.confirm(),
            Request::Diff(text) => self.diff(&text).await,
            Request::Export(export) => self.export(&export),
            Request::Command { line, width, session } => self.command(&line, width, session).await,
            Request::History => Ok(Answer::History(self.store.history().map_err(failed)?)),
            Request::Version { number, compare } => self.version(number, compare),
            Request::Rollback { number, confirm_seconds } => {
                self.rollback(number, confirm_seconds).await.map(Answer::Applied)
            }
            Request::Reload => self.reload().await.map(Answer::Applied),
            Request::Detach | Request::Trace(_) => Err(Failure::new("not a request of this kind")),
        }
    }

    async fn apply(&mut self, apply: Apply) -> Result<Answer, Failure> {
        let Manner { on_top, dry_run, .. } = apply.manner;
        let base = if on_top { self.tree.clone() } else { Tree::new() };
        let Taken { tree, stopped } = take(&base, &apply.file, &apply.manner)?;
        if dry_run {
            return Ok(Answer::Text(match stopped {
                Some(place) => format!("would end at line {}: {}", place.line, place.message),
                None => "no errors".to_owned(),
            }));
        }
        let verb = if on_top { "import" } else { "apply" };
        let change = Change {
            tree,
            origin: format!("{verb} {}", apply.name),
            comment: apply.comment,
            source: None,
            trial: match apply.confirm_seconds {
                Some(seconds) => Trial::Begin(seconds),
                None if on_top => Trial::Keep,
                None => Trial::End,
            },
            gaps_accepted: apply.accept_gaps || (on_top && self.gaps_accepted()),
        };
        let applied = self.change(change).await.map_err(failed_change)?;
        Ok(Answer::Applied(Applied { stopped, kept: self.kept().len(), ..applied }))
    }

    fn confirm(&mut self) -> Result<Answer, Failure> {
        if self.store.current().is_none_or(|version| version.meta.pending.is_none()) {
            return Err(Failure::new("nothing waits for confirmation"));
        }
        let version = self.store.confirm().map_err(failed)?;
        tracing::info!("version {version} confirmed");
        Ok(Answer::Text(format!("version {version} stays")))
    }

    async fn diff(&mut self, text: &Text) -> Result<Answer, Failure> {
        let tree = read(text)?;
        let facts = self.kernel.facts(&self.setup.ports).await.map_err(failed)?;
        let desired = plan::compile(&tree, &facts).map_err(|errors| files::failure(&errors))?;
        let steps = self.kernel.diff(&desired).await.map_err(failed)?;
        let mut steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        steps.extend(difference::images(self.desired.as_ref().map(|d| &d.image), &desired.image));
        Ok(Answer::Steps(steps))
    }

    fn export(&self, export: &Export) -> Result<Answer, Failure> {
        let menu = export.menu.as_deref().map(menu_path);
        if let Some(menu) = &menu
            && !config::schema::menus().any(|m| m.path == *menu || m.path.starts_with(&format!("{menu}/")))
        {
            return Err(Failure::new(format!("no such menu /{menu}")));
        }
        Ok(Answer::Text(match export.format {
            Format::Yaml => config::to_yaml(&self.tree),
            Format::Rsc => config::export(
                &self.tree,
                &ExportOptions {
                    sensitive: export.sensitive,
                    verbose: export.verbose,
                    menu,
                    ..Default::default()
                },
            ),
        }))
    }

    async fn command(
        &mut self,
        line: &str,
        width: Option<usize>,
        session: Option<u32>,
    ) -> Result<Answer, Failure> {
        if let Some(word) = past::is_step(line) {
            return self.step(word).await.map(Answer::Text);
        }
        let mut tree = self.tree.clone();
        let mut live = self.look(Scope::of_line(line)).await.map_err(failed_change)?;
        live.width = width;
        let mut numbers = self.numbers_of(session);
        let live = WithPast(With(live, &self.setup.scripts), &self.store);
        let output = config::run_numbered(&mut tree, line, &live, &mut numbers);
        let output = output.map_err(|errors| files::failure(&errors))?;
        if let Some(session) = session {
            self.numbers.truncate(SESSIONS - 1);
            self.numbers.push_front((session, numbers));
        }
        if output.changed {
            let change = Change {
                tree,
                origin: line.trim().chars().take(200).collect(),
                comment: None,
                source: None,
                trial: Trial::Keep,
                gaps_accepted: self.gaps_accepted(),
            };
            let applied = self.change(change).await.map_err(failed_change)?;
            tracing::info!(version = applied.version, "command: {}", line.trim());
        }
        for act in &output.acts {
            self.act(act).await.map_err(failed_change)?;
        }
        Ok(match output.rows {
            Some(rows) => Answer::Printed(Printed { text: output.text, rows, again_ms: output.again_ms }),
            None => Answer::Text(output.text),
        })
    }

    /// What numbers mean in a session: takes them out of the list.
    fn numbers_of(&mut self, session: Option<u32>) -> Numbers {
        let place = self.numbers.iter().position(|(own, _)| Some(*own) == session);
        place.and_then(|place| self.numbers.remove(place)).map(|(_, numbers)| numbers).unwrap_or_default()
    }

    fn version(&self, number: u32, compare: bool) -> Result<Answer, Failure> {
        let version = self.store.version(number).map_err(failed)?;
        let tree = Router::read(Format::Rsc, &version.text).map_err(|errors| files::failure(&errors))?;
        let old = public(&tree);
        Ok(Answer::Text(if compare { difference::texts(&old, &public(&self.tree)) } else { old }))
    }

    async fn rollback(&mut self, number: u32, confirm: Option<u64>) -> Result<Applied, Failure> {
        let version = self.store.version(number).map_err(failed)?;
        let tree = Router::read(Format::Rsc, &version.text).map_err(|errors| files::failure(&errors))?;
        let change = Change {
            tree,
            origin: format!("rollback {number}"),
            comment: version.meta.comment,
            source: None,
            trial: confirm.map_or(Trial::End, Trial::Begin),
            gaps_accepted: version.meta.gaps_accepted,
        };
        self.change(change).await.map_err(failed_change)
    }

    /// Loads the file of `--config` again. That it was refused is to be seen in the status until it is taken.
    pub async fn reload(&mut self) -> Result<Applied, Failure> {
        let result = self.load().await;
        self.file_fault = result.as_ref().err().map(|failure| match failure.errors.first() {
            Some(first) => format!("the file was refused: line {}: {}", first.line, first.message),
            None => format!("the file was refused: {}", failure.message),
        });
        result
    }

    async fn load(&mut self) -> Result<Applied, Failure> {
        let Some(path) = self.setup.config.clone() else {
            return Err(Failure::new("routerd was started without --config: there is no file to load again"));
        };
        if self.store.current().is_some_and(|version| version.meta.pending.is_some()) {
            return Err(Failure::new("a configuration waits for confirmation: confirm or roll back first"));
        }
        let text = files::read(&path).map_err(failed_change)?;
        let hash = fingerprint(text.as_bytes());
        let tree = Router::read(files::format(&path), &text).map_err(|errors| files::failure(&errors))?;
        let change = Change {
            tree,
            origin: format!("reload {}", path.display()),
            comment: None,
            source: Some(Source { path, hash }),
            trial: Trial::End,
            gaps_accepted: self.gaps_accepted(),
        };
        self.change(change).await.map_err(failed_change)
    }

    pub fn gaps_accepted(&self) -> bool {
        self.store.current().is_some_and(|version| version.meta.gaps_accepted)
    }
}

fn read(file: &Text) -> Result<Tree, Failure> {
    Router::read(file.format, &file.text).map_err(|errors| files::failure(&errors))
}

fn public(tree: &Tree) -> String {
    config::export(tree, &ExportOptions::default())
}

/// `/ip address` and `ip/address` are `ip/address`.
fn menu_path(text: &str) -> String {
    let words: Vec<&str> = text.split(['/', ' ']).filter(|word| !word.is_empty()).collect();
    words.join("/")
}

pub fn failed(error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    failed_change(anyhow::Error::new(error))
}

/// Errors of a configuration keep their places.
pub fn failed_change(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<config::Errors>() {
        Some(errors) => files::failure(errors),
        None => Failure::new(format!("{error:#}")),
    }
}
