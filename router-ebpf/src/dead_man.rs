//! A timer that outlives the daemon: it counts the seconds. Once the heartbeat stops, it has cached routes expire, and the
//! decisions that rest on members of address lists whose time is over.

use core::ffi::c_void;

use aya_ebpf::bindings::bpf_timer;
use aya_ebpf::btf_maps::Array;
use aya_ebpf::helpers::generated::{bpf_timer_init, bpf_timer_set_callback, bpf_timer_start};
use aya_ebpf::macros::btf_map;
use router_common::hash;
use router_common::maps::rule::{Listed, ListedKey};

use crate::maps;

#[repr(C)]
pub struct Timer {
    timer: bpf_timer,
}

#[btf_map]
static DEAD_MAN: Array<Timer, 1> = Array::new();

const SECOND_NS: u64 = 1_000_000_000;
const CLOCK_MONOTONIC: u64 = 1;
/// Seconds without a heartbeat after which the daemon counts as gone.
pub const PATIENCE_TICKS: u32 = 3;

/// Starts the timer, or gives a running one the callback of this program. 0 is success.
pub fn start() -> i32 {
    let Some(entry) = DEAD_MAN.get_ptr_mut(0) else { return 1 };
    // SAFETY: the field of a map value, as the helpers ask for.
    let timer = unsafe { &raw mut (*entry).timer };
    let map = (&raw const DEAD_MAN).cast_mut().cast();
    // SAFETY: timer and map belong together; the callback has the type that the kernel calls.
    unsafe {
        // Fails with EBUSY where the timer runs already.
        let _ = bpf_timer_init(timer, map, CLOCK_MONOTONIC);
        if bpf_timer_set_callback(timer, tick as *mut c_void) != 0 {
            return 2;
        }
        if bpf_timer_start(timer, SECOND_NS, 0) != 0 { 3 } else { 0 }
    }
}

unsafe extern "C" fn tick(_map: *mut c_void, _key: *mut u32, entry: *mut Timer) -> i64 {
    if let Some(control) = maps::control() {
        // SAFETY: a map value. The daemon writes `heartbeat` and adds to `route_epoch`; a lost addition of either
        // side still leaves another epoch than before.
        unsafe {
            let mut now = (*control).tick.wrapping_add(1);
            (*control).tick = now;
            if (*control).heartbeat != (*control).heartbeat_seen {
                (*control).heartbeat_seen = (*control).heartbeat;
                (*control).heartbeat_tick = now;
            } else if now.wrapping_sub((*control).heartbeat_tick) > PATIENCE_TICKS {
                (*control).route_epoch = (*control).route_epoch.wrapping_add(1);
                maps::each_listed(expired as *mut c_void, (&raw mut now).cast());
            }
        }
    }
    // SAFETY: the timer that called. It can't fail for a timer with a callback.
    let _ = unsafe { bpf_timer_start(&raw mut (*entry).timer, SECOND_NS, 0) };
    0
}

/// Tells the decisions about an address that it is no member of a list any more. Looked at are the seconds since the
/// daemon was heard last: before that it has done so itself.
unsafe extern "C" fn expired(
    _map: *mut c_void,
    key: *mut ListedKey,
    listed: *mut Listed,
    now: *mut u32,
) -> i64 {
    // SAFETY: a map's key and value, and the tick that the timer gave.
    unsafe {
        if (*now).wrapping_sub((*listed).until_tick) <= PATIENCE_TICKS + 1 {
            maps::bump_list_epoch(hash::epoch(&(*key).address));
        }
    }
    0
}
