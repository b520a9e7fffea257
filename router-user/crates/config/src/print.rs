//! `print`: items as RouterOS 7 shows them, as a table, in detail, one per line, or as values.

mod colour;
pub(crate) mod flags;
mod record;
mod table;

use serde_json::{Map, Value as Json};

use crate::ast::{Arg, Expr};
use crate::cond::{Cond, constant};
use crate::error::{Error, Errors, Span};
use crate::query;
use crate::schema::{Kind, Lookup, Menu, Property};
use crate::tree::{Item, ItemId, Tree};
use crate::types::Type;
use crate::value::{Value, parse_time};

pub use colour::colour;

/// Columns of a terminal that nobody measured.
const WIDTH: usize = 80;
/// How often `follow` looks.
const FOLLOW_MS: u64 = 1_000;
/// No `interval=` is shorter.
const SHORTEST_MS: u64 = 200;
/// Columns of a table whose menu names none.
const MAX_COLUMNS: usize = 7;

/// Rows that exist beside the configuration: addresses by DHCP, routes of other origin; and what is known of the
/// configured ones.
pub trait Rows {
    /// The rows of a menu, in order. `menu` without a leading slash.
    fn rows(&self, menu: &str) -> Vec<Row>;

    /// Flag letters of a configured item at the moment (`R` running, `I` inactive, `A` active).
    fn flags(&self, _item: &Item) -> String {
        String::new()
    }

    /// What is known of a configured item beyond its configuration: counters, state.
    fn values(&self, _item: &Item) -> Vec<(String, String)> {
        Vec::new()
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
    ValueList,
    AsValue,
    Count,
}

/// What `print` is to show, and how.
pub(crate) struct Options {
    form: Form,
    condition: Option<Cond>,
    properties: Vec<String>,
    show_ids: bool,
    stats: bool,
    only: Option<Origin>,
    /// `from=`: these items only.
    from: Option<Vec<ItemId>>,
    /// `follow`, `interval=`: milliseconds until it is to be shown again.
    again: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Static,
    Dynamic,
}

/// Rules with many matchers are shown in detail, everything else as a table.
fn is_wide(menu: &Menu) -> bool {
    menu.columns.is_empty() && menu.ordered && menu.properties.len() > 20
}

/// Reads the arguments. `from=` may create ports that it names.
pub(crate) fn options(tree: &mut Tree, menu: &'static Menu, args: &[Arg]) -> Result<Options, Errors> {
    let form = if is_wide(menu) { Form::Detail } else { Form::Table };
    let mut options = Options {
        form,
        condition: None,
        properties: Vec::new(),
        show_ids: false,
        stats: false,
        only: None,
        from: None,
        again: None,
    };
    for arg in args {
        match (arg.name.as_str(), &arg.value) {
            ("detail", Expr::On) => options.form = Form::Detail,
            ("terse", Expr::On) => options.form = Form::Terse,
            ("value-list", Expr::On) => options.form = Form::ValueList,
            ("as-value", Expr::On) => options.form = Form::AsValue,
            ("brief", Expr::On) => options.form = Form::Table,
            ("count-only", Expr::On) => options.form = Form::Count,
            ("stats" | "stats-detail" | "bytes" | "packets", Expr::On) => options.stats = true,
            ("show-ids", Expr::On) => options.show_ids = true,
            ("static", Expr::On) => options.only = Some(Origin::Static),
            ("dynamic", Expr::On) => options.only = Some(Origin::Dynamic),
            ("all" | "without-paging" | "once", Expr::On) => {}
            ("follow" | "follow-only", Expr::On) => options.again = options.again.or(Some(FOLLOW_MS)),
            ("where", condition) => {
                let condition = Cond::new(condition, arg.span)?;
                query::check(menu, &condition)?;
                options.condition = Some(condition);
            }
            ("proplist", value) => {
                let text = constant(value).unwrap_or_default();
                options.properties = property_list(menu, &text, arg.value_span)?;
            }
            ("from", value) => {
                let text = constant(value).unwrap_or_default();
                let mut ids = Vec::new();
                for part in text.split(',').filter(|part| !part.is_empty()) {
                    let found = query::item(tree, menu, part);
                    if found.is_empty() {
                        return Err(Error::new(arg.value_span, "no such item").into());
                    }
                    ids.extend(found);
                }
                options.from = Some(ids);
            }
            ("interval", value) => {
                let time = constant(value).and_then(|text| parse_time(&text)).ok_or_else(|| {
                    Error::new(arg.value_span, "invalid value for argument interval: time interval required")
                })?;
                options.again = Some(time.max(SHORTEST_MS));
            }
            _ => return Err(Error::new(arg.span, "expected end of command").into()),
        }
    }
    Ok(options)
}

fn property_list(menu: &'static Menu, text: &str, span: Span) -> Result<Vec<String>, Error> {
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| match menu.find_readable(name) {
            _ if name == ".id" => Ok(name.to_owned()),
            Lookup::One(property) => Ok(property.name.clone()),
            _ => Err(Error::new(span, "input does not match any value of proplist")),
        })
        .collect()
}

/// An item with its number and flags, and what is known of it at the moment.
struct Line<'a> {
    number: usize,
    flags: String,
    item: &'a Item,
    state: Vec<(String, String)>,
    origin: Origin,
}

impl Line<'_> {
    /// What an item shows for a property; the network of an address follows from the address.
    fn shown(&self, property: &str) -> Option<String> {
        if property == ".id" {
            return Some(self.item.id().to_string());
        }
        let known = || self.state.iter().find(|(name, _)| name == property).map(|(_, text)| text.clone());
        // A row of another origin has what it is told to have, and no defaults.
        let configured = || self.item.text(property).filter(|_| self.origin == Origin::Static);
        known().or_else(configured).or_else(|| match (property, self.item.effective("address")?) {
            ("network", Value::Prefix(prefix)) => Some(prefix.network().address.to_string()),
            _ => None,
        })
    }
}

/// What was printed.
pub(crate) struct Printed {
    pub text: String,
    /// The same as data, for programs.
    pub rows: Json,
    /// Milliseconds until it is to be shown again.
    pub again: Option<u64>,
}

pub(crate) fn print(
    tree: &Tree,
    menu: &'static Menu,
    options: &Options,
    rows: &dyn Rows,
) -> Result<Printed, Errors> {
    let properties = properties(menu, options);
    if menu.kind == Kind::Settings {
        let Some(item) = tree.all(menu).first() else {
            return Ok(Printed { text: String::new(), rows: Json::Null, again: None });
        };
        let flags = String::new();
        let line = Line { number: 0, flags, item, state: rows.values(item), origin: Origin::Static };
        return Ok(Printed {
            text: record::settings(menu, &properties, &line),
            rows: object(menu, &properties, &line),
            again: options.again,
        });
    }
    let dynamic: Vec<(Item, Row)> =
        rows.rows(&menu.path).into_iter().map(|row| (Item::transient(menu, &row.values), row)).collect();
    let configured = tree.all(menu).iter().map(|item| Line {
        number: 0,
        flags: flags::of(item, rows),
        item,
        state: rows.values(item),
        origin: Origin::Static,
    });
    let others = dynamic.iter().map(|(item, row)| Line {
        number: 0,
        flags: row.flags.clone(),
        item,
        state: row.values.clone(),
        origin: Origin::Dynamic,
    });
    let mut lines = Vec::new();
    for (number, mut line) in configured.chain(others).enumerate() {
        line.number = number;
        let wanted = options.only.is_none_or(|only| only == line.origin)
            && options.from.as_ref().is_none_or(|ids| ids.contains(&line.item.id()))
            && match &options.condition {
                Some(condition) => query::holds(line.item, menu, condition, &|_| line.flags.clone())?,
                None => true,
            };
        if wanted {
            lines.push(line);
        }
    }
    let text = match options.form {
        Form::Count => format!("{}\n", lines.len()),
        Form::Table => table::table(menu, options, &lines),
        Form::Detail => record::detail(menu, &properties, options, &lines),
        Form::Terse => record::terse(menu, &properties, options, &lines),
        Form::ValueList => record::value_list(&properties, &lines),
        Form::AsValue => record::as_value(&properties, &lines),
    };
    let rows = match options.form {
        Form::Count => lines.len().into(),
        _ => lines.iter().map(|line| object(menu, &properties, line)).collect(),
    };
    Ok(Printed { text, rows, again: options.again })
}

/// The properties that may be shown: those asked for, or all in the order of the menu.
fn properties(menu: &'static Menu, options: &Options) -> Vec<&'static Property> {
    let all = menu.properties.iter().chain(&menu.status).filter(|property| !property.is_secret());
    if !options.properties.is_empty() {
        let mut asked: Vec<&Property> = all.filter(|p| options.properties.contains(&p.name)).collect();
        asked.sort_by_key(|p| options.properties.iter().position(|name| *name == p.name));
        return asked;
    }
    let mut all: Vec<&Property> = all.collect();
    all.sort_by_key(|p| menu.shown.iter().position(|name| *name == p.name).unwrap_or(usize::MAX));
    all
}

/// An item as data: RouterOS's names; numbers and yes/no in JSON's own types.
fn object(menu: &Menu, properties: &[&Property], line: &Line<'_>) -> Json {
    let mut fields = Map::new();
    if menu.kind != Kind::Settings {
        if line.origin == Origin::Static {
            fields.insert(".id".into(), line.item.id().to_string().into());
        }
        for word in flags::words(menu, &line.flags) {
            fields.insert(word, true.into());
        }
        fields.insert("dynamic".into(), (line.origin == Origin::Dynamic).into());
    }
    for property in properties {
        if let Some(text) = line.shown(&property.name) {
            let value = match (&property.ty, line.item.effective(&property.name)) {
                (_, Some(Value::Bool(yes))) => (*yes).into(),
                (Type::Number { .. }, Some(Value::Number(number))) => (*number).into(),
                _ => text.into(),
            };
            fields.insert(property.name.clone(), value);
        }
    }
    Json::Object(fields)
}
