//! Sources that the first raw rules drop: a flood from a list costs a look-up in the flow table and one in the lists, and
//! no walk.

use router_common::maps::flow::tracking;
use router_common::verdict::Reason;
use router_common::wire::ipv6::Halves;

use crate::packet::Packet;
use crate::pipeline::{Exit, State};
use crate::stage::fast::stranger;
use crate::stage::rules::rules_shield;
use crate::trace::observe;
use crate::{count, maps};

/// Whether there are such rules. With [`tracking::NO_CACHE`], and for a packet that is traced, they are walked; a
/// fasttracked connection, which the packet may be of, meets none.
#[inline(always)]
fn is_up(s: &State) -> bool {
    let wanted = if s.family == 4 { tracking::SHIELD4 } else { tracking::SHIELD6 };
    let spared = if s.stranger == stranger::MAYBE { tracking::FASTTRACK } else { 0 };
    let flags = maps::tracking(s.now.generation).map_or(0, |settings| settings.flags);
    s.observed & !observe::RECORD == 0 && flags & (wanted | spared | tracking::NO_CACHE) == wanted
}

/// Drops a packet without a connection whose source such a rule asks for; it then has been counted.
#[inline(always)]
pub fn check<P: Packet>(packet: P, s: &State, (high, low): Halves) -> Result<(), Exit> {
    if !is_up(s) {
        return Ok(());
    }
    let found = rules_shield(s.now.generation, s.family, high, low);
    let Some(counter) = found.checked_sub(1).and_then(maps::rule_counter) else { return Ok(()) };
    count::add(counter, packet.packets(), u64::from(s.length));
    Err(Exit::drop(Reason::RawDrop))
}
