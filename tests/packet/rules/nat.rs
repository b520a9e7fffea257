//! What the tables of NAT's actions share.

use std::net::{IpAddr, SocketAddr};

use router_tests::packet::{describe, on};

use super::*;
use crate::lab::{HOST1, HOST2, ROUTER1, ROUTER2};

/// One line: the rest of a rule, a packet's source and destination, and what they become.
pub type Line<'a> = (&'a str, &'a str, &'a str);

const ACK: u8 = 16;
const SYN: u8 = 2;

#[derive(Clone, Copy, Debug)]
struct Ends {
    src: SocketAddr,
    dst: SocketAddr,
}

impl Ends {
    fn of(text: &str) -> Ends {
        let (src, dst) = text.split_once(' ').unwrap_or_else(|| panic!("two ends: {text}"));
        let end = |text: &str| text.parse().unwrap_or_else(|_| panic!("address and port: {text}"));
        Ends { src: end(src), dst: end(dst) }
    }

    fn back(self) -> Ends {
        Ends { src: self.dst, dst: self.src }
    }

    /// A datagram, or a segment of a handshake that goes on as far as `step`.
    fn fill(self, frame: Frame, protocol: u8, step: u8) -> Frame {
        let frame = frame.ip(&self.src.ip().to_string(), &self.dst.ip().to_string());
        let (source, destination) = (self.src.port(), self.dst.port());
        if protocol == 17 {
            return frame.udp(source, destination, 20);
        }
        let (flags, seq, ack) = match step {
            0 => (SYN, 1000, 0),
            1 => (SYN | ACK, 5000, 1001),
            _ => (ACK, 1001, 5001),
        };
        frame.tcp(Segment { source, destination, seq, ack, flags }, 0)
    }
}

/// Where a host of that address is: behind ether1, or behind ether2 as all others.
fn is_inside(address: IpAddr) -> bool {
    let text = address.to_string();
    text.starts_with("192.0.2.") || text.starts_with("2001:db8:1:")
}

fn from(address: IpAddr) -> Frame {
    if is_inside(address) { on("ether1", HOST1, ROUTER1) } else { on("ether2", HOST2, ROUTER2) }
}

fn is_own(address: IpAddr) -> bool {
    ["192.0.2.1", "198.51.100.1", "2001:db8:1::1", "2001:db8:2::1"].contains(&address.to_string().as_str())
}

/// Runs a packet that comes in and compares what becomes of it.
#[track_caller]
fn comes(rig: &mut Rig, hook: Hook, sent: Ends, becomes: Ends, protocol: u8, step: u8, what: &str) {
    let frame = sent.fill(from(sent.src.ip()), protocol, step);
    let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
    let expected = becomes.fill(frame, protocol, step);
    let (reason, expected) = match (is_own(becomes.dst.ip()), hook) {
        (true, _) => ("local", expected),
        (false, Hook::Xdp) => ("forwarded", expected.ttl(63)),
        (false, _) => ("forwarded-tc", expected.ttl(63)),
    };
    assert_eq!(answer.reasons, [reason], "{what}");
    assert_eq!(answer.frame[14..], expected.packet(), "{what}: {}", describe(&answer.frame));
}

/// As [`comes`], for an answer of the host itself.
#[track_caller]
fn host_sends(rig: &mut Rig, sent: Ends, becomes: Ends, protocol: u8, step: u8, what: &str) {
    let inside = is_inside(becomes.dst.ip());
    let port = if inside { on("ether1", ROUTER1, HOST1) } else { on("ether2", ROUTER2, HOST2) };
    let frame = sent.fill(port, protocol, step);
    let answer = rig.run(Hook::TcEgress, &frame.port, &frame.bytes()).unwrap();
    assert!(answer.reasons.is_empty(), "{what}: {:?}", answer.reasons);
    let expected = becomes.fill(frame, protocol, step);
    assert_eq!(answer.frame[14..], expected.packet(), "{what}: {}", describe(&answer.frame));
}

/// Runs each line's packet as UDP and as TCP, in XDP and in tc, by the slow path and then by what was decided; and its
/// answers, which have to find back.
#[track_caller]
pub fn check(menu: &str, lines: &[Line<'_>]) {
    let mut rig = firewall();
    for (rule, sent, becomes) in lines {
        let (sent, becomes) = (Ends::of(sent), Ends::of(becomes));
        for (protocol, name) in [(17, "udp"), (6, "tcp")] {
            rig.rules(&format!("/{menu} {rule}").replace("PROTOCOL", name)).unwrap();
            for hook in HOOKS {
                // All that was before has expired.
                rig.control(|control| control.tick += 1_000_000).unwrap();
                for step in [0, 1, 2, 3] {
                    let what = format!("{menu} {rule}, {name}, {hook:?}, step {step}");
                    if step != 1 {
                        comes(&mut rig, hook, sent, becomes, protocol, step, &what);
                    } else if is_own(becomes.dst.ip()) {
                        host_sends(&mut rig, becomes.back(), sent.back(), protocol, step, &what);
                    } else {
                        comes(&mut rig, hook, becomes.back(), sent.back(), protocol, step, &what);
                    }
                }
            }
        }
    }
}
