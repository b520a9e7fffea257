//! Verbs that read the pinned data plane: they work beside the daemon and without it.

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail};
use dataplane::{Count, Inspector, PortCount};
use nix::unistd::Uid;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::routerctl::{Common, Map, MapKind};
use crate::ctl::rules::{self, Known};
use crate::ctl::{show, target};

pub fn open(common: &Common) -> anyhow::Result<Inspector> {
    let (instance, paths) = target(common)?;
    if !Uid::effective().is_root() {
        bail!("only root may read the data plane's maps");
    }
    Inspector::open(&paths.pins).with_context(|| format!("data plane of instance {instance}"))
}

/// Rows of a table: JSON objects with the same keys in the same order.
fn rows(values: impl IntoIterator<Item = impl Serialize>) -> anyhow::Result<Vec<Value>> {
    values.into_iter().map(|value| Ok(serde_json::to_value(value)?)).collect()
}

/// `{"xdp": {"packets": 1}}` becomes `{"xdp-packets": 1}`, at any depth.
fn flatten(value: &Value) -> Value {
    let mut flat = serde_json::Map::new();
    flatten_into("", value, &mut flat);
    Value::Object(flat)
}

fn flatten_into(name: &str, value: &Value, flat: &mut serde_json::Map<String, Value>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let key = if name.is_empty() { key.clone() } else { format!("{name}-{key}") };
                flatten_into(&key, value, flat);
            }
        }
        value => drop(flat.insert(name.to_owned(), value.clone())),
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(cell).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

pub fn map(common: &Common, map: &Map) -> anyhow::Result<()> {
    let plane = open(common)?;
    let known = || anyhow::Ok(Known::ask(&target(common)?.1.socket()));
    let mut rows = match map.what {
        MapKind::Ports => rows(plane.ports()?)?,
        MapKind::Images => rows(plane.images())?,
        MapKind::Counters => {
            rows(plane.ports()?.into_iter().map(|port| (port.host_name, port.counters)).map(counters))?
        }
        MapKind::Reasons => rows(plane.reasons()?)?,
        MapKind::Routes => rows(plane.routes())?,
        MapKind::Locals => rows(plane.locals()?)?,
        MapKind::Objects => rows(plane.objects()?)?,
        MapKind::Rules => rules::rules(&plane, &known()?)?,
        MapKind::Rows => rows(plane.rows())?,
        MapKind::Nat => rules::connections(&plane, true)?,
        MapKind::Lists => rules::lists(&plane, &known()?)?,
        MapKind::Connections => rules::connections(&plane, false)?,
        MapKind::Paths => rules::paths(&plane, &known()?)?,
    };
    rows.retain(|row| map.filter.iter().all(|text| row_text(row).contains(text.as_str())));
    let control = (map.what == MapKind::Images).then(|| plane.control());
    if common.json {
        return match control {
            Some(control) => show::json(&json!({ "images": rows, "control": control })),
            None => show::json(&rows),
        };
    }
    if map.what == MapKind::Ports {
        // `map counters` shows them.
        rows.iter_mut().filter_map(Value::as_object_mut).for_each(|row| drop(row.shift_remove("counters")));
    }
    let mut text = tables(&rows);
    if let Some(control) = control {
        text.push_str(&format!("\n{}", tables(&[json!(control)])));
    }
    show::print(&text)
}

/// Packets that were dropped so far, by reason.
pub fn drops(common: &Common) -> anyhow::Result<()> {
    let reasons = open(common)?.reasons()?.into_iter();
    let rows = rows(reasons.filter(|reason| reason.class == "drop" && reason.packets > 0))?;
    if common.json { show::json(&rows) } else { show::print(&tables(&rows)) }
}

/// Rows are filtered by `name=value` or any other part of this text.
fn row_text(row: &Value) -> String {
    let Value::Object(fields) = flatten(row) else { return String::new() };
    fields.iter().map(|(name, value)| format!("{name}={} ", cell(value))).collect()
}

fn counters((port, counters): (String, PortCount)) -> Value {
    json!({ "port": port, "counters": counters })
}

/// Rows with the same columns share a table.
fn tables(rows: &[Value]) -> String {
    let rows: Vec<Value> = rows.iter().map(flatten).collect();
    let mut out = String::new();
    let mut rest = rows.as_slice();
    while let Some(first) = rest.first() {
        let head = columns(first);
        let same = rest.iter().take_while(|row| columns(row) == head).count();
        let (these, others) = rest.split_at(same);
        let cells = these.iter().map(|row| head.iter().map(|name| cell(&row[name.as_str()])).collect());
        let names: Vec<&str> =
            head.iter().map(|name| name.strip_prefix("counters-").unwrap_or(name)).collect();
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&show::table(&names, cells));
        rest = others;
    }
    out
}

fn columns(row: &Value) -> Vec<String> {
    row.as_object().map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

/// Totals of one moment by name.
#[derive(Clone, Default)]
struct Totals {
    ports: BTreeMap<String, PortCount>,
    reasons: BTreeMap<String, (String, Count)>,
}

fn totals(plane: &Inspector) -> anyhow::Result<Totals> {
    let ports = plane.ports()?.into_iter().map(|port| (port.host_name, port.counters)).collect();
    let reasons = plane
        .reasons()?
        .into_iter()
        .map(|r| (r.reason, (r.class, Count { packets: r.packets, bytes: r.bytes })))
        .collect();
    Ok(Totals { ports, reasons })
}

/// Packets per port and reason: totals, or rates round after round.
pub fn stats(common: &Common, watch: bool, interval: f64) -> anyhow::Result<()> {
    let plane = open(common)?;
    let mut before = totals(&plane)?;
    if !watch {
        return show_stats(common, &Totals::default(), &before, 1.0);
    }
    let interval = Duration::from_secs_f64(interval.clamp(0.1, 3600.0));
    loop {
        let begun = std::time::Instant::now();
        sleep(interval);
        let now = totals(&plane)?;
        if !common.json && std::io::IsTerminal::is_terminal(&std::io::stdout()) {
            // Home and clear below: the table is redrawn in place.
            show::print("\x1b[H\x1b[J")?;
        }
        show_stats(common, &before, &now, begun.elapsed().as_secs_f64())?;
        before = now;
    }
}

fn show_stats(common: &Common, before: &Totals, now: &Totals, seconds: f64) -> anyhow::Result<()> {
    let per_second = |new: u64, old: u64| (new.saturating_sub(old) as f64 / seconds).round() as u64;
    let rate = |new: Count, old: Count| Count {
        packets: per_second(new.packets, old.packets),
        bytes: per_second(new.bytes, old.bytes),
    };
    let mut ports = Vec::new();
    for (name, new) in &now.ports {
        let old = before.ports.get(name).copied().unwrap_or_default();
        let rates = PortCount {
            xdp: rate(new.xdp, old.xdp),
            tc: rate(new.tc, old.tc),
            host: rate(new.host, old.host),
            drop: rate(new.drop, old.drop),
            sent: rate(new.sent, old.sent),
        };
        ports.push((name.clone(), rates));
    }
    let mut reasons = Vec::new();
    for (name, (class, new)) in &now.reasons {
        let old = before.reasons.get(name).map(|(_, count)| *count).unwrap_or_default();
        let count = rate(*new, old);
        if count.packets > 0 {
            reasons.push(json!({
                "reason": name, "class": class, "packets": count.packets, "bytes": count.bytes,
            }));
        }
    }
    if common.json {
        let ports: Vec<Value> =
            ports.into_iter().map(|(port, c)| json!({ "port": port, "counters": c })).collect();
        return show::json(&json!({ "ports": ports, "reasons": reasons }));
    }
    let port_rows: Vec<Value> = ports.into_iter().map(counters).collect();
    show::print(&format!("{}\n{}", tables(&port_rows), tables(&reasons)))
}
