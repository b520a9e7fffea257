//! `check-gateway`: gateways are asked every ten seconds; one that is silent twice is down until it answers again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use config::script::Ping;
use plan::Desired;
use plan::desired::GatewayCheck;
use tokio::sync::watch;

use crate::daemon::changes::{self, Changes};
use crate::daemon::ping;

/// From one question to the next (RouterOS manual, IP Routing, check-gateway).
const PERIOD: Duration = Duration::from_secs(10);
const SILENT_TIMES: u32 = 2;
const TIMEOUT: Duration = Duration::from_secs(1);
const SIZE_BYTES: u16 = 56;

type Wanted = watch::Receiver<BTreeSet<GatewayCheck>>;
type Down = Arc<Mutex<BTreeSet<IpAddr>>>;

/// A handle on the task, which ends with it.
pub struct Gateways {
    wanted: watch::Sender<BTreeSet<GatewayCheck>>,
    down: Down,
    /// Reports that a gateway has come or gone.
    pub changes: Changes,
}

impl Gateways {
    pub fn start() -> Gateways {
        let (wanted, asked) = watch::channel(BTreeSet::new());
        let (down, changes) = (Down::default(), Changes::default());
        tokio::spawn(run(asked, Arc::clone(&down), changes.clone()));
        Gateways { wanted, down, changes }
    }

    /// These are to be asked from now on.
    pub fn set(&self, desired: Option<&Desired>) {
        let checks = desired.map(|desired| desired.checks.clone()).unwrap_or_default();
        self.wanted.send_if_modified(|wanted| {
            let differs = *wanted != checks;
            *wanted = checks;
            differs
        });
    }

    pub fn down(&self) -> BTreeSet<IpAddr> {
        self.down.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

/// What is known of a gateway.
struct State {
    due: Instant,
    silent: u32,
}

#[derive(Default)]
struct Book(BTreeMap<GatewayCheck, State>);

impl Book {
    fn want(&mut self, checks: &BTreeSet<GatewayCheck>, now: Instant) {
        self.0.retain(|check, _| checks.contains(check));
        for check in checks {
            self.0.entry(*check).or_insert(State { due: now, silent: 0 });
        }
    }

    fn due(&self, now: Instant) -> Vec<GatewayCheck> {
        self.0.iter().filter(|(_, state)| state.due <= now).map(|(check, _)| *check).collect()
    }

    fn next(&self) -> Option<Instant> {
        self.0.values().map(|state| state.due).min()
    }

    fn answered(&mut self, check: &GatewayCheck, answers: bool, now: Instant) {
        if let Some(state) = self.0.get_mut(check) {
            state.due = now + PERIOD;
            state.silent = if answers { 0 } else { state.silent.saturating_add(1) };
        }
    }

    /// A gateway that is asked in several ways has to answer to all.
    fn down(&self) -> BTreeSet<IpAddr> {
        let silent = self.0.iter().filter(|(_, state)| state.silent >= SILENT_TIMES);
        silent.map(|(check, _)| check.address).collect()
    }
}

async fn run(mut wanted: Wanted, down: Down, changes: Changes) {
    let mut book = Book::default();
    loop {
        let checks = wanted.borrow_and_update().clone();
        book.want(&checks, Instant::now());
        let asked: Vec<_> = book
            .due(Instant::now())
            .into_iter()
            .map(|check| (check, tokio::task::spawn_blocking(move || answers(&check))))
            .collect();
        for (check, answer) in asked {
            book.answered(&check, answer.await.unwrap_or(false), Instant::now());
        }
        let now_down = book.down();
        let was_down = {
            let mut down = down.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            std::mem::replace(&mut *down, now_down.clone())
        };
        for address in now_down.difference(&was_down) {
            tracing::warn!("gateway {address} does not answer");
        }
        for address in was_down.difference(&now_down) {
            tracing::info!("gateway {address} answers again");
        }
        if now_down != was_down {
            changes.report(changes::PLAN);
        }
        let next = book.next().unwrap_or_else(|| Instant::now() + PERIOD);
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return },
            () = tokio::time::sleep_until(next.into()) => {}
        }
    }
}

/// Whether a gateway answers, to one question.
fn answers(check: &GatewayCheck) -> bool {
    let device = check.ifindex.and_then(device);
    if check.arp {
        return is_neighbor(check.address);
    }
    let ping = Ping {
        address: check.address,
        count: 1,
        size_bytes: SIZE_BYTES,
        interval: PERIOD,
        interface: None,
        src_address: None,
        ttl: None,
    };
    let echoes = ping::run_with(&ping, device.as_deref(), TIMEOUT).unwrap_or_default();
    echoes.iter().any(|echo| echo.time.is_some())
}

fn device(ifindex: u32) -> Option<String> {
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    rustix::net::netdevice::index_to_name(&socket, ifindex).ok()
}

/// Has the kernel look for an IPv4 neighbour, and tells whether it knows its MAC address.
fn is_neighbor(address: IpAddr) -> bool {
    const DISCARD: u16 = 9;
    const COMPLETE: u32 = 2;
    let sent = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.send_to(&[], SocketAddr::new(address, DISCARD)));
    if sent.is_err() {
        return false;
    }
    std::thread::sleep(TIMEOUT);
    // IP address, HW type, flags, HW address, mask, device (net/ipv4/arp.c).
    let table = std::fs::read_to_string("/proc/thread-self/net/arp").unwrap_or_default();
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace();
        let is_it = fields.next().and_then(|field| field.parse::<IpAddr>().ok()) == Some(address);
        let flags = fields.nth(1).and_then(|field| u32::from_str_radix(field.strip_prefix("0x")?, 16).ok());
        is_it && flags.is_some_and(|flags| flags & COMPLETE != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_twice_is_down_and_one_answer_is_up() {
        let check = GatewayCheck { address: [192, 0, 2, 1].into(), ifindex: None, arp: false };
        let (mut book, now) = (Book::default(), Instant::now());
        book.want(&BTreeSet::from([check]), now);
        assert_eq!(book.due(now), [check]);
        book.answered(&check, false, now);
        assert_eq!(book.down(), BTreeSet::new());
        assert_eq!((book.due(now), book.next()), (Vec::new(), Some(now + PERIOD)));
        book.answered(&check, false, now + PERIOD);
        assert_eq!(book.down(), BTreeSet::from([check.address]));
        book.answered(&check, true, now + PERIOD * 2);
        assert_eq!(book.down(), BTreeSet::new());
        // What nobody asks for any more is not down.
        book.answered(&check, false, now);
        book.answered(&check, false, now);
        book.want(&BTreeSet::new(), now);
        assert_eq!(book.down(), BTreeSet::new());
    }
}
