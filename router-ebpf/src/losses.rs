//! Frames that were redirected and then lost: a full ring, a link that went down.
//!
//! The tracepoints are the host's: they tell of other programs' frames too.

use aya_ebpf::Global;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::programs::RawTracePointContext;
use router_common::verdict::Reason;

use crate::count;
use crate::maps;

/// Offset of `ifindex` in the running kernel's `struct net_device`, from its BTF; 0 where the loader does not know.
#[unsafe(no_mangle)]
static NET_DEVICE_IFINDEX: Global<u32> = Global::new(0);

/// trace_xdp_redirect_err(dev, xdp, tgt, err, map_type, map_id, index), include/trace/events/xdp.h.
pub fn redirect_err(ctx: &RawTracePointContext) -> i32 {
    let map_id = ctx.arg::<u32>(5);
    if maps::control().is_some_and(|control| {
        // SAFETY: a map value, always there.
        unsafe { (*control).tx_map_id == map_id }
    }) {
        count::reason(Reason::RedirectFailed as u16, 1, 0);
    }
    0
}

/// trace_xdp_devmap_xmit(from_dev, to_dev, sent, drops, err): ours where both devices are ports.
pub fn devmap_xmit(ctx: &RawTracePointContext) -> i32 {
    let drops = ctx.arg::<i32>(3);
    if drops <= 0 {
        return 0;
    }
    if let Some(now) = maps::now()
        && let (Some(from), Some(to)) = (ifindex(ctx, 0), ifindex(ctx, 1))
        && maps::port(now.generation, from).is_some()
        && maps::port(now.generation, to).is_some()
    {
        count::reason(Reason::RedirectFailed as u16, u64::from(drops.unsigned_abs()), 0);
    }
    0
}

#[inline(always)]
fn ifindex(ctx: &RawTracePointContext, argument: usize) -> Option<u32> {
    let offset = NET_DEVICE_IFINDEX.load();
    if offset == 0 {
        return None;
    }
    let device = ctx.arg::<*const u8>(argument).wrapping_add(offset as usize);
    // SAFETY: a checked read by the kernel.
    unsafe { bpf_probe_read_kernel(device.cast::<u32>()) }.ok()
}
