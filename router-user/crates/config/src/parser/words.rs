//! What a word of a path means: a menu, a command, or nothing.

use super::Parser;
use super::table::{is_current, table};
use crate::error::{Error, Span, nearest};
use crate::schema;

pub(super) enum Step {
    /// `ip/address`
    Menu(String),
    /// The path and the name of a command; the path is empty for those of the language.
    Command(String, String),
    None(Box<Error>),
}

impl Parser<'_> {
    /// Goes down one word, which may be shortened where only one thing begins with it. The commands of the language are
    /// at hand everywhere (`global`), behind those of the menu.
    pub(super) fn step(&self, path: &str, word: &str, global: bool) -> Step {
        if word == ".." {
            return Step::Menu(path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned());
        }
        if self.lost && global && (!table().is_own("", word) || table().is_shared(word)) {
            return Step::None(Box::new(Error::new(Span::default(), format!("bad command name {word}"))));
        }
        let is_below = |words: &[String]| words.iter().any(|w| w == word);
        if schema::children(path).is_some_and(is_below) || (path.is_empty() && table().is_menu(word)) {
            let menu = down(path, word);
            if self.is_there(&menu) {
                return Step::Menu(menu);
            }
        }
        if table().has(path, word) {
            return Step::Command(path.to_owned(), word.to_owned());
        }
        if global && table().is_own("", word) {
            return Step::Command(String::new(), word.to_owned());
        }
        let below = self.children(path);
        let commands = table().commands(path);
        let mut menus = below.iter().filter(|w| w.starts_with(word));
        let mut verbs = commands.iter().filter(|w| w.starts_with(word));
        match (menus.next(), menus.next(), verbs.next(), verbs.next()) {
            (Some(menu), None, None, None) => Step::Menu(down(path, menu)),
            (None, None, Some(verb), None) => Step::Command(path.to_owned(), (*verb).to_owned()),
            (None, None, None, None) => self.shortened_global(path, word, global),
            _ => {
                let both = below.iter().chain(&commands).copied();
                let both: Vec<&str> = both.filter(|w| w.starts_with(word)).take(6).collect();
                let error = Error::new(Span::default(), format!("ambiguous command name {word}"));
                Step::None(Box::new(error.hint(format!("it could be {}", both.join(", ")))))
            }
        }
    }

    /// The menus below a path.
    fn children(&self, path: &str) -> Vec<&'static str> {
        let below = schema::children(path).unwrap_or_default().iter().map(String::as_str);
        let language = table().menus().filter(|menu| path.is_empty() && !menu.is_empty());
        below.filter(|word| self.is_there(&down(path, word))).chain(language).collect()
    }

    /// The router that is read for has this menu.
    fn is_there(&self, path: &str) -> bool {
        !(self.mode.base && table().is_extra(path))
            && (!self.mode.strict || schema::menu(path).is_none_or(|menu| is_current(&menu.versions)))
    }

    fn shortened_global(&self, path: &str, word: &str, global: bool) -> Step {
        if global && !path.is_empty() {
            let mut names = table().own_names("").filter(|name| name.starts_with(word));
            if let (Some(name), None) = (names.next(), names.next()) {
                return Step::Command(String::new(), name.to_owned());
            }
        }
        let names = self.children(path).into_iter().chain(table().commands(path));
        let names = names.chain(table().own_names("").filter(|_| global));
        let hint = nearest(word, names);
        Step::None(Box::new(Error::new(Span::default(), format!("bad command name {word}")).maybe(hint)))
    }
}

/// Another name of a menu goes on as the menu itself.
fn down(path: &str, word: &str) -> String {
    let path = if path.is_empty() { word.to_owned() } else { format!("{path}/{word}") };
    match schema::menu(&path) {
        Some(menu) => menu.path.clone(),
        None => path,
    }
}
