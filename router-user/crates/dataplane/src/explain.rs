//! Why a packet takes the way it takes: one is made up and run through the programs, which send nothing.

use std::net::IpAddr;

use aya::TestRun;
use aya::programs::{SchedClassifier, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use router_common::verdict::Reason;
use serde::{Deserialize, Serialize};

use crate::link::{self, XDP};
use crate::object::{TC_INGRESS, XDP_PORT};
use crate::trace::{Filter, Step};
use crate::{Error, Inspector, image};

/// The packet to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// ifindex of the port where it comes in.
    pub ingress: u32,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
}

/// What the programs do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The program that ran: `xdp_port`, or `tc_ingress` on ports without XDP.
    pub program: String,
    /// What it returned: `redirect`, `pass`, `drop`, ...
    pub action: String,
    pub steps: Vec<Step>,
    pub reason: Option<String>,
    pub egress: Option<u32>,
    /// XDP forwards it.
    pub fast: bool,
    /// In one sentence for the operator.
    pub why: String,
}

const TTL: u8 = 64;

impl Question {
    /// The frame, towards the given MAC; a TCP packet is a SYN. Layer 4 carries no checksum: nothing here reads it.
    pub(crate) fn frame(&self, port_mac: [u8; 6]) -> Vec<u8> {
        let payload = self.payload();
        let mut frame = port_mac.to_vec();
        frame.extend([0x02, 0, 0, 0, 0, 0xfe]);
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                frame.extend([0x08, 0x00]);
                let length = (20 + payload.len()) as u16;
                let mut header = vec![0x45, 0];
                header.extend(length.to_be_bytes());
                header.extend([0, 0, 0, 0, TTL, self.protocol, 0, 0]);
                header.extend(source.octets());
                header.extend(destination.octets());
                let sum = header_checksum(&header).to_be_bytes();
                header.splice(10..12, sum);
                frame.extend(header);
            }
            _ => {
                let v6 = |address: IpAddr| match address {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend((payload.len() as u16).to_be_bytes());
                frame.extend([self.protocol, TTL]);
                frame.extend(v6(self.source).octets());
                frame.extend(v6(self.destination).octets());
            }
        }
        frame.extend(payload);
        frame
    }

    fn payload(&self) -> Vec<u8> {
        let ports = [self.source_port.to_be_bytes(), self.destination_port.to_be_bytes()].concat();
        match self.protocol {
            6 => [ports, vec![0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0]].concat(),
            17 => [ports, vec![0, 8, 0, 0]].concat(),
            1 => vec![8, 0, 0, 0, 0, 1, 0, 1],
            58 => vec![128, 0, 0, 0, 0, 1, 0, 1],
            _ => vec![0; 8],
        }
    }

    fn filter(&self) -> Filter {
        let ports = matches!(self.protocol, 6 | 17);
        Filter {
            source: Some((self.source, 128)),
            destination: Some((self.destination, 128)),
            ingress: Some(self.ingress),
            protocol: Some(self.protocol),
            source_port: ports.then_some(self.source_port),
            destination_port: ports.then_some(self.destination_port),
            drops: false,
        }
    }
}

/// RFC 1071 over an even number of bytes.
fn header_checksum(header: &[u8]) -> u16 {
    let sum: u32 = header
        .chunks_exact(2)
        .filter_map(|c| c.first_chunk())
        .map(|c| u32::from(u16::from_be_bytes(*c)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

impl Inspector {
    /// Runs one made-up packet. Nothing is sent; the packet does count in the counters.
    pub fn explain(&self, question: &Question) -> Result<Explanation, Error> {
        let (_, slot) = image::active(&self.maps, &self.pulse());
        let Some(port) = slot.ports().find(|port| port.ifindex == question.ingress).copied() else {
            return Err(Error::NoPort(question.ingress));
        };
        let mut trace = self.trace(question.filter())?;
        let frame = question.frame(port.mac);
        let xdp = link::linked_program(&self.pins, XDP, question.ingress).is_some();
        let (program, action) = match xdp {
            true => (XDP_PORT, self.run_xdp(&frame, question.ingress)?),
            false => (TC_INGRESS, self.run_tc(&frame, question.ingress)?),
        };
        let all: Vec<Step> = std::iter::from_fn(|| trace.next()).collect();
        drop(trace);
        // Real packets of the same flow may have been traced as well.
        let ours = all.first().map(|step| (step.cpu, step.packet));
        let steps: Vec<Step> = all.into_iter().filter(|step| Some((step.cpu, step.packet)) == ours).collect();
        let reason = steps.iter().rev().find_map(|step| step.reason.clone());
        let egress = steps.iter().rev().find_map(|step| step.egress);
        let fast = reason.as_deref() == Some(Reason::Forwarded.name());
        let why = why(xdp, reason.as_deref());
        Ok(Explanation {
            program: program.to_owned(),
            action: action.to_owned(),
            steps,
            reason,
            egress,
            fast,
            why,
        })
    }

    fn run_xdp(&self, frame: &[u8], ingress: u32) -> Result<&'static str, Error> {
        let failed = Error::program(XDP_PORT);
        let program = Xdp::from_pin(self.pins.programs().join(XDP_PORT), XdpAttachType::Interface);
        // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex
        let context = words(&[0, frame.len() as u32, 0, ingress, 0, 0]);
        let mut out = vec![0; frame.len() + 256];
        let run = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result = program.and_then(|program| program.test_run(run)).map_err(failed)?;
        Ok(match result.return_value {
            0 => "aborted",
            1 => "drop",
            2 => "pass",
            3 => "transmit",
            4 => "redirect",
            _ => "unknown",
        })
    }

    fn run_tc(&self, frame: &[u8], ingress: u32) -> Result<&'static str, Error> {
        let failed = Error::program(TC_INGRESS);
        let program = SchedClassifier::from_pin(self.pins.programs().join(TC_INGRESS));
        // struct __sk_buff up to ifindex: nine words, then ingress_ifindex, ifindex
        let context = words(&[0, 0, 0, 0, 0, 0, 0, 0, 0, ingress, ingress]);
        let mut out = vec![0; frame.len() + 256];
        let run = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result = program.and_then(|program| program.test_run(run)).map_err(failed)?;
        Ok(match result.return_value as i32 {
            -1 | 0 => "pass",
            2 => "drop",
            7 => "redirect",
            _ => "unknown",
        })
    }
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn why(xdp: bool, reason: Option<&str>) -> String {
    let Some(reason) = reason else { return "the programs gave no reason".to_owned() };
    let is = |r: Reason| reason == r.name();
    if is(Reason::Forwarded) {
        "XDP rewrites and redirects it: the fast path".to_owned()
    } else if is(Reason::ForwardedTc) && !xdp {
        "tc forwards it: XDP does not run on the ingress port, see its mode's reason".to_owned()
    } else if is(Reason::HandedOver) {
        "XDP finishes it, but the host sends it: the neighbour is not resolved yet, or XDP can't transmit to the \
         egress port"
            .to_owned()
    } else if is(Reason::KernelForwarded) {
        "the kernel forwards it, with our mark: it must be fragmented, carries options, or leaves where it came in"
            .to_owned()
    } else {
        match Reason::ALL.iter().find(|r| r.name() == reason) {
            Some(r) if r.is_drop() => format!("it is dropped: {reason}"),
            Some(r) if r.is_host() => format!("it goes to the host: {reason}"),
            _ => reason.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_checksum_is_that_of_the_rfc() {
        // The example of RFC 1071, section 3.
        assert_eq!(header_checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        let question = Question {
            ingress: 1,
            source: "192.0.2.1".parse().unwrap(),
            destination: "198.51.100.9".parse().unwrap(),
            protocol: 17,
            source_port: 1,
            destination_port: 2,
        };
        let frame = question.frame([0; 6]);
        assert_eq!(header_checksum(&frame[14..34]), 0);
    }
}
