//! `~`: POSIX extended regular expressions, matched in time linear in the text.

use std::cell::RefCell;
use std::collections::HashMap;

use regex::bytes::{Regex, RegexBuilder};

use super::value::Value;
use crate::error::Fault;

/// Compiled patterns that are kept.
const KEEP: usize = 32;
/// A longer pattern is refused.
const MAX_PATTERN: usize = 4096;
/// POSIX.1-2017, 9.3.5.
const CLASSES: [&str; 12] = [
    "alnum", "alpha", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper",
    "xdigit",
];
/// Memory of one compiled pattern.
const MAX_COMPILED: usize = 1 << 20;

thread_local! {
    /// The patterns that were used last: a query tries one on every item.
    static COMPILED: RefCell<HashMap<Vec<u8>, Regex>> = RefCell::default();
}

/// `text ~ pattern`; nothing matches no pattern.
pub(crate) fn matches(text: &Value, pattern: &Value) -> Result<bool, Fault> {
    Ok(text.is_some() && is_match(&text.to_bytes(), &pattern.to_bytes())?)
}

pub(crate) fn is_match(text: &[u8], pattern: &[u8]) -> Result<bool, Fault> {
    COMPILED.with_borrow_mut(|compiled| {
        if let Some(regex) = compiled.get(pattern) {
            return Ok(regex.is_match(text));
        }
        let regex = compile(pattern)?;
        if compiled.len() >= KEEP {
            compiled.clear();
        }
        let found = regex.is_match(text);
        compiled.insert(pattern.to_vec(), regex);
        Ok(found)
    })
}

/// Compiles a POSIX extended regular expression (POSIX.1-2017, 9.4).
fn compile(pattern: &[u8]) -> Result<Regex, Fault> {
    let bad = |hint: String| Fault::new("bad regular expression").hint(hint);
    if pattern.len() > MAX_PATTERN {
        return Err(bad(format!("it is longer than {MAX_PATTERN} bytes")));
    }
    RegexBuilder::new(&translate(pattern).map_err(bad)?)
        .unicode(false)
        .dot_matches_new_line(true)
        .size_limit(MAX_COMPILED)
        .dfa_size_limit(MAX_COMPILED)
        .nest_limit(100)
        .build()
        .map_err(|error| bad(error.to_string().lines().last().unwrap_or_default().to_owned()))
}

/// POSIX and the library differ in brackets, in where `*` and `{` are plain characters, and in what a backslash makes
/// of a letter.
fn translate(pattern: &[u8]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern.iter().copied().enumerate().peekable();
    // At the start of an expression there is nothing to repeat.
    let mut start = true;
    while let Some((at, byte)) = rest.next() {
        let begins = std::mem::replace(&mut start, matches!(byte, b'(' | b'|' | b'^'));
        match byte {
            b'\\' => match rest.next() {
                Some((_, letter @ (b'w' | b'W' | b's' | b'S' | b'd' | b'D' | b'b' | b'B' | b'<' | b'>'))) => {
                    out.push('\\');
                    out.push(letter.into());
                }
                Some((_, b'1'..=b'9')) => return Err("references to groups are not supported".into()),
                Some((_, other)) => plain(other, &mut out),
                None => return Err("it ends with a backslash".into()),
            },
            b'*' | b'+' | b'?' if begins => plain(byte, &mut out),
            b'{' => {
                let tail = pattern.get(at + 1..).unwrap_or_default();
                let end = tail.iter().position(|b| *b == b'}');
                let bounds = end.and_then(|end| tail.get(..end)).unwrap_or_default();
                let counts = bounds.first().is_some_and(u8::is_ascii_digit)
                    && bounds.iter().all(|b| b.is_ascii_digit() || *b == b',');
                if begins || !counts {
                    plain(byte, &mut out);
                    continue;
                }
                out.push('{');
                for (_, byte) in rest.by_ref().take(bounds.len()) {
                    out.push(byte.into());
                }
            }
            b'[' => {
                let length = bracket(pattern.get(at..).unwrap_or_default(), &mut out)?;
                for _ in 1..length {
                    rest.next();
                }
            }
            b'.' | b'*' | b'+' | b'?' | b'(' | b')' | b'|' | b'^' | b'$' | b'}' => out.push(byte.into()),
            _ => plain(byte, &mut out),
        }
    }
    Ok(out)
}

/// One byte that means itself.
fn plain(byte: u8, out: &mut String) {
    if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ') {
        out.push(byte.into());
    } else {
        out.push_str(&format!("\\x{byte:02X}"));
    }
}

/// `[^]a-z[:digit:]]`: a backslash in it is itself, a closing bracket at the start too. Gives its length.
fn bracket(text: &[u8], out: &mut String) -> Result<usize, String> {
    out.push('[');
    let mut at = 1;
    if text.get(at) == Some(&b'^') {
        out.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let byte = *text.get(at).ok_or("a bracket is not closed")?;
        match byte {
            b']' if at > first => break,
            b'[' if text.get(at + 1) == Some(&b':') => {
                let tail = text.get(at + 2..).unwrap_or_default();
                let end =
                    tail.windows(2).position(|w| w == b":]").ok_or("a character class is not closed")?;
                let name = tail.get(..end).unwrap_or_default();
                if !CLASSES.iter().any(|class| class.as_bytes() == name) {
                    return Err("an unknown character class".into());
                }
                out.push_str(&format!("[:{}:]", String::from_utf8_lossy(name)));
                at += end + 4;
                continue;
            }
            b'-' if at > first && text.get(at + 1).is_some_and(|b| *b != b']') => out.push('-'),
            _ => plain(byte, out),
        }
        at += 1;
    }
    out.push(']');
    Ok(at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, pattern: &str) -> bool {
        is_match(text.as_bytes(), pattern.as_bytes()).unwrap()
    }

    #[test]
    fn posix_expressions() {
        for (text, pattern, expected) in [
            ("ether1", "ether", true),
            ("ether1", "^ether[0-9]+$", true),
            ("sfp1", "^(ether|sfp)[[:digit:]]$", true),
            ("a.b", "a\\.b", true),
            ("axb", "a\\.b", false),
            ("a\\b", "a[\\]b", true),
            ("a]b", "a[]]b", true),
            ("a-b", "a[x-]b", true),
            ("a", "[^]]", true),
            ("]", "[^]]", false),
            ("*x", "*x", true),
            ("a{b", "a{b", true),
            ("aaa", "^a{3}$", true),
            ("aaaa", "^a{1,3}$", false),
            ("a&&b", "[&][&]b", true),
            ("line one\nline two", "one.line", true),
            ("", "", true),
            ("x", "", true),
            ("100%", "%$", true),
            ("~", "[~#]", true),
        ] {
            assert_eq!(found(text, pattern), expected, "{text} ~ {pattern}");
        }
    }

    #[test]
    fn bytes_are_matched_as_they_are() {
        assert_eq!(is_match(&[0xE9, b'a'], &[b'^', 0xE9]), Ok(true));
        assert_eq!(matches(&Value::Nothing, &Value::str("")), Ok(false));
    }

    #[test]
    fn what_is_no_pattern_is_an_error() {
        for pattern in ["(", "[a", "a\\", "(a)\\1", "[[:nosuch:]]", "[b-a]", &"x".repeat(5000)] {
            assert!(is_match(b"a", pattern.as_bytes()).is_err(), "{pattern}");
        }
    }

    #[test]
    fn nested_repetition_neither_takes_long_nor_much() {
        assert_eq!(is_match(&[b'a'; 10_000], b"^(a*)*(a*)*(a*)*b$"), Ok(false));
        assert!(is_match(b"a", b"((a{100}){100}){100}").is_err());
    }
}
