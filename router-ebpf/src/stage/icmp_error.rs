//! ICMP errors in the place of packets that could not be forwarded.

use crate::packet::Packet;
use crate::pipeline::State;

/// The action for a packet that is dropped under the reason of that number.
#[inline(always)]
pub fn run<P: Packet>(_packet: P, _s: &mut State, _reason: u16) -> i32 {
    P::DROP
}

#[inline(always)]
pub fn make<P: Packet>(_packet: P, _s: &mut State, _reason: u32) -> u32 {
    P::DROP as u32
}
