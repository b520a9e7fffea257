//! Connection tracking: what the flow table holds after each packet, and which packets need no look any more.

use router_common::conntrack::tcp::state;
use router_common::maps::flow::{Flow4, Tracking, status, tracking};
use router_tests::packet::{Frame, Hook, Rig, Segment, describe};

use crate::lab::{HOST1, HOST2, ROUTER1, ROUTER2, from_host1, from_host2, router};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn tracking_router() -> Rig {
    let mut rig = router();
    rig.track(Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() }).unwrap();
    rig
}

/// Runs the frame and expects it to be forwarded unchanged but for MACs and TTL.
fn forwarded(rig: &mut Rig, hook: Hook, frame: &Frame) {
    let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
    let expected = match hook {
        Hook::Xdp if frame.port == "ether1" => frame.clone().macs(ROUTER2, HOST2).ttl(63).bytes(),
        Hook::Xdp => frame.clone().macs(ROUTER1, HOST1).ttl(63).bytes(),
        _ => frame.clone().ttl(63).bytes(),
    };
    let reason = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
    assert_eq!(answer.reasons, [reason], "{}", describe(&answer.frame));
    assert!(answer.frame == expected, "got {}\nnot {}", describe(&answer.frame), describe(&expected));
}

/// The IPv4 flows, the original direction first.
fn pair(rig: &mut Rig) -> (Flow4, Flow4) {
    let mut flows = rig.flows4().unwrap();
    flows.sort_by_key(|flow| flow.entry.word as u32 & status::REPLY);
    match flows.as_slice() {
        [original, reply] => (*original, *reply),
        other => panic!("{} entries: {other:?}", other.len()),
    }
}

fn has(flow: &Flow4, bits: u32) -> bool {
    flow.entry.word as u32 & bits == bits
}

fn tcp_state(flow: &Flow4) -> u8 {
    ((flow.entry.word as u32 & status::TCP) >> status::TCP_SHIFT) as u8
}

fn is_decided(flow: &Flow4) -> bool {
    flow.entry.word & status::GENERATION != 0
}

#[test]
fn a_udp_exchange_has_an_entry_for_each_direction() {
    for hook in [Hook::Xdp, Hook::TcIngress] {
        let mut rig = tracking_router();
        let question = from_host1().ip("192.0.2.2", "198.51.100.2").udp(4000, 53, 20);
        let answer = from_host2().ip("198.51.100.2", "192.0.2.2").udp(53, 4000, 60);
        forwarded(&mut rig, hook, &question);
        let (original, reply) = pair(&mut rig);
        assert_eq!((original.entry.packets, original.entry.bytes), (1, 48));
        assert_eq!(reply.entry.packets, 0);
        assert!(!has(&original, status::SEEN_REPLY) && !has(&original, status::REWRITE));
        assert!(has(&reply, status::REPLY));

        forwarded(&mut rig, hook, &answer);
        let (original, reply) = pair(&mut rig);
        assert!(
            has(&original, status::SEEN_REPLY) && has(&reply, status::SEEN_REPLY),
            "both know of the answer"
        );
        assert_eq!((reply.entry.packets, reply.entry.bytes), (1, 88));
        // What was decided while nobody had answered is decided anew.
        assert!(!is_decided(&original) && is_decided(&reply));
        forwarded(&mut rig, hook, &question);
        assert!(is_decided(&pair(&mut rig).0));
    }
}

#[test]
fn decided_flows_need_no_slow_path() {
    for (hook, from, to) in [
        (Hook::Xdp, "192.0.2.2", "198.51.100.2"),
        (Hook::TcIngress, "192.0.2.2", "198.51.100.2"),
        (Hook::Xdp, "2001:db8:1::2", "2001:db8:2::2"),
        (Hook::TcIngress, "2001:db8:1::2", "2001:db8:2::2"),
    ] {
        let mut rig = tracking_router();
        let frame = from_host1().ip(from, to).udp(4000, 9, 20);
        forwarded(&mut rig, hook, &frame);
        rig.slow_path(false).unwrap();
        forwarded(&mut rig, hook, &frame);
        let other = from_host1().ip(from, to).udp(4001, 9, 20);
        let answer = rig.run(hook, "ether1", &other.bytes()).unwrap();
        assert_eq!(answer.reasons, ["no-slow-path"], "{hook:?} {from}");
        rig.slow_path(true).unwrap();
        // Another generation, another decision.
        rig.control(|control| control.generation += 2).unwrap();
        rig.slow_path(false).unwrap();
        assert_eq!(rig.run(hook, "ether1", &frame.bytes()).unwrap().reasons, ["no-slow-path"]);
        rig.slow_path(true).unwrap();
        forwarded(&mut rig, hook, &frame);
    }
}

/// Also those that have a decision, but go the slow path for something that only they have.
#[test]
fn a_connection_counts_each_of_its_packets_once() {
    for hook in [Hook::Xdp, Hook::TcIngress] {
        let mut rig = tracking_router();
        let frame = || from_host1().ip("192.0.2.2", "198.51.100.2").udp(4000, 9, 20);
        for _ in 0..3 {
            forwarded(&mut rig, hook, &frame());
        }
        for _ in 0..3 {
            rig.run(hook, "ether1", &frame().ttl(1).bytes()).unwrap();
        }
        let flows = rig.flows4().unwrap();
        let counts: Vec<(u32, u64)> =
            flows.iter().map(|flow| (flow.entry.packets, flow.entry.bytes)).collect();
        // An IP header, a UDP header and 20 bytes.
        assert!(counts.contains(&(6, 6 * 48)) && counts.contains(&(0, 0)), "{hook:?}: {counts:?}");
    }
}

/// A decision holds for the interface that it was taken on: a packet with the same addresses on another one is looked
/// at by itself.
#[test]
fn a_spoofed_packet_on_another_port_misses_the_decision() {
    let mut rig = tracking_router();
    forwarded(&mut rig, Hook::Xdp, &from_host1().ip("192.0.2.2", "198.51.100.2").udp(4000, 9, 20));
    rig.slow_path(false).unwrap();
    let spoofed = from_host2().ip("192.0.2.2", "198.51.100.2").udp(4000, 9, 20);
    assert_eq!(rig.run(Hook::Xdp, "ether2", &spoofed.bytes()).unwrap().reasons, ["no-slow-path"]);
}

/// Client and server of one TCP connection over the router.
struct Connection {
    seq: u32,
    ack: u32,
}

impl Connection {
    fn client_sends(&self, flags: u8, payload: usize) -> Frame {
        let segment = Segment { source: 4000, destination: 80, seq: self.seq, ack: self.ack, flags };
        from_host1().ip("192.0.2.2", "198.51.100.2").tcp(segment, payload)
    }
    fn server_sends(&self, flags: u8, payload: usize) -> Frame {
        let segment = Segment { source: 80, destination: 4000, seq: self.ack, ack: self.seq, flags };
        from_host2().ip("198.51.100.2", "192.0.2.2").tcp(segment, payload)
    }
    /// Goes through the handshake.
    fn open(rig: &mut Rig, hook: Hook) -> Connection {
        let mut connection = Connection { seq: 1000, ack: 0 };
        forwarded(rig, hook, &connection.client_sends(SYN, 0));
        assert_eq!(tcp_state(&pair(rig).0), state::SYN_SENT);
        connection = Connection { seq: 1001, ack: 5000 };
        forwarded(rig, hook, &connection.server_sends(SYN | ACK, 0));
        assert_eq!(tcp_state(&pair(rig).0), state::SYN_RECEIVED);
        connection.ack = 5001;
        forwarded(rig, hook, &connection.client_sends(ACK, 0));
        connection
    }
}

#[test]
fn tcp_is_followed_from_handshake_to_time_wait() {
    for hook in [Hook::Xdp, Hook::TcIngress] {
        let mut rig = tracking_router();
        let mut connection = Connection::open(&mut rig, hook);
        let (original, reply) = pair(&mut rig);
        assert_eq!((tcp_state(&original), tcp_state(&reply)), (state::ESTABLISHED, state::ESTABLISHED));
        assert!(has(&original, status::ASSURED) && has(&reply, status::ASSURED));

        // Data is decided once per direction, and then needs no look; its records are kept up to date.
        forwarded(&mut rig, hook, &connection.client_sends(ACK, 100));
        connection.seq += 100;
        forwarded(&mut rig, hook, &connection.server_sends(ACK, 200));
        connection.ack += 200;
        rig.slow_path(false).unwrap();
        for _ in 0..3 {
            forwarded(&mut rig, hook, &connection.client_sends(ACK, 50));
            connection.seq += 50;
            forwarded(&mut rig, hook, &connection.server_sends(ACK, 70));
            connection.ack += 70;
        }
        rig.slow_path(true).unwrap();

        forwarded(&mut rig, hook, &connection.client_sends(FIN | ACK, 0));
        assert_eq!(tcp_state(&pair(&mut rig).0), state::FIN_WAIT);
        connection.seq += 1;
        forwarded(&mut rig, hook, &connection.server_sends(ACK, 0));
        assert_eq!(tcp_state(&pair(&mut rig).0), state::CLOSE_WAIT);
        forwarded(&mut rig, hook, &connection.server_sends(FIN | ACK, 0));
        assert_eq!(tcp_state(&pair(&mut rig).0), state::LAST_ACK);
        connection.ack += 1;
        forwarded(&mut rig, hook, &connection.client_sends(ACK, 0));
        assert_eq!(tcp_state(&pair(&mut rig).0), state::TIME_WAIT);
        // A new connection with the same ports opens another one.
        forwarded(&mut rig, hook, &Connection { seq: 9000, ack: 0 }.client_sends(SYN, 0));
        assert_eq!(tcp_state(&pair(&mut rig).0), state::SYN_SENT);
    }
}

#[test]
fn a_refused_connection_leaves_nothing_behind() {
    let mut rig = tracking_router();
    forwarded(&mut rig, Hook::Xdp, &Connection { seq: 1000, ack: 0 }.client_sends(SYN, 0));
    forwarded(&mut rig, Hook::Xdp, &Connection { seq: 1001, ack: 0 }.server_sends(RST | ACK, 0));
    let flows = rig.flows4().unwrap();
    assert!(flows.is_empty() || flows.iter().all(|flow| tcp_state(flow) == state::CLOSE), "{flows:?}");
}

#[test]
fn expired_entries_never_match() {
    let mut rig = tracking_router();
    let frame = from_host1().ip("192.0.2.2", "198.51.100.2").udp(4000, 9, 20);
    forwarded(&mut rig, Hook::Xdp, &frame);
    forwarded(&mut rig, Hook::Xdp, &frame);
    assert_eq!(pair(&mut rig).0.entry.packets, 2);
    rig.control(|control| control.tick += 31).unwrap();
    forwarded(&mut rig, Hook::Xdp, &frame);
    // Another connection, with the same tuple.
    assert_eq!(pair(&mut rig).0.entry.packets, 1);
}

/// RFC 4787, REQ-12; RFC 5382, REQ-10; RFC 5508, REQ-6; RFC 6092, REC-19 and REC-37.
#[test]
fn an_error_neither_ends_nor_refreshes_what_it_is_about() {
    let client = |flags, seq, ack| Segment { source: 4000, destination: 80, seq, ack, flags };
    let server = |flags, seq, ack| Segment { source: 80, destination: 4000, seq, ack, flags };
    let out = || from_host1().ip("192.0.2.2", "198.51.100.2");
    let back = || from_host2().ip("198.51.100.2", "192.0.2.2");
    let exchanges = [
        vec![out().udp(4000, 53, 20), back().udp(53, 4000, 20)],
        vec![out().icmp(8, 0, [1, 2, 0, 1], &[7; 20]), back().icmp(0, 0, [1, 2, 0, 1], &[7; 20])],
        vec![
            out().tcp(client(SYN, 100, 0), 0),
            back().tcp(server(SYN | ACK, 500, 101), 0),
            out().tcp(client(ACK, 101, 501), 20),
        ],
    ];
    for hook in [Hook::Xdp, Hook::TcIngress] {
        for exchange in &exchanges {
            let mut rig = tracking_router();
            for frame in exchange {
                forwarded(&mut rig, hook, frame);
            }
            let before = pair(&mut rig);
            rig.control(|control| control.tick += 3).unwrap();
            let quoted = exchange[0].clone().ttl(63).packet();
            for (kind, code) in [(3, 1), (3, 2), (3, 4), (11, 0), (12, 0)] {
                let error =
                    from_host2().ip("198.51.100.77", "192.0.2.2").icmp(kind, code, [0; 4], &quoted[..28]);
                forwarded(&mut rig, hook, &error);
            }
            let after = pair(&mut rig);
            for (before, after) in [(before.0, after.0), (before.1, after.1)] {
                assert_eq!(after.entry.word as u32, before.entry.word as u32, "{hook:?}");
                assert_eq!(after.entry.last_tick, before.entry.last_tick, "{hook:?}");
            }
            // It goes on.
            forwarded(&mut rig, hook, &exchange[exchange.len() - 2]);
            assert_eq!(pair(&mut rig).0.entry.partner, after.0.entry.partner);
        }
    }
}

/// RFC 4787, REQ-6; RFC 6092, REC-14: each direction.
#[test]
fn packets_of_both_directions_refresh_a_connection() {
    let mut rig = tracking_router();
    let question = from_host1().ip("192.0.2.2", "198.51.100.2").udp(4000, 53, 20);
    let answer = from_host2().ip("198.51.100.2", "192.0.2.2").udp(53, 4000, 60);
    forwarded(&mut rig, Hook::Xdp, &question);
    forwarded(&mut rig, Hook::Xdp, &answer);
    // Eight seconds are less than an exchange has, and twice that is more.
    for (frame, packets) in [(&question, (2, 1)), (&answer, (2, 2)), (&question, (3, 2)), (&question, (4, 2))]
    {
        rig.control(|control| control.tick += 8).unwrap();
        forwarded(&mut rig, Hook::Xdp, frame);
        let (original, reply) = pair(&mut rig);
        assert_eq!((original.entry.packets, reply.entry.packets), packets);
    }
}

/// RFC 6092, REC-21 to REC-24: AH, ESP and IKE of the inside, and what answers them.
#[test]
fn ipsec_from_inside_is_followed() {
    const DROP: &str = "add chain=forward connection-state=established,related\n\
                        add chain=forward in-interface=ether1\nadd chain=forward action=drop\n";
    let spi = |first: u8| [&[first, 2, 3, 4][..], &[0; 28]].concat();
    for (inside, outside) in [("192.0.2.2", "198.51.100.2"), ("2001:db8:1::2", "2001:db8:2::2")] {
        let out = || from_host1().ip(inside, outside);
        let back = || from_host2().ip(outside, inside);
        // The next header of AH is that of what it protects, and each side has an SPI of its own.
        let ah = |first: u8| [&[17, 4, 0, 0][..], &spi(first)].concat();
        for (name, request, answer) in [
            ("ah", out().raw(51, &ah(1)), back().raw(51, &ah(9))),
            ("esp", out().raw(50, &spi(1)), back().raw(50, &spi(9))),
            ("ike", out().udp(500, 500, 40), back().udp(500, 500, 40)),
            ("ike behind a nat", out().udp(4500, 4500, 40), back().udp(4500, 4500, 40)),
        ] {
            let mut rig = tracking_router();
            rig.rules(&format!("/ip firewall filter\n{DROP}/ipv6 firewall filter\n{DROP}")).unwrap();
            let refused = rig.run(Hook::Xdp, "ether2", &answer.bytes()).unwrap();
            assert_eq!(refused.reasons, ["filter-drop"], "{name} from outside");
            forwarded(&mut rig, Hook::Xdp, &request);
            forwarded(&mut rig, Hook::Xdp, &answer);
        }
    }
}

#[test]
fn an_echo_and_its_reply_are_one_connection() {
    for hook in [Hook::Xdp, Hook::TcIngress] {
        let mut rig = tracking_router();
        forwarded(
            &mut rig,
            hook,
            &from_host1().ip("192.0.2.2", "198.51.100.2").icmp(8, 0, [1, 2, 0, 1], &[7; 20]),
        );
        forwarded(
            &mut rig,
            hook,
            &from_host2().ip("198.51.100.2", "192.0.2.2").icmp(0, 0, [1, 2, 0, 1], &[7; 20]),
        );
        let (original, reply) = pair(&mut rig);
        assert!(has(&original, status::SEEN_REPLY) && has(&reply, status::SEEN_REPLY));
        // An answer to nothing opens nothing.
        forwarded(
            &mut rig,
            hook,
            &from_host2().ip("198.51.100.2", "192.0.2.2").icmp(0, 0, [9, 9, 0, 1], &[7; 20]),
        );
        assert_eq!(rig.flows4().unwrap().len(), 2);
    }
}

/// One bucket for all: sixteen entries, eight connections.
#[test]
fn half_open_flows_do_not_push_out_established_ones() {
    let mut rig = tracking_router();
    rig.control(|control| control.flow_mask4 = 0).unwrap();
    let client = |port: u16, flags, seq, ack| {
        let segment = Segment { source: port, destination: 80, seq, ack, flags };
        from_host1().ip("192.0.2.2", "198.51.100.2").tcp(segment, 0)
    };
    let server = |port: u16, seq, ack| {
        let segment = Segment { source: 80, destination: port, seq, ack, flags: SYN | ACK };
        from_host2().ip("198.51.100.2", "192.0.2.2").tcp(segment, 0)
    };
    let establish = |rig: &mut Rig, port| {
        forwarded(rig, Hook::Xdp, &client(port, SYN, 1000, 0));
        forwarded(rig, Hook::Xdp, &server(port, 5000, 1001));
        forwarded(rig, Hook::Xdp, &client(port, ACK, 1001, 5001));
    };
    for port in 1..=7 {
        establish(&mut rig, port);
    }
    // A flood: each takes the place of the one before.
    for port in 100..200 {
        forwarded(&mut rig, Hook::Xdp, &client(port, SYN, 1, 0));
    }
    assert_eq!(rig.flows4().unwrap().iter().filter(|flow| has(flow, status::ASSURED)).count(), 14);
    establish(&mut rig, 8);
    let answer = rig.run(Hook::Xdp, "ether1", &client(9, SYN, 1000, 0).bytes()).unwrap();
    assert_eq!(answer.reasons, ["flow-table-full"]);
    // Those that are there work on.
    forwarded(&mut rig, Hook::Xdp, &client(1, ACK, 1001, 5001));
}

/// A table of 2,048 entries takes 819 connections, 80 % of it.
#[test]
fn no_connection_is_refused_before_four_fifths_are_taken() {
    let mut rig = tracking_router();
    rig.control(|control| control.flow_mask4 = 127).unwrap();
    for port in 0..819 {
        forwarded(
            &mut rig,
            Hook::Xdp,
            &from_host1().ip("192.0.2.2", "198.51.100.2").udp(10_000 + port, 53, 1),
        );
        // Answered, so that none gives way to another.
        forwarded(
            &mut rig,
            Hook::Xdp,
            &from_host2().ip("198.51.100.2", "192.0.2.2").udp(53, 10_000 + port, 1),
        );
    }
    assert_eq!(rig.flows4().unwrap().len(), 2 * 819);
}
