//! Expressions: operators and their precedence, groups, arrays, conditions on items.

use super::args::is_value_byte;
use super::literal::{literal, typed};
use super::table::Kind;
use super::{MAX_ARGS, Parsed, Parser};
use crate::ast::{Expr, Literal, Op};
use crate::error::Span;
use crate::schema::{Lookup, Menu};

/// Names that conditions know in every menu.
const EVERYWHERE: [&str; 8] =
    [".about", ".dead", ".id", ".nextid", "comment", "disabled", "dynamic", "invalid"];

/// Binary operators, the longest first, with how tightly they bind.
const OPERATORS: [(&str, Op, u8); 27] = [
    ("<%%", Op::Apply, 13),
    ("->", Op::Index, 14),
    ("<<", Op::ShiftLeft, 10),
    (">>", Op::ShiftRight, 10),
    ("<=", Op::LessEqual, 5),
    (">=", Op::GreaterEqual, 5),
    ("!=", Op::NotEqual, 5),
    ("==", Op::Equal, 5),
    ("&&", Op::And, 3),
    ("||", Op::Or, 2),
    ("and", Op::And, 3),
    ("or", Op::Or, 2),
    ("in", Op::In, 5),
    ("=", Op::Equal, 5),
    ("<", Op::Less, 5),
    (">", Op::Greater, 5),
    ("~", Op::Match, 5),
    (".", Op::Concat, 7),
    (",", Op::Join, 6),
    ("+", Op::Add, 11),
    ("-", Op::Subtract, 11),
    ("*", Op::Multiply, 12),
    ("/", Op::Divide, 12),
    ("%", Op::Modulo, 12),
    ("&", Op::BitAnd, 9),
    ("|", Op::BitOr, 8),
    ("^", Op::BitXor, 8),
];

/// Conditions side by side.
const BESIDE: u8 = 1;
const COMPARE: u8 = 5;
/// Tighter than anything binary but indexing.
const UNARY: u8 = 13;

/// Where an expression stands.
#[derive(Clone, Copy)]
struct Place {
    /// The menu whose items conditions are tried on.
    menu: Option<&'static Menu>,
    /// Conditions of a query.
    query: bool,
    /// Inside brackets, where a line end is a blank.
    inside: bool,
}

impl Parser<'_> {
    /// `( .. )`
    pub(super) fn group(&mut self) -> Parsed<Expr> {
        let value = self.bracketed(Place { menu: None, query: false, inside: true })?;
        // A call of `($f)` is listed otherwise than one of `$f`.
        Ok(match value {
            Expr::Variable(_) if self.mode.listing => Expr::Concat(vec![value]),
            value => value,
        })
    }

    fn bracketed(&mut self, place: Place) -> Parsed<Expr> {
        self.enter()?;
        self.cursor.skip(1);
        let place = Place { inside: true, ..place };
        let value = self.expression(place, BESIDE)?;
        self.gap(place);
        if self.cursor.peek() != Some(b')') {
            return self.fail("syntax error");
        }
        self.cursor.skip(1);
        self.depth -= 1;
        Ok(value)
    }

    /// The conditions of `find` and `where`, up to the end of the command.
    pub(super) fn condition(&mut self, menu: Option<&'static Menu>) -> Parsed<Expr> {
        let place = Place { menu, query: true, inside: false };
        self.cursor.blanks();
        if self.word_here("where") {
            self.cursor.blanks();
        }
        if self.at_end() {
            return Ok(Expr::Op(Op::Beside, Vec::new(), self.cursor.span()));
        }
        let value = self.expression(place, BESIDE)?;
        self.cursor.blanks();
        if !self.at_end() {
            return self.fail("expected end of command");
        }
        Ok(value)
    }

    fn gap(&mut self, place: Place) {
        if place.inside {
            self.cursor.space();
        } else {
            self.cursor.blanks();
        }
    }

    /// A keyword stands here.
    fn word_is(&self, word: &str) -> bool {
        let rest = self.cursor.rest();
        rest.starts_with(word.as_bytes())
            && !rest.get(word.len()).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    }

    /// Takes a keyword if it stands here.
    fn word_here(&mut self, word: &str) -> bool {
        let found = self.word_is(word);
        if found {
            self.cursor.skip(word.len());
        }
        found
    }

    /// An expression of operators that bind at least as tightly as `least`.
    fn expression(&mut self, place: Place, least: u8) -> Parsed<Expr> {
        self.enter()?;
        let outer = std::mem::take(&mut self.height);
        self.gap(place);
        let first = self.operand(place)?;
        let value = self.operators(first, place, least)?;
        self.height = self.height.max(outer);
        self.depth -= 1;
        Ok(value)
    }

    /// What follows a first operand.
    fn operators(&mut self, first: Expr, place: Place, least: u8) -> Parsed<Expr> {
        let mut value = first;
        loop {
            let before = self.cursor.mark();
            let left = std::mem::take(&mut self.height);
            self.gap(place);
            let span = self.cursor.span();
            let Some((op, binds)) = self.operator().filter(|(_, binds)| *binds >= least) else {
                self.cursor.back_to(before);
                if least <= BESIDE && self.begins_operand(place) {
                    let next = self.expression(place, BESIDE + 1)?;
                    self.chain(&mut value, Op::Beside, next, (span, left))?;
                    continue;
                }
                self.height = left;
                return Ok(value);
            };
            self.gap(place);
            let right = match (&value, op) {
                (Expr::Property(..), _) if binds == COMPARE && op != Op::In => self.compared(place)?,
                // Calls are read from the right.
                (_, Op::Apply) => self.expression(place, binds)?,
                _ => self.expression(place, binds + 1)?,
            };
            self.chain(&mut value, op, right, (span, left))?;
        }
    }

    /// Adds an operand to one of height `left`; the same operator in a row is one node where the order doesn't matter.
    fn chain(&mut self, value: &mut Expr, op: Op, right: Expr, (span, left): (Span, u32)) -> Parsed<()> {
        if let Expr::Op(same, operands, _) = value
            && *same == op
            && op.is_flat()
            && operands.len() > 1
        {
            if operands.len() >= MAX_ARGS {
                return self.fail("too many operands");
            }
            operands.push(right);
            return self.wrap(left);
        }
        self.height = self.height.max(left);
        let before = std::mem::replace(value, Expr::Unset);
        *value = Expr::Op(op, vec![before, right], span);
        self.wrap(0)
    }

    /// The binary operator here, passed over.
    fn operator(&mut self) -> Option<(Op, u8)> {
        self.cursor.peek()?;
        let found = OPERATORS.iter().find(|(text, ..)| {
            if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
                self.word_is(text)
            } else {
                self.cursor.rest().starts_with(text.as_bytes())
            }
        });
        let (text, op, binds) = found?;
        self.cursor.skip(text.len());
        Some((*op, *binds))
    }

    /// Another operand follows directly.
    fn begins_operand(&mut self, place: Place) -> bool {
        let before = self.cursor.mark();
        self.gap(place);
        let begins = match self.cursor.peek() {
            Some(b'"' | b'$' | b'(' | b'[' | b'{' | b'!') => true,
            Some(b) => b.is_ascii_alphanumeric() || (b == b'.' && place.query),
            None => false,
        };
        if !begins {
            self.cursor.back_to(before);
        }
        begins
    }

    fn operand(&mut self, place: Place) -> Parsed<Expr> {
        let prefix = match self.cursor.peek() {
            Some(b'!') => Some(Op::Not),
            Some(b'~') => Some(Op::BitNot),
            Some(b'>') => Some(Op::Quote),
            Some(b'a') if self.word_is("any") => Some(Op::Any),
            Some(b'-') => Some(Op::Subtract),
            _ => None,
        };
        if let Some(op) = prefix {
            let span = self.cursor.span();
            self.cursor.skip(if op == Op::Any { 3 } else { 1 });
            let mut twice = false;
            while op == Op::Not && self.cursor.peek() == Some(b'!') {
                self.cursor.skip(1);
                twice = !twice;
            }
            self.gap(place);
            let value = self.expression(place, UNARY)?;
            self.wrap(0)?;
            let value = Expr::Op(op, vec![value], span);
            return Ok(if twice { Expr::Op(op, vec![value], span) } else { value });
        }
        match self.cursor.peek() {
            Some(b'(') => self.bracketed(place),
            Some(b'"' | b'[' | b'{' | b'$') => self.value(Kind::Any),
            Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'*') => {
                self.bare(place)
            }
            _ => self.fail("syntax error"),
        }
    }

    /// A word without quotes: a constant that looks like one, a property of the items asked for, or a variable.
    fn bare(&mut self, place: Place) -> Parsed<Expr> {
        let rest = self.cursor.rest();
        let length = |belongs: fn(u8) -> bool| rest.iter().position(|b| !belongs(*b)).unwrap_or(rest.len());
        for end in [
            length(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'/' | b'-' | b'*')),
            length(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'/')),
            length(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':')),
            length(|b| b.is_ascii_alphanumeric() || b == b'-'),
            length(|b| b.is_ascii_alphanumeric()),
        ] {
            let word = self.cursor.slice(self.cursor.pos(), self.cursor.pos() + end);
            let is_minus = word.get(1..).is_some_and(|rest| rest.contains('-'));
            if let Some(constant) = typed(word).filter(|_| !is_minus) {
                self.cursor.skip(end);
                return Ok(Expr::Literal(constant));
            }
        }
        if place.query
            && let Some(property) = self.property(place)
        {
            return Ok(property);
        }
        let word = self.cursor.word(|b| b.is_ascii_alphanumeric());
        match word.as_str() {
            "" => self.fail("syntax error"),
            "true" | "yes" => Ok(Expr::Literal(Literal::Bool(true))),
            "false" | "no" => Ok(Expr::Literal(Literal::Bool(false))),
            _ if word.as_bytes().first().is_some_and(u8::is_ascii_digit) => {
                Ok(Expr::Literal(Literal::Str(word)))
            }
            _ => Ok(Expr::Variable(word)),
        }
    }

    /// The property that the word here names, passed over.
    fn property(&mut self, place: Place) -> Option<Expr> {
        let span = self.cursor.span();
        let belongs = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
        let rest = self.cursor.rest();
        let end = rest.iter().position(|b| !belongs(b)).unwrap_or(rest.len());
        let word = self.cursor.slice(self.cursor.pos(), self.cursor.pos() + end);
        let is_full = |menu: &Menu| {
            let flag = menu.flags.iter().any(|(_, flag)| flag == word);
            flag || menu.property(word).or_else(|| menu.status(word)).is_some()
        };
        let name = match place.menu.map(|menu| menu.find_readable(word)) {
            Some(_) if self.mode.strict && place.menu.is_some_and(is_full) => word.to_owned(),
            Some(Lookup::One(property)) if !self.mode.strict => property.name.clone(),
            _ if EVERYWHERE.contains(&word) => word.to_owned(),
            _ if self.mode.strict || word.is_empty() => return None,
            _ => word.to_owned(),
        };
        self.cursor.skip(end);
        Some(Expr::Property(name, span))
    }

    /// What a property is compared with: a bare word is left to the schema.
    fn compared(&mut self, place: Place) -> Parsed<Expr> {
        match self.cursor.peek() {
            Some(byte) if is_value_byte(byte) => Ok(Expr::Word(self.cursor.word(is_value_byte))),
            _ => self.expression(place, COMPARE + 1),
        }
    }

    /// `{a; b; k=v}`
    pub(super) fn array(&mut self) -> Parsed<Expr> {
        self.enter()?;
        self.cursor.skip(1);
        let outer = std::mem::take(&mut self.height);
        let place = Place { menu: None, query: false, inside: true };
        let mut elements = Vec::new();
        loop {
            self.cursor.space();
            match self.cursor.peek() {
                Some(b'}') => break self.cursor.skip(1),
                Some(b';') => {
                    self.cursor.skip(1);
                    continue;
                }
                None => return self.fail("expected closing brace"),
                _ => {}
            }
            if elements.len() >= MAX_STATEMENTS {
                return self.fail("too many elements");
            }
            let first = self.element(place)?;
            self.cursor.space();
            if self.cursor.peek() == Some(b'=') {
                self.cursor.skip(1);
                self.cursor.space();
                let value = self.element(place)?;
                elements.push((Some(first), value));
            } else {
                elements.push((None, first));
            }
        }
        self.depth -= 1;
        self.wrap(outer)?;
        Ok(Expr::Array(elements))
    }

    /// A key or a value of an array: bare words are constants here.
    fn element(&mut self, place: Place) -> Parsed<Expr> {
        let is_word = |b: u8| is_value_byte(b) && !matches!(b, b',' | b'>' | b'!');
        match self.cursor.peek() {
            Some(byte) if is_word(byte) => {
                let word = self.cursor.word(is_word);
                let outer = std::mem::take(&mut self.height);
                let value = self.operators(Expr::Literal(literal(&word)), place, COMPARE + 1)?;
                self.height = self.height.max(outer);
                Ok(value)
            }
            _ => self.expression(place, COMPARE + 1),
        }
    }
}

/// Elements of an array literal.
const MAX_STATEMENTS: usize = super::MAX_STATEMENTS;
