//! Echo requests from the router itself (RFC 792, RFC 4443), one after the other, on the thread that asks.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use config::script::{Echo, Ping};
use router_common::csum;
use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

/// How long an answer is waited for.
const TIMEOUT: Duration = Duration::from_secs(1);
const ICMP: usize = 8;
const IPV4_ECHO: u8 = 8;
const IPV6_ECHO: u8 = 128;

/// Tells the runs of this process apart; answers carry it.
static NEXT: AtomicU16 = AtomicU16::new(1);

/// Sends what is asked for, out of a device where one is named, and waits for each answer in turn.
pub fn run(ping: &Ping, device: Option<&str>) -> Result<Vec<Echo>, String> {
    run_with(ping, device, TIMEOUT)
}

/// [`run`] with another time to wait for an answer.
pub fn run_with(ping: &Ping, device: Option<&str>, timeout: Duration) -> Result<Vec<Echo>, String> {
    let socket =
        open(ping, device).map_err(|error| format!("failure: can not send echo requests: {error}"))?;
    let run = Run {
        socket,
        to: ping.address,
        // The process id alone would be another program's too.
        id: (std::process::id() as u16).rotate_left(8) ^ NEXT.fetch_add(1, Ordering::Relaxed),
        timeout,
    };
    let mut echoes = Vec::new();
    for n in 0..ping.count {
        let begin = Instant::now();
        let sequence = u16::try_from(n & 0xFFFF).unwrap_or(0);
        echoes.push(run.one(sequence, ping.size_bytes));
        if n + 1 < ping.count {
            std::thread::sleep(ping.interval.saturating_sub(begin.elapsed()));
        }
    }
    Ok(echoes)
}

fn open(ping: &Ping, device: Option<&str>) -> io::Result<Socket> {
    let (domain, protocol) = match ping.address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    if let Some(device) = device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    if let Some(address) = ping.src_address {
        socket.bind(&SocketAddr::new(address, 0).into())?;
    }
    if let Some(ttl) = ping.ttl {
        match ping.address {
            IpAddr::V4(_) => socket.set_ttl_v4(ttl.into())?,
            IpAddr::V6(_) => socket.set_unicast_hops_v6(ttl.into())?,
        }
    }
    Ok(socket)
}

struct Run {
    socket: Socket,
    to: IpAddr,
    id: u16,
    timeout: Duration,
}

impl Run {
    fn one(&self, sequence: u16, size: u16) -> Echo {
        let lost =
            |status: &str| Echo { from: None, size_bytes: size, ttl: 0, time: None, status: status.into() };
        let header = if self.to.is_ipv4() { 20 } else { 40 };
        let length = usize::from(size).saturating_sub(header).max(ICMP);
        let request = request(self.to.is_ipv4(), self.id, sequence, length);
        let begin = Instant::now();
        if let Err(error) = self.socket.send_to(&request, &SocketAddr::new(self.to, 0).into()) {
            return lost(match error.kind() {
                io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "no route to host",
                _ => "send failed",
            });
        }
        loop {
            let left = self.timeout.saturating_sub(begin.elapsed());
            if left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err() {
                return lost("timeout");
            }
            let mut buffer = [0; 2048];
            let received = rustix::net::recvfrom(&self.socket, &mut buffer, RecvFlags::empty());
            let Ok((length, _, from)) = received else {
                // The time is over, or an error of the socket that belongs to an earlier request.
                continue;
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            let from = from.and_then(|address| SocketAddr::try_from(address).ok()).map(|a| a.ip());
            match answer(bytes, self.to.is_ipv4(), self.id, sequence) {
                Some(Answer::Reply { ttl }) => {
                    let time = Some(begin.elapsed());
                    return Echo { from, size_bytes: size, ttl, time, status: String::new() };
                }
                Some(Answer::Refused { status }) => return Echo { from, ..lost(status) },
                None => {}
            }
        }
    }
}

/// An echo request; the kernel works out the checksum of version 6 (RFC 3542, section 3.1).
fn request(v4: bool, id: u16, sequence: u16, length: usize) -> Vec<u8> {
    let mut bytes = vec![if v4 { IPV4_ECHO } else { IPV6_ECHO }, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.resize(length.max(ICMP), 0);
    if v4 {
        let sum = csum::finish(csum::sum(&bytes)).to_be_bytes();
        for (place, byte) in bytes.iter_mut().skip(2).zip(sum) {
            *place = byte;
        }
    }
    bytes
}

#[derive(Debug, PartialEq)]
enum Answer {
    /// `ttl` is 0 where the socket doesn't tell it.
    Reply {
        ttl: u8,
    },
    Refused {
        status: &'static str,
    },
}

/// What a packet says about our request; None where it is about something else.
fn answer(packet: &[u8], v4: bool, id: u16, sequence: u16) -> Option<Answer> {
    let (ttl, message) = match v4 {
        true => (*packet.get(8)?, packet.get(header_length(packet)?..)?),
        false => (0, packet),
    };
    let is_ours = |message: &[u8]| {
        let tail = [id.to_be_bytes(), sequence.to_be_bytes()].concat();
        message.get(4..ICMP) == Some(tail.as_slice())
    };
    let kind = *message.first()?;
    match (v4, kind) {
        (true, 0) | (false, 129) => is_ours(message).then_some(Answer::Reply { ttl }),
        (true, 3 | 11) => {
            let inner = message.get(ICMP..)?;
            let ours = is_ours(inner.get(header_length(inner)?..)?);
            let status = if kind == 11 { "TTL exceeded" } else { "host unreachable" };
            ours.then_some(Answer::Refused { status })
        }
        (false, 1 | 3) => {
            let ours = is_ours(message.get(ICMP + 40..)?);
            let status = if kind == 3 { "TTL exceeded" } else { "host unreachable" };
            ours.then_some(Answer::Refused { status })
        }
        _ => None,
    }
}

/// Of an IPv4 packet.
fn header_length(packet: &[u8]) -> Option<usize> {
    let words = usize::from(packet.first()? & 0xF);
    (words >= 5).then_some(words * 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 57, 1, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
        packet.extend(message);
        packet
    }

    #[test]
    fn a_request_has_a_right_checksum_and_the_length_asked_for() {
        let request = request(true, 0x1234, 7, 36);
        assert_eq!(request.len(), 36);
        assert_eq!(&request[4..8], [0x12, 0x34, 0, 7]);
        assert_eq!(csum::finish(csum::sum(&request)), 0, "the sum over all of it");
    }

    #[test]
    fn answers_are_those_to_our_request() {
        let reply = v4(&[0, 0, 0, 0, 0x12, 0x34, 0, 7]);
        assert_eq!(answer(&reply, true, 0x1234, 7), Some(Answer::Reply { ttl: 57 }));
        assert_eq!(answer(&reply, true, 0x1234, 8), None);
        assert_eq!(answer(&reply, true, 0x1235, 7), None);
        let asked = v4(&[8, 0, 0, 0, 0x12, 0x34, 0, 7]);
        assert_eq!(answer(&asked, true, 0x1234, 7), None, "a request is no answer");
        let unreachable = v4(&[&[3, 1, 0, 0, 0, 0, 0, 0], asked.as_slice()].concat());
        assert_eq!(
            answer(&unreachable, true, 0x1234, 7),
            Some(Answer::Refused { status: "host unreachable" })
        );
        for length in 0..unreachable.len() {
            assert_eq!(answer(&unreachable[..length], true, 0x1234, 7), None, "cut at {length}");
        }
        let reply6 = [129, 0, 0, 0, 0x12, 0x34, 0, 7];
        assert_eq!(answer(&reply6, false, 0x1234, 7), Some(Answer::Reply { ttl: 0 }));
    }
}
