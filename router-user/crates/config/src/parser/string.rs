//! Quoted strings, variables, and the text of scripts between braces.

use super::table::Kind;
use super::{MAX_ARGS, Parsed, Parser, text::into_text};
use crate::ast::{Expr, Literal};
use crate::error::Error;

impl Parser<'_> {
    /// A quoted string. One that is nothing but a variable is that variable.
    pub(super) fn string(&mut self) -> Parsed<Expr> {
        let open = self.cursor.span();
        let known = self.errors.len();
        self.cursor.skip(1);
        let mut parts = Vec::new();
        let mut text = Vec::new();
        loop {
            let before = self.cursor.pos();
            let Some(byte) = self.cursor.peek() else {
                // What went wrong inside is more to the point than the missing end.
                let inside = self.errors.drain(known.min(self.errors.len())..).next();
                let missing = Error::new(open, "unexpected end of script").hint("the string is not closed");
                return Err(inside.unwrap_or(missing));
            };
            if self.mode.listing && self.cursor.pos() > before {
                piece(&mut parts, &mut text);
            }
            match byte {
                b'"' => break self.cursor.skip(1),
                b'\\' => {
                    self.cursor.skip(1);
                    let byte = self.escape()?;
                    if self.mode.listing {
                        piece(&mut parts, &mut text);
                        text.push(byte);
                        piece(&mut parts, &mut text);
                    } else {
                        text.push(byte);
                    }
                }
                b'$' if self.starts_value() => {
                    piece(&mut parts, &mut text);
                    if parts.len() >= MAX_ARGS {
                        return self.fail("too many values in a string");
                    }
                    parts.push(self.variable()?);
                }
                _ => {
                    text.push(byte);
                    self.cursor.advance();
                }
            }
        }
        piece(&mut parts, &mut text);
        Ok(match <[Expr; 1]>::try_from(parts) {
            Ok([one]) => one,
            Err(parts) if parts.is_empty() => Expr::Literal(Literal::Str(String::new())),
            Err(parts) => Expr::Concat(parts),
        })
    }

    /// A dollar sign before something that has a value.
    fn starts_value(&self) -> bool {
        self.cursor.peek_at(1).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'(' | b'[' | b'"'))
    }

    /// `$name`, `$"my name"`, `$(..)`, `$[..]`
    pub(super) fn variable(&mut self) -> Parsed<Expr> {
        self.cursor.skip(1);
        match self.cursor.peek() {
            Some(b'"') => Ok(match self.string()? {
                Expr::Literal(Literal::Str(name)) => self.referred(name),
                other => other,
            }),
            Some(b'(') => self.group(),
            Some(b'[') => self.value(Kind::Any),
            Some(byte) if byte.is_ascii_alphanumeric() => {
                let name = self.cursor.word(|b| b.is_ascii_alphanumeric());
                Ok(self.referred(name))
            }
            _ => self.fail("syntax error"),
        }
    }

    /// A variable that is used may be set by the statements behind.
    fn referred(&mut self, name: String) -> Expr {
        if !self.is_declared(&name) {
            self.referred.push(name.clone());
        }
        Expr::Variable(name)
    }

    /// The byte that an escape stands for; the backslash is already read.
    fn escape(&mut self) -> Parsed<u8> {
        let Some(byte) = self.cursor.peek_at(0) else {
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
                let low = self.cursor.peek_at(1).filter(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
                let Some(low) = low else {
                    return self.fail("syntax error");
                };
                self.cursor.skip(1);
                hex(byte) << 4 | hex(low)
            }
            _ => return self.fail("syntax error"),
        };
        self.cursor.skip(1);
        Ok(value)
    }

    /// `{ .. }` as the value of a property: a script, kept as it is written.
    pub(super) fn source(&mut self) -> Parsed<Expr> {
        let from = self.cursor.pos() + 1;
        self.balanced()?;
        let text = self.cursor.slice(from, self.cursor.pos().saturating_sub(1));
        Ok(Expr::Source(text.to_owned()))
    }

    /// Moves behind the brace that closes the one here; strings and comments inside are respected.
    fn balanced(&mut self) -> Parsed<()> {
        let mut level = 0u32;
        let mut command_start = false;
        while let Some(byte) = self.cursor.peek() {
            if byte == b'"' {
                self.quoted()?;
                command_start = false;
                continue;
            }
            if byte == b'#' && command_start {
                self.cursor.comment();
                continue;
            }
            self.cursor.advance();
            match byte {
                b'{' => level += 1,
                b'}' if level <= 1 => return Ok(()),
                b'}' => level -= 1,
                _ => {}
            }
            command_start = match byte {
                b'{' | b';' | b'\r' | b'\n' => true,
                b' ' | b'\t' => command_start,
                _ => false,
            };
        }
        self.fail("expected closing brace")
    }

    /// Moves behind a quoted string without reading what it holds.
    pub(super) fn quoted(&mut self) -> Parsed<()> {
        let open = self.cursor.span();
        self.cursor.skip(1);
        while let Some(byte) = self.cursor.peek() {
            if byte == b'\\' {
                self.cursor.skip(1);
            }
            self.cursor.advance();
            if byte == b'"' {
                return Ok(());
            }
        }
        Err(Error::new(open, "unexpected end of script").hint("the string is not closed"))
    }
}

fn piece(parts: &mut Vec<Expr>, text: &mut Vec<u8>) {
    if !text.is_empty() {
        parts.push(Expr::Literal(Literal::Str(into_text(std::mem::take(text)))));
    }
}

fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.wrapping_sub(b'A').wrapping_add(10),
    }
}
