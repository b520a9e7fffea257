//! Questions that the data plane's cache has, and the neighbours it uses.

use std::net::IpAddr;

use futures::{StreamExt, TryStreamExt};
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use rtnetlink::packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::read::read;
use crate::{Error, Kernel};

impl Kernel {
    /// Why a route may not be cached by destination alone: the first policy rule beyond the kernel's own, multipath
    /// route, or route for a source or a type of service. None: it may.
    pub async fn routes_depend_on_more_than_destination(&self) -> Result<Option<String>, Error> {
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            if let Some(rule) = self.rules(family).await?.iter().find(|rule| !is_default_rule(rule)) {
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

    async fn rules(&self, family: AddressFamily) -> Result<Vec<RuleMessage>, Error> {
        let mut message = RuleMessage::default();
        message.header.family = family;
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetRule(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
        let mut handle = self.handle.clone();
        let mut answers = handle.request(request).map_err(|_| Error::Gone)?;
        let mut rules = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRule(rule)) => rules.push(rule),
                // A kernel without policy routing for this family has no rules.
                NetlinkPayload::Error(message) if message.raw_code() == -Errno::OPNOTSUPP.raw_os_error() => {
                    break;
                }
                NetlinkPayload::Error(message) => return Err(Error::refused(&message)),
                _ => {}
            }
        }
        Ok(rules)
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
