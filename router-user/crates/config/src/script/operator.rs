//! Operators, for every pair of types; what has no meaning is an error that names both.

use std::cmp::Ordering;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::array::Array;
use super::convert::like;
use super::pattern;
use super::value::{SECOND, Value};
use crate::ast::Op;
use crate::error::Fault;

/// Applies an operator to two values. `and`, `or` and `->` are not here: they do not need both.
pub(crate) fn binary(op: Op, a: &Value, b: &Value) -> Result<Value, Fault> {
    match op {
        Op::Add => add(a, b),
        Op::Subtract => subtract(a, b),
        Op::Multiply => multiply(a, b),
        Op::Divide | Op::Modulo => divide(op, a, b),
        Op::BitAnd | Op::BitOr | Op::BitXor => bits(op, a, b),
        Op::ShiftLeft | Op::ShiftRight => shift(op, a, b),
        Op::Equal => Ok(equal(a, b).into()),
        Op::NotEqual => Ok((!equal(a, b)).into()),
        Op::Less | Op::Greater | Op::LessEqual | Op::GreaterEqual => order(op, a, b),
        Op::In => within(a, b),
        Op::Match => pattern::matches(a, b).map(Value::Bool),
        Op::Concat => concat(a, b),
        Op::Join => append(a, b),
        other => Err(Fault::new(format!("operator {} can not be used here", other.text()))),
    }
}

pub(crate) fn not(a: &Value) -> Result<Value, Fault> {
    truth(a).map(|a| (!a).into()).ok_or_else(|| Fault::new(format!("cannot do logical not of {}", a.noun())))
}

pub(crate) fn negate(a: &Value) -> Result<Value, Fault> {
    match a {
        Value::Num(n) => Ok(Value::Num(n.wrapping_neg())),
        Value::Time(ns) => Ok(Value::Time(ns.wrapping_neg())),
        Value::Str(_) => match like(a, &Value::Num(0)) {
            Some(number) => negate(&number),
            None => Err(Fault::new("cannot negate string")),
        },
        _ => Err(Fault::new(format!("cannot negate {}", a.noun()))),
    }
}

/// `~x`
pub(crate) fn invert(a: &Value) -> Result<Value, Fault> {
    match a {
        Value::Num(n) => Ok(Value::Num(!n)),
        Value::Ip(ip) => Ok(Value::Ip((!u32::from(*ip)).into())),
        Value::Ip6(ip) => Ok(Value::Ip6((!u128::from(*ip)).into())),
        _ => Err(Fault::new(format!("cannot do bitwise inversion of {}", a.noun()))),
    }
}

/// What a condition makes of a value; None where it is no yes or no.
pub(crate) fn truth(a: &Value) -> Option<bool> {
    match a {
        Value::Bool(value) => Some(*value),
        Value::Str(_) => match like(a, &Value::Bool(true)) {
            Some(Value::Bool(value)) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// Gives a text the other side's type where it reads as one.
fn alike(a: &Value, b: &Value) -> Option<(Value, Value)> {
    match (a, b) {
        (Value::Str(_), Value::Str(_)) => {
            let number = Value::Num(0);
            like(a, &number).zip(like(b, &number))
        }
        (Value::Str(_), _) => Some((like(a, b).or_else(|| like(a, &Value::Num(0)))?, b.clone())),
        (_, Value::Str(_)) => Some((a.clone(), like(b, a).or_else(|| like(b, &Value::Num(0)))?)),
        _ => None,
    }
}

fn add(a: &Value, b: &Value) -> Result<Value, Fault> {
    Ok(match (a, b) {
        (Value::Num(a), Value::Num(b)) => Value::Num(a.wrapping_add(*b)),
        (Value::Time(a), Value::Time(b)) => Value::Time(a.wrapping_add(*b)),
        (Value::Time(t), Value::Num(n)) | (Value::Num(n), Value::Time(t)) => {
            Value::Time(t.wrapping_add(n.wrapping_mul(SECOND)))
        }
        (Value::Ip(ip), Value::Num(n)) | (Value::Num(n), Value::Ip(ip)) => moved(*ip, *n),
        (Value::Ip6(ip), Value::Num(n)) | (Value::Num(n), Value::Ip6(ip)) => moved6(*ip, *n),
        _ => match alike(a, b) {
            Some((a, b)) => add(&a, &b)?,
            None => return Err(Fault::new(format!("cannot add {} to {}", b.noun(), a.noun()))),
        },
    })
}

fn subtract(a: &Value, b: &Value) -> Result<Value, Fault> {
    Ok(match (a, b) {
        (Value::Num(a), Value::Num(b)) => Value::Num(a.wrapping_sub(*b)),
        (Value::Time(a), Value::Time(b)) => Value::Time(a.wrapping_sub(*b)),
        (Value::Time(t), Value::Num(n)) => Value::Time(t.wrapping_sub(n.wrapping_mul(SECOND))),
        (Value::Num(n), Value::Time(t)) => Value::Time(n.wrapping_mul(SECOND).wrapping_sub(*t)),
        (Value::Ip(a), Value::Ip(b)) => Value::Num(i64::from(u32::from(*a)) - i64::from(u32::from(*b))),
        (Value::Ip(ip), Value::Num(n)) => moved(*ip, n.wrapping_neg()),
        (Value::Ip6(ip), Value::Num(n)) => moved6(*ip, n.wrapping_neg()),
        _ => match alike(a, b) {
            Some((a, b)) => subtract(&a, &b)?,
            None => return Err(Fault::new(format!("cannot subtract {} from {}", b.noun(), a.noun()))),
        },
    })
}

fn moved(ip: Ipv4Addr, by: i64) -> Value {
    let low = (by & i64::from(u32::MAX)).unsigned_abs();
    Value::Ip(u32::from(ip).wrapping_add(u32::try_from(low).unwrap_or(0)).into())
}

fn moved6(ip: Ipv6Addr, by: i64) -> Value {
    let distance = u128::from(by.unsigned_abs());
    let bits = u128::from(ip);
    Value::Ip6(if by < 0 { bits.wrapping_sub(distance) } else { bits.wrapping_add(distance) }.into())
}

fn multiply(a: &Value, b: &Value) -> Result<Value, Fault> {
    Ok(match (a, b) {
        (Value::Num(a), Value::Num(b)) => Value::Num(a.wrapping_mul(*b)),
        (Value::Time(t), Value::Num(n)) | (Value::Num(n), Value::Time(t)) => Value::Time(t.wrapping_mul(*n)),
        _ => match alike(a, b) {
            Some((a, b)) => multiply(&a, &b)?,
            None => return Err(Fault::new(format!("cannot multiply {} by {}", a.noun(), b.noun()))),
        },
    })
}

fn divide(op: Op, a: &Value, b: &Value) -> Result<Value, Fault> {
    let remainder = op == Op::Modulo;
    let result = |a: i64, b: i64| {
        let result = if remainder { a.checked_rem(b) } else { a.checked_div(b) };
        match (result, b) {
            (Some(result), _) => Ok(result),
            (None, 0) => Err(Fault::new("division by zero")),
            // The one other case: the least number by -1.
            (None, _) => Ok(if remainder { 0 } else { a }),
        }
    };
    Ok(match (a, b) {
        (Value::Num(a), Value::Num(b)) => Value::Num(result(*a, *b)?),
        (Value::Time(t), Value::Num(n)) => Value::Time(result(*t, *n)?),
        (Value::Time(a), Value::Time(b)) if remainder => Value::Time(result(*a, *b)?),
        (Value::Time(a), Value::Time(b)) => Value::Num(result(*a, *b)?),
        _ => match alike(a, b) {
            Some((a, b)) => divide(op, &a, &b)?,
            None => return Err(Fault::new(format!("cannot divide {} by {}", a.noun(), b.noun()))),
        },
    })
}

/// A number or an address as bits, with what it was.
enum Word {
    Num(i64),
    Ip(u32),
    Ip6(u128),
}

fn word(value: &Value) -> Option<Word> {
    match value {
        Value::Num(n) => Some(Word::Num(*n)),
        Value::Ip(ip) => Some(Word::Ip((*ip).into())),
        Value::Ip6(ip) => Some(Word::Ip6((*ip).into())),
        Value::Str(_) => match like(value, &Value::Num(0)) {
            Some(Value::Num(n)) => Some(Word::Num(n)),
            _ => None,
        },
        _ => None,
    }
}

fn bits(op: Op, a: &Value, b: &Value) -> Result<Value, Fault> {
    let apply = |a: u128, b: u128| match op {
        Op::BitAnd => a & b,
        Op::BitOr => a | b,
        _ => a ^ b,
    };
    let narrow = |n: u128| u32::try_from(n & u128::from(u32::MAX)).unwrap_or(0);
    Ok(match (word(a), word(b)) {
        (Some(Word::Num(a)), Some(Word::Num(b))) => Value::Num(match op {
            Op::BitAnd => a & b,
            Op::BitOr => a | b,
            _ => a ^ b,
        }),
        (Some(Word::Ip(a)), Some(Word::Ip(b))) => Value::Ip(narrow(apply(a.into(), b.into())).into()),
        (Some(Word::Ip(ip)), Some(Word::Num(n))) | (Some(Word::Num(n)), Some(Word::Ip(ip))) => {
            Value::Ip(narrow(apply(ip.into(), u128::from(n.cast_unsigned()))).into())
        }
        (Some(Word::Ip6(a)), Some(Word::Ip6(b))) => Value::Ip6(apply(a, b).into()),
        (Some(Word::Ip6(ip)), Some(Word::Num(n))) | (Some(Word::Num(n)), Some(Word::Ip6(ip))) => {
            Value::Ip6(apply(ip, u128::from(n.cast_unsigned())).into())
        }
        _ => {
            let name = match op {
                Op::BitAnd => "and",
                Op::BitOr => "or",
                _ => "xor",
            };
            return Err(Fault::new(format!("cannot do bitwise {name} of {} and {}", a.noun(), b.noun())));
        }
    })
}

fn shift(op: Op, a: &Value, b: &Value) -> Result<Value, Fault> {
    let left = op == Op::ShiftLeft;
    let by = match word(b) {
        Some(Word::Num(n)) => u32::try_from(n).unwrap_or(u32::MAX),
        _ => u32::MAX,
    };
    let shifted = match (word(a), word(b)) {
        (Some(Word::Num(n)), Some(Word::Num(_))) if left => Value::Num(n.checked_shl(by).unwrap_or(0)),
        (Some(Word::Num(n)), Some(Word::Num(_))) => Value::Num(n >> by.min(63)),
        (Some(Word::Ip(ip)), Some(Word::Num(_))) => {
            let moved = if left { ip.checked_shl(by) } else { ip.checked_shr(by) };
            Value::Ip(moved.unwrap_or(0).into())
        }
        (Some(Word::Ip6(ip)), Some(Word::Num(_))) => {
            let moved = if left { ip.checked_shl(by) } else { ip.checked_shr(by) };
            Value::Ip6(moved.unwrap_or(0).into())
        }
        _ => {
            let side = if left { "left" } else { "right" };
            return Err(Fault::new(format!("cannot shift {} {side} by {}", a.noun(), b.noun())));
        }
    };
    Ok(shifted)
}

/// Values of different types are equal where the one reads as the other.
pub(crate) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Nothing | Value::Nil, Value::Nothing | Value::Nil) => true,
        (Value::Nothing | Value::Nil, Value::Str(text)) | (Value::Str(text), Value::Nothing | Value::Nil) => {
            text.is_empty()
        }
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Str(_), other) | (other, Value::Str(_)) => {
            let text = if matches!(a, Value::Str(_)) { a } else { b };
            text.to_bytes() == other.to_bytes() || like(text, other).is_some_and(|value| value == *other)
        }
        (Value::Num(n), Value::Time(t)) | (Value::Time(t), Value::Num(n)) => {
            n.checked_mul(SECOND) == Some(*t)
        }
        (Value::Array(array), other) | (other, Value::Array(array)) if !matches!(other, Value::Array(_)) => {
            // One found item is as good as its id.
            !array.has_names() && matches!(array.list(), [one] if equal(one, other))
        }
        (Value::Array(a), Value::Array(b)) => {
            let same = |(x, y): ((Value, &Value), (Value, &Value))| equal(&x.0, &y.0) && equal(x.1, y.1);
            a.len() == b.len() && a.entries().zip(b.entries()).all(same)
        }
        _ => a == b,
    }
}

/// The order of two values of one kind; None where they have none.
pub(crate) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    Some(match (a, b) {
        (Value::Num(a), Value::Num(b)) | (Value::Time(a), Value::Time(b)) => a.cmp(b),
        (Value::Time(t), Value::Num(n)) => i128::from(*t).cmp(&(i128::from(*n) * i128::from(SECOND))),
        (Value::Num(n), Value::Time(t)) => (i128::from(*n) * i128::from(SECOND)).cmp(&i128::from(*t)),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Ip(a), Value::Ip(b)) => a.cmp(b),
        (Value::Ip6(a), Value::Ip6(b)) => a.cmp(b),
        (Value::IpPrefix(a, l), Value::IpPrefix(b, m)) => (a, l).cmp(&(b, m)),
        (Value::Ip6Prefix(a, l), Value::Ip6Prefix(b, m)) => (a, l).cmp(&(b, m)),
        (Value::Id(a), Value::Id(b)) => a.cmp(b),
        (Value::Str(a), Value::Str(b)) => a.cmp(b),
        (Value::Str(_), other) if other.is_some() => compare(&like(a, other)?, other)?,
        (other, Value::Str(_)) if other.is_some() => compare(other, &like(b, other)?)?,
        _ => return None,
    })
}

fn order(op: Op, a: &Value, b: &Value) -> Result<Value, Fault> {
    let holds: fn(Ordering) -> bool = match op {
        Op::Less => Ordering::is_lt,
        Op::Greater => Ordering::is_gt,
        Op::LessEqual => Ordering::is_le,
        _ => Ordering::is_ge,
    };
    // What `:find` answers where it finds nothing is asked for with `< 0` and `>= 0`: nothing comes before all values.
    let order = match (a.is_some(), b.is_some()) {
        (true, true) => compare(a, b),
        (a, b) => Some(a.cmp(&b)),
    };
    match order {
        Some(order) => Ok(holds(order).into()),
        None => {
            let word = match op {
                Op::Less | Op::GreaterEqual => "less",
                _ => "more",
            };
            Err(Fault::new(format!("cannot compare if {} is {word} than {}", a.noun(), b.noun())))
        }
    }
}

/// `in`: an address or prefix in a prefix, a value in an array.
fn within(a: &Value, b: &Value) -> Result<Value, Fault> {
    let prefix = |address: u128, length: u8, bits: u32| {
        address.checked_shr(bits - u32::from(length).min(bits)).unwrap_or(0)
    };
    let v4 = |ip: &Ipv4Addr| u128::from(u32::from(*ip));
    Ok(match (a, b) {
        (Value::Ip(ip), Value::IpPrefix(net, length)) => {
            prefix(v4(ip), *length, 32) == prefix(v4(net), *length, 32)
        }
        (Value::IpPrefix(ip, inner), Value::IpPrefix(net, length)) => {
            inner >= length && prefix(v4(ip), *length, 32) == prefix(v4(net), *length, 32)
        }
        (Value::Ip6(ip), Value::Ip6Prefix(net, length)) => {
            prefix((*ip).into(), *length, 128) == prefix((*net).into(), *length, 128)
        }
        (Value::Ip6Prefix(ip, inner), Value::Ip6Prefix(net, length)) => {
            inner >= length && prefix((*ip).into(), *length, 128) == prefix((*net).into(), *length, 128)
        }
        (Value::Ip(_) | Value::Ip6(_), Value::Ip(_) | Value::Ip6(_)) => a == b,
        (Value::IpPrefix(..) | Value::Ip6Prefix(..), Value::Ip(_) | Value::Ip6(_)) => false,
        (_, Value::Array(array)) => array.values().any(|value| equal(a, value)),
        (Value::Str(_), Value::IpPrefix(..) | Value::Ip6Prefix(..)) => {
            let address = like(a, &Value::Ip(Ipv4Addr::UNSPECIFIED))
                .or_else(|| like(a, &Value::Ip6(Ipv6Addr::UNSPECIFIED)))
                .or_else(|| like(a, b));
            return match address {
                Some(address) => within(&address, b),
                None => Ok(false.into()),
            };
        }
        (_, Value::Str(_)) if matches!(a, Value::Ip(_) | Value::IpPrefix(..)) => {
            return match like(b, &Value::IpPrefix(Ipv4Addr::UNSPECIFIED, 0)) {
                Some(net) => within(a, &net),
                None => Ok(false.into()),
            };
        }
        (Value::Nothing | Value::Nil, _) | (_, Value::Nothing | Value::Nil) => false,
        (Value::Ip(_) | Value::IpPrefix(..), Value::Ip6Prefix(..))
        | (Value::Ip6(_) | Value::Ip6Prefix(..), Value::IpPrefix(..)) => false,
        _ => {
            let message = format!("cannot check if {} is in {}", a.noun(), b.noun());
            return Err(Fault::new(message));
        }
    }
    .into())
}

/// `.`: texts joined; an array has the other side joined to each of its values.
fn concat(a: &Value, b: &Value) -> Result<Value, Fault> {
    let join = |a: &Value, b: &Value| {
        let mut out = a.to_bytes().to_vec();
        b.write(&mut out);
        Value::bytes(out)
    };
    Ok(match (a, b) {
        (Value::Array(array), other) if !is_function(a) => {
            Value::array(array.map(|value| Ok(join(value, other)))?)
        }
        (other, Value::Array(array)) if !is_function(b) => {
            Value::array(array.map(|value| Ok(join(other, value)))?)
        }
        _ => join(a, b),
    })
}

/// A function is an array of nothing and its code.
pub(crate) fn is_function(value: &Value) -> bool {
    matches!(value, Value::Array(array) if matches!(array.list(), [_, Value::Code(_)]))
}

/// `,`: one array out of two values; nothing adds nothing.
fn append(a: &Value, b: &Value) -> Result<Value, Fault> {
    let mut array = Array::default();
    for value in [a, b] {
        match value {
            Value::Array(more) => array.append(more),
            Value::Nothing => {}
            other => array.push(other.clone()),
        }
    }
    Ok(Value::array(array.checked()?))
}

#[cfg(test)]
mod tests;
