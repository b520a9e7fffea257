//! Which addresses and ports a new connection leaves with: what the rule that matched says, made a tuple.

use router_common::conntrack::other::{self, Ports};
use router_common::facts::nat_state;
use router_common::maps::flow::status;
use router_common::maps::image::{Nat, dimension, nat_flag, nat_kind};
use router_common::maps::scratch::{Work, work};
use router_common::nat::{self, SourcePort, Spread};
use router_common::rules::rows;
use router_common::verdict::Reason;
use router_common::wire::ipv6::{Halves, halves};

use crate::maps;
use crate::pipeline::{Exit, State};
use crate::stage::firewall;

/// Tries to find a tuple that no other connection has.
pub use router_common::nat::ATTEMPTS;

/// The parameters of the rule that has given the verdict.
#[inline(always)]
fn parameters(s: &State) -> Option<&'static Nat> {
    use router_common::maps::image::Record;
    let index = maps::rule_scratch(s.scratch)?.walk.parameter;
    maps::image(s.now.generation)?.get(index).map(Nat::of)
}

#[inline(always)]
fn spread(rule: &Nat) -> Spread {
    match rule.kind {
        nat_kind::SAME if rule.flags & nat_flag::SAME_NOT_BY_DST == 0 => Spread::ByAddresses,
        nat_kind::SAME | nat_kind::SRC_NAT => Spread::BySource,
        _ => Spread::ByAddresses,
    }
}

/// One of the rule's addresses in the place of `old`.
#[inline(always)]
fn choose(s: &State, rule: &Nat, work: &Work, old: Halves) -> Halves {
    let (from, to) = (halves(&rule.from), halves(&rule.to));
    let (seed, _) = maps::flow_table(s.family);
    match rule.kind {
        nat_kind::NETMAP if s.family == 4 => {
            (u64::from(nat::netmap4(from.0 as u32, to.0 as u32, old.0 as u32)), 0)
        }
        nat_kind::NETMAP => nat::netmap(from, to, old),
        _ => nat::address(s.family, from, to, nat::number(spread(rule), &work.came, seed)),
    }
}

/// The address of a port of ours.
#[inline(always)]
fn own_address(s: &State, ifindex: u32) -> Option<Halves> {
    let port = maps::port(s.now.generation, ifindex)?;
    let address = match s.family {
        4 => (u64::from(u32::from_ne_bytes(port.address4)), 0),
        _ => maps::read6(&port.address6),
    };
    (address != (0, 0)).then_some(address)
}

/// Chain dstnat: gives the connection another destination. 0, or an exit.
#[inline(always)]
pub fn destination(s: &mut State) -> u32 {
    Exit::pack(redirect(s).ok_or(Exit::drop(Reason::NatNoAddress)))
}

#[inline(always)]
fn redirect(s: &mut State) -> Option<()> {
    let scratch = maps::scratch(s.scratch)?;
    let (facts, work) = (&mut scratch.facts, &mut scratch.work);
    let rule = parameters(s)?;
    let address = match rule.kind {
        nat_kind::ACCEPT => return Some(()),
        nat_kind::REDIRECT => own_address(s, s.ingress)?,
        _ if rule.flags & nat_flag::ADDRESSES != 0 => choose(s, rule, work, halves(&work.leaves.dst)),
        _ => halves(&work.leaves.dst),
    };
    maps::write6(&mut work.leaves.dst, address);
    if rule.flags & nat_flag::PORTS != 0 {
        let (seed, _) = maps::flow_table(s.family);
        let number = nat::number(Spread::ByConnection, &work.came, seed);
        let given = Some((rule.port_from, rule.port_to));
        let port = nat::destination_port(facts.protocol, facts.dst_port, given, number);
        work.leaves.dst_port_be = port.to_be_bytes();
    }
    work.status |= status::DSTNAT;
    facts.nat |= nat_state::DSTNAT;
    maps::rule_scratch(s.scratch)?.walk.change(1 << dimension::STATE);
    Some(())
}

/// From here on rules see the destination that the packet is to have, by its rule or by its connection. 0, or an exit.
#[inline(always)]
pub fn redirected(s: &mut State) -> u32 {
    let (Some(scratch), Some(memory)) = (maps::scratch(s.scratch), maps::rule_scratch(s.scratch)) else {
        return Exit::pack(Err(Exit::drop(Reason::Internal)));
    };
    let (facts, work) = (&mut scratch.facts, &mut scratch.work);
    let Work { came, leaves, guard, .. } = work;
    let is_moved = halves(&came.dst) != halves(&leaves.dst);
    if !is_moved && came.dst_port_be == leaves.dst_port_be {
        return 0;
    }
    facts.dst_port = u16::from_be_bytes(leaves.dst_port_be);
    if is_moved {
        maps::write6(&mut facts.dst, halves(&leaves.dst));
        facts.dst_type = firewall::address_type(facts, &leaves.dst);
        *guard = guard.wrapping_add(firewall::epoch(&leaves.dst));
    }
    memory.walk.change(rows::DESTINATION);
    0
}

/// Chain srcnat: gives the connection another source; the port is chosen when the tuple is claimed. 0, or an exit.
#[inline(always)]
pub fn source(s: &mut State) -> u32 {
    Exit::pack(masquerade(s).ok_or(Exit::drop(Reason::NatNoAddress)))
}

#[inline(always)]
fn masquerade(s: &mut State) -> Option<()> {
    let scratch = maps::scratch(s.scratch)?;
    let work = &mut scratch.work;
    let rule = parameters(s)?;
    let address = match rule.kind {
        nat_kind::ACCEPT => return Some(()),
        nat_kind::MASQUERADE => {
            work.status |= status::MASQUERADE;
            own_address(s, scratch.facts.out_ifindex)?
        }
        _ if rule.flags & nat_flag::ADDRESSES != 0 => choose(s, rule, work, halves(&work.leaves.src)),
        _ => halves(&work.leaves.src),
    };
    maps::write6(&mut work.leaves.src, address);
    if rule.flags & nat_flag::PORTS != 0 {
        (work.port_from, work.port_to) = (rule.port_from, rule.port_to);
    }
    if rule.flags & nat_flag::RANDOMISE_PORTS != 0 {
        work.flags |= work::RANDOM_PORT;
    }
    work.status |= status::SRCNAT;
    Some(())
}

/// Puts the source port to try in that attempt into [`Work::leaves`], and the answers' tuple into [`Work::key`]; 0 where
/// there is none.
#[inline(always)]
pub fn candidate(s: &mut State, attempt: u32) -> u32 {
    let Some(scratch) = maps::scratch(s.scratch) else { return 0 };
    let work = &mut scratch.work;
    let (seed, _) = maps::flow_table(s.family);
    let given = work.port_from != 0 || work.port_to != 0;
    let choice = SourcePort {
        protocol: work.came.protocol,
        port: u16::from_be_bytes(work.came.src_port_be),
        given: given.then_some((work.port_from, work.port_to)),
        is_random: work.flags & work::RANDOM_PORT != 0,
        number: nat::number(Spread::ByConnection, &work.came, seed),
    };
    let Some(port) = choice.attempt(attempt) else { return 0 };
    work.leaves.src_port_be = port.to_be_bytes();
    if matches!(other::ports(work.came.protocol), Ports::Identifier) {
        work.leaves.dst_port_be = port.to_be_bytes();
    }
    let Work { leaves, key, .. } = work;
    leaves.reverse_into(key);
    1
}
