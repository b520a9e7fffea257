//! Routing filters of RouterOS 6: matchers and actions as properties, which are one text in RouterOS 7.

use super::{Adapter, put, turn, value};
use crate::exec::Command;

const KEPT: [&str; 5] = ["chain", "comment", "disabled", "place-before", "copy-from"];

/// A rule whose parts all have a form in RouterOS 7 becomes that; another stays as it is.
pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    if (command.menu.path.as_str(), command.verb.as_str()) != ("routing/filter", "add") {
        return;
    }
    match rule(command) {
        Ok(rule) => {
            adapter.note(
                "taken as /routing filter rule; a chain of RouterOS 7 ends with reject, that of RouterOS 6 ended with accept",
            );
            turn(command, "routing/filter/rule");
            command.assigns.retain(|a| KEPT.contains(&a.name.as_str()));
            put(command, "rule", rule);
        }
        Err(name) => adapter.note(format!("kept as it is: {name} has no form in RouterOS 7")),
    }
}

/// The text of a rule; the property that has none.
fn rule(command: &Command) -> Result<String, String> {
    let mut conditions = Vec::new();
    let mut actions = Vec::new();
    let mut is_inverted = false;
    let mut verdict = "";
    let mut prefix = None;
    let mut lengths = None;
    for assign in &command.assigns {
        let name = assign.name.as_str();
        let Some(text) = assign.value.as_deref().filter(|text| !text.is_empty()) else { continue };
        match name {
            _ if KEPT.contains(&name) => {}
            "action" => verdict = text,
            "jump-target" => {}
            "invert-match" => is_inverted = text == "yes",
            "prefix" => prefix = Some(text),
            "prefix-length" => lengths = Some(text),
            _ => match (condition(name, text), action(name, text)) {
                (Some(condition), _) => conditions.push(condition),
                (None, Some(action)) => actions.push(action),
                (None, None) => return Err(name.to_owned()),
            },
        }
    }
    match (prefix, lengths) {
        (Some(prefix), None) => conditions.insert(0, format!("dst=={prefix}")),
        (Some(prefix), Some(lengths)) => {
            conditions.insert(0, format!("dst in {prefix} && {}", range("dst-len", lengths)));
        }
        (None, Some(lengths)) => conditions.insert(0, range("dst-len", lengths)),
        (None, None) => {}
    }
    match verdict {
        "" | "passthrough" => {}
        "accept" | "return" => actions.push(verdict.to_owned()),
        "reject" | "discard" => actions.push("reject".into()),
        "jump" => actions.push(format!("jump {}", value(command, "jump-target").unwrap_or_default())),
        other => return Err(format!("action={other}")),
    }
    let actions = actions.join("; ");
    let conditions = conditions.join(" && ");
    Ok(match (conditions.as_str(), is_inverted) {
        ("", _) => actions,
        (conditions, true) => format!("if (not ({conditions})) {{ {actions} }}"),
        (conditions, false) => format!("if ({conditions}) {{ {actions} }}"),
    })
}

fn condition(name: &str, text: &str) -> Option<String> {
    let number = |field: &str| Some(range(field, text));
    match name {
        "protocol" => {
            let kinds: Vec<String> =
                text.split(',').map(|kind| format!("protocol {}", protocol(kind))).collect();
            Some(if kinds.len() == 1 { kinds.concat() } else { format!("({})", kinds.join(" || ")) })
        }
        "bgp-as-path" => Some(format!("bgp-as-path {text}")),
        "bgp-as-path-length" => number("bgp-path-len"),
        "bgp-local-pref" => number("bgp-local-pref"),
        "bgp-med" => number("bgp-med"),
        "bgp-weight" => number("bgp-weight"),
        "distance" => number("distance"),
        "scope" => number("scope"),
        "target-scope" => number("scope-target"),
        "route-tag" => number("ospf-ext-tag"),
        "bgp-communities" => {
            let each = text.split(',').map(|community| format!("bgp-communities includes {community}"));
            Some(each.collect::<Vec<_>>().join(" && "))
        }
        "ospf-type" => Some(format!("ospf-type {text}")),
        "pref-src" => Some(format!("gw-pref-src=={text}")),
        "bgp-origin" => Some(format!("bgp-origin {text}")),
        _ => None,
    }
}

fn protocol(kind: &str) -> &str {
    if kind == "connect" { "connected" } else { kind }
}

/// `field==5`, or `field>=8 && field<=32` for `8-32`.
fn range(field: &str, text: &str) -> String {
    match text.split_once('-') {
        Some((from, to)) if from != to => format!("{field}>={from} && {field}<={to}"),
        Some((from, _)) => format!("{field}=={from}"),
        None => format!("{field}=={text}"),
    }
}

fn action(name: &str, text: &str) -> Option<String> {
    let set = |field: &str| Some(format!("set {field} {text}"));
    match name {
        "set-distance" => set("distance"),
        "set-scope" => set("scope"),
        "set-target-scope" => set("scope-target"),
        "set-pref-src" => set("pref-src"),
        "set-bgp-local-pref" => set("bgp-local-pref"),
        "set-bgp-med" => set("bgp-med"),
        "set-bgp-weight" => set("bgp-weight"),
        "set-bgp-prepend" => set("bgp-path-prepend"),
        "set-bgp-communities" => set("bgp-communities"),
        "append-bgp-communities" => Some(format!("append bgp-communities {text}")),
        "set-in-nexthop" | "set-out-nexthop" | "set-in-nexthop-ipv6" | "set-out-nexthop-ipv6" => set("gw"),
        "set-check-gateway" => set("gw-check"),
        "set-route-comment" => Some(format!("set comment \"{}\"", text.replace('"', ""))),
        "set-route-tag" => set("ospf-ext-tag"),
        "set-type" if text == "blackhole" => Some("set blackhole yes".into()),
        "set-use-te-nexthop" => set("use-te-nexthop"),
        _ => None,
    }
}
