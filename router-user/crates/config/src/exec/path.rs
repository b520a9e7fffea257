//! Paths and command names: what a word means in a menu.

use crate::error::{Error, Errors, Span, nearest};
use crate::schema::{self, Kind};

/// Commands that every list menu has.
const LIST_VERBS: [&str; 14] = [
    "add", "set", "remove", "enable", "disable", "move", "unset", "comment", "find", "get", "print",
    "export", "edit", "reset",
];
const STATUS_VERBS: [&str; 4] = ["find", "get", "print", "export"];
const SETTINGS_VERBS: [&str; 5] = ["set", "get", "print", "export", "edit"];

/// Commands of the language that only show something or wait.
pub(super) const HARMLESS: [&str; 8] =
    ["put", "log", "delay", "beep", "environment", "terminal", "nothing", "timestamp"];
pub(super) const LANGUAGE: [&str; 17] = [
    "local", "global", "set", "if", "for", "foreach", "while", "do", "return", "error", "onerror", "parse",
    "execute", "retry", "resolve", "break", "continue",
];

/// Goes down one path word, which may hold slashes. Gives the command's name once there is one.
pub(super) fn walk(path: &mut String, word: &str, span: Span) -> Result<Option<(String, Span)>, Errors> {
    let mut offset = 0u32;
    let mut parts = word.split('/').peekable();
    while let Some(part) = parts.next() {
        let at = Span { column: span.column + offset, ..span };
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        offset = offset.saturating_add(length).saturating_add(1);
        if part.is_empty() {
            continue;
        }
        if part == ".." {
            path.truncate(path.rfind('/').unwrap_or(0));
            continue;
        }
        match step(path, part) {
            Step::Menu(child) => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(&child);
                // Another name of a menu goes on as the menu itself.
                if let Some(menu) = schema::menu(path) {
                    path.clone_from(&menu.path);
                }
            }
            Step::Command(verb) if parts.peek().is_none() => return Ok(Some((verb, at))),
            Step::Command(_) | Step::None if parts.peek().is_some() => {
                let slash = Span { column: at.column.saturating_add(length), ..at };
                return Err(unknown(path, part, Error::new(slash, "syntax error")).into());
            }
            Step::Command(_) | Step::None => {
                let bad = Error::new(at, format!("bad command name {part}"));
                return Err(unknown(path, part, bad).into());
            }
            Step::Many => return Err(Error::new(at, format!("ambiguous command name {part}")).into()),
        }
    }
    Ok(None)
}

enum Step {
    Menu(String),
    Command(String),
    Many,
    None,
}

/// What a word means in a menu: a menu below it, or one of its commands; in full, or shortened without ambiguity.
fn step(path: &str, word: &str) -> Step {
    let below = schema::children(path).unwrap_or_default();
    if below.iter().any(|w| w == word) {
        // A command may have the name of a menu; `/certificate export` has none.
        return Step::Menu(word.to_owned());
    }
    let verbs = verbs(path);
    if verbs.contains(&word) {
        return Step::Command(word.to_owned());
    }
    if HARMLESS.contains(&word) || LANGUAGE.contains(&word) {
        return Step::Command(format!(":{word}"));
    }
    let mut menus = below.iter().filter(|w| w.starts_with(word));
    let mut commands = verbs.iter().filter(|w| w.starts_with(word));
    match (menus.next(), menus.next(), commands.next(), commands.next()) {
        (Some(menu), None, None, None) => Step::Menu(menu.clone()),
        (None, None, Some(verb), None) => Step::Command((*verb).to_owned()),
        (None, None, None, None) => Step::None,
        _ => Step::Many,
    }
}

fn verbs(path: &str) -> Vec<&'static str> {
    match schema::menu(path) {
        None => vec!["export"],
        Some(menu) => {
            let generic: &[&str] = match menu.kind {
                Kind::List => &LIST_VERBS,
                Kind::Settings => &SETTINGS_VERBS,
                Kind::Status => &STATUS_VERBS,
                Kind::Commands => &["export"],
            };
            generic.iter().copied().chain(menu.commands.iter().map(|c| c.name.as_str())).collect()
        }
    }
}

/// Adds the nearest menu or command to an error about an unknown one.
fn unknown(path: &str, word: &str, e: Error) -> Error {
    let below = schema::children(path).unwrap_or_default();
    e.maybe(nearest(word, below.iter().map(String::as_str).chain(verbs(path))))
}
