//! Conditions of item queries that can be tried without running a script.

use crate::ast::{Expr, Op};
use crate::error::{Error, Span};

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
        value: String,
        span: Span,
    },
}

impl Cond {
    /// The condition that an expression is; an error where variables and commands are part of it.
    pub fn new(expr: &Expr, span: Span) -> Result<Cond, Error> {
        let all =
            |operands: &[Expr]| operands.iter().map(|e| Cond::new(e, span)).collect::<Result<Vec<_>, _>>();
        match expr {
            Expr::Property(name, span) => Ok(Cond::Flag(name.clone(), *span)),
            Expr::Op(Op::Beside | Op::And, operands, _) => Ok(Cond::All(all(operands)?)),
            Expr::Op(Op::Or, operands, _) => Ok(Cond::Any(all(operands)?)),
            Expr::Op(Op::Not, operands, at) => match operands.as_slice() {
                [one] => Ok(Cond::Not(Box::new(Cond::new(one, *at)?))),
                _ => Err(scripting(*at)),
            },
            Expr::Op(op, operands, _) if is_comparison(*op) => match operands.as_slice() {
                [Expr::Property(name, span), value] => {
                    let value = constant(value).ok_or_else(|| scripting(*span))?;
                    Ok(Cond::Compare { name: name.clone(), op: *op, value, span: *span })
                }
                _ => Err(scripting(span)),
            },
            _ => Err(scripting(span)),
        }
    }
}

fn is_comparison(op: Op) -> bool {
    use Op::{Equal, Greater, GreaterEqual, Less, LessEqual, Match, NotEqual};
    matches!(op, Equal | NotEqual | Less | Greater | LessEqual | GreaterEqual | Match)
}

/// The text of a word or literal.
pub(crate) fn constant(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Word(text) => Some(text.clone()),
        Expr::Literal(literal) => Some(literal.to_string()),
        _ => None,
    }
}

fn scripting(span: Span) -> Error {
    Error::new(span, "scripting is not executed here")
}
