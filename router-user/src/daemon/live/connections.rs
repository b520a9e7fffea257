//! Tracked connections as RouterOS lists them.

use config::{Act, Row, Value};
use dataplane::{Connection, ConnectionId, Dataplane, Fill, Way};
use plan::firewall::protocol_name;
use router_common::maps::flow::{Tracking, status, tracking};

/// Bits of a row's id that the place in the table takes; above them stand the lowest bits of its version, so that the
/// id of a connection that is gone does not soon mean another one.
const PLACE_BITS: u32 = 24;
const VERSIONS: u32 = Row::IDS >> PLACE_BITS;

pub fn row(connection: &Connection) -> Row {
    let Connection { id, original, reply, .. } = connection;
    let mut values = vec![("protocol", protocol_name(connection.protocol))];
    let ported = connection.icmp_type.is_none() && (original.src_port, original.dst_port) != (0, 0);
    let mut way = |names: [&'static str; 4], way: &Way| {
        let [src, src_port, dst, dst_port] = names;
        values.push((src, way.src.to_string()));
        values.extend(ported.then(|| (src_port, way.src_port.to_string())));
        values.push((dst, way.dst.to_string()));
        values.extend(ported.then(|| (dst_port, way.dst_port.to_string())));
    };
    way(["src-address", "src-port", "dst-address", "dst-port"], original);
    if let Some(reply) = reply {
        way(["reply-src-address", "reply-src-port", "reply-dst-address", "reply-dst-port"], reply);
    }
    if let Some(kind) = connection.icmp_type {
        values.push(("icmp-type", kind.to_string()));
        values.push(("icmp-code", "0".to_owned()));
        values.push(("icmp-id", original.src_port.to_string()));
    }
    values.extend(connection.tcp_state().map(|state| ("tcp-state", state.to_owned())));
    values.push(("timeout", Value::Time(u64::from(connection.timeout_s) * 1000).to_string()));
    values.extend(connection.mark.iter().map(|mark| ("connection-mark", mark.clone())));
    values.push(("orig-packets", original.count.packets.to_string()));
    values.push(("orig-bytes", original.count.bytes.to_string()));
    let reply = reply.as_ref().map(|reply| reply.count).unwrap_or_default();
    values.push(("repl-packets", reply.packets.to_string()));
    values.push(("repl-bytes", reply.bytes.to_string()));
    let values = values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    Row { id: Some(number(*id)), flags: flags(connection), values }
}

/// What a connection is named by in a listing.
fn number(id: ConnectionId) -> u32 {
    (u32::from(id.version) % VERSIONS) << PLACE_BITS | id.index
}

/// RouterOS's letters. What is in the table is confirmed: its first packet has passed.
fn flags(connection: &Connection) -> String {
    let letters = [
        (status::EXPECTED, 'E'),
        (status::SEEN_REPLY, 'S'),
        (status::ASSURED, 'A'),
        (status::LIVE, 'C'),
        (status::FASTTRACK, 'F'),
        (status::SRCNAT, 's'),
        (status::DSTNAT, 'd'),
    ];
    let has = |bit| bit == status::LIVE || connection.has(bit);
    letters.into_iter().filter(|(bit, _)| has(*bit)).map(|(_, letter)| letter).collect()
}

/// Ends the connections of these rows. Those that have ended by themselves are as wanted.
pub fn remove(plane: &mut Dataplane, act: &Act) {
    let is_v6 = act.menu.starts_with("ipv6");
    let wanted: std::collections::HashSet<u32> = act.rows.iter().filter_map(|row| row.id).collect();
    for connection in plane.inspect().connections(is_v6) {
        if wanted.contains(&number(connection.id)) {
            plane.end_connection(connection.id);
        }
    }
}

/// What `tracking print` shows beside the timers.
pub fn summary(settings: &Tracking, fill: Fill) -> Vec<(&'static str, String)> {
    let active = if settings.flags & tracking::ENABLED != 0 { "yes" } else { "no" }.to_owned();
    vec![
        ("active-ipv4", active.clone()),
        ("active-ipv6", active),
        ("max-entries", (fill.most_v4 + fill.most_v6).to_string()),
        ("total-entries", (fill.v4 + fill.v6).to_string()),
        ("total-ip4-entries", fill.v4.to_string()),
        ("total-ip6-entries", fill.v6.to_string()),
    ]
}
