//! Trace, explain and counters: packets through the loaded programs.

mod support;

use std::net::IpAddr;
use std::time::{Duration, Instant};

use lab::need_root;
use router_dataplane::{Dataplane, Error, Explanation, Filter, Mode, Question};
use support::{Host, host, ifindex, image, ip};

/// p1 192.0.2.1/24, p2 198.51.100.1/24 with a resolved neighbour .2; both are ports of the active image.
fn router(mode: Mode) -> (Host, Dataplane) {
    let host = host();
    for (port, address) in [("p1", "192.0.2.1/24"), ("p2", "198.51.100.1/24")] {
        ip(&format!("addr add {address} dev {port}"));
    }
    ip("neigh add 198.51.100.2 lladdr 02:00:00:00:00:02 dev p2 nud permanent");
    for sysctl in ["all/forwarding", "p1/accept_local"] {
        std::fs::write(format!("/proc/sys/net/ipv4/conf/{sysctl}"), "1").unwrap();
    }
    let (mut dataplane, _) = host.open(mode);
    let own = [([192, 0, 2, 1], "p1"), ([198, 51, 100, 1], "p2")];
    dataplane.set_locals(&own.map(|(address, port)| (IpAddr::from(address), ifindex(port)))).unwrap();
    let staged = dataplane.stage(&image(&["p1", "p2"])).unwrap();
    dataplane.flip(staged).unwrap();
    dataplane.set_cache_routes(true);
    (host, dataplane)
}

fn ask(dataplane: &Dataplane, destination: [u8; 4]) -> Explanation {
    let question = Question {
        ingress: ifindex("p1"),
        source: IpAddr::from([192, 0, 2, 7]),
        destination: IpAddr::from(destination),
        protocol: 17,
        source_port: 5000,
        destination_port: 53,
    };
    dataplane.inspect().explain(&question).unwrap()
}

fn count(dataplane: &Dataplane, reason: &str) -> u64 {
    dataplane.reasons().unwrap().into_iter().find(|r| r.reason == reason).unwrap().packets
}

#[test]
fn xdp_explains_the_fast_path() {
    need_root!();
    let (_host, dataplane) = router(Mode::Xdp);
    let answer = ask(&dataplane, [198, 51, 100, 2]);
    assert_eq!((answer.program.as_str(), answer.action.as_str()), ("xdp_port", "redirect"), "{answer:?}");
    assert_eq!((answer.fast, answer.egress), (true, Some(ifindex("p2"))), "{answer:?}");
    assert!(
        answer.steps.iter().any(|s| s.summary.contains("192.0.2.7:5000 > 198.51.100.2:53 udp")),
        "{answer:?}"
    );
    assert_eq!(count(&dataplane, "forwarded"), 1);

    // Its next hop is in the cache now, and counts as used.
    let used = dataplane.used_next_hops(60);
    assert_eq!(used.len(), 1, "{:?}", dataplane.inspect().routes());
    assert_eq!((used[0].ifindex, used[0].address), (ifindex("p2"), IpAddr::from([198, 51, 100, 2])));
    let route = dataplane.inspect().routes().remove(0);
    assert_eq!(route.kind, "redirect", "{route:?}");
    // Each CPU has a cache of its own, and this test may move from one to another. A slow machine may take so long
    // that the daemon counts as gone in between.
    let is_any_current = || dataplane.inspect().routes().iter().any(|route| route.current);
    let is_current_once_asked = || {
        dataplane.heartbeat();
        ask(&dataplane, [198, 51, 100, 2]);
        is_any_current()
    };
    assert!((0..10).any(|_| is_current_once_asked()), "{:?}", dataplane.inspect().routes());
    dataplane.bump_route_epoch();
    assert!(!is_any_current());
}

#[test]
fn cached_routes_expire_once_the_heartbeat_stops() {
    need_root!();
    let (_host, dataplane) = router(Mode::Xdp);
    dataplane.heartbeat();
    let before = dataplane.inspect().control().route_epoch;
    let begin = Instant::now();
    while dataplane.inspect().control().route_epoch == before {
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", dataplane.inspect().control());
        std::thread::sleep(Duration::from_millis(50));
    }
    // Each second from then on, so that no change of the kernel's is missed for longer.
    let then = dataplane.inspect().control().route_epoch;
    std::thread::sleep(Duration::from_secs(3));
    assert!(dataplane.inspect().control().route_epoch > then);
}

#[test]
fn tc_explains_why_it_is_not_the_fast_path() {
    need_root!();
    let (_host, dataplane) = router(Mode::Tc);
    let answer = ask(&dataplane, [198, 51, 100, 2]);
    assert_eq!((answer.program.as_str(), answer.action.as_str()), ("tc_ingress", "redirect"), "{answer:?}");
    assert!(!answer.fast && answer.why.starts_with("tc forwards it"), "{answer:?}");
}

#[test]
fn drops_and_deliveries_are_explained_by_their_reason() {
    need_root!();
    let (_host, dataplane) = router(Mode::Xdp);
    let answer = ask(&dataplane, [192, 0, 2, 1]);
    assert_eq!((answer.reason.as_deref(), answer.action.as_str()), (Some("local"), "pass"), "{answer:?}");
    let answer = ask(&dataplane, [198, 51, 100, 99]);
    assert_eq!(answer.reason.as_deref(), Some("handed-over"), "no neighbour yet: {answer:?}");
    ip("route add blackhole 203.0.113.0/24");
    dataplane.bump_route_epoch();
    let answer = ask(&dataplane, [203, 0, 113, 9]);
    assert_eq!(answer.why, "it is dropped: blackhole", "{answer:?}");
}

#[test]
fn a_failed_neighbour_is_unreachable_for_a_while() {
    need_root!();
    let (_host, mut dataplane) = router(Mode::Xdp);
    dataplane.mark_unreachable(ifindex("p2"), IpAddr::from([198, 51, 100, 99])).unwrap();
    let answer = ask(&dataplane, [198, 51, 100, 99]);
    assert_eq!(answer.reason.as_deref(), Some("host-unreachable"), "{answer:?}");
}

#[test]
fn one_trace_at_a_time_and_only_what_matches() {
    need_root!();
    let (host, dataplane) = router(Mode::Xdp);
    let filter = Filter { destination: Some((IpAddr::from([203, 0, 113, 0]), 24)), ..Filter::default() };
    let trace = dataplane.inspect().trace(filter).unwrap();
    assert!(matches!(dataplane.inspect().trace(Filter::default()), Err(Error::TraceBusy)));
    drop(trace);
    let mut trace = dataplane.inspect().trace(filter).unwrap();
    assert!(dataplane.inspect().control().tracing);
    assert_eq!(trace.next(), None);

    // A tracer that was killed does not block the next one for ever.
    std::mem::forget(trace);
    drop(dataplane);
    let (dataplane, _) = host.open(Mode::Xdp);
    assert!(!dataplane.inspect().control().tracing);
}
