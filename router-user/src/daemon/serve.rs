//! The loop: signals, requests, changes of the host, timers, one after the other.

use std::future::pending;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use config::script::Script;
use dataplane::Mode;
use kernel::Change as Seen;
use management::protocol::{Answer, Failure, Request};
use management::status::RouteCache;
use management::{Instance, Paths, server};
use sd_notify::NotifyState;
use serde_json::Value;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::cli::routerd::Run;
use crate::daemon::begin;
use crate::daemon::changes::{self, Changes};
use crate::daemon::detach;
use crate::daemon::firewall::keeper::Listed;
use crate::daemon::firewall::log;
use crate::daemon::fragments;
use crate::daemon::live::Live;
use crate::daemon::netwatch;
use crate::daemon::past;
use crate::daemon::resources;
use crate::daemon::router::{Router, Setup};
use crate::daemon::scripts::{self, Scripts};
use crate::daemon::signals::{Event, Signals};
use crate::{files, trace};

/// Changes of the host that come together are planned together.
const GATHER: Duration = Duration::from_millis(3);
/// A query of rules and routes for the cache reads all of them, so not at each of many route changes.
const CACHE_QUERY: Duration = Duration::from_millis(500);
/// Before the second attempt to make true what failed.
const SOON: Duration = Duration::from_millis(50);
/// Between two later attempts.
const RETRY: Duration = Duration::from_secs(5);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Neighbours in use are probed before the kernel takes them for stale (base_reachable_time is 30 s).
const KEEP_ALIVE_SECONDS: u32 = 15;

struct Job {
    request: Request,
    reply: oneshot::Sender<Result<Answer, Failure>>,
}

/// Passes requests on to the loop; streams run beside it.
struct Desk {
    jobs: mpsc::Sender<Job>,
    pins: PathBuf,
    scripts: Arc<Scripts>,
}

impl server::Handler for Desk {
    async fn handle(&self, request: Request, events: mpsc::Sender<Value>) -> Result<Answer, Failure> {
        if let Request::Trace(filter) = request {
            let traced = trace::stream(&self.pins, &filter, events).await;
            return traced.map(|()| Answer::Nothing).map_err(|error| Failure::new(format!("{error:#}")));
        }
        if let Request::Command { line, .. } = &request
            && past::is_step(line).is_none()
            && let Ok(script) = Script::parse(line)
            && script.needs_world()
        {
            let text = self.scripts.finish("console", script).await;
            return text.map(Answer::Text).map_err(|errors| files::failure(&errors));
        }
        let ends = || Failure::new("routerd is about to end");
        let (reply, answer) = oneshot::channel();
        self.jobs.send(Job { request, reply }).await.map_err(|_| ends())?;
        answer.await.map_err(|_| ends())?
    }
}

/// Why the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Detach,
}

/// Runs the router until it is told to stop.
pub async fn run(run: &Run, instance: Instance, paths: Paths) -> anyhow::Result<()> {
    let mut signals = Signals::open().context("receive signals")?;
    let listener = server::bind(&paths.socket())?;
    let socket = paths.socket();
    let options = dataplane_options(run, &instance, &paths)?;
    let config =
        run.config.as_deref().map(std::path::absolute).transpose().context("find the working directory")?;
    let ports = run.ports.iter().cloned().collect();
    let place =
        scripts::Place { files: paths.state.join("files"), ports: run.ports.iter().cloned().collect() };
    let (scripts, wishes) = Scripts::new(place);
    let setup = Setup { instance, paths, config, ports, accept_gaps: run.accept_gaps, scripts };
    let (router, listed) = begin::router(setup, options).await?;
    let end = Loop::new(router, listed).run(&mut signals, listener, wishes).await;
    // The socket is ours as long as the lock is held.
    if let Err(error) = std::fs::remove_file(&socket) {
        tracing::warn!("remove {}: {error}", socket.display());
    }
    let (router, end) = end?;
    if end == End::Detach || run.detach_on_exit {
        detach::router(router.kernel, router.plane).await?;
    } else {
        tracing::info!("ended; traffic flows on");
    }
    Ok(())
}

fn dataplane_options(run: &Run, instance: &Instance, paths: &Paths) -> anyhow::Result<dataplane::Options> {
    let mut options = dataplane::Options {
        instance: instance.name().to_owned(),
        bpffs: paths.pins.clone(),
        ..dataplane::Options::default()
    };
    for (port, mode) in &run.port_modes {
        let mode = match mode.as_str() {
            "auto" => Mode::Auto,
            "xdp" => Mode::Xdp,
            "tc" => Mode::Tc,
            "generic" => Mode::Generic,
            _ => bail!("--port-mode {port}={mode}: auto, xdp, tc or generic is wanted"),
        };
        match port.as_str() {
            "all" => options.default_mode = mode,
            _ => drop(options.port_modes.insert(port.clone(), mode)),
        }
    }
    Ok(options)
}

struct Loop {
    router: Router,
    /// When the configuration is to be made true again.
    reconcile_at: Option<Instant>,
    cache_query_at: Option<Instant>,
    /// The last attempt failed.
    again: bool,
    /// What rules have put into lists for good, told every second.
    listed: mpsc::UnboundedReceiver<Vec<Listed>>,
    /// Why it could not be written into the configuration.
    unwritten: Option<String>,
}

impl Loop {
    fn new(router: Router, listed: mpsc::UnboundedReceiver<Vec<Listed>>) -> Loop {
        Loop { router, reconcile_at: None, cache_query_at: None, again: false, listed, unwritten: None }
    }

    async fn run(
        mut self,
        signals: &mut Signals,
        listener: UnixListener,
        mut wishes: scripts::Wishes,
    ) -> anyhow::Result<(Router, End)> {
        let changes = self.router.gateways.changes.clone();
        let (failed, mut unreachable) = mpsc::channel(256);
        let _watch = self.watch(&changes, failed)?;
        let (jobs, mut queue) = mpsc::channel(16);
        let pins = self.router.setup.paths.pins.clone();
        tokio::spawn(server::serve(listener, Arc::new(Desk { jobs, pins, scripts: self.scripts() })));
        tokio::spawn(scripts::schedule(self.scripts()));
        tokio::spawn(netwatch::run(self.scripts()));
        tokio::spawn(fragments::run(self.router.plane.fragments()?));
        self.beat();
        self.follow_rules();
        self.query_cache().await;
        // What changed between the first plan and the watch is seen now.
        self.reconcile().await;
        self.ready(&[NotifyState::Ready]);

        let mut keep_alive = interval(Duration::from_secs(u64::from(KEEP_ALIVE_SECONDS)));
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                event = signals.next() => match event.context("receive signals")? {
                    Event::Reload => self.reload().await,
                    Event::Stop => return Ok(self.end(End::Stop)),
                },
                Some((ifindex, address)) = unreachable.recv() => self.unreachable(ifindex, address),
                bits = changes.next() => self.changed(bits).await,
                () = due(self.reconcile_at) => self.reconcile().await,
                () = due(self.cache_query_at) => self.query_cache().await,
                () = trial_over(&self.router) => self.give_way().await,
                () = due(self.router.timed.next()) => self.expire().await,
                Some(listed) = self.listed.recv() => self.keep_listed(listed).await,
                Some(job) = queue.recv() => {
                    if job.request == Request::Detach {
                        // A client that has gone needs no answer.
                        let _ = job.reply.send(Ok(Answer::Text("detaching".into())));
                        return Ok(self.end(End::Detach));
                    }
                    let answer = self.router.answer(job.request).await;
                    let _ = job.reply.send(answer);
                    self.tell_status();
                }
                Some(look) = wishes.looks.recv() => self.look(look).await,
                Some(task) = wishes.tasks.recv() => {
                    self.router.script_task(task).await;
                    self.tell_status();
                }
                _ = keep_alive.tick() => self.keep_alive().await,
            }
        }
    }

    fn scripts(&self) -> Arc<Scripts> {
        Arc::clone(&self.router.setup.scripts)
    }

    /// The watch thread acts on the data plane itself, within a millisecond; planning follows here.
    fn watch(&self, changes: &Changes, failed: mpsc::Sender<(u32, IpAddr)>) -> anyhow::Result<kernel::Watch> {
        let (pulse, changes) = (self.router.pulse.clone(), changes.clone());
        kernel::watch(move |seen| {
            if matches!(seen, Seen::Rules | Seen::Resync) {
                pulse.set_cache_routes(false);
            }
            pulse.bump_route_epoch();
            changes.report(match seen {
                Seen::Links | Seen::Addresses => changes::PLAN,
                Seen::Rules => changes::RULES,
                Seen::Routes => changes::ROUTES,
                Seen::Neighbor { ifindex, address, failed: true, .. } => {
                    // Where more fail at once than are taken, the rest stays with the kernel, which answers itself.
                    let _ = failed.try_send((ifindex, address));
                    return;
                }
                Seen::Neighbor { .. } => return,
                Seen::Resync => changes::PLAN | changes::RULES,
            });
        })
        .context("watch the host")
    }

    /// A script looks at the host; where that fails, it sees the configuration alone.
    async fn look(&mut self, look: scripts::Look) {
        let live = self.router.look(look.scope).await.unwrap_or_else(|error| {
            tracing::warn!("look at the host: {error}");
            Live::default()
        });
        // The script may have been ended.
        let _ = look.reply.send(Arc::new(live));
    }

    fn unreachable(&mut self, ifindex: u32, address: IpAddr) {
        if let Err(error) = self.router.plane.mark_unreachable(ifindex, address) {
            tracing::debug!("mark {address} unreachable: {error}");
        }
    }

    fn beat(&self) {
        let pulse = self.router.pulse.clone();
        tokio::spawn(async move {
            let mut beat = interval(HEARTBEAT);
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                beat.tick().await;
                pulse.set_time(resources::second_of_week());
                pulse.heartbeat();
            }
        });
    }

    /// Writes down what rules log.
    fn follow_rules(&self) {
        match self.router.plane.rule_log() {
            Ok(ring) => drop(tokio::spawn(log::run(ring, self.scripts(), self.router.links.clone()))),
            Err(error) => tracing::error!("what rules log can't be written down: {error}"),
        }
    }

    async fn changed(&mut self, bits: u32) {
        if bits & changes::RULES != 0 {
            self.query_cache().await;
        } else if bits & changes::ROUTES != 0 {
            self.cache_query_at.get_or_insert(Instant::now() + CACHE_QUERY);
        }
        if bits & changes::PLAN != 0 {
            let soon = Instant::now() + GATHER;
            self.reconcile_at = Some(self.reconcile_at.map_or(soon, |at| at.min(soon)));
        }
    }

    async fn reconcile(&mut self) {
        self.reconcile_at = None;
        match self.router.reconcile().await {
            Ok(applied) if !applied.steps.is_empty() || applied.new_image => {
                self.again = false;
                tracing::info!(steps = applied.steps.len(), new_image = applied.new_image, "host followed");
            }
            Ok(_) => self.again = false,
            Err(error) => {
                // A link that went away while it was planned with: the next attempt no longer sees it.
                if !self.again {
                    self.again = true;
                    self.reconcile_at = Some(Instant::now() + SOON);
                    tracing::debug!("reconcile: {error:#}");
                    return;
                }
                let fault = format!("{error:#}");
                if self.router.fault.as_ref() != Some(&fault) {
                    tracing::error!("the host is not as configured: {fault}");
                }
                self.router.fault = Some(fault);
                self.reconcile_at = Some(Instant::now() + RETRY);
            }
        }
        self.tell_status();
    }

    /// Routes may be cached by destination only where nothing else decides them.
    async fn query_cache(&mut self) {
        self.cache_query_at = None;
        let cache = match self.router.kernel.routes_depend_on_more_than_destination().await {
            Ok(None) => RouteCache { on: true, reason: "routes depend on the destination alone".into() },
            Ok(Some(reason)) => RouteCache { on: false, reason },
            Err(error) => {
                self.cache_query_at = Some(Instant::now() + RETRY);
                RouteCache { on: false, reason: format!("not known: {error}") }
            }
        };
        self.router.pulse.set_cache_routes(cache.on);
        if self.router.route_cache != cache {
            tracing::info!(on = cache.on, "route cache: {}", cache.reason);
        }
        self.router.route_cache = cache;
    }

    async fn keep_alive(&mut self) {
        let used = self.router.plane.used_next_hops(KEEP_ALIVE_SECONDS);
        let used: Vec<_> = used.into_iter().map(|hop| (hop.ifindex, hop.address)).collect();
        if let Err(error) = self.router.kernel.keep_alive(&used).await {
            tracing::debug!("keep neighbours alive: {error}");
        }
        if self.router.plane.has_drifted() {
            self.reconcile().await;
        }
    }

    async fn reload(&mut self) {
        let monotonic = NotifyState::monotonic_usec_now().ok();
        let begun: Vec<NotifyState> = [NotifyState::Reloading].into_iter().chain(monotonic).collect();
        self.ready(&begun);
        match self.router.reload().await {
            Ok(applied) => {
                tracing::info!(version = applied.version, steps = applied.steps.len(), "reloaded");
                for warning in &applied.warnings {
                    tracing::warn!("{warning}");
                }
            }
            Err(failure) => {
                tracing::error!("reload: {}", failure.message);
                for place in &failure.errors {
                    tracing::error!("line {} column {}: {}", place.line, place.column, place.message);
                }
            }
        }
        self.ready(&[NotifyState::Ready]);
        self.tell_status();
    }

    async fn expire(&mut self) {
        if let Err(error) = self.router.expire().await {
            tracing::warn!("end entries of address lists: {error:#}");
            self.reconcile_at = Some(Instant::now() + RETRY);
        }
    }

    async fn keep_listed(&mut self, listed: Vec<Listed>) {
        let fault = self.router.keep_listed(listed).await.err().map(|error| format!("{error:#}"));
        if let Some(text) = fault.as_ref().filter(|_| fault != self.unwritten) {
            tracing::warn!("what rules put into lists can't be written into the configuration: {text}");
        }
        self.unwritten = fault;
    }

    /// A configuration on trial was not confirmed.
    async fn give_way(&mut self) {
        let Some(pending) = self.router.store.current().and_then(|version| version.meta.pending.clone())
        else {
            return;
        };
        let result = match begin::unconfirmed(&self.router.store, pending.revert_to) {
            Ok(change) => self.router.change(change).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            tracing::error!("back to version {}: {error:#}", pending.revert_to);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.tell_status();
    }

    fn end(self, end: End) -> (Router, End) {
        self.ready(&[NotifyState::Stopping]);
        (self.router, end)
    }

    /// Outside systemd there is nobody to tell.
    fn ready(&self, states: &[NotifyState]) {
        if let Err(error) = sd_notify::notify(states) {
            tracing::debug!("notify systemd: {error}");
        }
    }

    fn tell_status(&self) {
        let router = &self.router;
        let version = router.store.current().map_or(0, |version| version.meta.version);
        let ports = router.plane.ports().len();
        let line = match &router.fault {
            Some(fault) => format!("version {version}, {ports} ports; fault: {fault}"),
            None => format!("version {version}, {ports} ports"),
        };
        self.ready(&[NotifyState::Status(&line)]);
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

async fn trial_over(router: &Router) {
    match router.store.current().and_then(|version| version.meta.pending.as_ref()) {
        Some(trial) => tokio::time::sleep(Duration::from_millis(trial.deadline.left_ms())).await,
        None => pending().await,
    }
}
