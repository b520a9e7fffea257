//! Value types: how a property's text is checked and turned into a [`Value`].
//!
//! The schema writes a type as one expression, `not(list(one-of(range(number(0..65535)), enum(any))))`; this file is
//! the reader of that expression and of the values it describes.

use std::net::IpAddr;

use crate::error::{Fault, nearest};
use crate::value::{Value, parse_mac, parse_number, parse_prefix, parse_rate, parse_time};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
    Any,
}

impl Family {
    fn takes(self, ip: IpAddr) -> bool {
        match self {
            Family::V4 => ip.is_ipv4(),
            Family::V6 => ip.is_ipv6(),
            Family::Any => true,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `yes` or `no`.
    Bool,
    /// Present means yes: `blackhole`, also `blackhole=yes`.
    Switch,
    String,
    /// A string that `export` hides unless it's told to show it.
    Secret,
    /// Script text; a string to this crate.
    Script,
    Number {
        min: i64,
        max: i64,
    },
    /// A number that is shown as `0x8000`.
    Hex {
        min: i64,
        max: i64,
    },
    /// An amount of memory: `2048KiB`, `1.5GiB`, `512M`; kept in the unit it is given in.
    Size,
    Rate,
    Time,
    /// `jan/02/1970` or `1970-01-02`; held in the second form.
    Date,
    Ip(Family),
    /// An address with a length. `host`: host bits are kept.
    Prefix {
        family: Family,
        host: bool,
    },
    Mac,
    Enum(Vec<String>),
    /// A comma list of words; `!word` takes one out.
    Flags(Vec<String>),
    Range(Box<Type>),
    Pair(Box<Type>),
    /// `value/mask`, or a value alone.
    Masked(Box<Type>),
    List(Box<Type>),
    /// A matcher: `!` before the value negates it.
    Not(Box<Type>),
    /// The first that fits.
    OneOf(Vec<Type>),
    /// The name of an interface of any kind.
    Interface,
    /// The name of an interface or of an interface list.
    InterfaceOrList,
    /// `fe80::1%ether1`, `10.0.0.1%ether2`, `10.0.0.1@table`, an address or an interface.
    Gateway(Family),
    /// The name of an item of another menu.
    Reference(String),
    /// The name of an item that exports don't carry (a certificate, a file): it need not exist.
    Name(String),
}

impl Type {
    /// Checks a text. `exact`: enum words can't be abbreviated (inside `one-of`, where a name would be shadowed).
    pub(crate) fn parse(&self, name: &str, text: &str) -> Result<Value, Fault> {
        self.read(name, text, false)
    }

    fn read(&self, name: &str, text: &str, exact: bool) -> Result<Value, Fault> {
        let invalid =
            |what: &str| Err(Fault::new(format!("invalid value for argument {name}")).hint(what.to_owned()));
        match self {
            Type::Bool | Type::Switch => match text {
                "yes" | "true" => Ok(Value::Bool(true)),
                "no" | "false" => Ok(Value::Bool(false)),
                _ => invalid("expected yes or no"),
            },
            Type::String | Type::Secret | Type::Script | Type::Name(_) => Ok(Value::Text(text.to_owned())),
            Type::Reference(_) | Type::Interface | Type::InterfaceOrList if text.is_empty() => no_match(name),
            Type::Reference(_) | Type::Interface | Type::InterfaceOrList => Ok(Value::Text(text.to_owned())),
            Type::Number { min, max } => match parse_number(text) {
                Some(n) if (*min..=*max).contains(&n) => Ok(Value::Number(n)),
                Some(_) => Err(out_of_range(name, *min, *max)),
                None => invalid("expected a number"),
            },
            Type::Hex { min, max } => match parse_number(text) {
                Some(n) if (*min..=*max).contains(&n) => Ok(Value::Text(format!("0x{n:X}"))),
                Some(_) => Err(out_of_range(name, *min, *max)),
                None => invalid("expected a number"),
            },
            Type::Size => match parse_rate(text) {
                Some(_) => Ok(Value::Text(text.to_owned())),
                None => invalid("expected a size such as 2048KiB"),
            },
            Type::Rate => parse_rate(text)
                .map_or_else(|| invalid("expected a rate such as 10M"), |r| Ok(Value::Rate(r))),
            Type::Time => parse_time(text)
                .map_or_else(|| invalid("expected a time such as 1d2h3m4s"), |t| Ok(Value::Time(t))),
            Type::Date => parse_date(text).map_or_else(|| invalid("expected a date such as 2026-01-31"), Ok),
            Type::Ip(family) => match text.parse::<IpAddr>() {
                Ok(ip) if family.takes(ip) => Ok(Value::Ip(ip)),
                Err(_) if *family == Family::Any && is_placed(text) => Ok(Value::Text(text.to_owned())),
                _ => invalid(match family {
                    Family::V4 => "invalid value of ip-address",
                    Family::V6 => "invalid value of ipv6-address",
                    Family::Any => "expected an IPv4 or IPv6 address",
                }),
            },
            Type::Prefix { family, host } => match parse_prefix(text) {
                Some(prefix) if family.takes(prefix.address) => {
                    Ok(Value::Prefix(if *host { prefix } else { prefix.network() }))
                }
                _ => invalid(match family {
                    Family::V4 => "expected an address with a length such as 192.0.2.1/24",
                    Family::V6 => "expected an address with a length such as 2001:db8::1/64",
                    Family::Any => "expected an address with a length",
                }),
            },
            Type::Mac => parse_mac(text).map_or_else(
                || invalid("invalid value of mac-address, mac address required"),
                |m| Ok(Value::Mac(m)),
            ),
            Type::Enum(words) => read_word(name, words, text, exact).map(Value::Text),
            Type::Flags(words) => {
                if text.is_empty() {
                    return Ok(Value::List(Vec::new()));
                }
                text.split(',')
                    .map(|part| match part.strip_prefix('!') {
                        Some(word) => {
                            read_word(name, words, word, exact).map(|w| Value::Not(Box::new(Value::Text(w))))
                        }
                        None => read_word(name, words, part, exact).map(Value::Text),
                    })
                    .collect::<Result<_, _>>()
                    .map(Value::List)
            }
            Type::Range(inner) => read_range(inner, name, text, exact),
            Type::Pair(inner) => match text.split_once('/') {
                Some((up, down)) => Ok(Value::Pair(
                    Box::new(inner.read(name, up, exact)?),
                    Box::new(inner.read(name, down, exact)?),
                )),
                None => {
                    let both = inner.read(name, text, exact)?;
                    Ok(Value::Pair(Box::new(both.clone()), Box::new(both)))
                }
            },
            Type::Masked(inner) => match text.split_once('/') {
                Some((value, mask)) => Ok(Value::Pair(
                    Box::new(inner.read(name, value, exact)?),
                    Box::new(inner.read(name, mask, exact)?),
                )),
                None => inner.read(name, text, exact),
            },
            Type::List(_) if text.trim().is_empty() => Ok(Value::List(Vec::new())),
            Type::List(inner) => text
                .split(',')
                .map(|part| inner.read(name, part.trim(), exact))
                .collect::<Result<_, _>>()
                .map(Value::List),
            Type::Not(inner) => match text.strip_prefix('!') {
                Some(rest) => Ok(Value::Not(Box::new(inner.read(name, rest, exact)?))),
                None => inner.read(name, text, exact),
            },
            Type::OneOf(types) => {
                let mut faults = Vec::new();
                for ty in types {
                    match ty.read(name, text, true) {
                        Ok(value) => return Ok(value),
                        Err(fault) => faults.push(fault),
                    }
                }
                Err(no_alternative(name, faults))
            }
            Type::Gateway(family) => {
                let address = text.split(['%', '@']).next().unwrap_or(text);
                match address.parse::<IpAddr>() {
                    Ok(ip) if family.takes(ip) && address.len() == text.len() => Ok(Value::Ip(ip)),
                    Ok(ip) if family.takes(ip) => {
                        Ok(Value::Text(format!("{ip}{}", text.get(address.len()..).unwrap_or_default())))
                    }
                    Ok(_) => invalid("the address is of the other family"),
                    Err(_) if text.is_empty() => invalid("expected an address or an interface"),
                    Err(_) => Ok(Value::Text(text.to_owned())),
                }
            }
        }
    }

    /// Calls `found` for every name inside `value` that has to exist elsewhere in the tree.
    pub(crate) fn references<'t>(&'t self, value: &Value, found: &mut dyn FnMut(Target<'t>, &str)) {
        match (self, value) {
            (Type::Interface, Value::Text(name)) => found(Target::Interface, name),
            (Type::InterfaceOrList, Value::Text(name)) => found(Target::InterfaceOrList, name),
            (Type::Reference(menu), Value::Text(name)) => found(Target::Menu(menu), name),
            (Type::Gateway(_), Value::Text(text)) => match text.split_once('%') {
                Some((_, interface)) => found(Target::Interface, interface),
                None if text.contains('@') => {}
                None => found(Target::Interface, text),
            },
            (Type::List(inner), Value::List(values)) => {
                values.iter().for_each(|v| inner.references(v, found))
            }
            (Type::Pair(inner), Value::Pair(one, other)) => {
                inner.references(one, found);
                inner.references(other, found);
            }
            (Type::Not(inner), Value::Not(value)) => inner.references(value, found),
            (Type::Not(inner), value) => inner.references(value, found),
            (Type::OneOf(types), value) => {
                let text = value.to_string();
                let taken = types.iter().find(|ty| ty.read("", &text, true).as_ref() == Ok(value));
                if let Some(ty) = taken {
                    ty.references(value, found);
                }
            }
            _ => {}
        }
    }

    /// True where an empty text is a value of its own, and not the absence of one.
    pub(crate) fn takes_empty(&self) -> bool {
        self.parse("", "").is_ok()
    }

    /// True where a value of this type can name something else.
    pub(crate) fn has_references(&self) -> bool {
        match self {
            Type::Interface | Type::InterfaceOrList | Type::Reference(_) | Type::Gateway(_) => true,
            Type::List(inner) | Type::Not(inner) | Type::Pair(inner) => inner.has_references(),
            Type::OneOf(types) => types.iter().any(Type::has_references),
            _ => false,
        }
    }

    /// The value with every reference to `old` replaced by `new`.
    pub(crate) fn rename(&self, value: &Value, target: Target<'_>, old: &str, new: &str) -> Option<Value> {
        let mut hit = false;
        self.references(value, &mut |t, name| hit |= t.covers(target) && name == old);
        if !hit {
            return None;
        }
        fn replace(value: &Value, old: &str, new: &str) -> Value {
            match value {
                Value::Text(text) if text == old => Value::Text(new.to_owned()),
                Value::Text(text) => match text.split_once('%') {
                    Some((address, interface)) if interface == old => Value::Text(format!("{address}%{new}")),
                    _ => value.clone(),
                },
                Value::Not(inner) => Value::Not(Box::new(replace(inner, old, new))),
                Value::Pair(one, other) => {
                    Value::Pair(Box::new(replace(one, old, new)), Box::new(replace(other, old, new)))
                }
                Value::List(values) => Value::List(values.iter().map(|v| replace(v, old, new)).collect()),
                other => other.clone(),
            }
        }
        Some(replace(value, old, new))
    }

    /// What may be written, in a few words; for hints, help and the reference.
    pub fn describe(&self) -> String {
        match self {
            Type::Bool => "yes | no".into(),
            Type::Switch => "switch".into(),
            Type::String => "string".into(),
            Type::Secret => "secret".into(),
            Type::Script => "script".into(),
            Type::Number { min, max } => format!("number {min}..{max}"),
            Type::Hex { min, max } => format!("number 0x{min:X}..0x{max:X}"),
            Type::Size => "size".into(),
            Type::Rate => "rate".into(),
            Type::Time => "time".into(),
            Type::Date => "date".into(),
            Type::Ip(Family::V4) => "IPv4 address".into(),
            Type::Ip(Family::V6) => "IPv6 address".into(),
            Type::Ip(Family::Any) => "address".into(),
            Type::Prefix { family: Family::V4, .. } => "IPv4 prefix".into(),
            Type::Prefix { family: Family::V6, .. } => "IPv6 prefix".into(),
            Type::Prefix { family: Family::Any, .. } => "prefix".into(),
            Type::Mac => "MAC address".into(),
            Type::Enum(words) => words.join(" | "),
            Type::Flags(words) => format!("any of {}", words.join(", ")),
            Type::Range(inner) => format!("{}[-{}]", inner.describe(), inner.describe()),
            Type::Pair(inner) => format!("{}/{}", inner.describe(), inner.describe()),
            Type::Masked(inner) => format!("{}[/mask]", inner.describe()),
            Type::List(inner) => format!("list of {}", inner.describe()),
            Type::Not(inner) => format!("[!] {}", inner.describe()),
            Type::OneOf(types) => types.iter().map(Type::describe).collect::<Vec<_>>().join(" | "),
            Type::Interface => "interface".into(),
            Type::InterfaceOrList => "interface | interface list".into(),
            Type::Gateway(_) => "address[%interface] | interface".into(),
            Type::Reference(menu) | Type::Name(menu) => format!("name in /{menu}"),
        }
    }
}

/// Where a named thing has to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    Interface,
    InterfaceOrList,
    Menu(&'a str),
}

/// The menu of interface lists.
pub(crate) const LISTS: &str = "interface/list";

impl Target<'_> {
    /// True where a name of `other` is meant by this too.
    fn covers(self, other: Target<'_>) -> bool {
        self == other
            || self == Target::InterfaceOrList && (other == Target::Interface || other == Target::Menu(LISTS))
    }
}

/// An address and where it is: `fe80::1%ether1`, `192.0.2.1@vrf1`.
fn is_placed(text: &str) -> bool {
    let Some((address, place)) = text.split_once(['%', '@']) else { return false };
    address.parse::<IpAddr>().is_ok() && !place.is_empty()
}

fn out_of_range(name: &str, min: i64, max: i64) -> Fault {
    Fault::new(format!("value of {name} out of range ({min}..{max})"))
}

/// What to say where no alternative fits: the range that was missed, or a line for each alternative.
fn no_alternative(name: &str, mut faults: Vec<Fault>) -> Fault {
    if let Some(missed) = faults.iter().position(|fault| fault.message.contains(" out of range ")) {
        return faults.swap_remove(missed);
    }
    if faults.len() == 1 {
        return faults.remove(0);
    }
    let plain = format!("invalid value for argument {name}");
    let lines: Vec<String> = faults
        .into_iter()
        .map(|fault| match fault.hint {
            Some(hint) if fault.message == plain => hint,
            Some(hint) => format!("{}, {hint}", fault.message),
            None => fault.message,
        })
        .collect();
    Fault::new(plain).hint(lines.join("\n    "))
}

fn no_match(name: &str) -> Result<Value, Fault> {
    Err(Fault::new(format!("input does not match any value of {name}")))
}

/// An enum word, or a unique beginning of one.
fn read_word(name: &str, words: &[String], text: &str, exact: bool) -> Result<String, Fault> {
    if let Some(word) = words.iter().find(|w| *w == text) {
        return Ok(word.clone());
    }
    if !exact && !text.is_empty() {
        let mut matching = words.iter().filter(|w| w.starts_with(text));
        match (matching.next(), matching.next()) {
            (Some(word), None) => return Ok(word.clone()),
            (Some(_), Some(_)) => {
                return Err(Fault::new(format!(
                    "ambiguous value of {name}, more than one possible value matches input"
                )));
            }
            _ => {}
        }
    }
    let hint = nearest(text, words.iter().map(String::as_str)).unwrap_or_else(|| {
        format!("possible: {}", words.iter().take(30).cloned().collect::<Vec<_>>().join(", "))
    });
    Err(Fault::new(format!("input does not match any value of {name}")).hint(hint))
}

/// `from-to`, `one`, or for addresses a prefix.
fn read_range(inner: &Type, name: &str, text: &str, exact: bool) -> Result<Value, Fault> {
    if let Type::Ip(family) = inner
        && text.contains('/')
    {
        return Type::Prefix { family: *family, host: false }.read(name, text, exact);
    }
    let Some((from, to)) = text.split_once('-').filter(|(from, _)| !from.is_empty()) else {
        return inner.read(name, text, exact);
    };
    let from = inner.read(name, from, exact)?;
    let to = inner.read(name, to, exact)?;
    let ordered = match (&from, &to) {
        (Value::Ip(a), Value::Ip(b)) => a.is_ipv4() == b.is_ipv4() && a <= b,
        (Value::Number(a), Value::Number(b)) => a <= b,
        (Value::Time(a), Value::Time(b)) => a <= b,
        _ => true,
    };
    if !ordered {
        return Err(
            Fault::new(format!("invalid value for argument {name}")).hint("the range ends before it begins")
        );
    }
    Ok(if from == to { from } else { Value::Range(Box::new(from), Box::new(to)) })
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

fn parse_date(text: &str) -> Option<Value> {
    let (year, month, day) = if text.contains('/') {
        let mut parts = text.split('/');
        let name = parts.next()?.to_ascii_lowercase();
        let month = MONTHS.iter().position(|m| *m == name)? + 1;
        let day: usize = parts.next()?.parse().ok()?;
        (parts.next()?.parse::<usize>().ok()?, month, day)
    } else {
        let mut parts = text.splitn(3, '-');
        let year = parts.next()?.parse().ok()?;
        (year, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?)
    };
    let valid = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    valid.then(|| Value::Text(format!("{year:04}-{month:02}-{day:02}")))
}

/// Reads a type expression of the schema.
pub(crate) fn parse_type(text: &str) -> Result<Type, String> {
    let text = text.trim();
    let (head, inner) = match text.split_once('(') {
        Some((head, rest)) => (
            head.trim(),
            Some(rest.strip_suffix(')').ok_or_else(|| format!("no closing bracket in {text}"))?),
        ),
        None => (text, None),
    };
    let one = || parse_type(inner.ok_or_else(|| format!("{head} needs a type"))?).map(Box::new);
    let words = || -> Result<Vec<String>, String> {
        let inner = inner.ok_or_else(|| format!("{head} needs words"))?;
        Ok(inner.split(',').map(|w| w.trim().to_owned()).collect())
    };
    let menu = || -> Result<String, String> {
        let inner = inner.ok_or_else(|| format!("{head} needs a menu"))?;
        Ok(inner.trim().trim_start_matches('/').to_owned())
    };
    Ok(match head {
        "bool" => Type::Bool,
        "switch" => Type::Switch,
        "string" => Type::String,
        "secret" => Type::Secret,
        "script" => Type::Script,
        "integer" => Type::Number { min: i64::MIN, max: i64::MAX },
        "number" => {
            let (min, max) = range(text, inner)?;
            Type::Number { min, max }
        }
        "hex" => {
            let (min, max) = range(text, inner)?;
            Type::Hex { min, max }
        }
        "size" => Type::Size,
        "rate" => Type::Rate,
        "time" => Type::Time,
        "date" => Type::Date,
        "ip4" => Type::Ip(Family::V4),
        "ip6" => Type::Ip(Family::V6),
        "ip" => Type::Ip(Family::Any),
        "prefix4" => Type::Prefix { family: Family::V4, host: false },
        "prefix6" => Type::Prefix { family: Family::V6, host: false },
        "prefix" => Type::Prefix { family: Family::Any, host: false },
        "address4" => Type::Prefix { family: Family::V4, host: true },
        "address6" => Type::Prefix { family: Family::V6, host: true },
        "address" => Type::Prefix { family: Family::Any, host: true },
        "mac" => Type::Mac,
        "enum" => Type::Enum(words()?),
        "flags" => Type::Flags(words()?),
        "range" => Type::Range(one()?),
        "pair" => Type::Pair(one()?),
        "masked" => Type::Masked(one()?),
        "list" => Type::List(one()?),
        "not" => Type::Not(one()?),
        "one-of" => Type::OneOf(
            split_top(inner.ok_or("one-of needs types")?)
                .into_iter()
                .map(parse_type)
                .collect::<Result<_, _>>()?,
        ),
        "interface" => Type::Interface,
        "interface-or-list" => Type::InterfaceOrList,
        "gateway4" => Type::Gateway(Family::V4),
        "gateway6" => Type::Gateway(Family::V6),
        "ref" => Type::Reference(menu()?),
        "name" => Type::Name(menu()?),
        other => return Err(format!("unknown type {other}")),
    })
}

/// `MIN..MAX`; where none is written, what 32 bits hold.
fn range(text: &str, inner: Option<&str>) -> Result<(i64, i64), String> {
    let Some(inner) = inner else { return Ok((0, u32::MAX.into())) };
    let (min, max) = inner.split_once("..").ok_or_else(|| format!("no range in {text}"))?;
    let read = |s: &str| parse_number(s.trim()).ok_or_else(|| format!("no number in {text}"));
    Ok((read(min)?, read(max)?))
}

/// Splits at commas outside brackets.
fn split_top(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0u32, 0);
    for (i, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(from..i).unwrap_or_default());
                from = i + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(from..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The canonical text of a value; empty where the text is refused.
    fn canonical(ty: &str, text: &str) -> String {
        let ty = parse_type(ty).unwrap_or_else(|e| panic!("{e}"));
        ty.parse("x", text).map(|value| value.to_string()).unwrap_or_default()
    }

    #[test]
    fn every_kind_of_value_has_one_text() {
        for (ty, text, expected) in [
            ("bool", "true", "yes"),
            ("number(0..255)", "0x10", "16"),
            ("number(0..255)", "256", ""),
            ("enum(accept, drop, reject)", "acc", "accept"),
            ("enum(accept, add)", "a", ""),
            ("one-of(enum(all), interface)", "al", "al"),
            ("not(flags(new, established))", "!new,est", "!new,established"),
            ("list(range(number(0..65535)))", "80,1000-2000, 443", "80,1000-2000,443"),
            ("range(number(0..65535))", "20-10", ""),
            ("range(ip4)", "192.0.2.0/255.255.255.0", "192.0.2.0/24"),
            ("range(ip4)", "192.0.2.1-192.0.2.9", "192.0.2.1-192.0.2.9"),
            ("prefix4", "192.0.2.9/24", "192.0.2.0/24"),
            ("address4", "192.0.2.9/24", "192.0.2.9/24"),
            ("address6", "2001:DB8:0::1/64", "2001:db8::1/64"),
            ("prefix4", "2001:db8::/32", ""),
            ("pair(rate)", "10M", "10M/10M"),
            ("masked(mac)", "01:00:00:00:00:00/1:0:0:0:0:0", "01:00:00:00:00:00/01:00:00:00:00:00"),
            ("masked(mac)", "01:00:00:00:00:00", "01:00:00:00:00:00"),
            ("hex(0..65535)", "32768", "0x8000"),
            ("hex(0..65535)", "0x8000", "0x8000"),
            ("hex(0..65535)", "0x10000", ""),
            ("size", "20480KiB", "20480KiB"),
            ("size", "20 parsecs", ""),
            ("integer", "-12", "-12"),
            ("name(certificate)", "not-here", "not-here"),
            ("date", "jan/02/2026", "2026-01-02"),
            ("mac", "aabbccddeeff", "AA:BB:CC:DD:EE:FF"),
            ("gateway4", "192.0.2.1%ether1", "192.0.2.1%ether1"),
            ("gateway4", "2001:db8::1", ""),
            ("list(ip)", "fe80::1%ether1,192.0.2.1@vrf1", "fe80::1%ether1,192.0.2.1@vrf1"),
            ("ip", "ether1%fe80::1", ""),
            ("ip4", "192.0.2.1@vrf1", ""),
        ] {
            assert_eq!(canonical(ty, text), expected, "{ty}: {text}");
        }
    }

    #[test]
    fn a_value_that_no_alternative_takes_is_told_with_all_of_them() {
        let fault = |ty: &str, text: &str| {
            let ty = parse_type(ty).unwrap_or_else(|e| panic!("{e}"));
            let fault = ty.parse("x", text).err();
            fault.map(|f| (f.message, f.hint.unwrap_or_default())).unwrap_or_default()
        };
        let (message, hint) = fault("one-of(mac, ip6)", "lan");
        assert_eq!(message, "invalid value for argument x");
        assert_eq!(
            hint,
            "invalid value of mac-address, mac address required\n    invalid value of ipv6-address"
        );
        assert_eq!(
            fault("one-of(enum(auto), number(68..9000))", "10").0,
            "value of x out of range (68..9000)"
        );
        assert_eq!(
            fault("enum(accept, add)", "a").0,
            "ambiguous value of x, more than one possible value matches input"
        );
    }

    #[test]
    fn a_list_of_nothing_is_empty_however_it_is_written() {
        let list = parse_type("list(string)").unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(list.parse("x", "\t"), Ok(Value::List(Vec::new())));
        assert_eq!(list.parse("x", ""), Ok(Value::List(Vec::new())));
    }
}
