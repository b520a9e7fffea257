//! From one type to another: the `:to...` functions.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::array::Array;
use super::value::{SECOND, Value, to_bytes};
use crate::schema::Menu;
use crate::types::Type;
use crate::value::parse_number;

/// `:tonum`
pub(crate) fn to_num(value: &Value) -> Value {
    match value {
        Value::Num(n) => Value::Num(*n),
        Value::Bool(value) => Value::Num(i64::from(*value)),
        Value::Time(ns) => Value::Num(ns / SECOND),
        Value::Ip(ip) => Value::Num(u32::from(*ip).into()),
        Value::Id(id) => Value::Num((*id).into()),
        Value::Str(_) => parse_number(value.to_text().trim()).map_or(Value::Nil, Value::Num),
        _ => Value::Nil,
    }
}

/// `:tobool`
pub(crate) fn to_bool(value: &Value) -> Value {
    match value {
        Value::Bool(value) => Value::Bool(*value),
        Value::Num(n) => Value::Bool(*n != 0),
        Value::Str(bytes) => match &**bytes {
            b"true" | b"yes" => Value::Bool(true),
            b"false" | b"no" => Value::Bool(false),
            _ => Value::Nil,
        },
        _ => Value::Nil,
    }
}

/// `:toip`
pub(crate) fn to_ip(value: &Value) -> Value {
    match value {
        Value::Ip(ip) => Value::Ip(*ip),
        Value::Num(n) => u32::try_from(*n).map_or(Value::Nil, |n| Value::Ip(n.into())),
        Value::Str(_) => ipv4(&value.to_text()).map_or(Value::Nil, Value::Ip),
        _ => Value::Nil,
    }
}

/// `:toip6`
pub(crate) fn to_ip6(value: &Value) -> Value {
    match value {
        Value::Ip6(_) | Value::Ip6Prefix(..) => value.clone(),
        Value::Str(_) => {
            let found = address(&value.to_text());
            found.filter(|v| matches!(v, Value::Ip6(_) | Value::Ip6Prefix(..))).unwrap_or(Value::Nil)
        }
        _ => Value::Nil,
    }
}

/// `:totime`; a number is seconds.
pub(crate) fn to_time(value: &Value) -> Value {
    match value {
        Value::Time(ns) => Value::Time(*ns),
        Value::Num(n) => n.checked_mul(SECOND).map_or(Value::Nil, Value::Time),
        Value::Str(_) => parse_time(&value.to_text()).map_or(Value::Nil, Value::Time),
        _ => Value::Nil,
    }
}

/// `:tonsec`
pub(crate) fn to_nsec(value: &Value) -> Value {
    match to_time(value) {
        Value::Time(ns) => Value::Num(ns),
        _ => Value::Nil,
    }
}

/// `:toid`
pub(crate) fn to_id(value: &Value) -> Value {
    match value {
        Value::Id(id) => Value::Id(*id),
        Value::Num(n) => u32::try_from(*n).map_or(Value::Nil, Value::Id),
        Value::Str(_) => id(&value.to_text()).unwrap_or(Value::Nil),
        _ => Value::Nil,
    }
}

/// `:toarray`: a text is split at its commas.
pub(crate) fn to_array(value: &Value) -> Value {
    match value {
        Value::Array(_) => value.clone(),
        Value::Nothing | Value::Nil => Value::array(Array::default()),
        Value::Str(bytes) if bytes.is_empty() => Value::array(Array::default()),
        Value::Str(bytes) => Value::list(bytes.split(|b| *b == b',').map(Value::bytes)),
        other => Value::list([other.clone()]),
    }
}

/// `:tostr`
pub(crate) fn to_str(value: &Value) -> Value {
    Value::Str(value.to_bytes())
}

/// What a text means where a value of another type is wanted: `"5" + 3`.
pub(crate) fn like(text: &Value, other: &Value) -> Option<Value> {
    let value = match other {
        Value::Num(_) => to_num(text),
        Value::Bool(_) => to_bool(text),
        Value::Time(_) => to_time(text),
        Value::Ip(_) => to_ip(text),
        Value::Ip6(_) => to_ip6(text),
        Value::Id(_) => to_id(text),
        Value::IpPrefix(..) | Value::Ip6Prefix(..) => address(&text.to_text())?,
        _ => return None,
    };
    value.is_some().then_some(value)
}

/// `1d2h3m4s5ms6us7ns`, `1.5s`, `00:10:00.5`, `1d00:10`, `300` (seconds) -> nanoseconds.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut total: i64 = 0;
    let mut any = false;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at_checked(end)?;
        if after.starts_with(':') {
            total = total.checked_add(parse_clock(rest)?)?;
            any = true;
            break;
        }
        let unit_end = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(unit_end)?;
        let unit = match unit {
            "w" => 7 * 86_400 * SECOND,
            "d" => 86_400 * SECOND,
            "h" => 3_600 * SECOND,
            "m" => 60 * SECOND,
            "s" => SECOND,
            "ms" => 1_000_000,
            "us" => 1_000,
            "ns" => 1,
            "" if next.is_empty() => SECOND,
            _ => return None,
        };
        total = total.checked_add(scaled(number, unit)?)?;
        any = true;
        rest = next;
    }
    any.then_some(if negative { -total } else { total })
}

/// `1.5` of a unit.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) || whole.is_empty() {
        return None;
    }
    let whole = whole.parse::<i64>().ok()?.checked_mul(unit)?;
    if fraction.is_empty() {
        return (!number.ends_with('.')).then_some(whole);
    }
    let scale = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let part = i128::from(fraction.parse::<i64>().ok()?) * i128::from(unit) / scale;
    whole.checked_add(i64::try_from(part).ok()?)
}

/// `HH:MM` or `HH:MM:SS[.fraction]`.
fn parse_clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':');
    let mut part = |limit: i64, unit: i64| {
        let part = parts.next()?;
        let value = scaled(part, unit)?;
        (part.len() <= 12 && value < limit).then_some(value)
    };
    let hours = part(i64::MAX, 3_600 * SECOND)?;
    let minutes = part(3_600 * SECOND, 60 * SECOND)?;
    let seconds = if text.matches(':').count() > 1 { part(60 * SECOND, SECOND)? } else { 0 };
    (text.matches(':').count() <= 2).then(|| hours.checked_add(minutes)?.checked_add(seconds))?
}

fn id(text: &str) -> Option<Value> {
    let hex = text.strip_prefix('*').filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u32::from_str_radix(hex, 16).ok().map(Value::Id)
}

/// An address or a prefix of either family.
fn address(text: &str) -> Option<Value> {
    let Some((head, length)) = text.split_once('/') else {
        return ipv4(text).map(Value::Ip).or_else(|| text.parse::<Ipv6Addr>().ok().map(Value::Ip6));
    };
    let number = || length.bytes().all(|b| b.is_ascii_digit()).then(|| length.parse::<u8>().ok())?;
    if let Some(ip) = ipv4(head) {
        let length = match length.parse::<Ipv4Addr>() {
            Ok(mask) => {
                let ones = u32::from(mask).leading_ones();
                (u32::from(mask).checked_shl(ones).unwrap_or(0) == 0).then(|| u8::try_from(ones).ok())?
            }
            Err(_) => number(),
        };
        return length.filter(|l| *l <= 32).map(|length| Value::IpPrefix(ip, length));
    }
    let ip = head.parse::<Ipv6Addr>().ok()?;
    number().filter(|l| *l <= 128).map(|length| Value::Ip6Prefix(ip, length))
}

/// `192.0.2.1`; with fewer parts the last one fills the rest, so `10.1` is `10.0.0.1`.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut parts = [0u32; 4];
    let mut count = 0;
    for part in text.split('.') {
        let digits = !part.is_empty() && part.len() <= 10 && part.bytes().all(|b| b.is_ascii_digit());
        *parts.get_mut(count)? = digits.then(|| part.parse().ok())??;
        count += 1;
    }
    let (head, last) = (count.checked_sub(1).filter(|n| *n > 0)?, parts.get(count - 1)?);
    let bits = u32::try_from(32 - 8 * head).ok()?;
    if u64::from(*last) >= 1u64 << bits {
        return None;
    }
    let mut address = *last;
    for (n, part) in parts.iter().take(head).enumerate() {
        address |= u32::from(u8::try_from(*part).ok()?) << (24 - 8 * n);
    }
    Some(address.into())
}

/// `:tocrlf` and `:tolf`.
pub(crate) fn line_ends(value: &Value, end: &[u8]) -> Value {
    let bytes = value.to_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match byte {
            b'\r' => {
                rest.next_if_eq(&b'\n');
                out.extend_from_slice(end);
            }
            b'\n' => out.extend_from_slice(end),
            _ => out.push(byte),
        }
    }
    Value::bytes(out)
}

/// The value of a configured property, in the type that the script sees.
pub(crate) fn from_config(value: &crate::value::Value) -> Value {
    use crate::value::Value as Config;
    let single = |prefix: &crate::value::Prefix| match prefix.address {
        std::net::IpAddr::V4(ip) => Value::IpPrefix(ip, prefix.length),
        std::net::IpAddr::V6(ip) => Value::Ip6Prefix(ip, prefix.length),
    };
    match value {
        Config::Bool(value) => Value::Bool(*value),
        Config::Number(n) => Value::Num(*n),
        Config::Time(ms) => i64::try_from(*ms)
            .ok()
            .and_then(|ms| ms.checked_mul(1_000_000))
            .map_or_else(|| Value::str(&value.to_string()), Value::Time),
        Config::Rate(n) => i64::try_from(*n).map_or(Value::Nil, Value::Num),
        Config::Ip(std::net::IpAddr::V4(ip)) => Value::Ip(*ip),
        Config::Ip(std::net::IpAddr::V6(ip)) => Value::Ip6(*ip),
        Config::Prefix(prefix) => single(prefix),
        Config::List(values) => Value::list(values.iter().map(from_config)),
        _ => Value::bytes(to_bytes(&value.to_string())),
    }
}

/// A text of the router's state in the type that the menu gives it; the clock is a time.
pub(crate) fn from_state(menu: &Menu, name: &str, text: &str) -> Value {
    if menu.path == "system/clock" && name == "time" {
        return to_time(&Value::str(text));
    }
    let property = menu.status(name).or_else(|| menu.property(name));
    if property.is_some_and(|property| property.ty == Type::Time) {
        return to_time(&Value::str(text));
    }
    match property.and_then(|property| property.ty.parse(name, text).ok()) {
        Some(value) => from_config(&value),
        None => Value::str(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conversions_give_the_value_or_nil() {
        type Convert = fn(&Value) -> Value;
        let ten = Value::Ip(Ipv4Addr::new(10, 0, 0, 1));
        let table: [(&str, Convert, Value, Value); 26] = [
            ("tonum", to_num, Value::str("12"), Value::Num(12)),
            ("tonum", to_num, Value::str("0x1F"), Value::Num(31)),
            ("tonum", to_num, Value::str("twelve"), Value::Nil),
            ("tonum", to_num, Value::Time(90 * SECOND), Value::Num(90)),
            ("tonum", to_num, ten.clone(), Value::Num(0x0A00_0001)),
            ("tonum", to_num, Value::Bool(true), Value::Num(1)),
            ("tonum", to_num, Value::Nothing, Value::Nil),
            ("tobool", to_bool, Value::str("yes"), Value::Bool(true)),
            ("tobool", to_bool, Value::Num(0), Value::Bool(false)),
            ("tobool", to_bool, Value::str("perhaps"), Value::Nil),
            ("toip", to_ip, Value::str("10.0.0.1"), ten.clone()),
            ("toip", to_ip, Value::Num(0x0A00_0001), ten.clone()),
            ("toip", to_ip, Value::str("10.0.0.1/24"), Value::Nil),
            ("toip", to_ip, Value::Num(-1), Value::Nil),
            ("toip6", to_ip6, Value::str("::1"), Value::Ip6(Ipv6Addr::LOCALHOST)),
            ("toip6", to_ip6, Value::str("10.0.0.1"), Value::Nil),
            ("totime", to_time, Value::Num(60), Value::Time(60 * SECOND)),
            ("totime", to_time, Value::str("0.5"), Value::Time(SECOND / 2)),
            ("totime", to_time, Value::str("1w1d"), Value::Time(8 * 86_400 * SECOND)),
            ("totime", to_time, Value::Num(i64::MAX), Value::Nil),
            ("tonsec", to_nsec, Value::str("1s1ns"), Value::Num(SECOND + 1)),
            ("toid", to_id, Value::str("*1A"), Value::Id(26)),
            ("toid", to_id, Value::str("1A"), Value::Nil),
            ("tostr", to_str, Value::Num(5), Value::str("5")),
            ("toarray", to_array, Value::str(""), Value::list([])),
            ("toarray", to_array, Value::str("a,b"), Value::list([Value::str("a"), Value::str("b")])),
        ];
        for (name, convert, from, to) in table {
            assert_eq!(convert(&from), to, ":{name} {from:?}");
        }
    }

    #[test]
    fn malformed_times_are_none() {
        for text in ["", "-", "m", "1x", "10:70:00", "1:2:3:4", "1.s", ".5", "99999999999w", "1h:2", "::"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
        assert_eq!(parse_time("-1m"), Some(-60 * SECOND));
    }

    #[test]
    fn line_ends_become_one_kind() {
        let mixed = Value::str("a\r\nb\nc\rd");
        assert_eq!(line_ends(&mixed, b"\n").to_text(), "a\nb\nc\nd");
        assert_eq!(line_ends(&mixed, b"\r\n").to_text(), "a\r\nb\r\nc\r\nd");
    }
}
