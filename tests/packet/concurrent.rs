//! Two CPUs at one flow table.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use router_common::maps::flow::{Tracking, tracking};
use router_tests::packet::{Rig, Segment};

use crate::lab::{from_host1, router};

const ROUNDS: u16 = 1500;
const XDP_REDIRECT: u32 = 4;

fn masquerading() -> Rig {
    if thread::available_parallelism().map_or(1, usize::from) < 2 {
        lab::skip!("needs two CPUs");
    }
    let mut rig = router();
    rig.track(Tracking { flags: tracking::ENABLED | tracking::LOOSE, ..Tracking::default() }).unwrap();
    rig.rules("/ip firewall nat add chain=srcnat out-interface=ether2 action=masquerade").unwrap();
    rig
}

/// Source address and source port of a frame.
type Source = ([u8; 4], u16);

fn source(frame: &[u8]) -> Source {
    ([frame[26], frame[27], frame[28], frame[29]], u16::from_be_bytes([frame[34], frame[35]]))
}

/// Lets the other CPU go on where this one has failed.
struct Leaving<'a>(&'a AtomicU32);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(2 * u32::from(ROUNDS), Ordering::SeqCst);
    }
}

/// Has two CPUs send a frame each, at the same time, round by round: what they came out as. One that found the bucket
/// taken for too long is sent again: an emulated processor can be stopped for long while it has the lock.
fn race(rig: &Rig, frame: impl Fn(usize, u16) -> Vec<u8> + Sync) -> Vec<[Source; 2]> {
    let arrived = AtomicU32::new(0);
    let (arrived, frame) = (&arrived, &frame);
    let run = |cpu: usize| {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).unwrap();
        let (mut out, mut sources) = (Vec::new(), Vec::new());
        let _leaving = Leaving(arrived);
        for round in 0..ROUNDS {
            let frame = frame(cpu, round);
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < 2 * (u32::from(round) + 1) {
                thread::yield_now();
            }
            let sent = (0..10_000).any(|_| {
                let sent = rig.fire("ether1", &frame, &mut out).unwrap() == XDP_REDIRECT;
                if !sent {
                    thread::yield_now();
                }
                sent
            });
            assert!(sent, "CPU {cpu}, round {round}");
            sources.push(source(&out));
        }
        sources
    };
    thread::scope(|scope| {
        let threads = [0, 1].map(|cpu| scope.spawn(move || run(cpu)));
        let [one, other] = threads.map(|thread| thread.join().unwrap());
        one.into_iter().zip(other).map(|(one, other)| [one, other]).collect()
    })
}

#[test]
fn two_cpus_never_give_out_one_port() {
    let mut rig = masquerading();
    let found = race(&rig, |cpu, round| {
        let host = ["192.0.2.2", "192.0.2.3"][cpu];
        from_host1().ip(host, "198.51.100.2").udp(10_000 + round, 53, 8).bytes()
    });
    let all: BTreeSet<Source> = found.iter().flatten().copied().collect();
    assert_eq!(all.len(), 2 * usize::from(ROUNDS), "each has its own");
    assert!(all.iter().all(|(address, _)| *address == [198, 51, 100, 1]));
    assert_eq!(rig.flows4().unwrap().len(), 4 * usize::from(ROUNDS));
}

#[test]
fn one_connection_that_begins_on_two_cpus_is_one() {
    let mut rig = masquerading();
    let found = race(&rig, |_, round| {
        let segment = Segment { source: 10_000 + round, destination: 80, seq: 1, ack: 0, flags: 2 };
        from_host1().ip("192.0.2.2", "198.51.100.2").tcp(segment, 0).bytes()
    });
    for (round, [one, other]) in found.iter().enumerate() {
        assert_eq!(one, other, "round {round}");
        assert_eq!(one.0, [198, 51, 100, 1], "round {round}");
    }
    assert_eq!(rig.flows4().unwrap().len(), 2 * usize::from(ROUNDS));
}
