//! What rules log: from the programs' ring to the router's log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;
use config::ItemId;
use dataplane::{PortStatus, RuleLog};
use plan::firewall::{CHAINS, MENUS};
use router_common::maps::rule::Logged;
use tokio::io::unix::AsyncFd;

use super::line::{Names, line};
use crate::daemon::scripts::{Scripts, locked};

/// Lines that are written in a second, over all rules.
const LINES_PER_SECOND: u32 = 100;
/// The programs tell how many packets they left out with the next one; where none follows, what the daemon left out is
/// told after so long.
const PAUSE: Duration = Duration::from_secs(1);

/// Names of ports by ifindex.
#[derive(Clone, Default)]
pub struct Links(Arc<Mutex<BTreeMap<u32, String>>>);

impl Links {
    pub fn set(&self, ports: Vec<PortStatus>) {
        *locked(&self.0) = ports.into_iter().map(|port| (port.ifindex, port.name)).collect();
    }

    fn name(&self, ifindex: u32) -> Option<String> {
        (ifindex != 0).then(|| {
            let known = locked(&self.0).get(&ifindex).cloned();
            known.or_else(|| crate::ports::name(ifindex)).unwrap_or_else(|| format!("(unknown {ifindex})"))
        })
    }
}

/// Lines that may be written still in a second, and what could not.
struct Budget {
    since: Instant,
    left: u32,
    lost: u64,
}

impl Budget {
    fn new(now: Instant) -> Budget {
        Budget { since: now, left: LINES_PER_SECOND, lost: 0 }
    }

    /// Whether a line may be written now.
    fn take(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.left) = (now, LINES_PER_SECOND);
        }
        let may = self.left > 0;
        match may {
            true => self.left -= 1,
            false => self.lost += 1,
        }
        may
    }
}

/// Writes down what rules log, as long as the daemon lives.
pub async fn run(log: RuleLog, scripts: Arc<Scripts>, links: Links) {
    if let Err(error) = follow(log, &scripts, &links).await {
        tracing::error!("what rules log is no longer written down: {error:#}");
    }
}

async fn follow(log: RuleLog, scripts: &Scripts, links: &Links) -> anyhow::Result<()> {
    // SAFETY: the descriptor is the ring's own, the same until it is dropped, which AsyncFd does last.
    let ring = unsafe { AsyncFd::register(log) }.map_err(std::io::Error::from);
    let mut ring = ring.context("wait for the ring of rules")?;
    let mut budget = Budget::new(Instant::now());
    loop {
        // With something to tell of, the wait for the next packet has an end.
        let pause = if budget.lost > 0 { PAUSE } else { Duration::MAX };
        if let Ok(ready) = tokio::time::timeout(pause, ring.readable_mut()).await {
            let mut ready = ready.context("wait for the ring of rules")?;
            while let Some(logged) = ready.get_inner_mut().take() {
                budget.lost += u64::from(logged.lost);
                if budget.take(Instant::now()) {
                    tell(scripts, "firewall,info", &told(&logged, scripts, links));
                }
            }
            ready.clear_ready();
        }
        let over = Instant::now().duration_since(budget.since) >= PAUSE;
        if budget.lost > 0 && over {
            let lost = std::mem::take(&mut budget.lost);
            tell(scripts, "firewall,warning", &format!("{lost} packets of rules that log were left out"));
        }
    }
}

fn tell(scripts: &Scripts, topics: &str, text: &str) {
    tracing::info!(target: "firewall", "{text}");
    scripts.log(topics, text);
}

fn told(logged: &Logged, scripts: &Scripts, links: &Links) -> String {
    let (_, tree) = scripts.current();
    let menu = MENUS.get((logged.key >> 32) as usize).copied().unwrap_or_default();
    let item = tree.item(menu, ItemId(logged.key as u32));
    let text = |property: &str| item.and_then(|item| item.text(property)).unwrap_or_default();
    let (prefix, mut chain) = (text("log-prefix"), text("chain"));
    if chain.is_empty() {
        // A rule that was removed in between.
        let built_in = CHAINS.get(logged.chain as usize);
        chain = built_in.map_or_else(String::new, |(_, name)| (*name).to_owned());
    }
    let (input, output) = (links.name(logged.facts.in_ifindex), links.name(logged.facts.out_ifindex));
    let names = Names { prefix: &prefix, chain: &chain, input: input.as_deref(), output: output.as_deref() };
    line(logged, &names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_rate_is_counted() {
        let start = Instant::now();
        let mut budget = Budget::new(start);
        let written = (0..LINES_PER_SECOND + 5).filter(|_| budget.take(start)).count();
        assert_eq!((written, budget.lost), (LINES_PER_SECOND as usize, 5));
        assert!(budget.take(start + Duration::from_secs(1)));
        assert_eq!(budget.lost, 5);
    }
}
