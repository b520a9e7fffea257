//! ICMP errors that the pipeline makes itself: their bytes, their limits, and where there must be none.

use etherparse::{Icmpv4Type, Icmpv6Type, NetSlice, SlicedPacket, TransportSlice};
use router_tests::packet::{Frame, Hook, Rig};

use crate::lab::{HOST1, ROUTER1, from_host1, router};

/// What an error says: its type, code and MTU.
type Said = (u8, u8, u32);

/// Checks every layer of an error, checksums included, and gives what it says and how much it quotes.
fn parse(frame: &[u8], offending: &[u8], l2: bool) -> (Said, usize) {
    let packet =
        if l2 { SlicedPacket::from_ethernet(frame) } else { SlicedPacket::from_ip(frame) }.expect("a packet");
    let (said, quote) =
        match (packet.net.expect("an IP header"), packet.transport.expect("a transport header")) {
            (NetSlice::Ipv4(ip), TransportSlice::Icmpv4(icmp)) => {
                let header = ip.header();
                assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
                assert_eq!((header.source(), header.destination()), ([192, 0, 2, 1], [192, 0, 2, 2]));
                assert_eq!((header.ttl(), header.total_len() as usize), (64, 28 + icmp.payload().len()));
                assert!(header.total_len() <= 576);
                let Icmpv4Type::Unknown { type_u8, code_u8, .. } = icmp.icmp_type() else {
                    let [kind, code, ..] = *icmp.slice() else { panic!("short") };
                    let mtu = u16::from_be_bytes([icmp.slice()[6], icmp.slice()[7]]);
                    assert_eq!(checksum(icmp.slice(), 0), 0xffff);
                    return ((kind, code, u32::from(mtu)), quoted(icmp.payload(), offending, l2));
                };
                ((type_u8, code_u8, 0), icmp.payload())
            }
            (NetSlice::Ipv6(ip), TransportSlice::Icmpv6(icmp)) => {
                let header = ip.header();
                assert_eq!(header.source_addr().to_string(), "2001:db8:1::1");
                assert_eq!(header.destination_addr().to_string(), "2001:db8:1::2");
                assert_eq!((header.hop_limit(), header.payload_length() as usize), (64, icmp.slice().len()));
                assert!(header.payload_length() <= 1240);
                assert!(icmp.is_checksum_valid(header.source(), header.destination()));
                let mtu = match icmp.icmp_type() {
                    Icmpv6Type::PacketTooBig { mtu } => mtu,
                    _ => 0,
                };
                ((icmp.slice()[0], icmp.slice()[1], mtu), icmp.payload())
            }
            other => panic!("no ICMP error: {other:?}"),
        };
    (said, quoted(quote, offending, l2))
}

/// The quote has to be how the offending packet began.
fn quoted(quote: &[u8], offending: &[u8], l2: bool) -> usize {
    let packet = &offending[if l2 { 14 } else { 0 }..];
    assert_eq!(quote, &packet[..quote.len()]);
    quote.len()
}

fn checksum(bytes: &[u8], start: u64) -> u16 {
    router_common::csum::fold(start + router_common::csum::sum(bytes))
}

/// Sends the frame in at ether1 and expects an error back to its sender.
fn refused(rig: &mut Rig, frame: &Frame, reason: &str, said: Said, quote: usize) {
    let bytes = frame.bytes();
    let answer = rig.run(Hook::Xdp, "ether1", &bytes).unwrap();
    assert_eq!(answer.reasons, ["icmp-sent", reason]);
    assert_eq!((answer.action, answer.egress.as_deref()), (4, Some("ether1")));
    assert_eq!((&answer.frame[..6], &answer.frame[6..12]), (&HOST1[..], &ROUTER1[..]));
    assert_eq!(parse(&answer.frame, &bytes, true), (said, quote), "XDP");

    let answer = rig.run(Hook::TcIngress, "ether1", &bytes).unwrap();
    assert_eq!(answer.reasons, ["icmp-sent", reason]);
    assert_eq!((answer.action, answer.egress.as_deref()), (7, Some("ether1")));
    assert_eq!(answer.mark, 0x0100_0000);
    assert_eq!(parse(&answer.frame, &bytes, true), (said, quote), "tc");
}

fn v4(destination: &str) -> Frame {
    from_host1().ip("192.0.2.2", destination)
}

fn v6(destination: &str) -> Frame {
    from_host1().ip("2001:db8:1::2", destination)
}

#[test]
fn rfc1812_5_3_1_time_exceeded() {
    let mut rig = router();
    for ttl in [0, 1] {
        refused(&mut rig, &v4("10.1.0.1").ttl(ttl), "ttl-exceeded", (11, 0, 0), 60);
        refused(&mut rig, &v6("2001:db8:a1::1").ttl(ttl), "ttl-exceeded", (3, 0, 0), 80);
    }
}

#[test]
fn rfc1191_fragmentation_needed_and_rfc8201_packet_too_big() {
    let mut rig = router();
    let big = v4("203.0.113.2").udp(1, 2, 1400 - 27).dont_fragment();
    refused(&mut rig, &big, "too-big", (3, 4, 1400), 548);
    let big = v6("2001:db8:3::2").udp(1, 2, 1400 - 47);
    refused(&mut rig, &big, "too-big", (2, 0, 1400), 1232);
    // A route's own MTU counts like the device's.
    let big = v4("10.8.0.1").udp(1, 2, 1000 - 27).dont_fragment();
    refused(&mut rig, &big, "too-big", (3, 4, 1000), 548);
}

#[test]
fn quotes_of_every_length_add_up() {
    let mut rig = router();
    for payload in (0..600).step_by(7).chain(509..524) {
        let quote4 = (28 + payload).min(548);
        refused(&mut rig, &v4("10.1.0.1").ttl(1).udp(7, 8, payload), "ttl-exceeded", (11, 0, 0), quote4);
    }
    for payload in (0..1400).step_by(97).chain(460..470).chain(970..980) {
        let quote6 = (48 + payload).min(1232);
        refused(&mut rig, &v6("2001:db8:a1::1").ttl(1).udp(7, 8, payload), "ttl-exceeded", (3, 0, 0), quote6);
    }
}

#[test]
fn rfc1812_5_2_7_1_unreachable_destinations() {
    let mut rig = router();
    refused(&mut rig, &v4("10.99.0.1"), "no-route", (3, 0, 0), 60);
    refused(&mut rig, &v4("10.3.0.1"), "unreachable", (3, 1, 0), 60);
    refused(&mut rig, &v4("10.4.0.1"), "prohibited", (3, 13, 0), 60);
    refused(&mut rig, &v6("2001:db8:99::1"), "no-route", (1, 0, 0), 80);
    refused(&mut rig, &v6("2001:db8:a3::1"), "unreachable", (1, 0, 0), 80);
    refused(&mut rig, &v6("2001:db8:a4::1"), "prohibited", (1, 1, 0), 80);
}

#[test]
fn a_failed_neighbor_is_reported_until_its_time_is_up() {
    let mut rig = router();
    for (frame, next_hop, said) in [
        (v4("198.51.100.77"), "198.51.100.77", (3, 1, 0)),
        (v6("2001:db8:2::77"), "2001:db8:2::77", (1, 3, 0)),
    ] {
        rig.control(|control| control.tick = 10).unwrap();
        rig.failed("ether2", next_hop.parse().unwrap(), 12).unwrap();
        let quote = frame.bytes().len() - 14;
        refused(&mut rig, &frame, "host-unreachable", said, quote);
        rig.control(|control| control.tick = 12).unwrap();
        assert_eq!(rig.run(Hook::Xdp, "ether1", &frame.bytes()).unwrap().reasons, ["handed-over"]);
    }
}

/// The frame is dropped under its reason and nothing is sent.
fn silent(rig: &mut Rig, frame: &Frame, reason: &str) {
    for (hook, action) in [(Hook::Xdp, 1), (Hook::TcIngress, 2)] {
        let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
        assert_eq!((answer.action, answer.reasons, answer.egress), (action, vec![reason], None), "{hook:?}");
    }
}

#[test]
fn rfc1812_4_3_2_7_no_errors_about_errors_and_later_fragments() {
    let mut rig = router();
    for kind in [3, 4, 5, 11, 12] {
        silent(&mut rig, &v4("10.1.0.1").ttl(1).raw(1, &[kind, 0, 0, 0, 0, 0, 0, 0]), "ttl-exceeded");
    }
    silent(&mut rig, &v4("10.1.0.1").ttl(1).fragment(100, false).raw(17, &[0; 16]), "ttl-exceeded");
    refused(
        &mut rig,
        &v4("10.1.0.1").ttl(1).raw(1, &[8, 0, 0, 0, 0, 0, 0, 0]),
        "ttl-exceeded",
        (11, 0, 0),
        28,
    );
}

#[test]
fn rfc4443_2_4_e_no_errors_about_errors_and_redirects() {
    let mut rig = router();
    for kind in [1, 2, 3, 4, 100, 127, 137] {
        silent(&mut rig, &v6("2001:db8:a1::1").ttl(1).raw(58, &[kind, 0, 0, 0, 0, 0, 0, 0]), "ttl-exceeded");
        let hidden = v6("2001:db8:a1::1").ttl(1).extension(60, &[0; 8]).raw(58, &[kind, 0, 0, 0, 0, 0, 0, 0]);
        silent(&mut rig, &hidden, "ttl-exceeded");
    }
    refused(
        &mut rig,
        &v6("2001:db8:a1::1").ttl(1).raw(58, &[128, 0, 0, 0, 0, 0, 0, 0]),
        "ttl-exceeded",
        (3, 0, 0),
        48,
    );
}

#[test]
fn a_port_without_address_stays_silent() {
    let mut rig = router();
    rig.port("ether1", |port| (port.address4, port.address6) = ([0; 4], [0; 16])).unwrap();
    silent(&mut rig, &v4("10.1.0.1").ttl(1), "ttl-exceeded");
    silent(&mut rig, &v6("2001:db8:a1::1").ttl(1), "ttl-exceeded");
}

#[test]
fn rfc1812_4_3_2_8_errors_are_rate_limited_per_second() {
    let mut rig = router();
    rig.set_settings(router_common::maps::port::Settings {
        icmp_rate: 3,
        ..router_tests::packet::settings()
    })
    .unwrap();
    let frame = v4("10.1.0.1").ttl(1).bytes();
    for second in 5..7 {
        rig.control(|control| control.tick = second).unwrap();
        for number in 0..5 {
            let answer = rig.run(Hook::Xdp, "ether1", &frame).unwrap();
            let expected: [&str; 2] = if number < 3 {
                ["icmp-sent", "ttl-exceeded"]
            } else {
                ["ttl-exceeded", "icmp-rate-limited"]
            };
            assert_eq!(answer.reasons, expected, "number {number} in second {second}");
        }
    }
}

#[test]
fn tc_leaves_errors_about_unfinished_checksums_to_the_kernel() {
    let mut rig = router();
    for frame in [v4("10.1.0.1").ttl(1), v6("2001:db8:a1::1").ttl(1)] {
        let mut bytes = frame.bytes();
        let v6 = bytes[12] == 0x86;
        let (addresses, l4) = if v6 { (22..54, 54) } else { (26..34, 34) };
        let length = (bytes.len() - l4) as u64;
        let pseudo = checksum(&bytes[addresses], length + 17);
        bytes[l4 + 6..l4 + 8].copy_from_slice(&pseudo.to_be_bytes());
        let answer = rig.run(Hook::TcIngress, "ether1", &bytes).unwrap();
        assert_eq!((answer.reasons, answer.mark), (vec!["kernel-forwarded"], 0x0100_0000));
        assert_eq!(answer.frame, bytes);
        // XDP frames carry no such debt.
        assert_eq!(rig.run(Hook::Xdp, "ether1", &bytes).unwrap().reasons, ["icmp-sent", "ttl-exceeded"]);
    }
}
