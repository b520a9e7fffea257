//! Expressions -> values.

use std::sync::Arc;

use super::array::Array;
use super::code::{Body, Code};
use super::operator::{self, binary, is_function};
use super::run::{Flow, Stop};
use super::value::{Value, to_bytes};
use crate::ast::{Arg, Expr, Literal, Op, StatementKind};
use crate::error::{Fault, Span};
use crate::exec::Session;
use crate::query;
use crate::schema::Menu;

impl Session<'_> {
    /// The value of an expression. `span` is the place of errors that have none of their own.
    pub(crate) fn eval(&mut self, expr: &Expr, span: Span) -> Flow<Value> {
        match expr {
            Expr::Literal(literal) => Ok(constant(literal)),
            Expr::Word(text) | Expr::Source(text) => Ok(Value::str(text)),
            Expr::Variable(name) => match self.script.item {
                Some((menu, _)) if self.is_item_name(menu, name) => self.property(name, span),
                _ => Ok(self.script.get(name)),
            },
            Expr::On => Ok(Value::Bool(true)),
            Expr::Unset => Ok(Value::Nothing),
            Expr::Code(block) => Ok(function(Arc::clone(block), 0)),
            Expr::Property(name, at) => self.property(name, *at),
            Expr::Concat(_) | Expr::Op(..) | Expr::Array(_) | Expr::Command(_) => {
                self.script.step(1).map_err(|fault| Stop::at(fault, span))?;
                self.script.enter().map_err(|fault| Stop::at(fault, span))?;
                let held = self.script.held;
                let value = match expr {
                    Expr::Concat(parts) => self.chain(Op::Concat, parts, span),
                    Expr::Op(op, operands, at) => self.operator(*op, operands, *at),
                    Expr::Array(elements) => self.elements(elements, span),
                    Expr::Command(block) => self.substitution(block),
                    _ => Ok(Value::Nothing),
                };
                self.script.held = held;
                self.script.leave();
                value
            }
        }
    }

    /// Counts a new value against the script's memory.
    pub(super) fn made(&mut self, value: Result<Value, Fault>, span: Span) -> Flow<Value> {
        value.and_then(|value| self.script.made(value)).map_err(|fault| Stop::at(fault, span))
    }

    /// Remembers that a value is in use until the expression around it is done.
    fn hold(&mut self, value: &Value) {
        self.script.held = self.script.held.saturating_add(value.weight());
    }

    fn operator(&mut self, op: Op, operands: &[Expr], span: Span) -> Flow<Value> {
        match (op, operands) {
            (Op::And | Op::Beside | Op::Or, _) => self.logical(op, operands, span),
            (Op::Not, [one]) => {
                let value = self.eval(one, span)?;
                self.made(operator::not(&value), span)
            }
            (Op::Subtract, [one]) => {
                let value = self.eval(one, span)?;
                self.made(operator::negate(&value), span)
            }
            (Op::BitNot, [one]) => {
                let value = self.eval(one, span)?;
                self.made(operator::invert(&value), span)
            }
            (Op::Quote, [one]) => {
                let code = Code { body: Body::Quoted(one.clone()), weight: 0 };
                Ok(Value::Op(Arc::new(code)))
            }
            (Op::Any, [one]) => Ok(is_set(&self.eval(one, span)?).into()),
            (Op::Index, [array, key]) => {
                let array = self.eval(array, span)?;
                self.hold(&array);
                let key = self.eval(key, span)?;
                Ok(index(&array, &key))
            }
            (Op::Apply, [function, rest @ ..]) => {
                let function = self.eval(function, span)?;
                let mut args = Vec::new();
                for expr in rest {
                    let value = self.eval(expr, span)?;
                    match &value {
                        Value::Array(array) if !is_function(&value) => {
                            for (key, value) in array.entries() {
                                let name = match key {
                                    Value::Num(n) => (n.saturating_add(1)).to_string(),
                                    other => other.to_text(),
                                };
                                args.push((name, value.clone()));
                            }
                        }
                        other => args.push(((args.len() + 1).to_string(), other.clone())),
                    }
                }
                self.call_value(&function, args, span)
            }
            (_, operands) => self.chain(op, operands, span),
        }
    }

    /// `a op b op c`, from the left.
    fn chain(&mut self, op: Op, operands: &[Expr], span: Span) -> Flow<Value> {
        let mut operands = operands.iter();
        let mut value = match operands.next() {
            Some(first) => self.eval(first, span)?,
            None => return Ok(Value::bytes([])),
        };
        for expr in operands {
            self.hold(&value);
            let next = self.eval(expr, span)?;
            value = self.made(binary(op, &value, &next), span)?;
        }
        // A string is one, whatever is in it.
        Ok(if op == Op::Concat && !matches!(value, Value::Array(_)) {
            Value::Str(value.to_bytes())
        } else {
            value
        })
    }

    /// What comes after a decision is not looked at.
    fn logical(&mut self, op: Op, operands: &[Expr], span: Span) -> Flow<Value> {
        let decides = op == Op::Or;
        for expr in operands {
            let value = self.eval(expr, span)?;
            let truth = operator::truth(&value);
            match truth.or_else(|| self.script.item.is_some().then(|| is_set(&value))) {
                Some(truth) if truth == decides => return Ok(decides.into()),
                Some(_) => {}
                None => {
                    let name = if decides { "or" } else { "and" };
                    let message = format!("cannot do logical {name} of {}", value.noun());
                    return Err(Stop::at(Fault::new(message), span));
                }
            }
        }
        Ok((!decides).into())
    }

    fn elements(&mut self, elements: &[(Option<Expr>, Expr)], span: Span) -> Flow<Value> {
        let mut array = Array::default();
        for (key, expr) in elements {
            let value = self.eval(expr, span)?;
            self.hold(&value);
            match key {
                Some(Expr::Word(key) | Expr::Literal(Literal::Str(key))) => {
                    array.insert(to_bytes(key).into(), value);
                }
                Some(key) => {
                    let key = self.eval(key, span)?;
                    array.insert(key.to_bytes(), value);
                }
                None => array.push(value),
            }
        }
        self.made(array.checked().map(Value::array), span)
    }

    /// A property of the item that a condition is tried on; where there is none, a variable of that name.
    fn property(&mut self, name: &str, span: Span) -> Flow<Value> {
        let Some((menu, id)) = self.script.item else { return Ok(self.script.get(name)) };
        match self.item_at(menu, id) {
            Some((item, row)) => {
                let rows = row.as_ref().map_or(self.rows, |row| row);
                let value = query::value(&item, menu, name, rows, span);
                value.map_err(|error| Stop::Fail(error.into()))
            }
            None => Ok(Value::Nothing),
        }
    }

    /// Arguments of a function: `$1`, `$2` and those with names.
    pub(super) fn call_args(&mut self, args: &[Arg]) -> Flow<Vec<(String, Value)>> {
        let mut values = Vec::new();
        let mut position = 0;
        for arg in args {
            let value = self.eval(&arg.value, arg.value_span)?;
            self.hold(&value);
            let name = if arg.name.is_empty() {
                position += 1;
                position.to_string()
            } else {
                arg.name.clone()
            };
            values.push((name, value));
        }
        Ok(values)
    }

    /// Replaces what does not depend on an item by its value, so that it is worked out once for all of them.
    pub(crate) fn bind(&mut self, menu: &'static Menu, expr: &Expr, span: Span) -> Flow<Expr> {
        if !self.reads_item(menu, expr) {
            return Ok(match expr {
                Expr::Word(_) | Expr::Literal(_) | Expr::On => expr.clone(),
                Expr::Op(Op::Beside, operands, _) if operands.is_empty() => expr.clone(),
                _ => as_constant(self.eval(expr, span)?),
            });
        }
        Ok(match expr {
            Expr::Variable(name) => Expr::Property(name.clone(), span),
            Expr::Op(op, operands, at) => {
                let bound = operands.iter().map(|e| self.bind(menu, e, *at)).collect::<Flow<Vec<_>>>()?;
                Expr::Op(*op, bound, *at)
            }
            Expr::Concat(parts) => {
                Expr::Concat(parts.iter().map(|e| self.bind(menu, e, span)).collect::<Flow<Vec<_>>>()?)
            }
            other => other.clone(),
        })
    }

    /// A name that nothing declares is a property in a condition.
    fn is_item_name(&self, menu: &'static Menu, name: &str) -> bool {
        !self.script.is_declared(name) && menu.property(name).is_some()
    }

    fn reads_item(&self, menu: &'static Menu, expr: &Expr) -> bool {
        let reads = |expr: &Expr| self.reads_item(menu, expr);
        match expr {
            Expr::Property(..) => true,
            Expr::Variable(name) => self.is_item_name(menu, name),
            Expr::Op(_, operands, _) | Expr::Concat(operands) => operands.iter().any(reads),
            Expr::Array(elements) => {
                elements.iter().any(|(key, value)| key.as_ref().is_some_and(reads) || reads(value))
            }
            Expr::Command(block) => block.statements.iter().any(|statement| match &statement.kind {
                StatementKind::Command(command) => command.args.iter().any(|arg| reads(&arg.value)),
                StatementKind::Call(call) => {
                    reads(&call.function) || call.args.iter().any(|arg| reads(&arg.value))
                }
                _ => false,
            }),
            _ => false,
        }
    }
}

/// A value as a constant of the language; an array as its elements.
fn as_constant(value: Value) -> Expr {
    Expr::Literal(match value {
        Value::Bool(value) => Literal::Bool(value),
        Value::Num(n) => Literal::Num(n),
        Value::Time(ns) => Literal::Time(ns),
        Value::Ip(ip) => Literal::Ip(ip),
        Value::IpPrefix(ip, length) => Literal::IpPrefix(ip, length),
        Value::Ip6(ip) => Literal::Ip6(ip),
        Value::Ip6Prefix(ip, length) => Literal::Ip6Prefix(ip, length),
        Value::Id(id) => Literal::Id(id),
        Value::Array(array) => match array.list() {
            // One found item is as good as its id.
            [one] if !array.has_names() => return as_constant(one.clone()),
            list => {
                let elements = list.iter().map(|value| (None, as_constant(value.clone())));
                return Expr::Array(elements.collect());
            }
        },
        other => Literal::Str(other.to_text()),
    })
}

/// A property that stands alone in a condition holds where it is on.
pub(super) fn is_set(value: &Value) -> bool {
    match value {
        Value::Nothing | Value::Nil => false,
        Value::Str(text) => !text.is_empty(),
        Value::Array(array) => array.len() > 0,
        _ => true,
    }
}

pub(super) fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Bool(value) => Value::Bool(*value),
        Literal::Num(n) => Value::Num(*n),
        Literal::Time(ns) => Value::Time(*ns),
        Literal::Str(text) => Value::str(text),
        Literal::Ip(ip) => Value::Ip(*ip),
        Literal::IpPrefix(ip, length) => Value::IpPrefix(*ip, *length),
        Literal::Ip6(ip) => Value::Ip6(*ip),
        Literal::Ip6Prefix(ip, length) => Value::Ip6Prefix(*ip, *length),
        Literal::Id(id) => Value::Id(*id),
    }
}

/// `do={ .. }` as a value: an array of nothing and the code.
pub(super) fn function(block: Arc<crate::ast::Block>, weight: usize) -> Value {
    let code = Code { body: Body::Block(block), weight };
    Value::list([Value::Nothing, Value::Code(Arc::new(code))])
}

/// `->`; from a text that is no array, nothing.
fn index(value: &Value, key: &Value) -> Value {
    match value {
        Value::Array(array) => array.get(key).cloned().unwrap_or(Value::Nothing),
        _ => Value::Nothing,
    }
}
