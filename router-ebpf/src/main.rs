//! The programs: one packet pipeline, compiled for XDP and for tc.
//!
//! Written for kernel 6.1 and later: no kfuncs, no helper younger than that.
#![no_std]
#![no_main]
#![feature(core_intrinsics)]
#![allow(internal_features)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod atomic;
mod count;
mod dead_man;
mod flow;
mod global;
mod guard;
mod losses;
mod maps;
mod packet;
mod pipeline;
mod skb;
mod stage;
mod trace;
mod xdp;

use aya_ebpf::{
    macros::{classifier, raw_tracepoint, xdp},
    programs::{RawTracePointContext, TcContext, XdpContext},
};

/// Every frame of a port in XDP mode.
#[xdp(frags)]
pub fn xdp_port(ctx: XdpContext) -> u32 {
    pipeline::run(xdp::XdpPacket::new(ctx.ctx)) as u32
}

/// Every packet that came up at a port: what XDP handed over, and everything on ports without XDP.
#[classifier]
pub fn tc_ingress(ctx: TcContext) -> i32 {
    let mut packet = skb::SkbPacket::new(ctx.skb.skb);
    match stage::handover::take(&mut packet) {
        Some(action) => action,
        None => pipeline::run(packet),
    }
}

/// What the fast path of `xdp_port` has not decided.
#[xdp(frags)]
pub fn xdp_slow(ctx: XdpContext) -> u32 {
    pipeline::resume(xdp::XdpPacket::new(ctx.ctx)) as u32
}

/// What the fast path of `tc_ingress` has not decided.
#[classifier]
pub fn tc_slow(ctx: TcContext) -> i32 {
    pipeline::resume(skb::SkbPacket::new(ctx.skb.skb))
}

/// Every packet that leaves a port by way of the host: nothing is forwarded past the pipeline.
#[classifier]
pub fn tc_egress(ctx: TcContext) -> i32 {
    guard::run(skb::SkbPacket::new(ctx.skb.skb))
}

/// What the host itself sends, where there are rules or connections are tracked.
#[classifier]
pub fn tc_output(ctx: TcContext) -> i32 {
    guard::resume(skb::SkbPacket::new(ctx.skb.skb))
}

/// Run once by the daemon: starts the timer that notices when the daemon is gone.
#[classifier]
pub fn dead_man(_ctx: TcContext) -> i32 {
    dead_man::start()
}

/// Frames that XDP redirected and the kernel could not take.
#[raw_tracepoint(tracepoint = "xdp_redirect_err")]
pub fn xdp_redirect_err(ctx: RawTracePointContext) -> i32 {
    losses::redirect_err(&ctx)
}

/// Frames that a port's driver refused.
#[raw_tracepoint(tracepoint = "xdp_devmap_xmit")]
pub fn xdp_devmap_xmit(ctx: RawTracePointContext) -> i32 {
    losses::devmap_xmit(&ctx)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
