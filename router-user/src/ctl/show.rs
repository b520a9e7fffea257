//! Answers for a reader, or as JSON.

use std::io::{IsTerminal, Write};

use comfy_table::{Table, presets};
use management::protocol::{Answer, Applied, Failure};
use management::status::Status;
use management::store::Meta;
use serde::Serialize;

pub fn answer(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if json {
        return match answer {
            Answer::Nothing => self::json(&serde_json::json!({})),
            Answer::Status(status) => self::json(status),
            Answer::Applied(applied) => self::json(applied),
            Answer::Text(text) => self::json(&serde_json::json!({ "text": text })),
            Answer::Printed(printed) => self::json(&printed.rows),
            Answer::Steps(steps) => self::json(&serde_json::json!({ "steps": steps })),
            Answer::History(history) => self::json(history),
        };
    }
    let text = match answer {
        Answer::Nothing => String::new(),
        Answer::Status(status) => self::status(status),
        Answer::Applied(applied) => self::applied(applied),
        Answer::Text(text) => text.clone(),
        Answer::Printed(printed) if wants_colour() => config::colour(&printed.text),
        Answer::Printed(printed) => printed.text.clone(),
        Answer::Steps(steps) if steps.is_empty() => "nothing would change\n".into(),
        Answer::Steps(steps) => steps.iter().map(|step| format!("{step}\n")).collect(),
        Answer::History(history) => self::history(history),
    };
    print(&text)
}

/// Columns of the terminal that is printed on; None where it is no terminal.
pub fn width() -> Option<usize> {
    let out = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&out).ok().filter(|_| out.is_terminal())?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The lines of a listing that were not in the one before.
pub fn new_lines(before: &str, now: &str) -> String {
    let old: std::collections::HashSet<&str> = before.lines().collect();
    now.split_inclusive('\n').filter(|line| !old.contains(line.trim_end_matches('\n'))).collect()
}

/// Colours are for terminals whose owner wants them (no-color.org).
fn wants_colour() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Begins a terminal's screen anew, for what is shown again and again.
pub fn home() -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        out.write_all(b"\x1b[H\x1b[J")?;
    }
    Ok(())
}

/// Ends with exactly one line break, unless empty.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.is_empty() && !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(out.flush()?)
}

pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&serde_json::to_string_pretty(value)?)
}

pub fn json_to_stderr(failure: &Failure) {
    eprintln!("{}", serde_json::to_string_pretty(failure).unwrap_or_default());
}

/// Columns without lines, the first row as head.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(head.iter().map(|title| title.to_uppercase()));
    table.add_rows(rows);
    let text = table.to_string();
    text.lines()
        .map(|line| format!("{}\n", line.trim_end().strip_prefix(' ').unwrap_or(line.trim_end())))
        .collect()
}

fn applied(applied: &Applied) -> String {
    let mut text: String = applied.steps.iter().map(|step| format!("{step}\n")).collect();
    for warning in &applied.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    let image = if applied.new_image { ", new image" } else { "" };
    text.push_str(&format!(
        "version {}: {} steps{image}, {} lines kept without effect\n",
        applied.version,
        applied.steps.len(),
        applied.kept
    ));
    if let Some(seconds) = applied.confirm_seconds {
        text.push_str(&format!("returns to the configuration before in {seconds} s: routerctl confirm\n"));
    }
    text
}

fn history(history: &[Meta]) -> String {
    let rows = history.iter().map(|meta| {
        let mut origin = meta.origin.clone();
        if let Some(comment) = &meta.comment {
            origin.push_str(&format!(" ({comment})"));
        }
        if meta.pending.is_some() {
            origin.push_str(" [not confirmed]");
        }
        vec![meta.version.to_string(), meta.time.clone(), origin]
    });
    table(&["version", "time", "origin"], rows)
}

fn status(status: &Status) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| out.push_str(&format!("{name:>14}: {value}\n"));
    line("instance", &status.instance);
    line("identity", &status.identity);
    line("routerd", &format!("{} (process {}, up {} s)", status.version, status.pid, status.uptime_seconds));
    line("kernel", &status.kernel);
    let origin = format!("version {}, {} ({})", status.configuration, status.origin, status.loaded);
    line("configuration", &origin);
    if let Some(seconds) = status.confirm_seconds {
        line("trial", &format!("returns to the version before in {seconds} s: routerctl confirm"));
    }
    line("data plane", &format!("generation {}, at start {}", status.generation, status.data_plane));
    let cache = if status.route_cache.on { "on" } else { "off" };
    line("route cache", &format!("{cache}: {}", status.route_cache.reason));
    let features: Vec<String> = status
        .features
        .iter()
        .map(|feature| format!("{}{}", if feature.present { "" } else { "no " }, feature.name))
        .collect();
    line("features", &features.join(", "));
    line("kept", &format!("{} lines without effect (routerctl status --json lists them)", status.kept.len()));
    if let Some(fault) = &status.fault {
        line("fault", fault);
    }
    if !status.ports.is_empty() {
        let rows = status.ports.iter().map(|port| {
            vec![port.name.clone(), port.host_name.clone(), port.mode.clone(), port.reason.clone()]
        });
        out.push_str(&format!("\n{}", table(&["port", "link", "mode", "reason"], rows)));
    }
    if !status.inactive.is_empty() {
        let rows = status.inactive.iter().map(|i| vec![i.menu.clone(), i.item.clone(), i.reason.clone()]);
        out.push_str(&format!("\n{}", table(&["inactive", "item", "reason"], rows)));
    }
    if !status.gaps.is_empty() {
        out.push_str("\nfirewall lines NOT in force (lines of routerctl export):\n");
        let rows =
            status.gaps.iter().map(|gap| vec![gap.menu.clone(), gap.line.to_string(), gap.reason.clone()]);
        out.push_str(&table(&["menu", "line", "reason"], rows));
    }
    if !status.foreign.is_empty() {
        out.push_str("\nrules and programs of others:\n");
        status.foreign.iter().for_each(|foreign| out.push_str(&format!("  {foreign}\n")));
    }
    out
}
