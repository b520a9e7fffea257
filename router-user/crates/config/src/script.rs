//! The scripting language at work. A script is run by the same [`Session`] that carries out configuration commands;
//! what a script is, has and may is here.

mod array;
mod builtin;
mod code;
mod codec;
mod convert;
mod dsv;
mod eval;
mod files;
mod hook;
mod host;
mod json;
mod net;
mod operator;
mod pattern;
mod rehearsal;
mod rights;
mod run;
mod state;
mod text;
mod value;
mod world;

use std::sync::Arc;

pub use codec::base64;
pub(crate) use convert::{from_config, from_state};
pub use hook::{Variables, typical};
pub use host::{Host, Nowhere};
pub(crate) use pattern::is_match;

pub use rights::Rights;
use run::is_outside;
pub(crate) use run::{Stop, is_scripted};
pub(crate) use state::State;
pub use state::{Globals, Limits};
pub(crate) use value::{Value, to_bytes as bytes};
pub use world::{Echo, Fetch, Fetched, Ping};

use rehearsal::{Known, Rehearsal};

use crate::Output;
use crate::ast::{Block, Statement, StatementKind};
use crate::error::{Errors, Span};
use crate::exec::{Ended, Session};
use crate::parser::{Mode, Parser};
use crate::print::Rows;
use crate::tree::Tree;

/// Values of one array that a function makes.
const MAX_ELEMENTS: usize = 100_000;

/// A script that was read without errors.
#[derive(Clone, Debug)]
pub struct Script(Arc<Block>);

/// How a script begins.
#[derive(Clone, Debug, Default)]
pub struct Start {
    pub limits: Limits,
    pub given: Variables,
    pub rights: Rights,
}

impl Script {
    pub fn parse(source: &str) -> Result<Script, Errors> {
        let mut parser = Parser::with(source, Mode::default());
        let mut statements = Vec::new();
        let mut errors = Vec::new();
        while let Some(statement) = parser.next_statement() {
            match statement {
                Ok(statement) => statements.push(statement),
                Err(error) => errors.push(error),
            }
        }
        errors.append(&mut parser.errors);
        errors.sort_by_key(crate::Error::span);
        if !errors.is_empty() {
            return Err(Errors(errors));
        }
        Ok(Script(Arc::new(Block { span: Span { line: 1, column: 1 }, menu: "".into(), statements })))
    }

    /// Holds statements that need more than the configuration: variables, calls, time, the log.
    pub fn needs_world(&self) -> bool {
        fn needs(statements: &[Statement]) -> bool {
            statements.iter().any(|statement| match &statement.kind {
                StatementKind::Call(_) => true,
                StatementKind::Command(command) => is_scripted(command) || is_outside(command),
                StatementKind::Block(block) => needs(&block.statements),
                StatementKind::Menu(_) | StatementKind::Bad(_) => false,
            })
        }
        needs(&self.0.statements)
    }

    /// Runs the script on a copy of a configuration, with nothing outside of it; for those who want to know whether it
    /// works.
    pub fn try_out(&self, tree: &Tree, limits: Limits, given: Variables) -> Result<(), Errors> {
        let mut tree = tree.clone();
        let mut state = State::new(Box::new(Rehearsal::default()), Globals::default(), limits);
        state.declare_all(given);
        let mut session = Session::with(&mut tree, &Known, state);
        session.script.live = true;
        session.script.trying = true;
        self.statements_of(&mut session)
    }

    fn statements_of(&self, session: &mut Session<'_>) -> Result<(), Errors> {
        for statement in &self.0.statements {
            match session.execute(statement) {
                Ok(_) => {}
                Err(Stop::Fail(errors)) => return Err(errors),
                Err(Stop::Return(_) | Stop::Break | Stop::Continue) => break,
            }
        }
        Ok(())
    }

    fn of(block: Arc<Block>) -> Script {
        Script(block)
    }

    fn block(&self) -> Arc<Block> {
        Arc::clone(&self.0)
    }

    /// Runs the script on a configuration that it changes command by command, each of them told to the host. It ends at
    /// its first error; what was done before stays.
    pub fn run<'h>(
        &self,
        tree: &mut Tree,
        rows: &dyn Rows,
        host: Box<dyn Host + 'h>,
        globals: &Globals,
        start: Start,
    ) -> Result<Output, Errors> {
        let mut state = State::new(host, globals.clone(), start.limits);
        state.declare_all(start.given);
        state.rights = start.rights;
        let mut session = Session::with(tree, rows, state);
        session.script.live = true;
        session.console = true;
        self.statements_of(&mut session)?;
        let Ended { out, changed, notes, .. } = session.end();
        Ok(Output { text: out, changed, notes, ..Output::default() })
    }
}

#[cfg(test)]
mod tests;
