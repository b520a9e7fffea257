//! Quoting and line breaks of a script, as RouterOS writes them.

use crate::parser::raw_byte;

/// A line that goes on holds this many bytes and a backslash.
const WRAPPED: usize = 78;
/// What doesn't end within this many bytes goes to the next line.
const LIMIT: usize = 77;
/// Blanks at the start of a line that goes on; they are no part of the statement.
const INDENT: usize = 4;

/// One word of a statement: `name=` and its value, or a bare word.
pub(super) struct Word {
    pub head: String,
    pub value: String,
}

impl Word {
    pub fn plain(text: impl Into<String>) -> Word {
        Word { head: text.into(), value: String::new() }
    }

    pub fn assign(name: &str, value: &str) -> Word {
        Word { head: format!("{name}="), value: quote(value) }
    }
}

/// A value as it is written: plain, or quoted where RouterOS quotes.
pub(crate) fn quote(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

fn is_plain(text: &str) -> bool {
    const QUOTED: &[u8] = b" ;()[]{}\"\\$?#'^=`\x7f";
    !text.is_empty() && text.bytes().all(|b| b.is_ascii() && !b.is_ascii_control() && !QUOTED.contains(&b))
}

/// A value in quotes. Bytes beyond ASCII are written in hexadecimal, as is what has no escape of its own.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    let hex = |quoted: &mut String, byte: u8| quoted.push_str(&format!("\\{byte:02X}"));
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' | '?' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            ' '..='~' => quoted.push(c),
            _ => match raw_byte(c) {
                Some(byte) => hex(&mut quoted, byte),
                None => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| hex(&mut quoted, byte)),
            },
        }
    }
    quoted.push('"');
    quoted
}

/// Writes a statement behind its path in one line; only a line feed inside a string begins another.
pub(super) fn one_line(text: &mut String, words: &[Word]) {
    for word in words {
        text.extend([" ", &word.head]);
        let mut rest = word.value.as_str();
        while let Some((head, tail)) = line_feed(rest).and_then(|at| rest.split_at_checked(at)) {
            text.extend([head, "\\\n    "]);
            rest = tail;
        }
        text.push_str(rest);
    }
    text.push('\n');
}

/// Writes a statement in physical lines. What doesn't fit behind the words before it goes to the next line: a word, a
/// value without its `name=`. A string longer than a line begins where it stands and is cut at the end of each line. A line
/// feed inside a string begins a line.
pub(super) fn statement(text: &mut String, words: &[Word]) {
    let mut column = 0;
    for (n, word) in words.iter().enumerate() {
        if n > 0 && column + 1 + word.head.len() > LIMIT {
            text.push_str(" \\\n    ");
            column = INDENT;
        } else if n > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(&word.head);
        column += word.head.len();
        column = value(text, column, &word.value);
    }
    text.push('\n');
}

/// Writes a value that begins at a column. Returns the column behind it.
fn value(text: &mut String, column: usize, value: &str) -> usize {
    let lines = value.starts_with('"') && line_feed(value).is_some();
    if value.is_empty() || column + value.len() <= LIMIT && !lines {
        text.push_str(value);
        return column + value.len();
    }
    if !lines && (!value.starts_with('"') || INDENT + value.len() <= LIMIT) {
        text.push_str("\\\n    ");
        text.push_str(value);
        return INDENT + value.len();
    }
    string(text, column, value)
}

/// Writes a quoted string that needs several lines.
fn string(text: &mut String, mut column: usize, value: &str) -> usize {
    let mut rest = value;
    loop {
        let feed = line_feed(rest);
        if feed.is_none() && column + rest.len() <= LIMIT {
            break;
        }
        let cut = cut_point(rest, WRAPPED.saturating_sub(column)).min(feed.unwrap_or(usize::MAX));
        let Some((head, tail)) = rest.split_at_checked(cut).filter(|(_, tail)| !tail.is_empty()) else {
            break;
        };
        text.push_str(head);
        text.push_str("\\\n    ");
        column = INDENT;
        rest = tail;
        // Blanks at the start of a continuation would be lost.
        if let Some(tail) = rest.strip_prefix(' ') {
            text.push_str("\\_");
            column += 2;
            rest = tail;
        }
    }
    text.push_str(rest);
    column + rest.len()
}

/// The place of the first escaped line feed that does not begin the text.
fn line_feed(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut pos = 0;
    while pos < bytes.len() {
        if pos > 0 && bytes.get(pos..pos + 2) == Some(b"\\n") {
            return Some(pos);
        }
        pos += step(bytes, pos);
    }
    None
}

/// The last place within `room` bytes where a quoted string may be cut: not inside an escape, not before its first byte.
fn cut_point(text: &str, room: usize) -> usize {
    let bytes = text.as_bytes();
    let mut cut = 0;
    let mut pos = 0;
    while pos < bytes.len() && (pos <= room || cut == 0) {
        cut = pos;
        pos += step(bytes, pos);
    }
    cut
}

/// Bytes of the character or escape at a place.
fn step(bytes: &[u8], pos: usize) -> usize {
    match (bytes.get(pos), bytes.get(pos + 1)) {
        (Some(b'\\'), Some(b'0'..=b'9' | b'A'..=b'F')) => 3,
        (Some(b'\\'), _) => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(words: &[(&str, &str)]) -> String {
        let mut text = String::new();
        let words: Vec<Word> = words
            .iter()
            .map(
                |(name, value)| if value.is_empty() { Word::plain(*name) } else { Word::assign(name, value) },
            )
            .collect();
        statement(&mut text, &words);
        text
    }

    #[test]
    fn values_are_quoted_where_routeros_quotes() {
        for (text, expected) in [
            ("a-b_c.d:e/f@g*h!i,j<k>l|m~n&o%p+q", "a-b_c.d:e/f@g*h!i,j<k>l|m~n&o%p+q"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("it's", "\"it's\""),
            ("$x \"y\" \\ ?", "\"\\$x \\\"y\\\" \\\\ \\?\""),
            ("\u{e4}\r\n\t\u{1}", "\"\\C3\\A4\\r\\n\\t\\01\""),
        ] {
            assert_eq!(quote(text), expected);
        }
    }

    #[test]
    fn a_line_ends_where_the_next_word_or_value_does_not_fit() {
        let name = |n: usize| "n".repeat(n);
        // The last column a word may reach is 77, whether or not another follows.
        assert_eq!(wrapped(&[("add", ""), ("a", &name(71))]).lines().count(), 1);
        assert_eq!(wrapped(&[("add", ""), ("a", &name(72))]), format!("add a=\\\n    {}\n", name(72)));
        // A name stays on its line while it fits itself.
        assert_eq!(
            wrapped(&[("add", ""), ("a", &name(60)), ("bcdefghij", "x")]),
            format!("add a={} bcdefghij=\\\n    x\n", name(60))
        );
        assert_eq!(
            wrapped(&[("add", ""), ("a", &name(61)), ("bcdefghij", "x")]),
            format!("add a={} \\\n    bcdefghij=x\n", name(61))
        );
    }

    /// The blank behind a long word stands before the line's end: after it, it would be lost.
    #[test]
    fn a_bare_word_longer_than_a_line_stays_apart_from_the_next() {
        let long = "i".repeat(74);
        let wanted = format!("set \\\n    {long} \\\n    disabled=yes\n");
        assert_eq!(wrapped(&[("set", ""), (&long, ""), ("disabled", "yes")]), wanted);
    }

    #[test]
    fn long_strings_are_cut_at_79_columns_and_line_feeds_begin_a_line() {
        let long = format!("{} {}", "x".repeat(70), "y".repeat(80));
        assert_eq!(
            wrapped(&[("add", ""), ("c", &long)]),
            format!("add c=\"{} \\\n    {}\\\n    {}\"\n", "x".repeat(70), "y".repeat(74), "y".repeat(6))
        );
        let blank = format!("{} {}", "x".repeat(71), "y".repeat(80));
        assert!(wrapped(&[("add", ""), ("c", &blank)]).contains("x\\\n    \\_yyy"));
        assert_eq!(
            wrapped(&[("set", ""), ("source", "\n:put 1\r\n\r\n:put 2\n")]),
            "set source=\"\\\n    \\n:put 1\\r\\\n    \\n\\r\\\n    \\n:put 2\\\n    \\n\"\n"
        );
    }
}
