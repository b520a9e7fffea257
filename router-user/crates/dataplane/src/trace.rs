//! Following matching packets through the stages.

use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use aya::maps::{MapData, RingBuf};
use router_common::maps::control::flag;
use router_common::maps::event::{Event, HEAD_BYTES, TraceFilter, trace_flag};
use router_common::rules::walk::verdict;
use router_common::verdict::{Reason, Stage};
use serde::{Deserialize, Serialize};

use crate::mapped::from_bytes;
use crate::maps::Maps;
use crate::replay::{Met, Walked};
use crate::{Error, Inspector, Pulse, maps, summary};

/// Which packets to follow; what is not given matches everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Filter {
    /// Address and prefix length.
    pub source: Option<(IpAddr, u8)>,
    pub destination: Option<(IpAddr, u8)>,
    /// ifindex of the port where the packet came in.
    pub ingress: Option<u32>,
    pub protocol: Option<u8>,
    pub source_port: Option<u16>,
    pub destination_port: Option<u16>,
    /// Only packets that are dropped, and of these only the end, and the rules that decided so.
    pub drops: bool,
}

impl From<Filter> for TraceFilter {
    fn from(filter: Filter) -> TraceFilter {
        let part = |side: Option<(IpAddr, u8)>| match side {
            None => ([0; 16], [0; 16]),
            Some((IpAddr::V4(address), length)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0).to_be_bytes();
                (first_four(address.octets()), first_four(mask))
            }
            Some((IpAddr::V6(address), length)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0).to_be_bytes();
                (address.octets(), mask)
            }
        };
        let family = |side: Option<(IpAddr, u8)>| match side {
            None => 0,
            Some((IpAddr::V4(_), _)) => 4,
            Some((IpAddr::V6(_), _)) => 6,
        };
        let (source, source_mask) = part(filter.source);
        let (destination, destination_mask) = part(filter.destination);
        TraceFilter {
            source,
            source_mask,
            destination,
            destination_mask,
            ingress: filter.ingress.unwrap_or(0),
            family: family(filter.source).max(family(filter.destination)),
            protocol: filter.protocol.unwrap_or(0),
            source_port: filter.source_port.unwrap_or(0),
            destination_port: filter.destination_port.unwrap_or(0),
            flags: if filter.drops { trace_flag::DROPS } else { 0 },
        }
    }
}

fn first_four(bytes: [u8; 4]) -> [u8; 16] {
    let mut all = [0; 16];
    all.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    all
}

/// One stage that one packet met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// CLOCK_MONOTONIC in nanoseconds.
    pub time_ns: u64,
    /// Together with `cpu` the same for all steps of a packet.
    pub packet: u32,
    pub cpu: u32,
    pub ingress: u32,
    /// Egress ifindex, once known.
    pub egress: Option<u32>,
    pub length_bytes: u32,
    pub stage: String,
    /// Why the pipeline ended here, where it did.
    pub reason: Option<String>,
    /// The packet as it is now: addresses, protocol, ports, TTL. Of rules their table and chain.
    pub summary: String,
    /// The rules that the packet met in a chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Met>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

impl Step {
    /// `met`: the rules of a walk.
    fn new(event: &Event, met: impl FnOnce(&Walked) -> Vec<Met>) -> Step {
        let mut step = Step::of(event);
        if event.stage == Stage::Rules as u16
            && let Some(facts) = from_bytes(&event.head)
        {
            let walked = Walked { facts, chain: event.egress & 0xff };
            step.egress = None;
            step.summary = format!("{} {}", walked.table_name(), walked.chain_name());
            step.verdict = Some(verdict_name(event.egress >> 8 & 0xff).to_owned());
            step.rules = met(&walked);
        }
        step
    }

    fn of(event: &Event) -> Step {
        let name = |number: u16| format!("{number}");
        let length = (event.length_bytes as usize).min(HEAD_BYTES);
        Step {
            time_ns: event.time_ns,
            packet: event.packet,
            cpu: event.cpu,
            ingress: event.ingress,
            egress: (event.egress != 0).then_some(event.egress),
            length_bytes: event.length_bytes,
            stage: Stage::from_number(event.stage).map_or_else(|| name(event.stage), |s| s.name().to_owned()),
            reason: (event.reason != 0).then(|| {
                Reason::from_number(event.reason).map_or_else(|| name(event.reason), |r| r.name().to_owned())
            }),
            summary: summary::of_frame(event.head.get(..length).unwrap_or_default()),
            rules: Vec::new(),
            verdict: None,
        }
    }
}

/// What a walk ended with.
fn verdict_name(number: u32) -> &'static str {
    match number {
        verdict::NONE => "end of chain",
        verdict::ACCEPT => "accept",
        verdict::DROP => "drop",
        verdict::REJECT => "reject",
        verdict::NAT => "nat",
        verdict::NOTRACK => "notrack",
        _ => "error",
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, us) = (self.time_ns / 1_000_000_000, self.time_ns / 1000 % 1_000_000);
        write!(f, "{s}.{us:06} {}/{} in={}", self.cpu, self.packet, self.ingress)?;
        if let Some(egress) = self.egress {
            write!(f, " out={egress}")?;
        }
        write!(f, " {}: {}", self.stage, self.summary)?;
        match &self.reason {
            Some(reason) => write!(f, " -> {reason}"),
            None => Ok(()),
        }
    }
}

/// A running trace. Its file descriptor becomes readable when there are steps; dropping it switches tracing off.
pub struct Trace {
    ring: RingBuf<MapData>,
    pulse: Pulse,
    /// For the rules.
    plane: Inspector,
}

impl Trace {
    /// The next step, if there is one.
    #[expect(clippy::should_implement_trait, reason = "None means nothing now, not the end")]
    pub fn next(&mut self) -> Option<Step> {
        let item = self.ring.next()?;
        let event = from_bytes::<Event>(&item);
        drop(item);
        event.map(|event| Step::new(&event, |walked| self.plane.met(walked)))
    }
}

impl AsFd for Trace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl AsRawFd for Trace {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        self.pulse.set_flag(flag::TRACE, false);
    }
}

impl Inspector {
    /// Starts to trace. There is one trace at a time.
    pub fn trace(&self, filter: Filter) -> Result<Trace, Error> {
        let pulse = self.pulse();
        if pulse.read().flags & flag::TRACE != 0 {
            return Err(Error::TraceBusy);
        }
        let mut ring = maps::events(&self.pins)?;
        // What an earlier trace left behind.
        while ring.next().is_some() {}
        maps::set_trace_filter(&self.pins, &filter.into())?;
        pulse.set_flag(flag::TRACE, true);
        let plane = Inspector { pins: self.pins.clone(), maps: Maps::open(&self.pins)? };
        Ok(Trace { ring, pulse, plane })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_become_masks() {
        let filter = Filter {
            source: Some((IpAddr::from([192, 0, 2, 7]), 24)),
            destination: Some((IpAddr::from([0, 0, 0, 0]), 0)),
            protocol: Some(17),
            ..Filter::default()
        };
        let raw = TraceFilter::from(filter);
        assert_eq!(raw.source_mask[..5], [255, 255, 255, 0, 0]);
        assert_eq!((raw.destination_mask, raw.family, raw.protocol), ([0; 16], 4, 17));
        let v6 = Filter { source: Some(("2001:db8::1".parse().unwrap(), 128)), ..Filter::default() };
        assert_eq!((TraceFilter::from(v6).source_mask, TraceFilter::from(v6).family), ([255; 16], 6));
        assert_eq!(TraceFilter::from(Filter::default()), TraceFilter::default());
    }

    #[test]
    fn a_step_names_stage_and_reason() {
        let mut event = Event {
            time_ns: 1_234_567_890,
            packet: 5,
            cpu: 1,
            ingress: 2,
            egress: 3,
            length_bytes: 60,
            stage: Stage::End as u16,
            reason: Reason::TtlExceeded as u16,
            head: [0; HEAD_BYTES],
        };
        let text = Step::of(&event).to_string();
        assert!(text.starts_with("1.234567 1/5 in=2 out=3 end: "), "{text}");
        assert!(text.ends_with("-> ttl-exceeded"), "{text}");
        (event.stage, event.reason, event.egress) = (999, 0, 0);
        let step = Step::of(&event);
        assert_eq!((step.stage.as_str(), step.reason, step.egress), ("999", None, None));
    }
}
