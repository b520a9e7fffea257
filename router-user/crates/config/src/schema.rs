//! The schema: every menu with its properties, as data from `schema/<area>.yaml`.
//!
//! A file is a map from menu path to entry; an entry whose name has no leading slash is a set of properties that menus
//! take in by `use:`. See `schema/README.md` for the fields.

mod entry;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use crate::error::{Error, Span};
use crate::types::{Type, parse_type};
use crate::value::Value;

pub use entry::{Kind, Refer};
use entry::{MenuEntry, PropertyEntry};

/// What a menu or property does on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    Enforced,
    /// Known, stored, exported again; the reason why nothing more happens.
    Kept(String),
}

pub struct Menu {
    /// `ip/firewall/filter`
    pub path: String,
    /// Position in [`menus`].
    pub(crate) index: usize,
    pub kind: Kind,
    /// Title of the area it belongs to.
    pub area: String,
    pub help: String,
    pub effect: Effect,
    /// By name.
    pub properties: Vec<Property>,
    /// What can only be read: state, counters. By name.
    pub status: Vec<Property>,
    /// Letters of `print` with their words, in the order of the legend.
    pub flags: Vec<(String, String)>,
    /// Properties that `add` needs, in the order in which its error names them.
    pub required: Vec<String>,
    /// Sets of properties of which `add` needs one.
    pub any_of: Vec<AnyOf>,
    /// Items can be set, not added or removed.
    pub fixed: bool,
    /// Item order has a meaning: `move`, `place-before`.
    pub ordered: bool,
    /// Its items are interfaces; their names are unique over all such menus.
    pub interface: bool,
    /// What `/interface` calls them: `ether`, `vlan`.
    pub interface_type: String,
    /// Property lists that together may occur once, with RouterOS's words for the second.
    pub unique: Vec<Unique>,
    /// Commands beyond the generic ones.
    pub commands: Vec<Command>,
    /// Other paths that mean this menu.
    pub also: Vec<String>,
    pub refer: Refer,
    /// Items of a fresh router; `.id` where exports name one by its id.
    pub defaults: Vec<BTreeMap<String, String>>,
    /// Beginnings of names that come into being by being named (`ether` for `ether7`); `*`: any name does.
    pub ports: Vec<String>,
    /// The number in the name of the first of them.
    pub(crate) first_port: usize,
    identity: Option<String>,
    /// Columns of `print`; empty: detail.
    pub columns: Vec<String>,
    /// What `print detail` and `terse` begin with; the rest goes by name.
    pub shown: Vec<String>,
    pub versions: Versions,
    has_references: bool,
    /// Items are disabled unless they say otherwise.
    disabled: bool,
}

/// The releases that have a menu or property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// First release, `7.13`; None: it was there before 7.10.
    pub since: Option<String>,
    /// Last release, `7.18`; `6` for what RouterOS 7 never had. None: it is there.
    pub until: Option<String>,
}

/// One of these has to be given to `add`.
#[derive(Debug)]
pub struct AnyOf {
    pub names: Vec<String>,
    /// RouterOS's words where none is.
    pub message: String,
}

/// A command of one menu: `monitor`, `sign`.
#[derive(Debug)]
pub struct Command {
    pub name: String,
    pub help: String,
    /// Arguments that may be given without a name, in order.
    pub positional: Vec<String>,
    /// By name; empty where they are not known.
    pub arguments: Vec<Property>,
}

#[derive(Debug)]
pub struct Property {
    pub name: String,
    pub ty: Type,
    /// Text and value where the property has a fixed default.
    pub default: Option<(String, Value)>,
    pub required: bool,
    /// May be taken away by `!name` or `unset`.
    pub unset: bool,
    pub help: String,
    /// Other names for it.
    pub also: Vec<String>,
    pub effect: Effect,
    /// Shown, never written (`default-name`).
    pub read_only: bool,
    /// Exported also when it is the default.
    pub always: bool,
    /// Kept where it was given, and exported again, also when it is the default.
    pub explicit: bool,
    pub versions: Versions,
}

#[derive(Debug)]
pub struct Unique {
    pub by: Vec<String>,
    pub message: String,
}

/// The path only: a menu is far too long to read.
impl fmt::Debug for Menu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", self.path)
    }
}

impl Menu {
    pub fn property(&self, name: &str) -> Option<&Property> {
        find(&self.properties, name)
    }

    /// A property that can only be read.
    pub fn status(&self, name: &str) -> Option<&Property> {
        find(&self.status, name)
    }

    /// One of the commands beyond the generic ones.
    pub fn command(&self, name: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.name == name)
    }

    /// The property that tells items apart that come into being by being named.
    pub fn identity(&self) -> &str {
        self.identity.as_deref().unwrap_or("default-name")
    }

    /// `/ip/address`
    pub fn slash_path(&self) -> String {
        format!("/{}", self.path)
    }

    /// `/ip address`, as exports write it.
    pub fn blank_path(&self) -> String {
        format!("/{}", self.path.replace('/', " "))
    }

    /// A property by full name, other name, or unique beginning.
    pub(crate) fn find_property(&self, name: &str) -> Lookup<'_, Property> {
        if let Some(property) = self.property(name) {
            return Lookup::One(property);
        }
        if let Some(property) = self.properties.iter().find(|p| p.also.iter().any(|a| a == name)) {
            return Lookup::One(property);
        }
        Lookup::beginning(self.properties.iter().filter(|p| !p.read_only), name)
    }

    /// A property or status property by full name, other name, or unique beginning: what `get` and `find` take.
    pub(crate) fn find_readable(&self, name: &str) -> Lookup<'_, Property> {
        if let Some(status) = self.status(name) {
            return Lookup::One(status);
        }
        match self.find_property(name) {
            Lookup::None => Lookup::beginning(self.status.iter(), name),
            found => found,
        }
    }

    pub(crate) fn has_references(&self) -> bool {
        self.has_references
    }

    /// What holds for items that don't say whether they are disabled.
    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled
    }
}

fn find<'a>(sorted: &'a [Property], name: &str) -> Option<&'a Property> {
    sorted.binary_search_by(|p| p.name.as_str().cmp(name)).ok().and_then(|i| sorted.get(i))
}

pub(crate) enum Lookup<'a, T> {
    One(&'a T),
    Many,
    None,
}

impl<'a> Lookup<'a, Property> {
    fn beginning(among: impl Iterator<Item = &'a Property>, name: &str) -> Lookup<'a, Property> {
        let mut matching = among.filter(|p| p.name.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(one), None) if !name.is_empty() => Lookup::One(one),
            (Some(_), Some(_)) if !name.is_empty() => Lookup::Many,
            _ => Lookup::None,
        }
    }
}

impl Property {
    /// The reason why this property has no effect, where its menu has one.
    pub fn kept(&self) -> Option<&str> {
        match &self.effect {
            Effect::Kept(reason) => Some(reason),
            Effect::Enforced => None,
        }
    }

    /// Checks a text as a value of this property; the value's `Display` is the canonical text.
    pub fn check(&self, text: &str) -> Result<Value, Error> {
        self.ty.parse(&self.name, text).map_err(|fault| fault.at(Span::default()))
    }

    pub fn is_secret(&self) -> bool {
        self.ty == Type::Secret
    }
}

/// All menus, by path.
pub fn menus() -> impl Iterator<Item = &'static Menu> {
    SCHEMA.menus.iter()
}

/// A menu by its path without the leading slash: `ip/address`.
pub fn menu(path: &str) -> Option<&'static Menu> {
    SCHEMA.by_path.get(path).and_then(|i| SCHEMA.menus.get(*i))
}

/// The words one level below `path`; None where there is no such path.
pub(crate) fn children(path: &str) -> Option<&'static [String]> {
    SCHEMA.children.get(path).map(Vec::as_slice)
}

struct Schema {
    menus: Vec<Menu>,
    by_path: HashMap<String, usize>,
    /// Every path and every beginning of one -> the words below it.
    children: HashMap<String, Vec<String>>,
}

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    load(include_str!(concat!(env!("OUT_DIR"), "/schema.json"))).unwrap_or_else(|e| broken(&e))
});

/// The schema is part of the program; a test loads it, so this can't be met in the field.
fn broken(error: &str) -> Schema {
    debug_assert!(false, "schema: {error}");
    Schema { menus: Vec::new(), by_path: HashMap::new(), children: HashMap::new() }
}

fn load(json: &str) -> Result<Schema, String> {
    let entries: Vec<MenuEntry> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let mut types = HashMap::new();
    let mut menus = Vec::with_capacity(entries.len());
    let mut faults = Vec::new();
    for entry in entries {
        let path = entry.path.clone();
        match build_menu(entry, menus.len(), &mut types) {
            Ok(menu) => menus.push(menu),
            Err(e) => faults.push(format!("/{path}: {e}")),
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("\n"));
    }
    let mut by_path = HashMap::new();
    let mut children: HashMap<String, Vec<String>> = HashMap::new();
    for menu in &menus {
        for path in std::iter::once(&menu.path).chain(&menu.also) {
            if by_path.insert(path.clone(), menu.index).is_some() {
                return Err(format!("/{path} occurs twice"));
            }
            let mut parent = String::new();
            for word in path.split('/').filter(|word| !word.is_empty()) {
                let below = children.entry(parent.clone()).or_default();
                if !below.iter().any(|w| w == word) {
                    below.push(word.to_owned());
                }
                if !parent.is_empty() {
                    parent.push('/');
                }
                parent.push_str(word);
            }
            children.entry(parent).or_default();
        }
    }
    Ok(Schema { menus, by_path, children })
}

/// Types by their expression: most properties share one with others.
type Types = HashMap<String, Type>;

fn build_menu(entry: MenuEntry, index: usize, types: &mut Types) -> Result<Menu, String> {
    let properties = build_properties(entry.properties, types)?;
    let has_references = properties.iter().any(|p| p.ty.has_references());
    let disabled = find(&properties, "disabled").and_then(|p| p.default.as_ref());
    let disabled = disabled.is_some_and(|(_, value)| *value == Value::Bool(true));
    let mut status = build_properties(entry.status, types)?;
    status.iter_mut().for_each(|p| p.read_only = true);
    let commands = entry
        .commands
        .into_iter()
        .map(|c| {
            let arguments = build_properties(c.arguments, types).map_err(|e| format!("{}: {e}", c.name))?;
            Ok(Command { name: c.name, help: c.help, positional: c.positional, arguments })
        })
        .collect::<Result<_, String>>()?;
    Ok(Menu {
        path: entry.path,
        index,
        kind: entry.kind,
        area: entry.area,
        help: entry.help,
        effect: entry.kept.map_or(Effect::Enforced, Effect::Kept),
        properties,
        status,
        flags: entry.flags,
        required: entry.required,
        any_of: entry.any_of.into_iter().map(|a| AnyOf { names: a.names, message: a.message }).collect(),
        fixed: entry.fixed,
        ordered: entry.ordered,
        interface: !entry.interface.is_empty(),
        interface_type: entry.interface,
        unique: entry.unique.into_iter().map(|u| Unique { by: u.by, message: u.message }).collect(),
        commands,
        also: entry.also,
        refer: entry.refer,
        defaults: entry.defaults.into_iter().map(|item| item.into_iter().collect()).collect(),
        ports: entry.ports,
        first_port: entry.first_port,
        identity: entry.identity,
        columns: entry.columns,
        shown: entry.shown,
        versions: Versions::new(entry.since, entry.until),
        has_references,
        disabled,
    })
}

fn build_properties(entries: Vec<PropertyEntry>, types: &mut Types) -> Result<Vec<Property>, String> {
    let mut properties = Vec::with_capacity(entries.len());
    let mut faults = Vec::new();
    for entry in entries {
        let name = entry.name.clone();
        match build_property(entry, types) {
            Ok(property) => properties.push(property),
            Err(e) => faults.push(format!("{name}: {e}")),
        }
    }
    if faults.is_empty() { Ok(properties) } else { Err(faults.join("; ")) }
}

fn build_property(entry: PropertyEntry, types: &mut Types) -> Result<Property, String> {
    let ty = match types.get(&entry.ty) {
        Some(ty) => ty.clone(),
        None => {
            let ty = parse_type(&entry.ty)?;
            types.insert(entry.ty, ty.clone());
            ty
        }
    };
    let default = match entry.default {
        None if ty == Type::Switch => Some(("no".to_owned(), Value::Bool(false))),
        None => None,
        Some(text) => {
            let value = ty.parse(&entry.name, &text).map_err(|f| f.message)?;
            Some((value.to_string(), value))
        }
    };
    Ok(Property {
        name: entry.name,
        unset: entry.unset && ty != Type::Switch,
        ty,
        default,
        required: entry.required,
        help: entry.help,
        also: entry.also,
        effect: entry.kept.map_or(Effect::Enforced, Effect::Kept),
        read_only: entry.read_only,
        always: entry.always,
        explicit: entry.explicit,
        versions: Versions::new(entry.since, entry.until),
    })
}

impl Versions {
    /// RouterOS 6 had it, no release of RouterOS 7.
    pub fn is_former(&self) -> bool {
        self.until.as_deref() == Some("6")
    }

    fn new(since: String, until: String) -> Versions {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Versions { since: some(since), until: some(until) }
    }
}

/// `7.13 to 7.18`, `since 7.13`, `up to 7.18`, `RouterOS 6`; nothing where every release has it.
impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.since, &self.until) {
            (None, None) => Ok(()),
            (Some(since), None) => write!(f, "since {since}"),
            (None, Some(until)) if until == "6" => f.write_str("RouterOS 6"),
            (None, Some(until)) => write!(f, "up to {until}"),
            (Some(since), Some(until)) => write!(f, "{since} to {until}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_loads_and_refers_only_to_itself() {
        let schema =
            load(include_str!(concat!(env!("OUT_DIR"), "/schema.json"))).unwrap_or_else(|e| panic!("{e}"));
        assert!(schema.menus.len() > 10);
        for menu in &schema.menus {
            assert!(!menu.help.is_empty(), "/{} has no help", menu.path);
            for column in menu.columns.iter().chain(&menu.shown) {
                let known = menu.property(column).or_else(|| menu.status(column));
                assert!(known.is_some(), "/{}: column {column}", menu.path);
            }
            for default in &menu.defaults {
                for name in default.keys().filter(|name| *name != ".id") {
                    assert!(menu.property(name).is_some(), "/{}: default {name}", menu.path);
                }
            }
            for property in &menu.properties {
                check_references(&schema, menu, &property.ty);
            }
        }
    }

    fn check_references(schema: &Schema, menu: &Menu, ty: &Type) {
        match ty {
            Type::Reference(path) | Type::Name(path) => {
                assert!(schema.by_path.contains_key(path), "/{} refers to /{path}", menu.path);
            }
            Type::List(inner)
            | Type::Not(inner)
            | Type::Range(inner)
            | Type::Pair(inner)
            | Type::Masked(inner) => {
                check_references(schema, menu, inner);
            }
            Type::OneOf(types) => types.iter().for_each(|ty| check_references(schema, menu, ty)),
            _ => {}
        }
    }
}
