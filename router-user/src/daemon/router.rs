//! The router: the configuration in force, and the three things that make it true.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, anyhow};
use config::{Act, Numbers, Tree};
use dataplane::{Dataplane, Pulse};
use kernel::Kernel;
use management::protocol::{Applied, Format};
use management::status::{Kept, RouteCache};
use management::store::{Commit, Pending, Source, Store};
use management::{Instance, Paths};
use plan::Desired;
use plan::desired::Gap;

use crate::daemon::firewall::keeper::Listed;
use crate::daemon::firewall::keeper::{self, Keeper};
use crate::daemon::firewall::lasting;
use crate::daemon::firewall::log::Links;
use crate::daemon::firewall::names::Names;
use crate::daemon::firewall::timed::{self, Timed};
use crate::daemon::gateways::Gateways;
use crate::daemon::live::{self, Firewall, Live, Scope};
use crate::daemon::resources::{Resources, Ticks};
use crate::daemon::scripts::{self, Scripts};
use crate::daemon::transaction;
use crate::files;

/// What the command line says.
pub struct Setup {
    pub instance: Instance,
    pub paths: Paths,
    /// The file of `--config`, absolute.
    pub config: Option<PathBuf>,
    /// RouterOS name -> host link.
    pub ports: BTreeMap<String, String>,
    pub accept_gaps: bool,
    pub scripts: Arc<Scripts>,
}

pub struct Router {
    pub setup: Setup,
    pub store: Store,
    pub kernel: Kernel,
    pub plane: Dataplane,
    pub pulse: Pulse,
    pub tree: Tree,
    /// What was made true last; None before the first time, when an earlier process may have left an image active.
    pub desired: Option<Desired>,
    /// Lines of the export that have no effect, once somebody has asked: see [`Router::kept`].
    pub kept: OnceLock<Vec<Kept>>,
    pub started: Instant,
    /// How the data plane was found at start.
    pub found: String,
    pub route_cache: RouteCache,
    /// Why the host is not as configured.
    pub fault: Option<String>,
    /// Why the file of `--config` was refused when it was loaded last.
    pub file_fault: Option<String>,
    /// When the processors' load was looked at last.
    pub ticks: Ticks,
    /// What numbers mean, by session of who types: the items that were printed last.
    pub numbers: VecDeque<(u32, Numbers)>,
    /// Names of ports, for what rules log.
    pub links: Links,
    pub keeper: Keeper,
    pub names: Names,
    pub gateways: Gateways,
    /// Address lists that have, or had, members outside the configuration.
    pub dynamic_lists: BTreeSet<u32>,
    pub timed: Timed,
    /// Members of lists that rules have made entries of the configuration.
    pub lasting: BTreeSet<Listed>,
}

/// A configuration to be made the current one.
pub struct Change {
    pub tree: Tree,
    pub origin: String,
    pub comment: Option<String>,
    /// None: that of the version before.
    pub source: Option<Source>,
    pub trial: Trial,
    pub gaps_accepted: bool,
}

/// What becomes of a trial that runs, and whether one begins.
pub enum Trial {
    /// A live command: belongs to the trial, if there is one.
    Keep,
    /// Ends a trial that runs.
    End,
    /// Begins one of so many seconds; a trial that runs already goes on returning to where it began.
    Begin(u64),
}

impl Router {
    /// The host at this moment, as listings and scripts see it.
    pub async fn look(&mut self, scope: Scope) -> anyhow::Result<Live> {
        let facts = self.kernel.facts(&self.setup.ports).await?;
        let view = self.kernel.view(scope.host).await?;
        let resources = Resources::read(&mut self.ticks, &self.setup.paths.state);
        let firewall = Firewall::look(self.plane.inspect(), scope.firewall, &self.tree, &self.timed)?;
        Ok(Live::new(facts, view, resources, firewall, self.desired.as_ref()))
    }

    /// Does what a command asks for beside the configuration.
    pub async fn act(&mut self, act: &Act) -> anyhow::Result<()> {
        let name = || format!("/{} {}", act.menu, act.verb);
        live::act(&mut self.plane, act).with_context(name)?;
        if act.verb == "remove" && timed::MENUS.contains(&act.menu.as_str()) {
            let v6 = act.menu == timed::MENUS[1];
            let removed = act.rows.iter().filter(|row| self.timed.remove(v6, row)).count();
            if removed > 0 {
                self.timed.save().with_context(name)?;
                self.reconcile().await.with_context(name)?;
            }
        }
        Ok(())
    }

    /// Ends the entries of lists whose time is over.
    pub async fn expire(&mut self) -> anyhow::Result<()> {
        if self.timed.expire() {
            self.timed.save()?;
            self.reconcile().await?;
        }
        Ok(())
    }

    /// Makes entries of the configuration of what rules have put into lists for good.
    pub async fn keep_listed(&mut self, members: Vec<Listed>) -> anyhow::Result<()> {
        let new = members.into_iter().filter(|member| !self.lasting.contains(member));
        let mut members: BTreeSet<Listed> = new.collect();
        let known = lasting::configured(&self.tree, &members);
        for (list, address) in &known.disabled {
            self.plane.remove_listed(*list, *address)?;
        }
        members.retain(|member| !known.enabled.contains(member) && !known.disabled.contains(member));
        self.lasting.extend(known.enabled);
        let lines = lasting::lines(&members, &live::list_names(&self.tree));
        if lines.is_empty() {
            return Ok(());
        }
        let tree = config::import(&self.tree, &lines).map_err(|errors| anyhow!("{errors}"))?.tree;
        let change = Change {
            tree,
            origin: format!("rules put {} addresses into lists", members.len()),
            comment: None,
            source: None,
            trial: Trial::Keep,
            gaps_accepted: self.gaps_accepted(),
        };
        self.change(change).await?;
        self.lasting.extend(members);
        Ok(())
    }

    /// Members go with the entries that were made of them.
    fn forget_listed(&mut self) -> anyhow::Result<()> {
        let known = lasting::configured(&self.tree, &self.lasting);
        for (list, address) in self.lasting.difference(&known.enabled) {
            self.plane.remove_listed(*list, *address)?;
        }
        self.lasting = known.enabled;
        Ok(())
    }

    /// Makes a configuration the current one, as a whole or not at all.
    pub async fn change(&mut self, mut change: Change) -> anyhow::Result<Applied> {
        let timed::Taken { members, entries } = timed::take(&mut change.tree)?;
        self.dynamic_lists.extend(members.iter().map(|member| member.list));
        let text = files::stored(&change.tree);
        let check = self.check(&change.tree, &text);
        let current = self.store.current().map(|version| version.meta.clone());
        let running = current.as_ref().and_then(|meta| meta.pending.clone());
        let pending = match change.trial {
            Trial::Keep => running,
            Trial::End => None,
            Trial::Begin(seconds) => {
                let now = current.as_ref().map_or(0, |meta| meta.version);
                Some(Pending::after_seconds(running.map_or(now, |p| p.revert_to), seconds))
            }
        };
        let confirm_seconds = pending.as_ref().map(|p| p.deadline.left_ms().div_ceil(1000));
        let commit = Commit {
            origin: change.origin,
            comment: change.comment,
            source: change.source.or_else(|| current.as_ref().and_then(|meta| meta.source.clone())),
            pending,
            gaps_accepted: change.gaps_accepted || self.setup.accept_gaps,
        };
        let same = current.as_ref().is_some_and(|meta| {
            meta.pending == commit.pending
                && meta.source == commit.source
                && commit.comment.is_none()
                && self.store.current().is_some_and(|version| version.text == text)
        });
        // What was stored is run again whatever it lacks: that was decided when it was stored.
        let stored = self.store.current().is_some_and(|version| version.text == text);
        let refuse_gaps = !commit.gaps_accepted && !stored;
        let commit = (!same).then_some((commit, text));
        let timed = (!entries.is_empty()).then(|| self.timed.add(entries));
        let (mut applied, kept) = match self.converge(&change.tree, commit, refuse_gaps, check).await {
            Ok(done) => done,
            Err(error) => {
                timed.into_iter().for_each(|before| self.timed.set(before));
                return Err(error);
            }
        };
        self.tree = change.tree;
        if timed.is_some() {
            self.timed.save()?;
        }
        self.forget_listed()?;
        self.setup.scripts.publish(&self.tree);
        self.kept = kept;
        applied.kept = match change.trial {
            // After a live command nobody asks.
            Trial::Keep => self.kept.get().map_or(0, Vec::len),
            Trial::End | Trial::Begin(_) => self.kept().len(),
        };
        applied.confirm_seconds = confirm_seconds;
        applied.warnings.extend(self.gap_warning());
        for member in members {
            self.plane
                .add_listed(member.list, member.address, Some(member.seconds))
                .with_context(|| format!("add {} to an address list", member.address))?;
        }
        Ok(applied)
    }

    /// Does what a script asks for.
    pub async fn script_task(&mut self, task: scripts::Task) {
        match task {
            scripts::Task::Commit(commit) => self.script_change(commit).await,
            scripts::Task::Step { word, reply } => {
                // A script that has ended needs no answer.
                let _ = reply.send(self.step(&word).await.map_err(|failure| failure.message));
            }
            scripts::Task::Act { act, reply } => {
                let _ = reply.send(self.act(&act).await.map_err(|error| format!("failure: {error:#}")));
            }
        }
    }

    /// Makes true what a command of a script changed.
    async fn script_change(&mut self, commit: scripts::Commit) {
        let result = if self.setup.scripts.is_current(commit.generation) {
            let gaps_accepted = self.gaps_accepted();
            let change = Change {
                tree: commit.tree,
                origin: commit.origin,
                comment: None,
                source: None,
                trial: Trial::Keep,
                gaps_accepted,
            };
            self.change(change).await.map(drop).map_err(|error| format!("failure: {error:#}"))
        } else {
            Err("failure: the configuration was changed by someone else at the same time".into())
        };
        // A script that has ended needs no answer.
        let _ = commit.reply.send(result);
    }

    /// Makes the current configuration true again; zero steps where it is.
    pub async fn reconcile(&mut self) -> anyhow::Result<Applied> {
        let tree = self.tree.clone();
        let (applied, ()) = self.converge(&tree, None, false, std::future::ready(Ok(()))).await?;
        Ok(applied)
    }

    /// Nothing is changed before `check` has given its answer.
    async fn converge<T>(
        &mut self,
        tree: &Tree,
        commit: Option<(Commit, String)>,
        refuse_gaps: bool,
        check: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<(Applied, T)> {
        let mut facts = self.kernel.facts(&self.setup.ports).await.context("read the host's links")?;
        facts.dynamic_lists = self.dynamic_lists.clone();
        facts.timed = self.timed.facts();
        facts.gateways_down = self.gateways.down();
        (facts.marks, facts.tables) = (self.plane.inspect().marks(), self.plane.inspect().tables());
        let desired = plan::compile(tree, &facts)?;
        if refuse_gaps && !desired.gaps.is_empty() {
            return Err(gap_errors(&desired.gaps).into());
        }
        let checked = check.await?;
        let generation = self.pulse.read().generation;
        let store = &mut self.store;
        let before = self.desired.as_ref().map(|desired| &desired.image);
        let result = transaction::run(&self.kernel, &mut self.plane, before, &desired, || {
            if let Some((commit, text)) = commit {
                store.commit(commit, text)?;
            }
            Ok(())
        })
        .await;
        let steps = result?;
        let new_image = self.pulse.read().generation != generation;
        let known = facts.addresses.iter().map(|a| (a.address, a.prefix_length, a.ifindex));
        let planned = desired.addresses.iter().map(|a| (a.address, a.prefix_length, a.ifindex));
        let mut locals = Vec::new();
        for (address, prefix_length, ifindex) in known.chain(planned) {
            locals.push((address, ifindex));
            locals.extend(plan::facts::group_address(address, prefix_length).map(|group| (group, ifindex)));
        }
        self.plane.set_locals(&locals).context("tell the data plane the host's addresses")?;
        self.keeper.masquerade_behind(keeper::reachable(&facts, &desired));
        let warnings = desired
            .inactive
            .iter()
            .map(|i| format!("inactive: {} {}: {}", i.menu, config_item(i.item), i.reason))
            .collect();
        self.desired = Some(desired);
        self.links.set(self.plane.ports());
        self.names.set(self.desired.as_ref());
        self.gateways.set(self.desired.as_ref());
        self.fault = None;
        for step in &steps {
            tracing::info!("{step}");
        }
        let version = self.store.current().map_or(0, |version| version.meta.version);
        Ok((Applied { version, steps, new_image, warnings, ..Applied::default() }, checked))
    }

    /// What would be stored must be loadable, or the next start could not. Where only some rules are others than before,
    /// they are what is looked at; else a thread reads all of it meanwhile. Gives the lines without effect, as far as known.
    fn check(
        &self,
        tree: &Tree,
        text: &str,
    ) -> impl Future<Output = anyhow::Result<OnceLock<Vec<Kept>>>> + use<> {
        const FEW: usize = 100;
        let menus: Vec<&str> = plan::firewall::MENUS.into_iter().chain(timed::MENUS).collect();
        let few = config::export_changed(tree, &self.tree, &menus, FEW, &files::stored_options());
        let is_right = few.is_some_and(|few| Router::reread(&few).is_ok());
        let text = text.to_owned();
        let reading = (!is_right).then(|| tokio::task::spawn_blocking(move || Router::reread(&text)));
        async move {
            match reading {
                Some(reading) => reading.await.context("read what would be stored")?.map(OnceLock::from),
                None => Ok(OnceLock::new()),
            }
        }
    }

    /// Lines of the export that have no effect.
    pub fn kept(&self) -> &[Kept] {
        self.kept.get_or_init(|| {
            let again = config::import(&Tree::new(), &files::stored(&self.tree));
            again.map(|again| again.notes.into_iter().map(files::kept).collect()).unwrap_or_default()
        })
    }

    /// Loads an export, which has to read just so again; gives the lines that have no effect.
    fn reread(text: &str) -> anyhow::Result<Vec<Kept>> {
        let again = config::import(&Tree::new(), text).map_err(|errors| {
            anyhow!("the configuration can't be stored: its own export is refused: {errors}")
        })?;
        if files::stored(&again.tree) != text {
            return Err(anyhow!("the configuration can't be stored: its export reads differently"));
        }
        Ok(again.notes.into_iter().map(files::kept).collect())
    }

    /// Loads a text as the whole configuration.
    pub fn read(format: Format, text: &str) -> Result<Tree, config::Errors> {
        let base = Tree::new();
        match format {
            Format::Rsc => config::import(&base, text),
            Format::Yaml => config::from_yaml(&base, text),
        }
        .map(|outcome| outcome.tree)
    }

    /// Firewall items that are not in force.
    pub fn gaps(&self) -> Vec<Kept> {
        let gaps = self.desired.iter().flat_map(|desired| &desired.gaps);
        gaps.map(|gap| Kept {
            line: gap.span.line,
            menu: gap.menu.clone(),
            reason: format!("{}: {}", config_item(gap.item), not_built(gap)),
        })
        .collect()
    }

    fn gap_warning(&self) -> Option<String> {
        let gaps = self.desired.as_ref().map_or(0, |desired| desired.gaps.len());
        (gaps > 0).then(|| {
            format!(
                "{gaps} items of the firewall are NOT in force: packets they would stop are forwarded \
                 (routerctl status lists them)"
            )
        })
    }
}

/// What a configuration is refused for, item by item.
fn gap_errors(gaps: &[Gap]) -> config::Errors {
    const HINT: &str = "it would not be in force; --accept-gaps if that is known";
    let error = |gap: &Gap| {
        let mut error = config::Error::new(gap.span, format!("{}: {}", gap.menu, not_built(gap))).hint(HINT);
        error.menu = Some(gap.menu.clone());
        error
    };
    config::Errors(gaps.iter().map(error).collect())
}

fn not_built(gap: &Gap) -> String {
    if gap.is_unknown { gap.what.clone() } else { format!("{} is not built yet", gap.what) }
}

/// `*1A`, as RouterOS prints it.
pub fn config_item(id: u32) -> String {
    format!("*{id:X}")
}
