//! Translation: every checksum of what comes out is what summing anew gives, and what can't be translated is dropped
//! under a name.

use router_common::csum;
use router_common::maps::flow::{Tracking, tracking};
use router_tests::packet::{Frame, Hook, Rig, Segment, describe, on};

use crate::lab::{HOST2, ROUTER2, from_host1, router};

const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];
const ROUNDS: u32 = 60;
const ETHERNET: usize = 14;

const MASQUERADE: &str = "/ip firewall nat add chain=srcnat out-interface=ether2 action=masquerade
/ipv6 firewall nat add chain=srcnat out-interface=ether2 action=masquerade";

fn translating(rules: &str) -> Rig {
    let mut rig = router();
    rig.track(Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() }).unwrap();
    rig.rules(rules).unwrap();
    rig
}

/// Numbers without a pattern, the same in each run (Marsaglia, "Xorshift RNGs").
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % most
    }
    fn port(&mut self) -> u16 {
        1024 + self.below(60_000) as u16
    }
    fn bytes(&mut self) -> Vec<u8> {
        (0..self.below(200)).map(|_| self.below(256) as u8).collect()
    }
}

/// An IP packet's parts: source, destination, protocol, header length.
fn parts(packet: &[u8]) -> (&[u8], &[u8], u8, usize) {
    match packet[0] >> 4 {
        4 => (&packet[12..16], &packet[16..20], packet[9], 20),
        _ => (&packet[8..24], &packet[24..40], packet[6], 40),
    }
}

/// Sums all of a packet anew.
#[track_caller]
fn assert_summed(packet: &[u8]) {
    let (src, dst, protocol, header) = parts(packet);
    if header == 20 {
        assert_eq!(csum::fold(csum::sum(&packet[..20])), 0xffff, "IP header {packet:02x?}");
    }
    let upper = &packet[header..];
    let pseudo = match protocol {
        1 => 0,
        _ => csum::sum(src) + csum::sum(dst) + u64::from(protocol) + upper.len() as u64,
    };
    assert_eq!(csum::fold(pseudo + csum::sum(upper)), 0xffff, "protocol {protocol} {packet:02x?}");
}

#[track_caller]
fn forward(rig: &mut Rig, hook: Hook, frame: &Frame) -> Vec<u8> {
    let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
    let expected = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
    assert_eq!(answer.reasons, [expected], "{}", describe(&answer.frame));
    let packet = answer.frame[ETHERNET..].to_vec();
    assert_summed(&packet);
    packet
}

/// One connection of either family: the host inside, the peer outside, the router's address there.
fn addresses(random: &mut Random) -> (&'static str, String, &'static str) {
    let outside = random.below(0x10000);
    match random.below(2) {
        0 => ("192.0.2.2", format!("10.1.{}.{}", outside >> 8, outside & 0xff), "198.51.100.1"),
        _ => ("2001:db8:1::2", format!("2001:db8:a1::{outside:x}"), "2001:db8:2::1"),
    }
}

fn from_host2(source: &str, destination: &str) -> Frame {
    on("ether2", HOST2, ROUTER2).ip(source, destination)
}

/// Ports of a packet; its identifier where it has none.
fn ports(packet: &[u8]) -> (u16, u16) {
    let at = parts(packet).3;
    let port = |at: usize| u16::from_be_bytes([packet[at], packet[at + 1]]);
    match parts(packet).2 {
        1 | 58 => (port(at + 4), port(at + 4)),
        _ => (port(at), port(at + 2)),
    }
}

/// A packet of the connection, and one that answers what it came out as.
fn pair(random: &mut Random, kind: u64, step: u8) -> impl Fn(Frame, (u16, u16), bool) -> Frame {
    let (bytes, length) = (random.bytes(), random.below(200) as usize);
    move |frame, (source, destination), answers| match kind {
        0 => frame.udp(source, destination, length),
        1 => {
            let (seq, ack) = if answers { (5000, 1001) } else { (1000, 5001) };
            let flags = match (step, answers) {
                (0, false) => 2,
                (0, true) => 18,
                _ => 16,
            };
            let seq = seq + u32::from(step > 0);
            let ack = if flags == 2 { 0 } else { ack };
            frame.tcp(Segment { source, destination, seq, ack, flags }, 0)
        }
        _ => {
            let [high, low] = source.to_be_bytes();
            let of4 = frame.packet()[0] >> 4 == 4;
            let kind = match (of4, answers) {
                (true, false) => 8,
                (true, true) => 0,
                (false, false) => 128,
                (false, true) => 129,
            };
            frame.icmp(kind, 0, [high, low, 0, step], &bytes)
        }
    }
}

#[test]
fn sums_of_random_packets_are_whole_both_ways() {
    for hook in HOOKS {
        let mut rig = translating(MASQUERADE);
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..ROUNDS {
            let (inside, outside, own) = addresses(&mut random);
            let kind = random.below(3);
            let (mine, theirs) = (random.port(), random.port());
            // The first is translated by the slow path, the third by the fast one.
            for step in 0..3 {
                let make = pair(&mut random, kind, step);
                let out =
                    forward(&mut rig, hook, &make(from_host1().ip(inside, &outside), (mine, theirs), false));
                let expected = from_host2(own, &outside).packet();
                assert_eq!(parts(&out).0, parts(&expected).0, "round {round}, kind {kind}, step {step}");
                let (source, destination) = ports(&out);
                let answer = make(from_host2(&outside, own), (destination, source), true);
                let back = forward(&mut rig, hook, &answer);
                let expected = from_host1().ip(&outside, inside).packet();
                assert_eq!(parts(&back).1, parts(&expected).1, "round {round}, kind {kind}, step {step}");
                assert_eq!(ports(&back).1, mine, "round {round}, kind {kind}, step {step}");
            }
        }
    }
}

/// A datagram that says that it has no checksum has none afterwards.
#[test]
fn no_checksum_stays_none() {
    for hook in HOOKS {
        let mut rig = translating(MASQUERADE);
        let mut bytes = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 20).bytes();
        bytes[40..42].fill(0);
        for _ in 0..2 {
            let answer = rig.run(hook, "ether1", &bytes).unwrap();
            assert_eq!(answer.frame[26..30], [198, 51, 100, 1], "{}", describe(&answer.frame));
            assert_eq!(answer.frame[40..42], [0, 0], "{hook:?}");
        }
    }
}

/// An error quotes what left, and its receiver reads what he has sent: addresses, ports and all checksums.
#[test]
fn an_error_quotes_what_its_receiver_has_sent() {
    for hook in HOOKS {
        let mut rig = translating(MASQUERADE);
        let mut random = Random(0x0123_4567_89ab_cdef);
        for round in 0..ROUNDS {
            let (inside, outside, own) = addresses(&mut random);
            let kind = random.below(3);
            let of = (random.port(), random.port());
            let sent = pair(&mut random, kind, 0)(from_host1().ip(inside, &outside), of, false);
            let left = forward(&mut rig, hook, &sent);
            // Eight bytes behind the header at least (RFC 792), or all of it.
            let header = parts(&left).3;
            let length = match random.below(2) {
                0 => header + 8,
                _ => left.len(),
            };
            let (reporter, kind, code) =
                if header == 20 { ("198.51.100.77", 3, 1) } else { ("2001:db8:2::77", 1, 3) };
            let error = from_host2(reporter, own).icmp(kind, code, [0; 4], &left[..length]);
            let heard = forward(&mut rig, hook, &error);
            assert_eq!(parts(&heard).1, parts(&sent.packet()).0, "round {round}");
            let quote = &heard[header + 8..];
            let expected = sent.ttl(63).packet();
            assert!(
                quote == &expected[..length],
                "round {round}\n{quote:02x?}\n{:02x?}",
                &expected[..length]
            );
        }
    }
}

#[test]
fn a_connection_that_no_port_is_left_for_is_dropped_under_a_name() {
    for (hook, inside, outside, elsewhere) in [
        (Hook::Xdp, "192.0.2.2", "10.1.0.1", "10.1.0.2"),
        (Hook::TcIngress, "192.0.2.2", "10.1.0.1", "10.1.0.2"),
        (Hook::Xdp, "2001:db8:1::2", "2001:db8:a1::1", "2001:db8:a1::2"),
    ] {
        let mut rig = translating(
            "/ip firewall nat add chain=srcnat out-interface=ether2 protocol=udp action=masquerade to-ports=5000-5003
/ipv6 firewall nat add chain=srcnat out-interface=ether2 protocol=udp action=masquerade to-ports=5000-5003",
        );
        let frame = |port, to| from_host1().ip(inside, to).udp(port, 53, 20);
        let mut given: Vec<u16> =
            (0..4).map(|port| ports(&forward(&mut rig, hook, &frame(4000 + port, outside))).0).collect();
        given.sort_unstable();
        assert_eq!(given, [5000, 5001, 5002, 5003]);
        for _ in 0..2 {
            let answer = rig.run(hook, "ether1", &frame(4004, outside).bytes()).unwrap();
            assert_eq!(answer.reasons, ["nat-exhausted"], "{hook:?} {inside}");
        }
        // Ports are those towards one peer, and come back with the connections that had them.
        forward(&mut rig, hook, &frame(4004, elsewhere));
        rig.control(|control| control.tick += 31).unwrap();
        forward(&mut rig, hook, &frame(4004, outside));
    }
}

#[test]
fn masquerade_behind_a_port_without_an_address_is_dropped_under_a_name() {
    for hook in HOOKS {
        let mut rig = translating("/ip firewall nat add chain=srcnat out-interface=ether3 action=masquerade");
        let frame = from_host1().ip("192.0.2.2", "203.0.113.2").udp(4000, 53, 20);
        let answer = rig.run(hook, "ether1", &frame.bytes()).unwrap();
        assert_eq!(answer.reasons, ["nat-no-address"]);
        assert_eq!(rig.flows4().unwrap(), []);
    }
}
