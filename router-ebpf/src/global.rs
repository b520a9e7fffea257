//! Global functions: the verifier goes through each of these once and on its own, not at every call.
//!
//! Their names are the kernel's to see; their arguments are the context, plain memory and scalars, their result a
//! scalar. Packet pointers don't pass: they read the headers anew.

use router_common::conntrack::tcp::Step;
use router_common::facts::header;
use router_common::parse;
use router_common::verdict::Reason;

use crate::packet::Packet;
use crate::pipeline::{State, finish};
use crate::stage::emit::{self, Way};
use crate::stage::{
    edit, facts, fragment, icmp_error, inspect, masquerade, nat, related, reroute, route, source, tcp_answer,
    track, translate,
};
use crate::trace;
use crate::{flow, maps};

/// Set in what [`walk`] gives where the chain of headers is right.
pub const FOUND: u32 = 1 << 31;

/// What stands behind the IPv6 extension headers: [`FOUND`] and the word of [`parse::Upper`], or the number of the
/// reason for which the packet has to be dropped. Leaves the headers in the facts.
#[inline(always)]
fn walk<P: Packet>(packet: P, l2_bytes: u32, first: u32, length: u32) -> u32 {
    let Some(scratch) = maps::scratch(P::SCRATCH) else { return Reason::Internal as u32 };
    let headers = &raw mut scratch.facts.headers;
    // In memory: of a register the verifier would follow every value that it can have.
    // SAFETY: borrowed mutably, as below.
    unsafe { headers.write_volatile(0) };
    // SAFETY: as above.
    let seen = |protocol| unsafe { headers.write_volatile(headers.read_volatile() | header::of(protocol)) };
    match parse::extensions(first as u8, length, |offset| packet.load::<8>(l2_bytes + offset), seen) {
        Ok(upper) => FOUND | upper.word(),
        Err(reason) => reason as u32,
    }
}

/// The upper layer that [`walk`] found, or the reason.
#[inline(always)]
pub fn upper(found: u32) -> Result<parse::Upper, u32> {
    if found & FOUND != 0 { Ok(parse::Upper::from_word(found & !FOUND)) } else { Err(found) }
}

/// One global function per line: name, arguments beside the context, and what it runs. A state that is null can't
/// come, but the verifier asks.
macro_rules! globals {
    ($packet:ty, $context:ty: $($name:ident($($argument:ident),*) = $run:path;)*
     ; state $($stateful:ident($($more:ident),*) = $with:path;)*
     ; way $($sending:ident($($extra:ident),*) = $send:path;)*) => {
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $name(ctx: *mut $context $(, $argument: u32)*) -> u32 {
                $run(<$packet>::new(ctx) $(, $argument)*) as u32
            }
        )*
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $stateful(ctx: *mut $context, state: *mut State $(, $more: u32)*) -> u32 {
                // SAFETY: null, or the caller's state, borrowed mutably for this call.
                let Some(state) = (unsafe { state.as_mut() }) else { return 0 };
                $with(<$packet>::new(ctx), state $(, $more)*) as u32
            }
        )*
        $(
            #[unsafe(no_mangle)]
            #[inline(never)]
            pub extern "C" fn $sending(
                ctx: *mut $context,
                state: *mut State,
                way: *mut Way
                $(, $extra: u32)*
            ) -> u32 {
                // SAFETY: null, or the caller's state and way, borrowed mutably for this call.
                let (Some(state), Some(way)) = (unsafe { (state.as_mut(), way.as_mut()) }) else { return 0 };
                $send(<$packet>::new(ctx), state, way $(, $extra)*)
            }
        )*
    };
}

/// Whether a TCP segment lies in the window, see [`Step::look`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn tcp_look(step: *mut Step) -> u32 {
    // SAFETY: null, or the caller's, borrowed mutably for this call.
    match unsafe { step.as_mut() } {
        Some(step) => step.look() as u32,
        None => 0,
    }
}

/// Functions of both back ends that need no packet.
macro_rules! plain {
    ($($name:ident($($argument:ident),*) = $run:path;)*) => { $(
        #[unsafe(no_mangle)]
        #[inline(never)]
        pub extern "C" fn $name(state: *mut State $(, $argument: u32)*) -> u32 {
            // SAFETY: null, or the caller's state, borrowed mutably for this call.
            let Some(state) = (unsafe { state.as_mut() }) else { return 0 };
            $run(state $(, $argument)*)
        }
    )* };
}

plain! {
    flow_find() = track::find;
    flow_judge() = track::judge;
    flow_follow() = track::follow;
    flow_open() = track::open;
    flow_commit() = track::commit;
    flow_fill(index, partner, direction) = track::fill;
    flow_fasttrack() = track::fasttrack;
    flow_mark() = track::mark;
    flow_moved() = track::moved;
    fragment_find() = fragment::find;
    fragment_note(fate) = fragment::note;
    route_via() = fragment::via;
    nat_candidate(attempt) = nat::candidate;
    nat_destination() = nat::destination;
    nat_redirected() = nat::redirected;
    nat_source() = nat::source;
    flow_claim() = flow::claim;
    flow_known() = flow::known;
    flow_search(what) = flow::search_bucket;
    flow_take(number, displaces) = flow::take;
    flow_worth(number, place) = flow::worth;
    flow_oust(number, place) = flow::oust;
    flow_unused() = flow::unused;
    flow_expired(index) = flow::expired;
    flow_end(index) = flow::end_at;
}

pub mod xdp {
    use super::*;
    use crate::xdp::XdpPacket;
    globals! { XdpPacket, aya_ebpf::bindings::xdp_md:
        xdp_upper(l2_bytes, first, length) = walk;
        xdp_is_traced(ingress, l2_bytes) = trace::matches;
        xdp_report(ingress, step, egress) = trace::report;
        xdp_stranger() = finish::stranger;
        xdp_quote(offset, bytes) = icmp_error::quote;
    ; state
        xdp_begin() = trace::begin;
        xdp_routed(egress) = trace::routed;
        xdp_forwarded(egress) = trace::forwarded;
        xdp_facts4() = facts::learn4;
        xdp_facts6() = facts::learn6;
        xdp_inspect() = inspect::run;
        xdp_fragment() = fragment::learn;
        xdp_hold() = fragment::hold;
        xdp_track() = track::track;
        xdp_related() = related::track;
        xdp_segment() = track::segment;
        xdp_translate() = translate::run;
        xdp_edit() = edit::run;
        xdp_clamp() = edit::clamp;
        xdp_quoted_header() = translate::quoted_header;
        xdp_quoted_upper() = translate::quoted_upper;
        xdp_masquerade() = masquerade::choose;
        xdp_source4() = source::learn4;
        xdp_source6() = source::learn6;
        xdp_route4() = route::learn4;
        xdp_route6() = route::learn6;
        xdp_finish(exit) = finish::run;
    ; way
        xdp_send() = emit::send;
        xdp_send_translated() = emit::send_translated;
        xdp_tcp_prepare4(reason) = tcp_answer::prepare4;
        xdp_tcp_prepare6(reason) = tcp_answer::prepare6;
        xdp_tcp_make4(reason) = tcp_answer::make4;
        xdp_tcp_make6(reason) = tcp_answer::make6;
        xdp_icmp_prepare4(reason) = icmp_error::prepare4;
        xdp_icmp_prepare6(reason) = icmp_error::prepare6;
        xdp_icmp_make4(reason) = icmp_error::make4;
        xdp_icmp_make6(reason) = icmp_error::make6;
    }
}

pub mod tc {
    use super::*;
    use crate::skb::SkbPacket;
    globals! { SkbPacket, aya_ebpf::bindings::__sk_buff:
        tc_upper(l2_bytes, first, length) = walk;
        tc_is_traced(ingress, l2_bytes) = trace::matches;
        tc_report(ingress, step, egress) = trace::report;
        tc_stranger() = finish::stranger;
        tc_quote(offset, bytes) = icmp_error::quote;
    ; state
        tc_begin() = trace::begin;
        tc_routed(egress) = trace::routed;
        tc_forwarded(egress) = trace::forwarded;
        tc_facts4() = facts::learn4;
        tc_facts6() = facts::learn6;
        tc_inspect() = inspect::run;
        tc_fragment() = fragment::learn;
        tc_hold() = fragment::hold;
        tc_track() = track::track;
        tc_related() = related::track;
        tc_segment() = track::segment;
        tc_translate() = translate::run;
        tc_edit() = edit::run;
        tc_clamp() = edit::clamp;
        tc_quoted_header() = translate::quoted_header;
        tc_quoted_upper() = translate::quoted_upper;
        tc_masquerade() = masquerade::choose;
        tc_source4() = source::learn4;
        tc_source6() = source::learn6;
        tc_route4() = route::learn4;
        tc_route6() = route::learn6;
        tc_finish(exit) = finish::run;
    ; way
        tc_reroute() = reroute::find;
        tc_send() = emit::send;
        tc_send_translated() = emit::send_translated;
        tc_tcp_prepare4(reason) = tcp_answer::prepare4;
        tc_tcp_prepare6(reason) = tcp_answer::prepare6;
        tc_tcp_make4(reason) = tcp_answer::make4;
        tc_tcp_make6(reason) = tcp_answer::make6;
        tc_icmp_prepare4(reason) = icmp_error::prepare4;
        tc_icmp_prepare6(reason) = icmp_error::prepare6;
        tc_icmp_make4(reason) = icmp_error::make4;
        tc_icmp_make6(reason) = icmp_error::make6;
    }
}
