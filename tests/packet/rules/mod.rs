//! Rules: one file per matcher or action, named as RouterOS names it.

mod accept;
mod add_to_address_list;
mod address;
mod address_list;
mod address_type;
mod bridge_port;
mod change;
mod connection_bytes;
mod connection_limit;
mod connection_nat_state;
mod connection_state;
mod content;
mod dscp;
mod dst_limit;
mod dst_nat;
mod fasttrack_connection;
mod fragment;
mod headers;
mod icmp_options;
mod interface;
mod ipv4_options;
mod jump;
mod limit;
mod log;
mod mark;
mod masquerade;
mod nat;
mod nat_input;
mod nat_output;
mod netmap;
mod notrack;
mod nth;
mod packet_size;
mod passthrough;
mod per_connection_classifier;
mod port;
mod priority;
mod protocol;
mod psd;
mod random;
mod redirect;
mod reject;
mod route;
mod src_mac_address;
mod src_nat;
mod tarpit;
mod tcp_flags;
mod tcp_mss;
mod time;
mod ttl;

use router_common::maps::flow::{Tracking, tracking};
use router_tests::packet::{Frame, Hook, Rig, Segment, settings};

use crate::lab::{from_host1, from_host2, router};

const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];

/// The router with connection tracking on.
fn firewall() -> Rig {
    let mut rig = router();
    rig.track(Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() }).unwrap();
    rig
}

/// UDP from host1 to a host behind ether2.
fn udp4() -> Frame {
    from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 20)
}

fn udp6() -> Frame {
    from_host1().ip("2001:db8:1::2", "2001:db8:a1::1").udp(4000, 53, 20)
}

fn tcp4(flags: u8) -> Frame {
    let segment = Segment { source: 4000, destination: 80, seq: 1, ack: 1, flags };
    from_host1().ip("192.0.2.2", "10.1.0.1").tcp(segment, 0)
}

/// One line of a table: a matcher and a packet, and whether they meet.
type Line<'a> = (&'a str, Frame, bool);

/// Has each matcher drop in `chain` what it meets, in XDP and in tc, and twice: what is not dropped may be remembered.
fn check(rig: &mut Rig, menu: &str, lines: &[Line<'_>]) {
    let drop = if menu.contains("raw") { "raw-drop" } else { "filter-drop" };
    for (matcher, frame, met) in lines {
        rig.rules(&format!("/{menu} {matcher} action=drop")).unwrap();
        for hook in HOOKS {
            let passed = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
            for round in 0..2 {
                let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
                let expected = if *met { drop } else { passed };
                assert_eq!(answer.reasons, [expected], "{menu} {matcher}, {hook:?}, round {round}");
            }
        }
    }
}

const FORWARD4: &str = "ip firewall filter add chain=forward";
const FORWARD6: &str = "ipv6 firewall filter add chain=forward";
const RAW4: &str = "ip firewall raw add chain=prerouting";
const RAW6: &str = "ipv6 firewall raw add chain=prerouting";

/// Runs a frame through XDP and gives the reason it is counted under.
fn reason(rig: &mut Rig, frame: &Frame) -> &'static str {
    let answer = rig.run(Hook::Xdp, &frame.port, &frame.bytes()).unwrap();
    assert_eq!(answer.reasons.len(), 1, "{:?}", answer.reasons);
    answer.reasons[0]
}
