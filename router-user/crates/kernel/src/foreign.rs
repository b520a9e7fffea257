//! Rules of nftables and iptables that act on forwarded packets. XDP traffic does not meet them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::process::Command;

use serde_json::Value;

/// A rule, or a chain's policy, that drops, redirects or translates packets which the host forwards.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignRule {
    /// `ip filter`
    pub table: String,
    pub chain: String,
    /// `drop`, `masquerade`, `policy drop`, ...
    pub what: String,
}

impl fmt::Display for ForeignRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.table, self.chain, self.what)
    }
}

/// Lists them with `nft`, where it is installed, and the tables of the older iptables by name. Blocking: runs a process.
pub fn foreign_rules() -> Vec<ForeignRule> {
    let mut rules = match Command::new("nft").args(["-j", "list", "ruleset"]).output() {
        Ok(output) if output.status.success() => from_nft(&output.stdout),
        _ => Vec::new(),
    };
    for (file, family) in [("/proc/net/ip_tables_names", "ip"), ("/proc/net/ip6_tables_names", "ip6")] {
        let names = std::fs::read_to_string(file).unwrap_or_default();
        rules.extend(names.lines().filter(|name| *name != "raw" && *name != "security").map(|name| {
            ForeignRule {
                table: format!("{family} {name}"),
                chain: "iptables-legacy".to_owned(),
                what: "loaded, its rules are not read".to_owned(),
            }
        }));
    }
    rules
}

/// Hooks that a forwarded packet passes.
const HOOKS: [&str; 4] = ["ingress", "prerouting", "forward", "postrouting"];
/// Statements that end or change it.
const EFFECTS: [&str; 10] =
    ["drop", "reject", "queue", "dnat", "snat", "masquerade", "redirect", "tproxy", "synproxy", "mangle"];

/// The same as targets of iptables, when it speaks to nftables.
const TARGETS: [&str; 9] =
    ["REJECT", "DNAT", "SNAT", "MASQUERADE", "REDIRECT", "NETMAP", "QUEUE", "NFQUEUE", "TPROXY"];

#[derive(Default)]
struct Chain {
    is_on_the_way: bool,
    policy_drop: bool,
    effects: BTreeSet<String>,
    jumps: BTreeSet<String>,
}

/// `text` is the output of `nft -j list ruleset` (libnftables-json(5)); what is not understood is left out.
fn from_nft(text: &[u8]) -> Vec<ForeignRule> {
    let Ok(ruleset) = serde_json::from_slice::<Value>(text) else { return Vec::new() };
    let field =
        |object: &Value, name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut chains: BTreeMap<(String, String), Chain> = BTreeMap::new();
    for object in ruleset.get("nftables").and_then(Value::as_array).into_iter().flatten() {
        if let Some(chain) = object.get("chain") {
            let table = format!("{} {}", field(chain, "family"), field(chain, "table"));
            let known = chains.entry((table, field(chain, "name"))).or_default();
            known.is_on_the_way = HOOKS.contains(&field(chain, "hook").as_str());
            known.policy_drop = field(chain, "policy") == "drop";
        }
        if let Some(rule) = object.get("rule") {
            let table = format!("{} {}", field(rule, "family"), field(rule, "table"));
            let known = chains.entry((table, field(rule, "chain"))).or_default();
            for statement in rule.get("expr").and_then(Value::as_array).into_iter().flatten() {
                collect(statement, known);
            }
        }
    }
    follow_jumps(&mut chains);
    let mut rules = Vec::new();
    for ((table, name), chain) in chains.into_iter().filter(|(_, chain)| chain.is_on_the_way) {
        let policy = chain.policy_drop.then(|| "policy drop".to_owned());
        rules.extend(policy.into_iter().chain(chain.effects).map(|what| ForeignRule {
            table: table.clone(),
            chain: name.clone(),
            what,
        }));
    }
    rules
}

fn collect(statement: &Value, chain: &mut Chain) {
    let Some(statement) = statement.as_object() else { return };
    for (name, argument) in statement {
        if EFFECTS.contains(&name.as_str()) {
            chain.effects.insert(name.clone());
        }
        let target = argument.get("name").and_then(Value::as_str).filter(|target| TARGETS.contains(target));
        if let ("xt", Some(target)) = (name.as_str(), target) {
            chain.effects.insert(target.to_lowercase());
        }
        if name == "jump" || name == "goto" {
            chain.jumps.extend(argument.get("target").and_then(Value::as_str).map(str::to_owned));
        }
        if name == "vmap" {
            verdicts(argument, chain);
        }
    }
}

/// The verdicts of a map, wherever they stand in it.
fn verdicts(value: &Value, chain: &mut Chain) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| verdicts(item, chain)),
        Value::Object(fields) => {
            collect(value, chain);
            fields.values().for_each(|field| verdicts(field, chain));
        }
        _ => {}
    }
}

/// A chain that a packet reaches by a jump from a chain on its way is on its way too.
fn follow_jumps(chains: &mut BTreeMap<(String, String), Chain>) {
    loop {
        let reached: Vec<_> = chains
            .iter()
            .filter(|(_, chain)| chain.is_on_the_way)
            .flat_map(|((table, _), chain)| chain.jumps.iter().map(|target| (table.clone(), target.clone())))
            .collect();
        let mut grown = false;
        for key in reached {
            if let Some(chain) = chains.get_mut(&key).filter(|chain| !chain.is_on_the_way) {
                chain.is_on_the_way = true;
                grown = true;
            }
        }
        if !grown {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULESET: &str = r#"{"nftables": [
        {"metainfo": {"json_schema_version": 1}},
        {"table": {"family": "ip", "name": "filter"}},
        {"chain": {"family": "ip", "table": "filter", "name": "INPUT", "hook": "input", "policy": "drop"}},
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "hook": "forward", "policy": "accept"}},
        {"chain": {"family": "ip", "table": "filter", "name": "DOCKER"}},
        {"chain": {"family": "ip", "table": "filter", "name": "unused"}},
        {"chain": {"family": "ip", "table": "nat", "name": "post", "hook": "postrouting", "policy": "accept"}},
        {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "expr": [{"jump": {"target": "DOCKER"}}]}},
        {"rule": {"family": "ip", "table": "filter", "chain": "DOCKER", "expr": [{"counter": {}}, {"drop": null}]}},
        {"rule": {"family": "ip", "table": "filter", "chain": "unused", "expr": [{"reject": {}}]}},
        {"rule": {"family": "ip", "table": "nat", "chain": "post", "expr": [{"masquerade": null}]}}
    ]}"#;

    #[test]
    fn rules_on_the_way_of_forwarded_packets_are_found_through_jumps() {
        let rule = |table: &str, chain: &str, what: &str| ForeignRule {
            table: table.into(),
            chain: chain.into(),
            what: what.into(),
        };
        assert_eq!(
            from_nft(RULESET.as_bytes()),
            [rule("ip filter", "DOCKER", "drop"), rule("ip nat", "post", "masquerade")]
        );
    }

    #[test]
    fn verdicts_inside_a_map_count() {
        let text = r#"{"nftables": [
            {"chain": {"family": "inet", "table": "fw", "name": "f", "hook": "forward", "policy": "drop"}},
            {"rule": {"family": "inet", "table": "fw", "chain": "f", "expr": [
                {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": [["invalid", {"drop": null}]]}}}]}}]}"#;
        let found: Vec<_> = from_nft(text.as_bytes()).into_iter().map(|rule| rule.what).collect();
        assert_eq!(found, ["policy drop", "drop"]);
    }

    #[test]
    fn targets_of_iptables_count() {
        let text = r#"{"nftables": [
            {"chain": {"family": "ip", "table": "nat", "name": "POSTROUTING", "hook": "postrouting"}},
            {"rule": {"family": "ip", "table": "nat", "chain": "POSTROUTING", "expr": [
                {"xt": {"type": "match", "name": "comment"}}, {"xt": {"type": "target", "name": "MASQUERADE"}}]}}]}"#;
        let found: Vec<_> = from_nft(text.as_bytes()).into_iter().map(|rule| rule.what).collect();
        assert_eq!(found, ["masquerade"]);
    }

    #[test]
    fn what_is_no_json_has_no_rules() {
        assert_eq!(from_nft(b"Error: syntax"), []);
    }
}
