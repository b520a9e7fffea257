//! `print`: items as RouterOS 7 shows them, as a table, in detail, one per line, or as values.

mod colour;
pub(crate) mod flags;
mod options;
mod record;
mod table;
mod units;

use std::cmp::Ordering;

use serde_json::{Map, Value as Json};

use crate::error::Errors;
use crate::query;
use crate::schema::{Kind, Menu, Property};
use crate::tree::{Item, ItemId, Tree};
use crate::types::Type;
use crate::value::Value;

pub use colour::colour;
use options::Form;
pub(crate) use options::{Options, options};

/// Columns of a table whose menu names none.
const MAX_COLUMNS: usize = 7;
/// Items that are not configured have ids from here on.
const OTHERS: u32 = 0x8000_0000;

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

    /// Columns of the terminal that a listing is for. None: lines are as long as they get.
    fn width(&self) -> Option<usize> {
        None
    }
}

/// One such row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Tells it from the other rows of its menu as long as it exists; None: its place among them does. Below
    /// [`Row::IDS`].
    pub id: Option<u32>,
    /// Flag letters: `D`, `DAc`.
    pub flags: String,
    /// Property name and text; names that the menu doesn't have are not shown.
    pub values: Vec<(String, String)>,
}

impl Row {
    /// Ids that rows may choose from.
    pub const IDS: u32 = 0xF000_0000 - OTHERS;
}

/// A row knows itself.
impl Rows for Row {
    fn rows(&self, _menu: &str) -> Vec<Row> {
        Vec::new()
    }

    fn flags(&self, _item: &Item) -> String {
        self.flags.clone()
    }

    fn values(&self, _item: &Item) -> Vec<(String, String)> {
        self.values.clone()
    }
}

/// The rows of a menu that are not configured, as items with ids of their own.
pub(crate) fn others(menu: &'static Menu, rows: &dyn Rows) -> Vec<(Item, Row)> {
    let rows = rows.rows(&menu.path).into_iter().zip(0..);
    rows.map(|(row, place)| {
        let id = ItemId(OTHERS + row.id.unwrap_or(place) % Row::IDS);
        (Item::transient(menu, id, &row.values), row)
    })
    .collect()
}

/// True for the id of an item that is not configured.
pub(crate) fn is_other(id: ItemId) -> bool {
    // A fresh router has items at the end of all numbers.
    (OTHERS..0xF000_0000).contains(&id.0)
}

/// No rows beside the configuration.
pub struct NoRows;

impl Rows for NoRows {
    fn rows(&self, _menu: &str) -> Vec<Row> {
        Vec::new()
    }
}

/// An item with its number and flags, and what is known of it at the moment.
struct Line<'a> {
    /// None where the menu numbers configured items only.
    number: Option<usize>,
    flags: String,
    item: &'a Item,
    state: Vec<(String, String)>,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Static,
    Dynamic,
}

impl Line<'_> {
    /// What an item shows for a property; the network of an address follows from the address.
    fn shown(&self, property: &str) -> Option<String> {
        if property == ".id" {
            return Some(self.item.id().to_string());
        }
        let known = || self.state.iter().find(|(name, _)| name == property).map(|(_, text)| text.clone());
        // A row of another origin has what it is told to have, and no defaults.
        let menu = self.item.menu();
        // What the language has no longer is shown where it is set.
        let is_past = || menu.property(property).is_some_and(|property| property.versions.until.is_some());
        let configured = || self.item.text(property).filter(|_| self.origin == Origin::Static && !is_past());
        let set = self.item.value(property).filter(|_| self.origin == Origin::Static).map(Value::to_string);
        set.or_else(known).or_else(configured).or_else(|| match (property, self.item.effective("address")?) {
            ("network", Value::Prefix(prefix)) => Some(prefix.network().address.to_string()),
            _ => None,
        })
    }

    /// The same as a listing shows it.
    fn listed(&self, property: &str) -> Option<String> {
        Some(units::shown(self.item.menu(), property, self.shown(property)?))
    }

    fn number(&self) -> String {
        self.number.map(|number| number.to_string()).unwrap_or_default()
    }
}

/// Routes that are not configured, and lines of the log, have no numbers.
fn is_numbered(menu: &Menu, origin: Origin) -> bool {
    match menu.path.as_str() {
        "ip/route" | "ipv6/route" | "routing/route" => origin == Origin::Static,
        "log" => false,
        _ => true,
    }
}

/// Dynamic rules of the firewall stand before the configured ones.
fn is_headed(menu: &Menu) -> bool {
    ["/firewall/filter", "/firewall/mangle", "/firewall/raw"].iter().any(|list| menu.path.ends_with(list))
}

/// What was printed.
pub(crate) struct Printed {
    pub text: String,
    /// The same as data, for programs.
    pub rows: Json,
    /// Milliseconds until it is to be shown again.
    pub again: Option<u64>,
    /// The items in the order of their numbers.
    pub numbered: Vec<ItemId>,
}

pub(crate) fn print(
    tree: &Tree,
    menu: &'static Menu,
    options: &Options,
    rows: &dyn Rows,
) -> Result<Printed, Errors> {
    let properties = properties(menu, options);
    let (again, numbered) = (options.again, Vec::new());
    if menu.kind == Kind::Settings {
        let Some(item) = tree.all(menu).first() else {
            return Ok(Printed { text: String::new(), rows: Json::Null, again: None, numbered });
        };
        let (flags, state) = (String::new(), rows.values(item));
        let line = Line { number: None, flags, item, state, origin: Origin::Static };
        let rows = object(menu, &properties, &line);
        let text = match options.form {
            Form::AsValue => record::as_value(menu, &properties, &[line]),
            _ => record::settings(menu, &properties, &line),
        };
        return Ok(Printed { text, rows, again, numbered });
    }
    let others = others(menu, rows);
    let mut lines = lines(tree, menu, options, rows, &others)?;
    let mut numbered = Vec::new();
    for line in lines.iter_mut().filter(|line| is_numbered(menu, line.origin)) {
        line.number = Some(numbered.len());
        numbered.push(line.item.id());
    }
    let width = rows.width().unwrap_or(usize::MAX);
    let text = match options.form {
        Form::Count => format!("{}\n", lines.len()),
        _ if menu.path == "log" && options.form == Form::Table => record::log(&lines),
        Form::Table => table::table(menu, options, &lines),
        Form::Detail => record::detail(menu, &properties, options, &lines, width),
        Form::Terse => record::terse(menu, &properties, options, &lines),
        Form::ValueList => record::value_list(&properties, &lines),
        Form::AsValue => record::as_value(menu, &properties, &lines),
    };
    let rows = match options.form {
        Form::Count => lines.len().into(),
        _ => lines.iter().map(|line| object(menu, &properties, line)).collect(),
    };
    Ok(Printed { text, rows, again, numbered })
}

/// What numbers mean before anything has been printed: the configured items count first.
pub(crate) fn numbered(tree: &Tree, menu: &'static Menu, rows: &dyn Rows) -> Vec<ItemId> {
    let configured = tree.all(menu).iter().map(Item::id);
    let others = if is_numbered(menu, Origin::Dynamic) { others(menu, rows) } else { Vec::new() };
    configured.chain(others.iter().map(|(item, _)| item.id())).collect()
}

/// The items that are asked for, in the order that is asked for.
fn lines<'a>(
    tree: &'a Tree,
    menu: &'static Menu,
    options: &Options,
    rows: &'a dyn Rows,
    others: &'a [(Item, Row)],
) -> Result<Vec<Line<'a>>, Errors> {
    let configured = tree.all(menu).iter().map(|item| (item, rows, Origin::Static));
    let others: Vec<_> = others.iter().map(|(item, row)| (item, row as &dyn Rows, Origin::Dynamic)).collect();
    let (before, behind) = if is_headed(menu) { (others, Vec::new()) } else { (Vec::new(), others) };
    let mut found = Vec::new();
    for (item, rows, origin) in before.into_iter().chain(configured).chain(behind) {
        let flags = || flags::of(item, rows);
        let has = |name: &str| match name {
            "dynamic" => origin == Origin::Dynamic || flags().contains('D'),
            "expired" => rows.values(item).iter().any(|(name, text)| name == "expired" && text == "yes"),
            name => query::has(menu, &flags(), name),
        };
        let wanted = options.flags.iter().all(|(name, wanted)| has(name) == *wanted)
            && options.from.as_ref().is_none_or(|ids| ids.contains(&item.id()))
            && match &options.condition {
                Some(condition) => query::holds(item, menu, condition, rows)?,
                None => true,
            };
        if wanted {
            found.push((item, rows, origin));
        }
    }
    let group = options.group.iter().map(|name| (name, false));
    let order: Vec<_> = group.chain(options.order.iter().map(|(name, down)| (name, *down))).collect();
    if !order.is_empty() {
        found.sort_by(|a, b| {
            order.iter().fold(Ordering::Equal, |so_far, (name, down)| {
                let by_this = || query::order(menu, name, (a.0, a.1), (b.0, b.1));
                so_far.then_with(|| if *down { by_this().reverse() } else { by_this() })
            })
        });
    }
    let line = |(item, rows, origin): (&'a Item, &'a dyn Rows, Origin)| {
        let (flags, state) = (flags::of(item, rows), rows.values(item));
        Line { number: None, flags, item, state, origin }
    };
    Ok(found.into_iter().map(line).collect())
}

/// The properties that may be shown: those asked for, or all in the order of the menu.
fn properties(menu: &'static Menu, options: &Options) -> Vec<&'static Property> {
    let all = menu.properties.iter().chain(&menu.status);
    let all = all.filter(|property| options.sensitive || !property.is_secret());
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
