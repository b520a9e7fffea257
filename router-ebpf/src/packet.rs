//! What the pipeline needs of a packet, whichever hook it is met at.

use core::ffi::c_void;

use router_common::cursor::Cursor;
use router_common::verdict::{Reason, Stage};
use router_common::wire::ipv6::Halves;

use crate::pipeline::State;
use crate::stage::emit::Way;

/// A frame in XDP or an skb in tc.
pub trait Packet: Copy {
    /// Whether this is the XDP back end.
    const XDP: bool;
    /// Index of its working memory, see [`router_common::maps::scratch`].
    const SCRATCH: u32;
    const ENTRY: Stage;
    /// What a forwarded packet counts as.
    const FORWARDED: Reason;
    /// The action that drops the packet.
    const DROP: i32;

    /// Goes on in the program of the slow path; comes back where there is none.
    fn slow(self);
    /// The action that passes the packet up as it is.
    fn pass(self) -> i32;
    fn context(self) -> *mut c_void;
    /// Ifindex of the port it came in at.
    fn ingress(self) -> u32;
    /// Ethertype where there is no Ethernet header to read it from.
    fn protocol(self) -> u16;
    /// The bytes that can be reached directly, from the start of the frame on. References that were taken from an
    /// earlier cursor must not be used any more.
    fn cursor<'p>(self) -> Cursor<'p>;
    /// Makes at least `bytes` of the frame directly reachable where it is that long.
    fn pull(self, bytes: u32);
    /// Length of the whole frame in bytes.
    fn length(self) -> u32;
    /// Copies bytes at an offset, also from where the cursor can't reach.
    fn load<const N: usize>(self, offset: u32) -> Option<[u8; N]>;
    /// The same, faster where the bytes can be reached directly.
    fn header<const N: usize>(self, offset: u32) -> Option<[u8; N]>;
    /// An IPv6 address at an offset.
    fn load_address(self, offset: u32) -> Option<Halves>;
    /// Copies `length` bytes at `offset`.
    ///
    /// # Safety
    /// `buffer` has room for them.
    unsafe fn load_into(self, offset: u32, buffer: *mut u8, length: u32) -> Option<()>;
    /// Payload bytes per segment where several packets travel as one, else 0.
    fn segment_bytes(self) -> u32;
    /// How many packets this is on the wire.
    fn packets(self) -> u64;
    /// [`router_common::maps::port::port_flag::AGAIN`] where the daemon gives the packet back, whose mark then is gone.
    fn again(self, generation: u32) -> u32;
    /// Whether a VLAN tag travels beside the frame.
    fn has_tag(self) -> bool;

    // The global functions of this back end, see [`crate::global`].
    fn upper(self, l2_bytes: u32, first: u8, length: u32) -> u32;
    fn is_traced(self, ingress: u32, l2_bytes: u32) -> bool;
    fn report(self, ingress: u32, step: u32, egress: u32);
    fn stranger(self) -> i32;
    fn quote(self, offset: u32, bytes: u32) -> u32;
    fn begin(self, s: &mut State);
    fn routed(self, s: &mut State, egress: u32);
    fn forwarded(self, s: &mut State, egress: u32);
    fn facts(self, s: &mut State) -> u32;
    fn fragment(self, s: &mut State) -> u32;
    fn hold(self, s: &mut State) -> u32;
    fn track(self, s: &mut State) -> u32;
    fn related(self, s: &mut State) -> u32;
    fn segment(self, s: &mut State) -> u32;
    fn translate(self, s: &mut State) -> u32;
    fn quoted_header(self, s: &mut State) -> u32;
    fn quoted_upper(self, s: &mut State) -> u32;

    fn masquerade(self, s: &mut State) -> u32;
    fn inspect(self, s: &mut State) -> u32;
    fn edit(self, s: &mut State) -> u32;
    fn clamp(self, s: &mut State) -> u32;
    fn source4(self, s: &mut State) -> u32;
    fn source6(self, s: &mut State) -> u32;
    fn route4(self, s: &mut State) -> u32;
    fn route6(self, s: &mut State) -> u32;
    fn slow_send(self, s: &mut State, way: &mut Way) -> u32;
    fn send_translated(self, s: &mut State, way: &mut Way) -> u32;
    fn icmp_prepare(self, s: &mut State, way: &mut Way, reason: u32) -> u32;
    fn icmp_make(self, s: &mut State, way: &mut Way, reason: u32) -> u32;
    fn finish(self, s: &mut State, exit: u32) -> i32;

    // Changes of a packet, at offsets from the start of the frame. Sums are of 32-bit words in memory order: the
    // complement of what was there and what is there now.
    fn store_half(self, offset: u32, bytes: [u8; 2]) -> Option<()>;
    fn store_word(self, offset: u32, word: u32) -> Option<()>;
    fn store_address(self, offset: u32, address: Halves) -> Option<()>;
    /// Adjusts an IPv4 header's checksum.
    fn adjust_l3(self, offset: u32, changed: u32) -> Option<()>;
    /// Adjusts a transport checksum; `pseudo` where the change is one of the pseudo-header, `is_udp` where 0 says that
    /// there is none.
    fn adjust_l4(self, offset: u32, changed: u32, pseudo: bool, is_udp: bool) -> Option<()>;

    /// Lowers the TTL in place. `third` is the third word of the IPv4 header as it is.
    fn decrement_ttl(self, l2_bytes: u32, third: [u8; 4]) -> Option<()>;
    /// Lowers the hop limit in place.
    fn decrement_hop_limit(self, l2_bytes: u32, hop_limit: u8) -> Option<()>;
    /// Makes `head` bytes of room before the IP header and cuts the frame to `l2_bytes + head + keep`.
    fn make_room(self, l2_bytes: u32, head: u32, keep: u32) -> Option<()>;

    /// Tells tc where the packet is to go, before anything of it is changed; None where that is impossible.
    fn announce(self, way: &Way) -> Option<()>;
    /// XDP: transmits the finished frame at the port of that index.
    fn redirect(self, tx_index: u32) -> Result<i32, Reason>;
    /// Sends the finished packet to `way`; in XDP, tc will.
    fn send(self, way: &Way) -> Result<i32, Reason>;
    /// Passes the packet to the host, for local delivery.
    fn deliver(self) -> Result<i32, Untouched>;
    /// Leaves the packet to the kernel's forwarding.
    fn leave(self, generation: u32, table: u32) -> Result<i32, Untouched>;
}

/// The packet could only be passed up as it is: tc decides.
pub struct Untouched(pub i32);
