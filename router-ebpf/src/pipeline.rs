//! The way of one packet: parse, port, source, route, emit; or an early end.
//!
//! What is here and inlined from here is the fast path. Everything else is a global function (see [`crate::global`]):
//! the verifier checks each of those once, and a packet that doesn't need it doesn't pay for it.

use aya_ebpf::Global;
use router_common::cursor::{Cursor, Short};
use router_common::maps::control::flag;
use router_common::maps::port::port_flag;
use router_common::parse;
use router_common::verdict::Reason;
use router_common::wire::eth::{self, Ethernet};
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::{self, Ipv6};

use crate::global;
use crate::maps::{self, Now};
use crate::packet::Packet;
use crate::stage::{emit, fast, firewall, route, shield, source, unfinished};

/// What the stages of one packet share. Global functions see it as plain memory, so that it holds no pointer.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub struct State {
    pub now: Now,
    /// Ifindex, flags and counter index of the port that the packet came in at.
    pub ingress: u32,
    pub port_flags: u32,
    pub port_index: u32,
    /// Bytes before the IP header: 14, or 0 on a device without Ethernet header.
    pub l2_bytes: u32,
    /// Bytes of the frame, for the counters.
    pub frame_bytes: u32,
    /// Bytes of the IP packet.
    pub length: u32,
    /// Where not 0 the packet may be delivered but not forwarded: the reason number to drop it under.
    pub bound: u32,
    /// The MTU that a packet was too big for.
    pub mtu_bytes: u32,
    /// 4 or 6 once the header is checked.
    pub family: u32,
    /// Bits of [`crate::trace::observe`]; 0 for nearly every packet.
    pub observed: u32,
    /// Not 0: the packet leaves as [`router_common::maps::scratch::Work::leaves`] says.
    pub rewrite: u32,
    /// Index of the program's working memory.
    pub scratch: u32,
    /// One of [`fast::stranger`].
    pub stranger: u32,
    /// Bit per built-in chain of the packet's family that has no rules.
    pub empty: u32,
    /// The routing table that is asked first, one of [`router_common::maps::route::table`].
    pub table: u32,
    pub reserved: u32,
    /// Where the packet is routed to: its destination, or what that is translated to. IPv4 in the low half of the first
    /// word.
    pub destination: [u64; 2],
}

/// An early end of the pipeline, in one register: functions that are not inlined return at most that.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Exit(u32);

impl Exit {
    const DROP: u32 = 1 << 16;
    const HOST: u32 = 2 << 16;
    const KERNEL: u32 = 3 << 16;
    const UNTOUCHED: u32 = 4 << 16;
    const HELD: u32 = 5 << 16;

    #[inline(always)]
    pub const fn drop(reason: Reason) -> Exit {
        Exit(Exit::DROP | reason as u32)
    }
    #[inline(always)]
    pub const fn host(reason: Reason) -> Exit {
        Exit(Exit::HOST | reason as u32)
    }
    /// The kernel forwards the packet.
    #[inline(always)]
    pub const fn kernel() -> Exit {
        Exit(Exit::KERNEL | Reason::KernelForwarded as u32)
    }
    /// XDP passes the packet up as it came.
    #[inline(always)]
    pub const fn untouched() -> Exit {
        Exit(Exit::UNTOUCHED | Reason::Unfinished as u32)
    }
    /// The daemon has a copy, which it gives back.
    #[inline(always)]
    pub const fn held() -> Exit {
        Exit(Exit::HELD | Reason::FragmentHeld as u32)
    }
    /// The slow path decides; an error of ours where that is missing.
    #[inline(always)]
    pub const fn slow() -> Exit {
        Exit(Exit::DROP | Reason::NoSlowPath as u32)
    }
    #[inline(always)]
    pub const fn dropped(reason_number: u32) -> Exit {
        Exit(Exit::DROP | reason_number)
    }

    /// The packet goes to the host itself.
    #[inline(always)]
    pub const fn is_host(self) -> bool {
        self.class() == Exit::HOST
    }
    #[inline(always)]
    pub const fn is_drop(self) -> bool {
        self.class() == Exit::DROP
    }
    #[inline(always)]
    pub const fn reason(self) -> u16 {
        self.0 as u16
    }
    #[inline(always)]
    const fn class(self) -> u32 {
        self.0 & !0xffff
    }

    /// As a number where 0 means "go on".
    #[inline(always)]
    pub fn pack(result: Result<(), Exit>) -> u32 {
        match result {
            Ok(()) => 0,
            Err(exit) => exit.0,
        }
    }
    #[inline(always)]
    pub fn unpack(number: u32) -> Result<(), Exit> {
        if number == 0 { Ok(()) } else { Err(Exit(number)) }
    }
}

impl From<Reason> for Exit {
    #[inline(always)]
    fn from(reason: Reason) -> Exit {
        Exit::drop(reason)
    }
}

impl From<Short> for Exit {
    #[inline(always)]
    fn from(_: Short) -> Exit {
        Exit::drop(Reason::MalformedHeader)
    }
}

/// Runs the pipeline on one packet and gives the program's action.
#[inline(always)]
pub fn run<P: Packet>(packet: P) -> i32 {
    let Some(now) = maps::now() else { return packet.pass() };
    let ingress = packet.ingress();
    let Some(port) = maps::port(now.generation, ingress) else {
        return packet.stranger();
    };
    let has_l2 = P::XDP || port.flags & port_flag::NO_ETHERNET == 0;
    // Not on the stack, where it would be too much beside the frames of the longest chain of calls.
    let Some(s) = maps::state(P::SCRATCH) else { return packet.pass() };
    *s = State {
        now,
        ingress,
        port_flags: port.flags | packet.again(now.generation),
        port_index: port.tx_index,
        l2_bytes: if has_l2 { eth::HEADER_BYTES } else { 0 },
        frame_bytes: 0,
        length: 0,
        bound: 0,
        mtu_bytes: 0,
        family: 0,
        observed: 0,
        rewrite: 0,
        scratch: P::SCRATCH,
        stranger: 0,
        empty: 0,
        table: 0,
        reserved: 0,
        destination: [0; 2],
    };
    if now.flags & (flag::TRACE | flag::RECORD) != 0 {
        packet.begin(s);
    }
    match decide(packet, s, &port.mac) {
        Ok(action) => action,
        Err(exit) => {
            if exit == Exit::slow() {
                // Does not come back, unless the program is missing.
                packet.slow();
            }
            packet.finish(s, exit.0)
        }
    }
}

/// The slow path: goes on with the packet where the fast path has left it.
#[inline(always)]
pub fn resume<P: Packet>(packet: P) -> i32 {
    let Some(s) = maps::state(P::SCRATCH) else { return P::DROP };
    if !P::XDP {
        packet.pull(s.l2_bytes + ipv6::HEADER_BYTES);
    }
    let sent = match s.family {
        4 => resume4(packet, s),
        _ => resume6(packet, s),
    };
    match sent {
        Ok(action) => action,
        Err(exit) => packet.finish(s, exit.0),
    }
}

#[inline(always)]
fn resume4<P: Packet>(packet: P, s: &mut State) -> Result<i32, Exit> {
    let mut cursor = packet.cursor();
    if s.l2_bytes != 0 {
        cursor.take::<Ethernet>()?;
    }
    let header = cursor.take::<Ipv4>()?;
    if s.stranger != fast::stranger::NO {
        shield::check(packet, s, (u64::from(u32::from_ne_bytes(header.src())), 0))?;
    }
    source::check4(packet, s, header)?;
    firewall::run(packet, s)?;
    let [destination, _] = s.destination;
    let route = route::find4(packet, s, (destination as u32).to_ne_bytes())?;
    if s.observed != 0 {
        packet.routed(s, route.next_hop.ifindex);
    }
    let mut cursor = packet.cursor();
    let ethernet = if s.l2_bytes == 0 { None } else { Some(cursor.take::<Ethernet>()?) };
    let header = cursor.take::<Ipv4>()?;
    emit::ipv4::<P, true>(packet, s, header, cursor, route, ethernet, None)
}

#[inline(always)]
fn resume6<P: Packet>(packet: P, s: &mut State) -> Result<i32, Exit> {
    let mut cursor = packet.cursor();
    if s.l2_bytes != 0 {
        cursor.take::<Ethernet>()?;
    }
    let header = cursor.take::<Ipv6>()?;
    if s.stranger != fast::stranger::NO {
        shield::check(packet, s, header.src_halves())?;
    }
    source::check6(packet, s, header)?;
    firewall::run(packet, s)?;
    let [high, low] = s.destination;
    let route = route::find6(packet, s, (high, low))?;
    if s.observed != 0 {
        packet.routed(s, route.next_hop.ifindex);
    }
    let mut cursor = packet.cursor();
    let ethernet = if s.l2_bytes == 0 { None } else { Some(cursor.take::<Ethernet>()?) };
    let header = cursor.take::<Ipv6>()?;
    emit::ipv6::<P, true>(packet, s, header, cursor, route, ethernet, None)
}

/// Everything up to the rewritten packet on its way.
#[inline(always)]
fn decide<P: Packet>(packet: P, s: &mut State, mac: &[u8; 6]) -> Result<i32, Exit> {
    if !P::XDP {
        if packet.has_tag() {
            return Err(Exit::host(Reason::Vlan));
        }
        packet.pull(s.l2_bytes + ipv6::HEADER_BYTES);
    }
    let mut cursor = packet.cursor();
    s.frame_bytes = if P::XDP { cursor.remaining() } else { packet.length() };
    if !P::XDP && s.l2_bytes == 0 {
        return match packet.protocol() {
            eth::IPV4 => ipv4(packet, s, cursor, None),
            eth::IPV6 => ipv6(packet, s, cursor, None),
            _ => Err(Exit::host(Reason::NotIp)),
        };
    }
    let ethernet = cursor.take::<Ethernet>()?;
    if !ethernet.is_for(mac) {
        if !ethernet.is_group() {
            return Err(Exit::host(Reason::OtherHost));
        }
        // RFC 1812, 5.3.4: what came as a link layer broadcast is not forwarded.
        s.bound = Reason::LinkBroadcast as u32;
    }
    match ethernet.ethertype() {
        eth::IPV4 => ipv4(packet, s, cursor, Some(ethernet)),
        eth::IPV6 => ipv6(packet, s, cursor, Some(ethernet)),
        eth::VLAN | eth::QINQ => Err(Exit::host(Reason::Vlan)),
        _ => Err(Exit::host(Reason::NotIp)),
    }
}

#[inline(always)]
fn ipv4<P: Packet>(
    packet: P,
    s: &mut State,
    mut cursor: Cursor<'_>,
    ethernet: Option<&mut Ethernet>,
) -> Result<i32, Exit> {
    let l2_bytes = s.l2_bytes;
    let header = cursor.take::<Ipv4>()?;
    let whole = || packet.length().wrapping_sub(l2_bytes);
    s.family = 4;
    s.length = parse::ipv4(header, cursor.again(), packet.segment_bytes() != 0, whole)?;
    if P::XDP {
        s.frame_bytes = s.frame_bytes.max(s.length + eth::HEADER_BYTES);
    }
    if has_firewall(s) {
        return filtered4(packet, s, header, cursor, ethernet);
    }
    source::check4(packet, s, header)?;
    let route = route::find4(packet, s, header.dst())?;
    if s.observed != 0 {
        packet.routed(s, route.next_hop.ifindex);
    }
    emit::ipv4::<P, false>(packet, s, header, cursor, route, ethernet, None)
}

/// 0 where the loader knows that there is no firewall: the verifier then passes over all that is for one.
#[unsafe(no_mangle)]
static WITH_FIREWALL: Global<u32> = Global::new(1);

/// Whether there are rules, or connections are tracked.
#[inline(always)]
pub fn has_firewall(s: &State) -> bool {
    WITH_FIREWALL.load() != 0 && s.now.flags & flag::FIREWALL != 0
}

/// With rules or connection tracking: what is decided of the packet's flow, else the slow path.
#[inline(always)]
fn filtered4<P: Packet>(
    packet: P,
    s: &mut State,
    header: &mut Ipv4,
    cursor: Cursor<'_>,
    ethernet: Option<&mut Ethernet>,
) -> Result<i32, Exit> {
    // The checksum is finished by nobody once XDP has changed the packet.
    if P::XDP && unfinished::ipv4(packet, s, header) {
        return Err(Exit::untouched());
    }
    if s.port_flags & (port_flag::RP_STRICT | port_flag::RP_LOOSE) != 0 {
        source::check4(packet, s, header)?;
    }
    let hit = fast::find4(s, header, &mut cursor.again());
    if hit.found && emit::is_fast::<P>(s, hit.rewrite, hit.decision.egress()) {
        s.table = hit.decision.table();
        if let Ok(route) = route::find4(packet, s, hit.dst.to_ne_bytes())
            && emit::is_decided(&route.next_hop, hit.decision.egress())
            && header.ttl() > 1
        {
            if s.observed != 0 {
                packet.routed(s, route.next_hop.ifindex);
            }
            fast::count(s, hit.index, packet.packets());
            return emit::ipv4::<P, false>(packet, s, header, cursor, route, ethernet, Some(&hit));
        }
    }
    Err(Exit::slow())
}

#[inline(always)]
fn ipv6<P: Packet>(
    packet: P,
    s: &mut State,
    mut cursor: Cursor<'_>,
    ethernet: Option<&mut Ethernet>,
) -> Result<i32, Exit> {
    let l2_bytes = s.l2_bytes;
    let header = cursor.take::<Ipv6>()?;
    let whole = || packet.length().wrapping_sub(l2_bytes);
    s.family = 6;
    s.length = parse::ipv6(header, cursor.again(), packet.segment_bytes() != 0, whole)?;
    if P::XDP {
        s.frame_bytes = s.frame_bytes.max(s.length + eth::HEADER_BYTES);
    }
    let next = header.next_header();
    if ipv6::next::is_extension(next) {
        global::upper(packet.upper(s.l2_bytes, next, s.length)).map_err(Exit::dropped)?;
    }
    if has_firewall(s) {
        return filtered6(packet, s, header, cursor, ethernet);
    }
    source::check6(packet, s, header)?;
    let route = route::find6(packet, s, header.dst_halves())?;
    if s.observed != 0 {
        packet.routed(s, route.next_hop.ifindex);
    }
    emit::ipv6::<P, false>(packet, s, header, cursor, route, ethernet, None)
}

/// As [`filtered4`].
#[inline(always)]
fn filtered6<P: Packet>(
    packet: P,
    s: &mut State,
    header: &mut Ipv6,
    cursor: Cursor<'_>,
    ethernet: Option<&mut Ethernet>,
) -> Result<i32, Exit> {
    if P::XDP && unfinished::ipv6(packet, s, header) {
        return Err(Exit::untouched());
    }
    if s.port_flags & (port_flag::RP_STRICT | port_flag::RP_LOOSE) != 0 {
        source::check6(packet, s, header)?;
    }
    let hit = fast::find6(s, header, &mut cursor.again());
    if hit.found && emit::is_fast::<P>(s, hit.rewrite, hit.decision.egress()) {
        s.table = hit.decision.table();
        if let Ok(route) = route::find6(packet, s, hit.dst)
            && emit::is_decided(&route.next_hop, hit.decision.egress())
            && header.hop_limit() > 1
        {
            if s.observed != 0 {
                packet.routed(s, route.next_hop.ifindex);
            }
            fast::count(s, hit.index, packet.packets());
            return emit::ipv6::<P, false>(packet, s, header, cursor, route, ethernet, Some(&hit));
        }
    }
    Err(Exit::slow())
}

/// Ends the packet early: counts it, and drops it, passes it up or leaves it to the kernel.
pub mod finish {
    use super::{Exit, State};
    use crate::packet::{Packet, Untouched};
    use crate::stage::emit::Way;
    use crate::stage::icmp_error;
    use crate::{count, trace};
    use router_common::verdict::Reason;

    #[inline(always)]
    pub fn run<P: Packet>(packet: P, s: &mut State, exit: u32) -> i32 {
        let mut exit = Exit(exit);
        let passed = match exit.class() {
            Exit::DROP => {
                trace::end(packet, s, exit.reason(), 0);
                let mut way = Way::NONE;
                let answer = packet.icmp_prepare(s, &mut way, u32::from(exit.reason()));
                if answer != icmp_error::KERNEL {
                    count::dropped(packet, s, exit.reason());
                    if answer == icmp_error::READY {
                        let made = packet.icmp_make(s, &mut way, u32::from(exit.reason()));
                        if made & icmp_error::ACTION != 0 {
                            return (made & !icmp_error::ACTION) as i32;
                        }
                    }
                    return P::DROP;
                }
                exit = Exit::kernel();
                packet.leave(s.now.generation, s.table)
            }
            Exit::HOST => packet.deliver(),
            Exit::KERNEL => packet.leave(s.now.generation, s.table),
            Exit::HELD => Ok(P::DROP),
            _ => Err(Untouched(packet.pass())),
        };
        let reason = if passed.is_ok() { exit.reason() } else { Reason::Unfinished as u16 };
        trace::end(packet, s, reason, 0);
        match passed {
            Ok(action) => {
                count::to_host(packet, s, reason);
                action
            }
            Err(untouched) => {
                count::reason(reason, 1, u64::from(s.frame_bytes));
                untouched.0
            }
        }
    }

    /// A packet at a port that is none of the image's.
    #[inline(always)]
    pub fn stranger<P: Packet>(packet: P) -> i32 {
        count::reason(Reason::UnmanagedPort as u16, packet.packets(), u64::from(packet.length()));
        match packet.deliver() {
            Ok(action) => action,
            Err(untouched) => untouched.0,
        }
    }
}
