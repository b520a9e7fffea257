//! Values as the tree holds them, and their canonical text.

use std::fmt;
use std::net::IpAddr;

/// A checked value. `Display` gives the canonical RouterOS text (without quotes).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// String, enum word, name of another item, script.
    Text(String),
    Bool(bool),
    Number(i64),
    /// Milliseconds.
    Time(u64),
    /// Bits per second, or bytes for sizes.
    Rate(u64),
    Ip(IpAddr),
    Prefix(Prefix),
    Mac([u8; 6]),
    /// Both ends included.
    Range(Box<Value>, Box<Value>),
    /// `upload/download`.
    Pair(Box<Value>, Box<Value>),
    List(Vec<Value>),
    /// `!value`.
    Not(Box<Value>),
    /// `!name` of a property that has a default: nothing holds in its place.
    Unset,
}

/// An address with a prefix length. Host bits are kept where the property keeps them (`/ip address`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    pub address: IpAddr,
    pub length: u8,
}

impl Prefix {
    /// The same prefix with the host bits cleared.
    pub fn network(self) -> Prefix {
        let address = match self.address {
            IpAddr::V4(a) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length.min(32))).unwrap_or(0);
                IpAddr::V4((u32::from(a) & mask).into())
            }
            IpAddr::V6(a) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length.min(128))).unwrap_or(0);
                IpAddr::V6((u128::from(a) & mask).into())
            }
        };
        Prefix { address, length: self.length }
    }

    /// True where both share addresses.
    pub fn overlaps(self, other: Prefix) -> bool {
        let length = self.length.min(other.length);
        self.address.is_ipv4() == other.address.is_ipv4()
            && Prefix { length, ..self }.network() == Prefix { length, ..other }.network()
    }

    pub fn is_single(self) -> bool {
        self.length == if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Text(text) => f.write_str(text),
            Value::Unset => Ok(()),
            Value::Bool(true) => f.write_str("yes"),
            Value::Bool(false) => f.write_str("no"),
            Value::Number(n) => write!(f, "{n}"),
            Value::Time(ms) => write_time(f, *ms),
            Value::Rate(rate) => write_rate(f, *rate),
            Value::Ip(ip) => write!(f, "{ip}"),
            Value::Prefix(prefix) => write!(f, "{prefix}"),
            Value::Mac([a, b, c, d, e, g]) => write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}"),
            Value::Range(from, to) => write!(f, "{from}-{to}"),
            Value::Pair(up, down) => write!(f, "{up}/{down}"),
            Value::Not(value) => write!(f, "!{value}"),
            Value::List(values) => {
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    write!(f, "{value}")?;
                }
                Ok(())
            }
        }
    }
}

/// `1w2d3h4m5s`, `100ms`; zero is `0s`.
fn write_time(f: &mut fmt::Formatter<'_>, ms: u64) -> fmt::Result {
    if ms == 0 {
        return f.write_str("0s");
    }
    let mut rest = ms;
    for (unit, name) in UNITS {
        if rest >= unit {
            write!(f, "{}{name}", rest / unit)?;
            rest %= unit;
        }
    }
    Ok(())
}

const UNITS: [(u64, &str); 6] =
    [(604_800_000, "w"), (86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];

fn write_rate(f: &mut fmt::Formatter<'_>, rate: u64) -> fmt::Result {
    for (unit, name) in [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")] {
        if rate >= unit && rate.is_multiple_of(unit) {
            return write!(f, "{}{name}", rate / unit);
        }
    }
    write!(f, "{rate}")
}

/// `1d2h3m4s`, `1w`, `100ms`, `00:10:00`, `1d00:00:00`, `300` (seconds), `1.5` (seconds) -> milliseconds.
pub(crate) fn parse_time(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut any = false;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let after = rest.get(digits..)?;
        if after.starts_with(':') {
            return total.checked_add(parse_clock(rest)?);
        }
        let unit_end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = match after.get(..unit_end)? {
            "w" => 604_800_000,
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            "" if after.is_empty() => 1_000,
            // Only seconds have a part behind a point: `31.25`, `31.25s`.
            "" if after.starts_with('.') => {
                return total.checked_add(parse_seconds(rest.strip_suffix('s').unwrap_or(rest))?);
            }
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        any = true;
        rest = after.get(unit_end..)?;
    }
    any.then_some(total)
}

/// `HH:MM` or `HH:MM:SS[.mmm]`.
fn parse_clock(text: &str) -> Option<u64> {
    let mut parts = text.split(':');
    let hours: u64 = parts.next()?.parse().ok()?;
    let minutes: u64 = parts.next()?.parse().ok()?;
    let ms = parts.next().map_or(Some(0), parse_seconds)?;
    if parts.next().is_some() || minutes > 59 || ms > 59_999 {
        return None;
    }
    hours.checked_mul(3_600_000)?.checked_add(minutes * 60_000)?.checked_add(ms)
}

fn parse_seconds(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    if part.is_empty() || part.len() > 9 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let ms: u64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000)?.checked_add(ms)
}

/// `10M`, `512k`, `1G`, `1.5M`, `1KiB`, `35.0Mbps`, `unlimited`.
pub(crate) fn parse_rate(text: &str) -> Option<u64> {
    if text == "unlimited" {
        return Some(0);
    }
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text.get(end..)?;
    let factor: u64 = match unit.strip_suffix("bps").unwrap_or(unit) {
        "" => 1,
        "k" | "K" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    let number = text.get(..end)?;
    match number.split_once('.') {
        None => number.parse::<u64>().ok()?.checked_mul(factor),
        Some((whole, part)) if !part.is_empty() && part.len() < 10 => {
            let scale = 10u64.checked_pow(u32::try_from(part.len()).ok()?)?;
            let digits: u64 = part.parse().ok()?;
            whole.parse::<u64>().ok()?.checked_mul(factor)?.checked_add(digits.checked_mul(factor)? / scale)
        }
        Some(_) => None,
    }
}

/// `AA:BB:CC:DD:EE:FF`, also with hyphens, lower case, or without separators.
pub(crate) fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let mut mac = [0; 6];
    if text.len() == 12 && text.is_ascii() {
        for (i, byte) in mac.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        return Some(mac);
    }
    let mut parts = text.split(separator);
    for byte in &mut mac {
        let part = parts.next().filter(|p| matches!(p.len(), 1 | 2) && !p.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `2001:db8::/32`; a bare address is a single one.
pub(crate) fn parse_prefix(text: &str) -> Option<Prefix> {
    let Some((address, length)) = text.split_once('/') else {
        let address: IpAddr = text.parse().ok()?;
        return Some(Prefix { address, length: if address.is_ipv4() { 32 } else { 128 } });
    };
    let address: IpAddr = address.parse().ok()?;
    if let Ok(mask) = length.parse::<std::net::Ipv4Addr>() {
        let mask = u32::from(mask);
        let ones = mask.leading_ones();
        let contiguous = mask.checked_shl(ones).unwrap_or(0) == 0;
        return (address.is_ipv4() && contiguous)
            .then_some(Prefix { address, length: u8::try_from(ones).ok()? });
    }
    if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let length: u8 = length.parse().ok()?;
    (length <= if address.is_ipv4() { 32 } else { 128 }).then_some(Prefix { address, length })
}

/// Decimal or `0x` hexadecimal, with an optional sign.
pub(crate) fn parse_number(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => i64::from_str_radix(hex, 16).ok()?,
        None if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some(sign * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form_and_written_in_one() {
        for (text, canonical) in [
            ("300", "5m"),
            ("1d2h3m4s", "1d2h3m4s"),
            ("00:10:00", "10m"),
            ("1d00:00:01", "1d1s"),
            ("100ms", "100ms"),
            ("1.5", "1s500ms"),
            ("1m31.25s", "1m31s250ms"),
            ("1w2d03:04:05", "1w2d3h4m5s"),
            ("8d", "1w1d"),
            ("0s", "0s"),
        ] {
            assert_eq!(
                parse_time(text).map(|t| Value::Time(t).to_string()).as_deref(),
                Some(canonical),
                "{text}"
            );
        }
        for text in ["", "m", "1x", "10:70:00", "-1", "99999999999999999999", "1:2:3:4"] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }

    #[test]
    fn rates_numbers_and_addresses() {
        assert_eq!(parse_rate("1.5M").map(|r| Value::Rate(r).to_string()).as_deref(), Some("1500k"));
        assert_eq!(parse_rate("2KiB"), Some(2048));
        assert_eq!(parse_rate("35.0Mbps"), Some(35_000_000));
        assert_eq!(parse_rate("35 Mbps"), None);
        assert_eq!(parse_rate("unlimited"), Some(0));
        assert_eq!(parse_number("0x8000"), Some(32768));
        assert_eq!(parse_number("-0x-8000000000000000"), None);
        assert_eq!(parse_number("-9223372036854775808"), None);
        assert_eq!(
            parse_mac("aa-bb-cc-00-11-22").map(|m| Value::Mac(m).to_string()).as_deref(),
            Some("AA:BB:CC:00:11:22")
        );
        assert_eq!(
            parse_prefix("192.0.2.7/255.255.255.0").map(|p| p.to_string()).as_deref(),
            Some("192.0.2.7/24")
        );
        assert_eq!(parse_prefix("192.0.2.7/255.0.255.0"), None);
        assert_eq!(
            parse_prefix("2001:db8::1").map(|p| p.network().to_string()).as_deref(),
            Some("2001:db8::1/128")
        );
        assert_eq!(
            parse_prefix("192.0.2.7/0").map(|p| p.network().to_string()).as_deref(),
            Some("0.0.0.0/0")
        );
        let overlap =
            |a: &str, b: &str| parse_prefix(a).zip(parse_prefix(b)).is_some_and(|(a, b)| a.overlaps(b));
        assert!(overlap("192.0.2.0/24", "192.0.2.128/25") && !overlap("192.0.2.0/25", "192.0.2.128/25"));
    }
}
