//! What rules and connection tracking know of a packet. Filled in once per packet that leaves the fast path, kept up to
//! date by the stages that change it.

/// One packet's facts, as the rules see them at the moment.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Source and destination as they are now: behind dst-nat the destination is the translated one. IPv4 stands in the
    /// first four bytes, the others are zero.
    pub src: [u8; 16],
    pub dst: [u8; 16],
    /// In host order. ICMP queries have their identifier in both; 0 where the protocol has no ports and in later fragments.
    pub src_port: u16,
    pub dst_port: u16,
    /// IP protocol; behind IPv6 extension headers the upper layer's.
    pub protocol: u8,
    /// 4 or 6.
    pub family: u8,
    /// The flag byte of TCP (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128).
    pub tcp_flags: u8,
    /// TTL or hop limit, as it came.
    pub ttl: u8,
    pub dscp: u8,
    pub icmp_type: u8,
    pub icmp_code: u8,
    /// Bits of [`fragment`].
    pub fragment: u8,
    /// Bytes of the IP packet, header and payload (of each segment where several travel as one).
    pub length_bytes: u32,
    /// How many packets this is on the wire.
    pub packets: u32,
    /// Ethernet source where one is known, else zero.
    pub src_mac: [u8; 6],
    /// One of [`connection_state`].
    pub state: u8,
    /// Bits of [`nat_state`].
    pub nat: u8,
    /// 0 where there is none or it is not known yet.
    pub in_ifindex: u32,
    pub out_ifindex: u32,
    /// Offset of the upper layer's header from the IP header, in bytes; 0 where it is not in the packet.
    pub l4_offset: u32,
    /// Numbers that the plan gives to names; 0 is no mark.
    pub connection_mark: u32,
    pub packet_mark: u32,
    pub routing_mark: u32,
    /// One of [`address_type`].
    pub src_type: u8,
    pub dst_type: u8,
    /// The largest segment that a SYN announces; 0 where it does not, or where no rule asks.
    pub tcp_mss: u16,
    /// Bytes of all that travels here as one, as IP packets: what counters count.
    pub total_bytes: u32,
    /// Bits by [`ip_option`]; 0 where no rule asks.
    pub options: u8,
    /// Bits of [`header`].
    pub headers: u8,
    /// What `set-priority` has set.
    pub priority: u8,
    pub reserved: [u8; 5],
}
crate::assert_size!(Facts, 104);

/// Bits of [`Facts::options`]: options of IPv4, RouterOS's `ipv4-options`.
pub mod ip_option {
    pub const ANY: u8 = 1;
    pub const LOOSE_SOURCE_ROUTING: u8 = 2;
    pub const STRICT_SOURCE_ROUTING: u8 = 4;
    pub const RECORD_ROUTE: u8 = 8;
    pub const ROUTER_ALERT: u8 = 16;
    pub const TIMESTAMP: u8 = 32;
}

/// Bits of [`Facts::headers`]: what follows an IPv6 header, RouterOS's `headers`.
pub mod header {
    pub const HOP: u8 = 1;
    pub const DST: u8 = 2;
    pub const ROUTE: u8 = 4;
    pub const FRAG: u8 = 8;
    pub const AUTH: u8 = 16;
    pub const ESP: u8 = 32;
    pub const NONE: u8 = 64;
    pub const PROTO: u8 = 128;

    /// The bit of a header's number.
    #[inline(always)]
    pub fn of(number: u8) -> u8 {
        match number {
            next::HOP_BY_HOP => HOP,
            next::ROUTING => ROUTE,
            next::FRAGMENT => FRAG,
            next::AUTHENTICATION => AUTH,
            next::ESP => ESP,
            next::NONE => NONE,
            other if next::is_extension(other) => DST,
            _ => PROTO,
        }
    }

    use crate::wire::ipv6::next;
}

/// [`Facts::fragment`].
pub mod fragment {
    /// Part of a fragmented packet.
    pub const PART: u8 = 1;
    /// Not its first part: the upper layer's header is not in it.
    pub const LATER: u8 = 2;
}

/// [`Facts::state`], RouterOS's `connection-state`.
pub mod connection_state {
    /// Tracking has not looked at the packet: raw rules, or tracking is off.
    pub const NONE: u8 = 0;
    pub const NEW: u8 = 1;
    pub const ESTABLISHED: u8 = 2;
    pub const RELATED: u8 = 3;
    pub const INVALID: u8 = 4;
    pub const UNTRACKED: u8 = 5;
}

/// [`Facts::nat`], RouterOS's `connection-nat-state`.
pub mod nat_state {
    pub const SRCNAT: u8 = 1;
    pub const DSTNAT: u8 = 2;
}

/// [`Facts::src_type`] and [`Facts::dst_type`], RouterOS's `src-address-type` and `dst-address-type`.
pub mod address_type {
    pub const UNICAST: u8 = 0;
    pub const LOCAL: u8 = 1;
    pub const BROADCAST: u8 = 2;
    pub const MULTICAST: u8 = 3;
    pub const BLACKHOLE: u8 = 4;
    pub const UNREACHABLE: u8 = 5;
    pub const PROHIBIT: u8 = 6;
}
