//! Statements -> changes of the tree. A session goes through a script statement by statement, notes what each one
//! does on this host, and collects every error with its place.

mod act;
mod add;
mod apply;
mod check;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ast::{self, Arg, Expr, Statement, StatementKind};
use crate::dialect::{self, Meaning};
use crate::error::{Error, Errors, Span};
use crate::parser::{MAX_ERRORS, Mode, Parser};
use crate::print::{self, Row, Rows};
use crate::schema::{self, Effect, Menu, Property};
use crate::script::{Globals, Limits, Nowhere, Script, State, Stop, Value, is_scripted};
use crate::tree::{Changes, INTERFACES, Item, ItemId, Tree};
use crate::types::{Target, Type};
use crate::{Act, ImportOptions, Note, Statement as Report, Status};

/// What a statement yields.
#[derive(Clone, Debug)]
pub(crate) enum Operand {
    Nothing,
    Text(String),
    Items(Vec<ItemId>),
    /// What `add` made: a value inside brackets, nothing to show.
    Added(ItemId),
    /// A value of a script.
    Value(Value),
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

/// A menu's number, and its items that are not configured.
type Others = (usize, Arc<[(Item, Row)]>);

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
    pub errors: Vec<Error>,
    pub reports: Vec<Report>,
    pub notes: Vec<Note>,
    pub out: String,
    /// What `print` showed last, as data.
    pub rows_out: Option<serde_json::Value>,
    /// Milliseconds until `print` is to be run again.
    pub again: Option<u64>,
    pub changed: bool,
    pub acts: Vec<Act>,
    pub options: ImportOptions,
    /// By menu: the items in the order of the last `print`, which is what numbers mean.
    pub(crate) printed: HashMap<usize, Vec<ItemId>>,
    /// Commands to a router that is whole; a file can be a part of a configuration.
    pub console: bool,
    pending: Vec<Pending>,
    /// Names of items that could not be added: what refers to them is not told again.
    broken: HashSet<String>,
    pub(crate) rows: &'a dyn Rows,
    /// Those of one menu that are not configured, while a condition is tried on them.
    pub(crate) others: Option<Others>,
    pub(crate) script: State<'a>,
    /// Commands inside scripts and substitutions are not statements of the configuration.
    pub(crate) quiet: u32,
    /// Brackets that are open.
    pub(crate) inside: u32,
    /// Statements that could not be carried out.
    pub failed: usize,
    /// The statement at work.
    current: Span,
}

/// What a session leaves behind.
pub(crate) struct Ended {
    pub errors: Vec<Error>,
    pub reports: Vec<Report>,
    pub notes: Vec<Note>,
    pub out: String,
    pub rows_out: Option<serde_json::Value>,
    pub again: Option<u64>,
    pub changed: bool,
    pub acts: Vec<Act>,
    pub failed: usize,
}

type Outcome<T> = Result<T, Errors>;

fn error<T>(span: Span, message: impl Into<String>) -> Outcome<T> {
    Err(Error::new(span, message).into())
}

impl<'a> Session<'a> {
    pub fn new(tree: &'a mut Tree, rows: &'a dyn Rows) -> Session<'a> {
        let script = State::new(Box::new(Nowhere::default()), Globals::default(), Limits::default());
        Session::with(tree, rows, script)
    }

    /// A session whose scripts have a world.
    pub fn with(tree: &'a mut Tree, rows: &'a dyn Rows, script: State<'a>) -> Session<'a> {
        Session {
            tree,
            errors: Vec::new(),
            reports: Vec::new(),
            notes: Vec::new(),
            out: String::new(),
            rows_out: None,
            again: None,
            changed: false,
            acts: Vec::new(),
            options: ImportOptions::default(),
            printed: HashMap::new(),
            console: false,
            pending: Vec::new(),
            broken: HashSet::new(),
            rows,
            others: None,
            script,
            quiet: 0,
            inside: 0,
            failed: 0,
            current: Span::default(),
        }
    }

    /// True for a file that is taken as well as it can be; false where RouterOS's way is asked for.
    fn is_lenient(&self) -> bool {
        !self.options.strict && !self.options.stop && !self.console
    }

    pub fn end(self) -> Ended {
        let Session { errors, reports, notes, out, rows_out, again, changed, acts, failed, .. } = self;
        Ended { errors, reports, notes, out, rows_out, again, changed, acts, failed }
    }

    /// Runs a script, then looks up the names that weren't known when they were used.
    pub fn run(&mut self, text: &str) -> Operand {
        let mode = Mode { strict: self.options.strict, ..Mode::default() };
        if self.options.stop && !self.is_readable(text, mode) {
            return Operand::Nothing;
        }
        let mut parser = Parser::with(text, mode);
        let mut last = Operand::Nothing;
        while let Some(statement) = parser.next_statement() {
            last = match statement {
                Ok(statement) => self.block(&[statement]),
                Err(e) => {
                    self.failed += 1;
                    self.errors.push(e.about(parser.current_menu()));
                    Operand::Nothing
                }
            };
            if self.errors.len() + parser.errors.len() >= self.limit() || self.script.ended {
                break;
            }
        }
        self.failed += parser.errors.len();
        for (place, reason) in parser.warnings {
            self.note(place, "", reason.to_owned());
        }
        self.errors.append(&mut parser.errors);
        self.finish_all();
        last
    }

    /// Reads a text without doing anything. RouterOS reads a file as a whole before it begins with it.
    fn is_readable(&mut self, text: &str, mode: Mode) -> bool {
        let mut parser = Parser::with(text, mode);
        while let Some(statement) = parser.next_statement() {
            let wrong = statement.err().or_else(|| parser.errors.drain(..).next());
            if let Some(error) = wrong {
                self.failed += 1;
                self.errors.push(error.about(parser.current_menu()));
                return false;
            }
        }
        true
    }

    /// Errors after which nothing more is done.
    fn limit(&self) -> usize {
        if self.options.stop { 1 } else { MAX_ERRORS }
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
            if self.errors.len() >= self.limit() {
                break;
            }
            match self.statement(statement) {
                Ok(operand) => last = operand,
                Err(errors) => {
                    last = Operand::Nothing;
                    self.failed += usize::from(self.quiet == 0);
                    let menu = match &statement.kind {
                        StatementKind::Command(command) => command.menu.as_str(),
                        _ => "",
                    };
                    self.errors.extend(errors.0.into_iter().map(|error| error.about(menu)));
                }
            }
        }
        last
    }

    fn statement(&mut self, statement: &Statement) -> Outcome<Operand> {
        if self.quiet == 0 {
            self.current = statement.span;
        }
        match &statement.kind {
            StatementKind::Block(block) => {
                self.script.open_block();
                let last = self.block(&block.statements);
                self.script.close_block();
                Ok(last)
            }
            StatementKind::Bad(bad) => match &bad.error {
                Some(e) => Err(Error::clone(e).into()),
                None => {
                    self.failed += usize::from(self.quiet == 0);
                    Ok(Operand::Nothing)
                }
            },
            StatementKind::Command(command) if !is_scripted(command) => match schema::menu(&command.menu) {
                Some(menu) => self.command(statement.span, menu, command),
                // The one command of a branch without items of its own.
                None => self.export(&command.menu, &command.args),
            },
            StatementKind::Menu(_) | StatementKind::Call(_) | StatementKind::Command(_) => {
                self.scripted(statement)
            }
        }
    }

    /// A statement of the scripting language.
    fn scripted(&mut self, statement: &Statement) -> Outcome<Operand> {
        self.quiet += 1;
        let done = self.execute(statement);
        self.quiet -= 1;
        match done {
            Ok(_) => {}
            Err(Stop::Return(_)) => self.script.ended = true,
            Err(stop) => return Err(stop.errors(statement.span)),
        }
        if !matches!(statement.kind, StatementKind::Menu(_)) {
            self.report(statement.span, "", Status::Enforced, None);
        }
        Ok(Operand::Nothing)
    }

    pub(crate) fn command(
        &mut self,
        span: Span,
        menu: &'static Menu,
        command: &ast::Command,
    ) -> Outcome<Operand> {
        match command.name.as_str() {
            "find" => {
                let Some(arg) = command.arg("where") else {
                    return Ok(Operand::Items(self.all_items(menu)));
                };
                return self.select(menu, arg).map(Operand::Items);
            }
            "print" => {
                let args = self.constants(menu, &command.args)?;
                if self.inside > 0
                    && let Some(value) = self.print_value(menu, &args)?
                {
                    return Ok(Operand::Value(value));
                }
                let options = print::options(self.tree, menu, &args)?;
                let printed = print::print(self.tree, menu, &options, self.rows)?;
                self.printed.insert(menu.index, printed.numbered);
                self.out.push_str(&printed.text);
                self.rows_out = Some(printed.rows);
                self.again = printed.again;
                return Ok(Operand::Nothing);
            }
            "export" if menu.command("export").is_none() || command.args.is_empty() => {
                return self.export(&menu.path, &command.args);
            }
            _ => {}
        }
        let command = self.evaluate(span, menu, command)?;
        self.carry_out(command)
    }

    /// Turns a command into those it means, and applies them.
    fn carry_out(&mut self, command: Command) -> Outcome<Operand> {
        let (span, menu) = (command.span, command.menu);
        if menu.path == INTERFACES && command.verb != "get" && menu.command(&command.verb).is_none() {
            return self.on_interfaces(command);
        }
        let meaning = match self.options.strict {
            true => Meaning::literal(command),
            false => dialect::adapt(self.tree, command),
        };
        for reason in meaning.notes {
            self.note(span, &menu.path, reason);
        }
        let mut last = Operand::Nothing;
        for (n, command) in meaning.commands.into_iter().enumerate() {
            if self.console && act::is_act(&command) {
                self.act(&command)?;
                continue;
            }
            if command.menu.command(&command.verb).is_some() {
                let reason = format!("{} is done once and not part of the configuration", command.verb);
                self.note(span, &menu.path, reason.clone());
                self.report(span, &menu.path, Status::Kept(reason), None);
                continue;
            }
            let is_main = n == meaning.main;
            let name = command.assigns.iter().find(|a| a.name == "name" && command.verb == "add");
            let name = name.and_then(|a| a.value.clone());
            let operand = match self.apply(command, is_main) {
                Ok(operand) => operand,
                Err(errors) => {
                    self.broken.extend(name);
                    return Err(errors);
                }
            };
            if is_main {
                last = operand;
            }
        }
        Ok(last)
    }

    /// A command on `/interface` is one on the menus of the interfaces it means.
    fn on_interfaces(&mut self, command: Command) -> Outcome<Operand> {
        for part in command.items.iter().flat_map(|(text, _)| text.split(',')) {
            self.tree.interface_or_port(part);
        }
        let ids = self.items(&command)?;
        let mut last = Operand::Nothing;
        for (n, id) in ids.iter().enumerate() {
            let Some(item) = self.tree.interface_behind(*id) else { continue };
            let (menu, found) = (item.menu(), Some(vec![item.id()]));
            // One statement is reported once.
            self.quiet += u32::from(n > 0);
            let done = self.carry_out(Command { menu, found, items: Vec::new(), ..command.clone() });
            self.quiet -= u32::from(n > 0);
            last = done?;
        }
        if ids.is_empty() {
            self.finish(&command, &Changes::new(), true, None);
        }
        Ok(last)
    }

    /// Gives every argument its text.
    fn evaluate(&mut self, span: Span, menu: &'static Menu, read: &ast::Command) -> Outcome<Command> {
        let mut command = Command {
            menu,
            verb: read.name.clone(),
            verb_span: read.name_span,
            span,
            items: Vec::new(),
            found: None,
            assigns: Vec::new(),
        };
        for arg in &read.args {
            let is_item = matches!(arg.name.as_str(), "numbers" | "number");
            let text = match self.operand(&arg.value, arg.value_span)? {
                Some(Operand::Items(ids)) if is_item => {
                    command.found.get_or_insert_default().extend(ids);
                    continue;
                }
                Some(Operand::Text(text)) if is_item => {
                    command.items.push((text, arg.value_span));
                    continue;
                }
                Some(_) if is_item => {
                    command.found.get_or_insert_default();
                    continue;
                }
                Some(Operand::Items(ids)) => {
                    Some(ids.iter().map(ItemId::to_string).collect::<Vec<_>>().join(","))
                }
                Some(Operand::Text(text)) => Some(text),
                Some(Operand::Nothing | Operand::Added(_) | Operand::Value(_)) => Some(String::new()),
                None => None,
            };
            command.assigns.push(assign(&arg.name, arg.span, text, arg.value_span));
        }
        Ok(command)
    }

    /// The value of an argument; None where it takes the property away.
    fn operand(&mut self, expr: &Expr, span: Span) -> Outcome<Option<Operand>> {
        match expr {
            Expr::Word(text) | Expr::Source(text) => Ok(Some(Operand::Text(text.clone()))),
            Expr::Literal(literal) => Ok(Some(Operand::Text(literal.to_string()))),
            Expr::On => Ok(Some(Operand::Text("yes".into()))),
            Expr::Unset => Ok(None),
            _ => {
                self.quiet += 1;
                let operand = self.as_operand(expr, span);
                self.quiet -= 1;
                operand.map(Some)
            }
        }
    }

    pub(crate) fn export(&mut self, path: &str, args: &[Arg]) -> Outcome<Operand> {
        let request = crate::export::request(path, args)?;
        self.out.push_str(&crate::export::run(self.tree, schema::menu(path), &request)?);
        Ok(Operand::Nothing)
    }

    /// Records what a statement that went through does on this host.
    fn finish(&mut self, command: &Command, changes: &Changes, first: bool, item: Option<ItemId>) {
        let menu = command.menu;
        if !first {
            return;
        }
        self.look_at_scripts(command, changes);
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

    /// RouterOS stores any text as a script; one that can't be read is told, with the place in it.
    fn look_at_scripts(&mut self, command: &Command, changes: &Changes) {
        for (property, value) in changes.iter().filter(|(property, _)| property.ty == Type::Script) {
            let text = value.as_ref().map(ToString::to_string).unwrap_or_default();
            // One word is the name of a stored script.
            if !text.trim().contains(char::is_whitespace) {
                continue;
            }
            if let Err(errors) = Script::parse(&text)
                && let Some(first) = errors.0.first()
            {
                let reason = format!("{}: the script can not be read: {first}", property.name);
                self.note(command.span, &command.menu.path, reason);
            }
        }
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

    /// A note on a statement of no menu.
    pub(crate) fn remark(&mut self, span: Span, reason: String) {
        self.note(span, "", reason);
    }

    fn note(&mut self, span: Span, menu: &str, reason: String) {
        self.notes.push(Note { line: span.line, menu: format!("/{menu}"), reason });
    }
}
fn assign(name: &str, name_span: Span, value: Option<String>, value_span: Span) -> Assign {
    Assign { name: name.to_owned(), name_span, value, value_span }
}
