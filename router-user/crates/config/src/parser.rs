//! Text -> compiled statements, as RouterOS's own parser reads it: menus, commands and arguments are looked up while
//! reading, and an error has the text and the place of the original's.

mod args;
mod cursor;
mod expr;
mod literal;
mod string;
mod table;
mod text;
mod words;

use std::collections::HashSet;
use std::sync::Arc;

use crate::ast::{Bad, Block, Call, Command, Statement, StatementKind};
use crate::error::{Error, Span};
use cursor::{Cursor, Mark};
pub(crate) use literal::literal;
pub(crate) use literal::{clock_text, number_text};
use table::table;
pub(crate) use text::{decode, into_text, raw_byte};
use words::Step;

/// Whether a word is, or begins, the name of any command or menu.
pub fn is_word(word: &str) -> bool {
    !word.is_empty() && table().is_word(word)
}

/// Blocks, brackets and conditions inside each other.
const MAX_DEPTH: u32 = 64;
/// Nodes of what is read that stand inside each other: `1-1-1` are two.
const MAX_HEIGHT: u32 = 200;
/// Errors after which the rest of a text isn't looked at.
pub(crate) const MAX_ERRORS: usize = 100;
/// Arguments of one statement, elements of one array, conditions side by side.
const MAX_ARGS: usize = 4096;
/// Statements inside one pair of brackets, which are in memory together.
const MAX_STATEMENTS: usize = 200_000;

/// Who reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    /// Names that RouterOS 7 does not know are errors at once. Otherwise they are kept as they are written, for those who
    /// know what older versions called what.
    pub strict: bool,
    /// For a listing: columns are a terminal's, empty statements are kept, and strings stay in the pieces that their
    /// escapes make.
    pub listing: bool,
    /// No menus but those of the base package.
    pub base: bool,
}

type Parsed<T> = Result<T, Error>;

/// Reads a text statement by statement, so that only one is in memory.
pub(crate) struct Parser<'t> {
    cursor: Cursor<'t>,
    mode: Mode,
    depth: u32,
    /// Of what was read last: nodes inside each other.
    height: u32,
    /// The current menu, `ip/address`.
    here: Arc<str>,
    /// Declared variables, by block.
    scopes: Vec<HashSet<String>>,
    /// Variables that the statements at work have used.
    referred: Vec<String>,
    /// The current menu is unknown: what follows in it is wrong too, and not told again.
    lost: bool,
    /// No statement of the list was read yet.
    first: bool,
    /// Errors inside the brackets of statements that could be read otherwise.
    pub errors: Vec<Error>,
    /// What was taken although the original refuses it.
    pub warnings: Vec<(Span, &'static str)>,
}

impl<'t> Parser<'t> {
    pub fn with(text: &'t str, mode: Mode) -> Parser<'t> {
        Parser {
            cursor: Cursor::new(text, mode.listing),
            mode,
            depth: 0,
            height: 0,
            here: "".into(),
            scopes: vec![HashSet::new()],
            referred: Vec::new(),
            lost: false,
            first: true,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// The next statement of the script, or why it can't be read; None at the end.
    pub fn next_statement(&mut self) -> Option<Parsed<Statement>> {
        let next = self.next(None);
        if let Some(place) = self.cursor.loose_join.take() {
            self.warnings.push((place, "blanks after the backslash at the end of the line are ignored"));
        }
        next
    }

    /// The current menu, `ip/address`.
    pub fn current_menu(&self) -> &str {
        &self.here
    }

    fn fail<T>(&self, message: &str) -> Parsed<T> {
        Err(self.cursor.error(message))
    }

    fn enter(&mut self) -> Parsed<()> {
        if self.depth >= MAX_DEPTH {
            let error = self.cursor.error("nested too deeply");
            return Err(error.hint(format!("at most {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        Ok(())
    }

    /// What was read is inside of a node, which stands beside others with `outer` nodes inside each other.
    fn wrap(&mut self, outer: u32) -> Parsed<()> {
        self.height = outer.max(self.height.saturating_add(1));
        if self.height > MAX_HEIGHT {
            return Err(self.cursor.error("nested too deeply").hint(format!("at most {MAX_HEIGHT} levels")));
        }
        Ok(())
    }

    /// The next statement before the closing byte, which is left in place, or before the end of the text.
    fn next(&mut self, close: Option<u8>) -> Option<Parsed<Statement>> {
        if self.mode.listing {
            if let Some(empty) = self.empty_statement(close) {
                return Some(Ok(empty));
            }
            if close.is_none() && matches!(self.cursor.peek(), Some(b'}')) {
                return None;
            }
        }
        loop {
            match self.cursor.peek()? {
                b' ' | b'\t' => self.cursor.skip(1),
                b'\r' | b'\n' | b';' => self.cursor.advance(),
                b'#' => self.cursor.comment(),
                byte if Some(byte) == close => return None,
                byte @ (b']' | b'}' | b')') => {
                    let message = if byte == b')' { "expected command name" } else { "syntax error" };
                    let stray = self.cursor.error(message).hint("this bracket closes nothing");
                    self.cursor.skip_line();
                    return Some(Err(stray));
                }
                _ => {
                    let (depth, scopes, here) = (self.depth, self.scopes.len(), self.here.clone());
                    if close.is_none() {
                        self.height = 0;
                    }
                    let known = self.referred.len();
                    let start = self.cursor.mark();
                    let statement = self.statement();
                    if let Some(scope) = self.scopes.get_mut(scopes.saturating_sub(1)) {
                        scope.extend(self.referred.get(known..).unwrap_or_default().iter().cloned());
                    }
                    if close.is_none() {
                        self.referred.clear();
                    }
                    if statement.is_err() {
                        self.depth = depth;
                        self.scopes.truncate(scopes);
                        self.here = here;
                        self.recover(start, close);
                    }
                    return Some(statement);
                }
            }
        }
    }

    /// Goes to where the next statement may begin: the end of the line in which an error was found, or the bracket that
    /// closes what the statement is in.
    fn recover(&mut self, start: Mark, close: Option<u8>) {
        let wrong = self.cursor.mark();
        self.cursor.back_to(start);
        let mut level = 0u32;
        while let Some(byte) = self.cursor.peek() {
            let behind = self.cursor.pos() >= wrong.pos;
            match byte {
                b'"' => {
                    if self.quoted().is_err() {
                        self.cursor.back_to(wrong);
                        return self.cursor.skip_line();
                    }
                    continue;
                }
                b'\r' | b'\n' if behind => return,
                b'{' | b'[' | b'(' => level += 1,
                b'}' | b']' | b')' if level > 0 => level -= 1,
                byte if Some(byte) == close && behind => return,
                _ => {}
            }
            self.cursor.advance();
        }
    }

    /// A statement without words, which names the current menu. Line ends directly behind a statement are none, nor are
    /// comments before one.
    fn empty_statement(&mut self, close: Option<u8>) -> Option<Statement> {
        let at_start = std::mem::take(&mut self.first);
        let mut needed = at_start;
        if !at_start {
            self.cursor.blanks();
            if self.cursor.peek() == Some(b';') {
                self.cursor.skip(1);
                needed = matches!(self.cursor.peek(), Some(b' ' | b'\t'));
            }
            loop {
                let before = self.cursor.mark();
                let blank = !needed && self.cursor.blanks();
                match self.cursor.peek() {
                    Some(b'\r' | b'\n') => {
                        self.cursor.advance();
                        needed = false;
                    }
                    Some(b'#') if !blank && !needed => self.cursor.comment(),
                    None if !needed => return None,
                    byte if byte == close && !needed => return None,
                    _ => break self.cursor.back_to(before),
                }
            }
        }
        let mut commented = false;
        loop {
            self.cursor.blanks();
            match self.cursor.peek() {
                Some(b'#') => {
                    self.cursor.comment();
                    self.cursor.advance();
                    commented = true;
                }
                _ => break,
            }
        }
        let ends = match self.cursor.peek() {
            Some(b'\r' | b'\n' | b';') => true,
            None => commented,
            byte => byte == close && (commented || needed),
        };
        ends.then(|| Statement { span: self.cursor.span(), kind: StatementKind::Menu(self.here.to_string()) })
    }

    /// Statements inside brackets, up to the closing one, which is passed.
    fn block(&mut self, close: u8, missing: &str) -> Parsed<Block> {
        let span = self.cursor.span();
        self.enter()?;
        let outer = std::mem::take(&mut self.height);
        self.cursor.skip(1);
        let menu = self.here.clone();
        self.scopes.push(HashSet::new());
        let known = self.errors.len();
        let mut statements = Vec::new();
        self.first = true;
        while let Some(statement) = self.next(Some(close)) {
            match statement {
                Ok(statement) if statements.len() >= MAX_STATEMENTS => {
                    return Err(Error::new(statement.span, "too many statements in brackets"));
                }
                Ok(statement) => statements.push(statement),
                Err(error) if self.errors.len() + 1 < MAX_ERRORS => self.errors.push(error),
                Err(error) => return Err(error),
            }
        }
        if self.cursor.peek() == Some(close) {
            self.cursor.skip(1);
        } else if self.errors.len() == known {
            // One bracket that is told stands for all that are open; what is inside is looked at nonetheless.
            let error = self.cursor.error(missing);
            self.errors.push(error.hint(format!("for the bracket of {}", place(span))));
        }
        self.first = false;
        self.scopes.pop();
        self.depth -= 1;
        self.here = menu.clone();
        self.wrap(outer)?;
        Ok(Block { span, menu, statements })
    }

    fn is_declared(&self, name: &str) -> bool {
        self.scopes.iter().any(|scope| scope.contains(name))
    }

    fn declare(&mut self, name: &str) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_owned());
        }
    }

    /// A statement ends here.
    fn at_end(&mut self) -> bool {
        matches!(self.cursor.peek(), None | Some(b'\r' | b'\n' | b';' | b']' | b'}'))
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let span = self.cursor.span();
        let kind = match self.cursor.peek() {
            Some(b'[' | b'(' | b'$') => StatementKind::Call(self.call()?),
            Some(b'{') => StatementKind::Block(self.block(b'}', "missing closing brace")?),
            Some(b'/' | b':') => {
                self.cursor.skip(1);
                self.lost = false;
                self.cursor.blanks();
                self.path(Arc::from(""), true)?
            }
            _ => self.path(self.here.clone(), false)?,
        };
        Ok(Statement { span, kind })
    }

    /// `$f a b=1`, `[..] ..`, `(..) ..`
    fn call(&mut self) -> Parsed<Call> {
        let function = Box::new(self.value(table::Kind::Any)?);
        Ok(Call { function, args: self.any_arguments(true)? })
    }

    /// What follows the menu at which a statement begins: words down to a command, and its arguments.
    fn path(&mut self, mut path: Arc<str>, absolute: bool) -> Parsed<StatementKind> {
        let mut first = true;
        loop {
            let (span, start) = (self.cursor.span(), self.cursor.mark());
            let mut word = self.cursor.word(is_name_byte);
            if word.len() > 2 && word.starts_with("..") && !path.is_empty() {
                self.cursor.back_to(start);
                self.cursor.skip(2);
                word.truncate(2);
            }
            if word.is_empty() {
                // A path may end with a slash, and a slash alone is the root.
                if (!first || absolute) && (self.at_end() || self.cursor.peek() == Some(b'{')) {
                    return self.menu(path);
                }
                return Err(self.no_command());
            }
            match self.step(&path, &word, first && !absolute) {
                Step::Menu(menu) => path = menu.into(),
                Step::Command(path, name) => return self.command(&path, name, span),
                Step::None(error) => return self.unknown(*error, word, span),
            }
            first = false;
            if self.cursor.peek() == Some(b'/') {
                self.cursor.skip(1);
            } else if !(word == ".." && self.cursor.peek().is_some_and(is_name_byte)) {
                let blank = self.cursor.blanks();
                if self.at_end() || self.cursor.peek() == Some(b'{') {
                    return self.menu(path);
                }
                if !blank || !self.cursor.peek().is_some_and(is_name_byte) {
                    return Err(self.no_command());
                }
            }
        }
    }

    /// What stands here is no word of a path.
    fn no_command(&mut self) -> Error {
        let hint = match self.cursor.peek() {
            Some(b'>') => "a prompt is not part of a script",
            Some(b'A'..=b'Z') => "menus and commands are written in small letters",
            Some(b'"') => "text alone is no command; :put shows it",
            Some(b'?') => "a question mark asks for help on a terminal only",
            Some(b'=') => "an argument has to be on its command's line, or behind a backslash at its end",
            _ => return self.cursor.error("expected command name"),
        };
        self.cursor.error("expected command name").hint(hint)
    }

    /// A path without a command: the current menu changes, or a block runs there.
    fn menu(&mut self, path: Arc<str>) -> Parsed<StatementKind> {
        self.cursor.blanks();
        if self.cursor.peek() != Some(b'{') {
            self.here = path;
            return Ok(StatementKind::Menu(self.here.to_string()));
        }
        let before = std::mem::replace(&mut self.here, path);
        let block = self.block(b'}', "missing closing brace");
        self.here = before;
        Ok(StatementKind::Block(block?))
    }

    fn command(&mut self, path: &str, name: String, name_span: Span) -> Parsed<StatementKind> {
        let args = self.arguments(path, &name)?;
        let builtin = table().is_own(path, &name);
        Ok(StatementKind::Command(Command { menu: path.to_owned(), name, name_span, builtin, args }))
    }

    /// An unknown word. Only where a slash follows it, it is an error at once.
    fn unknown(&mut self, error: Error, word: String, span: Span) -> Parsed<StatementKind> {
        if self.cursor.peek() == Some(b'/') {
            self.lost = !self.mode.strict;
            let hint = error.hint.clone();
            return Err(self.cursor.error("syntax error").maybe(hint));
        }
        let args = self.any_arguments(false)?;
        let error = Error { line: span.line, column: span.column, ..error };
        let is_path = args.iter().all(|arg| arg.name.is_empty());
        let told = self.lost;
        self.lost |= is_path && !self.mode.strict;
        Ok(StatementKind::Bad(Bad { error: (!told).then(|| Box::new(error)), word, args }))
    }
}

/// Letters of menus and commands are small.
fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'.')
}

fn place(span: Span) -> String {
    format!("line {} column {}", span.line, span.column)
}
