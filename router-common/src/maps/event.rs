//! Events to the daemon and the trace filter.

/// Map name: `RingBuf`; every record is an [`Event`].
pub const EVENTS: &str = "EVENTS";
pub const EVENTS_BYTES: u32 = 1 << 18;
/// Map name: `Array<TraceFilter, 1>`.
pub const TRACE: &str = "TRACE";

/// Bytes of a frame that an event carries.
pub const HEAD_BYTES: usize = 104;

/// One step of one traced packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// CLOCK_MONOTONIC in nanoseconds.
    pub time_ns: u64,
    /// Numbers the packets of one CPU; all steps of a packet carry the same.
    pub packet: u32,
    pub cpu: u32,
    pub ingress: u32,
    /// Egress ifindex once known, else 0. Of the stage `Rules` the chain, the walk's verdict from bit 8 on, and from bit
    /// 16 on the index of the rule that gave it.
    pub egress: u32,
    pub length_bytes: u32,
    /// A [`crate::verdict::Stage`] number.
    pub stage: u16,
    /// A reason number where the stage ended the packet, else 0.
    pub reason: u16,
    /// The frame as it is now. Of the stage `Rules` the facts that the rules looked at.
    pub head: [u8; HEAD_BYTES],
}
crate::assert_size!(Event, 136);
const _: () = assert!(size_of::<crate::facts::Facts>() == HEAD_BYTES);

/// Which packets are traced; zero fields match everything.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceFilter {
    /// IPv4 addresses stand in the first four bytes.
    pub source: [u8; 16],
    pub source_mask: [u8; 16],
    pub destination: [u8; 16],
    pub destination_mask: [u8; 16],
    pub ingress: u32,
    /// 0, 4 or 6.
    pub family: u8,
    /// IP protocol; 0 is any.
    pub protocol: u8,
    pub source_port: u16,
    pub destination_port: u16,
    /// Bits of [`trace_flag`].
    pub flags: u16,
}
crate::assert_size!(TraceFilter, 76);

/// Bits of [`TraceFilter::flags`].
pub mod trace_flag {
    /// Only the ends of packets that are dropped, and the walks that decided so.
    pub const DROPS: u16 = 1;
}
