//! Questions that the data plane's cache has, and the neighbours it uses.

use std::net::IpAddr;

use futures::TryStreamExt;
use plan::desired::PROTOCOL;
use rtnetlink::packet_core::NLM_F_CREATE;
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::read::read;
use crate::{Error, Kernel};

impl Kernel {
    /// Why a route may not be cached by destination alone: the first policy rule beyond the kernel's own, multipath
    /// route, or route for a source or a type of service. None: it may.
    pub async fn routes_depend_on_more_than_destination(&self) -> Result<Option<String>, Error> {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let matters = |rule: &&RuleMessage| !is_default_rule(rule) && !is_of_marks(rule);
            if let Some(rule) = self.rules(family).await?.iter().find(matters) {
                let priority = rule_priority(rule);
                let family = if family == AddressFamily::Inet { "IPv4" } else { "IPv6" };
                return Ok(Some(format!("{family} policy rule {priority}")));
            }
            let mut routes = Box::pin(self.route_messages(family));
            while let Some(route) = routes.try_next().await.map_err(|cause| read("routes", cause))? {
                if let Some(why) = depends_on_more(&route) {
                    return Ok(Some(why));
                }
            }
        }
        Ok(None)
    }

    /// Keeps the neighbour entries of next hops in use alive: the kernel probes those that are stale, and resolves
    /// those that are missing. Meant to be called every 15 s.
    pub async fn keep_alive(&self, next_hops: &[(u32, IpAddr)]) -> Result<(), Error> {
        let mut first = Ok(());
        for (ifindex, address) in next_hops {
            let mut message = NeighbourMessage::default();
            message.header.ifindex = *ifindex;
            message.header.flags = NeighbourFlags::Use;
            let (family, destination) = match *address {
                IpAddr::V4(v4) => (AddressFamily::Inet, v4.into()),
                IpAddr::V6(v6) => (AddressFamily::Inet6, v6.into()),
            };
            message.header.family = family;
            message.attributes.push(NeighbourAttribute::Destination(destination));
            let sent = self.send(RouteNetlinkMessage::NewNeighbour(message), NLM_F_CREATE).await;
            first = first.and(sent);
        }
        first
    }
}

fn rule_priority(rule: &RuleMessage) -> u32 {
    rule.attributes
        .iter()
        .find_map(|attribute| match attribute {
            RuleAttribute::Priority(priority) => Some(*priority),
            _ => None,
        })
        .unwrap_or(0)
}

/// `0: from all lookup local`, `32766: from all lookup main`, `32767: from all lookup default`.
fn is_default_rule(rule: &RuleMessage) -> bool {
    const DEFAULTS: [(u32, u32); 3] = [(0, 255), (32766, 254), (32767, 253)]; // net/ipv4/fib_rules.c
    let mut table = u32::from(rule.header.table);
    let mut selects = rule.header.src_len != 0 || rule.header.dst_len != 0 || rule.header.tos != 0;
    for attribute in &rule.attributes {
        match attribute {
            RuleAttribute::Table(id) => table = *id,
            RuleAttribute::Priority(_) | RuleAttribute::Protocol(_) => {}
            // u32::MAX: nothing is suppressed.
            RuleAttribute::SuppressPrefixLen(u32::MAX) | RuleAttribute::SuppressIfGroup(u32::MAX) => {}
            _ => selects = true,
        }
    }
    !selects && rule.header.action == RuleAction::ToTable && DEFAULTS.contains(&(rule_priority(rule), table))
}

/// A rule of ours for what the kernel forwards in our place: nobody asks the FIB with a mark.
fn is_of_marks(rule: &RuleMessage) -> bool {
    let has = |wanted: fn(&RuleAttribute) -> bool| rule.attributes.iter().any(wanted);
    has(|attribute| matches!(attribute, RuleAttribute::FwMark(mark) if *mark != 0))
        && has(
            |attribute| matches!(attribute, RuleAttribute::Protocol(number) if u8::from(*number) == PROTOCOL),
        )
}

fn depends_on_more(route: &RouteMessage) -> Option<String> {
    let destination = || {
        crate::read::route(route).map_or_else(
            || "?".to_owned(),
            |found| format!("{}/{}", found.what.destination, found.what.prefix_length),
        )
    };
    if route.header.tos != 0 {
        return Some(format!("route {} for one type of service", destination()));
    }
    if route.header.source_prefix_length != 0 {
        return Some(format!("route {} for some sources", destination()));
    }
    route.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::MultiPath(hops) if hops.len() > 1 => {
            Some(format!("multipath route {}", destination()))
        }
        _ => None,
    })
}
