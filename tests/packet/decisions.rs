//! Which flows' packets need no look at the rules any more: a decision is kept only where no packet of the same flow,
//! direction and state can fare otherwise.

use router_common::maps::flow::{Flow4, Tracking, status, tracking};
use router_tests::packet::{Frame, Hook, Rig, Segment, on};

use crate::lab::{HOST2, ROUTER2, from_host1, router};

const HOOKS: [Hook; 2] = [Hook::Xdp, Hook::TcIngress];
/// Rules that a path may name.
const PATH_RULES: usize = 16;

fn tracking_router(more: u32) -> Rig {
    let mut rig = router();
    let flags = tracking::ENABLED | tracking::LOOSE | more;
    rig.track(Tracking { flags, ..Tracking::default() }).unwrap();
    rig
}

/// A flow and its answers, in the midst of it.
#[derive(Clone, Copy)]
enum Of {
    Udp,
    Udp6,
    Tcp,
}

impl Of {
    fn packet(self) -> Frame {
        match self {
            Of::Udp => from_host1().ip("192.0.2.2", "10.1.0.1").udp(4000, 53, 20),
            Of::Udp6 => from_host1().ip("2001:db8:1::2", "2001:db8:a1::1").udp(4000, 53, 20),
            Of::Tcp => {
                let segment = Segment { source: 4000, destination: 80, seq: 1, ack: 1, flags: 16 };
                from_host1().ip("192.0.2.2", "10.1.0.1").tcp(segment, 0)
            }
        }
    }

    fn answer(self) -> Frame {
        let from_host2 = on("ether2", HOST2, ROUTER2);
        match self {
            Of::Udp => from_host2.ip("10.1.0.1", "192.0.2.2").udp(53, 4000, 20),
            Of::Udp6 => from_host2.ip("2001:db8:a1::1", "2001:db8:1::2").udp(53, 4000, 20),
            Of::Tcp => {
                let segment = Segment { source: 80, destination: 4000, seq: 1, ack: 1, flags: 16 };
                from_host2.ip("10.1.0.1", "192.0.2.2").tcp(segment, 0)
            }
        }
    }
}

#[track_caller]
fn reason(rig: &mut Rig, hook: Hook, frame: &Frame) -> &'static str {
    let answer = rig.run(hook, &frame.port, &frame.bytes()).unwrap();
    assert_eq!(answer.reasons.len(), 1, "{:?}", answer.reasons);
    answer.reasons[0]
}

/// Whether the flow's packets pass without the slow path, after a few have taken it.
#[track_caller]
fn is_kept(rig: &mut Rig, hook: Hook, of: Of) -> bool {
    let passed = if hook == Hook::Xdp { "forwarded" } else { "forwarded-tc" };
    let packet = of.packet();
    for frame in [&packet, &of.answer(), &packet, &packet] {
        assert_eq!(reason(rig, hook, frame), passed);
    }
    rig.slow_path(false).unwrap();
    let found = reason(rig, hook, &packet);
    rig.slow_path(true).unwrap();
    assert!([passed, "no-slow-path"].contains(&found), "{found}");
    found == passed
}

#[track_caller]
fn check(rig: &mut Rig, menu: &str, lines: &[(&str, Of, bool)]) {
    for (rule, of, kept) in lines {
        rig.rules(&format!("/{menu} {rule}")).unwrap();
        for hook in HOOKS {
            assert_eq!(is_kept(rig, hook, *of), *kept, "{menu} {rule}, {hook:?}");
        }
    }
}

#[test]
fn what_may_differ_between_two_packets_keeps_their_flow_out() {
    let mut rig = tracking_router(0);
    check(
        &mut rig,
        "ip firewall filter add chain=forward",
        &[
            ("limit=1000,500:packet", Of::Udp, false),
            ("limit=!1000,500:packet", Of::Udp, false),
            ("dst-limit=1000,500,dst-address/1m", Of::Udp, false),
            ("connection-limit=!100,32", Of::Udp, false),
            ("packet-size=0-65535", Of::Udp, false),
            ("packet-size=1400-1500", Of::Udp, false),
            ("ttl=equal:64", Of::Udp, false),
            ("ttl=less-than:2", Of::Udp, false),
            ("dscp=0", Of::Udp, false),
            ("dscp=!0", Of::Udp, false),
            ("src-mac-address=02:00:00:00:01:02", Of::Udp, false),
            ("src-mac-address=02:00:00:00:01:03", Of::Udp, false),
            ("protocol=tcp tcp-flags=psh", Of::Tcp, false),
            ("protocol=tcp tcp-flags=!psh", Of::Tcp, false),
            ("protocol=tcp tcp-flags=!syn,!urg", Of::Tcp, false),
        ],
    );
    check(
        &mut rig,
        "ip firewall raw add chain=prerouting",
        &[
            ("limit=1000,500:packet", Of::Udp, false),
            ("dscp=1", Of::Udp, false),
            ("ttl=equal:1", Of::Udp, false),
        ],
    );
    check(
        &mut rig,
        "ipv6 firewall filter add chain=forward",
        &[
            ("limit=1000,500:packet", Of::Udp6, false),
            ("hop-limit=equal:64", Of::Udp6, false),
            ("dscp=0", Of::Udp6, false),
            ("packet-size=0-65535", Of::Udp6, false),
        ],
    );
}

#[test]
fn what_acts_on_each_packet_keeps_its_flow_out() {
    let mut rig = tracking_router(0);
    for chain in ["filter add chain=forward", "raw add chain=prerouting"] {
        check(
            &mut rig,
            &format!("ip firewall {chain}"),
            &[
                ("action=log", Of::Udp, false),
                ("action=accept log=yes", Of::Udp, false),
                ("action=passthrough log=yes", Of::Udp, false),
                ("action=add-src-to-address-list address-list=a address-list-timeout=1h", Of::Udp, false),
                ("action=add-dst-to-address-list address-list=a address-list-timeout=1h", Of::Udp, false),
            ],
        );
    }
}

#[test]
fn what_is_the_same_for_all_packets_of_a_flow_does_not() {
    let mut rig = tracking_router(0);
    check(
        &mut rig,
        "ip firewall filter add chain=forward",
        &[
            ("src-address=192.0.2.0/24 dst-port=53 protocol=udp in-interface=ether1", Of::Udp, true),
            ("connection-state=new", Of::Udp, true),
            ("connection-nat-state=!dstnat", Of::Udp, true),
            ("connection-mark=no-mark", Of::Udp, true),
            ("fragment=yes", Of::Udp, true),
            ("src-address-list=nobody", Of::Udp, true),
            ("action=passthrough", Of::Udp, true),
            // A packet that takes the way of its flow has none of these flags.
            ("protocol=tcp tcp-flags=syn", Of::Tcp, true),
            ("protocol=tcp tcp-flags=!fin,!syn,!rst", Of::Tcp, true),
            ("protocol=tcp tcp-flags=syn,!ack", Of::Tcp, true),
        ],
    );
    check(&mut rig, "ipv6 firewall filter add chain=forward", &[("protocol=udp", Of::Udp6, true)]);
}

/// Rules that can't concern the flow are not asked, so they are no reason either.
#[test]
fn other_flows_limits_and_logs_do_not_matter() {
    let mut rig = tracking_router(0);
    check(
        &mut rig,
        "ip firewall filter add chain=forward",
        &[
            ("protocol=tcp limit=1000,500:packet", Of::Udp, true),
            ("src-address=192.0.2.3 dscp=0", Of::Udp, true),
            ("dst-port=54 protocol=udp action=log", Of::Udp, true),
            ("in-interface=ether2 action=accept log=yes", Of::Udp, true),
        ],
    );
    // NAT asks for a connection's first packet alone.
    check(
        &mut rig,
        "ip firewall nat add chain=srcnat",
        &[
            ("dscp=0 action=accept log=yes", Of::Udp, true),
            ("limit=1000,500:packet action=accept", Of::Udp, true),
        ],
    );
}

#[test]
fn a_path_of_too_many_rules_is_walked() {
    let mut rig = tracking_router(0);
    for (rules, kept) in [(PATH_RULES, true), (PATH_RULES + 1, false)] {
        let text = "add chain=forward action=passthrough\n".repeat(rules);
        rig.rules(&format!("/ip firewall filter\n{text}")).unwrap();
        assert_eq!(is_kept(&mut rig, Hook::Xdp, Of::Udp), kept, "{rules} rules");
    }
}

#[test]
fn nothing_is_kept_where_the_setting_forbids_it() {
    let mut rig = tracking_router(tracking::NO_CACHE);
    assert!(!is_kept(&mut rig, Hook::Xdp, Of::Udp));
    assert!(!is_kept(&mut rig, Hook::TcIngress, Of::Udp6));
}

/// Whoever marks a connection takes the decisions of both directions; then its next packets meet the rules with the
/// mark.
#[test]
fn a_mark_given_to_a_decided_flow_counts_from_the_next_packet() {
    let mark = |number: u16| {
        move |flow: &mut Flow4| {
            flow.entry.mark = number;
            flow.entry.word &= !status::GENERATION;
        }
    };
    for (hook, passed) in [(Hook::Xdp, "forwarded"), (Hook::TcIngress, "forwarded-tc")] {
        let mut rig = tracking_router(0);
        rig.rules("/ip firewall filter add chain=forward connection-mark=!no-mark action=drop").unwrap();
        let both = [Of::Udp.packet(), Of::Udp.answer()];
        let decided = |rig: &mut Rig| {
            assert!(is_kept(rig, hook, Of::Udp));
            let flows = rig.flows4().unwrap();
            flows.iter().filter(|flow| flow.entry.word & status::GENERATION != 0).count()
        };
        assert_eq!(decided(&mut rig), 2);
        rig.change_flows4(mark(7)).unwrap();
        for frame in [&both, &both].into_iter().flatten() {
            assert_eq!(reason(&mut rig, hook, frame), "filter-drop", "{hook:?}");
        }
        rig.change_flows4(mark(0)).unwrap();
        for frame in &both {
            assert_eq!(reason(&mut rig, hook, frame), passed, "{hook:?}");
        }
        assert_eq!(decided(&mut rig), 2);
    }
}
