//! Lines that a real RouterOS takes differently or not at all, turned into what they mean. Plain other names are in the
//! schema (`also:`); here is what needs more than a name. Everything done here is said in a note.

use crate::exec::{Assign, Command};
use crate::schema::{self, Menu};
use crate::tree::Tree;
use crate::value::{Prefix, parse_prefix};

/// Rewrites a command into those it means. The first one stands for the statement.
pub(crate) fn adapt(tree: &mut Tree, mut command: Command, notes: &mut Vec<String>) -> Vec<Command> {
    let path = command.menu.path.as_str();
    let verb = command.verb.clone();
    match (path, verb.as_str()) {
        ("tool/mac-server", "set") => mac_server(&mut command, notes),
        ("tool/mac-server/mac-winbox", "add") => {
            turn(&mut command, "tool/mac-server/mac-winbox/client");
        }
        ("ppp/secret", "set") if is_only(&command, "use-radius") => {
            notes.push("use-radius belongs to /ppp aaa".into());
            turn(&mut command, "ppp/aaa");
        }
        ("user", "add") => existing_user(tree, &mut command, notes),
        ("interface/macvlan", "add") => twice_the_parent(&mut command, notes),
        ("interface/macsec/profile", "add" | "set") => cipher_names(&mut command),
        ("interface/vxlan", "add") => return vxlan(tree, command, notes),
        ("interface/vrrp", "add") => return vrrp(tree, command, notes),
        ("interface/lte", "set") => return lte(command, notes),
        ("ip/route" | "ipv6/route", "add" | "set") => route_type(&mut command),
        ("ipv6/pool", "add") => pool_pieces(&mut command, notes),
        _ => {}
    }
    enabled(&mut command, notes);
    vec![command]
}

/// Lets the command work on another menu.
fn turn(command: &mut Command, path: &str) {
    if let Some(menu) = schema::menu(path) {
        command.menu = menu;
    }
}

fn is_only(command: &Command, name: &str) -> bool {
    command.items.is_empty() && command.found.is_none() && command.assigns.iter().all(|a| a.name == name)
}

fn take(command: &mut Command, name: &str) -> Option<Assign> {
    let place = command.assigns.iter().position(|a| a.name == name)?;
    Some(command.assigns.remove(place))
}

fn value<'c>(command: &'c Command, name: &str) -> Option<&'c str> {
    command.assigns.iter().find(|a| a.name == name)?.value.as_deref()
}

/// Another command that a statement means besides.
fn besides(command: &Command, menu: &'static Menu, verb: &str, assigns: Vec<Assign>) -> Command {
    Command {
        menu,
        verb: verb.into(),
        verb_span: command.span,
        span: command.span,
        items: Vec::new(),
        found: None,
        assigns,
    }
}

fn named(like: &Assign, name: &str, value: String) -> Assign {
    Assign { name: name.into(), name_span: like.name_span, value: Some(value), value_span: like.value_span }
}

/// `enabled=yes` is `disabled=no` where the menu only has the second.
fn enabled(command: &mut Command, notes: &mut Vec<String>) {
    if command.menu.property("enabled").is_some() || command.menu.property("disabled").is_none() {
        return;
    }
    for assign in command.assigns.iter_mut().filter(|a| a.name == "enabled") {
        let (was, is) = match assign.value.as_deref() {
            Some("yes") => ("yes", "no"),
            Some("no") => ("no", "yes"),
            _ => continue,
        };
        notes.push(format!("enabled={was} is taken as disabled={is}"));
        assign.name = "disabled".into();
        assign.value = Some(is.into());
    }
}

/// The MAC server has no `enabled`: off means that no interface list is served.
fn mac_server(command: &mut Command, notes: &mut Vec<String>) {
    let Some(enabled) = take(command, "enabled") else { return };
    if enabled.value.as_deref() == Some("no") {
        notes.push("enabled=no is taken as allowed-interface-list=none".into());
        command.assigns.retain(|a| !a.name.starts_with("allowed-interface"));
        command.assigns.push(named(&enabled, "allowed-interface-list", "none".into()));
    } else {
        notes.push("enabled=yes follows from allowed-interface-list".into());
    }
}

/// A fresh router has its first user already.
fn existing_user(tree: &Tree, command: &mut Command, notes: &mut Vec<String>) {
    let Some(name) = value(command, "name").map(str::to_owned) else { return };
    let builtin = tree.items("user").find(|u| u.is_builtin() && u.text("name").as_deref() == Some(&name));
    if let Some(user) = builtin {
        notes.push(format!("the user {name} exists on every router and is changed"));
        command.verb = "set".into();
        command.found = Some(vec![user.id()]);
        command.assigns.retain(|a| a.name != "name");
    }
}

/// `master-interface` is another name of `interface`; both may be given if they agree.
fn twice_the_parent(command: &mut Command, notes: &mut Vec<String>) {
    if value(command, "interface").is_some()
        && value(command, "interface") == value(command, "master-interface")
    {
        command.assigns.retain(|a| a.name != "master-interface");
        notes.push("master-interface is the same as interface".into());
    }
}

/// Ciphers are `aes-gcm-256`, not `gcm-aes-256`.
fn cipher_names(command: &mut Command) {
    for assign in command.assigns.iter_mut().filter(|a| a.name == "cipher-suite" || a.name == "ciphers") {
        assign.value = assign.value.take().map(|text| text.replace("gcm-aes-", "aes-gcm-"));
    }
}

/// Far ends of a VXLAN tunnel are items of their own.
fn vxlan(tree: &Tree, mut command: Command, notes: &mut Vec<String>) -> Vec<Command> {
    enabled(&mut command, notes);
    let (Some(remote), Some(menu)) =
        (take(&mut command, "remote-address"), schema::menu("interface/vxlan/vteps"))
    else {
        return vec![command];
    };
    let name = own_name(tree, &mut command, &remote, "vxlan");
    notes.push("remote-address is taken as an item of /interface vxlan vteps".into());
    let remote_ip = Assign { name: "remote-ip".into(), ..remote.clone() };
    let vtep = besides(&command, menu, "add", vec![named(&remote, "interface", name), remote_ip]);
    vec![command, vtep]
}

/// A virtual router's address is an address on the VRRP interface, with the length of a single host.
fn vrrp(tree: &Tree, mut command: Command, notes: &mut Vec<String>) -> Vec<Command> {
    enabled(&mut command, notes);
    let Some(address) = take(&mut command, "virtual-address") else { return vec![command] };
    let name = own_name(tree, &mut command, &address, "vrrp");
    let text = address.value.clone().unwrap_or_default();
    let (menu, host) = match parse_prefix(&text) {
        Some(Prefix { address, .. }) if address.is_ipv6() => ("ipv6/address", format!("{address}/128")),
        Some(Prefix { address, .. }) => ("ip/address", format!("{address}/32")),
        None => ("ip/address", text),
    };
    let Some(menu) = schema::menu(menu) else { return vec![command] };
    notes.push(format!("virtual-address is taken as {} on {name}", menu.blank_path()));
    let added = vec![named(&address, "address", host), named(&address, "interface", name)];
    let address = besides(&command, menu, "add", added);
    vec![command, address]
}

/// The name an interface is added with; where none is given, the one it is going to get.
fn own_name(tree: &Tree, command: &mut Command, like: &Assign, kind: &str) -> String {
    if let Some(name) = value(command, "name") {
        return name.to_owned();
    }
    let free = (1u32..).map(|n| format!("{kind}{n}")).find(|name| tree.interface(name).is_none());
    let name = free.unwrap_or_else(|| kind.to_owned());
    command.assigns.push(named(like, "name", name.clone()));
    name
}

/// Access data of a modem belongs to the default access point.
fn lte(mut command: Command, notes: &mut Vec<String>) -> Vec<Command> {
    enabled(&mut command, notes);
    let moved: Vec<Assign> =
        ["apn", "user", "password"].iter().filter_map(|n| take(&mut command, n)).collect();
    let (false, Some(menu)) = (moved.is_empty(), schema::menu("interface/lte/apn")) else {
        return vec![command];
    };
    notes.push("apn, user and password are taken for the default item of /interface lte apn".into());
    let mut apn = besides(&command, menu, "set", moved);
    apn.items.push(("default".into(), command.span));
    vec![command, apn]
}

/// `type=blackhole` of RouterOS 6 is the switch `blackhole`.
fn route_type(command: &mut Command) {
    for assign in command.assigns.iter_mut().filter(|a| a.name == "type") {
        if assign.value.as_deref() == Some("blackhole") {
            assign.name = "blackhole".into();
            assign.value = Some("yes".into());
        }
    }
}

/// Pieces of an IPv6 pool are networks of 64 bits where nothing is said.
fn pool_pieces(command: &mut Command, notes: &mut Vec<String>) {
    let prefix = command.assigns.iter().find(|a| a.name == "prefix");
    if let (Some(prefix), None) = (prefix, value(command, "prefix-length")) {
        let length = named(prefix, "prefix-length", "64".into());
        command.assigns.push(length);
        notes.push("prefix-length is taken as 64".into());
    }
}
