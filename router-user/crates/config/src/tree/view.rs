//! `/interface`: the interfaces of all kinds. Its items follow those of the menus that make interfaces; they are not
//! part of the configuration themselves.

use super::item::{Item, ItemId, Values};
use super::{INTERFACES, Tree};
use crate::schema::{self, Menu};
use crate::value::Value;

impl Tree {
    /// Lets the view follow an interface that came, changed or went.
    pub(super) fn show(&mut self, old: Option<&Item>, new: Option<&Item>) {
        let Some(view) = schema::menu(INTERFACES) else { return };
        let shown = old.and_then(|old| self.named(view, &old.text("name")?));
        match (shown.and_then(|id| self.get(view, id).cloned()), new) {
            (Some(shown), Some(new)) => {
                let mut after = shown.clone();
                after.put(seen(view, new), new.span());
                self.drop_keys(&shown);
                if let Some(item) = self.list_mut(view).and_then(|list| list.get_mut(shown.id())) {
                    *item = after.clone();
                }
                self.add_keys(&after);
            }
            (Some(shown), None) => {
                self.drop_keys(&shown);
                if let Some(list) = self.list_mut(view) {
                    list.items.retain(|item| item.id() != shown.id());
                }
            }
            (None, Some(new)) => {
                self.insert(view, seen(view, new), Some(0), None, new.span());
            }
            (None, None) => {}
        }
    }

    /// The interface that an item of the view stands for; any other item itself.
    pub(crate) fn behind<'t>(&'t self, item: &'t Item) -> &'t Item {
        if item.menu().path != INTERFACES {
            return item;
        }
        item.text("name").and_then(|name| self.interface(&name)).unwrap_or(item)
    }

    /// The interface that an item of the view stands for.
    pub(crate) fn interface_behind(&self, id: ItemId) -> Option<&Item> {
        Some(self.behind(self.item(INTERFACES, id)?)).filter(|item| item.menu().path != INTERFACES)
    }
}

/// What the view shows of an interface.
fn seen(view: &'static Menu, item: &Item) -> Values {
    let mut values = Values::default();
    for property in &view.properties {
        let value = match property.name.as_str() {
            "type" => Some(Value::Text(item.menu().interface_type.clone())),
            name => item.effective(name).cloned(),
        };
        values.store(property, value);
    }
    values
}
