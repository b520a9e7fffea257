//! The configuration: every menu's items in order, with ids, uniqueness and references.
//!
//! A clone shares everything with the original until one of them changes, and then copies one menu's list, not the items.

mod item;
mod list;
mod view;

pub use item::{Item, ItemId};

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use crate::error::{Fault, Span};
use crate::schema::{self, Kind, Menu, Property};
use crate::types::{LISTS, Target, Type};
use crate::value::Value;
use item::Values;
use list::{List, name_key, unique_key};

/// The menu that shows interfaces of all kinds.
pub(crate) const INTERFACES: &str = "interface";

/// A whole configuration; equality is that of what was configured. [`Tree::new`] holds what a fresh router has.
#[derive(Clone)]
pub struct Tree {
    /// By [`Menu::index`].
    menus: Vec<Arc<List>>,
    /// Names of interfaces of all kinds -> menu index and item.
    interfaces: Arc<HashMap<String, (usize, ItemId)>>,
}

/// The configured items, menu by menu; secrets are left out.
impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let items = self.menus.iter().flat_map(|list| &list.items);
        for item in items.filter(|item| !item.all_values().is_empty()) {
            write!(f, "/{} {}", item.menu().path, item.id())?;
            for (name, value) in item.values() {
                match item.menu().property(name).is_some_and(Property::is_secret) {
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
        fn told(list: &List) -> impl Iterator<Item = &Item> {
            list.items.iter().filter(|item| !item.is_untouched_port())
        }
        let view = schema::menu(INTERFACES).map(|menu| menu.index);
        let mut lists = self.menus.iter().zip(&other.menus).enumerate().filter(|(n, _)| Some(*n) != view);
        self.menus.len() == other.menus.len()
            && lists.all(|(_, (a, b))| Arc::ptr_eq(a, b) || told(a).eq(told(b)))
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
        let mut tree =
            Tree { menus: schema::menus().map(|_| Arc::default()).collect(), interfaces: Arc::default() };
        for menu in schema::menus() {
            if menu.kind == Kind::Settings {
                tree.insert(menu, Values::default(), Some(0), None, None);
            }
            for (number, default) in menu.defaults.iter().enumerate() {
                let mut values = Values::default();
                for (name, text) in default.iter().filter(|(name, _)| *name != ".id") {
                    let parsed = menu.property(name).and_then(|p| Some((p, p.ty.parse(name, text).ok()?)));
                    debug_assert!(parsed.is_some(), "/{}: default {name}={text}", menu.path);
                    if let Some((property, value)) = parsed {
                        values.store(property, Some(value));
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

    /// The items of menus that are not, as the very same, in another configuration, with their places; None where any
    /// other menu differs.
    pub(crate) fn changed(&self, before: &Tree, menus: &[&Menu]) -> Option<Vec<(usize, &Item)>> {
        let mut changed = Vec::new();
        let lists = self.menus.iter().zip(&before.menus).enumerate();
        for (index, (now, before)) in lists.filter(|(_, (now, before))| !Arc::ptr_eq(now, before)) {
            if !menus.iter().any(|menu| menu.index == index) {
                return None;
            }
            let known: HashSet<usize> = before.items.iter().map(Item::address).collect();
            let items = now.items.iter().enumerate();
            changed.extend(items.filter(|(_, item)| !known.contains(&item.address())));
        }
        Some(changed)
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
        self.list(menu)?.get(id)
    }

    /// The interface of that name, of whichever kind; its menu is [`Item::menu`].
    pub fn interface(&self, name: &str) -> Option<&Item> {
        let (menu, id) = self.interfaces.get(name)?;
        self.menus.get(*menu)?.get(*id)
    }

    fn list(&self, menu: &str) -> Option<&List> {
        self.menus.get(schema::menu(menu)?.index).map(Arc::as_ref)
    }

    fn list_mut(&mut self, menu: &Menu) -> Option<&mut List> {
        self.menus.get_mut(menu.index).map(Arc::make_mut)
    }

    pub(crate) fn all(&self, menu: &Menu) -> &[Item] {
        self.menus.get(menu.index).map_or(&[], |list| list.items.as_slice())
    }

    pub(crate) fn get(&self, menu: &Menu, id: ItemId) -> Option<&Item> {
        self.menus.get(menu.index)?.get(id)
    }

    /// The item whose `name` is given, where names are unique in the menu.
    pub(crate) fn named(&self, menu: &Menu, name: &str) -> Option<ItemId> {
        self.menus.get(menu.index)?.holder(&name_key(menu, name)?)
    }

    /// Adds an item at the end, or before another.
    pub(crate) fn add(
        &mut self,
        menu: &'static Menu,
        changes: Changes,
        before: Option<ItemId>,
        span: Span,
    ) -> Result<ItemId, Fault> {
        let mut values = Values::default();
        for (property, value) in changes {
            values.store(property, value);
        }
        values.shrink();
        self.check_unique(menu, &values, None)?;
        Ok(self.insert(menu, values, None, before, Some(span)))
    }

    /// True where an item with just these values is there and a second one can't be.
    pub(crate) fn is_repeated(&self, menu: &'static Menu, changes: &Changes) -> bool {
        if menu.unique.is_empty() {
            return false;
        }
        let mut values = Values::default();
        for (property, value) in changes {
            values.store(property, value.clone());
        }
        let Some(list) = self.menus.get(menu.index) else { return false };
        let same = |id: ItemId| list.get(id).is_some_and(|item| *item.all_values() == values);
        let keys = (0..menu.unique.len()).filter_map(|n| unique_key(menu, n, &values));
        keys.filter_map(|key| list.holder(&key)).any(same)
    }

    /// Changes one item; references to a changed name follow it. True where anything differs afterwards.
    pub(crate) fn set(
        &mut self,
        menu: &'static Menu,
        id: ItemId,
        changes: Changes,
        span: Span,
    ) -> Result<bool, Fault> {
        let Some(old) = self.get(menu, id).cloned() else { return Err(Fault::new("no such item")) };
        let mut values = old.all_values().clone();
        for (property, value) in changes {
            values.store(property, value);
        }
        if values == *old.all_values() {
            return Ok(false);
        }
        self.check_unique(menu, &values, Some(id))?;
        self.drop_keys(&old);
        let Some(item) = self.list_mut(menu).and_then(|list| list.get_mut(id)) else {
            return Err(Fault::new("no such item"));
        };
        item.put(values, Some(span));
        let new = item.clone();
        self.add_keys(&new);
        if menu.interface {
            self.show(Some(&old), Some(&new));
        }
        if let (Some(old), Some(new)) = (old.text("name"), new.text("name"))
            && old != new
        {
            self.rename(menu, &old, &new);
        }
        Ok(true)
    }

    /// Removes items. What refers to one of them keeps its id in place of the name, as RouterOS does.
    pub(crate) fn remove(&mut self, menu: &'static Menu, ids: &[ItemId]) {
        let wanted: HashSet<ItemId> = ids.iter().copied().collect();
        let gone: Vec<Item> = self.all(menu).iter().filter(|i| wanted.contains(&i.id())).cloned().collect();
        if let Some(list) = self.list_mut(menu).filter(|_| !gone.is_empty()) {
            list.items.retain(|item| !wanted.contains(&item.id()));
        }
        for item in &gone {
            self.drop_keys(item);
            if menu.interface {
                self.show(Some(item), None);
            }
            if let Some(name) = item.text("name") {
                self.rename(menu, &name, &item.id().to_string());
            }
        }
    }

    /// Moves items before another one, or to the end.
    pub(crate) fn move_items(&mut self, menu: &Menu, ids: &[ItemId], before: Option<ItemId>) {
        let places: HashMap<ItemId, usize> = ids.iter().enumerate().map(|(n, id)| (*id, n)).collect();
        let Some(list) = self.list_mut(menu) else { return };
        let (mut moved, mut rest): (Vec<Item>, Vec<Item>) =
            std::mem::take(&mut list.items).into_iter().partition(|item| places.contains_key(&item.id()));
        moved.sort_by_key(|item| places.get(&item.id()));
        let place = before.and_then(|id| rest.iter().position(|i| i.id() == id)).unwrap_or(rest.len());
        rest.splice(place..place, moved);
        list.reorder(rest);
    }

    /// Makes the port of that default name exist. Ports stand in the order of their names: ether2 before ether10.
    pub(crate) fn port(&mut self, menu: &'static Menu, default_name: &str) -> ItemId {
        let identity = menu.identity();
        if let Some(item) = self.all(menu).iter().find(|item| item.has_text(identity, default_name)) {
            return item.id();
        }
        let key = natural(default_name);
        let before = self
            .all(menu)
            .iter()
            .find(|item| item.text(identity).is_some_and(|name| natural(&name) > key))
            .map(Item::id);
        let mut values = Values::default();
        for name in [identity, "name"] {
            if let Some(property) = menu.property(name) {
                values.store(property, Some(Value::Text(default_name.to_owned())));
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
            let taken = |item: &Item| item.has_text("default-name", name);
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
            .find(|item| item.has_text("default-name", default_name))?
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
            // A VRF brings a table of its name.
            Target::Menu("routing/table") if self.is_known(Target::Menu("ip/vrf"), name) => true,
            Target::Menu(path) => schema::menu(path).is_some_and(|menu| match name_key(menu, name) {
                Some(_) => self.named(menu, name).is_some(),
                None => self.all(menu).iter().any(|item| item.has_text("name", name)),
            }),
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
        values: Values,
        builtin: Option<u32>,
        before: Option<ItemId>,
        span: Option<Span>,
    ) -> ItemId {
        let Some(list) = self.list_mut(menu) else { return ItemId(0) };
        let id = ItemId(list.next_id);
        list.next_id = list.next_id.saturating_add(1);
        let item = Item::new(id, menu, values, builtin, span);
        let place = before.and_then(|id| list.position(id)).unwrap_or(list.items.len());
        list.insert(place, item.clone());
        self.add_keys(&item);
        if menu.interface {
            self.show(None, Some(&item));
        }
        id
    }

    /// Lets an item of a fresh router have the id that exports name it by (`*FFFFFFFE`).
    fn give_id(&mut self, menu: &'static Menu, id: ItemId, new: ItemId) {
        let Some(mut item) = self.get(menu, id).cloned() else { return };
        self.drop_keys(&item);
        item.give_id(new);
        if let Some(list) = self.list_mut(menu) {
            let mut items = std::mem::take(&mut list.items);
            items.iter_mut().filter(|own| own.id() == id).for_each(|own| *own = item.clone());
            list.reorder(items);
        }
        self.add_keys(&item);
    }

    fn check_unique(&self, menu: &Menu, values: &Values, own: Option<ItemId>) -> Result<(), Fault> {
        let Some(list) = self.menus.get(menu.index) else { return Ok(()) };
        for (n, unique) in menu.unique.iter().enumerate() {
            let taken = unique_key(menu, n, values).and_then(|key| list.holder(&key));
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
        let menu = item.menu();
        if let Some(list) = self.list_mut(menu) {
            list.add_keys(item);
        }
        if let (true, Some(name)) = (menu.interface, item.text("name")) {
            Arc::make_mut(&mut self.interfaces).insert(name, (menu.index, item.id()));
        }
    }

    fn drop_keys(&mut self, item: &Item) {
        let menu = item.menu();
        if let Some(list) = self.list_mut(menu) {
            list.drop_keys(item);
        }
        if let (true, Some(name)) = (menu.interface, item.text("name")) {
            Arc::make_mut(&mut self.interfaces).remove(&name);
        }
    }

    /// Lets every reference to an item follow its new name.
    fn rename(&mut self, menu: &'static Menu, old: &str, new: &str) {
        if NAMED.get(menu.index) != Some(&true) {
            return;
        }
        let targets: &[Target<'_>] = &[Target::Menu(&menu.path), Target::Interface];
        let targets = if menu.interface { targets } else { &targets[..1] };
        for shared in &mut self.menus {
            let Some(owner) = shared.items.first().map(Item::menu) else { continue };
            if !owner.has_references() {
                continue;
            }
            let referring: Vec<&'static Property> =
                owner.properties.iter().filter(|p| p.ty.has_references()).collect();
            let mut renamed = Vec::new();
            for (place, item) in shared.items.iter().enumerate() {
                let changed: Vec<(&'static Property, Value)> = referring
                    .iter()
                    .filter_map(|property| {
                        let value = item.value(&property.name)?;
                        let new = targets.iter().find_map(|t| property.ty.rename(value, *t, old, new))?;
                        Some((*property, new))
                    })
                    .collect();
                if !changed.is_empty() {
                    renamed.push((place, changed));
                }
            }
            if renamed.is_empty() {
                continue;
            }
            let list = Arc::make_mut(shared);
            for (place, changed) in renamed {
                let Some(before) = list.items.get(place).cloned() else { continue };
                let mut values = before.all_values().clone();
                for (property, value) in changed {
                    values.insert(&property.name, value);
                }
                let mut after = before.clone();
                after.put(values, None);
                list.drop_keys(&before);
                list.add_keys(&after);
                if let Some(item) = list.items.get_mut(place) {
                    *item = after;
                }
            }
        }
    }
}

/// By [`Menu::index`]: whether a property somewhere names items of the menu.
static NAMED: LazyLock<Vec<bool>> = LazyLock::new(|| {
    fn visit(ty: &Type, paths: &mut HashSet<String>) {
        match ty {
            Type::Reference(path) => {
                paths.insert(path.clone());
            }
            Type::List(inner) | Type::Not(inner) | Type::Range(inner) | Type::Pair(inner) => {
                visit(inner, paths);
            }
            Type::OneOf(types) => types.iter().for_each(|ty| visit(ty, paths)),
            _ => {}
        }
    }
    let mut paths = HashSet::from([LISTS.to_owned()]);
    schema::menus().flat_map(|menu| &menu.properties).for_each(|p| visit(&p.ty, &mut paths));
    schema::menus().map(|menu| menu.interface || paths.contains(&menu.path)).collect()
});

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

/// Orders `ether2` before `ether10`.
fn natural(name: &str) -> (String, u64, String) {
    let digits = name.find(|c: char| c.is_ascii_digit()).unwrap_or(name.len());
    let (head, rest) = name.split_at(digits);
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, tail) = rest.split_at(end);
    (head.to_owned(), number.parse().unwrap_or(u64::MAX), tail.to_owned())
}
