//! The configuration: every menu's items in order, with ids, uniqueness and references.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Fault, Span};
use crate::schema::{self, Kind, Menu, Property};
use crate::types::{LISTS, Target};
use crate::value::Value;

/// An item's id, stable for its life, unique within its menu; printed `*1A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct ItemId(pub u32);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*{:X}", self.0)
    }
}

/// One item of a list menu, or the record of a settings menu. Equality is that of what was configured.
#[derive(Clone, Debug)]
pub struct Item {
    id: ItemId,
    menu: &'static Menu,
    /// By property name; only what differs from the default.
    values: BTreeMap<&'static str, Value>,
    /// Number among the items of a fresh router; None: added.
    builtin: Option<u32>,
    span: Option<Span>,
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        self.menu.index == other.menu.index && self.builtin == other.builtin && self.values == other.values
    }
}

impl Item {
    /// A row that is not configured, as an item: what the menu's properties can hold of it.
    pub(crate) fn transient(menu: &'static Menu, texts: &[(String, String)]) -> Item {
        let mut values = BTreeMap::new();
        for (name, text) in texts {
            if let Some(property) = menu.property(name) {
                let value = property.ty.parse(name, text).unwrap_or_else(|_| Value::Text(text.clone()));
                values.insert(property.name.as_str(), value);
            }
        }
        Item { id: ItemId(0), menu, values, builtin: None, span: None }
    }

    pub fn id(&self) -> ItemId {
        self.id
    }

    pub fn menu(&self) -> &'static Menu {
        self.menu
    }

    /// Set explicitly; None where unset or the default holds.
    pub fn value(&self, property: &str) -> Option<&Value> {
        self.values.get(property)
    }

    /// Canonical text, explicit or the schema's default.
    pub fn text(&self, property: &str) -> Option<String> {
        match self.values.get(property) {
            Some(value) => Some(value.to_string()),
            None => self.menu.property(property)?.default.as_ref().map(|(text, _)| text.clone()),
        }
    }

    /// The value, explicit or the schema's default.
    pub fn effective(&self, property: &str) -> Option<&Value> {
        match self.values.get(property) {
            Some(value) => Some(value),
            None => self.menu.property(property)?.default.as_ref().map(|(_, value)| value),
        }
    }

    pub fn is_disabled(&self) -> bool {
        self.effective("disabled") == Some(&Value::Bool(true))
    }

    /// Part of a fresh router: it can be set, not removed.
    pub fn is_builtin(&self) -> bool {
        self.builtin.is_some()
    }

    /// A port about which nothing is configured; it's there because something refers to it.
    fn is_untouched_port(&self) -> bool {
        let identity = self.menu.identity();
        let is_told = |name: &str| {
            name == identity || name == "name" && self.values.get(name) == self.values.get(identity)
        };
        !self.menu.ports.is_empty() && self.values.keys().all(|name| is_told(name))
    }

    pub(crate) fn builtin(&self) -> Option<u32> {
        self.builtin
    }

    pub fn comment(&self) -> Option<String> {
        self.text("comment").filter(|c| !c.is_empty())
    }

    /// Where the item was added or last set.
    pub fn span(&self) -> Option<Span> {
        self.span
    }

    /// The explicitly set properties, by name.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// The item as a plain struct with kebab-case fields. Defaults are filled in; what is unset is absent (use `Option`).
    /// bool -> `bool`, number -> `i64`/`u64`, rate -> `u64` in bit/s, time -> `u64` in milliseconds, list and flags ->
    /// `Vec` of these; everything else is a `String` in RouterOS's text.
    pub fn view<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut fields = serde_json::Map::new();
        for property in &self.menu.properties {
            if let Some(value) = self.effective(&property.name) {
                fields.insert(property.name.clone(), to_json(value));
            }
        }
        T::deserialize(serde_json::Value::Object(fields)).map_err(|e| {
            Error::new(self.span.unwrap_or_default(), format!("{}: {e}", self.menu.slash_path()))
        })
    }
}

fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(yes) => (*yes).into(),
        Value::Number(n) => (*n).into(),
        Value::Time(n) | Value::Rate(n) => (*n).into(),
        Value::List(values) => values.iter().map(to_json).collect(),
        other => other.to_string().into(),
    }
}

#[derive(Clone, Debug, Default)]
struct List {
    items: Vec<Item>,
    next_id: u32,
    /// Unique keys in use -> the item that holds them.
    keys: HashMap<String, ItemId>,
}

/// A whole configuration; equality is that of what was configured. [`Tree::new`] holds what a fresh router has.
#[derive(Clone)]
pub struct Tree {
    /// By [`Menu::index`].
    menus: Vec<List>,
    /// Names of interfaces of all kinds -> menu index and item.
    interfaces: HashMap<String, (usize, ItemId)>,
}

/// The configured items, menu by menu; secrets are left out.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for item in self.menus.iter().flat_map(|list| &list.items).filter(|item| !item.values.is_empty()) {
            write!(f, "/{} {}", item.menu.path, item.id)?;
            for (name, value) in &item.values {
                match item.menu.property(name).is_some_and(Property::is_secret) {
                    true => write!(f, " {name}=***")?,
                    false => write!(f, " {name}={value}")?,
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree::new()
    }
}

impl PartialEq for Tree {
    fn eq(&self, other: &Tree) -> bool {
        let told =
            |list: &List| list.items.iter().filter(|i| !i.is_untouched_port()).cloned().collect::<Vec<_>>();
        self.menus.iter().map(told).eq(other.menus.iter().map(told))
    }
}

/// Properties to change: a value, or None to unset.
pub(crate) type Changes = Vec<(&'static Property, Option<Value>)>;

impl Tree {
    /// The configuration of a fresh router: its default items and settings, no port yet.
    pub fn new() -> Tree {
        static FRESH: LazyLock<Tree> = LazyLock::new(Tree::fresh);
        FRESH.clone()
    }

    fn fresh() -> Tree {
        let mut tree = Tree {
            menus: schema::menus().map(|_| List { next_id: 1, ..List::default() }).collect(),
            interfaces: HashMap::new(),
        };
        for menu in schema::menus() {
            if menu.kind == Kind::Settings {
                tree.insert(menu, BTreeMap::new(), Some(0), None, None);
            }
            for (number, default) in menu.defaults.iter().enumerate() {
                let mut values = BTreeMap::new();
                for (name, text) in default.iter().filter(|(name, _)| *name != ".id") {
                    let parsed = menu.property(name).and_then(|p| Some((p, p.ty.parse(name, text).ok()?)));
                    debug_assert!(parsed.is_some(), "/{}: default {name}={text}", menu.path);
                    if let Some((property, value)) = parsed {
                        store(&mut values, property, Some(value));
                    }
                }
                let id = tree.insert(menu, values, u32::try_from(number).ok(), None, None);
                let fixed = default.get(".id").and_then(|hex| u32::from_str_radix(hex, 16).ok());
                if let Some(fixed) = fixed {
                    tree.give_id(menu, id, ItemId(fixed));
                }
            }
        }
        tree
    }

    /// The items of a list menu in item order; the record of a settings menu. `menu` without a leading slash.
    pub fn items(&self, menu: &str) -> impl Iterator<Item = &Item> {
        self.list(menu).into_iter().flat_map(|list| list.items.iter())
    }

    /// The record of a settings menu.
    pub fn settings(&self, menu: &str) -> Option<&Item> {
        schema::menu(menu).filter(|m| m.kind == Kind::Settings)?;
        self.list(menu)?.items.first()
    }

    /// One item by its id.
    pub fn item(&self, menu: &str, id: ItemId) -> Option<&Item> {
        self.list(menu)?.items.iter().find(|item| item.id == id)
    }

    /// The interface of that name, of whichever kind; its menu is [`Item::menu`].
    pub fn interface(&self, name: &str) -> Option<&Item> {
        let (menu, id) = self.interfaces.get(name)?;
        self.menus.get(*menu)?.items.iter().find(|item| item.id == *id)
    }

    fn list(&self, menu: &str) -> Option<&List> {
        self.menus.get(schema::menu(menu)?.index)
    }

    pub(crate) fn all(&self, menu: &Menu) -> &[Item] {
        self.menus.get(menu.index).map_or(&[], |list| list.items.as_slice())
    }

    pub(crate) fn get(&self, menu: &Menu, id: ItemId) -> Option<&Item> {
        self.all(menu).iter().find(|item| item.id == id)
    }

    /// The item whose `name` is given, where names are unique in the menu.
    pub(crate) fn named(&self, menu: &Menu, name: &str) -> Option<ItemId> {
        let key = menu.unique.iter().position(|u| u.by == ["name"])?;
        self.menus.get(menu.index)?.keys.get(&format!("{key}\0{name}")).copied()
    }

    /// Adds an item at the end, or before another.
    pub(crate) fn add(
        &mut self,
        menu: &'static Menu,
        changes: Changes,
        before: Option<ItemId>,
        span: Span,
    ) -> Result<ItemId, Fault> {
        let mut values = BTreeMap::new();
        for (property, value) in changes {
            store(&mut values, property, value);
        }
        self.check_unique(menu, &values, None)?;
        Ok(self.insert(menu, values, None, before, Some(span)))
    }

    /// Changes one item; references to a changed name follow it. True where anything differs afterwards.
    pub(crate) fn set(
        &mut self,
        menu: &'static Menu,
        id: ItemId,
        changes: Changes,
        span: Span,
    ) -> Result<bool, Fault> {
        let Some(old) = self.get(menu, id) else { return Err(Fault::new("no such item")) };
        let mut values = old.values.clone();
        for (property, value) in changes {
            store(&mut values, property, value);
        }
        if values == old.values {
            return Ok(false);
        }
        self.check_unique(menu, &values, Some(id))?;
        let old_name = old.text("name");
        let old_item = old.clone();
        self.drop_keys(&old_item);
        let Some(item) = self.menus.get_mut(menu.index).and_then(|l| l.items.iter_mut().find(|i| i.id == id))
        else {
            return Err(Fault::new("no such item"));
        };
        item.values = values;
        item.span = Some(span);
        let item = item.clone();
        self.add_keys(&item);
        if let (Some(old), Some(new)) = (old_name, item.text("name"))
            && old != new
        {
            self.rename(menu, &old, &new);
        }
        Ok(true)
    }

    /// Removes items. What refers to one of them keeps its id in place of the name, as RouterOS does.
    pub(crate) fn remove(&mut self, menu: &'static Menu, ids: &[ItemId]) {
        let wanted: HashSet<ItemId> = ids.iter().copied().collect();
        let gone: Vec<Item> = self.all(menu).iter().filter(|i| wanted.contains(&i.id)).cloned().collect();
        if let Some(list) = self.menus.get_mut(menu.index) {
            list.items.retain(|i| !wanted.contains(&i.id));
        }
        for item in &gone {
            self.drop_keys(item);
            if let Some(name) = item.text("name") {
                self.rename(menu, &name, &item.id.to_string());
            }
        }
    }

    /// Moves items before another one, or to the end.
    pub(crate) fn move_items(&mut self, menu: &Menu, ids: &[ItemId], before: Option<ItemId>) {
        let wanted: HashSet<ItemId> = ids.iter().copied().collect();
        let Some(list) = self.menus.get_mut(menu.index) else { return };
        let (mut moved, mut rest): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut list.items).into_iter().partition(|i| wanted.contains(&i.id));
        moved.sort_by_key(|item| ids.iter().position(|id| *id == item.id));
        let place = before.and_then(|id| rest.iter().position(|i| i.id == id)).unwrap_or(rest.len());
        rest.splice(place..place, moved);
        list.items = rest;
    }

    /// Makes the port of that default name exist. Ports stand in the order of their names: ether2 before ether10.
    pub(crate) fn port(&mut self, menu: &'static Menu, default_name: &str) -> ItemId {
        let identity = menu.identity();
        let same = |item: &&Item| item.text(identity).as_deref() == Some(default_name);
        if let Some(item) = self.all(menu).iter().find(same) {
            return item.id;
        }
        let key = natural(default_name);
        let before = self
            .all(menu)
            .iter()
            .find(|item| item.text(identity).is_some_and(|name| natural(&name) > key))
            .map(|item| item.id);
        let mut values = BTreeMap::new();
        for name in [identity, "name"] {
            if let Some(property) = menu.property(name) {
                store(&mut values, property, Some(Value::Text(default_name.to_owned())));
            }
        }
        self.insert(menu, values, Some(0), before, None)
    }

    /// Makes ports exist that have the form of a port's name. True where `name` is an interface afterwards.
    pub(crate) fn interface_or_port(&mut self, name: &str) -> bool {
        if self.interfaces.contains_key(name) {
            return true;
        }
        for menu in schema::menus().filter(|m| m.interface && !m.ports.is_empty()) {
            let taken = |item: &Item| item.text("default-name").as_deref() == Some(name);
            if is_port_name(menu, name) && !self.all(menu).iter().any(taken) {
                self.port(menu, name);
                return true;
            }
        }
        false
    }

    /// The name under which the port of that default name is known, where it has another.
    pub(crate) fn renamed_port(&self, default_name: &str) -> Option<String> {
        schema::menus()
            .filter(|m| m.interface && !m.ports.is_empty())
            .flat_map(|m| self.all(m))
            .find(|item| item.text("default-name").as_deref() == Some(default_name))?
            .text("name")
    }

    /// True where the name is known in the menu, or is the id of an item that is gone.
    pub(crate) fn is_known(&self, target: Target<'_>, name: &str) -> bool {
        if is_id(name) {
            return true;
        }
        match target {
            Target::Interface => self.interfaces.contains_key(name),
            Target::InterfaceOrList => {
                self.interfaces.contains_key(name) || self.is_known(Target::Menu(LISTS), name)
            }
            Target::Menu(path) => match schema::menu(path) {
                Some(menu) => {
                    self.named(menu, name).is_some()
                        || self.all(menu).iter().any(|item| item.text("name").as_deref() == Some(name))
                }
                None => false,
            },
        }
    }

    /// Names that a reference could have meant.
    pub(crate) fn candidates(&self, target: Target<'_>) -> Vec<String> {
        match target {
            Target::Interface | Target::InterfaceOrList => self.interfaces.keys().cloned().collect(),
            Target::Menu(path) => self.items(path).filter_map(|item| item.text("name")).take(1000).collect(),
        }
    }

    fn insert(
        &mut self,
        menu: &'static Menu,
        values: BTreeMap<&'static str, Value>,
        builtin: Option<u32>,
        before: Option<ItemId>,
        span: Option<Span>,
    ) -> ItemId {
        let Some(list) = self.menus.get_mut(menu.index) else { return ItemId(0) };
        let id = ItemId(list.next_id);
        list.next_id += 1;
        let item = Item { id, menu, values, builtin, span };
        let place =
            before.and_then(|id| list.items.iter().position(|i| i.id == id)).unwrap_or(list.items.len());
        list.items.insert(place, item.clone());
        self.add_keys(&item);
        id
    }

    /// Lets an item of a fresh router have the id that exports name it by (`*FFFFFFFE`).
    fn give_id(&mut self, menu: &'static Menu, id: ItemId, new: ItemId) {
        let Some(mut item) = self.get(menu, id).cloned() else { return };
        self.drop_keys(&item);
        item.id = new;
        if let Some(list) = self.menus.get_mut(menu.index) {
            list.items.iter_mut().filter(|i| i.id == id).for_each(|i| i.id = new);
        }
        self.add_keys(&item);
    }

    fn check_unique(
        &self,
        menu: &Menu,
        values: &BTreeMap<&'static str, Value>,
        own: Option<ItemId>,
    ) -> Result<(), Fault> {
        let Some(list) = self.menus.get(menu.index) else { return Ok(()) };
        for (n, unique) in menu.unique.iter().enumerate() {
            let taken = unique_key(menu, n, values).and_then(|key| list.keys.get(&key).copied());
            if taken.is_some_and(|id| Some(id) != own) {
                return Err(Fault::new(unique.message.clone()));
            }
        }
        if menu.interface
            && let Some(Value::Text(name)) = values.get("name")
            && let Some((other, id)) = self.interfaces.get(name)
            && (*other, Some(*id)) != (menu.index, own)
        {
            return Err(Fault::new(format!("failure: already have interface with name {name}")));
        }
        Ok(())
    }

    fn add_keys(&mut self, item: &Item) {
        let Some(list) = self.menus.get_mut(item.menu.index) else { return };
        for n in 0..item.menu.unique.len() {
            if let Some(key) = unique_key(item.menu, n, &item.values) {
                list.keys.insert(key, item.id);
            }
        }
        if let (true, Some(name)) = (item.menu.interface, item.text("name")) {
            self.interfaces.insert(name, (item.menu.index, item.id));
        }
    }

    fn drop_keys(&mut self, item: &Item) {
        let Some(list) = self.menus.get_mut(item.menu.index) else { return };
        for n in 0..item.menu.unique.len() {
            if let Some(key) = unique_key(item.menu, n, &item.values) {
                list.keys.remove(&key);
            }
        }
        if let (true, Some(name)) = (item.menu.interface, item.text("name")) {
            self.interfaces.remove(&name);
        }
    }

    /// Lets every reference to an item follow its new name.
    fn rename(&mut self, menu: &'static Menu, old: &str, new: &str) {
        let targets: &[Target<'_>] = &[Target::Menu(&menu.path), Target::Interface];
        let targets = if menu.interface { targets } else { &targets[..1] };
        for list in &mut self.menus {
            let Some(owner) = list.items.first().map(|item| item.menu) else { continue };
            if !owner.has_references() {
                continue;
            }
            let mut changed = Vec::new();
            for item in &mut list.items {
                let before = item.clone();
                for property in owner.properties.iter().filter(|p| p.ty.has_references()) {
                    let Some(value) = item.values.get(property.name.as_str()) else { continue };
                    let renamed =
                        targets.iter().find_map(|target| property.ty.rename(value, *target, old, new));
                    if let Some(value) = renamed {
                        item.values.insert(&property.name, value);
                    }
                }
                if before.values != item.values {
                    changed.push((before, item.clone()));
                }
            }
            for (before, after) in changed {
                for n in 0..owner.unique.len() {
                    if let Some(key) = unique_key(owner, n, &before.values) {
                        list.keys.remove(&key);
                    }
                    if let Some(key) = unique_key(owner, n, &after.values) {
                        list.keys.insert(key, after.id);
                    }
                }
            }
        }
    }
}

/// `*1A`
pub(crate) fn is_id(text: &str) -> bool {
    text.strip_prefix('*').is_some_and(|hex| !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(crate) fn is_port_name(menu: &Menu, name: &str) -> bool {
    menu.ports.iter().any(|prefix| {
        if prefix == "*" {
            return !name.is_empty() && !is_id(name);
        }
        name.strip_prefix(prefix.as_str()).is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_digit())
                && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
    })
}

/// Stores a value, or nothing where it is the default.
fn store(values: &mut BTreeMap<&'static str, Value>, property: &'static Property, value: Option<Value>) {
    match value {
        Some(value) if property.default.as_ref().is_none_or(|(_, default)| *default != value) => {
            values.insert(&property.name, value);
        }
        _ => {
            values.remove(property.name.as_str());
        }
    }
}

/// The text that makes an item the only one of its kind; None where nothing of it is set.
fn unique_key(menu: &Menu, n: usize, values: &BTreeMap<&'static str, Value>) -> Option<String> {
    let unique = menu.unique.get(n)?;
    let mut key = n.to_string();
    let mut any = false;
    for name in &unique.by {
        key.push('\0');
        match values.get(name.as_str()) {
            Some(value) => key.push_str(&value.to_string()),
            None => match menu.property(name).and_then(|p| p.default.as_ref()) {
                Some((text, _)) => key.push_str(text),
                None => continue,
            },
        }
        any = true;
    }
    any.then_some(key)
}

/// Orders `ether2` before `ether10`.
fn natural(name: &str) -> (String, u64, String) {
    let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (head, rest) = name.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, tail) = rest.split_at(end);
    (head.to_owned(), number.parse().unwrap_or(u64::MAX), tail.to_owned())
}
