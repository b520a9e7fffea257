//! What only some rules look at: options, what a SYN announces, payload.

use core::ffi::c_void;
use core::hint::black_box;

use aya_ebpf::helpers::generated::bpf_loop;
use router_common::conntrack::other;
use router_common::facts::{Facts, fragment, ip_option};
use router_common::maps::flow::tracking;
use router_common::maps::rule::{PAYLOAD_BYTES, Payload};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::State;

const SYN: u8 = 2;

/// Bits of [`tracking`] for which a packet has to be looked at.
pub const ASKED: u32 = tracking::MSS | tracking::OPTIONS | tracking::PAYLOAD;

/// Fills in the facts that rules ask for, and the payload.
#[inline(always)]
pub fn run<P: Packet>(packet: P, s: &mut State) -> u32 {
    let (Some(scratch), Some(settings)) = (maps::scratch(P::SCRATCH), maps::tracking(s.now.generation))
    else {
        return 0;
    };
    let facts = &mut scratch.facts;
    if settings.flags & tracking::OPTIONS != 0
        && facts.family == 4
        && let Some([first]) = packet.load::<1>(s.l2_bytes)
    {
        walk(packet, s.l2_bytes, u32::from(first & 15) * 4, note as *mut c_void);
    }
    let mut payload_bytes = 0;
    if facts.l4_offset != 0 && facts.fragment & fragment::LATER == 0 {
        let at = s.l2_bytes + facts.l4_offset;
        let is_syn = facts.protocol == other::TCP && facts.tcp_flags & SYN != 0;
        if settings.flags & tracking::MSS != 0
            && is_syn
            && let Some([offset]) = packet.load::<1>(at + 12)
        {
            facts.tcp_mss = walk(packet, at, u32::from(offset >> 4) * 4, announced as *mut c_void) as u16;
        }
        if settings.flags & tracking::PAYLOAD != 0 {
            payload_bytes = payload(packet, s, facts).unwrap_or(0);
        }
    }
    if let Some(memory) = maps::rule_scratch(P::SCRATCH) {
        memory.payload_bytes = payload_bytes;
    }
    1
}

/// What the steps of a walk over options share; it stands on the stack of who walks.
#[repr(C)]
struct Options {
    scratch: u32,
    /// Of the next option, and of the end, in the copy of the header.
    offset: u32,
    end: u32,
    /// What a SYN announces.
    mss: u32,
}

/// Bytes of the longest header with options.
const HEADER_BYTES: u32 = 60;
const END: u8 = 0;
const NOTHING: u8 = 1;

/// Copies a header and takes `step` through its options, behind its first 20 bytes.
#[inline(always)]
fn walk<P: Packet>(packet: P, at: u32, bytes: u32, step: *mut c_void) -> u32 {
    let mut options = Options { scratch: P::SCRATCH, offset: 20, end: bytes, mss: 0 };
    let Some(memory) = maps::payload(P::SCRATCH) else { return 0 };
    let last = black_box(bytes.wrapping_sub(1)).min(HEADER_BYTES - 1);
    // SAFETY: so many bytes fit; the callback has the signature that the helper asks for, and its context outlives it.
    unsafe {
        if bytes > 20 && packet.load_into(at, memory.cast(), last + 1).is_some() {
            bpf_loop(HEADER_BYTES - 20, step, (&raw mut options).cast(), 0);
        }
    }
    options.mss
}

/// A byte of the copy.
#[inline(always)]
fn byte(memory: *mut Payload, at: u32) -> u8 {
    // SAFETY: inside the memory by the mask, which is larger than a header.
    unsafe { memory.cast::<u8>().add(black_box(at) as usize & 127).read() }
}

/// The kind of the next option; moves behind it. [`END`] at the end.
#[inline(always)]
fn next(options: &mut Options, memory: *mut Payload) -> u8 {
    let offset = options.offset;
    if offset >= options.end || offset >= HEADER_BYTES {
        return END;
    }
    let kind = byte(memory, offset);
    let length = if kind == NOTHING { 1 } else { u32::from(byte(memory, offset + 1)) };
    options.offset = offset + length;
    if length == 0 { END } else { kind }
}

/// Notes an option of IPv4 in the facts, as a bit of [`ip_option`]; 1 ends the loop.
unsafe extern "C" fn note(_index: u32, context: *mut c_void) -> i64 {
    // SAFETY: the context is the `Options` of the walk.
    let options = unsafe { &mut *context.cast::<Options>() };
    let Some(memory) = maps::payload(options.scratch) else { return 1 };
    let Some(scratch) = maps::scratch(options.scratch) else { return 1 };
    let kind = next(options, memory);
    if kind == END {
        return 1;
    }
    if kind != NOTHING {
        scratch.facts.options |= ip_option::ANY
            | match kind {
                7 => ip_option::RECORD_ROUTE,
                68 => ip_option::TIMESTAMP,
                131 => ip_option::LOOSE_SOURCE_ROUTING,
                137 => ip_option::STRICT_SOURCE_ROUTING,
                148 => ip_option::ROUTER_ALERT,
                _ => 0,
            };
    }
    0
}

/// Notes the largest segment that a SYN announces; 1 ends the loop.
unsafe extern "C" fn announced(_index: u32, context: *mut c_void) -> i64 {
    const MSS: u8 = 2;
    // SAFETY: as in `note`.
    let options = unsafe { &mut *context.cast::<Options>() };
    let Some(memory) = maps::payload(options.scratch) else { return 1 };
    let offset = options.offset;
    let kind = next(options, memory);
    if kind == MSS {
        options.mss = u32::from(u16::from_be_bytes([byte(memory, offset + 2), byte(memory, offset + 3)]));
    }
    i64::from(kind == MSS || kind == END)
}

/// Copies what stands behind the upper layer's header; gives its length as far as it was copied.
#[inline(always)]
fn payload<P: Packet>(packet: P, s: &State, facts: &Facts) -> Option<u32> {
    let at = s.l2_bytes + facts.l4_offset;
    let header_bytes = match facts.protocol {
        other::TCP => u32::from(packet.load::<1>(at + 12)?[0] >> 4) * 4,
        _ => 8,
    };
    let rest = s.length.checked_sub(facts.l4_offset + header_bytes)?;
    if rest == 0 {
        return None;
    }
    let memory = maps::payload(P::SCRATCH)?;
    // The verifier has to see that there is at least one byte.
    let last = black_box(rest.wrapping_sub(1)).min(PAYLOAD_BYTES as u32 - 1);
    // SAFETY: so many bytes fit.
    unsafe { packet.load_into(at + header_bytes, memory.cast(), last + 1) }?;
    Some(last + 1)
}
