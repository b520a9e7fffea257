//! Statements at work: blocks, calls, loops, errors that are caught.

use std::sync::Arc;
use std::time::Duration;

use super::array::Array;
use super::code::Body;
use super::convert;
use super::operator::{equal, truth};
use super::rights;
use super::value::{SECOND, Value, count};
use crate::ast::{self, Arg, Expr, Op, Statement, StatementKind};
use crate::cond::Cond;
use crate::error::{Error, Errors, Fault, Span};
use crate::exec::{Operand, Session};
use crate::print::{self, Row};
use crate::query;
use crate::schema::{self, Menu};
use crate::tree::{Item, ItemId};

/// Why a statement did not simply end.
#[derive(Debug)]
pub(crate) enum Stop {
    Fail(Errors),
    Return(Value),
    Break,
    Continue,
}

pub(crate) type Flow<T> = Result<T, Stop>;

impl Stop {
    pub fn at(fault: Fault, span: Span) -> Stop {
        Stop::Fail(fault.at(span).into())
    }

    pub fn new(span: Span, message: impl Into<String>) -> Stop {
        Stop::Fail(Error::new(span, message).into())
    }

    /// For those who know nothing of loops and functions.
    pub fn errors(self, span: Span) -> Errors {
        match self {
            Stop::Fail(errors) => errors,
            Stop::Return(_) => Error::new(span, "return is possible in functions only").into(),
            Stop::Break | Stop::Continue => {
                Error::new(span, "break and continue are possible in loops only").into()
            }
        }
    }
}

/// Steps that a command of a menu costs.
const COMMAND_STEPS: u64 = 50;

impl Session<'_> {
    /// Runs a statement.
    pub(crate) fn execute(&mut self, statement: &Statement) -> Flow<Value> {
        let span = statement.span;
        self.script.step(1).map_err(|fault| Stop::at(fault, span))?;
        match &statement.kind {
            StatementKind::Menu(_) => Ok(Value::Nothing),
            StatementKind::Block(block) => self.run_block(&block.statements),
            StatementKind::Call(call) => {
                let function = self.eval(&call.function, span)?;
                let held = self.script.held;
                let args = self.call_args(&call.args);
                self.script.held = held;
                self.call_value(&function, args?, span)
            }
            StatementKind::Bad(bad) => Err(Stop::Fail(match &bad.error {
                Some(error) => Error::clone(error).into(),
                None => Error::new(span, format!("bad command name {}", bad.word)).into(),
            })),
            StatementKind::Command(command)
                if is_scripted(command) || (self.script.live && is_outside(command)) =>
            {
                self.builtin(command, span)
            }
            StatementKind::Command(command) => {
                self.menu_command(command, span).map(|operand| as_value(&operand))
            }
        }
    }

    /// A command of a menu, in a script: where scripts act at once or errors are caught, it works as a whole or not at
    /// all.
    pub(crate) fn menu_command(&mut self, command: &ast::Command, span: Span) -> Flow<Operand> {
        self.script.step(COMMAND_STEPS).map_err(|fault| Stop::at(fault, span))?;
        self.allowed(command, span)?;
        let careful = self.script.live || self.script.catching > 0;
        if self.script.live {
            self.script.host.refresh(self.tree);
        }
        let before = careful.then(|| self.tree.clone());
        let pending = self.pending_names();
        let changed = std::mem::take(&mut self.changed);
        let mut result = match schema::menu(&command.menu) {
            Some(menu) => self.command(span, menu, command),
            // The one command of a branch without items of its own.
            None => self.export(&command.menu, &command.args),
        };
        if careful && result.is_ok() {
            let unknown = self.settle(pending);
            if !unknown.is_empty() {
                result = Err(Errors(unknown));
            } else if self.script.live
                && self.changed
                && let Err(message) = self.script.host.commit(self.tree)
            {
                result = Err(Error::new(span, message).into());
            }
        }
        for act in std::mem::take(&mut self.acts) {
            if result.is_ok()
                && let Err(message) = self.script.host.act(&act)
            {
                result = Err(Error::new(span, message).into());
            }
        }
        match (before, &result) {
            (Some(before), Err(_)) => {
                self.forget(pending);
                *self.tree = before;
                self.changed = changed;
            }
            _ => self.changed |= changed,
        }
        result.map_err(Stop::Fail)
    }

    /// Refuses a command that the script has no right to.
    pub(super) fn allowed(&self, command: &ast::Command, span: Span) -> Flow<()> {
        match self.script.rights.covers(rights::needed(command)) {
            true => Ok(()),
            false => Err(Stop::at(rights::refused(), span)),
        }
    }

    /// Runs statements with variables of their own; the value of the last one is theirs.
    pub(super) fn run_block(&mut self, statements: &[Statement]) -> Flow<Value> {
        let span = statements.first().map_or(Span::default(), |statement| statement.span);
        self.script.enter().map_err(|fault| Stop::at(fault, span))?;
        self.script.open_block();
        let mut last = Ok(Value::Nothing);
        for statement in statements {
            last = self.execute(statement);
            if last.is_err() {
                break;
            }
        }
        self.script.close_block();
        self.script.leave();
        last
    }

    /// `[ .. ]`: what is returned inside is its value.
    pub(super) fn substitution(&mut self, block: &ast::Block) -> Flow<Value> {
        self.inside += 1;
        let value = self.run_block(&block.statements);
        self.inside -= 1;
        match value {
            Err(Stop::Return(value)) => Ok(value),
            other => other,
        }
    }

    /// Runs what can be called; any other value is its own result.
    pub(super) fn call_value(
        &mut self,
        value: &Value,
        args: Vec<(String, Value)>,
        span: Span,
    ) -> Flow<Value> {
        let code = match value {
            Value::Code(code) | Value::Op(code) => code,
            Value::Array(array) => match array.list() {
                [_, Value::Code(code)] => code,
                _ => return Ok(value.clone()),
            },
            _ => return Ok(value.clone()),
        };
        let code = Arc::clone(code);
        match &code.body {
            Body::Quoted(expr) => self.eval(expr, span),
            Body::Block(block) => {
                self.script.enter().map_err(|fault| Stop::at(fault, span))?;
                self.script.open_function(args);
                let value = self.run_block(&block.statements);
                self.script.close_function();
                self.script.leave();
                match value {
                    Err(Stop::Return(value)) => Ok(value),
                    Err(Stop::Break | Stop::Continue) => Ok(Value::Nothing),
                    other => other,
                }
            }
        }
    }

    /// Runs the code of an argument, in the variables of whoever wrote it.
    pub(super) fn run_argument(&mut self, arg: Option<&Arg>) -> Flow<Value> {
        match arg {
            None => Ok(Value::Nothing),
            Some(Arg { value: Expr::Code(block), .. }) => self.run_block(&block.statements),
            Some(arg) => {
                let value = self.eval(&arg.value, arg.value_span)?;
                self.call_value(&value, Vec::new(), arg.value_span)
            }
        }
    }

    pub(super) fn condition(&mut self, arg: Option<&Arg>, span: Span) -> Flow<bool> {
        let Some(arg) = arg else { return Err(missing(span, "condition")) };
        let value = self.eval(&arg.value, arg.value_span)?;
        truth(&value).ok_or_else(|| Stop::new(span, "conditional not boolean"))
    }

    /// Runs a part whose errors somebody waits for; None where it failed.
    pub(super) fn attempt(
        &mut self,
        part: impl FnOnce(&mut Self) -> Flow<Value>,
    ) -> Flow<Result<Value, Errors>> {
        let held = self.script.held;
        self.script.catching += 1;
        let result = part(self);
        self.script.catching -= 1;
        match result {
            Err(Stop::Fail(errors)) if !self.script.ended => {
                self.script.held = held;
                Ok(Err(errors))
            }
            Err(stop) => Err(stop),
            Ok(value) => Ok(Ok(value)),
        }
    }

    /// One round of a loop; false where the loop ends.
    fn round(&mut self, body: Option<&Arg>, span: Span) -> Flow<bool> {
        self.script.step(1).map_err(|fault| Stop::at(fault, span))?;
        match self.run_argument(body) {
            Ok(_) | Err(Stop::Continue) => Ok(true),
            Err(Stop::Break) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    pub(super) fn while_loop(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        while self.condition(command.arg("condition"), span)? {
            if !self.round(command.arg("do"), span)? {
                break;
            }
        }
        Ok(Value::Nothing)
    }

    /// `:do { .. } while=( .. )`, `:do { .. } on-error={ .. }`
    pub(super) fn do_block(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let run = |session: &mut Self| match command.arg("while") {
            None => session.run_argument(command.arg("command")),
            Some(_) => {
                while session.round(command.arg("command"), span)?
                    && session.condition(command.arg("while"), span)?
                {}
                Ok(Value::Nothing)
            }
        };
        self.caught(command, run)
    }

    /// Runs `on-error` where there is one and a part fails.
    fn caught(&mut self, command: &ast::Command, run: impl FnOnce(&mut Self) -> Flow<Value>) -> Flow<Value> {
        match command.arg("on-error") {
            None => run(self),
            Some(handler) => match self.attempt(run)? {
                Ok(value) => Ok(value),
                Err(_) => self.run_argument(Some(handler)),
            },
        }
    }

    /// `:onerror e in={ .. } do={ .. }`
    pub(super) fn on_error(&mut self, command: &ast::Command) -> Flow<Value> {
        match self.attempt(|session| session.run_argument(command.arg("in")))? {
            Ok(value) => Ok(value),
            Err(errors) => {
                let message = errors.0.first().map(|error| error.message.clone()).unwrap_or_default();
                self.script.open_block();
                if let Some(Arg { value: Expr::Variable(name), .. }) = command.arg("error") {
                    self.script.declare_local(name, Value::str(&message));
                }
                let value = self.run_argument(command.arg("do"));
                self.script.close_block();
                value
            }
        }
    }

    /// `:retry { .. } delay=1s max=3 on-error={ .. }`
    pub(super) fn retry(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let times = self.number(command, "max", span)?.unwrap_or(3).clamp(1, 1000);
        let delay = self.argument(command, "delay")?;
        let mut last = None;
        for n in 0..times {
            if n > 0
                && let Some(delay) = &delay
            {
                self.wait(delay, span)?;
            }
            match self.attempt(|session| session.run_argument(command.arg("command")))? {
                Ok(value) => return Ok(value),
                Err(errors) => last = Some(errors),
            }
        }
        match (command.arg("on-error"), last) {
            (None, Some(errors)) => Err(Stop::Fail(errors)),
            (handler, _) => self.run_argument(handler),
        }
    }

    pub(super) fn wait(&mut self, time: &Value, span: Span) -> Flow<()> {
        let Value::Time(ns) = convert::to_time(time) else {
            return Err(Stop::new(span, "invalid value for argument delay-time: time interval required"));
        };
        let time = Duration::from_nanos(u64::try_from(ns).unwrap_or(0));
        self.script.host.delay(time).map_err(|message| {
            self.script.ended = true;
            Stop::new(span, message)
        })?;
        // Less than 10 ms is no rest.
        if time >= Duration::from_millis(10) && self.script.host.rests() {
            self.script.rested();
        }
        Ok(())
    }

    pub(super) fn for_loop(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let name = variable(command.arg("counter"), span)?;
        let from = self.number(command, "from", span)?.ok_or_else(|| missing(span, "from"))?;
        let to = self.number(command, "to", span)?.ok_or_else(|| missing(span, "to"))?;
        let step = self.number(command, "step", span)?.unwrap_or(if from <= to { 1 } else { -1 });
        if step == 0 {
            return Err(Stop::new(span, "step of a loop can not be 0"));
        }
        let mut at = from;
        while if step > 0 { at <= to } else { at >= to } {
            let going = self.with_counters(&[(name, Value::Num(at))], command.arg("do"), span)?;
            match at.checked_add(step).filter(|_| going) {
                Some(next) => at = next,
                None => break,
            }
        }
        Ok(Value::Nothing)
    }

    pub(super) fn foreach_loop(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let values = self.argument(command, "in")?.ok_or_else(|| missing(span, "in"))?;
        let (key_name, value_name) = match command.arg("counter").map(|arg| &arg.value) {
            Some(Expr::Array(names)) => match names.as_slice() {
                [(None, Expr::Variable(key)), (None, Expr::Variable(value))] => {
                    (Some(key.as_str()), value.as_str())
                }
                _ => return Err(missing(span, "counter")),
            },
            _ => (None, variable(command.arg("counter"), span)?),
        };
        let array = match &values {
            Value::Array(array) => Arc::clone(array),
            Value::Nothing | Value::Nil => Arc::new(Array::default()),
            other => Arc::new([other.clone()].into_iter().collect()),
        };
        let held = self.script.held;
        self.script.held = held.saturating_add(values.weight());
        let mut result = Ok(Value::Nothing);
        for (key, value) in array.entries() {
            let mut counters = vec![(value_name, value.clone())];
            counters.extend(key_name.map(|name| (name, key)));
            match self.with_counters(&counters, command.arg("do"), span) {
                Ok(true) => {}
                Ok(false) => break,
                Err(stop) => {
                    result = Err(stop);
                    break;
                }
            }
        }
        self.script.held = held;
        result
    }

    fn with_counters(&mut self, counters: &[(&str, Value)], body: Option<&Arg>, span: Span) -> Flow<bool> {
        self.script.open_block();
        for (name, value) in counters {
            self.script.declare_local(name, value.clone());
        }
        let going = self.round(body, span);
        self.script.close_block();
        going
    }

    /// The value of an argument, if it is given.
    pub(super) fn argument(&mut self, command: &ast::Command, name: &str) -> Flow<Option<Value>> {
        command.arg(name).map(|arg| self.eval(&arg.value, arg.value_span)).transpose()
    }

    pub(super) fn number(&mut self, command: &ast::Command, name: &str, span: Span) -> Flow<Option<i64>> {
        match self.argument(command, name)? {
            None => Ok(None),
            Some(value) => match convert::to_num(&value) {
                Value::Num(n) => Ok(Some(n)),
                _ => Err(Stop::new(
                    span,
                    format!("invalid value for argument {name}: integer number required"),
                )),
            },
        }
    }

    /// The items of a menu that a condition holds for.
    pub(crate) fn select(&mut self, menu: &'static Menu, arg: &Arg) -> Result<Vec<ItemId>, Errors> {
        let bound = self.bind(menu, &arg.value, arg.span).map_err(|stop| stop.errors(arg.span))?;
        let size = u64::try_from(self.tree.all(menu).len()).unwrap_or(u64::MAX);
        if self.inside > 0 || self.quiet > 0 {
            self.script.step(size / 8).map_err(|fault| fault.at(arg.span))?;
        }
        if let Ok(cond) = Cond::new(&bound, arg.span) {
            let rows = self.rows;
            let found = query::select(self.tree, menu, &cond, rows);
            return found.map_err(Errors::from);
        }
        let before = self.script.item;
        let others = print::others(menu, self.rows);
        let configured = self.tree.all(menu).iter().map(Item::id);
        let all: Vec<ItemId> = configured.chain(others.iter().map(|(item, _)| item.id())).collect();
        let others = Some((menu.index, others.into()));
        let mut found = Vec::new();
        for id in all {
            self.script.item = Some((menu, id));
            self.others.clone_from(&others);
            let value = self.eval(&bound, arg.span);
            (self.script.item, self.others) = (before, None);
            let value = value.map_err(|stop| stop.errors(arg.span))?;
            if truth(&value).unwrap_or_else(|| super::eval::is_set(&value) && !equal(&value, &Value::Num(0)))
            {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// All items of a menu, also those that are not configured.
    pub(crate) fn all_items(&self, menu: &'static Menu) -> Vec<ItemId> {
        let others = print::others(menu, self.rows);
        let configured = self.tree.all(menu).iter().map(Item::id);
        configured.chain(others.iter().map(|(item, _)| item.id())).collect()
    }

    /// The arguments of a `print`, without variables and commands in them.
    pub(crate) fn constants(&mut self, menu: &'static Menu, args: &[Arg]) -> Result<Vec<Arg>, Errors> {
        let mut bound = Vec::new();
        for arg in args {
            let mut value = self.bind(menu, &arg.value, arg.span).map_err(|stop| stop.errors(arg.span))?;
            if arg.name == "where" && Cond::new(&value, arg.span).is_err() {
                let ids = self.select(menu, &Arg { value, ..arg.clone() })?;
                let one = |id: ItemId| {
                    let property = Expr::Property(".id".into(), arg.span);
                    let id = Expr::Literal(ast::Literal::Id(id.0));
                    Expr::Op(Op::Equal, vec![property, id], arg.span)
                };
                value = Expr::Op(Op::Or, ids.into_iter().map(one).collect(), arg.span);
            }
            bound.push(Arg { value, ..arg.clone() });
        }
        Ok(bound)
    }

    /// The value of an argument as a menu's command takes it.
    pub(crate) fn as_operand(&mut self, expr: &Expr, span: Span) -> Result<Operand, Errors> {
        let value = self.eval(expr, span).map_err(|stop| stop.errors(span))?;
        Ok(match &value {
            Value::Nothing | Value::Nil => Operand::Nothing,
            Value::Bool(value) => Operand::Text(if *value { "yes" } else { "no" }.into()),
            Value::Id(id) => Operand::Items(vec![ItemId(*id)]),
            Value::Array(array) => {
                let id = |value: &Value| match value {
                    Value::Id(id) => Some(ItemId(*id)),
                    _ => None,
                };
                match array.values().map(id).collect::<Option<Vec<_>>>() {
                    Some(ids) => Operand::Items(ids),
                    None => {
                        let texts: Vec<String> = array.values().map(Value::to_text).collect();
                        Operand::Text(texts.join(","))
                    }
                }
            }
            other => Operand::Text(other.to_text()),
        })
    }

    /// What `[print as-value]` and `[print count-only]` give; None for other prints.
    pub(crate) fn print_value(&mut self, menu: &'static Menu, args: &[Arg]) -> Result<Option<Value>, Errors> {
        let given = |name: &str| args.iter().find(|arg| arg.name == name);
        if given("as-value").is_none() && given("count-only").is_none() {
            return Ok(None);
        }
        let ids = match given("where") {
            Some(arg) => self.select(menu, arg)?,
            None => self.all_items(menu),
        };
        if given("as-value").is_none() {
            return Ok(Some(count(ids.len())));
        }
        let names = given("proplist").map(|arg| self.eval(&arg.value, arg.span)).transpose();
        let names = names.map_err(|stop| stop.errors(Span::default()))?.map(|names| names.to_text());
        let names: Vec<&str> = names.iter().flat_map(|names| names.split(',')).collect();
        let items = ids.iter().filter_map(|id| self.item_at(menu, *id));
        let values: Vec<Value> =
            items.map(|(item, row)| self.item_value(menu, &item, row.as_ref(), &names)).collect();
        Ok(Some(match (menu.kind, values.as_slice()) {
            (schema::Kind::Settings, [one]) => one.clone(),
            _ => Value::list(values),
        }))
    }

    /// All values of an item, or those that are named.
    pub(crate) fn item_value(
        &self,
        menu: &'static Menu,
        item: &Item,
        row: Option<&Row>,
        names: &[&str],
    ) -> Value {
        let mut values = Array::default();
        let wanted = |name: &str| names.is_empty() || names.contains(&name);
        if menu.kind == schema::Kind::List {
            values.insert(b".id".as_slice().into(), Value::Id(item.id().0));
        }
        let rows = row.map_or(self.rows, |row| row);
        let state = rows.values(item);
        // A row of another origin has no defaults.
        let known = |name: &str| row.is_none() || state.iter().any(|(known, _)| known == name);
        let configured = menu.properties.iter().map(|property| property.name.as_str());
        let beyond = state.iter().map(|(name, _)| name.as_str()).filter(|name| menu.property(name).is_none());
        for name in configured.filter(|name| known(name)).chain(beyond).filter(|name| wanted(name)) {
            match query::value(item, menu, name, rows, Span::default()) {
                Ok(Value::Nothing) | Err(_) => {}
                Ok(value) => values.insert(name.as_bytes().into(), value),
            }
        }
        Value::array(values)
    }
}

/// A command that is carried out here and not by a menu.
pub(crate) fn is_scripted(command: &ast::Command) -> bool {
    let of_menu = match command.menu.as_str() {
        "log" => matches!(command.name.as_str(), "debug" | "info" | "warning" | "error"),
        "system/script" => command.name == "run",
        _ => false,
    };
    command.builtin || of_menu
}

/// A command that reaches other hosts: no part of a configuration, so files pass over it.
pub(crate) fn is_outside(command: &ast::Command) -> bool {
    command.menu == "tool" && matches!(command.name.as_str(), "fetch" | "ping")
}

/// The value that a command of a menu gives.
fn as_value(operand: &Operand) -> Value {
    match operand {
        Operand::Nothing => Value::Nothing,
        Operand::Text(text) => Value::str(text),
        Operand::Items(ids) => Value::list(ids.iter().map(|id| Value::Id(id.0))),
        Operand::Added(id) => Value::Id(id.0),
        Operand::Value(value) => value.clone(),
    }
}

pub(super) fn missing(span: Span, name: &str) -> Stop {
    Stop::new(span, format!("missing value(s) of argument(s) {name}"))
}

/// The name of a variable that an argument is.
pub(super) fn variable(arg: Option<&Arg>, span: Span) -> Flow<&str> {
    match arg {
        Some(Arg { value: Expr::Variable(name), .. }) => Ok(name),
        _ => Err(missing(span, "name")),
    }
}

/// Milliseconds and less of a value that is a time.
pub(super) fn nanoseconds(time: Duration) -> Value {
    Value::Time(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX / SECOND * SECOND))
}
