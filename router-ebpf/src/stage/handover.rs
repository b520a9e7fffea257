//! tc ingress: what XDP has decided of this packet is carried out, not decided again.

use router_common::maps::handover::verdict;
use router_common::verdict::Reason;
use router_common::wire::eth;
use router_common::wire::ipv6::{halves, words};

use crate::count;
use crate::maps;
use crate::packet::Packet;
use crate::skb::SkbPacket;
use crate::stage::emit::Way;

/// The action, or None where XDP has not seen the packet.
#[inline(always)]
pub fn take(packet: &mut SkbPacket) -> Option<i32> {
    let found = packet.take_handover()?;
    let generation = maps::now()?.generation;
    Some(match found.verdict {
        verdict::LOCAL => packet.pass(),
        verdict::KERNEL => {
            // Without settings there is no mark, and the guard at the egress drops the packet.
            let _ = packet.mark_done(generation, found.ifindex);
            packet.pass()
        }
        verdict::SEND4 | verdict::SEND6 => {
            let way = Way {
                generation,
                ifindex: found.ifindex,
                gateway: words(halves(&found.next_hop)),
                gateway_family: if found.verdict == verdict::SEND6 { 6 } else { 4 },
                l2_bytes: eth::HEADER_BYTES as u16,
                class: found.class,
                ..Way::NONE
            };
            match packet.send(&way) {
                Ok(action) => action,
                Err(reason) => lost(*packet, reason),
            }
        }
        _ => lost(*packet, Reason::Internal),
    })
}

#[inline(always)]
fn lost(packet: SkbPacket, reason: Reason) -> i32 {
    count::reason(reason as u16, packet.packets(), u64::from(packet.length()));
    SkbPacket::DROP
}
