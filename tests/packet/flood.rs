//! A SYN flood while connections stand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use router_common::csum;
use router_common::maps::flow::{Tracking, status, tracking};
use router_tests::packet::{Frame, Hook, Rig, Segment, on};

use crate::lab::{HOST2, ROUTER2, from_host1, sized_router};

/// An emulated processor gets a fiftieth of both.
const SYNS: u32 = 2_000_000;
const ESTABLISHED: u32 = 50_000;
/// 262,144 entries: the flood alone would fill the table fifteen times.
const BUCKETS: u32 = 1 << 14;

const SYN: u8 = 2;
const ACK: u8 = 16;
const XDP_REDIRECT: u32 = 4;

/// What is forgotten is not picked up again, so that each packet shows that its connection is known.
const RULES: &str = "/ip firewall filter
add chain=forward connection-state=established
add chain=forward connection-state=new protocol=tcp tcp-flags=syn,!ack
add chain=forward action=drop";

fn client(number: u32, flags: u8, seq: u32, ack: u32) -> Frame {
    let segment = Segment { source: 10_000 + number as u16, destination: 80, seq, ack, flags };
    from_host1().ip("192.0.2.2", "10.1.0.1").tcp(segment, 0)
}

fn server(number: u32, flags: u8, seq: u32, ack: u32) -> Frame {
    let segment = Segment { source: 80, destination: 10_000 + number as u16, seq, ack, flags };
    on("ether2", HOST2, ROUTER2).ip("10.1.0.1", "192.0.2.2").tcp(segment, 0)
}

fn passes(rig: &Rig, frame: &Frame) -> bool {
    rig.fire(&frame.port, &frame.bytes(), &mut Vec::new()).unwrap() == XDP_REDIRECT
}

fn establish(rig: &Rig, number: u32) -> bool {
    passes(rig, &client(number, SYN, 1000, 0))
        && passes(rig, &server(number, SYN | ACK, 5000, 1001))
        && talk(rig, number)
}

/// One packet each way.
fn talk(rig: &Rig, number: u32) -> bool {
    passes(rig, &client(number, ACK, 1001, 5001)) && passes(rig, &server(number, ACK, 5001, 1001))
}

/// A SYN from a random source in 20.0.0.0/8. Its own checksum nobody looks at on the way.
fn disguise(syn: &mut [u8], random: u64) {
    let source = 20 << 24 | random as u32 & 0xff_ffff;
    syn[26..30].copy_from_slice(&source.to_be_bytes());
    syn[34..36].copy_from_slice(&(random as u32 >> 16 | 1024).to_be_bytes()[2..]);
    syn[24..26].fill(0);
    let sum = csum::finish(csum::sum(&syn[14..34]));
    syn[24..26].copy_from_slice(&sum.to_be_bytes());
}

/// Numbers without a pattern, the same in each run (Marsaglia, "Xorshift RNGs").
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    state.rotate_left(20)
}

#[test]
fn a_syn_flood_pushes_out_no_established_connection() {
    let scale = if lab::is_emulated() { 50 } else { 1 };
    let (syns, established) = (SYNS / scale, ESTABLISHED / scale);
    let mut rig = sized_router(BUCKETS);
    rig.track(Tracking { flags: tracking::ENABLED, ..Tracking::default() }).unwrap();
    rig.rules(RULES).unwrap();
    for number in 0..established {
        assert!(establish(&rig, number), "{number}");
    }
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (rig, over) = (&rig, &over);
        scope.spawn(move || {
            // On any CPU: the test's own thread keeps to one.
            let mut all = rustix::thread::CpuSet::new();
            (0..rustix::thread::CpuSet::MAX_CPU).for_each(|cpu| all.set(cpu));
            rustix::thread::sched_setaffinity(None, &all).unwrap();
            let segment = Segment { source: 1, destination: 443, seq: 1, ack: 0, flags: SYN };
            let mut syn = on("ether2", HOST2, ROUTER2).ip("20.0.0.1", "192.0.2.2").tcp(segment, 0).bytes();
            let (mut out, mut state) = (Vec::new(), 0x9e37_79b9_7f4a_7c15);
            for _ in 0..syns {
                disguise(&mut syn, next(&mut state));
                rig.fire("ether2", &syn, &mut out).unwrap();
            }
            over.store(true, Ordering::SeqCst);
        });
        for number in (0..established).cycle() {
            assert!(talk(rig, number), "{number} during the flood");
            if over.load(Ordering::SeqCst) {
                break;
            }
        }
    });
    for number in 0..established {
        assert!(talk(&rig, number), "{number} after the flood");
    }
    let flows = rig.flows4().unwrap();
    let assured = flows.iter().filter(|flow| flow.entry.word as u32 & status::ASSURED != 0).count();
    assert_eq!(assured, 2 * established as usize);
    if scale == 1 {
        assert!(flows.len() > (BUCKETS * 14) as usize, "{} entries: that was no flood", flows.len());
    }
    // And whoever comes now finds a place.
    assert!(establish(&rig, established));
    let reasons = rig.reasons().unwrap();
    let names: Vec<_> = reasons.keys().map(|reason| reason.name()).collect();
    assert!(names.iter().all(|name| ["forwarded", "flow-table-busy"].contains(name)), "{reasons:?}");
    let stray = rig.run(Hook::Xdp, "ether1", &client(established + 1, ACK, 7, 7).bytes()).unwrap();
    assert_eq!(stray.reasons, ["filter-drop"], "what is unknown does not pass");
}
