//! How long a change of rules takes, by the clock on the wall and with the start of the command that asks for it.

use std::{
    fmt, fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use lab::Netns;

use super::{
    Lane, Rig,
    case::{Case, Router},
    policy,
    report::median,
};

/// What is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Every rule, by a file.
    All,
    /// One in the middle, by a command.
    One,
    /// One more at the end.
    More,
}

/// A change under the rules of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    pub case: Case,
    pub change: Change,
}

pub const RULES: u32 = 10_000;

impl Reload {
    pub fn all() -> impl Iterator<Item = Reload> {
        let case = |router| Case::under_rules(router, RULES);
        [Change::All, Change::One, Change::More].into_iter().flat_map(move |change| {
            [Router::Nft, Router::Routerd]
                .into_iter()
                .map(move |router| Reload { case: case(router), change })
        })
    }

    pub fn name(self) -> String {
        let router = if self.case.router == Router::Nft { "nft" } else { "routerd" };
        match self.change {
            Change::All => format!("{router}-reload-{RULES}"),
            Change::One => format!("{router}-edit-{RULES}"),
            Change::More => format!("{router}-add-{RULES}"),
        }
    }

    pub fn describe(self) -> &'static str {
        match self.change {
            Change::All => "all rules are replaced by a file",
            Change::One => "one rule in the middle is edited",
            Change::More => "one rule is added at the end",
        }
    }
}

/// Seconds of each change, then what was lost while changes went on under load.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct Times {
    pub seconds: Vec<f64>,
    pub sent: u64,
    pub lost: u64,
}

impl Times {
    pub fn add(&mut self, more: Times) {
        self.seconds.extend(more.seconds);
        self.sent += more.sent;
        self.lost += more.lost;
    }

    /// The median and the extremes in milliseconds, packets sent and lost.
    pub fn cells(&self) -> Vec<String> {
        let ms = |seconds: f64| format!("{:.1}", seconds * 1e3);
        let least = self.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.seconds.iter().copied().fold(0.0, f64::max);
        let middle = median(self.seconds.iter().copied()).unwrap_or(f64::NAN);
        vec![ms(middle), format!("{}..{}", ms(least), ms(most)), self.sent.to_string(), self.lost.to_string()]
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cells().as_slice() {
            [middle, span, sent, lost] => write!(f, "{middle:>7} ms  {span}  {sent} sent, {lost} lost"),
            _ => Ok(()),
        }
    }
}

/// Sets a case up and changes its rules again and again.
pub fn measure(rig: &Rig, reload: Reload) -> Result<Times> {
    let mut lane = Lane::create(rig, reload.case)?;
    lane.prime()?;
    let folder = tempfile::tempdir()?;
    let mut change = Changer::new(rig, reload, &lane.topology.router, folder.path())?;
    let mut times = Times::default();
    for _ in 0..CHANGES {
        times.seconds.push(change.next()?.as_secs_f64());
    }
    // Under load: the generator has a CPU of its own, so the times would not be the same.
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| {
            let result = (0..CHANGES).try_for_each(|_| change.next().map(drop));
            ended.store(true, Ordering::Relaxed);
            result
        });
        while !ended.load(Ordering::Relaxed) {
            let count = lane.slice()?;
            times.sent += count.sent;
            times.lost += count.sent.saturating_sub(count.arrived);
        }
        changes.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    Ok(times)
}

/// Changes of each kind of measurement.
const CHANGES: u32 = 6;

struct Changer {
    netns: Netns,
    commands: [Vec<String>; 2],
    turn: usize,
}

impl Changer {
    /// Two commands in turns; the first two kinds of change undo each other.
    fn new(rig: &Rig, reload: Reload, netns: &Netns, folder: &Path) -> Result<Changer> {
        let routerctl = rig.routerd.with_file_name("routerctl").display().to_string();
        let netns = Netns::open(netns.name())?;
        let middle = RULES / 2;
        let mut commands = Vec::new();
        for shift in [1, 0] {
            let file = folder.join(format!("rules-{shift}"));
            commands.push(match (reload.case.router, reload.change) {
                (Router::Nft, Change::All) => {
                    let text = "flush ruleset\n".to_owned() + &policy::nftables(reload.case, shift);
                    fs::write(&file, text)?;
                    vec!["nft".to_owned(), "-f".to_owned(), file.display().to_string()]
                }
                (Router::Nft, Change::One) => {
                    let listing = netns.run("nft -a list chain ip bench forward")?;
                    let (address, port) = policy::stranger(middle);
                    let line = listing.lines().find(|line| line.contains(&format!("{address} udp")));
                    let handle =
                        line.and_then(|line| line.rsplit(' ').next()).context("find the rule's handle")?;
                    let rule = format!(
                        "replace rule ip bench forward handle {handle} ip saddr {address} udp dport {} drop",
                        port + shift
                    );
                    vec!["nft".to_owned(), rule]
                }
                (Router::Nft, Change::More) => {
                    let rule = format!("add rule ip bench forward ip saddr 172.31.0.{} drop", shift + 1);
                    vec!["nft".to_owned(), rule]
                }
                (_, Change::More) => {
                    let rule = format!("add chain=forward action=drop src-address=172.31.0.{}", shift + 1);
                    vec![routerctl.clone(), format!("/ip firewall filter {rule}")]
                }
                (_, Change::All) => {
                    let file = file.with_extension("rsc");
                    fs::write(&file, super::router::configuration() + &policy::routeros(reload.case, shift))?;
                    vec![routerctl.clone(), "apply".to_owned(), file.display().to_string()]
                }
                (_, Change::One) => {
                    let (_, port) = policy::stranger(middle);
                    // Two rules stand before the first of them.
                    let place = middle + 2;
                    let command = format!("/ip firewall filter set {place} dst-port={}", port + shift);
                    vec![routerctl.clone(), command]
                }
            });
        }
        let commands = commands.try_into().ok().context("two commands")?;
        Ok(Changer { netns, commands, turn: 0 })
    }

    fn next(&mut self) -> Result<Duration> {
        let command = &self.commands[self.turn % 2];
        self.turn += 1;
        let start = Instant::now();
        let output = self.netns.command(&command[0]).args(&command[1..]).output()?;
        let elapsed = start.elapsed();
        ensure!(
            output.status.success(),
            "{}: {}",
            command.join(" "),
            String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or_default()
        );
        Ok(elapsed)
    }
}
