//! Cached routes and sources, and the host's own addresses.
//!
//! The kernel's FIB stays the only source of truth: an entry here is an answer of `bpf_fib_lookup`, valid for one
//! [`crate::maps::control::Control::route_epoch`]. Every CPU has its own part of each array, so entries need no lock.

/// Map names: `Array<Route4, CPUS * ROUTE_SLOTS>`, `Array<Route6, ..>`, mmapable.
pub const ROUTES4: &str = "ROUTES4";
pub const ROUTES6: &str = "ROUTES6";
/// Map names: `Array<Source4, CPUS * ROUTE_SLOTS>`, `Array<Source6, ..>`.
pub const SOURCES4: &str = "SOURCES4";
pub const SOURCES6: &str = "SOURCES6";
/// Map names: `HashMap<[u8; 4], u32>`, `HashMap<[u8; 16], u32>`: address -> ifindex of each own address.
pub const LOCALS4: &str = "LOCALS4";
pub const LOCALS6: &str = "LOCALS6";

/// Entries per CPU of each cache, a power of two.
pub const ROUTE_SLOTS: u32 = 4096;

/// How a destination is reached.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NextHop {
    /// Egress ifindex.
    pub ifindex: u32,
    pub tx_index: u32,
    /// Path MTU in bytes.
    pub mtu_bytes: u32,
    /// The tick in which the entry was used last.
    pub used_tick: u32,
    /// Destination and source MAC, as they go into the frame.
    pub dst_mac: [u8; 6],
    pub src_mac: [u8; 6],
    /// One of [`kind`].
    pub kind: u32,
}
crate::assert_size!(NextHop, 32);

/// What a cached route says.
pub mod kind {
    /// Empty or not to be used: ask the FIB.
    pub const NONE: u32 = 0;
    /// Rewrite and redirect in XDP.
    pub const REDIRECT: u32 = 1;
    /// Deliver to the host.
    pub const LOCAL: u32 = 2;
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route4 {
    pub destination: [u8; 4],
    pub ingress: u32,
    pub epoch: u32,
    pub reserved: u32,
    /// The gateway, or the destination itself where it is on link.
    pub gateway: [u8; 4],
    pub next_hop: NextHop,
    pub reserved2: [u32; 3],
}
crate::assert_size!(Route4, 64);

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route6 {
    pub destination: [u8; 16],
    pub ingress: u32,
    pub epoch: u32,
    /// The gateway, or the destination itself where it is on link.
    pub gateway: [u8; 16],
    pub next_hop: NextHop,
    pub reserved: [u32; 14],
}
crate::assert_size!(Route6, 128);

/// A source that passed the martian, own-address and reverse-path checks on `ingress`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source4 {
    pub source: [u8; 4],
    pub ingress: u32,
    pub epoch: u32,
    /// The image generation the check was made in.
    pub generation: u32,
}
crate::assert_size!(Source4, 16);

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source6 {
    pub source: [u8; 16],
    pub ingress: u32,
    pub epoch: u32,
    pub generation: u32,
    pub reserved: u32,
}
crate::assert_size!(Source6, 32);
