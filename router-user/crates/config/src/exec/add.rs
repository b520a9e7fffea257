//! `add`: copies, required arguments, names, place.

use super::apply::take;
use super::{Assign, Command, Operand, Outcome, Session, error};
use crate::error::{Error, Span};
use crate::print;
use crate::schema::{Kind, Menu, Property};
use crate::tree::{Changes, ItemId};
use crate::value::Value;

impl Session<'_> {
    pub(super) fn add(&mut self, command: &Command, first: bool) -> Outcome<Operand> {
        let menu = command.menu;
        if menu.kind != Kind::List || menu.fixed {
            return Err(Error::new(command.verb_span, "bad command name add")
                .hint("the items of this menu can only be set")
                .into());
        }
        if let Some((_, span)) = command.items.first() {
            return error(*span, "expected end of command");
        }
        let mut assigns = command.assigns.clone();
        let before = self.place(menu, &mut assigns)?;
        let mut changes = self.copied(menu, &mut assigns)?;
        let written = self.changes(menu, &assigns)?;
        self.note_slaves(command, &written);
        changes.extend(written.iter().cloned());
        missing(menu, &changes, command.span)?;
        self.name_new(menu, &mut changes);
        if self.is_lenient() && self.tree.is_repeated(menu, &changes) {
            self.note(command.span, &menu.path, "an identical item exists already".into());
            self.finish(command, &written, first, None);
            return Ok(Operand::Nothing);
        }
        let id =
            self.tree.add(menu, changes, before, command.span).map_err(|fault| fault.at(command.span))?;
        self.changed = true;
        self.finish(command, &written, first, Some(id));
        Ok(Operand::Added(id))
    }

    /// `place-before=`
    fn place(&mut self, menu: &'static Menu, assigns: &mut Vec<Assign>) -> Outcome<Option<ItemId>> {
        let Some(at) = own(menu, assigns, "place-before") else { return Ok(None) };
        if !menu.ordered {
            return Err(Error::new(at.name_span, "expected end of command")
                .hint(format!("the order of items has no meaning in {}", menu.slash_path()))
                .into());
        }
        self.before(menu, at)
    }

    /// The item that others are to stand before.
    pub(super) fn before(&mut self, menu: &'static Menu, at: Assign) -> Outcome<Option<ItemId>> {
        let found = self.lookup(menu, &at.value.unwrap_or_default(), at.value_span)?.first().copied();
        if found.is_some_and(print::is_other) {
            return Err(Error::new(at.value_span, "failure: cannot move builtin")
                .hint("the item is not part of the configuration: nothing can be put before it")
                .into());
        }
        Ok(found)
    }

    /// `copy-from=`: the values of another item, for those that are not given.
    fn copied(&mut self, menu: &'static Menu, assigns: &mut Vec<Assign>) -> Outcome<Changes> {
        let Some(from) = own(menu, assigns, "copy-from") else { return Ok(Changes::new()) };
        let ids = self.lookup(menu, &from.value.unwrap_or_default(), from.value_span)?;
        let Some(item) = ids.first().and_then(|id| self.tree.get(menu, *id)) else {
            return error(from.value_span, "no such item");
        };
        Ok(item
            .values()
            .filter_map(|(name, value)| Some((menu.property(name)?, Some(value.clone()))))
            .filter(|(property, _)| !property.read_only)
            .collect())
    }

    /// Interfaces that are added without a name get the next free one: `vlan1`.
    fn name_new(&self, menu: &'static Menu, changes: &mut Changes) {
        let Some(property) = menu.property("name").filter(|_| menu.interface) else { return };
        if changes.iter().any(|(p, v)| p.name == "name" && v.is_some()) {
            return;
        }
        let kind = menu.path.rsplit('/').next().unwrap_or("interface");
        let free = (1u32..).map(|n| format!("{kind}{n}")).find(|name| self.tree.interface(name).is_none());
        changes.push((property, free.map(Value::Text)));
    }
}

/// An argument of `add` itself, where no property has its name.
fn own(menu: &Menu, assigns: &mut Vec<Assign>, name: &str) -> Option<Assign> {
    menu.property(name).is_none().then(|| take(assigns, name))?
}

/// What `add` needs and didn't get: the names in the order of RouterOS, or its words where one of several is needed.
fn missing(menu: &Menu, changes: &Changes, span: Span) -> Outcome<()> {
    let is_given = |name: &&String| changes.iter().any(|(p, v)| p.name == **name && v.is_some());
    let is_told = |name: &String| changes.iter().any(|(p, v)| p.name == *name && tells(p, v.as_ref()));
    let missing: Vec<&str> =
        menu.required.iter().filter(|name| !is_given(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return error(span, format!("missing value(s) of argument(s) {}", missing.join(" ")));
    }
    for needed in &menu.any_of {
        if !needed.names.iter().any(is_told) {
            let hint = format!("give one of {}", needed.names.join(", "));
            let hint = (!needed.names.is_empty()).then_some(hint);
            return Err(Error::new(span, needed.message.clone()).maybe(hint).into());
        }
    }
    Ok(())
}

/// True for a value that says more than the default, and more than nothing.
fn tells(property: &Property, value: Option<&Value>) -> bool {
    let is_default = value == property.default.as_ref().map(|(_, value)| value);
    !is_default && value.is_some_and(|value| !value.to_string().is_empty())
}
