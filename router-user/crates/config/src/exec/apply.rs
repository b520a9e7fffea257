//! Commands that change or read items.

use std::sync::Arc;

use super::{Assign, Command, Operand, Outcome, Session, assign, error};
use crate::error::{Error, Span, nearest};
use crate::print::{self, Row};
use crate::query;
use crate::schema::{Kind, Menu};
use crate::tree::{Changes, Item, ItemId};

impl Session<'_> {
    /// Carries out one command that changes or reads items.
    pub(super) fn apply(&mut self, mut command: Command, first: bool) -> Outcome<Operand> {
        let menu = command.menu;
        let unknown =
            |command: &Command| error(command.verb_span, format!("bad command name {}", command.verb));
        match command.verb.as_str() {
            "add" => return self.add(&command, first),
            "remove" => return self.remove(&command, first),
            "move" => return self.reorder(command, first),
            "get" => return self.get(&command),
            "edit" => {
                return Err(Error::new(command.verb_span, "edit needs a terminal")
                    .hint("set gives a property its value at once")
                    .into());
            }
            "set" => {}
            "comment" => positional(&mut command, "comment")?,
            "unset" => {
                positional(&mut command, "value-name")?;
                unset(&mut command);
            }
            "enable" | "disable" if menu.property("disabled").is_none() => return unknown(&command),
            "enable" | "disable" => {
                refuse_arguments(&command)?;
                let value = if command.verb == "disable" { "yes" } else { "no" };
                command.assigns = vec![assign("disabled", command.span, Some(value.into()), command.span)];
            }
            "reset" => {
                positional(&mut command, "value-name").or_else(|_| refuse_arguments(&command))?;
                unset(&mut command);
                if command.assigns.is_empty() {
                    command.assigns = defaults(menu, command.span);
                }
            }
            _ => return unknown(&command),
        }
        let ids = self.items(&command)?;
        self.set(&command, &ids, first)
    }

    fn set(&mut self, command: &Command, ids: &[ItemId], first: bool) -> Outcome<Operand> {
        let changes = self.changes(command.menu, &command.assigns)?;
        self.note_slaves(command, &changes);
        for id in ids {
            let set = self.tree.set(command.menu, *id, changes.clone(), command.span);
            self.changed |= set.map_err(|fault| fault.at(command.span))?;
        }
        self.finish(command, &changes, first, ids.first().copied());
        Ok(Operand::Nothing)
    }

    fn remove(&mut self, command: &Command, first: bool) -> Outcome<Operand> {
        refuse_arguments(command)?;
        let ids = if self.console && command.menu.path.ends_with("/firewall/address-list") {
            // What rules added can go like what was configured.
            let (others, ids): (Vec<ItemId>, Vec<ItemId>) =
                self.named(command)?.into_iter().partition(|id| print::is_other(*id));
            if !others.is_empty() {
                self.ask(command, &others);
            }
            ids
        } else {
            self.items(command)?
        };
        let builtin = |id: &ItemId| self.tree.get(command.menu, *id).is_some_and(|item| item.is_builtin());
        if ids.iter().any(builtin) {
            if self.is_lenient() && command.menu.property("disabled").is_some() {
                let reason = "an item of every router is disabled in place of being removed";
                self.note(command.span, &command.menu.path, reason.into());
                let disabled = assign("disabled", command.span, Some("yes".into()), command.span);
                return self.set(&Command { assigns: vec![disabled], ..command.clone() }, &ids, first);
            }
            return Err(Error::new(command.span, "failure: can not remove default item")
                .hint("it belongs to every router; disable it if the menu has that")
                .into());
        }
        if command.menu.path == "user/group" && ids.iter().any(|id| self.has_users(*id)) {
            return Err(Error::new(command.span, "failure: group has some users")
                .hint("give its users another group first")
                .into());
        }
        self.tree.remove(command.menu, &ids);
        self.changed |= !ids.is_empty();
        self.finish(command, &Changes::new(), first, None);
        Ok(Operand::Nothing)
    }

    /// True for a group that a user is in.
    fn has_users(&self, group: ItemId) -> bool {
        let name = self.tree.item("user/group", group).and_then(|group| group.text("name"));
        name.is_some_and(|name| self.tree.items("user").any(|user| user.has_text("group", &name)))
    }

    /// RouterOS takes a rule about a port of a bridge, and says that nothing will match.
    pub(super) fn note_slaves(&mut self, command: &Command, changes: &Changes) {
        if !command.menu.path.contains("/firewall/") {
            return;
        }
        let matchers =
            changes.iter().filter(|(p, _)| matches!(p.name.as_str(), "in-interface" | "out-interface"));
        let names: Vec<String> = matchers
            .filter_map(|(_, value)| Some(value.as_ref()?.to_string().trim_start_matches('!').to_owned()))
            .collect();
        for name in names {
            let bridge = {
                let mut ports = self.tree.items("interface/bridge/port").filter(|port| !port.is_disabled());
                ports.find(|port| port.has_text("interface", &name)).and_then(|port| port.text("bridge"))
            };
            if let Some(bridge) = bridge {
                let reason = format!(
                    "in/out-interface matcher not possible when interface ({name}) is slave - use master instead ({bridge})"
                );
                self.note(command.span, &command.menu.path, reason);
            }
        }
    }

    fn reorder(&mut self, mut command: Command, first: bool) -> Outcome<Operand> {
        let menu = command.menu;
        if !menu.ordered {
            return Err(Error::new(command.verb_span, "bad command name move")
                .hint(format!("the order of items has no meaning in {}", menu.slash_path()))
                .into());
        }
        if command.items.len() + usize::from(command.found.is_some()) > 1
            && let Some((text, span)) = command.items.pop()
        {
            command.assigns.push(assign("destination", span, Some(text), span));
        }
        let mut destination = None;
        if let Some(to) = take(&mut command.assigns, "destination") {
            destination = self.before(menu, to)?;
        }
        refuse_arguments(&command)?;
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
            (None, Kind::List) => return error(command.span, "missing value(s) of argument(s) number"),
            _ => self.tree.all(menu).first().map(|item| item.id()),
        };
        let Some((item, row)) = id.and_then(|id| self.item_at(menu, id)) else {
            return error(command.span, "no such item");
        };
        let named = command.assigns.iter().find(|a| a.name == "value-name").and_then(|a| a.value.clone());
        let value = match named.or_else(|| words.first().map(|(text, _)| text.clone())) {
            Some(name) => {
                let rows = row.as_ref().map_or(self.rows, |row| row);
                query::value(&item, menu, &name, rows, command.span).map_err(|error| {
                    let names = menu.properties.iter().map(|p| p.name.as_str());
                    let unknown = Error::new(error.span(), format!("unknown value name {name}"));
                    unknown.maybe(nearest(&name, names))
                })?
            }
            None => self.item_value(menu, &item, row.as_ref(), &[]),
        };
        Ok(Operand::Value(value))
    }

    /// The item with an id; one that is not configured together with what is known of it.
    pub(crate) fn item_at(&self, menu: &'static Menu, id: ItemId) -> Option<(Item, Option<Row>)> {
        match self.tree.get(menu, id) {
            Some(item) => Some((item.clone(), None)),
            None => {
                let others = match &self.others {
                    Some((shown, others)) if *shown == menu.index => Arc::clone(others),
                    _ => print::others(menu, self.rows).into(),
                };
                let other = others.iter().find(|(item, _)| item.id() == id);
                other.map(|(item, row)| (item.clone(), Some(row.clone())))
            }
        }
    }

    /// The items a command speaks of; the record of a settings menu.
    pub(super) fn items(&mut self, command: &Command) -> Outcome<Vec<ItemId>> {
        let mut ids = self.named(command)?;
        let any = !ids.is_empty();
        ids.retain(|id| !print::is_other(*id));
        if any && ids.is_empty() {
            return Err(Error::new(command.span, "failure: can not change dynamic item")
                .hint("it is not part of the configuration: the host, or a service, made it")
                .into());
        }
        Ok(ids)
    }

    /// As [`Session::items`], with those that are not configured.
    pub(super) fn named(&mut self, command: &Command) -> Outcome<Vec<ItemId>> {
        let menu = command.menu;
        if menu.kind == Kind::Settings {
            return match (self.tree.all(menu).first(), command.items.first()) {
                (_, Some((_, span))) => error(*span, "expected end of command"),
                (Some(record), None) => Ok(vec![record.id()]),
                (None, None) => error(command.span, "no such item"),
            };
        }
        if command.found.is_none() && command.items.is_empty() {
            return Err(Error::new(command.span, "missing value(s) of argument(s) numbers")
                .hint(format!("{} which items? a name, a number, *id or [ find ... ]", command.verb))
                .into());
        }
        let mut ids = command.found.clone().unwrap_or_default();
        for (text, span) in &command.items {
            ids.extend(self.lookup(menu, text, *span)?);
        }
        Ok(ids)
    }

    /// Names, numbers, ranges and ids -> items. Numbers are those of the last `print`; where there was none, the
    /// configured items are counted and, in a command, what else there is behind them.
    pub(super) fn lookup(&mut self, menu: &'static Menu, text: &str, span: Span) -> Outcome<Vec<ItemId>> {
        if let Some(id) = self.tree.named(menu, text) {
            return Ok(vec![id]);
        }
        let mut ids = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let known = numbers(part).and_then(|(from, to)| self.numbered(menu, from, to));
            let found = known.unwrap_or_else(|| query::item(self.tree, menu, part));
            if found.is_empty() {
                return Err(self.no_such_item(menu, part, span).into());
            }
            ids.extend(found);
        }
        Ok(ids)
    }

    /// The items of these numbers, none where one of them is gone; None where no `print` says what they mean.
    fn numbered(&self, menu: &'static Menu, from: usize, to: usize) -> Option<Vec<ItemId>> {
        let is_there = |id: &ItemId| print::is_other(*id) || self.tree.get(menu, *id).is_some();
        match self.printed.get(&menu.index) {
            Some(printed) => {
                let ids = printed.get(from..=to).filter(|ids| ids.iter().all(is_there));
                Some(ids.map(<[ItemId]>::to_vec).unwrap_or_default())
            }
            None if self.console => {
                print::numbered(self.tree, menu, self.rows).get(from..=to).map(<[ItemId]>::to_vec)
            }
            None => None,
        }
    }

    fn no_such_item(&self, menu: &'static Menu, part: &str, span: Span) -> Error {
        let items = self.tree.all(menu);
        let error = Error::new(span, "no such item");
        if numbers(part).is_some() || part.starts_with('*') {
            return error.hint(match items.len() {
                0 => format!("{} has no items", menu.slash_path()),
                n => format!("{} has {n} items, numbers begin with 0", menu.slash_path()),
            });
        }
        let names: Vec<String> = items.iter().filter_map(|item| item.text("name")).take(1000).collect();
        let hint = nearest(part, names.iter().map(String::as_str));
        error.maybe(hint.or_else(|| Some(format!("{} has no item {part}", menu.slash_path()))))
    }
}

/// `2` and `2-4` as first and last number.
fn numbers(part: &str) -> Option<(usize, usize)> {
    let number = |text: &str| -> Option<usize> {
        (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
    };
    match part.split_once('-') {
        Some((from, to)) => Some((number(from)?, number(to)?)).filter(|(from, to)| from <= to),
        None => number(part).map(|n| (n, n)),
    }
}

pub(super) fn take(assigns: &mut Vec<Assign>, name: &str) -> Option<Assign> {
    let place = assigns.iter().position(|a| a.name == name)?;
    Some(assigns.remove(place))
}

/// Gives the last word without a name its name, where something before it names the items; the argument has to be there.
fn positional(command: &mut Command, name: &str) -> Outcome<()> {
    if command.assigns.iter().any(|a| a.name == name) {
        return Ok(());
    }
    let items = usize::from(command.menu.kind != Kind::Settings && command.found.is_none());
    if command.items.len() > items
        && let Some((text, span)) = command.items.pop()
    {
        command.assigns.push(assign(name, span, Some(text), span));
        return Ok(());
    }
    error(command.span, format!("missing value(s) of argument(s) {name}"))
}

/// `value-name=a,b` -> `!a !b`
fn unset(command: &mut Command) {
    while let Some(named) = take(&mut command.assigns, "value-name") {
        for name in named.value.unwrap_or_default().split(',') {
            command.assigns.push(assign(name, named.value_span, None, named.value_span));
        }
    }
}

pub(super) fn refuse_arguments(command: &Command) -> Outcome<()> {
    match command.assigns.first() {
        Some(argument) => error(argument.name_span, "expected end of command"),
        None => Ok(()),
    }
}

/// Everything of an item that has a default, or none at all, as it is on a fresh router.
fn defaults(menu: &Menu, span: Span) -> Vec<Assign> {
    let own = |name: &str| matches!(name, "name" | "default-name" | "comment" | "disabled");
    let properties = menu.properties.iter().filter(|p| !p.read_only && !p.required && !own(&p.name));
    properties
        .map(|p| {
            let text = p.default.as_ref().map(|(text, _)| text.clone());
            assign(&p.name, span, text, span)
        })
        .collect()
}
