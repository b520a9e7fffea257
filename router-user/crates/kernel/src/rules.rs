//! Policy rules: `ip rule`.

use std::net::IpAddr;

use futures::StreamExt;
use plan::desired::{MARK_TABLE, PROTOCOL, PolicyRule, RuleKind};
use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::route::RouteProtocol;
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::read::Found;
use crate::step::{Op, Step};
use crate::{Error, Kernel};

impl Kernel {
    pub(crate) async fn rules(&self, family: AddressFamily) -> Result<Vec<RuleMessage>, Error> {
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

    /// The rules of both families that are ours.
    pub(crate) async fn own_rules(&self) -> Result<Vec<PolicyRule>, Error> {
        let mut own = Vec::new();
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let found = self.rules(family).await?.iter().filter_map(read).collect::<Vec<_>>();
            own.extend(found.into_iter().filter(Found::is_ours).map(|found| found.what));
        }
        Ok(own)
    }
}

/// None for what we never make.
fn read(message: &RuleMessage) -> Option<Found<PolicyRule>> {
    let v6 = message.header.family == AddressFamily::Inet6;
    let mut rule = PolicyRule {
        v6,
        priority: 0,
        src: None,
        dst: None,
        input: None,
        mark: None,
        kind: RuleKind::Lookup { table: message.header.table.into(), suppress: None },
    };
    let (mut table, mut suppress, mut protocol) = (u32::from(message.header.table), None, 0);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Source(address) => rule.src = Some((*address, message.header.src_len)),
            RuleAttribute::Destination(address) => rule.dst = Some((*address, message.header.dst_len)),
            RuleAttribute::Iifname(name) => rule.input = Some(name.clone()),
            RuleAttribute::FwMark(mark) => rule.mark = Some(*mark),
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::SuppressPrefixLen(u32::MAX) => {}
            RuleAttribute::SuppressPrefixLen(length) => suppress = Some(*length),
            RuleAttribute::Protocol(number) => protocol = u8::from(*number),
            _ => {}
        }
    }
    rule.kind = match message.header.action {
        RuleAction::ToTable => RuleKind::Lookup { table, suppress },
        RuleAction::Blackhole => RuleKind::Blackhole,
        RuleAction::Unreachable => RuleKind::Unreachable,
        _ => return None,
    };
    Some(Found { what: rule, protocol })
}

pub(crate) fn message(rule: &PolicyRule) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = if rule.v6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let attributes = &mut message.attributes;
    attributes.push(RuleAttribute::Priority(rule.priority));
    attributes.push(RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
    if let Some((address, length)) = rule.src {
        attributes.push(RuleAttribute::Source(address));
        message.header.src_len = length;
    }
    if let Some((address, length)) = rule.dst {
        attributes.push(RuleAttribute::Destination(address));
        message.header.dst_len = length;
    }
    attributes.extend(rule.input.clone().map(RuleAttribute::Iifname));
    if let Some(mark) = rule.mark {
        attributes.push(RuleAttribute::FwMark(mark));
        attributes.push(RuleAttribute::FwMask(MARK_TABLE));
    }
    message.header.action = match rule.kind {
        RuleKind::Lookup { table, suppress } => {
            attributes.push(RuleAttribute::Table(table));
            attributes.extend(suppress.map(RuleAttribute::SuppressPrefixLen));
            RuleAction::ToTable
        }
        RuleKind::Blackhole => RuleAction::Blackhole,
        RuleKind::Unreachable => RuleAction::Unreachable,
    };
    message
}

fn text(rule: &PolicyRule) -> String {
    let side = |name: &str, side: Option<(IpAddr, u8)>| {
        side.map(|(address, length)| format!(" {name} {address}/{length}")).unwrap_or_default()
    };
    let mut text = format!("{} rule {}", if rule.v6 { "IPv6" } else { "IPv4" }, rule.priority);
    text += &side("from", rule.src);
    text += &side("to", rule.dst);
    text += &rule.input.as_ref().map(|name| format!(" in {name}")).unwrap_or_default();
    text += &rule.mark.map(|mark| format!(" mark {mark:#x}")).unwrap_or_default();
    text += &match rule.kind {
        RuleKind::Lookup { table, suppress } => {
            let suppress = suppress.map(|length| format!(" longer than /{length}")).unwrap_or_default();
            format!(" table {table}{suppress}")
        }
        RuleKind::Blackhole => " drop".to_owned(),
        RuleKind::Unreachable => " unreachable".to_owned(),
    };
    text
}

/// What there is too much of goes first: rules of one priority stand in each other's way.
pub(crate) fn steps(own: &[PolicyRule], desired: &[PolicyRule], steps: &mut Vec<Step>) {
    for old in own.iter().filter(|old| !desired.contains(old)) {
        let (op, undo) = (Op::RemoveRule(old.clone()), Op::AddRule(old.clone()));
        steps.push(Step::new(format!("- {}", text(old)), op, [undo]));
    }
    for new in desired.iter().filter(|new| !own.contains(new)) {
        let (op, undo) = (Op::AddRule(new.clone()), Op::RemoveRule(new.clone()));
        steps.push(Step::new(format!("+ {}", text(new)), op, [undo]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> PolicyRule {
        PolicyRule {
            v6: false,
            priority: 10_000,
            src: Some((IpAddr::from([192, 0, 2, 0]), 24)),
            dst: None,
            input: Some("ether1".to_owned()),
            mark: None,
            kind: RuleKind::Lookup { table: 52_001, suppress: Some(0) },
        }
    }

    #[test]
    fn a_message_says_what_it_was_made_of() {
        let marked = PolicyRule { src: None, input: None, mark: Some(1 << 24), ..rule() };
        let dropping = PolicyRule { kind: RuleKind::Blackhole, v6: true, src: None, ..rule() };
        for wanted in [rule(), marked, dropping] {
            let found = read(&message(&wanted)).unwrap();
            assert!(found.is_ours());
            let kind = if wanted.kind == RuleKind::Blackhole { RuleKind::Blackhole } else { found.what.kind };
            assert_eq!(PolicyRule { kind, ..found.what }, wanted);
        }
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        let mut changed = Vec::new();
        steps(&[rule()], &[rule()], &mut changed);
        assert!(changed.is_empty());
        steps(&[rule()], &[PolicyRule { priority: 10_001, ..rule() }], &mut changed);
        let lines: Vec<String> = changed.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "- IPv4 rule 10000 from 192.0.2.0/24 in ether1 table 52001 longer than /0",
                "+ IPv4 rule 10001 from 192.0.2.0/24 in ether1 table 52001 longer than /0"
            ]
        );
    }
}
