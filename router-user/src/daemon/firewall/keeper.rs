//! The thread that keeps the data plane's tables clean, second by second.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::Context;
use dataplane::Sweeper;
use plan::{Desired, HostFacts};
use tokio::sync::mpsc::UnboundedSender;

const SECOND: Duration = Duration::from_secs(1);

/// Number of a list, and an address in it.
pub type Listed = (u32, IpAddr);

/// A handle on the thread, which ends with it.
pub struct Keeper {
    orders: Sender<BTreeSet<IpAddr>>,
    /// What connections may masquerade behind, as it was told last.
    addresses: Option<BTreeSet<IpAddr>>,
}

impl Keeper {
    /// `lasting` is told what rules have put into lists for good.
    pub fn start(sweeper: Sweeper, lasting: UnboundedSender<Vec<Listed>>) -> anyhow::Result<Keeper> {
        let (orders, queue) = mpsc::channel();
        std::thread::Builder::new()
            .name("keeper".into())
            .spawn(move || keep(sweeper, &queue, &lasting))
            .context("start the thread of the flow tables")?;
        Ok(Keeper { orders, addresses: None })
    }

    /// The addresses that the host has on links that run. Connections that masquerade behind one that went away end.
    pub fn masquerade_behind(&mut self, addresses: BTreeSet<IpAddr>) {
        let lost = self.addresses.as_ref().is_none_or(|before| !before.is_subset(&addresses));
        if lost && self.orders.send(addresses.clone()).is_err() {
            tracing::error!("nobody keeps the flow tables any more");
        }
        self.addresses = Some(addresses);
    }
}

fn keep(mut sweeper: Sweeper, orders: &Receiver<BTreeSet<IpAddr>>, lasting: &UnboundedSender<Vec<Listed>>) {
    let mut due = Instant::now() + SECOND;
    loop {
        match orders.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(addresses) => {
                let addresses: Vec<IpAddr> = addresses.into_iter().collect();
                let ended = sweeper.keep_masqueraded(&addresses);
                if ended > 0 {
                    tracing::info!("{ended} connections ended: the address they masqueraded behind is gone");
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                due = Instant::now() + SECOND;
                match sweeper.second() {
                    Ok(swept) => {
                        tracing::trace!(?swept, "flow tables");
                        // The router may have ended.
                        let _ = (!swept.lasting.is_empty()).then(|| lasting.send(swept.lasting));
                    }
                    Err(error) => tracing::warn!("keep the flow tables: {error}"),
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What the host has, and is about to have, on links that run.
pub fn reachable(facts: &HostFacts, desired: &Desired) -> BTreeSet<IpAddr> {
    let running = |ifindex| facts.links.iter().any(|link| link.ifindex == ifindex && link.running);
    let known = facts.addresses.iter().map(|known| (known.address, known.ifindex));
    let planned = desired.addresses.iter().map(|planned| (planned.address, planned.ifindex));
    known.chain(planned).filter(|(_, ifindex)| running(*ifindex)).map(|(address, _)| address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::facts::{HostAddress, HostLink};

    #[test]
    fn addresses_of_links_that_do_not_run_are_out_of_reach() {
        let link = |ifindex, running| HostLink { ifindex, running, ..HostLink::default() };
        let address = |ifindex, last| HostAddress {
            ifindex,
            address: IpAddr::from([192, 0, 2, last]),
            prefix_length: 24,
        };
        let facts = HostFacts {
            links: vec![link(1, true), link(2, false)],
            addresses: vec![address(1, 1), address(2, 2)],
            ..HostFacts::default()
        };
        let reachable = reachable(&facts, &Desired::default());
        assert_eq!(reachable, BTreeSet::from([IpAddr::from([192, 0, 2, 1])]));
    }
}
