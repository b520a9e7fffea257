//! A masqueraded connection's source, where the port that it leaves by has several addresses or the route prefers one.

use aya_ebpf::bindings::BPF_FIB_LKUP_RET_SUCCESS;
use router_common::address::{Kind, kind4, kind6};
use router_common::maps::scratch::Scratch;
use router_common::wire::ipv6::halves;

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::State;
use crate::stage::route::Fib;

/// Replaces the port's first address, which the connection has already, by what the route says. Where the FIB can't tell,
/// that one stays.
#[inline(always)]
pub fn choose<P: Packet>(packet: P, s: &mut State) -> u32 {
    let Some(Scratch { facts, work, .. }) = maps::scratch(P::SCRATCH) else { return 0 };
    let (source, destination) = (halves(&work.came.src), halves(&work.leaves.dst));
    let fib = if s.family == 4 {
        let word = |(high, _): (u64, u64)| (high as u32).to_ne_bytes();
        Fib::ipv4::<P>(s.ingress, word(source), word(destination))
    } else {
        Fib::ipv6::<P>(s.ingress, source, destination)
    };
    let Ok(mut fib) = fib else { return 0 };
    if fib.ask_source(packet, s.table) != BPF_FIB_LKUP_RET_SUCCESS || fib.egress() != facts.out_ifindex {
        return 0;
    }
    let (high, low) = fib.source();
    let kind = if s.family == 4 { kind4((high as u32).to_ne_bytes()) } else { kind6((high, low)) };
    if matches!(kind, Kind::Unicast) {
        maps::write6(&mut work.leaves.src, (high, low));
    }
    0
}
