//! Items as a table: `print brief`.

use super::flags::Columns;
use super::units::is_counter;
use super::{Line, MAX_COLUMNS, Options};
use crate::schema::{Menu, Property};
use crate::types::Type;

struct Column {
    name: String,
    head: String,
    right: bool,
    cells: Vec<String>,
    /// Of the widest cell.
    width: usize,
}

impl Column {
    fn measure(mut self) -> Column {
        self.width =
            self.cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max(self.head.len());
        self
    }

    fn padded(&self, text: &str) -> String {
        let width = self.width;
        if self.right { format!("{text:>width$}") } else { format!("{text:<width$}") }
    }
}

/// Nothing at all where there is no item.
pub(super) fn table(menu: &Menu, options: &Options, lines: &[Line<'_>]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let flags = Columns::used(menu, lines);
    let flag_width = flags.width(lines);
    let mut columns: Vec<Column> = names(menu, options, lines)
        .into_iter()
        .map(|name| {
            let ty = menu.property(&name).or_else(|| menu.status(&name)).map(|property| &property.ty);
            Column {
                head: name.to_ascii_uppercase(),
                right: matches!(ty, Some(Type::Number { .. })),
                cells: lines
                    .iter()
                    .map(|line| line.listed(&name).unwrap_or_default().replace('\n', " "))
                    .collect(),
                name,
                width: 0,
            }
            .measure()
        })
        .collect();
    columns.retain(|column| {
        options.properties.contains(&column.name) || column.cells.iter().any(|cell| !cell.is_empty())
    });
    let heads: Vec<&str> = columns.iter().map(|column| column.head.as_str()).collect();
    let mut text = flags.legend();
    text.push_str(&format!("Columns: {}\n", heads.join(", ")));
    let number = |line: &Line<'_>| match options.show_ids {
        true => line.item.id().to_string(),
        false => line.number(),
    };
    let number_width = lines.iter().map(|line| number(line).len()).max().unwrap_or(0);
    let row = |number: &str, letters: &str, cells: Vec<String>| {
        let letters = if flag_width > 0 { format!("{letters:<flag_width$} ") } else { String::new() };
        let number = if number_width > 0 { format!("{number:>number_width$} ") } else { String::new() };
        format!("{number}{letters}{}", cells.join("  ")).trim_end().to_owned() + "\n"
    };
    let sharp = if number_width > 0 { "#" } else { "" };
    text.push_str(&row(sharp, "", columns.iter().map(|column| column.padded(&column.head)).collect()));
    for (n, line) in lines.iter().enumerate() {
        if let Some(comment) = line.item.comment() {
            text.push_str(&format!(";;; {comment}\n"));
        }
        let cell = |column: &Column| column.padded(column.cells.get(n).map_or("", String::as_str));
        text.push_str(&row(&number(line), &flags.cell(&line.flags), columns.iter().map(cell).collect()));
    }
    text
}

/// The properties of the columns: those asked for, those of the menu, or the first that anything is to be told of.
fn names(menu: &Menu, options: &Options, lines: &[Line<'_>]) -> Vec<String> {
    if !options.properties.is_empty() {
        return options.properties.clone();
    }
    if options.stats {
        let counters = |line: &Line<'_>| {
            let names = line.state.iter().map(|(name, _)| name).filter(|name| is_counter(name));
            names.cloned().collect::<Vec<_>>()
        };
        let mut names: Vec<String> = ["name", "chain", "action"]
            .map(str::to_owned)
            .into_iter()
            .filter(|n| menu.property(n).is_some())
            .collect();
        for name in lines.iter().flat_map(counters) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        return names;
    }
    if !menu.columns.is_empty() {
        return menu.columns.clone();
    }
    let telling = |name: &str| lines.iter().any(|line| line.item.value(name).is_some());
    let mut properties: Vec<&Property> = menu
        .properties
        .iter()
        .filter(|p| {
            (options.sensitive || !p.is_secret())
                && p.ty != Type::Script
                && !matches!(p.name.as_str(), "comment" | "disabled")
        })
        .filter(|p| p.name == "name" || p.required || telling(&p.name))
        .collect();
    properties.sort_by_key(|p| (p.name != "name", !p.required));
    properties.into_iter().take(MAX_COLUMNS).map(|p| p.name.clone()).collect()
}
