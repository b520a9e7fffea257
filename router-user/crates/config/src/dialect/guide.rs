//! Lines of older guides.

use super::{Adapter, assign, has, put, take, take_text, turn, value};
use crate::exec::Command;
use crate::value::{Prefix, parse_prefix};

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    let verb = command.verb.clone();
    match (command.menu.path.as_str(), verb.as_str()) {
        ("tool/mac-server", "set") => mac_server(adapter, command),
        ("tool/mac-server/mac-winbox", "add") if has(command, "address") => {
            turn(command, "tool/mac-server/mac-winbox/client");
        }
        ("ppp/secret", "set") if is_only(command, "use-radius") => {
            adapter.note("use-radius belongs to /ppp aaa");
            turn(command, "ppp/aaa");
        }
        ("user", "add") => existing_user(adapter, command),
        ("interface/macvlan", "add") => twice_the_parent(adapter, command),
        ("interface/macsec/profile", "add" | "set") => cipher_names(command),
        ("interface/vxlan", "add") => vxlan(adapter, command),
        ("interface/vrrp", "add") => vrrp(adapter, command),
        ("interface/lte", "set") => lte(adapter, command),
        ("ipv6/pool", "add") => pool_pieces(adapter, command),
        _ => {}
    }
    enabled(adapter, command);
}

fn is_only(command: &Command, name: &str) -> bool {
    command.items.is_empty() && command.found.is_none() && command.assigns.iter().all(|a| a.name == name)
}

/// `enabled=yes` is `disabled=no` where the menu only has the second.
fn enabled(adapter: &mut Adapter<'_>, command: &mut Command) {
    if command.menu.property("enabled").is_some() || command.menu.property("disabled").is_none() {
        return;
    }
    for assign in command.assigns.iter_mut().filter(|a| a.name == "enabled") {
        let (was, is) = match assign.value.as_deref() {
            Some("yes") => ("yes", "no"),
            Some("no") => ("no", "yes"),
            _ => continue,
        };
        adapter.note(format!("enabled={was} is taken as disabled={is}"));
        assign.name = "disabled".into();
        assign.value = Some(is.into());
    }
}

/// The MAC server has no `enabled`: off means that no interface list is served.
fn mac_server(adapter: &mut Adapter<'_>, command: &mut Command) {
    let Some(enabled) = take_text(command, "enabled") else { return };
    if enabled == "no" {
        adapter.note("enabled=no is taken as allowed-interface-list=none");
        command.assigns.retain(|a| !a.name.starts_with("allowed-interface"));
        put(command, "allowed-interface-list", "none");
    } else {
        adapter.note("enabled=yes follows from allowed-interface-list");
    }
}

/// A fresh router has its first user already.
fn existing_user(adapter: &mut Adapter<'_>, command: &mut Command) {
    let Some(name) = value(command, "name").map(str::to_owned) else { return };
    if let Some(user) = adapter.named("user", &name).filter(|user| user.is_builtin()) {
        adapter.note(format!("the user {name} exists on every router and is changed"));
        command.verb = "set".into();
        command.found = Some(vec![user.id()]);
        command.assigns.retain(|a| a.name != "name");
    }
}

/// `master-interface` is another name of `interface`; both may be given if they agree.
fn twice_the_parent(adapter: &mut Adapter<'_>, command: &mut Command) {
    if value(command, "interface").is_some()
        && value(command, "interface") == value(command, "master-interface")
    {
        command.assigns.retain(|a| a.name != "master-interface");
        adapter.note("master-interface is the same as interface");
    }
}

/// Ciphers are `aes-gcm-256`, not `gcm-aes-256`.
fn cipher_names(command: &mut Command) {
    for assign in command.assigns.iter_mut().filter(|a| a.name == "cipher-suite" || a.name == "ciphers") {
        assign.value = assign.value.take().map(|text| text.replace("gcm-aes-", "aes-gcm-"));
    }
}

/// Far ends of a VXLAN tunnel are items of their own.
fn vxlan(adapter: &mut Adapter<'_>, command: &mut Command) {
    let Some(remote) = take_text(command, "remote-address") else { return };
    let name = own_name(adapter, command, "vxlan");
    adapter.note("remote-address is taken as an item of /interface vxlan vteps");
    adapter.add_after(command, "interface/vxlan/vteps", &[("interface", &name), ("remote-ip", &remote)]);
}

/// A virtual router's address is an address on the VRRP interface, with the length of a single host.
fn vrrp(adapter: &mut Adapter<'_>, command: &mut Command) {
    let Some(text) = take_text(command, "virtual-address") else { return };
    let name = own_name(adapter, command, "vrrp");
    let (menu, host) = match parse_prefix(&text) {
        Some(Prefix { address, .. }) if address.is_ipv6() => ("ipv6/address", format!("{address}/128")),
        Some(Prefix { address, .. }) => ("ip/address", format!("{address}/32")),
        None => ("ip/address", text),
    };
    adapter.note(format!("virtual-address is taken as /{} on {name}", menu.replace('/', " ")));
    adapter.add_after(command, menu, &[("address", &host), ("interface", &name)]);
}

/// The name an interface is added with; where none is given, the one it is going to get.
fn own_name(adapter: &Adapter<'_>, command: &mut Command, kind: &str) -> String {
    if let Some(name) = value(command, "name") {
        return name.to_owned();
    }
    let free = (1u32..).map(|n| format!("{kind}{n}")).find(|name| adapter.tree.interface(name).is_none());
    let name = free.unwrap_or_else(|| kind.to_owned());
    put(command, "name", name.clone());
    name
}

/// Access data of a modem belongs to the default access point.
fn lte(adapter: &mut Adapter<'_>, command: &mut Command) {
    let moved: Vec<_> = ["apn", "user", "password"].iter().filter_map(|n| take(command, n)).collect();
    if moved.is_empty() {
        return;
    }
    adapter.note("apn, user and password are taken for the default item of /interface lte apn");
    adapter.set_after(command, "interface/lte/apn", "default", &[]);
    if let Some(apn) = adapter.after.last_mut() {
        apn.assigns = moved;
    }
}

/// Pieces of an IPv6 pool are networks of 64 bits where nothing is said.
fn pool_pieces(adapter: &mut Adapter<'_>, command: &mut Command) {
    if has(command, "prefix") && !has(command, "prefix-length") {
        let length = assign(command, "prefix-length", "64");
        command.assigns.push(length);
        adapter.note("prefix-length is taken as 64");
    }
}
