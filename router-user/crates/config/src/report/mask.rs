//! Secrets out of a configuration's text, so that a page about it can be shown around.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::schema;
use crate::types::Type;

/// Names of properties that are secret or hold code, in any menu.
static HIDDEN: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    let properties = schema::menus().flat_map(|menu| &menu.properties);
    let hidden = properties.filter(|p| matches!(p.ty, Type::Secret | Type::Script));
    hidden.flat_map(|p| p.also.iter().chain([&p.name])).map(String::as_str).collect()
});

/// Beginnings of comment lines that name one device, and what is left of such a line.
const NUMBERS: [(&str, &str); 3] = [
    ("# serial number", "# serial number\n"),
    ("# software id", "# software id\n"),
    ("# system id", "# system id\n"),
];

/// The text with `***` for every value that is secret, code, or follows a name that begins like one of those. Line ends
/// stay where they are.
pub(super) fn mask(text: &str) -> String {
    let anonymous: String = text.split_inclusive('\n').map(without_number).collect();
    let mut out = String::with_capacity(text.len());
    let mut rest = anonymous.as_str();
    while let Some((before, after)) = rest.split_once('=') {
        out.push_str(before);
        out.push('=');
        rest = after;
        let name = before.rsplit(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).next();
        if name.is_some_and(is_hidden) {
            let length = value_length(rest);
            let (value, after) = rest.split_at(length);
            out.push_str("***");
            out.extend(value.matches('\n'));
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

fn without_number(line: &str) -> &str {
    match NUMBERS.iter().find(|(start, _)| line.starts_with(start)) {
        Some((start, _)) if !line.ends_with('\n') => start,
        Some((_, alone)) => alone,
        None => line,
    }
}

/// Names may be shortened, from three letters on.
fn is_hidden(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    HIDDEN.contains(name)
        || HIDDEN.contains(last)
        || (last.len() >= 3 && HIDDEN.iter().any(|hidden| hidden.starts_with(last)))
}

/// Bytes of the value at the beginning: a string with its quotes, or up to a blank. Joined lines belong to it.
fn value_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    // A value may follow on the next line: `password=\`.
    while bytes.get(at) == Some(&b'\\') && matches!(bytes.get(at + 1), Some(b'\r' | b'\n')) {
        at += 1;
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
    }
    let quoted = bytes.get(at) == Some(&b'"');
    at += usize::from(quoted);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' if quoted => {
                at += 1;
                break;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b';' if !quoted => break,
            _ => {}
        }
        at += 1;
    }
    // A backslash may have been the last byte, or have stood before a longer character.
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_go_and_lines_stay() {
        for (text, masked) in [
            ("/user add name=a password=geheim group=full", "/user add name=a password=*** group=full"),
            ("add password=\"a b\\\" c\" name=x", "add password=*** name=x"),
            ("add passw=x name=y\nadd name=z", "add passw=*** name=y\nadd name=z"),
            ("add password=\\\n    geheim name=x\nadd", "add password=***\n name=x\nadd"),
            ("add source=\"one\\\n    two\" name=s\n", "add source=***\n name=s\n"),
            ("# serial number = 123456\n/ip", "# serial number\n/ip"),
            ("add password=\"never closed", "add password=***"),
            ("add password=\\", "add password=***"),
            ("add password=\\ä b", "add password=*** b"),
            ("add comment=password disabled=yes", "add comment=password disabled=yes"),
        ] {
            assert_eq!(mask(text), masked);
        }
    }
}
