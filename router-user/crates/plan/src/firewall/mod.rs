//! `/ip firewall`, `/ipv6 firewall`, `/interface list`: rules as values, with what RouterOS refuses of them.

mod action;
mod chains;
mod interfaces;
mod lists;
mod matches;
mod more;
pub mod rule;
mod views;

#[cfg(test)]
mod tests;
pub mod tracking;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use config::{Error, Item, Value};
use router_common::maps::image::chain;
use router_common::maps::rule::MARKS_MAX;

use crate::Plan;
use crate::numbers::Numbers;
use crate::ports::Ports;
use crate::tables::Tables;
use action::Place;
use chains::Jumps;
use interfaces::Interfaces;
use lists::Lists;
pub use lists::timed;
pub use matches::protocol_name;
use matches::{Fault, Names};
use rule::{Action, Chain, Firewall, Rule, RuleKey, Rules};
pub use views::views;

/// The menus of rules, by [`rule::RuleKey::menu`].
pub const MENUS: [&str; 8] = [
    "ip/firewall/filter",
    "ip/firewall/nat",
    "ip/firewall/raw",
    "ip/firewall/mangle",
    "ipv6/firewall/filter",
    "ipv6/firewall/nat",
    "ipv6/firewall/raw",
    "ipv6/firewall/mangle",
];

/// Built-in chains by their number in the image: table and name.
pub const CHAINS: [(&str, &str); chain::COUNT as usize] = [
    ("raw", "prerouting"),
    ("raw", "output"),
    ("nat", "dstnat"),
    ("nat", "srcnat"),
    ("nat", "input"),
    ("nat", "output"),
    ("filter", "input"),
    ("filter", "forward"),
    ("filter", "output"),
    ("mangle", "prerouting"),
    ("mangle", "input"),
    ("mangle", "forward"),
    ("mangle", "output"),
    ("mangle", "postrouting"),
];

/// Chains in which the interface that a packet leaves by, or came in by, is not known.
const BEFORE_ROUTE: [u32; 6] = [
    chain::RAW_PREROUTING,
    chain::NAT_DSTNAT,
    chain::NAT_INPUT,
    chain::FILTER_INPUT,
    chain::MANGLE_PREROUTING,
    chain::MANGLE_INPUT,
];
const FROM_HOST: [u32; 5] = [
    chain::RAW_OUTPUT,
    chain::NAT_OUTPUT,
    chain::FILTER_OUTPUT,
    chain::MANGLE_OUTPUT,
    chain::MANGLE_POSTROUTING,
];

pub(crate) fn compile(plan: &mut Plan<'_>, ports: &Ports<'_>, tables: &Tables) -> Firewall {
    let interfaces = Interfaces::read(plan.tree, ports);
    for menu in ["interface/bridge/filter", "interface/bridge/nat"] {
        for item in plan.tree.items(menu).filter(in_force) {
            plan.gap(menu, item, "the filter of bridges");
        }
    }
    let mut marks = Marks { numbers: Numbers::new(&plan.facts.marks, MARKS_MAX - 1), tables };
    let (v4, v6) =
        (family(plan, &interfaces, &mut marks, false), family(plan, &interfaces, &mut marks, true));
    plan.desired.image.marks = marks.numbers.into_known();
    Firewall { v4, v6 }
}

/// Numbers of marks; routing marks are tables.
struct Marks<'t> {
    numbers: Numbers,
    tables: &'t Tables,
}

impl Marks<'_> {
    /// The number of what the property `name` says; 0 for `no-mark`.
    fn number(&mut self, name: &str, mark: &str) -> Result<u32, Fault> {
        if mark == "no-mark" {
            return Ok(0);
        }
        if name.ends_with("routing-mark") {
            return self.tables.number(mark).ok_or_else(|| Fault::unknown(name));
        }
        let too_many = || Fault::Error(format!("failure: more than {} marks", MARKS_MAX - 1));
        self.numbers.of(mark).ok_or_else(too_many)
    }
}

/// Whether items of a menu are in force at all.
fn in_force(item: &&Item) -> bool {
    !item.is_disabled()
}

fn family(plan: &mut Plan<'_>, interfaces: &Interfaces<'_>, marks: &mut Marks<'_>, v6: bool) -> Rules {
    let menus = MENUS.iter().enumerate().filter(|(_, menu)| menu.starts_with("ipv6") == v6);
    let no_ipsec = !plan.tree.items("ip/ipsec/policy").any(|item| !item.is_disabled() && !item.is_builtin());
    let names = Names { interfaces, v6, no_ipsec };
    let mut lists = Lists::default();
    let mut added = BTreeSet::new();
    let mut chains: Vec<Chain> =
        CHAINS.iter().map(|(_, name)| Chain { name: (*name).to_owned(), rules: Vec::new() }).collect();
    for (number, menu) in menus {
        table(plan, &names, (number as u8, menu), &mut chains, &mut lists, marks, &mut added);
    }
    lists.fill(plan, if v6 { "ipv6/firewall/address-list" } else { "ip/firewall/address-list" }, v6, &added);
    Rules { chains, lists: lists.lists }
}

/// The rules of one menu. Chains of the operator's are put behind those that are there.
fn table(
    plan: &mut Plan<'_>,
    names: &Names<'_>,
    (number, menu): (u8, &str),
    chains: &mut Vec<Chain>,
    lists: &mut Lists,
    marks: &mut Marks<'_>,
    added: &mut BTreeSet<u32>,
) {
    let name_of_table = menu.rsplit('/').next().unwrap_or_default();
    let mut by_name: HashMap<String, usize> = CHAINS
        .iter()
        .enumerate()
        .filter(|(_, (table, _))| *table == name_of_table)
        .map(|(number, (_, chain))| ((*chain).to_owned(), number))
        .collect();
    // A chain is there as soon as a rule names it, so that a rule can jump to one further down.
    for item in plan.tree.items(menu).filter(in_force) {
        if let Some(Value::Text(name)) = item.value("chain")
            && !by_name.contains_key(name.as_str())
        {
            by_name.insert(name.clone(), chains.len());
            chains.push(Chain { name: name.clone(), rules: Vec::new() });
        }
    }
    let mut jumps = Jumps::default();
    for item in plan.tree.items(menu).filter(in_force) {
        let Some(Value::Text(name)) = item.value("chain") else { continue };
        let Some(index) = by_name.get(name.as_str()).copied() else { continue };
        let place = Place {
            chain: name,
            number: u32::try_from(index).ok().filter(|number| *number < chain::COUNT),
            v6: names.v6,
            table: name_of_table,
        };
        let read = matches::read(names, item, |name| lists.index(name), marks).and_then(|matches| {
            let target = |name: &str| by_name.get(name).copied();
            let action = action::read(&place, item, &matches, target, marks)?;
            sides(&place, item)?;
            Ok((matches, action))
        });
        let (matches, action) = match read {
            Ok(read) => read,
            Err(Fault::Error(message)) => {
                plan.errors.push(Error::new(item.span().unwrap_or_default(), message));
                continue;
            }
            Err(Fault::Gap(what)) => {
                plan.gap(menu, item, &what);
                continue;
            }
            Err(Fault::Unknown(reason)) => {
                plan.unknown(menu, item, &reason);
                continue;
            }
            Err(Fault::Invalid(reason)) => {
                plan.inactive(menu, item, reason);
                continue;
            }
        };
        if let Action::AddSrc(list, _) | Action::AddDst(list, _) = action {
            added.insert(list);
        }
        if matches!(action, Action::Jump(_)) {
            jumps.add(name, &item.text("jump-target").unwrap_or_default(), item);
        }
        let is_log = item.value("action").is_some_and(|action| *action == Value::Text("log".to_owned()));
        let rule = Rule {
            key: RuleKey { menu: number, item: item.id().0 },
            text: text_hash(item),
            matches,
            action,
            log: is_log || item.value("log") == Some(&Value::Bool(true)),
            last: item.value("passthrough") == Some(&Value::Bool(false)),
        };
        if let Some(chain) = chains.get_mut(index) {
            chain.rules.push(Arc::new(rule));
        }
    }
    jumps.check(&mut plan.errors);
}

/// Interfaces that a chain can't know.
fn sides(place: &Place<'_>, item: &Item) -> Result<(), Fault> {
    let Some(number) = place.number else { return Ok(()) };
    let has = |names: [&str; 2]| names.iter().any(|name| item.value(name).is_some());
    if BEFORE_ROUTE.contains(&number) && has(["out-interface", "out-interface-list"]) {
        return Err(Fault::Error(format!(
            "failure: outgoing interface matching not possible in input and prerouting chains ({})",
            place.chain
        )));
    }
    if FROM_HOST.contains(&number) && has(["in-interface", "in-interface-list"]) {
        return Err(Fault::Error(format!(
            "failure: incoming interface matching not possible in output and postrouting chains ({})",
            place.chain
        )));
    }
    Ok(())
}

/// Hash of what is configured of a rule, but for its comment (FNV-1a).
fn text_hash(item: &Item) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes().chain([0]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for (name, value) in item.values().filter(|(name, _)| *name != "comment") {
        add(name);
        match value {
            Value::Text(text) => add(text),
            other => add(&other.to_string()),
        }
    }
    hash
}
