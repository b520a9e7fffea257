//! Assignments against the schema, and the names they refer to.

use super::{Assign, Outcome, Pending, Session};
use crate::error::{Error, Errors, Span, is_misspelt, nearest};
use crate::parser::MAX_ERRORS;
use crate::schema::{Effect, Lookup, Menu, Property, Refer};
use crate::tree::{Changes, ItemId, is_id};
use crate::types::Target;
use crate::value::Value;

impl Session<'_> {
    /// Checks assignments against the schema; all faults at once.
    pub(super) fn changes(&mut self, menu: &'static Menu, assigns: &[Assign]) -> Outcome<Changes> {
        let mut changes = Changes::new();
        let mut errors = Vec::new();
        for assign in assigns {
            match self.change(menu, assign) {
                Ok((property, value))
                    if changes.iter().any(|(p, v)| p.name == property.name && *v != value) =>
                {
                    errors.push(Error::new(assign.name_span, format!("{} is given twice", property.name)));
                }
                Ok(change) => changes.push(change),
                Err(e) => errors.push(e),
            }
        }
        if errors.is_empty() { Ok(changes) } else { Err(Errors(errors)) }
    }

    fn change(
        &mut self,
        menu: &'static Menu,
        assign: &Assign,
    ) -> Result<(&'static Property, Option<Value>), Error> {
        let property = match menu.find_property(&assign.name) {
            Lookup::One(property) => property,
            Lookup::Many => {
                return Err(Error::new(assign.name_span, format!("ambiguous argument name {}", assign.name)));
            }
            Lookup::None => {
                let e = Error::new(assign.name_span, "expected end of command");
                let hint = nearest(&assign.name, menu.properties.iter().map(|p| p.name.as_str()))
                    .map(|hint| format!("{} has no property {}: {hint}", menu.slash_path(), assign.name))
                    .or_else(|| Some(format!("{} has no property {}", menu.slash_path(), assign.name)));
                return Err(e.maybe(hint));
            }
        };
        if self.options.strict && property.also.contains(&assign.name) {
            return Err(Error::new(assign.name_span, "expected end of command")
                .hint(format!("RouterOS 7 has {} in its place", property.name)));
        }
        if property.read_only {
            return Err(Error::new(assign.name_span, "expected end of command")
                .hint(format!("{} can only be read", property.name)));
        }
        let names_it =
            !menu.ports.is_empty() && menu.refer == Refer::Name && property.name == menu.identity();
        if names_it && assign.value.as_ref().is_some_and(|name| name.contains(',')) {
            return Err(Error::new(
                assign.value_span,
                format!("invalid value for argument {}", property.name),
            )
            .hint("a comma would make two names of it"));
        }
        let Some(text) = &assign.value else {
            if property.required {
                return Err(Error::new(assign.name_span, format!("{} can not be unset", property.name)));
            }
            return Ok((property, None));
        };
        if text.is_empty() && property.unset && !property.ty.takes_empty() {
            return Ok((property, None));
        }
        let value = property.ty.parse(&property.name, text).map_err(|fault| fault.at(assign.value_span))?;
        self.note_references(menu, property, &value, assign.value_span)?;
        Ok((property, Some(value)))
    }

    /// Lets ports come into being, and remembers names that don't exist yet.
    fn note_references(
        &mut self,
        menu: &'static Menu,
        property: &'static Property,
        value: &Value,
        span: Span,
    ) -> Result<(), Error> {
        // A default may name what a router does not have.
        let is_default = property.default.as_ref().is_some_and(|(_, default)| default == value);
        if is_default || !property.ty.has_references() {
            return Ok(());
        }
        let mut wanted: Vec<(Target<'static>, String)> = Vec::new();
        property.ty.references(value, &mut |target, name| wanted.push((target, name.to_owned())));
        for (target, name) in wanted {
            if is_id(&name) {
                let reason = format!("{}: {name} is an item that is gone", property.name);
                self.note(self.current, &menu.path, reason);
                continue;
            }
            let known = match target {
                Target::Menu(_) => self.tree.is_known(target, &name),
                Target::Interface | Target::InterfaceOrList => {
                    self.tree.is_known(target, &name) || self.tree.interface_or_port(&name)
                }
            };
            if known {
                continue;
            }
            let wanted = Pending { menu, property, target, name, span, statement: self.current };
            if self.options.strict || self.options.stop {
                return Err(self.unmatched(&wanted));
            }
            self.pending.push(wanted);
        }
        Ok(())
    }

    /// How many names are still to be looked up.
    pub(crate) fn pending_names(&self) -> usize {
        self.pending.len()
    }

    /// Looks up the names after the first `known` ones now; gives what is wrong with them.
    pub(crate) fn settle(&mut self, known: usize) -> Vec<Error> {
        let later = self.pending.split_off(known.min(self.pending.len()));
        let earlier = std::mem::replace(&mut self.pending, later);
        let before = self.errors.len();
        self.resolve_pending();
        self.pending = earlier;
        self.errors.split_off(before)
    }

    /// Drops the names after the first `known` ones: what used them was taken back.
    pub(crate) fn forget(&mut self, known: usize) {
        self.pending.truncate(known);
    }

    pub(super) fn resolve_pending(&mut self) {
        for wanted in std::mem::take(&mut self.pending) {
            if self.tree.is_known(wanted.target, &wanted.name) {
                continue;
            }
            if self.broken.contains(&wanted.name) {
                self.take_back(&wanted);
                continue;
            }
            if self.may_come(&wanted) {
                let reason = format!("{}: there is no {} here; inactive", wanted.property.name, wanted.name);
                self.note(wanted.statement, &wanted.menu.path, reason);
                continue;
            }
            let e = self.unmatched(&wanted);
            self.errors.push(e);
            self.take_back(&wanted);
            let before = self.reports.len();
            self.reports.retain(|report| report.span != wanted.statement);
            self.failed += usize::from(self.reports.len() < before);
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
        }
    }

    /// Leaves nothing of a statement behind that names what nothing has: what is taken of a file can be read again.
    fn take_back(&mut self, wanted: &Pending) {
        let made: Vec<ItemId> = self
            .reports
            .iter()
            .filter(|report| report.span == wanted.statement && report.menu == wanted.menu.slash_path())
            .filter_map(|report| report.item)
            .filter(|id| self.tree.get(wanted.menu, *id).is_some_and(|item| !item.is_builtin()))
            .collect();
        self.tree.remove(wanted.menu, &made);
    }

    /// True for a name that another part of the configuration can bring. One that is like a name which is there was
    /// meant to be that; and what is to have effect now has to be there, but for rules, which are invalid until then.
    fn may_come(&self, wanted: &Pending) -> bool {
        self.is_lenient()
            && (wanted.menu.effect != Effect::Enforced || wanted.menu.ordered)
            && self.tree.renamed_port(&wanted.name).is_none()
            && !is_misspelt(&wanted.name, self.tree.candidates(wanted.target).iter().map(String::as_str))
    }

    /// The error about a name that nothing has.
    fn unmatched(&self, wanted: &Pending) -> Error {
        let message = format!("input does not match any value of {}", wanted.property.name);
        let hint = match (self.tree.renamed_port(&wanted.name), wanted.target) {
            (Some(name), Target::Interface | Target::InterfaceOrList) => {
                Some(format!("{} is named {name} here", wanted.name))
            }
            (_, Target::Menu(path)) if self.tree.candidates(wanted.target).is_empty() => {
                Some(format!("/{path} has no items"))
            }
            _ => nearest(&wanted.name, self.tree.candidates(wanted.target).iter().map(String::as_str))
                .or_else(|| Some(absent(wanted))),
        };
        Error::new(wanted.span, message).maybe(hint).about(&wanted.menu.path)
    }
}

/// What to do about a name that is nowhere.
fn absent(wanted: &Pending) -> String {
    let menu = wanted.menu.slash_path();
    match wanted.target {
        Target::Menu(path) => format!("there is no {} in /{path} for {menu}", wanted.name),
        Target::Interface | Target::InterfaceOrList => format!(
            "there is no {0} for {menu}; a port of that name is made known by /interface ethernet set [ find default-name={0} ]",
            wanted.name
        ),
    }
}
