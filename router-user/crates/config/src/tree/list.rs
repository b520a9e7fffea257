//! The items of one menu, with the keys that make them unique.

use std::collections::HashMap;
use std::sync::Arc;

use super::item::{Item, ItemId, Values};
use crate::schema::Menu;

#[derive(Clone, Debug)]
pub(super) struct List {
    pub items: Vec<Item>,
    pub next_id: u32,
    /// Ids grow with the position; true until something is moved.
    ascending: bool,
    /// Unique keys in use -> the item that holds them.
    keys: HashMap<Arc<str>, ItemId>,
}

impl Default for List {
    fn default() -> List {
        List { items: Vec::new(), next_id: 1, ascending: true, keys: HashMap::new() }
    }
}

impl List {
    pub fn position(&self, id: ItemId) -> Option<usize> {
        match self.ascending {
            true => self.items.binary_search_by_key(&id, Item::id).ok(),
            false => self.items.iter().position(|item| item.id() == id),
        }
    }

    pub fn get(&self, id: ItemId) -> Option<&Item> {
        self.items.get(self.position(id)?)
    }

    pub fn get_mut(&mut self, id: ItemId) -> Option<&mut Item> {
        let place = self.position(id)?;
        self.items.get_mut(place)
    }

    /// The item that holds a unique key.
    pub fn holder(&self, key: &str) -> Option<ItemId> {
        self.keys.get(key).copied()
    }

    pub fn insert(&mut self, place: usize, item: Item) {
        self.ascending &=
            place == self.items.len() && self.items.last().is_none_or(|last| last.id() < item.id());
        self.items.insert(place.min(self.items.len()), item);
    }

    /// The items in another order, or with other ids.
    pub fn reorder(&mut self, items: Vec<Item>) {
        self.ascending = items.is_sorted_by_key(Item::id);
        self.items = items;
    }

    pub fn add_keys(&mut self, item: &Item) {
        for n in 0..item.menu().unique.len() {
            if let Some(key) = unique_key(item.menu(), n, item.all_values()) {
                self.keys.insert(key.into(), item.id());
            }
        }
    }

    pub fn drop_keys(&mut self, item: &Item) {
        for n in 0..item.menu().unique.len() {
            if let Some(key) = unique_key(item.menu(), n, item.all_values()) {
                self.keys.remove(key.as_str());
            }
        }
    }
}

/// The text that makes an item the only one of its kind; None where nothing of it is set.
pub(super) fn unique_key(menu: &Menu, n: usize, values: &Values) -> Option<String> {
    let unique = menu.unique.get(n)?;
    let mut key = n.to_string();
    let mut any = false;
    for name in &unique.by {
        key.push('\0');
        match values.get(name) {
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

/// The key of an item that is unique by its name alone.
pub(super) fn name_key(menu: &Menu, name: &str) -> Option<String> {
    let n = menu.unique.iter().position(|unique| unique.by == ["name"])?;
    Some(format!("{n}\0{name}"))
}
