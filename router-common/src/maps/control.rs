//! The words that steer the running programs: one mmapable array of one [`Control`].

/// Map name: `Array<Control, 1>`, mmapable.
pub const CONTROL: &str = "CONTROL";

/// Written by the daemon through memory, except `tick` and `route_epoch`, which the dead-man timer writes as well.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// The generation of the active image; its low bit is the slot. A packet reads it once.
    pub generation: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// Cached routes of another epoch are not used. Bumped on each route, neighbour, link and address change.
    pub route_epoch: u32,
    /// Seconds since the data plane was first started, counted by the dead-man timer.
    pub tick: u32,
    /// Counted up by the daemon about once a second.
    pub heartbeat: u32,
    /// The value of `heartbeat` that the timer saw last.
    pub heartbeat_seen: u32,
    /// The tick at which `heartbeat` last changed.
    pub heartbeat_tick: u32,
    /// The kernel's id of the map `TX_PORTS`: tells our redirects from others' in the host-wide tracepoints.
    pub tx_map_id: u32,
    /// Random, and as old as the flow tables: see [`crate::tuple::hash4`].
    pub flow_seed: u64,
    /// Buckets of the flow tables less one, a power of two less one.
    pub flow_mask4: u32,
    pub flow_mask6: u32,
    /// Added to `tick` this is the local time: seconds since a midnight before a Sunday.
    pub week_s: u32,
    pub reserved: u32,
}
crate::assert_size!(Control, 56);

/// Bits of [`Control::flags`].
pub mod flag {
    /// Matching packets are reported through the event ring, see [`crate::maps::event`].
    pub const TRACE: u32 = 1 << 0;
    /// A route may be cached by destination alone: the host has no policy rule and no multipath route that
    /// would make the answer depend on anything else.
    pub const CACHE_ROUTES: u32 = 1 << 1;
    /// The outcome of each packet is left in [`crate::maps::scratch::Scratch::last`]: for test runs, which do not
    /// tell where a packet was redirected to.
    pub const RECORD: u32 = 1 << 2;
    /// The image has rules, or connections are tracked: packets go by way of the flow table.
    pub const FIREWALL: u32 = 1 << 3;
}
