//! The syntax tree of a script: what was written, before any menu is looked up.

use crate::error::Span;

/// One command, or a change of the current menu.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub span: Span,
    pub root: Root,
    pub args: Vec<Arg>,
}

/// Where a statement's path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Root {
    /// In the current menu.
    Here,
    /// `/`
    Top,
    /// `:`, a command of the language.
    Global,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arg {
    pub span: Span,
    pub kind: ArgKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ArgKind {
    /// A path word, a command, a flag, an item.
    Word(String),
    /// A value that can't be a path word: quoted, `[..]`, `$x`, `(..)`.
    Value(Expr),
    /// `name=value`
    Named { name: String, value: Expr, value_span: Span },
    /// `!name`
    Unset(String),
    /// `{ .. }` after a path.
    Block(Vec<Statement>),
    /// What follows `find` or `where`.
    Where(Cond),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Text(String),
    /// A string with `$x` inside.
    Interpolated,
    /// `[ .. ]`
    Command(Vec<Statement>),
    /// `$name`
    Variable(String),
    /// `( .. )`
    Group,
    /// `{ .. }` as a value: its text.
    Block(String),
}

/// A condition of an item query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cond {
    All(Vec<Cond>),
    Any(Vec<Cond>),
    Not(Box<Cond>),
    /// A bare name: a flag or a yes/no property.
    Flag(String, Span),
    Compare {
        name: String,
        op: Op,
        value: Expr,
        span: Span,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    Match,
}
