//! The firewall's maps with names in place of numbers: those of rules and lists are the daemon's, and without it numbers
//! are shown.

use std::collections::HashMap;
use std::path::Path;

use dataplane::{Inspector, RuleEntry, Way};
use management::client;
use management::protocol::{Answer, Printed, Request};
use plan::firewall::rule::name_number;
use plan::firewall::{MENUS, protocol_name};
use router_common::maps::flow::status;
use serde_json::{Value, json};

/// What the configuration calls rules and lists.
#[derive(Default)]
pub struct Known {
    /// Chain and comment, by menu and id.
    rules: HashMap<(String, u32), (String, String)>,
    /// By `plan::firewall::rule::name_number`.
    lists: HashMap<u32, String>,
}

impl Known {
    /// Asks the daemon; nothing is known where it does not run.
    pub fn ask(socket: &Path) -> Known {
        let mut known = Known::default();
        let lists = ["ip/firewall/address-list", "ipv6/firewall/address-list"];
        for menu in MENUS.into_iter().chain(lists) {
            let line = format!("/{} print detail", menu.replace('/', " "));
            let request = Request::Command { line, width: None, session: None };
            let Ok(Answer::Printed(Printed { rows, .. })) = client::call(socket, &request, |_| true) else {
                return known;
            };
            for row in rows.as_array().into_iter().flatten() {
                known.learn(menu, row);
            }
        }
        known
    }

    fn learn(&mut self, menu: &str, row: &Value) {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        for property in ["list", "address-list", "src-address-list", "dst-address-list"] {
            let name = text(property);
            let name = name.trim_start_matches('!');
            if !name.is_empty() && !name.starts_with('#') {
                self.lists.insert(name_number(name), name.to_owned());
            }
        }
        if let Ok(id) = u32::from_str_radix(text(".id").trim_start_matches('*'), 16) {
            self.rules.insert((menu.to_owned(), id), (text("chain"), text("comment")));
        }
    }

    /// Chain and comment of a rule.
    pub fn rule(&self, rule: &RuleEntry) -> (String, String) {
        let known = self.rules.get(&(rule.menu.clone(), rule.id)).cloned();
        known.unwrap_or_else(|| (rule.chain.clone(), String::new()))
    }

    /// The chain of a rule; empty where nothing is known of it.
    pub fn chain(&self, menu: &str, id: u32) -> String {
        self.rules.get(&(menu.to_owned(), id)).map(|(chain, _)| chain.clone()).unwrap_or_default()
    }

    pub fn list(&self, number: u32) -> String {
        self.lists.get(&number).cloned().unwrap_or_else(|| format!("#{number:x}"))
    }
}

/// `/ip/firewall/filter *1A`
pub fn name(rule: &RuleEntry) -> String {
    format!("/{} *{:X}", rule.menu, rule.id)
}

pub fn rules(plane: &Inspector, known: &Known) -> anyhow::Result<Vec<Value>> {
    let row = |rule: RuleEntry| {
        let (chain, comment) = known.rule(&rule);
        let target = match rule.target.strip_prefix("list #").map(|hex| u32::from_str_radix(hex, 16)) {
            Some(Ok(number)) => format!("list {}", known.list(number)),
            _ => rule.target.clone(),
        };
        json!({
            "rule": name(&rule), "index": rule.index, "slot": rule.slot, "chain": chain, "action": rule.action,
            "target": target, "log": rule.log, "packets": rule.count.packets, "bytes": rule.count.bytes,
            "comment": comment,
        })
    };
    Ok(plane.rules()?.into_iter().map(row).collect())
}

/// The rules that each path counts for; a rule that is gone is shown by its slot.
pub fn paths(plane: &Inspector, known: &Known) -> anyhow::Result<Vec<Value>> {
    let rules: HashMap<u32, RuleEntry> = plane.rules()?.into_iter().map(|rule| (rule.slot, rule)).collect();
    let named = |slot: &u32| match rules.get(slot) {
        Some(rule) => format!("{} {}", known.rule(rule).0, name(rule)),
        None => format!("slot {slot}"),
    };
    let rows = plane.paths()?.into_iter().map(|path| {
        json!({
            "path": path.path, "active": path.active, "packets": path.count.packets, "bytes": path.count.bytes,
            "rules": path.slots.iter().map(named).collect::<Vec<_>>(),
        })
    });
    Ok(rows.collect())
}

pub fn lists(plane: &Inspector, known: &Known) -> anyhow::Result<Vec<Value>> {
    let mut members = plane.members()?;
    members.sort_by_key(|member| (known.list(member.list), member.address));
    let row = |member: dataplane::Member| json!({ "list": known.list(member.list), "address": member.address, "left-s": member.left_s });
    Ok(members.into_iter().map(row).collect())
}

/// `only_nat`: those that are translated.
pub fn connections(plane: &Inspector, only_nat: bool) -> anyhow::Result<Vec<Value>> {
    let ports: HashMap<u32, String> =
        plane.ports()?.into_iter().map(|port| (port.tx_index, port.host_name)).collect();
    let port = |index: Option<u16>| index.map(|index| ports.get(&index.into()).cloned().unwrap_or_default());
    let end = |address: std::net::IpAddr, port: u16| match port {
        0 => address.to_string(),
        port => std::net::SocketAddr::new(address, port).to_string(),
    };
    let way = |way: &Way| {
        json!({
            "packets": way.count.packets, "bytes": way.count.bytes, "decided": way.decided, "path": way.path,
            "in": port(way.ingress), "out": port(way.egress),
        })
    };
    let mut rows = Vec::new();
    for connection in plane.connections(false).into_iter().chain(plane.connections(true)) {
        if only_nat && !connection.has(status::SRCNAT | status::DSTNAT) {
            continue;
        }
        let (original, reply) = (&connection.original, connection.reply.as_ref());
        // ICMP queries have their identifier where others have ports.
        let end = |address, port| end(address, if connection.icmp_type.is_some() { 0 } else { port });
        let flags = [
            (status::SEEN_REPLY, "seen-reply"),
            (status::ASSURED, "assured"),
            (status::SRCNAT, "srcnat"),
            (status::DSTNAT, "dstnat"),
            (status::FASTTRACK, "fasttrack"),
            (status::LOCAL, "local"),
        ];
        let flags = flags.into_iter().filter(|(bit, _)| connection.has(*bit)).map(|(_, name)| name);
        let mut row = json!({
            "protocol": protocol_name(connection.protocol),
            "src": end(original.src, original.src_port),
            "dst": end(original.dst, original.dst_port),
            "reply-src": reply.map(|reply| end(reply.src, reply.src_port)),
            "reply-dst": reply.map(|reply| end(reply.dst, reply.dst_port)),
            "flags": flags.collect::<Vec<_>>(),
            "tcp-state": connection.tcp_state(),
            "icmp-id": connection.icmp_type.map(|_| original.src_port),
            "timeout-s": connection.timeout_s,
        });
        if let (false, Some(fields)) = (only_nat, row.as_object_mut()) {
            fields.insert("mark".to_owned(), json!(connection.mark));
            fields.insert("orig".to_owned(), way(original));
            fields.insert("repl".to_owned(), reply.map(way).unwrap_or_default());
        }
        rows.push(row);
    }
    Ok(rows)
}
