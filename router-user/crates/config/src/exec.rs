//! Statements -> changes of the tree. A session goes through a script statement by statement, notes what each one
//! does on this host, and collects every error with its place.

use std::collections::HashSet;

use crate::ast::{Arg, ArgKind, Expr, Root, Statement};
use crate::dialect;
use crate::error::{Error, Errors, Span, nearest};
use crate::parser::{MAX_ERRORS, Parser};
use crate::print::{self, Rows};
use crate::query;
use crate::schema::{self, Effect, Kind, Lookup, Menu, Property};
use crate::tree::{Changes, ItemId, Tree};
use crate::types::Target;
use crate::value::Value;
use crate::{ExportOptions, Note, Statement as Report, Status};

/// What a statement yields.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Nothing,
    Text(String),
    Items(Vec<ItemId>),
    /// What `add` made: a value inside brackets, nothing to show.
    Added(ItemId),
}

/// `name=value`, `!name` (value None) or a bare word (`yes`), before the schema has seen it.
#[derive(Clone, Debug)]
pub(crate) struct Assign {
    pub name: String,
    pub name_span: Span,
    pub value: Option<String>,
    pub value_span: Span,
}

/// A command whose menu is known and whose arguments are evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub menu: &'static Menu,
    pub verb: String,
    pub verb_span: Span,
    pub span: Span,
    /// Items as written: names, numbers, ids.
    pub items: Vec<(String, Span)>,
    /// Items from `[ find .. ]`.
    pub found: Option<Vec<ItemId>>,
    pub assigns: Vec<Assign>,
}

/// A name that didn't exist yet when it was used.
struct Pending {
    menu: &'static Menu,
    property: &'static Property,
    target: Target<'static>,
    name: String,
    span: Span,
    statement: Span,
}

pub(crate) struct Session<'a> {
    pub tree: &'a mut Tree,
    /// The current menu's path.
    here: String,
    pub errors: Vec<Error>,
    pub reports: Vec<Report>,
    pub notes: Vec<Note>,
    pub out: String,
    pub changed: bool,
    pending: Vec<Pending>,
    rows: &'a dyn Rows,
    /// Substitutions are not statements of the script.
    quiet: u32,
    /// The current menu is unknown: what follows in it is wrong too, and not told again.
    lost: bool,
    /// Statements that could not be carried out.
    pub failed: usize,
    /// The statement at work.
    current: Span,
}

/// Commands that every list menu has.
const LIST_VERBS: [&str; 14] = [
    "add", "set", "remove", "enable", "disable", "move", "unset", "comment", "find", "get", "print",
    "export", "edit", "reset",
];
const SETTINGS_VERBS: [&str; 5] = ["set", "get", "print", "export", "edit"];

/// Commands of the language that only show something or wait.
const HARMLESS: [&str; 8] =
    ["put", "log", "delay", "beep", "environment", "terminal", "nothing", "timestamp"];
const LANGUAGE: [&str; 17] = [
    "local", "global", "set", "if", "for", "foreach", "while", "do", "return", "error", "onerror", "parse",
    "execute", "retry", "resolve", "break", "continue",
];

type Outcome<T> = Result<T, Errors>;

fn error<T>(span: Span, message: impl Into<String>) -> Outcome<T> {
    Err(Error::new(span, message).into())
}

impl<'a> Session<'a> {
    pub fn new(tree: &'a mut Tree, rows: &'a dyn Rows) -> Session<'a> {
        Session {
            tree,
            here: String::new(),
            errors: Vec::new(),
            reports: Vec::new(),
            notes: Vec::new(),
            out: String::new(),
            changed: false,
            pending: Vec::new(),
            rows,
            quiet: 0,
            lost: false,
            failed: 0,
            current: Span::default(),
        }
    }

    /// Runs a script, then looks up the names that weren't known when they were used.
    pub fn run(&mut self, text: &str) -> Operand {
        let mut parser = Parser::new(text);
        let mut last = Operand::Nothing;
        while let Some(statement) = parser.next_statement() {
            last = match statement {
                Ok(statement) => self.block(&[statement]),
                Err(e) => {
                    self.failed += 1;
                    self.errors.push(e);
                    Operand::Nothing
                }
            };
            if self.errors.len() + parser.errors.len() >= MAX_ERRORS {
                break;
            }
        }
        self.failed += parser.errors.len();
        self.errors.append(&mut parser.errors);
        self.finish_all();
        last
    }

    /// Looks up the names that weren't known when they were used, and puts the errors in order.
    pub fn finish_all(&mut self) {
        self.resolve_pending();
        self.errors.sort_by_key(Error::span);
        if self.errors.len() >= MAX_ERRORS {
            self.errors.truncate(MAX_ERRORS);
            self.errors.extend(
                self.errors.last().map(|e| Error::new(e.span(), "too many errors, the rest is not shown")),
            );
        }
    }

    /// Carries out a command that was not written as a statement.
    pub fn entry(&mut self, command: impl FnOnce(&mut Session<'a>) -> Outcome<Command>) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        let done = command(self).and_then(|command| {
            self.current = command.span;
            self.carry_out(command)
        });
        if let Err(errors) = done {
            self.failed += 1;
            self.errors.extend(errors.0);
        }
    }

    fn block(&mut self, statements: &[Statement]) -> Operand {
        let mut last = Operand::Nothing;
        for statement in statements {
            if self.errors.len() >= MAX_ERRORS {
                break;
            }
            match self.statement(statement) {
                Ok(operand) => last = operand,
                Err(errors) => {
                    last = Operand::Nothing;
                    self.failed += usize::from(self.quiet == 0);
                    self.errors.extend(errors.0);
                }
            }
        }
        last
    }

    fn statement(&mut self, statement: &Statement) -> Outcome<Operand> {
        if self.quiet == 0 {
            self.current = statement.span;
        }
        if statement.root == Root::Global {
            return self.language(statement, &statement.args);
        }
        if let ([Arg { kind: ArgKind::Value(Expr::Variable(_) | Expr::Group), span }, ..], Root::Here) =
            (statement.args.as_slice(), statement.root)
        {
            return self.scripting(*span);
        }
        let is_path = statement.args.iter().all(|arg| matches!(arg.kind, ArgKind::Word(_)));
        if self.lost && statement.root == Root::Here {
            self.failed += usize::from(self.quiet == 0);
            return Ok(Operand::Nothing);
        }
        let mut path = if statement.root == Root::Top { String::new() } else { self.here.clone() };
        let mut rest = statement.args.as_slice();
        let mut verb = None;
        while let ([Arg { span, kind: ArgKind::Word(word) }, tail @ ..], None) = (rest, &verb) {
            verb = self.walk(&mut path, word, *span).inspect_err(|_| self.lost = is_path)?;
            rest = tail;
        }
        self.lost &= verb.is_some();
        let Some((verb, verb_span)) = verb else {
            return self.enter(statement, path, rest);
        };
        if verb.starts_with(':') {
            return self.language(statement, &statement.args);
        }
        let Some(menu) = schema::menu(&path) else {
            // Only `export` and `print` get here: they work on whole branches.
            if verb == "export" {
                self.out.push_str(&self.export(&path, rest));
            }
            return Ok(Operand::Nothing);
        };
        self.command(statement.span, menu, &verb, verb_span, rest)
    }

    /// Goes down one path word, which may hold slashes. Gives the command's name once there is one.
    fn walk(&self, path: &mut String, word: &str, span: Span) -> Outcome<Option<(String, Span)>> {
        let mut offset = 0u32;
        let mut parts = word.split('/').peekable();
        while let Some(part) = parts.next() {
            let at = Span { column: span.column + offset, ..span };
            let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
            offset = offset.saturating_add(length).saturating_add(1);
            if part.is_empty() {
                continue;
            }
            if part == ".." {
                path.truncate(path.rfind('/').unwrap_or(0));
                continue;
            }
            match step(path, part) {
                Step::Menu(child) => {
                    if !path.is_empty() {
                        path.push('/');
                    }
                    path.push_str(&child);
                    // Another name of a menu goes on as the menu itself.
                    if let Some(menu) = schema::menu(path) {
                        path.clone_from(&menu.path);
                    }
                }
                Step::Command(verb) if parts.peek().is_none() => return Ok(Some((verb, at))),
                Step::Command(_) | Step::None if parts.peek().is_some() => {
                    let slash = Span { column: at.column.saturating_add(length), ..at };
                    return Err(unknown(path, part, Error::new(slash, "syntax error")).into());
                }
                Step::Command(_) | Step::None => {
                    let bad = Error::new(at, format!("bad command name {part}"));
                    return Err(unknown(path, part, bad).into());
                }
                Step::Many => return error(at, format!("ambiguous command name {part}")),
            }
        }
        Ok(None)
    }

    /// A path without a command: the current menu changes, or a block runs there.
    fn enter(&mut self, statement: &Statement, path: String, rest: &[Arg]) -> Outcome<Operand> {
        match rest {
            [] => {
                self.here = path;
                Ok(Operand::Nothing)
            }
            [Arg { kind: ArgKind::Block(block), .. }] => {
                let before = std::mem::replace(&mut self.here, path);
                let last = self.block(block);
                self.here = before;
                Ok(last)
            }
            [Arg { kind: ArgKind::Named { name, .. }, span }, ..] => {
                let length = u32::try_from(name.len()).unwrap_or(0);
                error(Span { column: span.column + length, ..*span }, "syntax error")
            }
            [arg, ..] => error(
                if statement.args.is_empty() { statement.span } else { arg.span },
                "expected command name",
            ),
        }
    }

    /// A command of the scripting language.
    fn language(&mut self, statement: &Statement, args: &[Arg]) -> Outcome<Operand> {
        let name = match args.first() {
            Some(Arg { kind: ArgKind::Word(word), .. }) => word.as_str(),
            _ => return error(statement.span, "expected command name"),
        };
        if HARMLESS.contains(&name) {
            self.note(statement.span, "", format!(":{name}: scripting is not executed here"));
            self.report(statement.span, "", Status::Kept("scripting is not executed here".into()), None);
            return Ok(Operand::Nothing);
        }
        if LANGUAGE.contains(&name) {
            return self.scripting(statement.span);
        }
        let span = args.first().map_or(statement.span, |a| a.span);
        error(span, format!("bad command name {name}"))
    }

    fn scripting<T>(&self, span: Span) -> Outcome<T> {
        Err(Error::new(span, "scripting is not executed here")
            .hint("write the resulting configuration, or keep the script in /system script")
            .into())
    }

    fn command(
        &mut self,
        span: Span,
        menu: &'static Menu,
        verb: &str,
        verb_span: Span,
        args: &[Arg],
    ) -> Outcome<Operand> {
        match verb {
            "find" => {
                let cond =
                    args.iter().find_map(|a| if let ArgKind::Where(c) = &a.kind { Some(c) } else { None });
                let Some(cond) = cond else {
                    return Ok(Operand::Items(self.tree.all(menu).iter().map(|item| item.id()).collect()));
                };
                return query::select(self.tree, menu, cond).map(Operand::Items).map_err(Errors::from);
            }
            "print" => {
                let options = print::options(menu, args)?;
                let text = print::print(self.tree, menu, &options, self.rows)?;
                self.out.push_str(&text);
                return Ok(Operand::Nothing);
            }
            "export" if !menu.commands.iter().any(|c| c == "export") || args.is_empty() => {
                let text = self.export(&menu.path, args);
                self.out.push_str(&text);
                return Ok(Operand::Nothing);
            }
            _ => {}
        }
        let before = std::mem::replace(&mut self.here, menu.path.clone());
        let command = self.evaluate((span, verb_span), menu, verb, args);
        self.here = before;
        self.carry_out(command?)
    }

    /// Turns a command into those it means, and applies them.
    fn carry_out(&mut self, command: Command) -> Outcome<Operand> {
        let (span, menu) = (command.span, command.menu);
        let mut notes = Vec::new();
        let commands = dialect::adapt(self.tree, command, &mut notes);
        for reason in notes {
            self.note(span, &menu.path, reason);
        }
        let mut last = Operand::Nothing;
        for (n, command) in commands.into_iter().enumerate() {
            if command.menu.commands.contains(&command.verb) {
                let reason = format!("{} is done once and not part of the configuration", command.verb);
                self.note(span, &menu.path, reason.clone());
                self.report(span, &menu.path, Status::Kept(reason), None);
                continue;
            }
            let operand = self.apply(command, n == 0)?;
            if n == 0 {
                last = operand;
            }
        }
        Ok(last)
    }

    /// Gives every argument its text.
    fn evaluate(
        &mut self,
        (span, verb_span): (Span, Span),
        menu: &'static Menu,
        verb: &str,
        args: &[Arg],
    ) -> Outcome<Command> {
        let mut command = Command {
            menu,
            verb: verb.to_owned(),
            verb_span,
            span,
            items: Vec::new(),
            found: None,
            assigns: Vec::new(),
        };
        let mut group = String::new();
        for arg in args {
            match &arg.kind {
                ArgKind::Named { name, value, value_span } => {
                    let name = match name.strip_prefix('.') {
                        Some(rest) if !group.is_empty() => format!("{group}.{rest}"),
                        _ => name.clone(),
                    };
                    if let Some((head, _)) = name.split_once('.') {
                        group = head.to_owned();
                    }
                    match self.operand(value, *value_span)? {
                        Operand::Items(ids) if matches!(name.as_str(), "numbers" | "number") => {
                            command.found.get_or_insert_default().extend(ids);
                        }
                        Operand::Items(ids) => {
                            let text = ids.iter().map(ItemId::to_string).collect::<Vec<_>>().join(",");
                            command.assigns.push(assign(&name, arg.span, Some(text), *value_span));
                        }
                        Operand::Text(text) if matches!(name.as_str(), "numbers" | "number") => {
                            command.items.push((text, *value_span));
                        }
                        Operand::Text(text) => {
                            command.assigns.push(assign(&name, arg.span, Some(text), *value_span))
                        }
                        Operand::Nothing | Operand::Added(_) => {
                            command.assigns.push(assign(&name, arg.span, Some(String::new()), *value_span));
                        }
                    }
                }
                ArgKind::Unset(name) => command.assigns.push(assign(name, arg.span, None, arg.span)),
                ArgKind::Word(word) => {
                    let first = command.items.is_empty() && command.found.is_none();
                    let takes_item = menu.kind == Kind::List && verb != "add" && first;
                    if takes_item || matches!(verb, "get" | "move") || menu.commands.iter().any(|c| c == verb)
                    {
                        command.items.push((word.clone(), arg.span));
                    } else {
                        command.assigns.push(self.bare(menu, word, arg.span)?);
                    }
                }
                ArgKind::Value(expr) => match self.operand(expr, arg.span)? {
                    Operand::Items(ids) => command.found.get_or_insert_default().extend(ids),
                    Operand::Text(text) => command.items.push((text, arg.span)),
                    Operand::Nothing | Operand::Added(_) => {
                        command.found.get_or_insert_default();
                    }
                },
                ArgKind::Block(_) | ArgKind::Where(_) => return error(arg.span, "expected end of command"),
            }
        }
        Ok(command)
    }

    /// A bare word among the arguments: a switch that is on.
    fn bare(&self, menu: &Menu, word: &str, span: Span) -> Outcome<Assign> {
        let is_switch = |p: &Property| matches!(p.ty, crate::types::Type::Switch | crate::types::Type::Bool);
        match menu.find_property(word) {
            Lookup::One(p) if is_switch(p) => Ok(assign(&p.name, span, Some("yes".into()), span)),
            _ => {
                let names = menu.properties.iter().filter(|p| is_switch(p)).map(|p| p.name.as_str());
                let e = Error::new(span, "expected end of command");
                Err(e.maybe(nearest(word, names)).into())
            }
        }
    }

    fn operand(&mut self, expr: &Expr, span: Span) -> Outcome<Operand> {
        match expr {
            Expr::Text(text) | Expr::Block(text) => Ok(Operand::Text(text.clone())),
            Expr::Command(statements) => {
                let here = self.here.clone();
                let known = self.errors.len();
                self.quiet += 1;
                let last = match self.block(statements) {
                    Operand::Added(id) => Operand::Items(vec![id]),
                    other => other,
                };
                self.quiet -= 1;
                self.here = here;
                match self.errors.len() > known {
                    true => Err(Errors(self.errors.split_off(known))),
                    false => Ok(last),
                }
            }
            Expr::Variable(_) | Expr::Group | Expr::Interpolated => self.scripting(span),
        }
    }

    /// Carries out one command that changes or reads items.
    fn apply(&mut self, command: Command, first: bool) -> Outcome<Operand> {
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

    /// Checks assignments against the schema; all faults at once.
    fn changes(&mut self, menu: &'static Menu, assigns: &[Assign]) -> Outcome<Changes> {
        let mut changes = Changes::new();
        let mut errors = Vec::new();
        for assign in assigns {
            match self.change(menu, assign) {
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
        if property.read_only {
            return Err(Error::new(assign.name_span, "expected end of command")
                .hint(format!("{} can only be read", property.name)));
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
        self.note_references(menu, property, &value, assign.value_span);
        Ok((property, Some(value)))
    }

    /// Lets ports come into being, and remembers names that don't exist yet.
    fn note_references(
        &mut self,
        menu: &'static Menu,
        property: &'static Property,
        value: &Value,
        span: Span,
    ) {
        if !property.ty.has_references() {
            return;
        }
        let mut wanted: Vec<(Target<'static>, String)> = Vec::new();
        let held = value.clone();
        collect(property, &held, &mut wanted);
        for (target, name) in wanted {
            let known = match target {
                Target::Menu(_) => self.tree.is_known(target, &name),
                Target::Interface | Target::InterfaceOrList => {
                    self.tree.is_known(target, &name) || self.tree.interface_or_port(&name)
                }
            };
            if !known {
                let statement = self.current;
                self.pending.push(Pending { menu, property, target, name, span, statement });
            }
        }
    }

    fn resolve_pending(&mut self) {
        for wanted in std::mem::take(&mut self.pending) {
            if self.tree.is_known(wanted.target, &wanted.name) {
                continue;
            }
            let e = Error::new(
                wanted.span,
                format!("input does not match any value of {}", wanted.property.name),
            );
            let hint = match (self.tree.renamed_port(&wanted.name), wanted.target) {
                (Some(name), Target::Interface | Target::InterfaceOrList) => {
                    Some(format!("{} is named {name} here", wanted.name))
                }
                (_, Target::Menu(path)) if self.tree.candidates(wanted.target).is_empty() => {
                    Some(format!("/{path} has no items"))
                }
                _ => nearest(&wanted.name, self.tree.candidates(wanted.target).iter().map(String::as_str))
                    .or_else(|| {
                        Some(format!("there is no {} for {}", wanted.name, wanted.menu.slash_path()))
                    }),
            };
            self.errors.push(e.maybe(hint));
            let before = self.reports.len();
            self.reports.retain(|report| report.span != wanted.statement);
            self.failed += usize::from(self.reports.len() < before);
            if self.errors.len() >= MAX_ERRORS {
                return;
            }
        }
    }

    fn export(&self, path: &str, args: &[Arg]) -> String {
        let has = |name: &str| args.iter().any(|a| matches!(&a.kind, ArgKind::Word(w) if w == name));
        let options = ExportOptions {
            sensitive: has("show-sensitive"),
            menu: (!path.is_empty()).then(|| path.to_owned()),
            verbose: has("verbose"),
            terse: has("terse"),
        };
        crate::export::export(self.tree, &options)
    }

    /// Records what a statement that went through does on this host.
    fn finish(&mut self, command: &Command, changes: &Changes, first: bool, item: Option<ItemId>) {
        let menu = command.menu;
        if !first {
            return;
        }
        let status = match &menu.effect {
            Effect::Kept(reason) => {
                self.note(command.span, &menu.path, reason.clone());
                Status::Kept(reason.clone())
            }
            Effect::Enforced => {
                for (property, value) in changes {
                    let differs =
                        value.is_some() && value.as_ref() != property.default.as_ref().map(|(_, d)| d);
                    if let (Some(reason), true) = (property.kept(), differs) {
                        self.note(command.span, &menu.path, format!("{}: {reason}", property.name));
                    }
                }
                match item.and_then(|id| self.interface_without_effect(menu, id)) {
                    Some(reason) => {
                        self.note(command.span, &menu.path, reason.clone());
                        Status::Kept(reason)
                    }
                    None => Status::Enforced,
                }
            }
        };
        self.report(command.span, &menu.path, status, item);
    }

    /// Why an item can't work yet where it stands on an interface that isn't built.
    fn interface_without_effect(&self, menu: &'static Menu, id: ItemId) -> Option<String> {
        let name = self.tree.get(menu, id)?.text("interface")?;
        match &self.tree.interface(&name)?.menu().effect {
            Effect::Kept(reason) => Some(format!("on {name}: {reason}")),
            Effect::Enforced => None,
        }
    }

    fn report(&mut self, span: Span, menu: &str, status: Status, item: Option<ItemId>) {
        if self.quiet == 0 {
            self.reports.push(Report { span, menu: format!("/{menu}"), status, item });
        }
    }

    fn note(&mut self, span: Span, menu: &str, reason: String) {
        self.notes.push(Note { line: span.line, menu: format!("/{menu}"), reason });
    }
}

fn collect(property: &'static Property, value: &Value, wanted: &mut Vec<(Target<'static>, String)>) {
    // The target borrows from the schema, which is static; the name is copied.
    property.ty.references(value, &mut |target, name| wanted.push((target, name.to_owned())));
}

fn assign(name: &str, name_span: Span, value: Option<String>, value_span: Span) -> Assign {
    Assign { name: name.to_owned(), name_span, value, value_span }
}

enum Step {
    Menu(String),
    Command(String),
    Many,
    None,
}

/// What a word means in a menu: a menu below it, or one of its commands; in full, or shortened without ambiguity.
fn step(path: &str, word: &str) -> Step {
    let below = schema::children(path).unwrap_or_default();
    if below.iter().any(|w| w == word) {
        // A command may have the name of a menu; `/certificate export` has none.
        return Step::Menu(word.to_owned());
    }
    let verbs = verbs(path);
    if verbs.contains(&word) {
        return Step::Command(word.to_owned());
    }
    if HARMLESS.contains(&word) || LANGUAGE.contains(&word) {
        return Step::Command(format!(":{word}"));
    }
    let mut menus = below.iter().filter(|w| w.starts_with(word));
    let mut commands = verbs.iter().filter(|w| w.starts_with(word));
    match (menus.next(), menus.next(), commands.next(), commands.next()) {
        (Some(menu), None, None, None) => Step::Menu(menu.clone()),
        (None, None, Some(verb), None) => Step::Command((*verb).to_owned()),
        (None, None, None, None) => Step::None,
        _ => Step::Many,
    }
}

fn verbs(path: &str) -> Vec<&'static str> {
    match schema::menu(path) {
        None => vec!["export"],
        Some(menu) => {
            let generic: &[&str] = match menu.kind {
                Kind::List => &LIST_VERBS,
                Kind::Settings => &SETTINGS_VERBS,
                Kind::Commands => &[],
            };
            generic.iter().copied().chain(menu.commands.iter().map(String::as_str)).collect()
        }
    }
}

/// Adds the nearest menu or command to an error about an unknown one.
fn unknown(path: &str, word: &str, e: Error) -> Error {
    let below = schema::children(path).unwrap_or_default();
    e.maybe(nearest(word, below.iter().map(String::as_str).chain(verbs(path))))
}
