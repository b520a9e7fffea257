//! The commands of the language.

use std::sync::Arc;

use super::array::Array;
use super::code::{Body, Code};
use super::rights::{self, Rights};
use super::run::{Flow, Stop, missing, nanoseconds, variable};
use super::value::Value;
use super::{Script, codec, convert, dsv, json, text};
use crate::ast::{self, Arg, Expr, Op};
use crate::error::{Fault, Span};
use crate::exec::Session;
use crate::query;
use crate::schema;

/// Bytes that a script may put out where they are kept until it ends.
const MAX_OUTPUT: usize = 1 << 20;
/// Bytes of `:rndstr`.
const MAX_RANDOM: i64 = 65_536;
const ALPHANUMERIC: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl Session<'_> {
    pub(super) fn builtin(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        match (command.menu.as_str(), command.name.as_str()) {
            ("log", severity) => {
                let message = self.required(command, "message", span)?;
                self.script.host.log(severity, &message.to_text());
                Ok(Value::Nothing)
            }
            ("environment", _) => {
                for (name, value) in self.script.visible() {
                    self.print(&format!("{name}={}\n", value.to_text()), span)?;
                }
                Ok(Value::Nothing)
            }
            ("terminal", "inkey") => Ok(Value::Num(65_535)),
            ("terminal", _) => Ok(Value::Nothing),
            ("system/script", "run") => self.run_stored(command, span),
            ("tool", "ping") => self.remote(command, span, Self::ping),
            ("tool", "fetch") => self.remote(command, span, Self::fetch),
            ("", name) => self.language_command(command, name, span),
            (_, name) => self.outside(name, span),
        }
    }

    fn language_command(&mut self, command: &ast::Command, name: &str, span: Span) -> Flow<Value> {
        match name {
            "put" => {
                let value = self.required(command, "message", span)?;
                self.print(&(value.to_text() + "\n"), span)?;
                Ok(value)
            }
            "local" | "global" => self.declare(command, name == "global", span),
            "set" => self.assign(command, span),
            "if" => {
                let branch = if self.condition(command.arg("condition"), span)? { "do" } else { "else" };
                self.run_argument(command.arg(branch))
            }
            "for" => self.for_loop(command, span),
            "foreach" => self.foreach_loop(command, span),
            "while" => self.while_loop(command, span),
            "do" => self.do_block(command, span),
            "onerror" => self.on_error(command),
            "retry" => self.retry(command, span),
            "return" => Err(Stop::Return(self.argument(command, "value")?.unwrap_or(Value::Nothing))),
            "break" => Err(Stop::Break),
            "continue" => Err(Stop::Continue),
            "quit" => {
                self.script.ended = true;
                Err(Stop::Return(Value::Nothing))
            }
            "error" => {
                let message = self.argument(command, "message")?.unwrap_or(Value::Nothing);
                Err(Stop::new(span, message.to_text()))
            }
            "delay" => {
                let time = self.argument(command, "delay-time")?.unwrap_or(Value::Num(1));
                self.wait(&time, span)?;
                Ok(Value::Nothing)
            }
            "parse" => {
                let source = self.required(command, "value", span)?.to_text();
                self.compile(&source, span)
            }
            "execute" => {
                let script = match command.arg("script") {
                    Some(Arg { value: Expr::Code(block), .. }) => Script::of(Arc::clone(block)),
                    _ => {
                        let source = self.required(command, "script", span)?.to_text();
                        Script::parse(&source).map_err(Stop::Fail)?
                    }
                };
                let job = self.script.host.execute(script);
                job.map(Value::Id).map_err(|message| Stop::new(span, message))
            }
            "time" => {
                let begin = self.script.host.now();
                self.run_argument(command.arg("command"))?;
                Ok(nanoseconds(self.script.host.now().saturating_sub(begin)))
            }
            "resolve" => {
                let name = self.required(command, "domain-name", span)?.to_text();
                let server = self.argument(command, "server")?.map(|server| server.to_text());
                let port = self.number(command, "server-port", span)?;
                let server = match (server, port) {
                    (Some(server), Some(port)) if server.contains(':') => Some(format!("[{server}]:{port}")),
                    (Some(server), Some(port)) => Some(format!("{server}:{port}")),
                    (server, _) => server,
                };
                match self.script.host.resolve(&name, server.as_deref()) {
                    Ok(std::net::IpAddr::V4(ip)) => Ok(Value::Ip(ip)),
                    Ok(std::net::IpAddr::V6(ip)) => Ok(Value::Ip6(ip)),
                    Err(message) => Err(Stop::new(span, message)),
                }
            }
            "timestamp" => Ok(nanoseconds(self.script.host.now())),
            "jobname" => Ok(Value::str(&self.script.host.job())),
            "rndnum" => self.random_number(command, span),
            "rndstr" => self.random_text(command, span),
            "nothing" | "beep" => Ok(Value::Nothing),
            "grep" => self.grep(command, span),
            "ping" => self.remote(command, span, Self::ping),
            "import" => self.remote(command, span, Self::import_file),
            "undo" | "redo" => self.remote(command, span, Self::step_back),
            _ => {
                let value = self.function(command, name, span)?;
                self.made(value, span)
            }
        }
    }

    /// A command that reaches beyond the configuration. Where a file is read, it is passed over.
    fn remote(
        &mut self,
        command: &ast::Command,
        span: Span,
        work: fn(&mut Self, &ast::Command, Span) -> Flow<Value>,
    ) -> Flow<Value> {
        match self.script.live {
            true => {
                self.allowed(command, span)?;
                work(self, command, span)
            }
            false => self.outside(&command.name, span),
        }
    }

    /// `/undo`, `/redo`
    fn step_back(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let told = self.script.host.step(&command.name).map_err(|message| Stop::new(span, message))?;
        self.print(&told, span)?;
        Ok(Value::Nothing)
    }

    fn outside(&mut self, name: &str, span: Span) -> Flow<Value> {
        if self.script.live && !self.script.trying {
            return Err(Stop::new(span, format!("failure: {name} is not possible here yet")));
        }
        self.remark(span, format!("{name} is done once and not part of the configuration"));
        Ok(Value::Nothing)
    }

    /// Functions that depend on their arguments alone.
    fn function(&mut self, command: &ast::Command, name: &str, span: Span) -> Flow<Result<Value, Fault>> {
        let first = match name {
            "find" => "in",
            "pick" => "counter",
            "range" => "from",
            "tocrlf" | "tolf" => "input",
            _ => "value",
        };
        let value = self.required(command, first, span)?;
        let cost = u64::try_from(value.weight() / 64).unwrap_or(u64::MAX);
        self.script.step(cost).map_err(|fault| Stop::at(fault, span))?;
        Ok(match name {
            "len" => Ok(text::len(&value)),
            "typeof" => Ok(Value::str(value.type_name())),
            "tonum" => Ok(convert::to_num(&value)),
            "tostr" => Ok(convert::to_str(&value)),
            "tobool" => Ok(convert::to_bool(&value)),
            "toip" => Ok(convert::to_ip(&value)),
            "toip6" => Ok(convert::to_ip6(&value)),
            "totime" => Ok(convert::to_time(&value)),
            "tonsec" => Ok(convert::to_nsec(&value)),
            "toid" => Ok(convert::to_id(&value)),
            "toarray" => Ok(convert::to_array(&value)),
            "tocrlf" => Ok(convert::line_ends(&value, b"\r\n")),
            "tolf" => Ok(convert::line_ends(&value, b"\n")),
            "pick" => {
                let begin = self.required(command, "begin", span)?;
                let end = self.argument(command, "end")?;
                text::pick(&value, &begin, end.as_ref())
            }
            "find" => {
                let key = self.required(command, "key", span)?;
                let from = self.argument(command, "from")?;
                text::find(&value, &key, from.as_ref())
            }
            "range" => {
                let from = self.number(command, "from", span)?.unwrap_or(0);
                let to = self.number(command, "to", span)?.ok_or_else(|| missing(span, "to"))?;
                text::range(from, to, self.number(command, "step", span)?)
            }
            "convert" => {
                let from = self.word(command, "from")?.unwrap_or("raw".into());
                let to = self.word(command, "to")?.unwrap_or("raw".into());
                let transform = self.word(command, "transform")?.unwrap_or_default();
                codec::convert(&value, &from, &to, &transform)
            }
            "serialize" => {
                let written = self.serialized(command, &value)?;
                match (self.word(command, "file-name")?, written) {
                    (Some(name), Ok(text)) if self.script.live => {
                        let stored = self.script.host.write_file(&name, &text.to_bytes());
                        stored.map(|()| Value::Nothing).map_err(Fault::new)
                    }
                    (_, written) => written,
                }
            }
            "deserialize" => {
                let options = self.word(command, "options")?.unwrap_or_default();
                let form = if options.contains("dsv.array") { dsv::Form::Named } else { dsv::Form::Plain };
                match self.word(command, "from")?.unwrap_or_default().as_str() {
                    "json" => json::read(&value),
                    "dsv" => dsv::read(&value, &self.delimiter(command)?, form),
                    _ => Err(Fault::new("input does not match any value of from")),
                }
            }
            other => Err(Fault::new(format!(":{other} is not possible here"))),
        })
    }

    fn serialized(&mut self, command: &ast::Command, value: &Value) -> Flow<Result<Value, Fault>> {
        Ok({
            let options = self.word(command, "options")?.unwrap_or_default();
            let has = |option: &str| options.split([',', ';']).any(|o| o == option);
            match self.word(command, "to")?.unwrap_or_default().as_str() {
                "json" => Ok(json::write(
                    value,
                    json::Options {
                        pretty: has("json.pretty"),
                        no_string_conversion: has("json.no-string-conversion"),
                    },
                )),
                "dsv" => {
                    let order = self.argument(command, "order")?.map(|order| convert::to_array(&order));
                    let order = match &order {
                        Some(Value::Array(names)) => names.list(),
                        _ => &[],
                    };
                    dsv::write(value, &self.delimiter(command)?, order)
                }
                _ => Err(Fault::new("input does not match any value of to")),
            }
        })
    }

    fn delimiter(&mut self, command: &ast::Command) -> Flow<Vec<u8>> {
        let given = self.argument(command, "delimiter")?;
        Ok(given.map_or_else(|| b",".to_vec(), |value| value.to_bytes().to_vec()))
    }

    pub(super) fn word(&mut self, command: &ast::Command, name: &str) -> Flow<Option<String>> {
        Ok(self.argument(command, name)?.map(|value| value.to_text()))
    }

    fn required(&mut self, command: &ast::Command, name: &str, span: Span) -> Flow<Value> {
        self.argument(command, name)?.ok_or_else(|| missing(span, name))
    }

    pub(super) fn print(&mut self, line: &str, span: Span) -> Flow<()> {
        if self.out.len() + line.len() > MAX_OUTPUT {
            self.script.ended = true;
            return Err(Stop::new(span, "script was ended: it puts out too much"));
        }
        self.out.push_str(line);
        Ok(())
    }

    fn declare(&mut self, command: &ast::Command, global: bool, span: Span) -> Flow<Value> {
        let name = variable(command.arg("name"), span)?;
        let given = match command.arg("do") {
            Some(code) => Some(self.eval(&code.value, code.value_span)?),
            None => self.argument(command, "value")?,
        };
        // What is declared again without a value keeps the one it has.
        if global {
            self.script.declare_global(name, given).map_err(|fault| Stop::at(fault, span))?;
        } else {
            self.script.declare_local(name, given.unwrap_or(Value::Nothing));
        }
        Ok(Value::Nothing)
    }

    /// `:set x 5`, `:set x` (nothing any more), `:set ($x->"k") 5`
    fn assign(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let given = match command.arg("do") {
            Some(code) => Some(self.eval(&code.value, code.value_span)?),
            None => self.argument(command, "value")?,
        };
        let fail = |fault: Fault| Stop::at(fault, span);
        match command.arg("name").map(|arg| &arg.value) {
            Some(Expr::Variable(name)) => {
                self.script.set(name, given.unwrap_or(Value::Nothing)).map_err(fail)?;
            }
            Some(place @ Expr::Op(Op::Index, ..)) => {
                let Some((name, keys)) = path(place) else {
                    return Err(Stop::new(span, "syntax error"));
                };
                let keys = keys.into_iter().map(|key| self.eval(key, span)).collect::<Flow<Vec<_>>>()?;
                if let Some(value) = &given {
                    self.script.made(value.clone()).map_err(fail)?;
                }
                let mut grown = Value::Nothing;
                let change = |place: &mut Value| {
                    put_in(place, &keys, given)?;
                    grown = place.clone();
                    Ok(())
                };
                self.script.change(name, change).map_err(fail)?;
                self.script.weigh(&grown).map_err(fail)?;
            }
            _ => return Err(Stop::new(span, "syntax error")),
        }
        Ok(Value::Nothing)
    }

    /// A text as code.
    pub(super) fn compile(&mut self, source: &str, span: Span) -> Flow<Value> {
        let cost = u64::try_from(source.len() / 4).unwrap_or(u64::MAX);
        self.script.step(cost).map_err(|fault| Stop::at(fault, span))?;
        let script = Script::parse(source).map_err(|errors| {
            let first = errors.0.first().map(ToString::to_string).unwrap_or_default();
            Stop::new(span, first)
        })?;
        let code = Code { body: Body::Block(script.block()), weight: source.len() };
        Ok(Value::Code(Arc::new(code)))
    }

    /// `/system script run NAME`
    fn run_stored(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        if self.script.live {
            self.script.host.refresh(self.tree);
        }
        let wanted = self.required(command, "number", span)?;
        let Some(menu) = schema::menu("system/script") else { return Err(Stop::new(span, "no such item")) };
        let wanted = match &wanted {
            Value::Array(array) => array.values().map(Value::to_text).collect(),
            other => vec![other.to_text()],
        };
        let mut last = Value::Nothing;
        for wanted in wanted {
            let id = query::item(self.tree, menu, &wanted).first().copied();
            let Some(item) = id.and_then(|id| self.tree.get(menu, id)) else {
                return Err(Stop::new(span, "no such item"));
            };
            let name = item.text("name").unwrap_or_default();
            let source = item.text("source").unwrap_or_default();
            let own = Rights::of_item(item);
            let free = item.effective("dont-require-permissions") == Some(&crate::Value::Bool(true));
            if !free && command.arg("use-script-permissions").is_none() && !self.script.rights.covers(own) {
                return Err(Stop::at(rights::refused(), span));
            }
            self.script.host.started(&name);
            let code = self.compile(&source, span)?;
            let before = std::mem::replace(&mut self.script.rights, own);
            let done = self.call_value(&code, Vec::new(), span);
            self.script.rights = before;
            last = done?;
        }
        Ok(last)
    }

    fn random_number(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let a = self.number(command, "from", span)?.unwrap_or(0);
        let b = self.number(command, "to", span)?.unwrap_or(i64::from(u32::MAX));
        let (from, to) = (a.min(b), a.max(b));
        Ok(Value::Num(self.random_between(from, to)))
    }

    fn random_between(&mut self, from: i64, to: i64) -> i64 {
        let count = u128::from(to.abs_diff(from)) + 1;
        let place = u128::from(self.script.host.random()) % count;
        from.wrapping_add(u64::try_from(place).unwrap_or(0).cast_signed())
    }

    fn random_text(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let letters = match self.argument(command, "from")? {
            Some(from) => from.to_bytes(),
            None => ALPHANUMERIC.as_bytes().into(),
        };
        let length = self.number(command, "length", span)?.unwrap_or(16);
        if letters.is_empty() || !(0..=MAX_RANDOM).contains(&length) {
            return Err(Stop::new(span, format!("value of length out of range (0..{MAX_RANDOM})")));
        }
        let last = i64::try_from(letters.len() - 1).unwrap_or(0);
        let mut out = Vec::new();
        for _ in 0..length {
            let at = usize::try_from(self.random_between(0, last)).unwrap_or(0);
            out.extend(letters.get(at));
        }
        self.made(Ok(Value::bytes(out)), span)
    }
}

/// `$x->a->b` as the variable and its keys.
fn path(place: &Expr) -> Option<(&str, Vec<&Expr>)> {
    let (mut place, mut keys) = (place, Vec::new());
    loop {
        match place {
            Expr::Variable(name) => {
                keys.reverse();
                return Some((name, keys));
            }
            Expr::Op(Op::Index, operands, _) => {
                let [inner, key] = operands.as_slice() else { return None };
                keys.push(key);
                place = inner;
            }
            _ => return None,
        }
    }
}

/// Puts a value at a place inside arrays, which come into being where there are none; without one the place goes.
fn put_in(place: &mut Value, keys: &[Value], value: Option<Value>) -> Result<(), Fault> {
    let [key, rest @ ..] = keys else {
        *place = value.unwrap_or(Value::Nothing);
        return Ok(());
    };
    if !matches!(place, Value::Array(_)) {
        *place = Value::array(Array::default());
    }
    let Value::Array(array) = place else { return Ok(()) };
    let array = Arc::make_mut(array);
    match (rest, value) {
        ([], None) => {
            array.remove(key);
            Ok(())
        }
        ([], Some(value)) => array.set(key, value),
        (rest, value) => {
            let mut inner = array.take(key);
            put_in(&mut inner, rest, value)?;
            array.set(key, inner)
        }
    }
}
