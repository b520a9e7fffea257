//! Items property by property: settings, `detail`, `terse`, `value-list`, `as-value`.

use super::flags::{self, Columns};
use super::{Line, Options};
use crate::export::{quote, quoted};
use crate::schema::{Kind, Menu, Property};
use crate::types::Type;

/// `name: value` lines with the colons below each other.
pub(super) fn settings(menu: &Menu, properties: &[&Property], line: &Line<'_>) -> String {
    let mut values: Vec<(&str, String)> = properties
        .iter()
        .filter_map(|property| match line.listed(&property.name) {
            None if property.read_only || property.versions.until.is_some() => None,
            shown => Some((property.name.as_str(), shown.unwrap_or_default())),
        })
        .collect();
    let known = |name: &str| menu.property(name).or_else(|| menu.status(name)).is_some();
    values.extend(
        line.state.iter().filter(|(name, _)| !known(name)).map(|(n, text)| (n.as_str(), text.clone())),
    );
    let width = values.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    let indent = " ".repeat(width + 2);
    values
        .iter()
        .map(|(name, value)| {
            let value = value.replace("\r\n", "\n").replace('\n', &format!("\n{indent}"));
            format!("{name:>width$}: {value}").trim_end().to_owned() + "\n"
        })
        .collect()
}

/// Bytes of the longest number; 0 where nothing has one.
pub(super) fn number_width(lines: &[Line<'_>]) -> usize {
    lines.iter().map(|line| line.number().len()).max().unwrap_or(0)
}

/// The number and a blank behind it, where any line has one.
fn numbered(line: &Line<'_>, width: usize) -> String {
    if width == 0 { String::new() } else { format!("{:>width$} ", line.number()) }
}

/// Lines of the log: time, topics, and what happened.
pub(super) fn log(lines: &[Line<'_>]) -> String {
    let line = |line: &Line<'_>| {
        let words = ["time", "topics", "message"].map(|name| line.shown(name).unwrap_or_default());
        format!(" {}\n", words.join(" "))
    };
    lines.iter().map(line).collect()
}

/// The properties of a line as names and texts.
fn pairs<'a>(
    properties: &'a [&Property],
    line: &'a Line<'_>,
) -> impl Iterator<Item = (&'a Property, String)> {
    properties.iter().filter(|p| p.name != "disabled").filter_map(|p| {
        let text = line.listed(&p.name)?;
        // A word that is there or not says nothing by `no`.
        (p.ty != Type::Switch || text != "no").then_some((*p, text))
    })
}

/// Strings are quoted in detail, but not the names that come into being by being used: chains, lists, marks.
fn is_free_text(property: &Property) -> bool {
    let by_use = ["list", "-mark", "chain", "jump-target", "ipsec-policy"]
        .iter()
        .any(|end| property.name.ends_with(end));
    matches!(property.ty, Type::String | Type::Script) && !by_use
}

/// Every item with all it has, wrapped at the width of a terminal.
pub(super) fn detail(
    menu: &Menu,
    properties: &[&Property],
    options: &Options,
    lines: &[Line<'_>],
    width: usize,
) -> String {
    let flags = Columns::whole(menu, lines);
    let mut text = if lines.is_empty() { String::new() } else { flags::whole_legend(menu, lines) };
    let number_width = number_width(lines).max(2);
    let flag_width = flags.width(lines);
    for line in lines {
        let mut row = numbered(line, number_width);
        if flag_width > 0 {
            row.push_str(&format!("{:<flag_width$} ", flags.cell(&line.flags)));
        }
        let indent = row.len();
        if let Some(comment) = line.item.comment() {
            text.push_str(&format!("{row};;; {comment}\n"));
            row = " ".repeat(indent);
        }
        if options.show_ids {
            row.push_str(&format!(".id={} ", line.item.id()));
        }
        for (property, value) in pairs(properties, line).filter(|(p, _)| p.name != "comment") {
            let value = match &property.ty {
                Type::Date => value,
                _ if is_free_text(property) => quoted(&value),
                _ => quote(&value),
            };
            let pair = format!("{}={value}", property.name);
            if row.len() + pair.len() > width && row.len() > indent {
                text.push_str(row.trim_end());
                text.push('\n');
                row = " ".repeat(indent);
            }
            row.push_str(&pair);
            row.push(' ');
        }
        text.push_str(row.trim_end());
        text.push_str("\n\n");
    }
    text
}

/// One line per item. RouterOS quotes nothing here.
pub(super) fn terse(menu: &Menu, properties: &[&Property], options: &Options, lines: &[Line<'_>]) -> String {
    let flags = Columns::terse(menu, lines);
    let flag_width = flags.width(lines);
    let number_width = number_width(lines);
    let mut text = String::new();
    for line in lines {
        text.push_str(&numbered(line, number_width));
        if flag_width > 0 {
            text.push_str(&format!("{:<flag_width$} ", flags.cell(&line.flags)));
        }
        if options.show_ids {
            text.push_str(&format!(".id={} ", line.item.id()));
        }
        let one_line = |value: String| value.replace(['\r', '\n'], " ");
        let (first, rest): (Vec<_>, Vec<_>) =
            pairs(properties, line).partition(|(property, _)| property.name == "comment");
        let all: Vec<String> = first
            .into_iter()
            .filter(|(_, comment)| !comment.is_empty())
            .chain(rest)
            .map(|(property, value)| format!("{}={}", property.name, one_line(value)))
            .collect();
        text.push_str(all.join(" ").trim_end());
        text.push('\n');
    }
    text
}

/// One line per property, with the values of all items.
pub(super) fn value_list(properties: &[&Property], lines: &[Line<'_>]) -> String {
    let shown: Vec<(&Property, Vec<String>)> = properties
        .iter()
        .map(|p| (*p, lines.iter().map(|line| line.listed(&p.name).unwrap_or_default()).collect::<Vec<_>>()))
        .filter(|(_, values)| values.iter().any(|value| !value.is_empty()))
        .collect();
    let names = shown.iter().map(|(p, _)| p.name.len()).max().unwrap_or(0) + 2;
    let widths: Vec<usize> = (0..lines.len())
        .map(|n| {
            shown.iter().filter_map(|(_, values)| values.get(n)).map(|v| v.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let row = |(property, values): &(&Property, Vec<String>)| {
        let cells: Vec<String> =
            values.iter().zip(&widths).map(|(value, width)| format!("{value:<width$}")).collect();
        format!("{:>names$}: {}", property.name, cells.join(" ")).trim_end().to_owned() + "\n"
    };
    shown.iter().map(row).collect()
}

/// `.id=*1;name=x;...`, item after item.
pub(super) fn as_value(menu: &Menu, properties: &[&Property], lines: &[Line<'_>]) -> String {
    let item = |line: &Line<'_>| {
        let id = (menu.kind != Kind::Settings).then(|| format!(".id={}", line.item.id()));
        let mut all = Vec::from_iter(id);
        all.extend(pairs(properties, line).map(|(property, value)| format!("{}={value}", property.name)));
        all.join(";")
    };
    let text = lines.iter().map(item).collect::<Vec<_>>().join(";");
    if text.is_empty() { text } else { text + "\n" }
}
