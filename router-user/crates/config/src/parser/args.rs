//! Arguments: which name a value belongs to, and how it is read.

use super::table::{Kind, Param, Signature, is_current, table};
use super::{MAX_ARGS, Parsed, Parser, literal};
use crate::ast::{Arg, Expr, Literal};
use crate::error::{Error, Span, nearest};
use crate::schema::{self, Lookup, Menu};
use crate::types::Type;

/// What is known of an argument's name.
enum Found<'s> {
    Param(&'s Param),
    /// A property of the menu, by its full name.
    Property(String),
    /// A name that is kept as it is written.
    Other(String),
    None,
}

impl Parser<'_> {
    /// The arguments of a known command, up to its end.
    pub(super) fn arguments(&mut self, path: &str, name: &str) -> Parsed<Vec<Arg>> {
        let (signature, of_menu) = (table().signature(path, name), !table().is_own(path, name));
        let mut reader = Arguments {
            menu: schema::menu(path),
            signature,
            properties: signature.properties,
            strict: self.mode.strict,
            sets: path.is_empty() && name == "set",
            of_menu,
            args: Vec::new(),
            group: String::new(),
        };
        // `find` in the arguments means the items of the command's menu.
        let before = self.here.clone();
        if of_menu {
            self.here = path.into();
        }
        let mut adjacent = false;
        loop {
            let blank = self.cursor.blanks();
            if self.at_end() {
                break;
            }
            if adjacent && !blank {
                return Err(self.no_end(reader.args.last()));
            }
            adjacent = true;
            if reader.args.len() >= MAX_ARGS {
                return self.fail("too many arguments");
            }
            self.argument(&mut reader)?;
        }
        self.here = before;
        self.declarations(path, name, &reader.args);
        Ok(reader.args)
    }

    fn argument(&mut self, reader: &mut Arguments) -> Parsed<()> {
        let span = self.cursor.span();
        let start = self.cursor.mark();
        // Conditions follow `find` directly.
        if reader.signature.args.is_empty()
            && let [Param { name, kind: Kind::Cond }] = reader.signature.named.as_slice()
        {
            let cond = self.condition(reader.menu)?;
            reader.push(name.clone(), span, cond, span);
            return Ok(());
        }
        match self.cursor.peek() {
            Some(b'!') if reader.properties => {
                self.cursor.skip(1);
                let name = self.cursor.word(is_argument_byte);
                let name = match reader.find(&name) {
                    Found::Property(name) => name,
                    Found::Other(name) if !self.mode.strict => name,
                    _ => return Err(reader.unknown(span, &name)),
                };
                reader.push(name, span, Expr::Unset, span);
                return Ok(());
            }
            Some(byte) if is_argument_byte(byte) && byte != b'/' => {
                let name = self.cursor.word(is_argument_byte);
                if self.cursor.peek() == Some(b'=') {
                    if self.named(reader, &name, span)? {
                        return Ok(());
                    }
                } else if self.flag(reader, &name, span)? {
                    return Ok(());
                }
                self.cursor.back_to(start);
            }
            _ => {}
        }
        let Some(param) = reader.next_position() else {
            if self.cursor.peek() == Some(b'#') {
                let error = Error::new(span, "expected end of command");
                return Err(error.hint("a comment begins on a line of its own, or behind a semicolon"));
            }
            let word = self.cursor.word(is_argument_byte);
            return Err(reader.unknown(span, &word));
        };
        let (name, kind) = (param.name.clone(), param.kind);
        let value = match kind {
            Kind::Any | Kind::Text if reader.of_menu => self.positional_word()?,
            Kind::Name => self.name_of(reader)?,
            _ => self.positional(kind, reader.menu)?,
        };
        reader.push(name, span, value, span);
        Ok(())
    }

    /// `name=value`. False where the name is none, and the word may be a value.
    fn named(&mut self, reader: &mut Arguments, name: &str, span: Span) -> Parsed<bool> {
        let found = reader.find(name);
        let (name, kind) = match found {
            Found::Param(param) if param.kind == Kind::Cond => return Ok(false),
            Found::Param(param) => (param.name.clone(), Some(param.kind)),
            Found::Property(name) => (name, None),
            Found::Other(name) if !self.mode.strict || reader.signature.free => (name, None),
            Found::Other(_) | Found::None if reader.next_position().is_some() => return Ok(false),
            Found::Other(_) | Found::None => return Err(reader.unknown(span, name)),
        };
        self.cursor.skip(1);
        self.spaced_value();
        let value_span = self.cursor.span();
        if matches!(self.cursor.peek(), Some(b' ' | b'\t')) || self.at_end() {
            // Nothing after the sign: an empty value.
            reader.push(name, span, Expr::Word(String::new()), value_span);
            return Ok(true);
        }
        let value = match kind {
            Some(Kind::Flag) => self.value(Kind::Bool)?,
            Some(Kind::Any | Kind::Text) | None if reader.of_menu => {
                let property = reader.menu.and_then(|m| m.property(&name));
                self.property_value(property)?
            }
            Some(Kind::Name) => self.name_of(reader)?,
            Some(kind) => self.named_value(kind, reader.menu)?,
            None => self.value(Kind::Any)?,
        };
        reader.push(name, span, value, value_span);
        Ok(true)
    }

    /// `do= {` and `from= 1` are written too; but `src= dst=1` leaves the first empty.
    fn spaced_value(&mut self) {
        let start = self.cursor.mark();
        if self.cursor.blanks() {
            let rest = self.cursor.rest();
            let end = rest.iter().position(|b| !is_argument_byte(*b)).unwrap_or(rest.len());
            if end > 0 && rest.get(end) == Some(&b'=') {
                self.cursor.back_to(start);
            }
        }
    }

    /// A bare word that switches something on, or begins the conditions.
    fn flag(&mut self, reader: &mut Arguments, word: &str, span: Span) -> Parsed<bool> {
        let strict = self.mode.strict;
        let is_switch = |p: &schema::Property| p.ty == Type::Switch || (p.ty == Type::Bool && !strict);
        let positional = reader.next_position().is_some();
        let name = match reader.signature.param(word) {
            Some(Param { kind: Kind::Cond, name }) if name == word || !positional => {
                let name = name.clone();
                let value_span = self.cursor.span();
                let cond = self.condition(reader.menu)?;
                reader.push(name, span, cond, value_span);
                return Ok(true);
            }
            Some(Param { kind: Kind::Flag, name }) if name == word || !positional => name.clone(),
            // `else { .. }` and `in $x` are taken without the sign where nothing else can be meant.
            Some(param) if param.name == word && !positional && self.value_follows() => {
                self.cursor.blanks();
                let value_span = self.cursor.span();
                let value = self.positional(param.kind, reader.menu)?;
                reader.push(param.name.clone(), span, value, value_span);
                return Ok(true);
            }
            _ if positional => return Ok(false),
            _ => match reader.find(word) {
                Found::Property(name)
                    if reader.menu.and_then(|m| m.property(&name)).is_some_and(is_switch) =>
                {
                    name
                }
                Found::Other(name) if reader.signature.free => name,
                _ => {
                    let names = reader.menu.into_iter().flat_map(|m| m.properties.iter());
                    let names = names.filter(|p| is_switch(p)).map(|p| p.name.as_str());
                    let hint = nearest(word, names);
                    return Err(Error::new(span, "expected end of command").maybe(hint));
                }
            },
        };
        reader.push(name, span, Expr::On, span);
        Ok(true)
    }

    /// A blank and something that is no name stand here.
    fn value_follows(&mut self) -> bool {
        let before = self.cursor.mark();
        let follows =
            self.cursor.blanks() && matches!(self.cursor.peek(), Some(b'{' | b'$' | b'(' | b'[' | b'"'));
        self.cursor.back_to(before);
        follows
    }

    /// What stands directly behind an argument belongs to none.
    fn no_end(&mut self, before: Option<&Arg>) -> Error {
        let hint = match (self.cursor.peek(), before.map(|arg| &arg.value)) {
            (Some(b')'), _) => "this bracket closes nothing",
            (Some(_), Some(Expr::Variable(_))) if before.is_some_and(|arg| arg.name == "name") => {
                "names of variables hold letters and digits; quote any other, and write $\"my-name\" for its value"
            }
            (Some(b'-' | b'.' | b'+' | b'*' | b'/' | b','), Some(Expr::Variable(_) | Expr::Command(_))) => {
                "what is calculated stands in brackets: ($a . \"b\")"
            }
            _ => return self.cursor.error("expected end of command"),
        };
        self.cursor.error("expected end of command").hint(hint)
    }

    /// The value of an argument that has its own way of being read.
    fn positional(&mut self, kind: Kind, menu: Option<&'static Menu>) -> Parsed<Expr> {
        match kind {
            Kind::Name | Kind::Names => self.variable_names(),
            Kind::Cond => self.condition(menu),
            Kind::Code => match self.cursor.peek() {
                Some(b'{') => {
                    let block = self.block(b'}', "expected closing brace")?;
                    Ok(Expr::Code(block.into()))
                }
                _ => self.value(Kind::Any),
            },
            _ => self.value(kind),
        }
    }

    /// A bare word behind a name and its sign may hold more of these signs.
    fn named_value(&mut self, kind: Kind, menu: Option<&'static Menu>) -> Parsed<Expr> {
        match self.cursor.peek() {
            Some(byte) if is_value_byte(byte) && !matches!(kind, Kind::Names | Kind::Cond) => {
                let span = self.cursor.span();
                let word = self.cursor.word(|b| is_value_byte(b) || b == b'=');
                if kind == Kind::List && word.contains(',') {
                    let words = word.split(',').map(|w| (None, Expr::Literal(Literal::Str(w.to_owned()))));
                    return Ok(Expr::Array(words.collect()));
                }
                self.constant(kind, word, span).map(Expr::Literal)
            }
            _ => self.positional(kind, menu),
        }
    }

    /// The value of a property: a bare word is left to the schema, braces hold the text of a script.
    fn property_value(&mut self, property: Option<&schema::Property>) -> Parsed<Expr> {
        match self.cursor.peek() {
            Some(b'{') if self.mode.strict && property.is_some_and(|p| p.ty != Type::Script) => {
                self.fail("syntax error")
            }
            Some(b'{') => self.source(),
            Some(b'"' | b'[' | b'(' | b'$') => self.value(Kind::Any),
            _ => {
                let span = self.cursor.span();
                let word = self.cursor.word(|b| is_value_byte(b) || b == b'=');
                let is_bool = property.is_some_and(|p| matches!(p.ty, Type::Bool | Type::Switch));
                if self.mode.strict
                    && is_bool
                    && !matches!(word.as_str(), "yes" | "no" | "true" | "false" | "")
                {
                    return Err(Error::new(span, "syntax error").hint("yes or no is wanted here"));
                }
                Ok(Expr::Word(word))
            }
        }
    }

    /// An item or a name among the arguments of a menu's command.
    fn positional_word(&mut self) -> Parsed<Expr> {
        match self.cursor.peek() {
            Some(byte) if is_value_byte(byte) => Ok(Expr::Word(self.cursor.word(is_value_byte))),
            _ => self.value(Kind::Any),
        }
    }

    /// Any value.
    pub(super) fn value(&mut self, kind: Kind) -> Parsed<Expr> {
        match self.cursor.peek() {
            Some(b'"') => self.string(),
            Some(b'[') => Ok(Expr::Command(self.block(b']', "expected closing bracket")?)),
            Some(b'(') => self.group(),
            Some(b'{') => self.array(),
            Some(b'$') => self.variable(),
            Some(byte) if is_value_byte(byte) => {
                let span = self.cursor.span();
                let word = self.cursor.word(is_value_byte);
                self.constant(kind, word, span).map(Expr::Literal)
            }
            _ => self.fail("syntax error"),
        }
    }

    fn constant(&self, kind: Kind, word: String, span: Span) -> Parsed<Literal> {
        match kind {
            Kind::Text | Kind::List | Kind::Word => Ok(Literal::Str(word)),
            Kind::Bool => match word.as_str() {
                "yes" | "true" => Ok(Literal::Bool(true)),
                "no" | "false" => Ok(Literal::Bool(false)),
                _ => Err(Error::new(span, "syntax error").hint("yes or no is wanted here")),
            },
            Kind::Time => Ok(literal::seconds_or_time(&word).map_or(Literal::Str(word), Literal::Time)),
            _ => Ok(literal::literal(&word)),
        }
    }

    /// Arguments of what is unknown or a function: any values, with names or without.
    pub(super) fn any_arguments(&mut self, of_call: bool) -> Parsed<Vec<Arg>> {
        let mut args = Vec::new();
        loop {
            let end = self.cursor.span();
            let blank = self.cursor.blanks();
            if self.at_end() {
                return Ok(args);
            }
            if !blank {
                return Err(Error::new(end, "syntax error"));
            }
            if args.len() >= MAX_ARGS {
                return self.fail("too many arguments");
            }
            let span = self.cursor.span();
            let start = self.cursor.mark();
            let mut name = self.cursor.word(is_argument_byte);
            if self.cursor.peek() == Some(b'=') && !name.is_empty() {
                self.cursor.skip(1);
                self.spaced_value();
            } else {
                name.clear();
                self.cursor.back_to(start);
            }
            let value_span = self.cursor.span();
            let opening = self.cursor.peek();
            let value = match opening {
                Some(b'{') if !of_call => return self.fail("syntax error"),
                Some(b'=') if of_call => return Err(Error::new(end, "syntax error")),
                Some(b'=') => return self.fail("syntax error"),
                _ if !name.is_empty() && self.at_end() => Expr::Literal(Literal::Str(String::new())),
                _ if !name.is_empty() => self.named_value(Kind::Text, None)?,
                _ => self.value(Kind::Text)?,
            };
            let is_string = opening == Some(b'"') && self.mode.strict;
            if !of_call && !name.is_empty() && is_string && !is_constant(&value) {
                // A string that has to be put together is no value of a name that nobody knows.
                let column = value_span.column.saturating_sub(1);
                return Err(Error::new(Span { column, ..value_span }, "syntax error"));
            }
            args.push(Arg { name, span, value, value_span });
        }
    }

    /// The name of a variable to declare, or to set: that one has to be declared before, and may also be `$x` or an
    /// element of an array.
    fn name_of(&mut self, reader: &Arguments) -> Parsed<Expr> {
        let span = self.cursor.span();
        let written = self.cursor.peek();
        if !reader.sets && matches!(written, Some(b'$' | b'(')) {
            return self.fail("syntax error");
        }
        let name = self.variable_name()?;
        match &name {
            Expr::Variable(word) if reader.sets && written != Some(b'$') && !self.is_declared(word) => {
                let error = Error::new(span, "syntax error");
                Err(error.hint(format!(
                    "the variable {word} is not declared; :local {word} or :global {word} does it"
                )))
            }
            Expr::Variable(word) if matches!(word.as_str(), "and" | "or" | "in") => {
                Err(Error::new(span, "syntax error").hint(format!("{word} is an operator")))
            }
            _ => Ok(name),
        }
    }

    /// The name of a variable.
    fn variable_name(&mut self) -> Parsed<Expr> {
        match self.cursor.peek() {
            Some(b'"') => Ok(match self.string()? {
                Expr::Literal(Literal::Str(name)) => Expr::Variable(name),
                other => other,
            }),
            Some(b'(') => self.group(),
            Some(b'$') => self.variable(),
            Some(byte) if byte.is_ascii_alphanumeric() => {
                Ok(Expr::Variable(self.cursor.word(|b| b.is_ascii_alphanumeric())))
            }
            _ => self.fail("syntax error"),
        }
    }

    /// `v` or `k,v`
    fn variable_names(&mut self) -> Parsed<Expr> {
        let first = self.variable_name()?;
        if self.cursor.peek() != Some(b',') {
            return Ok(first);
        }
        self.cursor.skip(1);
        let second = self.variable_name()?;
        Ok(Expr::Array(vec![(None, first), (None, second)]))
    }

    /// Variables that a command made known.
    fn declarations(&mut self, path: &str, name: &str, args: &[Arg]) {
        if path.is_empty()
            && matches!(name, "local" | "global")
            && let Some(Arg { value: Expr::Variable(name), .. }) = args.iter().find(|a| a.name == "name")
        {
            self.declare(name);
        }
    }
}

/// The arguments of one command while they are read.
struct Arguments {
    menu: Option<&'static Menu>,
    signature: &'static Signature,
    properties: bool,
    strict: bool,
    /// `:set`
    sets: bool,
    /// Bare words as values are left to the schema.
    of_menu: bool,
    args: Vec<Arg>,
    /// `remote` after `remote.address=`: what `.as=` belongs to.
    group: String,
}

impl Arguments {
    fn push(&mut self, name: String, span: Span, value: Expr, value_span: Span) {
        if let Some((group, _)) = name.rsplit_once('.') {
            self.group = group.to_owned();
        }
        self.args.push(Arg { name, span, value, value_span });
    }

    fn next_position(&self) -> Option<&'static Param> {
        self.signature.args.iter().find(|p| !self.args.iter().any(|a| a.name == p.name))
    }

    fn find(&self, name: &str) -> Found<'static> {
        let full = match name.strip_prefix('.') {
            Some(rest) if !self.group.is_empty() => format!("{}.{rest}", self.group),
            _ => name.to_owned(),
        };
        if let Some(menu) = self.menu.filter(|_| self.properties)
            && let Some(property) = menu.property(&full)
            && (!self.strict || is_current(&property.versions))
        {
            return Found::Property(property.name.clone());
        }
        if let Some(param) = self.signature.param(&full)
            && (param.name == full || !self.properties)
        {
            return Found::Param(param);
        }
        if let Some(menu) = self.menu.filter(|_| self.properties) {
            return match menu.find_property(&full) {
                // What older versions called a property may be the beginning of another's name.
                _ if !self.strict => self.signature.param(&full).map_or(Found::Other(full), Found::Param),
                Lookup::One(property) if property.name.starts_with(&full) => {
                    Found::Property(property.name.clone())
                }
                _ => self.signature.param(&full).map_or(Found::Other(full), Found::Param),
            };
        }
        if self.signature.free { Found::Other(full) } else { Found::None }
    }

    fn unknown(&self, span: Span, word: &str) -> Error {
        let params = self.signature.args.iter().chain(&self.signature.named).map(|p| p.name.as_str());
        let properties = self.menu.filter(|_| self.properties).into_iter();
        let properties = properties.flat_map(|m| m.properties.iter().map(|p| p.name.as_str()));
        Error::new(span, "expected end of command").maybe(nearest(word, params.chain(properties)))
    }
}

/// What names of arguments are made of; `rates-a/g` is one.
pub(super) fn is_argument_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'/')
}

/// A string without variables in it, be it in pieces.
fn is_constant(value: &Expr) -> bool {
    match value {
        Expr::Concat(parts) => parts.iter().all(is_constant),
        Expr::Literal(_) => true,
        _ => false,
    }
}

/// What a bare word as a value is made of.
pub(super) fn is_value_byte(byte: u8) -> bool {
    !matches!(
        byte,
        b' ' | b'\t'
            | b'\r'
            | b'\n'
            | b';'
            | b'['
            | b']'
            | b'{'
            | b'}'
            | b'('
            | b')'
            | b'"'
            | b'$'
            | b'='
            | b'\\'
    )
}
