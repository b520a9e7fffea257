//! IPsec before RouterOS 6.44, when a peer held its identity and its proposals.

use super::{Adapter, drop_idle, has, put, take, take_text, value};
use crate::exec::Command;
use crate::value::parse_prefix;

/// Now properties of `/ip ipsec identity`.
const IDENTITY: [&str; 9] = [
    "auth-method",
    "secret",
    "certificate",
    "remote-certificate",
    "generate-policy",
    "policy-template-group",
    "mode-config",
    "my-id",
    "notrack-chain",
];

/// Now properties of `/ip ipsec profile`.
const PROFILE: [&str; 9] = [
    "dh-group",
    "enc-algorithm",
    "hash-algorithm",
    "lifetime",
    "lifebytes",
    "dpd-interval",
    "dpd-maximum-failures",
    "nat-traversal",
    "proposal-check",
];

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    match (command.menu.path.as_str(), command.verb.as_str()) {
        ("ip/ipsec/peer", "add") => peer(adapter, command),
        ("ip/ipsec/policy", "add") => policy(adapter, command),
        ("ip/ipsec/proposal", "add" | "set") => ciphers(command),
        _ => {}
    }
}

fn peer(adapter: &mut Adapter<'_>, command: &mut Command) {
    drop_idle(command, &[("auth-method", ""), ("my-id", "auto"), ("mode-config", "none")]);
    let identity = IDENTITY.iter().any(|name| has(command, name));
    let profile = PROFILE.iter().any(|name| has(command, name));
    if value(command, "exchange-mode") == Some("main-l2tp") {
        put(command, "exchange-mode", "main");
        adapter.note("exchange-mode=main-l2tp is taken as main");
    }
    if !identity && !profile {
        return;
    }
    let name = match value(command, "name") {
        Some(name) => name.to_owned(),
        None => {
            let free = (1u32..).map(|n| format!("peer{n}"));
            free.into_iter().find(|name| !adapter.knows("ip/ipsec/peer", name)).unwrap_or_default()
        }
    };
    put(command, "name", name.clone());
    if identity {
        adapter.note(format!("how the peer proves who it is is taken as /ip ipsec identity of {name}"));
        adapter.add_after(command, "ip/ipsec/identity", &[("peer", &name)]);
        let moved: Vec<_> = IDENTITY.iter().filter_map(|n| take(command, n)).collect();
        if let Some(identity) = adapter.after.last_mut() {
            identity.assigns.extend(moved);
        }
    }
    if profile {
        adapter.note(format!("what is proposed is taken as /ip ipsec profile {name}"));
        adapter.add_before(command, "ip/ipsec/profile", &[("name", &name)]);
        let moved: Vec<_> = PROFILE.iter().filter_map(|n| take(command, n)).collect();
        if let Some(profile) = adapter.before.last_mut() {
            profile.assigns.extend(moved);
        }
        put(command, "profile", name);
    }
}

/// A policy names its peer; it was found by its address.
fn policy(adapter: &mut Adapter<'_>, command: &mut Command) {
    if has(command, "peer") {
        return;
    }
    let Some(far) = value(command, "sa-dst-address").and_then(parse_prefix) else { return };
    let found = adapter.tree.items("ip/ipsec/peer").find(|peer| {
        peer.text("address").and_then(|text| parse_prefix(&text)).is_some_and(|peer| peer.overlaps(far))
    });
    if let Some(name) = found.and_then(|peer| peer.text("name")) {
        take_text(command, "sa-dst-address");
        take_text(command, "sa-src-address");
        adapter.note(format!("sa-dst-address is taken as peer={name}"));
        put(command, "peer", name);
    }
}

/// Ciphers were named without their mode.
fn ciphers(command: &mut Command) {
    for assign in command.assigns.iter_mut().filter(|a| a.name == "enc-algorithms") {
        let Some(text) = &assign.value else { continue };
        let words = text.split(',').map(|word| match word {
            "aes-128" | "aes-192" | "aes-256" => format!("{word}-cbc"),
            _ => word.to_owned(),
        });
        assign.value = Some(words.collect::<Vec<_>>().join(","));
    }
}
