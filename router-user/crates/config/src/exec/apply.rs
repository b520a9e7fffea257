//! Commands that change or read items.

use std::collections::HashSet;

use super::{Assign, Command, Operand, Outcome, Session, assign, error};
use crate::error::{Error, Span, nearest};
use crate::query;
use crate::schema::{Kind, Lookup, Menu};
use crate::tree::{Changes, ItemId};
use crate::value::Value;

impl Session<'_> {
    /// Carries out one command that changes or reads items.
    pub(super) fn apply(&mut self, command: Command, first: bool) -> Outcome<Operand> {
        let menu = command.menu;
        match command.verb.as_str() {
            "add" => self.add(&command, first),
            "set" | "edit" | "reset" if menu.kind == Kind::Settings => {
                let Some(id) = self.tree.all(menu).first().map(|i| i.id()) else {
                    return error(command.span, "no such item");
                };
                self.set(&command, &[id], first)
            }
            "set" => {
                let ids = self.items(&command)?;
                self.set(&command, &ids, first)
            }
            "comment" => {
                let ids = self.items(&command)?;
                self.set(&command, &ids, first)
            }
            "enable" | "disable" => {
                let ids = self.items(&command)?;
                let value = if command.verb == "disable" { "yes" } else { "no" };
                if menu.property("disabled").is_none() {
                    return error(command.verb_span, format!("bad command name {}", command.verb));
                }
                let mut command = command;
                command.assigns = vec![assign("disabled", command.span, Some(value.into()), command.span)];
                self.set(&command, &ids, first)
            }
            "unset" => {
                let ids = self.items(&command)?;
                let mut command = command;
                for assign in &mut command.assigns {
                    if assign.name == "value-name" {
                        assign.name = assign.value.take().unwrap_or_default();
                        assign.name_span = assign.value_span;
                    }
                }
                self.set(&command, &ids, first)
            }
            "remove" => self.remove(&command, first),
            "move" => self.reorder(command, first),
            "get" => self.get(&command),
            other => error(command.verb_span, format!("bad command name {other}")),
        }
    }

    fn add(&mut self, command: &Command, first: bool) -> Outcome<Operand> {
        let menu = command.menu;
        if menu.kind != Kind::List || menu.fixed {
            return Err(Error::new(command.verb_span, "bad command name add")
                .hint("the items of this menu can only be set")
                .into());
        }
        if let Some((_, span)) = command.items.first() {
            return error(*span, "expected end of command");
        }
        let mut changes = Changes::new();
        let mut before = None;
        let mut assigns = command.assigns.clone();
        let mut place = |name: &str| -> Option<Assign> {
            let i = assigns.iter().position(|a| a.name == name && menu.property(name).is_none())?;
            Some(assigns.remove(i))
        };
        if let Some(at) = place("place-before") {
            before = self.lookup(menu, &at.value.unwrap_or_default(), at.value_span)?.first().copied();
        }
        if let Some(from) = place("copy-from") {
            let ids = self.lookup(menu, &from.value.unwrap_or_default(), from.value_span)?;
            if let Some(item) = ids.first().and_then(|id| self.tree.get(menu, *id)) {
                let copied = item
                    .values()
                    .filter_map(|(name, value)| Some((menu.property(name)?, Some(value.clone()))));
                changes.extend(copied);
            }
        }
        let written = self.changes(menu, &assigns)?;
        changes.extend(written.iter().cloned());
        let given: HashSet<&str> =
            changes.iter().filter(|(_, v)| v.is_some()).map(|(p, _)| p.name.as_str()).collect();
        let missing: Vec<&str> = menu
            .properties
            .iter()
            .filter(|p| p.required && !given.contains(p.name.as_str()))
            .map(|p| p.name.as_str())
            .collect();
        if !missing.is_empty() {
            return error(command.span, format!("missing value(s) of argument(s) {}", missing.join(" ")));
        }
        self.name_new(menu, &mut changes);
        if menu.repeatable && self.already_there(menu, &changes) {
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

    fn already_there(&self, menu: &'static Menu, changes: &Changes) -> bool {
        let name = changes.iter().find(|(p, _)| p.name == "name").and_then(|(_, v)| v.as_ref());
        let Some(Value::Text(name)) = name else { return false };
        let Some(item) = self.tree.named(menu, name).and_then(|id| self.tree.get(menu, id)) else {
            return false;
        };
        let wanted =
            changes.iter().filter(|(p, v)| v.is_some() && v.as_ref() != p.default.as_ref().map(|(_, d)| d));
        item.values().count() == wanted.clone().count()
            && wanted.clone().all(|(p, value)| item.value(&p.name) == value.as_ref())
    }

    fn set(&mut self, command: &Command, ids: &[ItemId], first: bool) -> Outcome<Operand> {
        let changes = self.changes(command.menu, &command.assigns)?;
        for id in ids {
            let set = self.tree.set(command.menu, *id, changes.clone(), command.span);
            self.changed |= set.map_err(|fault| fault.at(command.span))?;
        }
        self.finish(command, &changes, first, ids.first().copied());
        Ok(Operand::Nothing)
    }

    fn remove(&mut self, command: &Command, first: bool) -> Outcome<Operand> {
        let ids = self.items(command)?;
        let builtin = |id: &ItemId| self.tree.get(command.menu, *id).is_some_and(|item| item.is_builtin());
        if ids.iter().any(builtin) {
            return Err(Error::new(command.span, "failure: can not remove default item")
                .hint("it belongs to every router; disable it if the menu has that")
                .into());
        }
        self.tree.remove(command.menu, &ids);
        self.changed |= !ids.is_empty();
        self.finish(command, &Changes::new(), first, None);
        Ok(Operand::Nothing)
    }

    fn reorder(&mut self, mut command: Command, first: bool) -> Outcome<Operand> {
        let menu = command.menu;
        if !menu.ordered {
            return error(command.span, "bad command name move");
        }
        let mut destination = None;
        if let Some(i) = command.assigns.iter().position(|a| a.name == "destination") {
            let to = command.assigns.remove(i);
            destination = self.lookup(menu, &to.value.unwrap_or_default(), to.value_span)?.first().copied();
        } else if command.items.len() + usize::from(command.found.is_some()) > 1
            && let Some((text, span)) = command.items.pop()
        {
            destination = self.lookup(menu, &text, span)?.first().copied();
        }
        let ids = self.items(&command)?;
        self.tree.move_items(menu, &ids, destination);
        self.changed |= !ids.is_empty();
        self.finish(&command, &Changes::new(), first, None);
        Ok(Operand::Nothing)
    }

    fn get(&mut self, command: &Command) -> Outcome<Operand> {
        let menu = command.menu;
        let mut words = command.items.clone();
        let id = match (&command.found, menu.kind) {
            (Some(ids), _) => ids.first().copied(),
            (None, Kind::List) if !words.is_empty() => {
                let (text, span) = words.remove(0);
                self.lookup(menu, &text, span)?.first().copied()
            }
            _ => self.tree.all(menu).first().map(|item| item.id()),
        };
        let Some(item) = id.and_then(|id| self.tree.get(menu, id)) else {
            return error(command.span, "no such item");
        };
        let named = command.assigns.iter().find(|a| a.name == "value-name").and_then(|a| a.value.clone());
        let text = match named.or_else(|| words.first().map(|(text, _)| text.clone())) {
            Some(name) => match menu.find_property(&name) {
                Lookup::One(property) => item.text(&property.name).unwrap_or_default(),
                _ => {
                    let e = Error::new(command.span, format!("unknown value name {name}"));
                    let names = menu.properties.iter().map(|p| p.name.as_str());
                    return Err(e.maybe(nearest(&name, names)).into());
                }
            },
            None => {
                let pairs = menu
                    .properties
                    .iter()
                    .filter_map(|p| Some(format!("{}={}", p.name, item.text(&p.name)?)));
                pairs.collect::<Vec<_>>().join(";")
            }
        };
        Ok(Operand::Text(text))
    }

    /// The items a command speaks of.
    fn items(&mut self, command: &Command) -> Outcome<Vec<ItemId>> {
        if command.found.is_none() && command.items.is_empty() {
            return error(command.span, "missing value(s) of argument(s) numbers");
        }
        let mut ids = command.found.clone().unwrap_or_default();
        for (text, span) in &command.items {
            ids.extend(self.lookup(command.menu, text, *span)?);
        }
        Ok(ids)
    }

    /// Names, numbers, ranges and ids -> items.
    fn lookup(&mut self, menu: &'static Menu, text: &str, span: Span) -> Outcome<Vec<ItemId>> {
        let mut ids = Vec::new();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let found = query::item(self.tree, menu, part);
            if found.is_empty() {
                let names =
                    self.tree.all(menu).iter().filter_map(|i| i.text("name")).take(1000).collect::<Vec<_>>();
                let e = Error::new(span, "no such item");
                return Err(e.maybe(nearest(part, names.iter().map(String::as_str))).into());
            }
            ids.extend(found);
        }
        Ok(ids)
    }
}
