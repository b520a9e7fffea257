//! Ports and settings: the two-slot part of the image.

use super::route::table::LAST;

/// Map name: `Array<Port, 2 * PORT_SLOTS>`; slot s begins at `s * PORT_SLOTS`.
pub const PORTS: &str = "PORTS";
/// Map name: `Array<Settings, 2>`, one per slot.
pub const SETTINGS: &str = "SETTINGS";
/// Map name: `DevMap` of `PORT_SLOTS` entries, keyed by [`Port::tx_index`].
pub const TX_PORTS: &str = "TX_PORTS";

/// Buckets of a slot's port table, a power of two.
pub const PORT_SLOTS: u32 = 1024;
/// A port stands within so many buckets from `ifindex & (PORT_SLOTS - 1)`.
pub const PORT_PROBES: u32 = 4;

/// One L3 port. All zero: an empty bucket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Port {
    pub ifindex: u32,
    /// Bits of [`port_flag`].
    pub flags: u32,
    /// L3 MTU in bytes.
    pub mtu_bytes: u32,
    /// Index in [`TX_PORTS`] and in the port counters; stable while the port exists.
    pub tx_index: u32,
    pub mac: [u8; 6],
    pub reserved: [u8; 2],
    /// Source of ICMP errors sent from this port; 0.0.0.0 where it has no address.
    pub address4: [u8; 4],
    /// Source of ICMPv6 errors sent from this port; `::` where it has no address.
    pub address6: [u8; 16],
}
crate::assert_size!(Port, 44);

/// Bits of [`Port::flags`].
pub mod port_flag {
    /// Packets that came in here may be forwarded (IPv4, IPv6).
    pub const FORWARD4: u32 = 1 << 0;
    pub const FORWARD6: u32 = 1 << 1;
    /// Frames may be redirected to this port by XDP (the driver has `ndo_xdp_xmit`).
    pub const XDP_TX: u32 = 1 << 2;
    /// Source check of `/ip settings rp-filter`; at most one is set.
    pub const RP_STRICT: u32 = 1 << 3;
    pub const RP_LOOSE: u32 = 1 << 4;
    /// A packet that leaves where it came in is left to the kernel, which may send a redirect.
    pub const SEND_REDIRECTS: u32 = 1 << 5;
    /// The device has no Ethernet header.
    pub const NO_ETHERNET: u32 = 1 << 6;
    /// XDP runs on this port natively (else in tc alone, or generic).
    pub const NATIVE: u32 = 1 << 7;
    /// The driver refuses `bpf_xdp_adjust_meta`: what XDP can't finish goes up untouched.
    pub const NO_METADATA: u32 = 1 << 8;
    /// Another managed device lies below this one (VLAN, bridge, bond): the mark stays for its own check.
    pub const KEEP_MARK: u32 = 1 << 9;
    /// Frames may come with a transport checksum that the sender left to its device: a veth whose peer offloads it.
    pub const UNFINISHED: u32 = 1 << 10;
    /// Of a packet, not of a port: the daemon has held it, and gives it back.
    pub const AGAIN: u32 = 1 << 31;
}

/// What holds for all ports.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The bits of `skb->mark` that are ours. Other bits are never changed.
    pub mark_mask: u32,
    /// Inside `mark_mask`: the packet has been through the pipeline.
    pub mark_done: u32,
    /// ICMP errors per second and CPU that the pipeline makes; 0 is no limit.
    pub icmp_rate: u32,
    pub reserved: u32,
}
crate::assert_size!(Settings, 16);

/// Where the number of a routing table stands in a mark, see [`crate::maps::route::table`].
pub const MARK_TABLE_SHIFT: u32 = 24;

impl Settings {
    /// The mark of packets that the kernel forwards by a table.
    #[inline(always)]
    pub const fn mark_table(&self, table: u32) -> u32 {
        self.mark_done | if table > LAST { 0 } else { (table << MARK_TABLE_SHIFT) & self.mark_mask }
    }

    /// The mark of packets that the daemon gives back: no table has this number, and what is done has the other bit.
    /// 0 where there is no room for it.
    #[inline(always)]
    pub const fn mark_again(&self) -> u32 {
        self.mark_mask & !self.mark_done
    }
}
