//! One line about a frame, from its first bytes.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Addresses, protocol, ports and TTL of a frame. Devices without Ethernet header give the packet itself.
pub fn of_frame(frame: &[u8]) -> String {
    match be16(frame, 12) {
        Some(0x0800) => ipv4(frame.get(14..).unwrap_or_default()),
        Some(0x86dd) => ipv6(frame.get(14..).unwrap_or_default()),
        Some(0x0806) => "ARP".to_owned(),
        Some(0x8100 | 0x88a8) => format!("VLAN {}", be16(frame, 14).unwrap_or(0) & 0xfff),
        other => match (frame.first().map(|b| b >> 4), other) {
            (Some(4), _) if frame.len() >= 20 => ipv4(frame),
            (Some(6), _) if frame.len() >= 40 => ipv6(frame),
            (_, Some(ethertype)) => format!("ethertype {ethertype:#06x}"),
            (_, None) => format!("{} bytes", frame.len()),
        },
    }
}

fn ipv4(packet: &[u8]) -> String {
    let (Some(source), Some(destination)) = (array::<4>(packet, 12), array::<4>(packet, 16)) else {
        return "IPv4, cut short".to_owned();
    };
    let header = packet.first().map_or(0, |b| usize::from(b & 15) * 4);
    let fragment = be16(packet, 6).unwrap_or(0);
    let protocol = packet.get(9).copied().unwrap_or(0);
    let first = fragment & 0x1fff == 0;
    let ports = if first { ports(protocol, packet.get(header..).unwrap_or_default()) } else { None };
    let (source, destination) = (Ipv4Addr::from(source), Ipv4Addr::from(destination));
    let mut line = match ports {
        Some((from, to)) => format!("{source}:{from} > {destination}:{to}"),
        None => format!("{source} > {destination}"),
    };
    // Writing to a string can't fail.
    let _ = write!(line, " {} ttl {}", protocol_name(protocol), packet.get(8).copied().unwrap_or(0));
    if fragment & 0x3fff != 0 {
        let _ = write!(line, " fragment {}", (fragment & 0x1fff) * 8);
    }
    line
}

fn ipv6(packet: &[u8]) -> String {
    let (Some(source), Some(destination)) = (array::<16>(packet, 8), array::<16>(packet, 24)) else {
        return "IPv6, cut short".to_owned();
    };
    let protocol = packet.get(6).copied().unwrap_or(0);
    let (source, destination) = (Ipv6Addr::from(source), Ipv6Addr::from(destination));
    let line = match ports(protocol, packet.get(40..).unwrap_or_default()) {
        Some((from, to)) => format!("[{source}]:{from} > [{destination}]:{to}"),
        None => format!("{source} > {destination}"),
    };
    format!("{line} {} hop-limit {}", protocol_name(protocol), packet.get(7).copied().unwrap_or(0))
}

fn ports(protocol: u8, payload: &[u8]) -> Option<(u16, u16)> {
    matches!(protocol, TCP | UDP).then_some(())?;
    Some((be16(payload, 0)?, be16(payload, 2)?))
}

fn protocol_name(number: u8) -> String {
    match number {
        1 => "icmp".to_owned(),
        TCP => "tcp".to_owned(),
        UDP => "udp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => format!("protocol {other}"),
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>().copied()
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain::Question;

    #[test]
    fn crafted_packets_read_as_they_were_asked_for() {
        let mut question = Question {
            ingress: 2,
            source: "192.0.2.1".parse().unwrap(),
            destination: "198.51.100.9".parse().unwrap(),
            protocol: TCP,
            source_port: 40000,
            destination_port: 443,
        };
        let line = of_frame(&question.frame([2; 6]));
        assert_eq!(line, "192.0.2.1:40000 > 198.51.100.9:443 tcp ttl 64");
        question.protocol = 1;
        assert_eq!(of_frame(&question.frame([2; 6])), "192.0.2.1 > 198.51.100.9 icmp ttl 64");
        question.protocol = UDP;
        question.source = "2001:db8::1".parse().unwrap();
        question.destination = "2001:db8:1::9".parse().unwrap();
        let line = of_frame(&question.frame([2; 6]));
        assert_eq!(line, "[2001:db8::1]:40000 > [2001:db8:1::9]:443 udp hop-limit 64");
    }

    #[test]
    fn no_length_makes_it_panic() {
        for frame in [[0x45; 96], [0x08; 96], [0x86; 96], [0x60; 96], [0; 96]] {
            for length in 0..frame.len() {
                of_frame(&frame[..length]);
                let mut ethernet = vec![0; 12];
                ethernet.extend([0x08, 0x00]);
                ethernet.extend(&frame[..length]);
                of_frame(&ethernet);
                ethernet[12..14].copy_from_slice(&[0x86, 0xdd]);
                of_frame(&ethernet);
            }
        }
    }
}
