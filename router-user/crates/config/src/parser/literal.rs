//! Bare words of the language -> typed constants.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ast::Literal;

const SECOND: i64 = 1_000_000_000;

/// The constant that a word is where nothing says its type.
pub(crate) fn literal(word: &str) -> Literal {
    match word {
        "true" => Literal::Bool(true),
        "false" => Literal::Bool(false),
        _ => typed(word).unwrap_or_else(|| Literal::Str(word.to_owned())),
    }
}

/// A number, time, address, prefix or id; None where a word is none of them.
pub(super) fn typed(word: &str) -> Option<Literal> {
    let first = *word.as_bytes().first()?;
    if !(first.is_ascii_hexdigit() || matches!(first, b'-' | b':' | b'*' | b'.')) {
        return None;
    }
    if let Some(hex) = word.strip_prefix('*') {
        return u32::from_str_radix(hex, 16).ok().map(Literal::Id);
    }
    number(word).map(Literal::Num).or_else(|| address(word)).or_else(|| time(word).map(Literal::Time))
}

/// `15`, `-1`, `0xFF`; what is too large for 64 bits becomes the largest number.
pub(super) fn number(word: &str) -> Option<i64> {
    let (negative, digits) = match word.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, word),
    };
    let (radix, digits) = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => (16u32, hex),
        None => (10, digits),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    Some(match u64::from_str_radix(digits, radix) {
        // All 64 bits of a hexadecimal number are taken as they are.
        Ok(value) if radix == 16 && negative => value.cast_signed().wrapping_neg(),
        Ok(value) if radix == 16 => value.cast_signed(),
        Ok(value) if negative => 0i64.checked_sub_unsigned(value).unwrap_or(i64::MIN),
        Ok(value) => i64::try_from(value).unwrap_or(i64::MAX),
        Err(_) if negative => i64::MIN,
        Err(_) => i64::MAX,
    })
}

fn address(word: &str) -> Option<Literal> {
    let (address, length) = match word.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (word, None),
    };
    if let Some(v4) = ipv4(address) {
        let Some(length) = length else { return Some(Literal::Ip(v4)) };
        return prefix_length(length, 32).map(|length| Literal::IpPrefix(v4, length));
    }
    if address.contains(':')
        && let Ok(v6) = address.parse::<Ipv6Addr>()
    {
        let Some(length) = length else { return Some(Literal::Ip6(v6)) };
        return prefix_length(length, 128).map(|length| Literal::Ip6Prefix(v6, length));
    }
    None
}

/// `10.0.0.1`; with fewer fields the last one is the last byte, `10.1` is `10.0.0.1`.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let mut fields = text.split('.');
    let first: u8 = field(fields.next()?)?;
    match (field(fields.next()?)?, fields.next(), fields.next()) {
        (last, None, None) => Some(Ipv4Addr::new(first, 0, 0, last)),
        (second, Some(last), None) => Some(Ipv4Addr::new(first, second, 0, field(last)?)),
        _ => None,
    }
}

fn field(text: &str) -> Option<u8> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

fn prefix_length(text: &str, max: u8) -> Option<u8> {
    if let Ok(mask) = text.parse::<Ipv4Addr>() {
        let bits = u32::from(mask);
        let length = bits.leading_ones();
        return (max == 32 && bits.checked_shl(length).unwrap_or(0) == 0)
            .then(|| u8::try_from(length).ok())
            .flatten();
    }
    text.parse::<u8>().ok().filter(|length| *length <= max)
}

/// `1d2h3m4s`, `100ms`, `00:10:00`, `1d00:10:00.5`, in nanoseconds.
pub(super) fn time(word: &str) -> Option<i64> {
    let (negative, word) = match word.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, word),
    };
    let mut rest = word;
    let mut total: i64 = 0;
    let mut units = 0u32;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return None;
        }
        let after = rest.get(digits..)?;
        if after.starts_with(':') {
            total = total.checked_add(clock(rest)?)?;
            return Some(if negative { -total } else { total });
        }
        let (whole, fraction, tail) = match after.strip_prefix('.') {
            Some(decimals) => {
                let count = decimals.bytes().take_while(u8::is_ascii_digit).count();
                (rest.get(..digits)?, decimals.get(..count)?, decimals.get(count..)?)
            }
            None => (rest.get(..digits)?, "", after),
        };
        let (name, tail) = tail.split_at(tail.bytes().take_while(u8::is_ascii_lowercase).count());
        let unit = unit(name)?;
        let amount = whole.parse::<i64>().ok()?.checked_mul(unit)?;
        total = total.checked_add(amount)?.checked_add(part(fraction, unit)?)?;
        rest = tail;
        units += 1;
    }
    (units > 0).then_some(if negative { -total } else { total })
}

fn unit(name: &str) -> Option<i64> {
    Some(match name {
        "w" => 7 * 86_400 * SECOND,
        "d" => 86_400 * SECOND,
        "h" => 3_600 * SECOND,
        "m" => 60 * SECOND,
        "s" => SECOND,
        "ms" => SECOND / 1_000,
        "us" => SECOND / 1_000_000,
        "ns" => 1,
        _ => return None,
    })
}

/// Decimals of a unit.
fn part(decimals: &str, unit: i64) -> Option<i64> {
    let mut unit = unit;
    let mut sum = 0i64;
    for digit in decimals.bytes() {
        unit /= 10;
        sum = sum.checked_add(unit.checked_mul(i64::from(digit - b'0'))?)?;
    }
    Some(sum)
}

/// `10:00`, `10:00:00`, `10:00:00.5`
fn clock(text: &str) -> Option<i64> {
    let mut fields = text.split(':');
    let hours: i64 = digits(fields.next()?)?;
    let minutes: i64 = digits(fields.next()?)?;
    let (seconds, decimals) = match fields.next() {
        Some(field) => field.split_once('.').unwrap_or((field, "")),
        None => ("0", ""),
    };
    if fields.next().is_some() || !decimals.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let seconds =
        hours.checked_mul(3_600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(digits(seconds)?)?;
    seconds.checked_mul(SECOND)?.checked_add(part(decimals, SECOND)?)
}

fn digits(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Bool(yes) => write!(f, "{yes}"),
            Literal::Num(number) => write!(f, "{number}"),
            Literal::Time(nanos) => f.write_str(&time_text(*nanos)),
            Literal::Str(text) => f.write_str(text),
            Literal::Ip(ip) => write!(f, "{ip}"),
            Literal::IpPrefix(ip, length) => write!(f, "{ip}/{length}"),
            Literal::Ip6(ip) => write!(f, "{ip}"),
            Literal::Ip6Prefix(ip, length) => write!(f, "{ip}/{length}"),
            Literal::Id(id) => write!(f, "*{id:X}"),
        }
    }
}

/// A time in any form, as a clock.
pub(crate) fn clock_text(word: &str) -> Option<String> {
    seconds_or_time(word).map(time_text)
}

/// A number in any form, in decimals.
pub(crate) fn number_text(word: &str) -> Option<String> {
    number(word).map(|number| number.to_string())
}

/// A time; a number without a unit is in seconds.
pub(super) fn seconds_or_time(word: &str) -> Option<i64> {
    match number(word) {
        Some(seconds) => seconds.checked_mul(SECOND),
        None => time(word).or_else(|| time(&format!("{word}s"))),
    }
}

/// A time as RouterOS writes it: `00:00:01`, `1w2d00:10:00.500`.
pub(super) fn time_text(nanos: i64) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let nanos = nanos.unsigned_abs();
    let (seconds, fraction) = (nanos / SECOND.unsigned_abs(), nanos % SECOND.unsigned_abs());
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let mut text = String::from(sign);
    if days >= 7 {
        text.push_str(&format!("{}w", days / 7));
    }
    if days % 7 > 0 {
        text.push_str(&format!("{}d", days % 7));
    }
    text.push_str(&format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60));
    match fraction {
        0 => {}
        n if n % 1_000_000 == 0 => text.push_str(&format!(".{:03}", n / 1_000_000)),
        n if n % 1_000 == 0 => text.push_str(&format!(".{:06}", n / 1_000)),
        n => text.push_str(&format!(".{n:09}")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_get_the_type_they_look_like() {
        let v4 = Ipv4Addr::new(192, 0, 2, 1);
        for (word, wanted) in [
            ("0xFF", Literal::Num(255)),
            ("0010", Literal::Num(10)),
            ("-1", Literal::Num(-1)),
            ("99999999999999999999", Literal::Num(i64::MAX)),
            ("-9223372036854775808", Literal::Num(i64::MIN)),
            ("1s", Literal::Time(SECOND)),
            ("0.5s", Literal::Time(SECOND / 2)),
            ("1d00:00:01", Literal::Time(86_401 * SECOND)),
            ("00:10", Literal::Time(600 * SECOND)),
            ("192.0.2.1", Literal::Ip(v4)),
            ("192.0.2.1/24", Literal::IpPrefix(v4, 24)),
            ("192.0.2.1/255.255.255.0", Literal::IpPrefix(v4, 24)),
            ("::1", Literal::Ip6(Ipv6Addr::LOCALHOST)),
            ("::1/64", Literal::Ip6Prefix(Ipv6Addr::LOCALHOST, 64)),
            ("*1A", Literal::Id(26)),
            ("true", Literal::Bool(true)),
            ("yes", Literal::Str("yes".into())),
            ("192.1", Literal::Ip(Ipv4Addr::new(192, 0, 0, 1))),
            ("1.2.3", Literal::Ip(Ipv4Addr::new(1, 2, 0, 3))),
            ("7.12beta1", Literal::Str("7.12beta1".into())),
            ("-", Literal::Str("-".into())),
        ] {
            assert_eq!(literal(word), wanted, "{word}");
        }
    }

    #[test]
    fn times_are_written_as_a_clock() {
        for (nanos, text) in [
            (SECOND, "00:00:01"),
            (SECOND / 2, "00:00:00.500"),
            (8 * 86_400 * SECOND, "1w1d00:00:00"),
            (-60 * SECOND, "-00:01:00"),
            (1, "00:00:00.000000001"),
        ] {
            assert_eq!(time_text(nanos), text);
        }
    }
}
