//! The action of an item, and its parameters.

use config::{Item, Value};
use router_common::maps::image::{Nat, REJECT_BASE, chain, nat_flag, nat_kind};
use router_common::maps::rule::Listed;
use router_common::verdict::Reason;

use super::Marks;
use super::matches::{Fault, addresses, range};
use super::rule::{Action, Hops, Matches, Priority, name_number};

/// What a rule's place says: its table, chain and family.
pub struct Place<'a> {
    pub chain: &'a str,
    /// Number of the built-in chain.
    pub number: Option<u32>,
    pub v6: bool,
    /// `filter`, `nat`, `raw`, `mangle`.
    pub table: &'a str,
}

/// Reads the action. `jump` gives the index of a chain that has rules.
pub fn read(
    place: &Place<'_>,
    item: &Item,
    matches: &Matches,
    jump: impl FnOnce(&str) -> Option<usize>,
    marks: &mut Marks<'_>,
) -> Result<Action, Fault> {
    let text = |name: &str| item.value(name).map(ToString::to_string);
    let missing = |name: &str| Fault::Error(format!("missing value(s) of argument(s) {name}"));
    let needed = |name: &str| text(name).ok_or_else(|| missing(name));
    let action = item.text("action").unwrap_or_default();
    Ok(match action.as_str() {
        "accept" if place.table == "nat" => {
            Action::Nat(Box::new(Nat { kind: nat_kind::ACCEPT, ..Nat::default() }))
        }
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "reject" => {
            let default = if place.v6 { "icmp-no-route" } else { "icmp-network-unreachable" };
            let with = text("reject-with").unwrap_or_else(|| default.to_owned());
            if with == "tcp-reset" && !matches.protocol.is_some_and(|is| !is.not && is.value == 6) {
                return Err(Fault::Error(
                    "failure: reject-with tcp-reset can be used only if proto is tcp".to_owned(),
                ));
            }
            let kind = REJECTS.iter().find(|(name, _)| *name == with).map(|(_, kind)| *kind);
            Action::Reject(kind.ok_or_else(|| Fault::Gap(format!("reject-with={with}")))?)
        }
        "tarpit" => {
            if !matches.protocol.is_some_and(|is| !is.not && is.value == 6) {
                return Err(Fault::Error("failure: tarpit can be used only if proto is tcp".to_owned()));
            }
            Action::Reject(TARPIT)
        }
        "jump" => Action::Jump(jump(&needed("jump-target")?)),
        "return" => Action::Return,
        // `log=yes` is read with the rule.
        "log" | "passthrough" => Action::Passthrough,
        "add-src-to-address-list" | "add-dst-to-address-list" => {
            let list = name_number(&needed("address-list")?);
            let timeout_s = match item.value("address-list-timeout") {
                None => 0,
                Some(Value::Time(ms)) => {
                    u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX).clamp(1, Listed::STATIC - 1)
                }
                Some(Value::Text(word)) if word == "none-static" => Listed::STATIC,
                Some(_) => 0,
            };
            if action == "add-src-to-address-list" {
                Action::AddSrc(list, timeout_s)
            } else {
                Action::AddDst(list, timeout_s)
            }
        }
        "fasttrack-connection" => Action::Fasttrack,
        "notrack" => Action::Notrack,
        "change-dscp" => match item.value("new-dscp") {
            Some(Value::Number(number)) => Action::ChangeDscp(u8::try_from(*number).unwrap_or(0)),
            None => return Err(missing("new-dscp")),
            Some(other) => {
                return Err(Fault::Gap(format!(
                    "new-dscp={other} (packets have no priority of their own here)"
                )));
            }
        },
        "change-ttl" | "change-hop-limit" => {
            let property = if place.v6 { "new-hop-limit" } else { "new-ttl" };
            let text = needed(property)?;
            Action::ChangeTtl(
                hops(&text).ok_or_else(|| Fault::Error(format!("invalid value for argument {property}")))?,
            )
        }
        "clear-df" => Action::ClearDf,
        "strip-ipv4-options" => Action::StripOptions,
        "route" => {
            if place.number.is_some_and(|number| number != chain::MANGLE_PREROUTING) {
                return Err(Fault::Error("failure: route action must be in prerouting chain".to_owned()));
            }
            let value = item.value("route-dst").ok_or_else(|| missing("route-dst"))?;
            let (from, _) = addresses(value, place.v6)
                .ok_or_else(|| Fault::Error("invalid value for argument route-dst".to_owned()))?;
            Action::Route(Box::new(Nat { from: bytes(from, place.v6), ..Nat::default() }))
        }
        "change-mss" => {
            let is_tcp = matches.protocol.is_some_and(|is| !is.not && is.value == 6);
            if !is_tcp {
                return Err(Fault::Error("failure: change-mss can be used only if proto is tcp".to_owned()));
            }
            match item.value("new-mss") {
                Some(Value::Number(number)) => {
                    Action::ChangeMss(Some(u16::try_from(*number).unwrap_or(u16::MAX)))
                }
                Some(_) => Action::ChangeMss(None),
                None => return Err(missing("new-mss")),
            }
        }
        "set-priority" => {
            let text = needed("new-priority")?;
            Action::SetPriority(match text.as_str() {
                "from-dscp" => Priority::Dscp,
                "from-dscp-high-3-bits" => Priority::DscpHigh3Bits,
                "from-ingress" => Priority::Ingress,
                number => {
                    let number = number
                        .parse()
                        .map_err(|_| Fault::Error("invalid value for argument new-priority".to_owned()))?;
                    Priority::Number(number)
                }
            })
        }
        "mark-connection" | "mark-packet" | "mark-routing" => {
            let property = format!("new-{}-mark", action.trim_start_matches("mark-"));
            let number = marks.number(&property, &needed(&property)?)?;
            match action.as_str() {
                "mark-connection" => Action::MarkConnection(number),
                "mark-packet" => Action::MarkPacket(number),
                _ => Action::MarkRouting(number),
            }
        }
        _ => return nat(place, item, &action).map(|nat| Action::Nat(Box::new(nat))),
    })
}

/// `set:64`, `increment:1`, `decrement:1`, `64`.
fn hops(text: &str) -> Option<Hops> {
    let (change, number) = text.split_once(':').unwrap_or(("set", text));
    let number = number.parse().ok()?;
    match change {
        "set" => Some(Hops::Set(number)),
        "increment" => Some(Hops::Increment(number)),
        "decrement" => Some(Hops::Decrement(number)),
        _ => None,
    }
}

/// `tarpit` as a way to reject.
const TARPIT: u8 = (Reason::Tarpit as u16 - REJECT_BASE) as u8;

/// `reject-with` -> the number of its reason, less `REJECT_BASE`.
const REJECTS: &[(&str, u8)] = &[
    ("icmp-network-unreachable", 0),
    ("icmp-host-unreachable", 1),
    ("icmp-protocol-unreachable", 2),
    ("icmp-port-unreachable", 3),
    ("icmp-net-prohibited", 4),
    ("icmp-host-prohibited", 5),
    ("icmp-admin-prohibited", 6),
    ("tcp-reset", 7),
    ("icmp-no-route", 8),
    ("icmp-not-neighbour", 9),
    ("icmp-address-unreachable", 10),
    ("icmp-err-src-routing-header", 11),
    ("icmp-headers-too-long", 12),
    ("icmp-source-address-failed-policy", 13),
];

fn nat(place: &Place<'_>, item: &Item, action: &str) -> Result<Nat, Fault> {
    let source = [chain::NAT_SRCNAT, chain::NAT_INPUT];
    let destination = [chain::NAT_DSTNAT, chain::NAT_OUTPUT];
    let (kind, chains): (u8, &[u32]) = match action {
        "masquerade" => (nat_kind::MASQUERADE, &source),
        "src-nat" => (nat_kind::SRC_NAT, &source),
        "same" => (nat_kind::SAME, &source),
        "dst-nat" => (nat_kind::DST_NAT, &destination),
        "redirect" => (nat_kind::REDIRECT, &destination),
        "netmap" => (nat_kind::NETMAP, &[]),
        other => return Err(Fault::Gap(format!("action={other}"))),
    };
    if place.number.is_some_and(|number| !chains.is_empty() && !chains.contains(&number)) {
        let names = if chains == source { "srcnat or input" } else { "dstnat or output" };
        return Err(Fault::Error(format!("failure: {action} action must be in {names} chain")));
    }
    match (kind, place.number) {
        (nat_kind::REDIRECT, Some(chain::NAT_OUTPUT)) => {
            return Err(Fault::Gap(
                "action=redirect in chain=output (what the host sends to itself stays on its loopback, which is never processed)"
                    .to_owned(),
            ));
        }
        (nat_kind::MASQUERADE, Some(chain::NAT_INPUT)) => {
            return Err(Fault::Gap(
                "action=masquerade in chain=input (no interface is left by; use src-nat)".to_owned(),
            ));
        }
        _ => {}
    }
    let mut nat = Nat { kind, ..Nat::default() };
    let invalid = |name: &str| Fault::Error(format!("invalid value for argument {name}"));
    let property = if place.v6 { "to-address" } else { "to-addresses" };
    if let Some(value) = item.value(property) {
        let (from, to) = addresses(value, place.v6).ok_or_else(|| invalid(property))?;
        (nat.from, nat.to) = (bytes(from, place.v6), bytes(to, place.v6));
        nat.flags |= nat_flag::ADDRESSES;
        if let Value::Prefix(prefix) = value {
            nat.flags |= nat_flag::PREFIX;
            nat.prefix_length = prefix.length;
        }
    }
    if let Some(value) = item.value("to-ports") {
        (nat.port_from, nat.port_to) = range(value).ok_or_else(|| invalid("to-ports"))?;
        nat.flags |= nat_flag::PORTS;
    }
    for (name, flag) in
        [("randomise-ports", nat_flag::RANDOMISE_PORTS), ("same-not-by-dst", nat_flag::SAME_NOT_BY_DST)]
    {
        if item.value(name) == Some(&Value::Bool(true)) {
            nat.flags |= flag;
        }
    }
    let told = match kind {
        nat_kind::SRC_NAT | nat_kind::NETMAP | nat_kind::SAME => nat.flags & nat_flag::ADDRESSES != 0,
        nat_kind::DST_NAT => nat.flags & (nat_flag::ADDRESSES | nat_flag::PORTS) != 0,
        _ => true,
    };
    if !told {
        return Err(Fault::Error(format!("failure: action {action} requires {property}")));
    }
    Ok(nat)
}

/// IPv4 in the first four bytes.
fn bytes(address: u128, v6: bool) -> [u8; 16] {
    if v6 { address.to_be_bytes() } else { (address << 96).to_be_bytes() }
}
