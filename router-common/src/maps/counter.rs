//! Counters: per CPU, never reset by a reload.

/// Map name: `PerCpuArray<Counter, REASON_SLOTS>`, indexed by the numbers of [`crate::verdict`].
pub const REASONS: &str = "REASONS";
/// Map name: `PerCpuArray<PortCounters, PORT_SLOTS>`, indexed by [`crate::maps::port::Port::tx_index`].
pub const PORT_COUNTERS: &str = "PORT_COUNTERS";

/// Room for every reason number.
pub const REASON_SLOTS: u32 = 128;

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counter {
    pub packets: u64,
    pub bytes: u64,
}
crate::assert_size!(Counter, 16);

/// Packets that met the pipeline at a port. Bytes count from the Ethernet header on.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    /// Came in here and were redirected by XDP.
    pub xdp: Counter,
    /// Came in here and were forwarded by the tc program.
    pub tc: Counter,
    /// Came in here and went to the host, its own or to be forwarded by its kernel.
    pub host: Counter,
    /// Came in here and were dropped.
    pub drop: Counter,
    /// Left here, redirected by XDP or tc.
    pub sent: Counter,
}
crate::assert_size!(PortCounters, 80);
