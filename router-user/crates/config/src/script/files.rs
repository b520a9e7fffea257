//! Commands that read and write the router's files, or text as if it were one: `:import`, `:grep`, values to files.

use super::Script;
use super::pattern;
use super::run::{Flow, Stop, missing};
use super::value::{Value, to_bytes};
use crate::ast::{self, Arg, Expr};
use crate::error::Span;
use crate::exec::Session;
use crate::parser::decode;

impl Session<'_> {
    /// `/import file-name=x`: its commands one after the other; an error in its form means that none is carried out.
    pub(super) fn import_file(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let name = self.word(command, "file-name")?.ok_or_else(|| missing(span, "file-name"))?;
        let bytes = self.read_file(&name, span)?;
        let text = decode(&bytes).map_err(|error| Stop::Fail(error.into()))?;
        let from = self.number(command, "from-line", span)?.unwrap_or(0);
        let text = crate::from_line(text, u32::try_from(from).unwrap_or(0));
        self.script.step(u64::try_from(text.len() / 4).unwrap_or(u64::MAX)).map_err(|f| Stop::at(f, span))?;
        let script = Script::parse(&text).map_err(Stop::Fail)?;
        if command.arg("dry-run").is_some() {
            return Ok(Value::Nothing);
        }
        self.script.enter().map_err(|fault| Stop::at(fault, span))?;
        self.script.open_function(Vec::new());
        let done = self.run_block(&script.block().statements);
        self.script.close_function();
        self.script.leave();
        match done {
            Ok(_) | Err(Stop::Return(_)) if !self.script.ended => {
                self.print("\nScript file loaded and executed successfully\n", span)?;
                Ok(Value::Nothing)
            }
            other => other,
        }
    }

    pub(super) fn read_file(&mut self, name: &str, span: Span) -> Flow<Vec<u8>> {
        self.script.host.read_file(name).map_err(|message| Stop::new(span, message))
    }

    /// `:grep script={ .. } pattern="x"`: those lines of what a script puts out that the pattern is found in.
    pub(super) fn grep(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let wanted = self.word(command, "pattern")?.unwrap_or_default();
        let begin = self.out.len();
        let code = match command.arg("script") {
            None => return Err(missing(span, "script")),
            Some(Arg { value: Expr::Code(_), .. }) => self.substituted(command.arg("script"))?,
            Some(arg) => match self.eval(&arg.value, arg.value_span)? {
                code @ (Value::Code(_) | Value::Op(_)) => self.call_value(&code, Vec::new(), span)?,
                text => {
                    let code = self.compile(&text.to_text(), span)?;
                    self.call_value(&code, Vec::new(), span)?
                }
            },
        };
        let mut text = self.out.split_off(begin.min(self.out.len()));
        if text.is_empty() {
            text = code.to_text();
        }
        let mut found = Vec::new();
        for line in text.lines() {
            let bytes = to_bytes(line);
            let cost = u64::try_from(bytes.len() / 16 + 1).unwrap_or(u64::MAX);
            self.script.step(cost).map_err(|fault| Stop::at(fault, span))?;
            if pattern::is_match(&bytes, &to_bytes(&wanted)).map_err(|fault| Stop::at(fault, span))? {
                found.push(line.to_owned());
            }
        }
        if command.arg("as-array").is_some() {
            let lines = found.iter().map(|line| Value::str(line));
            return self.made(Ok(Value::list(lines)), span);
        }
        let text = found.join("\n");
        if self.inside == 0 && !text.is_empty() {
            self.print(&format!("{text}\n"), span)?;
        }
        self.made(Ok(Value::str(&text)), span)
    }

    /// The value of code that is an argument; what is returned in it is its value.
    fn substituted(&mut self, arg: Option<&Arg>) -> Flow<Value> {
        match self.run_argument(arg) {
            Err(Stop::Return(value)) => Ok(value),
            other => other,
        }
    }
}
