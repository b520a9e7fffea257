//! Counters by reason and by port. Bytes count from the Ethernet header on.

use router_common::maps::counter::Counter;
use router_common::verdict::Reason;

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::State;

#[inline(always)]
pub fn add(counter: &mut Counter, packets: u64, bytes: u64) {
    counter.packets = counter.packets.wrapping_add(packets);
    counter.bytes = counter.bytes.wrapping_add(bytes);
}

#[inline(always)]
pub fn reason(number: u16, packets: u64, bytes: u64) {
    if let Some(counter) = maps::reason_counter(number) {
        add(counter, packets, bytes);
    }
}

/// A packet that leaves at the port of `tx_index`, where that is a port of ours.
#[inline(always)]
pub fn forwarded<P: Packet>(packet: P, s: &State, number: u16, tx_index: u32) {
    let (packets, bytes) = (packet.packets(), u64::from(s.frame_bytes));
    reason(number, packets, bytes);
    if let Some(counters) = maps::port_counters(s.port_index) {
        let way = if number == Reason::Forwarded as u16 { &mut counters.xdp } else { &mut counters.tc };
        add(way, packets, bytes);
    }
    if let Some(counters) = maps::port_counters(tx_index) {
        add(&mut counters.sent, packets, bytes);
    }
}

#[inline(always)]
pub fn to_host<P: Packet>(packet: P, s: &State, number: u16) {
    let (packets, bytes) = (packet.packets(), u64::from(s.frame_bytes));
    reason(number, packets, bytes);
    if let Some(counters) = maps::port_counters(s.port_index) {
        add(&mut counters.host, packets, bytes);
    }
}

#[inline(always)]
pub fn dropped<P: Packet>(packet: P, s: &State, number: u16) {
    let (packets, bytes) = (packet.packets(), u64::from(s.frame_bytes));
    reason(number, packets, bytes);
    if let Some(counters) = maps::port_counters(s.port_index) {
        add(&mut counters.drop, packets, bytes);
    }
}
