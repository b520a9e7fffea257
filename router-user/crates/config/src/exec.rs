//! Statements -> changes of the tree. A session goes through a script statement by statement, notes what each one
//! does on this host, and collects every error with its place.

mod apply;
mod check;
mod path;

use crate::ast::{Arg, ArgKind, Expr, Root, Statement};
use crate::dialect;
use crate::error::{Error, Errors, Span, nearest};
use crate::parser::{MAX_ERRORS, Parser};
use crate::print::{self, Rows};
use crate::query;
use crate::schema::{self, Effect, Kind, Lookup, Menu, Property};
use crate::tree::{Changes, ItemId, Tree};
use crate::types::Target;
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
            verb = path::walk(&mut path, word, *span).inspect_err(|_| self.lost = is_path)?;
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
            // The one command of a branch without items of its own.
            return self.export(&path, rest);
        };
        self.command(statement.span, menu, &verb, verb_span, rest)
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
        if path::HARMLESS.contains(&name) {
            self.note(statement.span, "", format!(":{name}: scripting is not executed here"));
            self.report(statement.span, "", Status::Kept("scripting is not executed here".into()), None);
            return Ok(Operand::Nothing);
        }
        if path::LANGUAGE.contains(&name) {
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
            "export" if menu.command("export").is_none() || args.is_empty() => {
                return self.export(&menu.path, args);
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
            if command.menu.command(&command.verb).is_some() {
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
                    if takes_item || matches!(verb, "get" | "move") || menu.command(verb).is_some() {
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

    fn export(&mut self, path: &str, args: &[Arg]) -> Outcome<Operand> {
        let mut options =
            ExportOptions { menu: (!path.is_empty()).then(|| path.to_owned()), ..ExportOptions::default() };
        for arg in args {
            match &arg.kind {
                ArgKind::Word(word) if word == "show-sensitive" => options.sensitive = true,
                ArgKind::Word(word) if word == "verbose" => options.verbose = true,
                ArgKind::Word(word) if word == "terse" => options.terse = true,
                ArgKind::Word(word) if word == "compact" || word == "hide-sensitive" => {}
                _ => return error(arg.span, "expected end of command"),
            }
        }
        self.out.push_str(&crate::export::export(self.tree, &options));
        Ok(Operand::Nothing)
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
fn assign(name: &str, name_span: Span, value: Option<String>, value_span: Span) -> Assign {
    Assign { name: name.to_owned(), name_span, value, value_span }
}
