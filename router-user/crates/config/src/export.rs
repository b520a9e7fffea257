//! `export`: the configuration as a script that gives the same configuration again.

use crate::ExportOptions;
use crate::parser::raw_byte;
use crate::schema::{self, Kind, Menu, Property, Refer};
use crate::tree::{Item, Tree};
use crate::types::Type;
use crate::value::Value;

/// Longest physical line that goes on, with its backslash.
const WRAPPED: usize = 79;
/// Longest last or only line.
const WHOLE: usize = 77;

/// Writes the menus in the order of their dependencies: what defines names first.
pub fn export(tree: &Tree, options: &ExportOptions) -> String {
    let mut text = String::new();
    for menu in ordered_menus() {
        let inside = options.menu.as_deref().is_none_or(|top| {
            let top = top.trim_matches('/');
            menu.path == top
                || menu.path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
                || top.is_empty()
        });
        if inside {
            export_menu(&mut text, tree, menu, options);
        }
    }
    text
}

/// All menus in export order.
pub(crate) fn ordered_menus() -> Vec<&'static Menu> {
    let mut menus: Vec<&'static Menu> = schema::menus().collect();
    menus.sort_by_cached_key(|menu| (menu.order, menu.blank_path()));
    menus
}

fn export_menu(text: &mut String, tree: &Tree, menu: &'static Menu, options: &ExportOptions) {
    let mut first = true;
    for (number, item) in tree.all(menu).iter().enumerate() {
        let mut words = Vec::new();
        match (menu.kind, item.builtin()) {
            (Kind::Settings, _) => words.push(Word::plain("set".into())),
            (_, Some(builtin)) => {
                words.push(Word::plain(format!("set {}", reference(menu, item, number, builtin))))
            }
            (_, None) => words.push(Word::plain("add".into())),
        }
        let head = words.len();
        for property in &menu.properties {
            if property.is_secret() && !options.sensitive {
                continue;
            }
            let value = match item.value(&property.name) {
                Some(value) => Some(value),
                None if options.verbose || property.always && item.builtin().is_none() => {
                    item.effective(&property.name)
                }
                None => None,
            };
            if property.read_only || is_identity(menu, item, property) {
                continue;
            }
            words.extend(value.map(|value| property_word(property, value)));
        }
        if words.len() == head && item.builtin().is_some() {
            continue;
        }
        if options.terse {
            text.push_str(&menu.blank_path());
            text.push(' ');
            text.push_str(&words.iter().map(Word::text).collect::<Vec<_>>().join(" "));
            text.push('\n');
            continue;
        }
        if std::mem::take(&mut first) {
            text.push_str(&menu.blank_path());
            text.push('\n');
        }
        wrap(text, &words);
    }
}

/// How a built-in item is named in `set`.
fn reference(menu: &Menu, item: &Item, number: usize, builtin: u32) -> String {
    let original = |name: &str| menu.defaults.get(usize::try_from(builtin).ok()?)?.get(name).cloned();
    match menu.refer {
        Refer::DefaultName => {
            let name = item.text("default-name").unwrap_or_default();
            format!("[ find default-name={} ]", quote(&name))
        }
        Refer::Default => "[ find default=yes ]".into(),
        Refer::Name if !menu.ports.is_empty() => quote(&item.text(menu.identity()).unwrap_or_default()),
        Refer::Name => match original("name").or_else(|| item.text("name")) {
            Some(name) => quote(&name),
            None => number.to_string(),
        },
        Refer::Number => number.to_string(),
    }
}

/// Properties of a built-in item that are as they were, and that the reference already tells.
pub(crate) fn is_identity(menu: &Menu, item: &Item, property: &Property) -> bool {
    let Some(builtin) = item.builtin() else { return false };
    if !menu.ports.is_empty() && property.name == menu.identity() {
        return true;
    }
    if property.name == "name" && !menu.ports.is_empty() {
        return item.text("name") == item.text(menu.identity());
    }
    let default = usize::try_from(builtin).ok().and_then(|n| menu.defaults.get(n));
    let same =
        default.and_then(|d| d.get(&property.name)).map(|text| property.ty.parse(&property.name, text));
    match same {
        Some(Ok(value)) => item.effective(&property.name) == Some(&value),
        _ => false,
    }
}

/// One word of a statement: `name=` and its value, or a bare word.
struct Word {
    head: String,
    value: String,
}

impl Word {
    fn plain(text: String) -> Word {
        Word { head: text, value: String::new() }
    }

    fn text(&self) -> String {
        format!("{}{}", self.head, self.value)
    }
}

fn property_word(property: &Property, value: &Value) -> Word {
    match (&property.ty, value) {
        (Type::Switch, Value::Bool(true)) => Word::plain(property.name.clone()),
        _ => Word { head: format!("{}=", property.name), value: quote(&value.to_string()) },
    }
}

/// A value as it is written: plain, or quoted where RouterOS quotes.
pub(crate) fn quote(text: &str) -> String {
    const QUOTED: &[char] =
        &[' ', ';', '(', ')', '[', ']', '{', '}', '"', '\\', '$', '?', '#', '\'', '^', '=', '`', '\u{7f}'];
    let plain =
        !text.is_empty() && !text.contains(|c: char| QUOTED.contains(&c) || c.is_control() || !c.is_ascii());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    let hex = |quoted: &mut String, byte: u8| quoted.push_str(&format!("\\{byte:02X}"));
    for c in text.chars() {
        match c {
            '"' | '\\' | '$' | '?' => {
                quoted.push('\\');
                quoted.push(c);
            }
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

/// Writes a statement in physical lines: broken between words, behind `name=`, or inside a long string.
fn wrap(text: &mut String, words: &[Word]) {
    let mut column = 0;
    for (n, word) in words.iter().enumerate() {
        let last = n + 1 == words.len();
        let limit = if last { WHOLE } else { WRAPPED - 2 };
        let length = word.head.len() + word.value.len();
        let blank = usize::from(n > 0);
        if n > 0 && column + blank + length > limit {
            // Everything that fits on a line of its own goes there; longer words break inside.
            if 4 + length <= limit || column + blank + word.head.len() + 4 > WRAPPED {
                text.push_str(" \\\n    ");
                column = 4;
            } else {
                text.push(' ');
                column += 1;
            }
        } else if n > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(&word.head);
        column += word.head.len();
        if column + word.value.len() <= limit {
            text.push_str(&word.value);
            column += word.value.len();
        } else {
            column = wrap_value(text, column, &word.value, limit);
        }
    }
    text.push('\n');
}

/// Writes a value that is too long for its line. Returns the column behind it.
fn wrap_value(text: &mut String, mut column: usize, value: &str, limit: usize) -> usize {
    if !value.starts_with('"') || 4 + value.len() <= limit {
        text.push_str("\\\n    ");
        text.push_str(value);
        return 4 + value.len();
    }
    let mut rest = value;
    while column + rest.len() > limit {
        let cut = cut_point(rest, WRAPPED - 1 - column);
        let Some((head, tail)) = rest.split_at_checked(cut).filter(|(_, tail)| !tail.is_empty()) else {
            break;
        };
        text.push_str(head);
        text.push_str("\\\n    ");
        column = 4;
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

/// The last place within `room` bytes where a quoted string may be cut: not inside an escape, not before its first byte.
fn cut_point(text: &str, room: usize) -> usize {
    let bytes = text.as_bytes();
    let mut cut = 0;
    let mut pos = 0;
    while pos < bytes.len() && (pos <= room || cut == 0) {
        cut = pos;
        pos += match (bytes.get(pos), bytes.get(pos + 1)) {
            (Some(b'\\'), Some(b'0'..=b'9' | b'A'..=b'F')) => 3,
            (Some(b'\\'), _) => 2,
            _ => 1,
        };
    }
    cut
}
