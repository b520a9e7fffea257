//! One item of a menu: its id and the values that differ from the defaults.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Span};
use crate::schema::{Menu, Property};
use crate::value::Value;

/// An item's id, stable for its life, unique within its menu; printed `*1A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
pub struct ItemId(pub u32);

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*{:X}", self.0)
    }
}

/// One item of a list menu, or the record of a settings menu. Equality is that of what was configured. A clone shares
/// the values with the original until one of them changes.
#[derive(Clone, Debug)]
pub struct Item(Arc<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    id: ItemId,
    menu: &'static Menu,
    values: Values,
    builtin: Option<u32>,
    span: Option<Span>,
    written: Written,
}

/// An item's statement, from when it was first made persistent. What changes an item lets it be written again.
#[derive(Default)]
struct Written(OnceLock<Box<str>>);

impl Clone for Written {
    fn clone(&self) -> Written {
        Written::default()
    }
}

/// It may hold secrets.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Item) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.menu().path == other.menu().path
                && self.0.builtin == other.0.builtin
                && self.0.values == other.0.values)
    }
}

impl Item {
    /// `builtin`: number among the items of a fresh router.
    pub(super) fn new(
        id: ItemId,
        menu: &'static Menu,
        values: Values,
        builtin: Option<u32>,
        span: Option<Span>,
    ) -> Item {
        Item(Arc::new(Inner { id, menu, values, builtin, span, written: Written::default() }))
    }

    /// A row that is not configured, as an item: what the menu's properties can hold of it.
    pub(crate) fn transient(menu: &'static Menu, id: ItemId, texts: &[(String, String)]) -> Item {
        let mut values = Values::default();
        for (name, text) in texts {
            if let Some(property) = menu.property(name) {
                let value = property.ty.parse(name, text).unwrap_or_else(|_| Value::Text(text.clone()));
                values.insert(&property.name, value);
            }
        }
        Item::new(id, menu, values, None, None)
    }

    pub fn id(&self) -> ItemId {
        self.0.id
    }

    pub fn menu(&self) -> &'static Menu {
        self.0.menu
    }

    /// Set explicitly; None where unset or the default holds.
    pub fn value(&self, property: &str) -> Option<&Value> {
        self.0.values.get(property).filter(|value| **value != Value::Unset)
    }

    /// Taken away with `!name`, where a default would hold.
    pub(crate) fn is_unset(&self, property: &str) -> bool {
        self.0.values.get(property) == Some(&Value::Unset)
    }

    /// Canonical text, explicit or the schema's default.
    pub fn text(&self, property: &str) -> Option<String> {
        match self.0.values.get(property) {
            Some(Value::Unset) => None,
            Some(value) => Some(value.to_string()),
            None => self.menu().property(property)?.default.as_ref().map(|(text, _)| text.clone()),
        }
    }

    /// True where [`Item::text`] gives just this; without making it.
    pub(crate) fn has_text(&self, property: &str, wanted: &str) -> bool {
        match self.value(property) {
            Some(Value::Text(text)) => text == wanted,
            _ => self.text(property).as_deref() == Some(wanted),
        }
    }

    /// The value, explicit or the schema's default.
    pub fn effective(&self, property: &str) -> Option<&Value> {
        match self.0.values.get(property) {
            Some(Value::Unset) => None,
            Some(value) => Some(value),
            None => self.menu().property(property)?.default.as_ref().map(|(_, value)| value),
        }
    }

    pub fn is_disabled(&self) -> bool {
        match self.0.values.get("disabled") {
            Some(value) => *value == Value::Bool(true),
            None => self.menu().is_disabled(),
        }
    }

    /// Part of a fresh router: it can be set, not removed.
    pub fn is_builtin(&self) -> bool {
        self.0.builtin.is_some()
    }

    /// A port about which nothing is configured; it's there because something refers to it.
    pub(super) fn is_untouched_port(&self) -> bool {
        let identity = self.menu().identity();
        let is_told =
            |name: &str| name == identity || name == "name" && self.value(name) == self.value(identity);
        !self.menu().ports.is_empty() && self.values().all(|(name, _)| is_told(name))
    }

    pub(crate) fn builtin(&self) -> Option<u32> {
        self.0.builtin
    }

    pub fn comment(&self) -> Option<String> {
        self.text("comment").filter(|c| !c.is_empty())
    }

    /// Where the item was added or last set.
    pub fn span(&self) -> Option<Span> {
        self.0.span
    }

    /// The explicitly set properties, by name.
    pub fn values(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.values.iter().filter(|(_, value)| **value != Value::Unset)
    }

    /// As [`Item::values`], with [`Value::Unset`] where `!name` took a property away.
    pub(crate) fn told(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.values.iter()
    }

    pub(super) fn all_values(&self) -> &Values {
        &self.0.values
    }

    /// The statement that `write` gives, which is the same each time for the same item.
    pub(crate) fn written(&self, write: impl FnOnce() -> String) -> &str {
        self.0.written.0.get_or_init(|| write().into())
    }

    /// The very same item, not one that is equal, has the same.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    pub(super) fn give_id(&mut self, id: ItemId) {
        Arc::make_mut(&mut self.0).id = id;
    }

    pub(super) fn put(&mut self, values: Values, span: Option<Span>) {
        let inner = Arc::make_mut(&mut self.0);
        inner.values = values;
        inner.written = Written::default();
        inner.span = span.or(inner.span);
    }

    /// The item as a plain struct with kebab-case fields. Defaults are filled in; what is unset is absent (use `Option`).
    /// bool -> `bool`, number -> `i64`/`u64`, rate -> `u64` in bit/s, time -> `u64` in milliseconds, list and flags ->
    /// `Vec` of these; everything else is a `String` in RouterOS's text.
    pub fn view<T: DeserializeOwned>(&self) -> Result<T, Error> {
        let mut fields = serde_json::Map::new();
        for property in &self.menu().properties {
            if let Some(value) = self.effective(&property.name) {
                fields.insert(property.name.clone(), to_json(value));
            }
        }
        T::deserialize(serde_json::Value::Object(fields)).map_err(|e| {
            Error::new(self.span().unwrap_or_default(), format!("{}: {e}", self.menu().slash_path()))
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

/// Values by property name; only those that differ from the default. Sorted, and no larger than they have to be: a
/// configuration can have a million of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Values(Vec<(&'static str, Value)>);

impl Values {
    pub fn get(&self, name: &str) -> Option<&Value> {
        let place = self.place(name).ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    pub fn insert(&mut self, name: &'static str, value: Value) {
        match self.place(name) {
            Ok(place) => {
                if let Some((_, old)) = self.0.get_mut(place) {
                    *old = value;
                }
            }
            Err(place) => self.0.insert(place, (name, value)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        if let Ok(place) = self.place(name) {
            self.0.remove(place);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// Stores a value; or nothing where it is the default, unless the property keeps what it is told.
    pub fn store(&mut self, property: &'static Property, value: Option<Value>) {
        match value {
            Some(value)
                if property.explicit
                    || property.default.as_ref().is_none_or(|(_, default)| *default != value) =>
            {
                self.insert(&property.name, value);
            }
            None if property.unset && property.default.is_some() => {
                self.insert(&property.name, Value::Unset);
            }
            _ => self.remove(&property.name),
        }
    }

    pub fn shrink(&mut self) {
        self.0.shrink_to_fit();
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| (*own).cmp(name))
    }
}
