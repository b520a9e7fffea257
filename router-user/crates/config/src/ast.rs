//! The compiled form of a script. Menus, commands and argument names are looked up while a script is read: what is here
//! carries full names, whatever was written. Every node has its place.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::error::{Error, Span};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statement {
    pub span: Span,
    pub kind: StatementKind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StatementKind {
    /// A path alone: the current menu (`ip/address`, empty for the root) of what follows in the same block.
    Menu(String),
    Command(Command),
    /// `{ .. }` or `/ip address { .. }`: runs at once, with its own variables and its own current menu.
    Block(Block),
    /// `$f 1 a=2`, `[..]`, `($x + 1)`: calls what the expression gives; without arguments a plain value is the result.
    Call(Call),
    /// An unknown command. Nothing is wrong before it is reached.
    Bad(Bad),
}

/// One command of a menu or of the language.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Command {
    /// `ip/address`; empty for the root and for the commands of the language.
    pub menu: String,
    /// `set`, `put`, `print`
    pub name: String,
    pub name_span: Span,
    /// Known to the language's own table (`schema/language.yaml`): `:put`, `/log info`, `/system script run`.
    pub builtin: bool,
    pub args: Vec<Arg>,
}

impl Command {
    /// The value of an argument.
    pub fn arg(&self, name: &str) -> Option<&Arg> {
        self.args.iter().find(|arg| arg.name == name)
    }
}

/// An argument under its full name, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arg {
    /// Empty for the arguments of functions that have no name.
    pub name: String,
    /// Of the name, or of the value where no name is written.
    pub span: Span,
    pub value: Expr,
    pub value_span: Span,
}

/// Code: `do={ .. }`, `[ .. ]`, `{ .. }`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Block {
    pub span: Span,
    /// The current menu where it begins.
    pub menu: Arc<str>,
    pub statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub function: Box<Expr>,
    pub args: Vec<Arg>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bad {
    /// None where an error before it has told the reason.
    pub error: Option<Box<Error>>,
    pub word: String,
    pub args: Vec<Arg>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    /// A bare word as the value of a menu's argument: text that the schema gives its type.
    Word(String),
    /// A constant of the language, typed where it stands.
    Literal(Literal),
    /// A string with variables, expressions and commands in it; their texts follow each other.
    Concat(Vec<Expr>),
    /// `$x`, `$"x y"`, `$1`
    Variable(String),
    /// A property of the item that a condition is tried on.
    Property(String, Span),
    /// An operator with its operands and its place. The same operator several times in a row is one node where the order
    /// of doing doesn't matter. `Beside` without operands holds always.
    Op(Op, Vec<Expr>, Span),
    /// `{a; b; k=v}`
    Array(Vec<(Option<Expr>, Expr)>),
    /// `[ .. ]`: the value of its last command.
    Command(Block),
    /// `{ .. }` where code is expected: a value that can be run.
    Code(Arc<Block>),
    /// `{ .. }` as a property's value: the text between the braces.
    Source(String),
    /// A bare name of a switch: on.
    On,
    /// `!name`: the property is taken away.
    Unset,
}

/// A constant. A time is in nanoseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Bool(bool),
    Num(i64),
    Time(i64),
    Str(String),
    Ip(Ipv4Addr),
    IpPrefix(Ipv4Addr, u8),
    Ip6(Ipv6Addr),
    Ip6Prefix(Ipv6Addr, u8),
    /// `*1A`
    Id(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    /// `a b`: conditions side by side, all of which have to hold.
    Beside,
    Or,
    And,
    /// `!`
    Not,
    Equal,
    NotEqual,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    /// `~` between two operands: regular expression.
    Match,
    In,
    /// `.`
    Concat,
    /// `,`
    Join,
    Add,
    /// With one operand: the negative.
    Subtract,
    Multiply,
    Divide,
    Modulo,
    BitAnd,
    BitOr,
    BitXor,
    /// `~` before an operand.
    BitNot,
    ShiftLeft,
    ShiftRight,
    /// `->`
    Index,
    /// `<%%`: calls the function on the left with the array on the right.
    Apply,
    /// `>` before an operand: code as a value, not run.
    Quote,
    /// `any` before an operand: it is something.
    Any,
}

impl Op {
    /// Several operands in a row are one node.
    pub fn is_flat(self) -> bool {
        matches!(self, Op::Beside | Op::Or | Op::And | Op::Concat | Op::Join | Op::Add | Op::Multiply)
    }

    /// As it is written.
    pub fn text(self) -> &'static str {
        match self {
            Op::Beside => " ",
            Op::Or => "or",
            Op::And => "and",
            Op::Not => "!",
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Less => "<",
            Op::Greater | Op::Quote => ">",
            Op::LessEqual => "<=",
            Op::GreaterEqual => ">=",
            Op::Match | Op::BitNot => "~",
            Op::In => "in",
            Op::Concat => ".",
            Op::Join => ",",
            Op::Add => "+",
            Op::Subtract => "-",
            Op::Multiply => "*",
            Op::Divide => "/",
            Op::Modulo => "%",
            Op::BitAnd => "&",
            Op::BitOr => "|",
            Op::BitXor => "^",
            Op::ShiftLeft => "<<",
            Op::ShiftRight => ">>",
            Op::Index => "->",
            Op::Apply => "<%%",
            Op::Any => "any",
        }
    }
}
