//! Sources that the first raw rules drop: a flood from a list costs a look-up in the flow table and one in the lists.

use router_common::maps::flow::tracking;
use router_common::verdict::Reason;
use router_common::wire::ipv6::Halves;

use crate::packet::Packet;
use crate::pipeline::State;
use crate::stage::rules::rules_shield;
use crate::trace::{self, observe};
use crate::{count, maps};

/// Whether there are such rules. With [`tracking::NO_CACHE`], and for a packet that is traced, they are walked.
#[inline(always)]
pub fn is_up(s: &State) -> bool {
    let wanted = if s.family == 4 { tracking::SHIELD4 } else { tracking::SHIELD6 };
    let flags = maps::tracking(s.now.generation).map_or(0, |settings| settings.flags);
    s.observed & !observe::RECORD == 0 && flags & (wanted | tracking::NO_CACHE) == wanted
}

/// Whether a packet without a connection is dropped; it then has been counted.
#[inline(always)]
pub fn drops<P: Packet>(packet: P, s: &State, (high, low): Halves) -> bool {
    if !is_up(s) {
        return false;
    }
    let found = rules_shield(s.now.generation, s.family, high, low);
    let Some(counter) = found.checked_sub(1).and_then(maps::rule_counter) else { return false };
    count::add(counter, packet.packets(), u64::from(s.length));
    trace::end(packet, s, Reason::RawDrop as u16, 0);
    count::dropped(packet, s, Reason::RawDrop as u16);
    true
}
