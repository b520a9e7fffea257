//! Traced packets: which ones, and what is told of them.

use router_common::maps::event::TraceFilter;
use router_common::verdict::{Reason, Stage};
use router_tests::packet::{Hook, Rig};

use crate::lab::{from_host1, router};

fn stages(rig: &mut Rig) -> Vec<(u16, u16)> {
    rig.events().unwrap().iter().map(|event| (event.stage, event.reason)).collect()
}

#[test]
fn a_traced_packet_tells_its_stages_and_an_untraced_one_nothing() {
    let mut rig = router();
    let frame = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 10).bytes();
    rig.run(Hook::Xdp, "ether1", &frame).unwrap();
    assert_eq!(stages(&mut rig), []);
    rig.trace(Some(TraceFilter::default())).unwrap();
    for (hook, entry, reason) in [
        (Hook::Xdp, Stage::XdpEntry, Reason::Forwarded),
        (Hook::TcIngress, Stage::TcIngress, Reason::ForwardedTc),
    ] {
        rig.run(hook, "ether1", &frame).unwrap();
        let events = rig.events().unwrap();
        let told: Vec<(u16, u16)> = events.iter().map(|event| (event.stage, event.reason)).collect();
        let passed = [entry, Stage::Parse, Stage::Source, Stage::Route].map(|stage| (stage as u16, 0));
        assert_eq!(told, [&passed[..], &[(Stage::Emit as u16, reason as u16)]].concat());
        let last = events.last().unwrap();
        assert_eq!(
            (last.egress, last.ingress),
            (rig.ifindex("ether2").unwrap(), rig.ifindex("ether1").unwrap())
        );
        assert_eq!(last.length_bytes as usize, frame.len());
        assert!(events.iter().all(|event| event.packet == last.packet));
        assert_eq!(events[0].head[..frame.len()], frame);
    }
    rig.trace(None).unwrap();
    rig.run(Hook::Xdp, "ether1", &frame).unwrap();
    assert_eq!(stages(&mut rig), []);
}

#[test]
fn a_dropped_packet_tells_the_stage_and_the_reason() {
    let mut rig = router();
    rig.trace(Some(TraceFilter::default())).unwrap();
    for (source, destination, stage, reason) in [
        ("127.0.0.1", "10.1.0.1", Stage::Source, Reason::MartianSource),
        ("192.0.2.2", "10.2.0.1", Stage::Route, Reason::Blackhole),
    ] {
        rig.run(Hook::Xdp, "ether1", &from_host1().ip(source, destination).bytes()).unwrap();
        let told = stages(&mut rig);
        assert_eq!(told, [(Stage::XdpEntry as u16, 0), (stage as u16, reason as u16)]);
    }
}

#[test]
fn the_filter_looks_at_every_field() {
    let mut rig = router();
    let wide = |text: &str| {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&text.parse::<std::net::Ipv4Addr>().unwrap().octets());
        bytes
    };
    let v4 = from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 100).bytes();
    let v6 = from_host1().ip("2001:db8:1::2", "2001:db8:a1::1").udp(4000, 53, 100).bytes();
    let any = TraceFilter::default();
    let six: [u8; 16] = "2001:db8:a1::".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let mask48 = [255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let ether1 = rig.ifindex("ether1").unwrap();
    for (filter, four, sixes) in [
        (any, true, true),
        (TraceFilter { family: 4, ..any }, true, false),
        (TraceFilter { family: 6, ..any }, false, true),
        (TraceFilter { ingress: ether1, ..any }, true, true),
        (TraceFilter { ingress: ether1 + 99, ..any }, false, false),
        (TraceFilter { protocol: 17, ..any }, true, true),
        (TraceFilter { protocol: 6, ..any }, false, false),
        (TraceFilter { source_port: 4000, ..any }, true, true),
        (TraceFilter { source_port: 4001, ..any }, false, false),
        (TraceFilter { destination_port: 53, ..any }, true, true),
        (TraceFilter { destination_port: 54, ..any }, false, false),
        (TraceFilter { source: wide("192.0.2.0"), source_mask: wide("255.255.255.0"), ..any }, true, false),
        (TraceFilter { source: wide("192.0.3.0"), source_mask: wide("255.255.255.0"), ..any }, false, false),
        (TraceFilter { destination: wide("10.1.0.1"), destination_mask: [255; 16], ..any }, true, false),
        (TraceFilter { destination: six, destination_mask: mask48, ..any }, false, true),
    ] {
        rig.trace(Some(filter)).unwrap();
        for (frame, seen) in [(&v4, four), (&v6, sixes)] {
            for hook in [Hook::Xdp, Hook::TcIngress] {
                rig.run(hook, "ether1", frame).unwrap();
                assert_eq!(!stages(&mut rig).is_empty(), seen, "{hook:?} {filter:?}");
            }
        }
    }
}
