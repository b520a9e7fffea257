//! Services, tools and interfaces of RouterOS 6.

use super::{Adapter, drop_idle, has, put, rename, take, take_text, turn, value};
use crate::exec::Command;

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    match (command.menu.path.as_str(), command.verb.as_str()) {
        ("system/ntp/client", "set") => ntp_servers(adapter, command),
        ("system/logging/action", "add" | "set") => log_format(adapter, command),
        ("tool/e-mail", "set") => mail_server(adapter, command),
        ("ip/traffic-flow/target", "add" | "set") => collector(adapter, command),
        ("tool/mac-server" | "tool/mac-server/mac-winbox", "add") if has(command, "interface") => {
            served_interface(adapter, command);
        }
        ("mpls/ldp", "set") => label_distribution(adapter, command),
        ("interface/ovpn-server/server", "set") => openvpn_server(adapter, command),
        ("interface/vrrp", "add" | "set") => {
            if rename(command, &[("group-master", "group-authority")]) {
                adapter.note("group-master is taken as group-authority");
            }
            if take(command, "mtu").is_some() {
                adapter.note("mtu follows from the interface below");
            }
        }
        ("interface/ethernet", "set") => master_port(adapter, command),
        _ => {}
    }
}

/// NTP servers are items of their own.
fn ntp_servers(adapter: &mut Adapter<'_>, command: &mut Command) {
    let texts: Vec<String> = ["primary-ntp", "secondary-ntp", "server-dns-names"]
        .iter()
        .filter_map(|name| take_text(command, name))
        .collect();
    let servers = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    let mut known: Vec<String> =
        adapter.tree.items("system/ntp/client/servers").filter_map(|item| item.text("address")).collect();
    for server in servers.filter(|server| !matches!(*server, "" | "0.0.0.0" | "::")) {
        if !known.iter().any(|k| k == server) {
            adapter.note(format!("{server} is taken as an item of /system ntp client servers"));
            adapter.add_after(command, "system/ntp/client/servers", &[("address", server)]);
            known.push(server.to_owned());
        }
    }
}

fn log_format(adapter: &mut Adapter<'_>, command: &mut Command) {
    let is_on = take_text(command, "bsd-syslog").is_some_and(|text| text == "yes");
    if is_on && !has(command, "remote-log-format") {
        put(command, "remote-log-format", "bsd-syslog");
        adapter.note("bsd-syslog=yes is taken as remote-log-format=bsd-syslog");
    }
}

fn mail_server(adapter: &mut Adapter<'_>, command: &mut Command) {
    if rename(command, &[("address", "server")]) {
        adapter.note("address is taken as server");
    }
    if let Some(text) = take_text(command, "start-tls") {
        let tls = match text.as_str() {
            "yes" => "starttls",
            "tls-only" => "yes",
            _ => "no",
        };
        adapter.note(format!("start-tls={text} is taken as tls={tls}"));
        put(command, "tls", tls);
    }
}

/// `address=192.0.2.1:2055`
fn collector(adapter: &mut Adapter<'_>, command: &mut Command) {
    let Some(text) = value(command, "address").map(str::to_owned) else { return };
    take(command, "address");
    match text.rsplit_once(':').filter(|(host, _)| !host.contains(':')) {
        Some((host, port)) => {
            put(command, "dst-address", host);
            put(command, "port", port);
            adapter.note("address is taken as dst-address and port");
        }
        None => {
            put(command, "dst-address", text);
            adapter.note("address is taken as dst-address");
        }
    }
}

/// Interfaces that are served by MAC address are those of a list.
fn served_interface(adapter: &mut Adapter<'_>, command: &mut Command) {
    const LIST: &str = "mac-server";
    let Some(interface) = take_text(command, "interface") else { return };
    let server = command.menu.path.clone();
    adapter.note(format!("interface={interface} is taken as a member of the interface list {LIST}"));
    let list = if interface == "all" { "all" } else { LIST };
    if list == LIST && !adapter.knows("interface/list", LIST) {
        adapter.add_before(command, "interface/list", &[("name", LIST)]);
    }
    let is_member = adapter.tree.items("interface/list/member").any(|member| {
        member.text("list").as_deref() == Some(LIST)
            && member.text("interface").as_deref() == Some(&interface)
    });
    if list == LIST && !is_member {
        adapter.add_before(command, "interface/list/member", &[("list", LIST), ("interface", &interface)]);
    }
    turn(command, &server);
    command.verb = "set".into();
    command.assigns.clear();
    put(command, "allowed-interface-list", list);
}

/// Label distribution has an item per VRF; it was one record.
fn label_distribution(adapter: &mut Adapter<'_>, command: &mut Command) {
    if !command.items.is_empty() || command.found.is_some() || command.assigns.is_empty() {
        return;
    }
    adapter.note("taken as the item of /mpls ldp");
    let is_known = adapter.tree.items("mpls/ldp").next().is_some();
    match take_text(command, "enabled").as_deref() {
        Some("yes") if is_known => put(command, "disabled", "no"),
        Some("yes") | None => {}
        Some(_) => put(command, "disabled", "yes"),
    }
    drop_idle(command, &[("lsr-id", "0.0.0.0"), ("transport-address", "0.0.0.0")]);
    take(command, "distribute-for-default-route");
    rename(command, &[("transport-address", "transport-addresses")]);
    match adapter.tree.items("mpls/ldp").next() {
        Some(item) => command.found = Some(vec![item.id()]),
        None => {
            command.verb = "add".into();
            put(command, "afi", "ip");
        }
    }
}

/// The OpenVPN server was one record until 7.16.
fn openvpn_server(adapter: &mut Adapter<'_>, command: &mut Command) {
    if !command.items.is_empty() || command.found.is_some() || command.assigns.is_empty() {
        return;
    }
    adapter.note("taken as the first item of /interface ovpn-server server");
    let enabled = take_text(command, "enabled");
    let is_on = enabled.as_deref() == Some("yes");
    match adapter.tree.items("interface/ovpn-server/server").next() {
        Some(item) => {
            command.found = Some(vec![item.id()]);
            if enabled.is_some() {
                put(command, "disabled", if is_on { "no" } else { "yes" });
            }
        }
        None => {
            command.verb = "add".into();
            put(command, "name", "ovpn-server1");
            if !is_on {
                put(command, "disabled", "yes");
            }
        }
    }
}

/// Ports that followed a master were one switch group, which is a bridge since 6.41.
fn master_port(adapter: &mut Adapter<'_>, command: &mut Command) {
    let Some(master) = take_text(command, "master-port") else { return };
    if matches!(master.as_str(), "" | "none") {
        return;
    }
    let own = match (value(command, "name"), command.items.as_slice(), command.found.as_deref()) {
        (Some(name), _, _) => Some(name.to_owned()),
        (None, [(name, _)], _) => Some(name.clone()),
        (None, _, Some([id])) => adapter.tree.get(command.menu, *id).and_then(|item| item.text("name")),
        _ => None,
    };
    let Some(own) = own else { return };
    let bridge = format!("bridge-{master}");
    adapter.note(format!("master-port is taken as a port of the bridge {bridge}"));
    if !adapter.knows("interface/bridge", &bridge) {
        adapter.add_after(command, "interface/bridge", &[("name", &bridge)]);
        adapter.add_after(command, "interface/bridge/port", &[("bridge", &bridge), ("interface", &master)]);
    }
    adapter.add_after(command, "interface/bridge/port", &[("bridge", &bridge), ("interface", &own)]);
}
