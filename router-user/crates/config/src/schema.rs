//! The schema: every menu with its properties, as data from `schema/<area>.yaml`.
//!
//! A file is a map from menu path to entry; an entry whose name has no leading slash is a set of properties that menus
//! take in by `use:`. See `schema/README.md` for the fields.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::error::{Error, Span};
use crate::types::{Type, parse_type};
use crate::value::Value;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Items: add, set, remove, ...
    List,
    /// One record: set.
    Settings,
    /// Commands only.
    Commands,
}

/// How `export` names an item that it can only `set`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refer {
    /// `set telnet`
    Name,
    /// `set [ find default-name=ether1 ]`
    DefaultName,
    /// `set 0`
    Number,
    /// `set [ find default=yes ]`
    Default,
}

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
    pub help: String,
    pub effect: Effect,
    /// By name.
    pub properties: Vec<Property>,
    /// Items can be set, not added or removed.
    pub fixed: bool,
    /// Item order has a meaning: `move`, `place-before`.
    pub ordered: bool,
    /// Its items are interfaces; their names are unique over all such menus.
    pub interface: bool,
    /// Property lists that together may occur once, with RouterOS's words for the second.
    pub unique: Vec<Unique>,
    /// An identical second `add` is a no-op with a note.
    pub repeatable: bool,
    /// Commands beyond the generic ones.
    pub commands: Vec<String>,
    /// Other paths that mean this menu.
    pub also: Vec<String>,
    /// Place in an export: defining menus first by this number, then the others by path.
    pub order: u32,
    pub refer: Refer,
    /// Items of a fresh router; `.id` where exports name one by its id.
    pub defaults: Vec<BTreeMap<String, String>>,
    /// Beginnings of names that come into being by being named (`ether` for `ether7`).
    pub ports: Vec<String>,
    /// Columns of `print`; empty: detail.
    pub columns: Vec<String>,
    has_references: bool,
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
        self.properties
            .binary_search_by(|p| p.name.as_str().cmp(name))
            .ok()
            .and_then(|i| self.properties.get(i))
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
        let mut matching = self.properties.iter().filter(|p| !p.read_only && p.name.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(one), None) if !name.is_empty() => Lookup::One(one),
            (Some(_), Some(_)) if !name.is_empty() => Lookup::Many,
            _ => Lookup::None,
        }
    }

    pub(crate) fn has_references(&self) -> bool {
        self.has_references
    }
}

pub(crate) enum Lookup<'a, T> {
    One(&'a T),
    Many,
    None,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[derive(Default)]
struct RawMenu {
    kind: Option<Kind>,
    help: String,
    effect: Option<String>,
    kept: Option<String>,
    properties: BTreeMap<String, RawProperty>,
    #[serde(rename = "use")]
    sets: Vec<String>,
    without: Vec<String>,
    fixed: bool,
    ordered: bool,
    interface: bool,
    unique: Vec<RawUnique>,
    repeatable: bool,
    commands: Vec<String>,
    also: Vec<String>,
    order: Option<u32>,
    refer: Option<Refer>,
    defaults: Vec<BTreeMap<String, String>>,
    ports: Vec<String>,
    columns: Vec<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum RawProperty {
    /// `TYPE` or `TYPE = DEFAULT`
    Short(String),
    Long(LongProperty),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LongProperty {
    #[serde(rename = "type")]
    ty: String,
    default: Option<String>,
    #[serde(default)]
    required: bool,
    unset: Option<bool>,
    #[serde(default)]
    help: String,
    #[serde(default)]
    also: Vec<String>,
    kept: Option<String>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    always: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUnique {
    by: Vec<String>,
    message: String,
}

fn load(json: &str) -> Result<Schema, String> {
    let areas: Vec<BTreeMap<String, RawMenu>> = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let mut raw: BTreeMap<String, RawMenu> = BTreeMap::new();
    for area in areas {
        for (path, menu) in area {
            if raw.contains_key(&path) {
                return Err(format!("{path} occurs twice"));
            }
            raw.insert(path, menu);
        }
    }
    let mut menus = Vec::new();
    let mut faults = Vec::new();
    for (path, entry) in &raw {
        let Some(path) = path.strip_prefix('/') else { continue };
        match build_menu(path, menus.len(), entry, &raw) {
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
            for word in path.split('/') {
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

fn build_menu(
    path: &str,
    index: usize,
    raw: &RawMenu,
    all: &BTreeMap<String, RawMenu>,
) -> Result<Menu, String> {
    let kind = raw.kind.unwrap_or(Kind::List);
    let effect = match (&raw.effect, &raw.kept) {
        (Some(word), None) if word == "enforced" => Effect::Enforced,
        (None, Some(reason)) => Effect::Kept(reason.clone()),
        _ => return Err("needs either `effect: enforced` or `kept: REASON`".into()),
    };
    let mut texts: BTreeMap<String, RawProperty> = BTreeMap::new();
    if kind == Kind::List {
        texts.insert("comment".into(), RawProperty::Short("string".into()));
        texts.insert("disabled".into(), RawProperty::Short("bool = no".into()));
    }
    for set in &raw.sets {
        let set = all.get(set).ok_or_else(|| format!("no property set {set}"))?;
        texts.extend(set.properties.clone());
    }
    texts.extend(raw.properties.clone());
    texts.retain(|name, _| !raw.without.contains(name));
    let mut properties = Vec::new();
    let mut faults = Vec::new();
    for (name, property) in &texts {
        match build_property(name, property) {
            Ok(property) => properties.push(property),
            Err(e) => faults.push(format!("{name}: {e}")),
        }
    }
    if !faults.is_empty() {
        return Err(faults.join("; "));
    }
    for unique in &raw.unique {
        if let Some(by) = unique.by.iter().find(|by| !texts.contains_key(*by)) {
            return Err(format!("unique by {by}: no such property"));
        }
    }
    let has_references = properties.iter().any(|p| p.ty.has_references());
    Ok(Menu {
        path: path.to_owned(),
        index,
        kind,
        help: raw.help.clone(),
        effect,
        properties,
        fixed: raw.fixed,
        ordered: raw.ordered,
        interface: raw.interface,
        unique: raw.unique.iter().map(|u| Unique { by: u.by.clone(), message: u.message.clone() }).collect(),
        repeatable: raw.repeatable,
        commands: raw.commands.clone(),
        also: raw.also.clone(),
        order: raw.order.unwrap_or(u32::MAX),
        refer: raw.refer.unwrap_or(Refer::Name),
        defaults: raw.defaults.clone(),
        ports: raw.ports.clone(),
        columns: raw.columns.clone(),
        has_references,
    })
}

fn build_property(name: &str, raw: &RawProperty) -> Result<Property, String> {
    let raw = match raw {
        RawProperty::Long(raw) => raw.clone(),
        RawProperty::Short(text) => {
            let (ty, default) = match text.split_once(" = ") {
                Some((ty, default)) => (ty, Some(default.trim().to_owned())),
                None => (text.as_str(), None),
            };
            LongProperty {
                ty: ty.trim().to_owned(),
                default,
                required: false,
                unset: None,
                help: String::new(),
                also: Vec::new(),
                kept: None,
                read_only: false,
                always: false,
            }
        }
    };
    let ty = parse_type(&raw.ty)?;
    let default = match raw.default {
        None if ty == Type::Switch => Some(("no".to_owned(), Value::Bool(false))),
        None => None,
        Some(text) => {
            let value = ty.parse(name, &text).map_err(|f| f.message)?;
            Some((value.to_string(), value))
        }
    };
    Ok(Property {
        name: name.to_owned(),
        unset: raw.unset.unwrap_or(default.is_none() && !raw.required),
        ty,
        default,
        required: raw.required,
        help: raw.help,
        also: raw.also,
        effect: raw.kept.map_or(Effect::Enforced, Effect::Kept),
        read_only: raw.read_only,
        always: raw.always,
    })
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
            for column in &menu.columns {
                assert!(menu.property(column).is_some(), "/{}: column {column}", menu.path);
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
            Type::Reference(path) => {
                assert!(schema.by_path.contains_key(path), "/{} refers to /{path}", menu.path);
            }
            Type::List(inner) | Type::Not(inner) | Type::Range(inner) | Type::Pair(inner) => {
                check_references(schema, menu, inner);
            }
            Type::OneOf(types) => types.iter().for_each(|ty| check_references(schema, menu, ty)),
            _ => {}
        }
    }
}
