//! `routerctl trace`.

use std::os::fd::AsFd;

use anyhow::{Context, bail};
use dataplane::{Inspector, Met, Step};
use management::client::{self, Error};
use management::protocol::{Request, Trace};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;

use crate::cli::routerctl::{Common, TraceArgs};
use crate::ctl::rules::Known;
use crate::ctl::{show, target};
use crate::daemon::signals;
use crate::ports::Names;
use crate::trace;

/// `drops`: only packets that are dropped, a line for each.
pub fn run(common: &Common, arguments: &TraceArgs, drops: bool) -> anyhow::Result<()> {
    let (_, paths) = target(common)?;
    let filter = Trace { drops, ..filter(&arguments.packet)? };
    let mut shown = Shown {
        json: common.json,
        drops: drops.then(Vec::new),
        known: Known::ask(&paths.socket()),
        names: Names::default(),
        packets: 0,
        last: None,
        limit: arguments.count,
    };
    let mut failure = None;
    let answer = client::call(&paths.socket(), &Request::Trace(filter.clone()), |event| {
        let step = serde_json::from_value(event).map_err(anyhow::Error::from);
        match step.and_then(|step| shown.show(&step)) {
            Ok(more) => more,
            Err(error) => {
                failure = Some(error);
                false
            }
        }
    });
    match (failure, answer) {
        (Some(error), _) => Err(error),
        (None, Ok(_)) => Ok(()),
        (None, Err(Error::NotRunning(_))) => direct(&Inspector::open(&paths.pins)?, &filter, &mut shown),
        (None, Err(error)) => Err(error.into()),
    }
}

fn filter(packet: &[(String, String)]) -> anyhow::Result<Trace> {
    let mut filter = Trace::default();
    for (name, value) in packet {
        let port = || value.parse::<u16>().with_context(|| format!("{name}={value}: no port"));
        match name.as_str() {
            "in" | "in-interface" => filter.interface = Some(value.clone()),
            "src" | "src-address" => filter.src = Some(value.clone()),
            "dst" | "dst-address" => filter.dst = Some(value.clone()),
            "protocol" => filter.protocol = Some(value.clone()),
            "src-port" => filter.src_port = Some(port()?),
            "dst-port" => filter.dst_port = Some(port()?),
            other => bail!("{other}: in, src, dst, protocol, src-port and dst-port are known"),
        }
    }
    Ok(filter)
}

/// Without a daemon the steps are read here; a signal must not leave tracing on.
fn direct(plane: &Inspector, filter: &Trace, shown: &mut Shown) -> anyhow::Result<()> {
    signals::block()?;
    let ended = SignalFd::new(&signals::handled())?;
    let mut trace = plane.trace(trace::filter(filter)?)?;
    loop {
        while let Some(step) = trace.next() {
            if !shown.show(&step)? {
                return Ok(());
            }
        }
        let mut fds =
            [PollFd::new(&trace, PollFlags::IN), PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN)];
        poll(&mut fds, None)?;
        let [ring, signal] = fds;
        if !signal.revents().is_empty() {
            return Ok(());
        }
        if ring.revents().contains(PollFlags::ERR) {
            bail!("the event ring is gone");
        }
    }
}

struct Shown {
    json: bool,
    /// Where only drops are shown: what packets met in rules, until their end comes; by CPU.
    drops: Option<Vec<Step>>,
    known: Known,
    names: Names,
    packets: u64,
    /// CPU and number of the packet shown last.
    last: Option<(u32, u32)>,
    limit: Option<u64>,
}

impl Shown {
    /// Prints a step; false when enough packets were shown.
    fn show(&mut self, step: &Step) -> anyhow::Result<bool> {
        if self.drops.is_some() {
            return self.show_drop(step);
        }
        if self.last != Some((step.cpu, step.packet)) {
            if self.limit.is_some_and(|limit| self.packets >= limit) {
                return Ok(false);
            }
            self.packets += 1;
            self.last = Some((step.cpu, step.packet));
        }
        if self.json {
            show::print(&serde_json::to_string(step)?)?;
        } else {
            let mut text = line(step, &mut self.names);
            for met in &step.rules {
                text.push_str(&format!("\n    {}", rule_line(met, &self.known)));
            }
            show::print(&text)?;
        }
        // The last packet is complete where its end is known.
        Ok(step.reason.is_none() || self.limit.is_none_or(|limit| self.packets < limit))
    }

    /// A walk that ends a packet comes just before its end.
    fn show_drop(&mut self, step: &Step) -> anyhow::Result<bool> {
        let Some(walks) = &mut self.drops else { return Ok(true) };
        walks.retain(|walk| walk.cpu != step.cpu || walk.packet == step.packet);
        let Some(reason) = &step.reason else {
            walks.push(step.clone());
            return Ok(true);
        };
        let walk = walks.iter().position(|walk| walk.cpu == step.cpu).map(|place| walks.remove(place));
        let rule = walk.as_ref().and_then(|walk| walk.rules.iter().rev().find(|met| met.matched));
        let chain = rule.map(|met| self.known.chain(&met.menu, met.id)).filter(|chain| !chain.is_empty());
        let chain = chain.or_else(|| walk.as_ref().map(|walk| walk.summary.clone()));
        let named = rule.map(|met| format!("/{} *{:X}", met.menu, met.id));
        self.packets += 1;
        if self.json {
            let ingress = self.names.of(step.ingress);
            let row = json!({
                "time-ns": step.time_ns, "reason": reason, "chain": chain, "rule": named, "in": ingress,
                "packet": step.summary,
            });
            show::print(&row.to_string())?;
        } else {
            let mut text = line(step, &mut self.names);
            text.push_str(&chain.map(|chain| format!(" chain={chain}")).unwrap_or_default());
            text.push_str(&named.map(|named| format!(" rule={named}")).unwrap_or_default());
            show::print(&text)?;
        }
        Ok(self.limit.is_none_or(|limit| self.packets < limit))
    }
}

/// `x drop /ip/firewall/filter *3 chain=forward: not protocol`
pub fn rule_line(met: &Met, known: &Known) -> String {
    let mark = if met.matched { '+' } else { '-' };
    let mut line = format!("{mark} {} /{} *{:X}", met.action, met.menu, met.id);
    let chain = known.chain(&met.menu, met.id);
    if !chain.is_empty() {
        line.push_str(&format!(" chain={chain}"));
    }
    if !met.unlike.is_empty() {
        line.push_str(&format!(": not {}", met.unlike.join(", ")));
    }
    if !met.varying.is_empty() {
        line.push_str(&format!(" (asked per packet: {})", met.varying.join(", ")));
    }
    line
}

/// One step with the names of its links.
pub fn line(step: &Step, names: &mut Names) -> String {
    let (seconds, micros) = (step.time_ns / 1_000_000_000, step.time_ns / 1000 % 1_000_000);
    let packet = format!("{}/{}", step.cpu, step.packet);
    let mut line = format!("{seconds}.{micros:06} {packet:<10} in={}", names.of(step.ingress));
    if let Some(egress) = step.egress {
        line.push_str(&format!(" out={}", names.of(egress)));
    }
    line.push_str(&format!(" {}: {}", step.stage, step.summary));
    if let Some(end) = step.reason.as_ref().or(step.verdict.as_ref()) {
        line.push_str(&format!(" -> {end}"));
    }
    line
}
