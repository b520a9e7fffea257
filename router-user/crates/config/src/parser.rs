//! Text -> statements. No menu is known here, so everything that RouterOS can write is read, and only the form of a
//! script can be wrong. Columns count bytes, lines are physical ones.

use crate::ast::{Arg, ArgKind, Cond, Expr, Op, Root, Statement};
use crate::error::{Error, Span};

/// Blocks, brackets and conditions inside each other.
const MAX_DEPTH: u32 = 64;
/// Errors after which the rest of a text isn't looked at.
pub(crate) const MAX_ERRORS: usize = 100;
/// Arguments of one statement, and conditions side by side.
const MAX_ARGS: usize = 4096;

/// Statements inside one pair of brackets, which are in memory together.
const MAX_STATEMENTS: usize = 200_000;

/// UTF-8 or an error that says where it ends.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|e| {
        let good = bytes.get(..e.valid_up_to()).unwrap_or_default();
        let line_start = good.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let line = good.iter().filter(|b| **b == b'\n').count() + 1;
        let span = Span { line: to_u32(line), column: to_u32(good.len() - line_start + 1) };
        Error::new(span, "invalid character")
            .hint("the text is not UTF-8; RouterOS writes such bytes as \\XX")
    })
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Reads a text statement by statement, so that only one is in memory.
pub(crate) struct Parser<'t> {
    text: &'t str,
    bytes: &'t [u8],
    pos: usize,
    line: u32,
    line_start: usize,
    depth: u32,
    /// Errors inside the brackets of statements that could be read otherwise.
    pub errors: Vec<Error>,
}

type Parsed<T> = Result<T, Error>;

impl<'t> Parser<'t> {
    pub fn new(text: &'t str) -> Parser<'t> {
        let bytes = text.as_bytes();
        let start = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Parser { text, bytes, pos: start, line: 1, line_start: start, depth: 0, errors: Vec::new() }
    }

    /// The next statement of the script, or why it can't be read; None at the end.
    pub fn next_statement(&mut self) -> Option<Result<Statement, Error>> {
        self.next(None)
    }

    fn span(&self) -> Span {
        Span { line: self.line, column: to_u32(self.pos - self.line_start + 1) }
    }

    fn fail<T>(&self, message: &str) -> Parsed<T> {
        Err(Error::new(self.span(), message))
    }

    /// The byte at the position, after any joined line ends.
    fn peek(&mut self) -> Option<u8> {
        while let Some(skip) = self.join_length() {
            self.pos += skip;
            self.line += 1;
            self.line_start = self.pos;
            while matches!(self.bytes.get(self.pos), Some(b' ' | b'\t')) {
                self.pos += 1;
            }
        }
        self.bytes.get(self.pos).copied()
    }

    fn peek_at(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.pos + ahead).copied()
    }

    /// Length of a backslash with its line end. Blanks between the two are tolerated.
    fn join_length(&self) -> Option<usize> {
        if self.bytes.get(self.pos) != Some(&b'\\') {
            return None;
        }
        let mut end = self.pos + 1;
        while matches!(self.bytes.get(end), Some(b' ' | b'\t')) {
            end += 1;
        }
        let line_end = match (self.bytes.get(end), self.bytes.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => 2,
            (Some(b'\r' | b'\n'), _) => 1,
            _ => return None,
        };
        Some(end + line_end - self.pos)
    }

    /// Moves over one byte, counting lines.
    fn advance(&mut self) {
        let byte = self.bytes.get(self.pos).copied();
        self.pos += 1;
        let line_end =
            byte == Some(b'\n') || (byte == Some(b'\r') && self.bytes.get(self.pos) != Some(&b'\n'));
        if line_end {
            self.line += 1;
            self.line_start = self.pos;
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.pos += 1;
        }
    }

    fn enter(&mut self) -> Parsed<()> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error_here("nested too deeply").hint(format!("at most {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        Ok(())
    }

    fn error_here(&self, message: &str) -> Error {
        Error::new(self.span(), message)
    }

    /// The next statement before the closing byte, which is left in place, or before the end of the text.
    fn next(&mut self, close: Option<u8>) -> Option<Parsed<Statement>> {
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' => self.pos += 1,
                b'\r' | b'\n' | b';' => self.advance(),
                b'#' => self.comment(),
                _ if Some(byte) == close => return None,
                b']' | b'}' | b')' => {
                    let stray = self.error_here("syntax error").hint("this bracket closes nothing");
                    self.skip_line();
                    return Some(Err(stray));
                }
                _ => {
                    let depth = self.depth;
                    let statement = self.statement();
                    if statement.is_err() {
                        self.depth = depth;
                        self.skip_line();
                    }
                    return Some(statement);
                }
            }
        }
        None
    }

    /// Statements inside brackets.
    fn statements(&mut self, close: u8) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
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
        Ok(statements)
    }

    /// A comment ends with its physical line, whatever the last byte is.
    fn comment(&mut self) {
        while !matches!(self.bytes.get(self.pos), None | Some(b'\r' | b'\n')) {
            self.pos += 1;
        }
    }

    /// Goes on at the next line that is not a continuation.
    fn skip_line(&mut self) {
        while let Some(byte) = self.peek() {
            if matches!(byte, b'\r' | b'\n') {
                return;
            }
            self.pos += 1;
        }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let span = self.span();
        let root = match self.peek() {
            Some(b'/') => {
                self.pos += 1;
                Root::Top
            }
            Some(b':') => {
                self.pos += 1;
                Root::Global
            }
            _ => Root::Here,
        };
        let mut statement = Statement { span, root, args: Vec::new() };
        loop {
            self.blanks();
            let span = self.span();
            let kind = match self.peek() {
                None | Some(b'\r' | b'\n' | b';' | b']' | b'}') => break,
                Some(b'"') => {
                    let value = self.string()?;
                    self.after_value()?;
                    ArgKind::Value(value)
                }
                Some(b'[') => ArgKind::Value(self.substitution()?),
                Some(b'(') => ArgKind::Value(self.group()?),
                Some(b'$') => ArgKind::Value(self.variable()),
                Some(b'{') => ArgKind::Block(self.block()?),
                Some(b')') => return self.fail("syntax error"),
                Some(b'#') => return self.fail("expected end of command"),
                Some(_) => self.word_argument(&statement)?,
            };
            let wants_condition = matches!(&kind, ArgKind::Word(word) if root != Root::Global
                && (word == "find" || word == "where"));
            if statement.args.len() >= MAX_ARGS {
                return Err(Error::new(span, "too many arguments"));
            }
            statement.args.push(Arg { span, kind });
            if wants_condition {
                self.blanks();
                let span = self.span();
                let cond = self.conditions()?;
                statement.args.push(Arg { span, kind: ArgKind::Where(cond) });
            }
        }
        Ok(statement)
    }

    /// `word`, `name=value`, `!name`.
    fn word_argument(&mut self, before: &Statement) -> Parsed<ArgKind> {
        let span = self.span();
        let word = self.bare_word(b"=");
        if self.peek() != Some(b'=') {
            if word.is_empty() {
                return self.fail("syntax error");
            }
            return Ok(match word.strip_prefix('!') {
                Some(name) if !name.is_empty() => ArgKind::Unset(name.to_owned()),
                _ => ArgKind::Word(word),
            });
        }
        if word.is_empty() || !word.bytes().all(is_name_byte) {
            let message =
                if before.args.is_empty() { "expected command name" } else { "expected end of command" };
            return Err(Error::new(span, message));
        }
        self.pos += 1;
        // `do= {` and `from= 1` are written too.
        let spaced = matches!(self.peek(), Some(b' ' | b'\t'));
        if spaced {
            let (pos, line, line_start) = (self.pos, self.line, self.line_start);
            self.blanks();
            let named = self.bytes.get(self.pos..).unwrap_or_default();
            let end = named.iter().position(|b| !is_name_byte(*b)).unwrap_or(named.len());
            if named.get(end) == Some(&b'=') {
                (self.pos, self.line, self.line_start) = (pos, line, line_start);
            }
        }
        let value_span = self.span();
        let value = self.value()?;
        Ok(ArgKind::Named { name: word, value, value_span })
    }

    fn value(&mut self) -> Parsed<Expr> {
        match self.peek() {
            Some(b'"') => {
                let value = self.string()?;
                self.after_value()?;
                Ok(value)
            }
            Some(b'[') => self.substitution(),
            Some(b'(') => self.group(),
            Some(b'{') => self.raw_block(),
            Some(b'$') => Ok(self.variable()),
            _ => Ok(Expr::Text(self.bare_word(b""))),
        }
    }

    /// Nothing may follow a closing quote directly.
    fn after_value(&mut self) -> Parsed<()> {
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b']' | b')' | b'}') => Ok(()),
            Some(_) => self.fail("expected end of command"),
        }
    }

    /// A word up to a blank, a line end, `;`, a bracket or one of `stop`.
    fn bare_word(&mut self, stop: &[u8]) -> String {
        let mut word = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'[' | b']' | b'{' | b'}' | b'(' | b')' | b'"' => break,
                _ if stop.contains(&byte) => break,
                _ => word.push(byte),
            }
            self.pos += 1;
        }
        into_text(word)
    }

    /// A quoted string with its escapes.
    fn string(&mut self) -> Parsed<Expr> {
        let open = self.span();
        self.pos += 1;
        let mut text = Vec::new();
        let mut interpolated = false;
        loop {
            let Some(byte) = self.peek() else {
                return Err(Error::new(open, "unexpected end of script").hint("the string is not closed"));
            };
            match byte {
                b'"' => {
                    self.pos += 1;
                    break;
                }
                b'\\' => {
                    self.pos += 1;
                    text.push(self.escape()?);
                }
                b'$' => {
                    let next = self.peek_at(1);
                    interpolated |=
                        next.is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'(' | b'[' | b'"'));
                    text.push(b'$');
                    self.pos += 1;
                }
                _ => {
                    text.push(byte);
                    self.advance();
                }
            }
        }
        Ok(if interpolated { Expr::Interpolated } else { Expr::Text(into_text(text)) })
    }

    /// The byte that an escape stands for; the backslash is already read.
    fn escape(&mut self) -> Parsed<u8> {
        let Some(byte) = self.bytes.get(self.pos).copied() else {
            return self.fail("unexpected end of script");
        };
        let value = match byte {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'_' => b' ',
            b'a' => 0x07,
            b'b' => 0x08,
            b'f' => 0x0C,
            b'v' => 0x0B,
            b'"' | b'\\' | b'$' | b'?' => byte,
            b'0'..=b'9' | b'A'..=b'F' => {
                let low = self.peek_at(1).filter(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
                let Some(low) = low else {
                    return self.fail("syntax error");
                };
                self.pos += 1;
                hex(byte) << 4 | hex(low)
            }
            _ => return self.fail("syntax error"),
        };
        self.pos += 1;
        Ok(value)
    }

    fn substitution(&mut self) -> Parsed<Expr> {
        let open = self.span();
        self.enter()?;
        self.pos += 1;
        let known = self.errors.len();
        let statements = self.statements(b']')?;
        if self.peek() != Some(b']') {
            // What went wrong inside is more to the point than the missing end.
            let inside = self.errors.drain(known..).next();
            return Err(inside
                .unwrap_or(Error::new(open, "unexpected end of script").hint("the bracket is not closed")));
        }
        self.pos += 1;
        self.depth -= 1;
        Ok(Expr::Command(statements))
    }

    fn block(&mut self) -> Parsed<Vec<Statement>> {
        let open = self.span();
        self.enter()?;
        self.pos += 1;
        let known = self.errors.len();
        let statements = self.statements(b'}')?;
        if self.peek() != Some(b'}') {
            // What went wrong inside is more to the point than the missing end.
            let inside = self.errors.drain(known..).next();
            return Err(inside.unwrap_or(Error::new(open, "missing closing brace")));
        }
        self.pos += 1;
        self.depth -= 1;
        Ok(statements)
    }

    /// `$name` or `$"my name"`.
    fn variable(&mut self) -> Expr {
        self.pos += 1;
        let quoted = self.peek() == Some(b'"');
        if quoted {
            return match self.string() {
                Ok(Expr::Text(name)) => Expr::Variable(name),
                _ => Expr::Variable(String::new()),
            };
        }
        Expr::Variable(self.bare_word(b"=,"))
    }

    /// `( .. )`: an expression of the language, passed over.
    fn group(&mut self) -> Parsed<Expr> {
        self.balanced(b'(', b')', "unexpected end of script")?;
        Ok(Expr::Group)
    }

    /// `{ .. }` as a value: a script, kept as it is written.
    fn raw_block(&mut self) -> Parsed<Expr> {
        let from = self.pos + 1;
        self.balanced(b'{', b'}', "missing closing brace")?;
        let text = self.text.get(from..self.pos - 1).unwrap_or_default();
        Ok(Expr::Block(text.trim().to_owned()))
    }

    /// Moves behind the bracket that closes the one here; strings and comments inside are respected.
    fn balanced(&mut self, open: u8, close: u8, message: &str) -> Parsed<()> {
        let start = self.span();
        let mut level = 0u32;
        let mut command_start = false;
        while let Some(byte) = self.peek() {
            if byte == b'"' {
                self.string()?;
                command_start = false;
                continue;
            }
            if byte == b'#' && command_start {
                self.comment();
                continue;
            }
            self.advance();
            if byte == open {
                level += 1;
            } else if byte == close {
                level -= 1;
                if level == 0 {
                    return Ok(());
                }
            }
            command_start = match byte {
                b'{' | b';' | b'\r' | b'\n' => true,
                b' ' | b'\t' => command_start,
                _ => false,
            };
        }
        Err(Error::new(start, message))
    }

    /// Conditions side by side: all of them.
    fn conditions(&mut self) -> Parsed<Cond> {
        let mut all = Vec::new();
        self.operator(&["where"]);
        loop {
            self.blanks();
            match self.peek() {
                None | Some(b'\r' | b'\n' | b';' | b']' | b'}' | b')') => break,
                _ if all.len() >= MAX_ARGS => return self.fail("too many arguments"),
                _ => all.push(self.any()?),
            }
        }
        Ok(match <[Cond; 1]>::try_from(all) {
            Ok([one]) => one,
            Err(all) => Cond::All(all),
        })
    }

    fn any(&mut self) -> Parsed<Cond> {
        let mut any = vec![self.both()?];
        while self.operator(&["||", "or"]) {
            any.push(self.both()?);
        }
        Ok(match <[Cond; 1]>::try_from(any) {
            Ok([one]) => one,
            Err(any) => Cond::Any(any),
        })
    }

    fn both(&mut self) -> Parsed<Cond> {
        let mut all = vec![self.negated()?];
        while self.operator(&["&&", "and"]) {
            all.push(self.negated()?);
        }
        Ok(match <[Cond; 1]>::try_from(all) {
            Ok([one]) => one,
            Err(all) => Cond::All(all),
        })
    }

    /// Takes one of the operators if it stands here; words need a blank behind them.
    fn operator(&mut self, names: &[&str]) -> bool {
        self.blanks();
        let rest = self.bytes.get(self.pos..).unwrap_or_default();
        let found = names.iter().find(|name| {
            let next = rest.get(name.len()).copied();
            rest.starts_with(name.as_bytes())
                && (!name.starts_with(|c: char| c.is_ascii_alphabetic()) || !next.is_some_and(is_name_byte))
        });
        if let Some(name) = found {
            self.pos += name.len();
        }
        found.is_some()
    }

    fn negated(&mut self) -> Parsed<Cond> {
        self.blanks();
        let mut negations = 0u32;
        while self.peek() == Some(b'!') {
            self.pos += 1;
            self.blanks();
            negations += 1;
        }
        let cond = self.comparison()?;
        Ok(if negations % 2 == 1 { Cond::Not(Box::new(cond)) } else { cond })
    }

    fn comparison(&mut self) -> Parsed<Cond> {
        self.blanks();
        let span = self.span();
        if self.peek() == Some(b'(') {
            self.enter()?;
            self.pos += 1;
            let cond = self.conditions()?;
            if self.peek() != Some(b')') {
                return self.fail("syntax error");
            }
            self.pos += 1;
            self.depth -= 1;
            return Ok(cond);
        }
        if self.peek() == Some(b'$') {
            self.pos += 1;
        }
        let mut name = Vec::new();
        while let Some(byte) = self.peek().filter(|b| is_name_byte(*b)) {
            name.push(byte);
            self.pos += 1;
        }
        if name.is_empty() {
            return self.fail("syntax error");
        }
        let name = into_text(name);
        self.blanks();
        let Some(op) = self.comparator() else {
            return Ok(Cond::Flag(name, span));
        };
        self.blanks();
        let value = match self.peek() {
            None | Some(b'\r' | b'\n' | b';' | b']' | b'}' | b')') => return self.fail("syntax error"),
            _ => self.value()?,
        };
        Ok(Cond::Compare { name, op, value, span })
    }

    fn comparator(&mut self) -> Option<Op> {
        let (op, length) = match (self.peek()?, self.peek_at(1)) {
            (b'!', Some(b'=')) => (Op::NotEqual, 2),
            (b'<', Some(b'=')) => (Op::LessEqual, 2),
            (b'>', Some(b'=')) => (Op::GreaterEqual, 2),
            (b'=', Some(b'=')) => (Op::Equal, 2),
            (b'=', _) => (Op::Equal, 1),
            (b'<', _) => (Op::Less, 1),
            (b'>', _) => (Op::Greater, 1),
            (b'~', _) => (Op::Match, 1),
            _ => return None,
        };
        self.pos += length;
        Some(op)
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte - b'A' + 10,
    }
}

/// First of the private-use characters that stand for bytes 0x80..0xFF which are no UTF-8.
const RAW_BYTE: u32 = 0xF700;

/// Bytes of a string -> text. Bytes that are no UTF-8 become private-use characters, so that none is lost.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| {
        let mut text = String::new();
        for chunk in e.as_bytes().utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().filter_map(|b| char::from_u32(RAW_BYTE + u32::from(*b))));
        }
        text
    })
}

/// The byte that a character stands for where it is one of [`into_text`]'s.
pub(crate) fn raw_byte(c: char) -> Option<u8> {
    u32::from(c)
        .checked_sub(RAW_BYTE)
        .filter(|b| (0x80..=0xFF).contains(b))
        .and_then(|b| u8::try_from(b).ok())
}
