//! `/routing table`, `/routing rule`.

use std::collections::BTreeMap;

use config::{Item, Value};
use router_common::maps::port::MARK_TABLE_SHIFT;
use router_common::maps::route::table;

use crate::desired::{PolicyRule, RuleKind, TABLE_LOCAL};
use crate::numbers::Numbers;
use crate::ports::Ports;
use crate::{Plan, net};

/// As [`crate::views`].
pub fn views() -> Vec<(&'static str, Vec<&'static str>)> {
    let rule = ["action", "dst-address", "interface", "min-prefix", "routing-mark", "src-address", "table"];
    vec![("routing/table", vec!["fib", "name"]), ("routing/rule", rule.to_vec())]
}

/// The routing tables that packets can be routed by.
#[derive(Debug, Default)]
pub struct Tables {
    numbers: BTreeMap<String, u32>,
}

impl Tables {
    /// A table's number in the data plane, one of [`table`].
    pub fn number(&self, name: &str) -> Option<u32> {
        if name == "main" { Some(table::MAIN) } else { self.numbers.get(name).copied() }
    }

    /// A table's number in the kernel.
    pub fn kernel(&self, name: &str) -> Option<u32> {
        self.number(name).map(table::kernel)
    }
}

pub fn compile(plan: &mut Plan<'_>) -> Tables {
    const MENU: &str = "routing/table";
    let mut numbers = Numbers::new(&plan.facts.tables, table::LAST);
    let mut tables = Tables::default();
    for item in plan.tree.items(MENU).filter(|item| !item.is_disabled()) {
        let Some(name) = item.text("name") else { continue };
        if item.value("fib") != Some(&Value::Bool(true)) {
            plan.inactive(MENU, item, "without fib no packet is routed by it");
            continue;
        }
        match numbers.of(&name) {
            Some(number) => drop(tables.numbers.insert(name, number)),
            None => plan.inactive(MENU, item, format!("more than {} routing tables", table::LAST)),
        }
    }
    plan.desired.image.tables = numbers.into_known();
    tables
}

/// The first of the kernel's priorities of our rules: before table main (32766), behind table local (0).
const OF_MARKS: u32 = 9_000;
const OF_RULES: u32 = 10_000;

/// The kernel's policy rules: those of `/routing rule`, and one per table for what the kernel forwards in our place.
pub fn rules(plan: &mut Plan<'_>, ports: &Ports<'_>, tables: &Tables) {
    let mut rules = Vec::new();
    for number in tables.numbers.values() {
        let rule = |v6| PolicyRule {
            v6,
            priority: OF_MARKS + number,
            src: None,
            dst: None,
            input: None,
            mark: Some(number << MARK_TABLE_SHIFT),
            kind: RuleKind::Lookup { table: table::kernel(*number), suppress: None },
        };
        rules.extend([rule(false), rule(true)]);
    }
    const MENU: &str = "routing/rule";
    let items = plan.tree.items(MENU).filter(|item| !item.is_disabled());
    for (priority, item) in (OF_RULES..).step_by(2).zip(items) {
        match rule(item, priority, ports, tables) {
            Ok(made) => rules.extend(made),
            Err(reason) => plan.inactive(MENU, item, reason),
        }
    }
    plan.desired.rules = rules;
}

/// One item as the kernel's rules; the error is the reason why it is not active.
fn rule(item: &Item, priority: u32, ports: &Ports<'_>, tables: &Tables) -> Result<Vec<PolicyRule>, String> {
    if let Some(mark) = item.text("routing-mark") {
        return Err(format!("packets with routing mark {mark} are routed by table {mark} before any rule"));
    }
    let side = |name: &str| match item.value(name) {
        Some(Value::Prefix(prefix)) => Some((net::network(prefix.address, prefix.length), prefix.length)),
        _ => None,
    };
    let (src, dst) = (side("src-address"), side("dst-address"));
    let families: Vec<bool> = [false, true]
        .into_iter()
        .filter(|v6| [src, dst].into_iter().flatten().all(|(address, _)| address.is_ipv6() == *v6))
        .collect();
    if families.is_empty() {
        return Err("source and destination are of two address families".to_owned());
    }
    let input = match item.text("interface") {
        Some(interface) => Some(ports.get(&interface)?.link.name.clone()),
        None => None,
    };
    let name = item.text("table").unwrap_or_else(|| "main".to_owned());
    let number = match name.as_str() {
        "local" => Some(TABLE_LOCAL),
        name => tables.kernel(name),
    };
    let suppress = match item.value("min-prefix") {
        Some(Value::Number(length)) => u32::try_from(*length).ok(),
        _ => None,
    };
    let lookup = || {
        let table = number.ok_or_else(|| format!("no packet is routed by table {name}"))?;
        Ok::<_, String>(RuleKind::Lookup { table, suppress })
    };
    let action = item.text("action").unwrap_or_else(|| "lookup".to_owned());
    let kinds = match action.as_str() {
        "lookup" => vec![lookup()?],
        "lookup-only-in-table" => vec![lookup()?, RuleKind::Unreachable],
        "drop" => vec![RuleKind::Blackhole],
        "unreachable" => vec![RuleKind::Unreachable],
        other => return Err(format!("action {other} is RouterOS's own")),
    };
    let mut made = Vec::new();
    for v6 in families {
        for (priority, kind) in (priority..).zip(&kinds) {
            let (input, kind) = (input.clone(), kind.clone());
            made.push(PolicyRule { v6, priority, src, dst, input, mark: None, kind });
        }
    }
    Ok(made)
}
