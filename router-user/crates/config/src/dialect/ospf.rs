//! OSPF of RouterOS 6: instances and areas that were always there, networks and interfaces in place of templates.

use super::bgp::{address_of, is_default, make_default};
use super::{
    Adapter, DEFAULT, drop_idle, has, names_nothing, put, redistributed, rename, take, take_text, turn, value,
};
use crate::exec::Command;

const INSTANCES: &str = "routing/ospf/instance";
const AREAS: &str = "routing/ospf/area";
const TEMPLATES: &str = "routing/ospf/interface-template";
const BACKBONE: &str = "backbone";

/// Names of the items of RouterOS 6, which had OSPFv3 in menus of its own.
struct Version {
    number: &'static str,
    instance: &'static str,
    backbone: &'static str,
}

const V2: Version = Version { number: "2", instance: DEFAULT, backbone: BACKBONE };
const V3: Version = Version { number: "3", instance: "default-v3", backbone: "backbone-v3" };

impl Version {
    fn instance(&self, name: &str) -> String {
        if name == DEFAULT { self.instance.to_owned() } else { name.to_owned() }
    }

    fn area(&self, name: &str) -> String {
        if name == BACKBONE { self.backbone.to_owned() } else { name.to_owned() }
    }
}

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    let adds = matches!(command.verb.as_str(), "add" | "set");
    let is_add = command.verb == "add";
    let path = command.menu.path.as_str();
    match path {
        INSTANCES if adds => instance(adapter, command, &V2),
        "routing/ospf-v3/instance" if adds => {
            turn(command, INSTANCES);
            adapter.note("taken as /routing ospf instance");
            instance(adapter, command, &V3);
        }
        AREAS if adds => area(adapter, command, &V2),
        "routing/ospf-v3/area" if adds => {
            turn(command, AREAS);
            adapter.note("taken as /routing ospf area");
            area(adapter, command, &V3);
        }
        "routing/ospf/network" if is_add => network(adapter, command),
        "routing/ospf/interface" if is_add => interface(adapter, command, &V2),
        "routing/ospf-v3/interface" if is_add => interface(adapter, command, &V3),
        "routing/ospf/nbma-neighbor" if is_add => neighbor(adapter, command),
        "routing/ospf/virtual-link" if is_add => virtual_link(adapter, command),
        _ => {}
    }
}

const REDISTRIBUTED: [(&str, &str); 5] = [
    ("connected", "connected"),
    ("static", "static"),
    ("rip", "rip"),
    ("bgp", "bgp"),
    ("other-ospf", "ospf"),
];

fn instance(adapter: &mut Adapter<'_>, command: &mut Command, version: &Version) {
    let is_missing = command.verb == "set" && names_nothing(adapter, command) && is_default(command);
    if is_missing && make_default(adapter, command, version.instance) {
        adapter.note("the instance default of RouterOS 6 is made");
    }
    if version.number == V3.number && command.verb == "add" {
        let name = version.instance(value(command, "name").unwrap_or(DEFAULT));
        put(command, "name", name);
        put(command, "version", version.number);
    }
    let has_redistribution = command.assigns.iter().any(|a| a.name.starts_with("redistribute-"));
    if has_redistribution {
        let kinds = redistributed(command, &REDISTRIBUTED);
        adapter.note("redistribute-... is taken as redistribute");
        if !kinds.is_empty() {
            put(command, "redistribute", kinds);
        }
    }
    if let Some(text) = take_text(command, "distribute-default") {
        let when = text.strip_suffix("-as-type-1").or_else(|| text.strip_suffix("-as-type-2"));
        put(command, "originate-default", when.unwrap_or(&text).to_owned());
        adapter.note("distribute-default is taken as originate-default");
    }
    let before = command.assigns.len();
    command.assigns.retain(|a| !a.name.starts_with("metric-"));
    if command.assigns.len() < before {
        adapter.note("metrics are set by routing filters");
    }
    if let Some(text) = take_text(command, "mpls-te-router-id") {
        match address_of(adapter, &text) {
            Some(address) => put(command, "mpls-te-address", address),
            None => adapter.note(format!("mpls-te-router-id: no address is known of {text}")),
        }
    }
    drop_idle(command, &[("router-id", "0.0.0.0"), ("in-filter", ""), ("out-filter", "")]);
    if rename(command, &[("in-filter", "in-filter-chain"), ("out-filter", "out-filter-chain")]) {
        adapter.note("in-filter and out-filter are taken as in-filter-chain and out-filter-chain");
    }
}

fn area(adapter: &mut Adapter<'_>, command: &mut Command, version: &Version) {
    let nothing = command.verb == "set" && names_nothing(adapter, command);
    let names_backbone = matches!(command.items.as_slice(), [(name, _)] if name == BACKBONE);
    let is_missing = nothing && (names_backbone || is_default(command));
    if is_missing && make_default(adapter, command, version.backbone) {
        adapter.note("the area backbone of RouterOS 6 is made");
    }
    if command.verb == "add" && (has(command, "name") || has(command, "area-id")) {
        let name = value(command, "instance").unwrap_or(DEFAULT);
        let name = version.instance(name);
        if !has(command, "instance") || name == version.instance {
            need_instance(adapter, command, version);
        }
        put(command, "instance", name);
        if let Some(name) = value(command, "name").map(|name| version.area(name)) {
            put(command, "name", name);
        }
    }
    if let Some(text) = take_text(command, "translator-role") {
        let role = match text.as_str() {
            "translate-always" => "yes",
            "translate-never" => "no",
            _ => "candidate",
        };
        put(command, "nssa-translator", role);
    }
    if take_text(command, "inject-summary-lsas").is_some_and(|text| text == "no") {
        put(command, "no-summaries", "yes");
    }
    drop_idle(command, &[("authentication", "none")]);
    if take(command, "authentication").is_some() {
        adapter.note("authentication is set per interface template");
    }
}

/// Makes the instance exist that every router had.
fn need_instance(adapter: &mut Adapter<'_>, command: &Command, version: &Version) {
    if !adapter.knows(INSTANCES, version.instance) {
        adapter.note(format!("the OSPF instance {} is made", version.instance));
        let values = [("name", version.instance), ("version", version.number)];
        // Version 2 is what an instance has where nothing is said.
        let told = if version.number == V2.number { 1 } else { 2 };
        adapter.add_before(command, INSTANCES, values.get(..told).unwrap_or_default());
    }
}

/// Makes the area exist that an item names.
fn need_area(adapter: &mut Adapter<'_>, command: &Command, version: &Version, name: &str) {
    if name == version.backbone && !adapter.knows(AREAS, name) {
        need_instance(adapter, command, version);
        adapter.note(format!("the OSPF area {name} is made"));
        adapter.add_before(command, AREAS, &[("name", name), ("instance", version.instance)]);
    }
}

fn network(adapter: &mut Adapter<'_>, command: &mut Command) {
    turn(command, TEMPLATES);
    adapter.note("taken as /routing ospf interface-template");
    rename(command, &[("network", "networks")]);
    let area = value(command, "area").unwrap_or(BACKBONE).to_owned();
    need_area(adapter, command, &V2, &area);
    put(command, "area", area);
}

/// Interfaces had no area: they got it by their network. The only area there is, or the backbone, is taken for it.
fn interface(adapter: &mut Adapter<'_>, command: &mut Command, version: &Version) {
    turn(command, TEMPLATES);
    let area = match value(command, "area") {
        Some(name) => version.area(name),
        None => {
            let of_version = |area: &&crate::tree::Item| {
                let instance = area.text("instance").unwrap_or_default();
                adapter.named(INSTANCES, &instance).and_then(|i| i.text("version")).as_deref()
                    == Some(version.number)
            };
            let mut areas = adapter.tree.items(AREAS).filter(of_version);
            match (areas.next(), areas.next()) {
                (Some(only), None) => only.text("name").unwrap_or_default(),
                _ => version.backbone.to_owned(),
            }
        }
    };
    adapter.note(format!("taken as /routing ospf interface-template in the area {area}"));
    need_area(adapter, command, version, &area);
    put(command, "area", area);
    drop_idle(
        command,
        &[
            ("network-type", DEFAULT),
            ("authentication", "none"),
            ("authentication-key", ""),
            ("passive", "no"),
            ("interface", "all"),
        ],
    );
    if !has(command, "authentication") {
        take(command, "authentication-key-id");
    }
    for assign in command.assigns.iter_mut().filter(|a| a.name == "network-type") {
        if assign.value.as_deref() == Some("point-to-point") {
            assign.value = Some("ptp".into());
        }
    }
    rename(
        command,
        &[
            ("interface", "interfaces"),
            ("network-type", "type"),
            ("authentication", "auth"),
            ("authentication-key", "auth-key"),
            ("authentication-key-id", "auth-id"),
        ],
    );
}

fn neighbor(adapter: &mut Adapter<'_>, command: &mut Command) {
    turn(command, "routing/ospf/static-neighbor");
    adapter.note("taken as /routing ospf static-neighbor");
    take(command, "instance");
    take(command, "priority");
    need_area(adapter, command, &V2, BACKBONE);
    put(command, "area", BACKBONE);
}

fn virtual_link(adapter: &mut Adapter<'_>, command: &mut Command) {
    turn(command, TEMPLATES);
    adapter.note("taken as /routing ospf interface-template");
    need_area(adapter, command, &V2, BACKBONE);
    put(command, "area", BACKBONE);
    put(command, "type", "virtual-link");
    drop_idle(command, &[("authentication", "none"), ("authentication-key", "")]);
    if !has(command, "authentication") {
        take(command, "authentication-key-id");
    }
    rename(
        command,
        &[
            ("neighbor-id", "vlink-neighbor-id"),
            ("transit-area", "vlink-transit-area"),
            ("authentication", "auth"),
            ("authentication-key", "auth-key"),
            ("authentication-key-id", "auth-id"),
        ],
    );
}
