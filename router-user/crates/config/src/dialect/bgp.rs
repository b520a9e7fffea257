//! BGP of RouterOS 6, and of RouterOS 7 before 7.20.

use std::net::IpAddr;

use super::{
    Adapter, DEFAULT, drop_idle, has, names_nothing, put, redistributed, rename, take, take_text, turn, value,
};
use crate::exec::Command;

/// The address list that announced networks are kept in.
const NETWORKS: &str = "bgp-networks";

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    let adds = matches!(command.verb.as_str(), "add" | "set");
    match command.menu.path.as_str() {
        "routing/bgp/instance" if adds => instance(adapter, command),
        "routing/bgp/instance/vrf" if adds => vpn(adapter, command),
        "routing/bgp/peer" => peer(adapter, command),
        "routing/bgp/network" => network(adapter, command),
        "routing/bgp/connection" if adds => connection(adapter, command),
        "routing/bgp/template" if adds => template(adapter, command),
        "routing/bgp/vpls" if command.verb == "add" => vpls(adapter, command),
        _ => {}
    }
}

/// The instance `default` was always there; what an instance redistributes is said by a template.
fn instance(adapter: &mut Adapter<'_>, command: &mut Command) {
    let is_missing = command.verb == "set" && names_nothing(adapter, command) && is_default(command);
    if is_missing && make_default(adapter, command, DEFAULT) {
        adapter.note("the instance default of RouterOS 6 is made");
    }
    let name = match command.items.first() {
        Some((name, _)) => name.clone(),
        None => value(command, "name").unwrap_or(DEFAULT).to_owned(),
    };
    drop_idle(
        command,
        &[("out-filter", ""), ("client-to-client-reflection", "yes"), ("router-id", "0.0.0.0")],
    );
    let mut values = Vec::new();
    let redistributed = redistributed(command, &REDISTRIBUTED);
    if !redistributed.is_empty() {
        values.push(("output.redistribute", redistributed));
    }
    if let Some(chain) = take_text(command, "out-filter") {
        values.push(("output.filter-chain", chain));
    }
    if take(command, "client-to-client-reflection").is_some() {
        values.push(("output.no-client-to-client-reflection", "yes".into()));
    }
    if values.is_empty() {
        return;
    }
    adapter.note(format!("what the instance announces is taken as the template {name}"));
    let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    if adapter.knows("routing/bgp/template", &name) {
        adapter.set_after(command, "routing/bgp/template", &name, &values);
    } else {
        let values: Vec<_> = std::iter::once(("name", name.as_str())).chain(values).collect();
        adapter.add_after(command, "routing/bgp/template", &values);
    }
}

/// `set default`, or `set [ find default=yes ]` where there is no such item.
pub(super) fn is_default(command: &Command) -> bool {
    match command.items.as_slice() {
        [] => command.found.is_some(),
        [(name, _)] => name == DEFAULT,
        _ => false,
    }
}

/// Lets `set default` change the item of that name, or make it where it isn't there yet. True where it is made.
pub(super) fn make_default(adapter: &Adapter<'_>, command: &mut Command, name: &str) -> bool {
    command.items.clear();
    let known = adapter.named(&command.menu.path, name);
    command.found = known.map(|item| vec![item.id()]);
    if known.is_none() {
        command.verb = "add".into();
        if !has(command, "name") {
            put(command, "name", name);
        }
    }
    known.is_none()
}

const REDISTRIBUTED: [(&str, &str); 5] = [
    ("connected", "connected"),
    ("static", "static"),
    ("rip", "rip"),
    ("ospf", "ospf"),
    ("other-bgp", "bgp"),
];

/// Makes the instance exist that an item names.
pub(super) fn need_instance(adapter: &mut Adapter<'_>, command: &Command, name: &str) {
    if !adapter.knows("routing/bgp/instance", name) {
        adapter.note(format!("the BGP instance {name} is made"));
        // RouterOS 6 began with this number.
        adapter.add_before(command, "routing/bgp/instance", &[("name", name), ("as", "65530")]);
    }
}

/// A peer is a connection whose side of the border is said, and not found out.
fn peer(adapter: &mut Adapter<'_>, command: &mut Command) {
    turn(command, "routing/bgp/connection");
    adapter.note("taken as /routing bgp connection");
    let adds = command.verb == "add";
    drop_idle(
        command,
        &[
            ("in-filter", ""),
            ("out-filter", ""),
            ("tcp-md5-key", ""),
            ("ttl", "default"),
            ("nexthop-choice", "default"),
            ("default-originate", "never"),
            ("update-source", "none"),
        ],
    );
    let name = value(command, "instance").unwrap_or(DEFAULT).to_owned();
    if adds {
        need_instance(adapter, command, &name);
        put(command, "instance", name.clone());
    }
    let reflects = take_text(command, "route-reflect").is_some_and(|text| text == "yes");
    let own = adapter.named("routing/bgp/instance", &name).and_then(|item| item.text("as"));
    if let Some(remote) = value(command, "remote-as") {
        let inside = own.as_deref().unwrap_or("65530") == remote;
        put(
            command,
            "local.role",
            if !inside {
                "ebgp"
            } else if reflects {
                "ibgp-rr"
            } else {
                "ibgp"
            },
        );
    }
    if let Some(source) = take_text(command, "update-source") {
        match source.parse::<IpAddr>().map(|ip| ip.to_string()).ok().or_else(|| address_of(adapter, &source))
        {
            Some(address) => put(command, "local.address", address),
            None => adapter.note(format!("update-source: no address is known of {source}")),
        }
    }
    match take_text(command, "passive").as_deref() {
        Some("yes") => put(command, "connect", "no"),
        Some(_) => put(command, "connect", "yes"),
        None => {}
    }
    if take(command, "max-prefix-restart-time").is_some() {
        adapter.note("max-prefix-restart-time is no more");
    }
    rename(
        command,
        &[
            ("remote-address", "remote.address"),
            ("remote-as", "remote.as"),
            ("remote-port", "remote.port"),
            ("ttl", "local.ttl"),
            ("in-filter", "input.filter"),
            ("allow-as-in", "input.allow-as"),
            ("max-prefix-limit", "input.limit-process-routes-ipv4"),
            ("out-filter", "output.filter-chain"),
            ("as-override", "output.as-override"),
            ("remove-private-as", "output.remove-private-as"),
            ("default-originate", "output.default-originate"),
            ("address-families", "afi"),
        ],
    );
    if adds && adapter.knows("routing/bgp/template", &name) {
        put(command, "templates", name.clone());
    }
    let networks =
        adapter.tree.items("ip/firewall/address-list").any(|i| i.text("list").as_deref() == Some(NETWORKS));
    if adds && networks {
        put(command, "output.network", NETWORKS);
    }
}

/// The first address that is configured on an interface.
pub(super) fn address_of(adapter: &Adapter<'_>, interface: &str) -> Option<String> {
    let on = |item: &&crate::tree::Item| item.text("interface").as_deref() == Some(interface);
    let address = adapter.tree.items("ip/address").find(on)?.text("address")?;
    address.split('/').next().map(str::to_owned)
}

/// Announced networks are an address list that connections or templates name.
fn network(adapter: &mut Adapter<'_>, command: &mut Command) {
    let list = match value(command, "network") {
        Some(text) if text.contains(':') => "ipv6/firewall/address-list",
        _ => "ip/firewall/address-list",
    };
    turn(command, list);
    adapter.note(format!("taken as the address list {NETWORKS}"));
    take(command, "synchronize");
    rename(command, &[("network", "address")]);
    if command.verb == "add" {
        put(command, "list", NETWORKS);
        let template = adapter.named("routing/bgp/template", DEFAULT);
        if template.is_some_and(|template| template.text("output.network").is_none()) {
            adapter.set_after(command, "routing/bgp/template", DEFAULT, &[("output.network", NETWORKS)]);
        }
    }
}

/// What BGP announces of a VRF belongs to the VPN that `/ip route vrf` made.
fn vpn(adapter: &mut Adapter<'_>, command: &mut Command) {
    let mark = value(command, "routing-mark").map(str::to_owned);
    let known = adapter.tree.items("routing/bgp/vpn").find(|vpn| vpn.text("vrf") == mark);
    let (Some(vpn), "add") = (known, command.verb.as_str()) else { return };
    turn(command, "routing/bgp/vpn");
    adapter.note("taken as /routing bgp vpn");
    command.verb = "set".into();
    command.found = Some(vec![vpn.id()]);
    take(command, "routing-mark");
    drop_idle(command, &[("in-filter", ""), ("out-filter", "")]);
    let kinds = redistributed(command, &REDISTRIBUTED);
    if !kinds.is_empty() {
        put(command, "export.redistribute", kinds);
    }
    rename(command, &[("in-filter", "import.filter-chain"), ("out-filter", "export.filter-chain")]);
    if let Some(instance) = value(command, "instance").map(str::to_owned) {
        need_instance(adapter, command, &instance);
    }
}

/// Until 7.19 a connection had the router's side in itself.
fn connection(adapter: &mut Adapter<'_>, command: &mut Command) {
    families(adapter, command);
    if command.verb != "add" || has(command, "instance") || !has(command, "remote.address") {
        return;
    }
    let template = value(command, "templates").and_then(|names| names.split(',').next()).unwrap_or(DEFAULT);
    let template = adapter.named("routing/bgp/template", template);
    let of_template = |name: &str| template.and_then(|template| template.text(name));
    let number = value(command, "as").map(str::to_owned).or_else(|| of_template("as"));
    let id = take_text(command, "router-id").or_else(|| of_template("router-id"));
    let cluster = take_text(command, "cluster-id").or_else(|| of_template("cluster-id"));
    let vrf = value(command, "vrf").map(str::to_owned);
    let mut values: Vec<(&str, String)> = Vec::new();
    for (name, text) in [("as", number), ("router-id", id), ("cluster-id", cluster), ("vrf", vrf)] {
        values.extend(text.filter(|text| !text.is_empty()).map(|text| (name, text)));
    }
    let same = adapter.tree.items("routing/bgp/instance").find(|item| {
        ["as", "router-id", "cluster-id", "vrf"].iter().all(|name| {
            item.text(name).as_deref() == values.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
        })
    });
    let name = match same.and_then(|item| item.text("name")) {
        Some(name) => name,
        None => {
            let free = (1u32..).map(|n| format!("bgp-instance-{n}"));
            let name = free
                .into_iter()
                .find(|name| !adapter.knows("routing/bgp/instance", name))
                .unwrap_or_default();
            let mut all = vec![("name", name.as_str())];
            all.extend(values.iter().map(|(n, v)| (*n, v.as_str())));
            adapter.add_before(command, "routing/bgp/instance", &all);
            adapter.note(format!("the router's own side is taken as /routing bgp instance {name}"));
            name
        }
    };
    put(command, "instance", name);
}

fn template(adapter: &mut Adapter<'_>, command: &mut Command) {
    families(adapter, command);
    rename(
        command,
        &[("as-override", "output.as-override"), ("output.default-prepent", "output.default-prepend")],
    );
}

fn families(adapter: &mut Adapter<'_>, command: &mut Command) {
    if rename(command, &[("address-families", "afi")]) {
        adapter.note("address-families is taken as afi");
    }
}

/// A site had a number where nothing was said.
fn vpls(adapter: &mut Adapter<'_>, command: &mut Command) {
    if has(command, "route-distinguisher") && !has(command, "site-id") && !has(command, "l2router-id") {
        put(command, "site-id", "1");
        adapter.note("site-id is taken as 1");
    }
}
