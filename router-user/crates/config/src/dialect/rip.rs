//! RIP and RIPng of RouterOS 6: settings, interfaces and neighbours in place of instances and templates.

use super::{Adapter, drop_idle, put, redistributed, rename, take, take_text, turn, value};
use crate::exec::Command;
use crate::value::parse_time;

const INSTANCES: &str = "routing/rip/instance";

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    match (command.menu.path.as_str(), command.verb.as_str()) {
        ("routing/rip", "set") => settings(adapter, command, "rip", "ip"),
        ("routing/ripng", "set") => settings(adapter, command, "ripng", "ipv6"),
        ("routing/rip/interface", "add") => interface(adapter, command, "rip", "ip"),
        ("routing/ripng/interface", "add") => interface(adapter, command, "ripng", "ipv6"),
        ("routing/rip/neighbor", "add") => {
            turn(command, "routing/rip/static-neighbor");
            adapter.note("taken as /routing rip static-neighbor");
            need_instance(adapter, command, "rip", "ip");
            put(command, "instance", "rip");
        }
        _ => {}
    }
}

/// The one instance there was.
fn settings(adapter: &mut Adapter<'_>, command: &mut Command, name: &str, afi: &str) {
    turn(command, INSTANCES);
    adapter.note("taken as /routing rip instance");
    match adapter.named(INSTANCES, name) {
        Some(item) => command.found = Some(vec![item.id()]),
        None => {
            command.verb = "add".into();
            put(command, "name", name);
            put(command, "afi", afi);
        }
    }
    let kinds = redistributed(
        command,
        &[("connected", "connected"), ("static", "static"), ("ospf", "ospf"), ("bgp", "bgp")],
    );
    if !kinds.is_empty() {
        put(command, "redistribute", kinds);
    }
    let before = command.assigns.len();
    command.assigns.retain(|a| !a.name.starts_with("metric-"));
    if command.assigns.len() < before {
        adapter.note("metrics are set by routing filters");
    }
    for (old, new) in [
        ("update-timer", "update-interval"),
        ("timeout-timer", "route-timeout"),
        ("garbage-timer", "route-gc-timeout"),
    ] {
        if let Some(text) = take_text(command, old) {
            let seconds = parse_time(&text).map_or(text, |ms| (ms / 1_000).to_string());
            put(command, new, seconds);
        }
    }
    rename(command, &[("distribute-default", "originate-default")]);
}

fn need_instance(adapter: &mut Adapter<'_>, command: &Command, name: &str, afi: &str) {
    if !adapter.knows(INSTANCES, name) {
        adapter.note(format!("the RIP instance {name} is made"));
        adapter.add_before(command, INSTANCES, &[("name", name), ("afi", afi)]);
    }
}

fn interface(adapter: &mut Adapter<'_>, command: &mut Command, name: &str, afi: &str) {
    turn(command, "routing/rip/interface-template");
    adapter.note("taken as /routing rip interface-template");
    need_instance(adapter, command, name, afi);
    put(command, "instance", name);
    drop_idle(command, &[("interface", "all"), ("key-chain", ""), ("authentication-key", "")]);
    if take_text(command, "passive").is_some_and(|text| text == "yes") {
        put(command, "mode", "passive");
    }
    for name in ["authentication", "receive", "send", "in-prefix-list", "out-prefix-list"] {
        let text = value(command, name).unwrap_or_default();
        if !matches!(text, "" | "none" | "v2") {
            adapter.note(format!("{name} is no more"));
        }
        take(command, name);
    }
    rename(command, &[("interface", "interfaces"), ("authentication-key", "password")]);
}
