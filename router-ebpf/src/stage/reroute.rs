//! What the host sends to one address and translation sends to another leaves by the route of the other one, at
//! whichever port that is.

use router_common::maps::port::port_flag;
use router_common::maps::route::kind;
use router_common::maps::scratch::Work;
use router_common::verdict::Reason;
use router_common::wire::ipv6::{halves, words};

use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::emit::Way;
use crate::stage::route;

/// Whether the packet goes elsewhere than the host has routed it to.
#[inline(always)]
pub fn is_moved(work: &Work) -> bool {
    halves(&work.came.dst) != halves(&work.leaves.dst)
}

/// Finds the way of where the packet goes to now; rules then see its port. 0, or an exit.
#[inline(always)]
pub fn find<P: Packet>(packet: P, s: &mut State, way: &mut Way) -> u32 {
    Exit::pack(found(packet, s, way))
}

#[inline(always)]
fn found<P: Packet>(packet: P, s: &mut State, way: &mut Way) -> Result<(), Exit> {
    let scratch = maps::scratch(P::SCRATCH).ok_or(Reason::Internal)?;
    let (high, low) = halves(&scratch.work.leaves.dst);
    s.destination = [high, low];
    let (hop, gateway) = if s.family == 4 {
        let [a, b, c, d, ..] = high.to_ne_bytes();
        let route = route::find4(packet, s, [a, b, c, d]).map_err(nowhere)?;
        (&route.next_hop, &route.gateway)
    } else {
        let route = route::find6(packet, s, (high, low)).map_err(nowhere)?;
        (&route.next_hop, &route.gateway)
    };
    // What the host sends to itself takes its loopback, which nothing here looks at; a way by the kernel has no port.
    let is_turned = s.port_flags & port_flag::SEND_REDIRECTS != 0 && hop.mtu_bytes != u32::MAX;
    if hop.kind == kind::LOCAL || hop.kind == kind::KERNEL && !is_turned {
        return Err(Exit::drop(Reason::NoRoute));
    }
    if scratch.facts.length_bytes > hop.mtu_bytes {
        return Err(Exit::drop(Reason::TooBig));
    }
    way.generation = s.now.generation;
    way.ifindex = hop.ifindex;
    way.tx_index = hop.tx_index;
    way.l2_bytes = s.l2_bytes as u16;
    way.gateway = words(maps::read6(gateway));
    way.gateway_family = hop.gateway_family.into();
    scratch.facts.out_ifindex = hop.ifindex;
    Ok(())
}

/// To the host itself, or to a group: no route of a host's packet.
#[inline(always)]
fn nowhere(exit: Exit) -> Exit {
    if exit.is_drop() { exit } else { Exit::drop(Reason::NoRoute) }
}
