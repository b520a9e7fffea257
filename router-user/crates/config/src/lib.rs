//! The RouterOS configuration language, its schema, and the configuration tree. Pure: no I/O.
//!
//! Text goes through [`import`] or [`from_yaml`] into a [`Tree`], which [`export`] and [`to_yaml`] write again; [`run`]
//! carries out one command of the console. All of them check against [`schema`].

mod ast;
mod cond;
mod dialect;
mod error;
mod exec;
mod export;
mod json_schema;
mod listing;
mod parser;
mod print;
mod query;
mod report;
pub mod schema;
pub mod script;
mod tree;
mod types;
mod value;
mod yaml;
mod yaml_places;

pub use error::{Error, Errors, Span};
pub use export::{export, export_changed, quoted};
pub use json_schema::json_schema;
pub use listing::{full_listing, listing};
pub use parser::is_word;
pub use print::{NoRows, Row, Rows, colour};
pub use report::{
    FileReport, LineReport, MenuReport, Need, NeedKind, Report, Totals, Verdict, check, check_with, html,
};
pub use tree::{Item, ItemId, Tree};
pub use types::{Family, Type};
pub use value::{Prefix, Value};
pub use yaml::{from_yaml, from_yaml_with, to_yaml};

use std::borrow::Cow;

use serde::Serialize;

/// Why a line, or a property of it, does nothing on this host; or what it was taken for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    pub line: u32,
    /// `/ip/firewall/filter`
    pub menu: String,
    pub reason: String,
}

/// What a statement does on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Enforced,
    /// Stored and exported again; the reason why nothing more happens.
    Kept(String),
}

/// One command of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub span: Span,
    /// `/ip/firewall/filter`
    pub menu: String,
    pub status: Status,
    /// The item that was added or set.
    pub item: Option<ItemId>,
}

/// A text that was taken as a whole.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub tree: Tree,
    pub statements: Vec<Statement>,
    pub notes: Vec<Note>,
}

/// How a text is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Refuse what RouterOS 7 refuses: forms of version 6, other spellings, names that come later.
    pub strict: bool,
    /// End at the first failure, as RouterOS does. Without this, every error of the text is found.
    pub stop: bool,
    /// What stands before this line is not carried out; 0: everything is.
    pub from_line: u32,
}

/// What could be taken of a text beside its errors.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub tree: Tree,
    pub statements: Vec<Statement>,
    pub notes: Vec<Note>,
    pub errors: Vec<Error>,
    /// Statements that could not be carried out.
    pub failed: usize,
}

/// What a console command gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    pub text: String,
    /// What `print` showed, as data: objects with RouterOS's names.
    pub rows: Option<serde_json::Value>,
    /// `print follow` and `interval=`: milliseconds until the command is to be run again.
    pub again_ms: Option<u64>,
    /// The tree is another than before.
    pub changed: bool,
    /// What was taken differently, or has no effect on this host.
    pub notes: Vec<Note>,
    /// What the router has to do beside.
    pub acts: Vec<Act>,
}

/// What a command asks of the router that is no part of the configuration: counters that begin at zero again,
/// connections that end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// `ip/firewall/filter`
    pub menu: String,
    /// `reset-counters`
    pub verb: String,
    /// Configured items that it is about.
    pub items: Vec<ItemId>,
    /// Others that it is about.
    pub rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// Passwords and keys too.
    pub sensitive: bool,
    /// Only this menu and those below it; or several after commas, `!` before those left out.
    pub menu: Option<String>,
    /// Defaults too.
    pub verbose: bool,
    /// One full command per line, not wrapped.
    pub terse: bool,
}

/// Takes a script as a whole, on top of `base`, or refuses it with all its errors.
pub fn import(base: &Tree, text: &str) -> Result<Outcome, Errors> {
    import_with(base, text, &ImportOptions::default())
}

/// [`import`] with options.
pub fn import_with(base: &Tree, text: &str, options: &ImportOptions) -> Result<Outcome, Errors> {
    let Attempt { tree, statements, notes, errors, .. } = attempt(base, text, options);
    if errors.is_empty() { Ok(Outcome { tree, statements, notes }) } else { Err(Errors(errors)) }
}

/// Takes of a script what can be taken, on top of `base`; the caller decides what errors mean.
pub fn attempt(base: &Tree, text: &str, options: &ImportOptions) -> Attempt {
    let mut tree = base.clone();
    let mut session = exec::Session::new(&mut tree, &NoRows);
    session.options = *options;
    session.run(&from_line(text, options.from_line));
    let exec::Ended { errors, reports, notes, failed, .. } = session.end();
    Attempt { tree, statements: reports, notes, errors, failed }
}

/// The text with empty lines before that line, so that places stay what they are.
fn from_line(text: &str, line: u32) -> Cow<'_, str> {
    let skipped = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
    if skipped == 0 {
        return text.into();
    }
    let ends: usize = text.split_inclusive('\n').take(skipped).map(str::len).sum();
    let (before, rest) = text.split_at(ends);
    ("\n".repeat(before.matches('\n').count()) + rest).into()
}

/// [`import`] for a file's bytes, which have to be UTF-8.
pub fn import_bytes(base: &Tree, bytes: &[u8]) -> Result<Outcome, Errors> {
    import(base, parser::decode(bytes)?)
}

/// Carries out one console command; on an error the tree stays as it is.
pub fn run(tree: &mut Tree, command: &str) -> Result<Output, Errors> {
    run_with(tree, command, &NoRows)
}

/// [`run`] where `print` also shows rows that are not configured.
pub fn run_with(tree: &mut Tree, command: &str, rows: &dyn Rows) -> Result<Output, Errors> {
    run_numbered(tree, command, rows, &mut Numbers::default())
}

/// What numbers mean in a console session: by menu, the items that `print` showed last.
#[derive(Clone, Debug, Default)]
pub struct Numbers(std::collections::HashMap<usize, Vec<ItemId>>);

/// [`run_with`] in a session that goes on: `set 0` means the item that the `print` before showed as number 0.
pub fn run_numbered(
    tree: &mut Tree,
    command: &str,
    rows: &dyn Rows,
    numbers: &mut Numbers,
) -> Result<Output, Errors> {
    let mut next = tree.clone();
    let mut session = exec::Session::new(&mut next, rows);
    session.console = true;
    session.printed = std::mem::take(&mut numbers.0);
    let last = session.run(command);
    numbers.0 = std::mem::take(&mut session.printed);
    let exec::Ended { errors, notes, mut out, rows_out, again, changed, acts, .. } = session.end();
    if !errors.is_empty() {
        return Err(Errors(errors));
    }
    match last {
        exec::Operand::Text(text) => {
            out.push_str(&text);
            out.push('\n');
        }
        exec::Operand::Items(ids) => {
            out.push_str(&ids.iter().map(ItemId::to_string).collect::<Vec<_>>().join(";"));
            out.push('\n');
        }
        exec::Operand::Value(value) => {
            out.push_str(&value.to_text());
            out.push('\n');
        }
        exec::Operand::Nothing | exec::Operand::Added(_) => {}
    }
    if changed {
        *tree = next;
    }
    Ok(Output { text: out, rows: rows_out, again_ms: again, changed, notes, acts })
}
