//! From nothing to a running router: which configuration is in force, and the first time it is made true.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use anyhow::{Context, bail};
use config::Tree;
use dataplane::Dataplane;
use kernel::Kernel;
use management::protocol::Format;
use management::status::RouteCache;
use management::store::{Source, Store, Version, fingerprint};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::daemon::firewall::keeper::{Keeper, Listed};
use crate::daemon::firewall::lasting;
use crate::daemon::firewall::log::Links;
use crate::daemon::firewall::names::Names;
use crate::daemon::firewall::timed::Timed;
use crate::daemon::gateways::Gateways;
use crate::daemon::resources::{self, Ticks};
use crate::daemon::router::{Change, Router, Setup, Trial};
use crate::daemon::status;
use crate::files;

/// The configuration to begin with.
struct First {
    change: Change,
    /// It is what the router ran before: not being able to apply all of it is no reason not to start.
    known: bool,
    fault: Option<String>,
}

/// With what rules put into lists for good, as it comes.
pub async fn router(
    setup: Setup,
    options: dataplane::Options,
) -> anyhow::Result<(Router, UnboundedReceiver<Vec<Listed>>)> {
    let store = Store::open(&setup.paths.state)?;
    let first = first(&setup, &store)?;
    let mut kernel = Kernel::open().await.context("open rtnetlink")?;
    kernel.keep_originals(setup.paths.originals())?;
    let (plane, report) = Dataplane::open(options).context("load the data plane")?;
    let found = status::found(&report);
    tracing::info!("data plane: {found}");
    let sweeper = plane.sweeper().context("open the flow tables")?;
    let (lasting, listed_for_good) = mpsc::unbounded_channel();
    let keeper = Keeper::start(sweeper, lasting)?;
    let names = Names::start(plane.named().context("open the address lists")?, Arc::clone(&setup.scripts));
    let members = plane.inspect().members().context("read the address lists")?;
    let dynamic_lists = members.iter().map(|member| member.list).collect();
    let members_for_good = members.iter().filter(|member| member.lasting);
    let members_for_good = members_for_good.map(|member| (member.list, member.address)).collect();
    let pulse = plane.pulse();
    pulse.set_time(resources::second_of_week());
    pulse.heartbeat();
    pulse.end_trace();
    let timed = Timed::open(setup.paths.timed());
    let mut router = Router {
        setup,
        store,
        kernel,
        plane,
        pulse,
        tree: Tree::new(),
        desired: None,
        kept: OnceLock::new(),
        started: Instant::now(),
        found,
        route_cache: RouteCache { on: false, reason: "not looked at yet".into() },
        fault: None,
        file_fault: first.fault,
        ticks: Ticks::default(),
        numbers: VecDeque::new(),
        links: Links::default(),
        keeper,
        names,
        gateways: Gateways::start(),
        dynamic_lists,
        timed,
        lasting: BTreeSet::new(),
    };
    let tree = first.change.tree.clone();
    match router.change(first.change).await {
        Ok(applied) => {
            tracing::info!(
                version = applied.version,
                steps = applied.steps.len(),
                kept = applied.kept,
                "configuration in force"
            );
            for warning in &applied.warnings {
                tracing::warn!("{warning}");
            }
        }
        Err(error) if first.known => {
            router.fault = Some(format!("{error:#}"));
            router.tree = tree;
            tracing::error!("the configuration is not in force: {error:#}; trying again");
        }
        Err(error) => {
            if report.adopted.is_none()
                && let Err(left) = router.plane.detach()
            {
                tracing::warn!("remove the data plane again: {left}");
            }
            return Err(error);
        }
    }
    // Entries that rules have made go with their members, whichever process wrote them.
    router.lasting = lasting::configured(&router.tree, &members_for_good).enabled;
    for foreign in router.foreign() {
        tracing::warn!("not ours: {foreign}");
    }
    Ok((router, listed_for_good))
}

/// The persistent configuration, unless there is none or the file has changed since it was loaded last. A trial is
/// never overtaken by the file.
fn first(setup: &Setup, store: &Store) -> anyhow::Result<First> {
    let file = setup.config.as_deref().map(load);
    let meta = store.current().map(|version| &version.meta);
    let on_trial = meta.is_some_and(|meta| meta.pending.is_some());
    let changed = |source: &Source| meta.is_none_or(|meta| meta.source.as_ref() != Some(source));
    match (stored(store), file) {
        (Ok(None), None) => Ok(plain(Tree::new(), "first start")),
        (Ok(None), Some(file)) => file.map(|(tree, source)| First { known: false, ..loaded(tree, source) }),
        (Ok(Some(_)) | Err(_), Some(Ok((tree, source)))) if changed(&source) && !on_trial => {
            tracing::info!("{} has changed since it was loaded last", source.path.display());
            Ok(loaded(tree, source))
        }
        (Ok(Some(stored)), Some(Err(error))) => {
            tracing::error!("{error:#}; the router goes on with what it ran before");
            Ok(First { fault: Some(format!("{error:#}")), ..stored })
        }
        (Ok(Some(stored)), _) => Ok(stored),
        (Err(error), _) => Err(error),
    }
}

fn plain(tree: Tree, origin: &str) -> First {
    let change = Change {
        tree,
        origin: origin.into(),
        comment: None,
        source: None,
        trial: Trial::Keep,
        gaps_accepted: false,
    };
    First { change, known: true, fault: None }
}

fn loaded(tree: Tree, source: Source) -> First {
    let mut first = plain(tree, &format!("load {}", source.path.display()));
    first.change.source = Some(source);
    first
}

fn again(tree: Tree, version: &Version) -> First {
    let mut first = plain(tree, &version.meta.origin);
    first.change.gaps_accepted = version.meta.gaps_accepted;
    first
}

/// What is stored, or the version before where it is damaged, or the one to return to where a trial is over.
fn stored(store: &Store) -> anyhow::Result<Option<First>> {
    let Some(current) = store.current() else { return Ok(None) };
    if let Some(pending) = &current.meta.pending
        && pending.deadline.left_ms() == 0
    {
        let change = unconfirmed(store, pending.revert_to)?;
        return Ok(Some(First { change, known: true, fault: None }));
    }
    match Router::read(Format::Rsc, &current.text) {
        Ok(tree) => Ok(Some(again(tree, current))),
        Err(errors) => {
            tracing::error!("the persistent configuration is damaged: {errors}");
            let Some(previous) = store.previous()? else { bail!("no version before it to return to") };
            let tree = Router::read(Format::Rsc, &previous.text).context("the version before it, too")?;
            Ok(Some(again(tree, &previous)))
        }
    }
}

/// The configuration that an unconfirmed one gives way to.
pub fn unconfirmed(store: &Store, number: u32) -> anyhow::Result<Change> {
    tracing::warn!("the configuration was not confirmed in time: back to version {number}");
    let (tree, gaps_accepted) = match number {
        0 => (Tree::new(), false),
        _ => {
            let version = store.version(number)?;
            (Router::read(Format::Rsc, &version.text)?, version.meta.gaps_accepted)
        }
    };
    Ok(Change {
        tree,
        origin: format!("back to version {number}: not confirmed"),
        comment: None,
        source: None,
        trial: Trial::End,
        gaps_accepted,
    })
}

fn load(path: &Path) -> anyhow::Result<(Tree, Source)> {
    let text = files::read(path)?;
    match Router::read(files::format(path), &text) {
        Ok(tree) => Ok((tree, Source { path: path.into(), hash: fingerprint(text.as_bytes()) })),
        Err(errors) => {
            let failure = files::failure(&errors);
            let name = path.display().to_string();
            eprint!("{}", files::explain(&name, &text, &failure.errors));
            bail!("{name}: {}", failure.message);
        }
    }
}
