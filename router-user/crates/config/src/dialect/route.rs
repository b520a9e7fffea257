//! Routes, routing rules and VRFs of RouterOS 6.

use super::{Adapter, put, rename, take, take_text, turn, value};
use crate::exec::Command;

pub(super) fn adapt(adapter: &mut Adapter<'_>, command: &mut Command) {
    let adds = matches!(command.verb.as_str(), "add" | "set");
    match command.menu.path.as_str() {
        "ip/route" | "ipv6/route" if adds => route(adapter, command),
        "ip/route/rule" | "routing/route/rule" => rule(adapter, command),
        "ip/route/vrf" => vrf(adapter, command),
        _ => {}
    }
}

/// A routing mark is a table, which has to be there; `type=blackhole` is the switch `blackhole`.
fn route(adapter: &mut Adapter<'_>, command: &mut Command) {
    if rename(command, &[("routing-mark", "routing-table")]) {
        adapter.note("routing-mark is taken as routing-table");
        if let Some(table) = value(command, "routing-table").map(str::to_owned) {
            need_table(adapter, command, &table);
        }
    }
    if value(command, "type") == Some("blackhole") {
        take(command, "type");
        put(command, "blackhole", "yes");
        adapter.note("type=blackhole is taken as blackhole");
    }
}

/// Tables came into being by routes that were marked.
fn need_table(adapter: &mut Adapter<'_>, command: &Command, table: &str) {
    let known = ["routing/table", "ip/vrf"].iter().any(|path| adapter.knows(path, table));
    if table.is_empty() || table == "main" || known {
        return;
    }
    adapter.note(format!("the table {table} is made in /routing table"));
    adapter.add_before(command, "routing/table", &[("name", table), ("fib", "yes")]);
}

fn rule(adapter: &mut Adapter<'_>, command: &mut Command) {
    turn(command, "routing/rule");
    adapter.note("taken as /routing rule");
    for name in ["table", "routing-mark"] {
        if let Some(table) = value(command, name).map(str::to_owned) {
            need_table(adapter, command, &table);
        }
    }
}

/// A VRF of RouterOS 6 is its table; what BGP says of it is an item of `/routing bgp vpn`.
fn vrf(adapter: &mut Adapter<'_>, command: &mut Command) {
    turn(command, "ip/vrf");
    rename(command, &[("routing-mark", "name")]);
    adapter.note("taken as /ip vrf");
    let distinguisher = take_text(command, "route-distinguisher");
    let import = take_text(command, "import-route-targets").unwrap_or_default();
    let export = take_text(command, "export-route-targets").unwrap_or_default();
    let (Some(distinguisher), Some(name), "add") =
        (distinguisher, value(command, "name").map(str::to_owned), command.verb.as_str())
    else {
        return;
    };
    adapter.note("route distinguisher and targets are taken as /routing bgp vpn");
    super::bgp::need_instance(adapter, command, super::DEFAULT);
    let values = [
        ("name", name.as_str()),
        ("instance", super::DEFAULT),
        ("vrf", &name),
        ("route-distinguisher", &distinguisher),
        ("label-allocation-policy", "per-vrf"),
        ("import.route-targets", &import),
        ("export.route-targets", &export),
    ];
    let given: Vec<_> = values.into_iter().filter(|(_, text)| !text.is_empty()).collect();
    adapter.add_after(command, "routing/bgp/vpn", &given);
}
