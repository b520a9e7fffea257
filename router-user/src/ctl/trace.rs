//! `routerctl trace`.

use std::os::fd::AsFd;

use anyhow::{Context, bail};
use dataplane::{Inspector, Step};
use management::client::{self, Error};
use management::protocol::{Request, Trace};
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, poll};

use crate::cli::routerctl::{Common, TraceArgs};
use crate::ctl::{show, target};
use crate::daemon::signals;
use crate::ports::Names;
use crate::trace;

pub fn run(common: &Common, arguments: &TraceArgs) -> anyhow::Result<()> {
    let (_, paths) = target(common)?;
    let filter = filter(&arguments.packet)?;
    let mut shown =
        Shown { json: common.json, names: Names::default(), packets: 0, last: None, limit: arguments.count };
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
    names: Names,
    packets: u64,
    /// CPU and number of the packet shown last.
    last: Option<(u32, u32)>,
    limit: Option<u64>,
}

impl Shown {
    /// Prints a step; false when enough packets were shown.
    fn show(&mut self, step: &Step) -> anyhow::Result<bool> {
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
            show::print(&line(step, &mut self.names))?;
        }
        // The last packet is complete where its end is known.
        Ok(step.reason.is_none() || self.limit.is_none_or(|limit| self.packets < limit))
    }
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
    if let Some(reason) = &step.reason {
        line.push_str(&format!(" -> {reason}"));
    }
    line
}
