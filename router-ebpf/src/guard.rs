//! tc egress: nothing that this host forwards leaves a port without a verdict of the pipeline.

use router_common::maps::control::flag;
use router_common::maps::port::{Port, port_flag};
use router_common::verdict::Reason;
use router_common::wire::eth;
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::Ipv6;

use crate::count;
use crate::maps::{self, Now};
use crate::packet::Packet;
use crate::pipeline::State;
use crate::skb::SkbPacket;
use crate::stage::firewall;

#[inline(always)]
pub fn run(packet: SkbPacket) -> i32 {
    let Some(now) = maps::now() else { return packet.pass() };
    let Some(port) = maps::port(now.generation, packet.ingress()) else { return packet.pass() };
    let Some(settings) = maps::settings(now.generation) else { return packet.pass() };
    let mark = packet.mark();
    if mark & settings.mark_done != 0 {
        if port.flags & port_flag::KEEP_MARK == 0 {
            packet.set_mark(mark & !settings.mark_mask);
        }
        return packet.pass();
    }
    let again = settings.mark_again();
    if again != 0 && mark & settings.mark_mask == again {
        return packet.turn_round();
    }
    // The host's own packets came in nowhere. Some keep the device of the packet that they answer: their source tells.
    if packet.forwarded_from() == 0 || is_own(packet, port.flags & port_flag::NO_ETHERNET != 0) {
        return if now.flags & flag::FIREWALL == 0 { packet.pass() } else { output(packet, now, port) };
    }
    count::reason(Reason::Unfiltered as u16, packet.packets(), u64::from(packet.length()));
    if let Some(counters) = maps::port_counters(port.tx_index) {
        count::add(&mut counters.drop, packet.packets(), u64::from(packet.length()));
    }
    SkbPacket::DROP
}

/// The output chains, in a program of their own.
#[inline(always)]
fn output(packet: SkbPacket, now: Now, port: &Port) -> i32 {
    let family = match packet.protocol() {
        eth::IPV4 => 4,
        eth::IPV6 => 6,
        _ => return packet.pass(),
    };
    let Some(s) = maps::state(SkbPacket::SCRATCH) else { return SkbPacket::DROP };
    let l2_bytes = if port.flags & port_flag::NO_ETHERNET != 0 { 0 } else { eth::HEADER_BYTES };
    let frame_bytes = packet.length();
    *s = State {
        now,
        ingress: port.ifindex,
        port_flags: port.flags,
        port_index: port.tx_index,
        l2_bytes,
        frame_bytes,
        length: frame_bytes.wrapping_sub(l2_bytes),
        bound: 0,
        mtu_bytes: 0,
        family,
        observed: 0,
        rewrite: 0,
        scratch: SkbPacket::SCRATCH,
        stranger: 0,
        empty: 0,
        table: 0,
        reserved: 0,
        destination: [0; 2],
    };
    packet.output();
    // Only where the program is missing.
    count::reason(Reason::NoSlowPath as u16, packet.packets(), u64::from(frame_bytes));
    SkbPacket::DROP
}

/// Goes on with a packet of the host's own.
#[inline(always)]
pub fn resume(packet: SkbPacket) -> i32 {
    let Some(s) = maps::state(SkbPacket::SCRATCH) else { return SkbPacket::DROP };
    packet.pull(s.l2_bytes + router_common::wire::ipv6::HEADER_BYTES);
    match firewall::output(packet, s) {
        Ok(action) => action,
        Err(exit) => {
            count::dropped(packet, s, exit.reason());
            SkbPacket::DROP
        }
    }
}

/// Whether it is the host's own: an IP packet with one of its addresses as the source, or no IP packet at all, which
/// is not ours to judge.
#[inline(never)]
fn is_own(packet: SkbPacket, bare: bool) -> bool {
    let l2_bytes = if bare { 0 } else { eth::HEADER_BYTES };
    packet.pull(l2_bytes + router_common::wire::ipv6::HEADER_BYTES);
    let mut cursor = packet.cursor();
    if !bare && cursor.take::<eth::Ethernet>().is_err() {
        return false;
    }
    match packet.protocol() {
        eth::IPV4 => cursor.take::<Ipv4>().is_ok_and(|header| {
            let source = header.src();
            maps::is_local4(&source) || source == [0; 4]
        }),
        eth::IPV6 => cursor.take::<Ipv6>().is_ok_and(|header| {
            let source = header.src_halves();
            maps::is_local6(source) || source == (0, 0)
        }),
        _ => true,
    }
}
