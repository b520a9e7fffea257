//! `print`: items as RouterOS 7 shows them, as a table, in detail, or one per line.

use crate::ast::{Arg, Expr};
use crate::cond::Cond;
use crate::error::{Error, Errors};
use crate::export::quote;
use crate::query;
use crate::schema::{Kind, Lookup, Menu};
use crate::tree::{Item, Tree};
use crate::value::Value;

/// Columns of a terminal that nobody measured.
const WIDTH: usize = 80;

/// Rows that exist beside the configuration: addresses by DHCP, routes of other origin; and what is known of the
/// configured ones.
pub trait Rows {
    /// The rows of a menu, in order. `menu` without a leading slash.
    fn rows(&self, menu: &str) -> Vec<Row>;

    /// Flag letters of a configured item at the moment (`R` running, `I` inactive, `A` active).
    fn flags(&self, _item: &Item) -> String {
        String::new()
    }
}

/// One such row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Flag letters: `D`, `DAc`.
    pub flags: String,
    /// Property name and text; names that the menu doesn't have are not shown.
    pub values: Vec<(String, String)>,
}

/// No rows beside the configuration.
pub struct NoRows;

impl Rows for NoRows {
    fn rows(&self, _menu: &str) -> Vec<Row> {
        Vec::new()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Table,
    Detail,
    Terse,
    Count,
}

pub(crate) struct Options {
    form: Form,
    condition: Option<Cond>,
    properties: Vec<String>,
    show_ids: bool,
    only: Option<Origin>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Static,
    Dynamic,
}

pub(crate) fn options(menu: &'static Menu, args: &[Arg]) -> Result<Options, Errors> {
    let form = if menu.columns.is_empty() { Form::Detail } else { Form::Table };
    let mut options = Options { form, condition: None, properties: Vec::new(), show_ids: false, only: None };
    for arg in args {
        match (arg.name.as_str(), &arg.value) {
            ("detail", Expr::On) => options.form = Form::Detail,
            ("terse" | "as-value" | "value-list", Expr::On) => options.form = Form::Terse,
            ("brief", Expr::On) if !menu.columns.is_empty() => options.form = Form::Table,
            ("count-only", Expr::On) => options.form = Form::Count,
            ("show-ids", Expr::On) => options.show_ids = true,
            ("static", Expr::On) => options.only = Some(Origin::Static),
            ("dynamic", Expr::On) => options.only = Some(Origin::Dynamic),
            ("all" | "brief" | "without-paging", Expr::On) => {}
            ("where", condition) => {
                let condition = Cond::new(condition, arg.span)?;
                query::check(menu, &condition)?;
                options.condition = Some(condition);
            }
            ("proplist", Expr::Word(text)) => {
                for name in text.split(',') {
                    let Lookup::One(property) = menu.find_property(name) else {
                        return Err(
                            Error::new(arg.value_span, "input does not match any value of proplist").into()
                        );
                    };
                    options.properties.push(property.name.clone());
                }
            }
            _ => return Err(Error::new(arg.span, "expected end of command").into()),
        }
    }
    Ok(options)
}

/// An item with its number and flags.
struct Line<'a> {
    number: usize,
    flags: String,
    item: &'a Item,
}

pub(crate) fn print(
    tree: &Tree,
    menu: &'static Menu,
    options: &Options,
    rows: &dyn Rows,
) -> Result<String, Errors> {
    if menu.kind == Kind::Settings {
        return Ok(tree.all(menu).first().map(settings).unwrap_or_default());
    }
    let dynamic: Vec<(Item, String)> = rows.rows(&menu.path).iter().map(|row| transient(menu, row)).collect();
    let configured = tree.all(menu).iter().map(|item| (item, configured_flags(item, rows), Origin::Static));
    let others = dynamic.iter().map(|(item, flags)| (item, flags.clone(), Origin::Dynamic));
    let mut lines = Vec::new();
    for (number, (item, flags, origin)) in configured.chain(others).enumerate() {
        let wanted = options.only.is_none_or(|only| only == origin)
            && match &options.condition {
                Some(condition) => query::holds(item, menu, condition)?,
                None => true,
            };
        if wanted {
            lines.push(Line { number, flags, item });
        }
    }
    Ok(match options.form {
        Form::Count => format!("{}\n", lines.len()),
        Form::Table => table(menu, options, &lines),
        Form::Detail => detail(menu, options, &lines),
        Form::Terse => terse(menu, options, &lines),
    })
}

fn configured_flags(item: &Item, rows: &dyn Rows) -> String {
    let disabled = if item.is_disabled() { "X" } else { "" };
    format!("{disabled}{}", rows.flags(item))
}

fn transient(menu: &'static Menu, row: &Row) -> (Item, String) {
    (Item::transient(menu, &row.values), row.flags.clone())
}

/// What an item shows for a property; the network of an address follows from the address.
fn shown(item: &Item, property: &str) -> Option<String> {
    item.text(property).or_else(|| match (property, item.effective("address")?) {
        ("network", Value::Prefix(prefix)) => Some(prefix.network().address.to_string()),
        _ => None,
    })
}

/// `name: value` lines with the colons below each other.
fn settings(item: &Item) -> String {
    let menu = item.menu();
    let values: Vec<(&str, String)> = menu
        .properties
        .iter()
        .filter(|p| !p.is_secret())
        .map(|p| (p.name.as_str(), item.text(&p.name).unwrap_or_default()))
        .collect();
    let width = values.iter().map(|(name, _)| name.len()).max().unwrap_or(0) + 2;
    values
        .iter()
        .map(|(name, value)| format!("{name:>width$}: {value}").trim_end().to_owned() + "\n")
        .collect()
}

/// `Flags: X - DISABLED; D - DYNAMIC`, only those in use.
fn legend(lines: &[Line<'_>]) -> String {
    let mut used: Vec<char> = Vec::new();
    for letter in lines.iter().flat_map(|line| line.flags.chars()) {
        if !used.contains(&letter) {
            used.push(letter);
        }
    }
    if used.is_empty() {
        return String::new();
    }
    let names: Vec<String> = used.iter().map(|letter| format!("{letter} - {}", flag_name(*letter))).collect();
    format!("Flags: {}\n", names.join(", "))
}

fn flag_name(letter: char) -> &'static str {
    match letter {
        'X' => "DISABLED",
        'I' => "INACTIVE",
        'D' => "DYNAMIC",
        'R' => "RUNNING",
        'S' => "SLAVE",
        'A' => "ACTIVE",
        'C' => "COMPLETE",
        'P' => "PUBLISHED",
        'c' => "CONNECT",
        's' => "STATIC",
        'd' => "DHCP",
        'b' => "BGP",
        'o' => "OSPF",
        'r' => "RIP",
        'v' => "VPN",
        'y' => "COPY",
        _ => "OTHER",
    }
}

fn table(menu: &Menu, options: &Options, lines: &[Line<'_>]) -> String {
    let wanted = if options.properties.is_empty() { &menu.columns } else { &options.properties };
    let used =
        |name: &&String| lines.iter().any(|line| shown(line.item, name).is_some_and(|v| !v.is_empty()));
    let columns: Vec<&String> = wanted.iter().filter(used).collect();
    let heads: Vec<String> = columns.iter().map(|name| name.to_ascii_uppercase()).collect();
    let mut text = legend(lines);
    text.push_str(&format!("Columns: {}\n", heads.join(", ")));
    let number = |line: &Line<'_>| match options.show_ids {
        true => line.item.id().to_string(),
        false => line.number.to_string(),
    };
    let number_width = lines.iter().map(|line| number(line).len()).max().unwrap_or(1);
    let flag_width = lines.iter().map(|line| line.flags.len()).max().unwrap_or(0);
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|line| columns.iter().map(|c| shown(line.item, c).unwrap_or_default()).collect())
        .collect();
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(n, head)| {
            rows.iter()
                .filter_map(|row| row.get(n))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(head.len())
        })
        .collect();
    let write = |text: &mut String, number: &str, flags: &str, cells: &[String]| {
        let mut row = format!("{number:<number_width$} ");
        if flag_width > 0 {
            row.push_str(&format!("{flags:<flag_width$} "));
        }
        for (cell, width) in cells.iter().zip(&widths) {
            row.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(row.trim_end());
        text.push('\n');
    };
    write(&mut text, "#", "", &heads);
    for (line, row) in lines.iter().zip(&rows) {
        if let Some(comment) = line.item.comment() {
            text.push_str(&format!(";;; {comment}\n"));
        }
        write(&mut text, &number(line), &line.flags, row);
    }
    text
}

/// The properties of a line as `name=value`, without secrets.
fn pairs(menu: &Menu, options: &Options, line: &Line<'_>, comment: bool) -> Vec<String> {
    menu.properties
        .iter()
        .filter(|p| !p.is_secret() && p.name != "disabled" && (comment || p.name != "comment"))
        .filter(|p| options.properties.is_empty() || options.properties.contains(&p.name))
        .filter_map(|p| Some(format!("{}={}", p.name, quote(&shown(line.item, &p.name)?))))
        .collect()
}

fn detail(menu: &Menu, options: &Options, lines: &[Line<'_>]) -> String {
    let mut text = legend(lines);
    let number_width = lines.iter().map(|line| line.number.to_string().len()).max().unwrap_or(1) + 1;
    let flag_width = lines.iter().map(|line| line.flags.len()).max().unwrap_or(0);
    let indent = number_width + 1 + if flag_width > 0 { flag_width + 1 } else { 0 };
    for line in lines {
        let mut row = format!("{:>number_width$} ", line.number);
        if flag_width > 0 {
            row.push_str(&format!("{:<flag_width$} ", line.flags));
        }
        if let Some(comment) = line.item.comment() {
            row.push_str(&format!(";;; {comment}"));
            text.push_str(row.trim_end());
            text.push('\n');
            row = " ".repeat(indent);
        }
        if options.show_ids {
            row.push_str(&format!(".id={} ", line.item.id()));
        }
        for pair in pairs(menu, options, line, false) {
            if row.len() + pair.len() > WIDTH && row.len() > indent {
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

fn terse(menu: &Menu, options: &Options, lines: &[Line<'_>]) -> String {
    let flag_width = lines.iter().map(|line| line.flags.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let id = if options.show_ids { format!(".id={} ", line.item.id()) } else { String::new() };
        let all = pairs(menu, options, line, true).join(" ");
        text.push_str(&format!("{:>2} {:<flag_width$} {id}{all}\n", line.number, line.flags));
    }
    text
}
