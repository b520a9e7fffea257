//! What XDP tells tc ingress of the same packet, in the metadata area before the frame.

/// Marks metadata as ours.
pub const MAGIC: u32 = 0x7264_6831; // "rdh1"

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handover {
    pub magic: u32,
    /// One of the constants in [`verdict`].
    pub verdict: u32,
    /// Egress ifindex where `verdict` is `SEND4` or `SEND6`; where it is `KERNEL` one of [`crate::maps::route::table`].
    pub ifindex: u32,
    /// Next hop address, IPv4 in the first four bytes.
    pub next_hop: [u8; 16],
    /// Of what leaves by the host's queues: the packet mark, and from bit 16 on the priority.
    pub class: u32,
}
// The kernel has room for 32 bytes.
crate::assert_size!(Handover, 32);

pub mod verdict {
    /// For the host itself: tc passes it on without looking again.
    pub const LOCAL: u32 = 1;
    /// The kernel forwards (fragments, options): tc sets the `DONE` mark.
    pub const KERNEL: u32 = 2;
    /// Finished but for the neighbour: `bpf_redirect_neigh` to an IPv4 or IPv6 next hop.
    pub const SEND4: u32 = 3;
    pub const SEND6: u32 = 4;
}
