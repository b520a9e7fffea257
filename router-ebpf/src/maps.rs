//! Every map, and the accessors through which the stages use them.

use core::ffi::c_void;
use core::hint::black_box;
use core::mem::offset_of;

use aya_ebpf::{
    bindings::{BPF_ANY, BPF_NOEXIST},
    btf_maps::{Array, ArrayOfMaps, DevMap, HashMap, LruHashMap, PerCpuArray, ProgramArray},
    helpers::generated::{bpf_for_each_map_elem, bpf_get_smp_processor_id},
    macros::{btf_map, map},
    maps::RingBuf,
};
use router_common::maps::{
    control::Control,
    counter::{Counter, PortCounters, REASON_SLOTS},
    event::{EVENTS_BYTES, TraceFilter},
    flow::{BUCKET_SLOTS, Bucket, Entry, Flow4, Flow6, LOCKS_MAX, Side, Tracking, Unused, lock},
    fragment::{FRAGMENTS_MAX, First, FragmentKey, HELD_BYTES},
    image::Cell,
    port::{PORT_PROBES, PORT_SLOTS, Port, Settings},
    route::{FAILED_MAX, FailedKey, LOCALS_MAX, ROUTE_SLOTS, Route4, Route6, Source4, Source6},
    rule::{
        CONNECTION_RATES_MAX, ConnectionRate, DST_LIMITS_MAX, DstLimitKey, EPOCHS_MAX, LISTED_MAX, Listed,
        ListedKey, MARKS_MAX, MarkName, PATHS_MAX, PathKey, Payload, RULE_LOG_BYTES, RULE_SLOTS, RuleScratch,
        SCANS_MAX, SOURCE_CELLS, SOURCES_MAX, Scan, ScanKey, SourceKey, TABLES_MAX,
    },
    scratch::{Last, STATE_WORDS, Scratch},
};
use router_common::wire::ipv6::Halves;

use crate::atomic;
use crate::pipeline::State;

/// Kernel: `BPF_F_MMAPABLE`.
const MMAPABLE: usize = 1 << 10;

#[btf_map]
static CONTROL: Array<Control, 1, MMAPABLE> = Array::new();
#[btf_map]
static PORTS: Array<Port, { 2 * PORT_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static SETTINGS: Array<Settings, 2, MMAPABLE> = Array::new();
#[btf_map]
pub static TX_PORTS: DevMap<{ PORT_SLOTS as usize }> = DevMap::new();

// The loader gives the caches room for every possible CPU.
#[btf_map]
static ROUTES4: Array<Route4, { ROUTE_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static ROUTES6: Array<Route6, { ROUTE_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static SOURCES4: Array<Source4, { ROUTE_SLOTS as usize }> = Array::new();
#[btf_map]
static SOURCES6: Array<Source6, { ROUTE_SLOTS as usize }> = Array::new();
#[btf_map]
static LOCALS4: HashMap<[u8; 4], u32, { LOCALS_MAX as usize }> = HashMap::new();
#[btf_map]
static LOCALS6: HashMap<[u64; 2], u32, { LOCALS_MAX as usize }> = HashMap::new();
#[btf_map]
static FAILED: LruHashMap<[u32; 5], u32, { FAILED_MAX as usize }> = LruHashMap::new();

// The loader gives these the sizes that `max-entries` asks for.
#[btf_map]
static FLOWS4: Array<Flow4, { BUCKET_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static FLOWS6: Array<Flow6, { BUCKET_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static BUCKETS4: Array<Bucket, 1, MMAPABLE> = Array::new();
#[btf_map]
static BUCKETS6: Array<Bucket, 1, MMAPABLE> = Array::new();
#[btf_map]
static SIDES4: Array<Side, { BUCKET_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static SIDES6: Array<Side, { BUCKET_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static FLOW_UNUSED: Array<Unused, 2, MMAPABLE> = Array::new();
#[btf_map]
static FLOW_LOCKS: Array<u32, { LOCKS_MAX as usize }> = Array::new();
#[btf_map]
static TRACKING: Array<Tracking, 2, MMAPABLE> = Array::new();

#[btf_map]
static FRAGMENTS: LruHashMap<FragmentKey, First, { FRAGMENTS_MAX as usize }> = LruHashMap::new();

#[btf_map]
static REASONS: PerCpuArray<Counter, { REASON_SLOTS as usize }> = PerCpuArray::new();
#[btf_map]
static PORT_COUNTERS: PerCpuArray<PortCounters, { PORT_SLOTS as usize }> = PerCpuArray::new();
#[btf_map]
pub static SLOW_XDP: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static SLOW_TC: ProgramArray<1> = ProgramArray::new();
#[btf_map]
pub static OUTPUT: ProgramArray<1> = ProgramArray::new();
#[btf_map]
static SCRATCH: PerCpuArray<Scratch, 2> = PerCpuArray::new();
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(EVENTS_BYTES, 0);
#[btf_map]
static TRACE: Array<TraceFilter, 1> = Array::new();

/// Kernel: `BPF_F_INNER_MAP`: inner arrays differ in size. `BPF_F_NO_PREALLOC`.
const INNER_MAP: usize = 1 << 12;
const NO_PREALLOC: usize = 1;

/// The image of one slot; of the size that its rules need.
pub type Images = Array<Cell, 1, { MMAPABLE | INNER_MAP }>;
#[btf_map]
static IMAGES: ArrayOfMaps<Images, 2> = ArrayOfMaps::new();
#[btf_map]
static RULE_SCRATCH: PerCpuArray<RuleScratch, 2> = PerCpuArray::new();
#[btf_map]
static RULE_COUNTERS: PerCpuArray<Counter, { RULE_SLOTS as usize }> = PerCpuArray::new();
// Of user space alone.
#[btf_map]
static RULE_BASE: Array<Counter, { RULE_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static MARKS: Array<MarkName, { MARKS_MAX as usize }, MMAPABLE> = Array::new();
#[btf_map]
static TABLES: Array<MarkName, { TABLES_MAX as usize }, MMAPABLE> = Array::new();
#[btf_map]
static LIMITS: Array<u64, { RULE_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static DST_LIMITS: LruHashMap<DstLimitKey, u64, { DST_LIMITS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static NTH: Array<u32, { RULE_SLOTS as usize }, MMAPABLE> = Array::new();
#[btf_map]
static CONNECTION_RATES: LruHashMap<u64, ConnectionRate, { CONNECTION_RATES_MAX as usize }> =
    LruHashMap::new();
#[btf_map]
static SCANS: LruHashMap<ScanKey, Scan, { SCANS_MAX as usize }> = LruHashMap::new();
#[btf_map]
static PAYLOAD: PerCpuArray<Payload, 2> = PerCpuArray::new();
#[btf_map]
static CONNECTION_LIMITS: LruHashMap<SourceKey, [u64; SOURCE_CELLS], { SOURCES_MAX as usize }> =
    LruHashMap::new();
#[btf_map]
static LISTED: HashMap<ListedKey, Listed, { LISTED_MAX as usize }, NO_PREALLOC> = HashMap::new();
#[btf_map]
static LIST_EPOCHS: Array<u32, { EPOCHS_MAX as usize }, MMAPABLE> = Array::new();
#[btf_map]
static PATHS: HashMap<PathKey, u32, { 2 * PATHS_MAX as usize }> = HashMap::new();
#[btf_map]
static PATH_NEXT: Array<u32, 2, MMAPABLE> = Array::new();
#[btf_map]
static PATH_COUNTERS: PerCpuArray<Counter, { 2 * PATHS_MAX as usize }> = PerCpuArray::new();
#[map]
pub static RULE_LOG: RingBuf = RingBuf::with_byte_size(RULE_LOG_BYTES, 0);

#[map]
pub static HELD: RingBuf = RingBuf::with_byte_size(HELD_BYTES, 0);

/// The control words as one packet sees them throughout.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Now {
    pub generation: u32,
    pub flags: u32,
    pub epoch: u32,
    pub tick: u32,
}

#[inline(always)]
pub fn now() -> Option<Now> {
    let control: *const [u64; 2] = CONTROL.get_ptr(0)?.cast();
    // SAFETY: Control begins with the four words of Now and is aligned to 8 as every array value is. Volatile: the
    // words of a pair are read together and only once.
    let [image, route] =
        unsafe { [(&raw const (*control)[0]).read_volatile(), (&raw const (*control)[1]).read_volatile()] };
    Some(Now {
        generation: image as u32,
        flags: (image >> 32) as u32,
        epoch: route as u32,
        tick: (route >> 32) as u32,
    })
}

/// Seed and masks of the flow tables.
#[inline(always)]
pub fn flow_table(family: u32) -> (u64, u32) {
    let Some(control) = CONTROL.get_ptr(0) else { return (0, 0) };
    // SAFETY: words that change only before the first packet.
    unsafe { ((*control).flow_seed, if family == 4 { (*control).flow_mask4 } else { (*control).flow_mask6 }) }
}

#[inline(always)]
pub fn tracking(generation: u32) -> Option<&'static Tracking> {
    TRACKING.get(generation & 1)
}

#[inline(always)]
pub fn flow4(index: u32) -> Option<*mut Flow4> {
    FLOWS4.get_ptr_mut(index)
}

#[inline(always)]
pub fn flow6(index: u32) -> Option<*mut Flow6> {
    FLOWS6.get_ptr_mut(index)
}

/// What both families' entries have.
#[inline(always)]
pub fn entry(family: u32, index: u32) -> Option<*mut Entry> {
    // SAFETY: a field of a map value; no reference is made.
    unsafe {
        match family {
            4 => flow4(index).map(|flow| &raw mut (*flow).entry),
            _ => flow6(index).map(|flow| &raw mut (*flow).entry),
        }
    }
}

#[inline(always)]
pub fn side(family: u32, index: u32) -> Option<*mut Side> {
    match family {
        4 => SIDES4.get_ptr_mut(index),
        _ => SIDES6.get_ptr_mut(index),
    }
}

#[inline(always)]
pub fn bucket(family: u32, index: u32) -> Option<*mut Bucket> {
    match family {
        4 => BUCKETS4.get_ptr_mut(index),
        _ => BUCKETS6.get_ptr_mut(index),
    }
}

#[inline(always)]
pub fn unused(family: u32) -> Option<*mut Unused> {
    FLOW_UNUSED.get_ptr_mut(u32::from(family != 4))
}

/// The lock of a bucket as the first one of a key.
#[inline(always)]
pub fn flow_lock(family: u32, first_bucket: u32) -> Option<*mut u32> {
    FLOW_LOCKS.get_ptr_mut(lock(family, first_bucket))
}

/// What became of the first fragment of a packet.
#[inline(always)]
pub fn fragment(key: &FragmentKey) -> Option<*mut First> {
    FRAGMENTS.get_ptr_mut(key)
}

#[inline(always)]
pub fn add_fragment(key: &FragmentKey, first: &First) -> bool {
    FRAGMENTS.insert(key, first, BPF_ANY.into()).is_ok()
}

/// Whether the daemon has been heard within the last ticks.
#[inline(always)]
pub fn is_daemon_alive(tick: u32, patience_ticks: u32) -> bool {
    let Some(control) = CONTROL.get_ptr(0) else { return false };
    // SAFETY: one word.
    tick.wrapping_sub(unsafe { (&raw const (*control).heartbeat_tick).read_volatile() }) <= patience_ticks
}

/// For the dead-man timer alone.
pub fn control() -> Option<*mut Control> {
    CONTROL.get_ptr_mut(0)
}

#[inline(always)]
pub fn settings(generation: u32) -> Option<&'static Settings> {
    SETTINGS.get(generation & 1)
}

#[inline(always)]
pub fn port(generation: u32, ifindex: u32) -> Option<&'static Port> {
    let slot = (generation & 1) * PORT_SLOTS;
    for probe in 0..PORT_PROBES {
        let port = PORTS.get(slot + (ifindex.wrapping_add(probe) & (PORT_SLOTS - 1)))?;
        if port.ifindex == ifindex {
            return Some(port);
        }
    }
    None
}

#[inline(always)]
pub fn cpu() -> u32 {
    // SAFETY: no arguments.
    unsafe { bpf_get_smp_processor_id() }
}

/// This CPU's part of a cache.
#[inline(always)]
fn own<T, const N: usize, const F: usize>(map: &'static Array<T, N, F>, slot: u32) -> Option<&'static mut T> {
    let entry = map.get_ptr_mut(cpu() * ROUTE_SLOTS + slot)?;
    // SAFETY: the entry belongs to this CPU, on which one program runs at a time; user space only reads it.
    Some(unsafe { &mut *entry })
}

#[inline(always)]
pub fn route4(slot: u32) -> Option<&'static mut Route4> {
    own(&ROUTES4, slot)
}

#[inline(always)]
pub fn route6(slot: u32) -> Option<&'static mut Route6> {
    own(&ROUTES6, slot)
}

#[inline(always)]
pub fn source4(slot: u32) -> Option<&'static mut Source4> {
    own(&SOURCES4, slot)
}

#[inline(always)]
pub fn source6(slot: u32) -> Option<&'static mut Source6> {
    own(&SOURCES6, slot)
}

#[inline(always)]
pub fn is_local4(address: &[u8; 4]) -> bool {
    LOCALS4.get_ptr(address).is_some()
}

#[inline(always)]
pub fn is_local6((high, low): Halves) -> bool {
    LOCALS6.get_ptr([high, low]).is_some()
}

#[inline(always)]
pub fn is_failed(ifindex: u32, [a, b, c, d]: [u32; 4], tick: u32) -> bool {
    const { assert!(size_of::<FailedKey>() == size_of::<[u32; 5]>()) };
    let key = [ifindex, a, b, c, d];
    // SAFETY: the value is one aligned word, whole whenever it is read.
    FAILED.get_ptr(key).is_some_and(|until| unsafe { *until } > tick)
}

#[inline(always)]
pub fn reason_counter(reason: u16) -> Option<&'static mut Counter> {
    // SAFETY: per-CPU, and the reference does not outlive one addition.
    REASONS.get_ptr_mut(u32::from(reason)).map(|counter| unsafe { &mut *counter })
}

#[inline(always)]
pub fn port_counters(tx_index: u32) -> Option<&'static mut PortCounters> {
    // SAFETY: as above.
    PORT_COUNTERS.get_ptr_mut(tx_index).map(|counters| unsafe { &mut *counters })
}

#[inline(always)]
pub fn scratch(index: u32) -> Option<&'static mut Scratch> {
    // SAFETY: per-CPU; XDP and tc have one each, and neither calls itself.
    SCRATCH.get_ptr_mut(index).map(|scratch| unsafe { &mut *scratch })
}

/// The state that the fast path has left for the slow one.
#[inline(always)]
pub fn state(index: u32) -> Option<&'static mut State> {
    const { assert!(size_of::<State>() == size_of::<[u64; STATE_WORDS]>()) };
    // SAFETY: of that size and alignment, all integers; per-CPU as the rest of the working memory.
    // Hidden from LLVM, which else adds the offset before it asks for null ("pointer arithmetic on map_value_or_null").
    SCRATCH.get_ptr_mut(index).map(|scratch| unsafe { &mut *(&raw mut (*black_box(scratch)).state).cast() })
}

#[inline(always)]
pub fn trace_filter() -> Option<&'static TraceFilter> {
    TRACE.get(0)
}

#[inline(always)]
pub fn image(generation: u32) -> Option<&'static Images> {
    IMAGES.get(generation & 1)
}

#[inline(always)]
pub fn rule_scratch(index: u32) -> Option<&'static mut RuleScratch> {
    // SAFETY: as for `scratch`.
    RULE_SCRATCH.get_ptr_mut(index).map(|scratch| unsafe { &mut *scratch })
}

#[inline(always)]
pub fn rule_counter(slot: u32) -> Option<&'static mut Counter> {
    // SAFETY: per-CPU, and the reference does not outlive one addition.
    RULE_COUNTERS.get_ptr_mut(slot).map(|counter| unsafe { &mut *counter })
}

#[inline(always)]
pub fn path_counter(id: u32) -> Option<&'static mut Counter> {
    // SAFETY: as above.
    PATH_COUNTERS.get_ptr_mut(id).map(|counter| unsafe { &mut *counter })
}

#[inline(always)]
pub fn path(key: &PathKey) -> Option<u32> {
    // SAFETY: the value is one aligned word, written before the entry is there.
    PATHS.get_ptr(key).map(|id| unsafe { *id })
}

#[inline(always)]
pub fn add_path(key: &PathKey, id: u32, flags: u64) -> bool {
    PATHS.insert(key, id, flags).is_ok()
}

#[inline(always)]
pub fn path_next(parity: u32) -> Option<*mut u32> {
    PATH_NEXT.get_ptr_mut(parity)
}

/// The bucket of a rule's `limit`.
#[inline(always)]
pub fn limit(slot: u32) -> Option<*mut u64> {
    LIMITS.get_ptr_mut(slot)
}

/// The bucket of a rule's `dst-limit`, a new one full.
#[inline(always)]
pub fn dst_limit(key: &DstLimitKey) -> Option<*mut u64> {
    match DST_LIMITS.get_ptr_mut(key) {
        Some(bucket) => Some(bucket),
        None => {
            // Fails where another CPU was faster.
            let _ = DST_LIMITS.insert(key, 0, BPF_NOEXIST.into());
            DST_LIMITS.get_ptr_mut(key)
        }
    }
}

/// The packets that have asked a rule's `nth`.
#[inline(always)]
pub fn nth(slot: u32) -> Option<*mut u32> {
    NTH.get_ptr_mut(slot)
}

/// What a connection carried, as far as a rule has asked; a new one is as given.
#[inline(always)]
pub fn connection_rate(key: &u64, new: &ConnectionRate) -> Option<&'static mut ConnectionRate> {
    if CONNECTION_RATES.get_ptr(key).is_none() {
        // Fails where another CPU was faster.
        let _ = CONNECTION_RATES.insert(key, new, BPF_NOEXIST.into());
    }
    // SAFETY: a value of the map; two CPUs with one connection may each lose what the other writes.
    CONNECTION_RATES.get_ptr_mut(key).map(|rate| unsafe { &mut *rate })
}

/// The ports that a source has asked; a new one is as given.
#[inline(always)]
pub fn scan(key: &ScanKey, new: &Scan) -> Option<&'static mut Scan> {
    if SCANS.get_ptr(key).is_none() {
        let _ = SCANS.insert(key, new, BPF_NOEXIST.into());
    }
    // SAFETY: as above.
    SCANS.get_ptr_mut(key).map(|scan| unsafe { &mut *scan })
}

/// Where the payload that rules look at is kept.
#[inline(always)]
pub fn payload(index: u32) -> Option<*mut Payload> {
    PAYLOAD.get_ptr_mut(index)
}

/// The local time, in seconds since the midnight before Sunday.
#[inline(always)]
pub fn second_of_week() -> u32 {
    const WEEK_S: u32 = 7 * 86_400;
    // SAFETY: single words of the one element.
    CONTROL.get_ptr(0).map_or(0, |control| unsafe {
        ((&raw const (*control).tick).read_volatile() + (&raw const (*control).week_s).read_volatile())
            % WEEK_S
    })
}

/// A block of the connections that a `connection-limit` counts.
#[inline(always)]
pub fn source_block(key: &SourceKey) -> Option<*mut [u64; SOURCE_CELLS]> {
    CONNECTION_LIMITS.get_ptr_mut(key)
}

#[inline(always)]
pub fn add_source_block(key: &SourceKey, cells: &[u64; SOURCE_CELLS]) -> bool {
    CONNECTION_LIMITS.insert(key, cells, BPF_NOEXIST.into()).is_ok()
}

#[inline(always)]
pub fn listed(key: &ListedKey) -> Option<Listed> {
    // SAFETY: two words; each is whole whenever it is read.
    LISTED.get_ptr(key).map(|listed| unsafe { *listed })
}

#[inline(always)]
pub fn listed_mut(key: &ListedKey) -> Option<&'static mut Listed> {
    // SAFETY: each of its two words is whole whenever it is read or written.
    LISTED.get_ptr_mut(key).map(|listed| unsafe { &mut *listed })
}

#[inline(always)]
pub fn add_listed(key: &ListedKey, listed: &Listed, flags: u64) -> bool {
    LISTED.insert(key, listed, flags).is_ok()
}

/// Kept decisions that looked at dynamic lists for a like address hold no more.
/// Calls a callback of `bpf_for_each_map_elem` for every dynamic member of address lists.
#[inline(always)]
pub fn each_listed(callback: *mut c_void, context: *mut c_void) {
    // SAFETY: the verifier checks the callback against the map.
    unsafe { bpf_for_each_map_elem((&raw const LISTED).cast_mut().cast(), callback, context, 0) };
}

#[inline(always)]
pub fn bump_list_epoch(index: u32) {
    if let Some(epoch) = LIST_EPOCHS.get_ptr_mut(index) {
        // SAFETY: a whole, aligned word of a map.
        unsafe { atomic::add32(epoch, 1) };
    }
}

/// The epoch of an address, see [`router_common::hash::epoch`].
#[inline(always)]
pub fn list_epoch(index: u32) -> u32 {
    // SAFETY: as above.
    LIST_EPOCHS.get_ptr(index).map_or(0, |epoch| unsafe { epoch.read_volatile() })
}

/// Reads an address that stands at a multiple of eight in a map value.
#[inline(always)]
pub fn read6(address: &[u8; 16]) -> Halves {
    // SAFETY: aligned as every map value is, by the layouts asserted below.
    let [high, low] = unsafe { address.as_ptr().cast::<[u64; 2]>().read() };
    (high, low)
}

/// Writes an address as [`read6`] reads it.
#[inline(always)]
pub fn write6(address: &mut [u8; 16], (high, low): Halves) {
    // SAFETY: as for read6.
    unsafe { address.as_mut_ptr().cast::<[u64; 2]>().write([high, low]) };
}

const _: () = assert!(
    offset_of!(Route4, gateway) % 8 == 0
        && offset_of!(Route6, gateway) % 8 == 0
        && offset_of!(Route6, destination) % 8 == 0
        && offset_of!(Source6, source) % 8 == 0
        && offset_of!(Last, next_hop) % 8 == 0
        && offset_of!(TraceFilter, destination_mask) % 8 == 0
);
