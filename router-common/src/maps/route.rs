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
/// Map names: `HashMap<[u8; 4], u32>`, `HashMap<[u8; 16], u32>`: address -> ifindex of each address that the host
/// answers to: its own, the broadcast addresses of its IPv4 subnets and the anycast addresses it has joined.
/// `bpf_fib_lookup` gives one answer for "deliver to the host" and "no route"; these maps tell them apart.
pub const LOCALS4: &str = "LOCALS4";
pub const LOCALS6: &str = "LOCALS6";

/// Entries of each map of own addresses.
pub const LOCALS_MAX: u32 = 16384;
/// Map name: `LruHashMap<FailedKey, u32>`: next hop -> the tick until which its neighbour counts as failed;
/// packets for it are answered with host unreachable.
pub const FAILED: &str = "FAILED";
pub const FAILED_MAX: u32 = 4096;

/// A next hop whose neighbour did not answer.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailedKey {
    pub ifindex: u32,
    /// IPv4 in the first four bytes.
    pub next_hop: [u8; 16],
}
crate::assert_size!(FailedKey, 20);

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
    pub kind: u16,
    /// 4 or 6: what the route's `gateway` holds (IPv4 destinations may have an IPv6 gateway).
    pub gateway_family: u8,
    /// The routing table that was asked first, see [`table`].
    pub table: u8,
}
crate::assert_size!(NextHop, 32);

/// Routing tables as packets and decisions name them. What a table has no route for is looked up as if it had not been
/// asked: by the host's rules, and at last in table main.
pub mod table {
    /// No table is to be asked before the others.
    pub const NONE: u32 = 0;
    /// Table main itself.
    pub const MAIN: u32 = 127;
    /// The numbers from 1 to here are those of named tables.
    pub const LAST: u32 = 126;
    /// A named table's number in the kernel, less its number here.
    pub const KERNEL_BASE: u32 = 52_000;
    const KERNEL_MAIN: u32 = 254;

    /// The kernel's number of a table.
    #[inline(always)]
    pub const fn kernel(number: u32) -> u32 {
        if number == MAIN { KERNEL_MAIN } else { KERNEL_BASE + number }
    }
}

/// What a cached route says.
pub mod kind {
    /// Empty or not to be used: ask the FIB.
    pub const NONE: u16 = 0;
    /// Rewrite and redirect in XDP; tc sends to the gateway.
    pub const REDIRECT: u16 = 1;
    /// Deliver to the host.
    pub const LOCAL: u16 = 2;
    /// tc sends to the gateway: XDP can't transmit there, or the neighbour is not resolved.
    pub const SEND: u16 = 3;
    /// The kernel forwards (encapsulation, redirects).
    pub const KERNEL: u16 = 4;
}

/// A route as it was answered for one destination on one ingress port.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route4 {
    pub destination: [u8; 4],
    pub ingress: u32,
    pub epoch: u32,
    /// The image generation the answer was given in.
    pub generation: u32,
    /// The gateway, or the destination itself where it is on link; IPv4 in the first four bytes.
    pub gateway: [u8; 16],
    pub next_hop: NextHop,
}
crate::assert_size!(Route4, 64);

#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Route6 {
    pub destination: [u8; 16],
    pub ingress: u32,
    pub epoch: u32,
    /// The image generation the answer was given in.
    pub generation: u32,
    pub reserved: u32,
    /// The gateway, or the destination itself where it is on link.
    pub gateway: [u8; 16],
    pub next_hop: NextHop,
    pub reserved2: [u32; 12],
}
crate::assert_size!(Route6, 128);

/// A source that passed the martian, own-address and reverse-path checks on `ingress`.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source4 {
    pub source: [u8; 4],
    pub ingress: u32,
    pub epoch: u32,
    /// The image generation the check was made in.
    pub generation: u32,
}
crate::assert_size!(Source4, 16);

#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source6 {
    pub source: [u8; 16],
    pub ingress: u32,
    pub epoch: u32,
    pub generation: u32,
    pub reserved: u32,
}
crate::assert_size!(Source6, 32);
