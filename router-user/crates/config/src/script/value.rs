//! The values of the scripting language, their types' names and their text forms.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::array::Array;
use super::code::Code;
use crate::parser::{into_text, raw_byte};

/// One value. Cloning is cheap: what can be large is shared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A variable without a value.
    Nothing,
    /// The answer of a function that found or could convert nothing.
    Nil,
    Bool(bool),
    Num(i64),
    /// Bytes, as RouterOS counts them.
    Str(Arc<[u8]>),
    /// Nanoseconds.
    Time(i64),
    Ip(Ipv4Addr),
    IpPrefix(Ipv4Addr, u8),
    Ip6(Ipv6Addr),
    Ip6Prefix(Ipv6Addr, u8),
    /// An item's id.
    Id(u32),
    Array(Arc<Array>),
    Code(Arc<Code>),
    /// An expression that is evaluated when it is called: `(>[ .. ])`.
    Op(Arc<Code>),
}

/// Memory that a value without contents of its own stands for.
const SCALAR: usize = 24;

impl Value {
    pub fn str(text: &str) -> Value {
        Value::bytes(to_bytes(text))
    }

    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Value {
        Value::Str(bytes.into())
    }

    pub fn array(array: Array) -> Value {
        Value::Array(Arc::new(array))
    }

    pub fn list(values: impl IntoIterator<Item = Value>) -> Value {
        Value::array(values.into_iter().collect())
    }

    /// What `:typeof` says.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Nothing => "nothing",
            Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Num(_) => "num",
            Value::Str(_) => "str",
            Value::Time(_) => "time",
            Value::Ip(_) => "ip",
            Value::IpPrefix(..) => "ip-prefix",
            Value::Ip6(_) => "ip6",
            Value::Ip6Prefix(..) => "ip6-prefix",
            Value::Id(_) => "id",
            Value::Array(_) => "array",
            Value::Code(_) => "code",
            Value::Op(_) => "op",
        }
    }

    /// What an error calls a value of this type.
    pub fn noun(&self) -> &'static str {
        match self {
            Value::Nothing => "nothing",
            Value::Nil => "nil",
            Value::Bool(_) => "boolean",
            Value::Num(_) => "integer number",
            Value::Str(_) => "string",
            Value::Time(_) => "time interval",
            Value::Ip(_) => "ip address",
            Value::IpPrefix(..) => "ip prefix",
            Value::Ip6(_) => "ipv6 address",
            Value::Ip6Prefix(..) => "ipv6 prefix",
            Value::Id(_) => "internal number",
            Value::Array(_) => "array",
            Value::Code(_) => "code",
            Value::Op(_) => "op",
        }
    }

    /// Neither nothing nor nil.
    pub fn is_some(&self) -> bool {
        !matches!(self, Value::Nothing | Value::Nil)
    }

    /// Memory, counted as if nothing were shared.
    pub fn weight(&self) -> usize {
        match self {
            Value::Str(bytes) => SCALAR + bytes.len(),
            Value::Array(array) => SCALAR + array.weight(),
            Value::Code(code) | Value::Op(code) => SCALAR + code.weight,
            _ => SCALAR,
        }
    }

    /// Arrays inside arrays.
    pub fn depth(&self) -> u32 {
        match self {
            Value::Array(array) => array.depth(),
            _ => 0,
        }
    }

    /// The bytes that `:put` writes and `:tostr` gives.
    pub fn to_bytes(&self) -> Arc<[u8]> {
        match self {
            Value::Str(bytes) => Arc::clone(bytes),
            _ => {
                let mut out = Vec::new();
                self.write(&mut out);
                out.into()
            }
        }
    }

    /// [`Value::to_bytes`] in the form that the configuration holds texts in.
    pub fn to_text(&self) -> String {
        into_text(self.to_bytes().to_vec())
    }

    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Nothing | Value::Nil => {}
            Value::Bool(value) => out.extend(value.to_string().bytes()),
            Value::Num(n) => out.extend(n.to_string().bytes()),
            Value::Str(bytes) => out.extend_from_slice(bytes),
            Value::Time(ns) => out.extend(time_text(*ns).bytes()),
            Value::Ip(ip) => out.extend(ip.to_string().bytes()),
            Value::IpPrefix(ip, length) => out.extend(format!("{ip}/{length}").bytes()),
            Value::Ip6(ip) => out.extend(ip.to_string().bytes()),
            Value::Ip6Prefix(ip, length) => out.extend(format!("{ip}/{length}").bytes()),
            Value::Id(id) => out.extend(format!("*{id:X}").bytes()),
            Value::Array(array) => array.write(out),
            Value::Code(code) | Value::Op(code) => out.extend(code.text().bytes()),
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Num(value)
    }
}

/// A length or position as a number of the language.
pub(crate) fn count(n: usize) -> Value {
    Value::Num(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The bytes that a text of the configuration stands for.
pub(crate) fn to_bytes(text: &str) -> Vec<u8> {
    if text.is_ascii() {
        return text.as_bytes().to_vec();
    }
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        match raw_byte(c) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(c.encode_utf8(&mut [0; 4]).bytes()),
        }
    }
    bytes
}

/// Nanoseconds in a second.
pub(crate) const SECOND: i64 = 1_000_000_000;
const DAY: u64 = 86_400;

/// `1w2d03:04:05`, `00:00:00.125`; the fraction in groups of three digits.
fn time_text(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let (seconds, fraction) = (ns.unsigned_abs() / SECOND as u64, ns.unsigned_abs() % SECOND as u64);
    let (weeks, days, rest) = (seconds / (7 * DAY), seconds / DAY % 7, seconds % DAY);
    let mut text = sign.to_owned();
    if weeks > 0 {
        text.push_str(&format!("{weeks}w"));
    }
    if days > 0 {
        text.push_str(&format!("{days}d"));
    }
    text.push_str(&format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60));
    match fraction {
        0 => {}
        f if f.is_multiple_of(1_000_000) => text.push_str(&format!(".{:03}", f / 1_000_000)),
        f if f.is_multiple_of(1_000) => text.push_str(&format!(".{:06}", f / 1_000)),
        f => text.push_str(&format!(".{f:09}")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_text() {
        let nested = Value::list([Value::Num(1), Value::list([Value::str("a"), Value::Bool(true)])]);
        for (value, text, kind) in [
            (Value::Nothing, "", "nothing"),
            (Value::Nil, "", "nil"),
            (Value::Bool(false), "false", "bool"),
            (Value::Num(-7), "-7", "num"),
            (Value::str("a b"), "a b", "str"),
            (Value::Ip(Ipv4Addr::new(192, 0, 2, 1)), "192.0.2.1", "ip"),
            (Value::IpPrefix(Ipv4Addr::new(192, 0, 2, 0), 24), "192.0.2.0/24", "ip-prefix"),
            (Value::Ip6(Ipv6Addr::LOCALHOST), "::1", "ip6"),
            (Value::Ip6Prefix(Ipv6Addr::UNSPECIFIED, 0), "::/0", "ip6-prefix"),
            (Value::Id(0x1A), "*1A", "id"),
            (nested, "1;a;true", "array"),
        ] {
            assert_eq!(value.to_text(), text);
            assert_eq!(value.type_name(), kind, "{text}");
        }
    }

    #[test]
    fn times_show_weeks_days_and_as_much_of_the_fraction_as_there_is() {
        for (ns, text) in [
            (0, "00:00:00"),
            (5 * SECOND, "00:00:05"),
            (125_000_000, "00:00:00.125"),
            (414_000, "00:00:00.000414"),
            (1_099_018_660, "00:00:01.099018660"),
            (93_784 * SECOND, "1d02:03:04"),
            (7 * 86_400 * SECOND, "1w00:00:00"),
            (-SECOND, "-00:00:01"),
            (i64::MIN, "-15250w1d23:47:16.854775808"),
        ] {
            assert_eq!(time_text(ns), text);
        }
    }

    #[test]
    fn strings_are_bytes() {
        let text = into_text(vec![b'a', 0xE9]);
        assert_eq!(to_bytes(&text), [b'a', 0xE9]);
        assert_eq!(Value::str(&text).to_text(), text);
        assert_eq!(to_bytes("é"), "é".as_bytes());
    }
}
