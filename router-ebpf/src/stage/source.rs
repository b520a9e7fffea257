//! Is the source address one that may come in here? Checked once per source and port, then remembered.

use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_SUCCESS,
};
use router_common::address::{Kind, kind4, kind6};
use router_common::hash;
use router_common::maps::port::port_flag;
use router_common::maps::route::{Source4, table};
use router_common::verdict::Reason;
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::{Halves, Ipv6};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::route::Fib;

#[inline(always)]
pub fn check4<P: Packet>(packet: P, s: &mut State, header: &Ipv4) -> Result<(), Exit> {
    let source = u32::from_ne_bytes(header.src());
    let known = maps::source4(hash::slot4(source, s.ingress)).ok_or(Reason::Internal)?;
    let fresh = known.epoch == s.now.epoch && known.generation == s.now.generation;
    if fresh && known.ingress == s.ingress && known.source == header.src() {
        return Ok(());
    }
    Exit::unpack(packet.source4(s))
}

#[inline(always)]
pub fn check6<P: Packet>(packet: P, s: &mut State, header: &Ipv6) -> Result<(), Exit> {
    let (high, low) = header.src_halves();
    let known = maps::source6(hash::slot6(high, low, s.ingress)).ok_or(Reason::Internal)?;
    let fresh = known.epoch == s.now.epoch && known.generation == s.now.generation;
    if fresh && known.ingress == s.ingress && maps::read6(&known.source) == (high, low) {
        return Ok(());
    }
    Exit::unpack(packet.source6(s))
}

/// Judges the source of the packet, and remembers it where it may be used.
#[inline(always)]
pub fn learn4<P: Packet>(packet: P, s: &mut State) -> u32 {
    let learned = (|| {
        let bytes = packet.load::<8>(s.l2_bytes + 12).ok_or(Reason::MalformedHeader)?;
        let [a, b, c, d, e, f, g, h] = bytes;
        let source = [a, b, c, d];
        if judge4(packet, s, source, [e, f, g, h])? {
            let slot = hash::slot4(u32::from_ne_bytes(source), s.ingress);
            let entry = maps::source4(slot).ok_or(Reason::Internal)?;
            *entry = Source4 { source, ingress: s.ingress, epoch: s.now.epoch, generation: s.now.generation };
        }
        Ok(())
    })();
    Exit::pack(learned)
}

/// RFC 1812, 5.3.7; whether the answer holds for every packet of this source.
#[inline(always)]
fn judge4<P: Packet>(packet: P, s: &mut State, source: [u8; 4], destination: [u8; 4]) -> Result<bool, Exit> {
    match kind4(source) {
        Kind::Unspecified => {
            // A host that asks for its address (RFC 2131) or joins a group (RFC 3376, 4.2.13).
            return match kind4(destination) {
                Kind::Broadcast | Kind::Multicast => Ok(false),
                _ => Err(Exit::drop(Reason::MartianSource)),
            };
        }
        Kind::Unicast => {}
        // RFC 3927, 2.7: not to be forwarded, but the host may be spoken to.
        Kind::LinkLocal => s.bound = Reason::BogusScope as u32,
        _ => return Err(Exit::drop(Reason::MartianSource)),
    }
    if maps::is_local4(&source) {
        return Err(Exit::drop(Reason::OwnSource));
    }
    if s.port_flags & (port_flag::RP_STRICT | port_flag::RP_LOOSE) != 0 {
        reverse_path(packet, s, Fib::ipv4::<P>(s.ingress, destination, source)?)?;
    }
    Ok(s.bound != Reason::BogusScope as u32)
}

/// As [`learn4`].
#[inline(always)]
pub fn learn6<P: Packet>(packet: P, s: &mut State) -> u32 {
    let learned = (|| {
        let source = packet.load_address(s.l2_bytes + 8).ok_or(Reason::MalformedHeader)?;
        let destination = packet.load_address(s.l2_bytes + 24).ok_or(Reason::MalformedHeader)?;
        if judge6(packet, s, source, destination)? {
            let entry = maps::source6(hash::slot6(source.0, source.1, s.ingress)).ok_or(Reason::Internal)?;
            maps::write6(&mut entry.source, source);
            entry.ingress = s.ingress;
            entry.epoch = s.now.epoch;
            entry.generation = s.now.generation;
        }
        Ok(())
    })();
    Exit::pack(learned)
}

/// RFC 4291, 2.5; RFC 6092, REC-1 and REC-3; whether the answer holds for every packet of this source.
#[inline(always)]
fn judge6<P: Packet>(packet: P, s: &mut State, source: Halves, destination: Halves) -> Result<bool, Exit> {
    match kind6(source) {
        Kind::Unspecified => {
            // Duplicate address detection and router solicitation (RFC 4862, RFC 4861).
            return match kind6(destination) {
                Kind::Multicast => Ok(false),
                _ => Err(Exit::drop(Reason::MartianSource)),
            };
        }
        Kind::Unicast => {}
        // Unique on its link only: it may equal one of ours on another, so that it can't be told from our own.
        Kind::LinkLocal => {
            s.bound = Reason::BogusScope as u32;
            return Ok(false);
        }
        Kind::Bogus => return Err(Exit::drop(Reason::BogusScope)),
        _ => return Err(Exit::drop(Reason::MartianSource)),
    }
    if maps::is_local6(source) {
        return Err(Exit::drop(Reason::OwnSource));
    }
    if s.port_flags & (port_flag::RP_STRICT | port_flag::RP_LOOSE) != 0 {
        // The helper forwards nothing from or to a link-local or multicast address (net/core/filter.c, rt6_need_strict).
        let from = if matches!(kind6(destination), Kind::Unicast) { destination } else { (0, 0) };
        reverse_path(packet, s, Fib::ipv6::<P>(s.ingress, from, source)?)?;
    }
    Ok(true)
}

/// `/ip settings rp-filter` (RFC 3704, 2.2 and 2.4). `fib` asks for the way back to the source.
///
/// Strict over several equal routes accepts the one that the FIB picks. Where forwarding is off on the port the FIB
/// does not answer, and only the host itself can be reached.
#[inline(always)]
fn reverse_path<P: Packet>(packet: P, s: &State, mut fib: Fib) -> Result<(), Exit> {
    let reached = match fib.ask(packet, table::NONE, 0) {
        BPF_FIB_LKUP_RET_FWD_DISABLED => return Ok(()),
        BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH => true,
        _ => false,
    };
    if !reached || (s.port_flags & port_flag::RP_STRICT != 0 && fib.egress() != s.ingress) {
        return Err(Exit::drop(Reason::RpFilter));
    }
    Ok(())
}
