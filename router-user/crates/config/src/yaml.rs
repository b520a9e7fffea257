//! The YAML form: menus as nested maps, items as lists of maps. The only file that names `serde_yaml`.
//!
//! ```yaml
//! ip:
//!   address:
//!     - {address: 192.0.2.1/24, interface: ether1}
//!   dns:
//!     servers: [192.0.2.53]
//! ```
//! A list menu with menus below it holds its own items under `items:`, and so do settings one of which has the name of a
//! menu below. An item of every router is named by
//! `default-name`, by its `name`, or by `builtin:` with its number or first name. A null takes a property away.

use std::collections::HashMap;

use serde_yaml::{Mapping, Value as Yaml};

use crate::error::{Error, Errors, Span, nearest};
use crate::exec::{Assign, Command, Session};
use crate::export::{has_lost, is_identity, ordered_menus};
use crate::parser::MAX_ERRORS;
use crate::print::NoRows;
use crate::schema::{self, Kind, Menu};
use crate::tree::{Item, Tree};
use crate::value::Value;
use crate::yaml_places::Places;
use crate::{Attempt, ImportOptions, Outcome, exec};

/// Texts longer than this are refused.
const MAX_BYTES: usize = 64 << 20;
/// Texts with more separators than this are refused: each stands for a node, and a node takes some 300 bytes to read.
const MAX_NODES: usize = 1_500_000;
/// The key that names an item of every router.
const BUILTIN: &str = "builtin";
/// Items that fit in this many columns are written in one line.
const WIDTH: usize = 100;

/// Writes what differs from a fresh router, secrets too.
pub fn to_yaml(tree: &Tree) -> String {
    let mut root = Branch::default();
    for menu in ordered_menus() {
        let entries: Vec<Entry> = tree.all(menu).iter().filter_map(|item| entry(menu, item)).collect();
        if entries.is_empty() {
            continue;
        }
        let mut branch = &mut root;
        for word in menu.path.split('/') {
            branch = branch.child(word);
        }
        branch.entries = entries;
        branch.is_list = menu.kind == Kind::List;
    }
    let mut text = String::new();
    root.write(&mut text, 0);
    text
}

type Entry = Vec<(String, String)>;

#[derive(Default)]
struct Branch {
    name: String,
    entries: Vec<Entry>,
    is_list: bool,
    children: Vec<Branch>,
}

impl Branch {
    /// The child of that name; new ones go to the end.
    fn child(&mut self, name: &str) -> &mut Branch {
        let place = self.children.iter().position(|c| c.name == name).unwrap_or_else(|| {
            self.children.push(Branch { name: name.to_owned(), ..Branch::default() });
            self.children.len() - 1
        });
        &mut self.children[place]
    }

    fn write(&self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        if self.is_list && self.children.is_empty() {
            self.write_items(text, depth);
        } else if self.is_list && !self.entries.is_empty() {
            text.push_str(&format!("{indent}items:\n"));
            self.write_items(text, depth + 1);
        } else if self.entries.iter().flatten().any(|(key, _)| self.children.iter().any(|c| c.name == *key)) {
            text.push_str(&format!("{indent}items:\n"));
            for (key, value) in self.entries.iter().flatten() {
                text.push_str(&format!("{indent}  {key}: {value}\n"));
            }
        } else {
            for (key, value) in self.entries.iter().flatten() {
                text.push_str(&format!("{indent}{key}: {value}\n"));
            }
        }
        for child in &self.children {
            text.push_str(&format!("{indent}{}:\n", child.name));
            child.write(text, depth + 1);
        }
    }

    fn write_items(&self, text: &mut String, depth: usize) {
        let indent = "  ".repeat(depth);
        for entry in &self.entries {
            let pairs: Vec<String> = entry.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            let line = format!("{indent}- {{{}}}", pairs.join(", "));
            if line.len() <= WIDTH {
                text.push_str(&line);
                text.push('\n');
                continue;
            }
            for (n, pair) in pairs.iter().enumerate() {
                text.push_str(&format!("{indent}{}{pair}\n", if n == 0 { "- " } else { "  " }));
            }
        }
    }
}

/// An item's keys and values; None where it is as on a fresh router.
fn entry(menu: &'static Menu, item: &Item) -> Option<Entry> {
    let mut entry = Entry::new();
    let mut reference = Entry::new();
    if let Some(number) = item.builtin().filter(|_| menu.kind == Kind::List) {
        let first_name = menu.defaults.get(usize::try_from(number).ok()?).and_then(|d| d.get("name"));
        match first_name {
            _ if !menu.ports.is_empty() => {
                reference.push((port_key(menu).into(), scalar(&item.text(menu.identity())?)));
            }
            Some(name) if item.text("name").as_ref() == Some(name) => {
                reference.push(("name".into(), scalar(name)));
            }
            _ => reference.push((BUILTIN.into(), number.to_string())),
        }
    }
    for property in &menu.properties {
        let lost = has_lost(menu, item, property);
        if item.is_unset(&property.name) || lost && item.effective(&property.name).is_none() {
            entry.push((property.name.clone(), "null".into()));
            continue;
        }
        let shown = if lost || (property.always || property.required) && item.builtin().is_none() {
            item.effective(&property.name)
        } else {
            item.value(&property.name)
        };
        let Some(value) = shown else { continue };
        let told = reference.iter().any(|(key, _)| *key == property.name);
        if told || property.read_only || is_identity(menu, item, property) {
            continue;
        }
        entry.push((property.name.clone(), node(value)));
    }
    if entry.is_empty() && item.builtin().is_some() {
        return None;
    }
    reference.extend(entry);
    Some(reference)
}

fn node(value: &Value) -> String {
    match value {
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::List(values) => match values.as_slice() {
            [one] => node(one),
            values => format!("[{}]", values.iter().map(node).collect::<Vec<_>>().join(", ")),
        },
        _ => scalar(&value.to_string()),
    }
}

/// A string, quoted wherever any YAML reader could take it for something else.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 15] =
        ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none", "nan", "inf", "~", "<<", "="];
    let first = text.bytes().next().unwrap_or(b' ');
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:@%*+ ".contains(&b))
        && (first.is_ascii_alphabetic() || is_no_number(text))
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control()
                || matches!(u32::from(c), 0x7F..=0x9F | 0x2028 | 0x2029 | 0xFEFF | 0xE000..=0xF8FF) =>
            {
                quoted.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// True for texts that start with a digit and still are nothing else to YAML: IPv4 addresses, prefixes and ranges have
/// three dots, times and rates end in a letter that no number has.
fn is_no_number(text: &str) -> bool {
    let address = text.bytes().all(|b| b.is_ascii_digit() || b"./-".contains(&b))
        && text.split(['/', '-']).next().is_some_and(|host| host.matches('.').count() == 3);
    let with_unit = text.bytes().all(|b| b.is_ascii_alphanumeric())
        && text.bytes().any(|b| b.is_ascii_alphabetic() && !b"eExXoObBaAcCdDfF".contains(&b));
    text.starts_with(|c: char| c.is_ascii_digit()) && (address || with_unit)
}

/// Takes a YAML text as a whole, on top of `base`, or refuses it with all its errors.
pub fn from_yaml(base: &Tree, text: &str) -> Result<Outcome, Errors> {
    from_yaml_with(base, text, &ImportOptions::default())
}

/// [`from_yaml`] with options; a YAML text is no script, so `stop` and `from_line` say nothing here.
pub fn from_yaml_with(base: &Tree, text: &str, options: &ImportOptions) -> Result<Outcome, Errors> {
    let Attempt { tree, statements, notes, errors, .. } = attempt(base, text, options)?;
    if errors.is_empty() { Ok(Outcome { tree, statements, notes }) } else { Err(Errors(errors)) }
}

/// [`from_yaml_with`] with what could be taken beside the errors.
pub(crate) fn attempt(base: &Tree, text: &str, options: &ImportOptions) -> Result<Attempt, Errors> {
    let nodes = text.bytes().filter(|b| matches!(b, b',' | b':' | b'\n' | b'[' | b'{' | b'*')).count();
    if text.len() > MAX_BYTES || nodes > MAX_NODES {
        return Err(Error::new(Span { line: 1, column: 1 }, "the text is too long").into());
    }
    let root = read(text)?;
    let mut reader =
        Reader { places: Places::scan(text), path: Vec::new(), found: Vec::new(), errors: Vec::new() };
    reader.menu("", &root);
    let Reader { mut found, errors, places, .. } = reader;
    // What defines names goes first, whatever the order of the text.
    let ranks: HashMap<usize, usize> =
        ordered_menus().enumerate().map(|(rank, menu)| (menu.index, rank)).collect();
    found.sort_by_key(|entry| ranks.get(&entry.menu.index));
    let mut tree = base.clone();
    let mut session = Session::new(&mut tree, &NoRows);
    session.options.strict = options.strict;
    session.failed = errors.len();
    session.errors = errors;
    for entry in found {
        session.entry(|session| command(session, entry));
    }
    session.finish_all();
    let exec::Ended { mut errors, reports, notes, failed, .. } = session.end();
    name_places(&mut errors, &places);
    Ok(Attempt { tree, statements: reports, notes, errors, failed })
}

/// Puts the YAML path before what an error says.
fn name_places(errors: &mut [Error], places: &Places) {
    if errors.is_empty() {
        return;
    }
    let paths = places.paths();
    for error in errors {
        let path = paths.get(&error.span()).filter(|path| !error.message.starts_with(path.as_str()));
        if let Some(path) = path {
            error.message = format!("{path}: {}", error.message);
        }
    }
}

fn read(text: &str) -> Result<Yaml, Errors> {
    serde_yaml::from_str(text).map_err(|e| {
        let span = e.location().map_or(Span::default(), |at| Span {
            line: u32::try_from(at.line()).unwrap_or(u32::MAX),
            column: u32::try_from(at.column()).unwrap_or(u32::MAX),
        });
        let full = e.to_string();
        let message = full.split(" at line ").next().unwrap_or(&full).to_owned();
        Error::new(span, message).hint("the text is not valid YAML").into()
    })
}

/// One item or settings record of the text.
struct Found {
    menu: &'static Menu,
    span: Span,
    /// `builtin:`
    builtin: Option<String>,
    assigns: Vec<Assign>,
}

struct Reader {
    places: Places,
    /// Keys and numbers that lead to the node at hand.
    path: Vec<String>,
    found: Vec<Found>,
    errors: Vec<Error>,
}

impl Reader {
    fn fail(&mut self, message: impl std::fmt::Display, hint: Option<String>) {
        if self.errors.len() >= MAX_ERRORS {
            return;
        }
        let error = Error::new(self.places.find(&self.path), format!("{}: {message}", self.path.join(".")));
        self.errors.push(error.maybe(hint));
    }

    /// What stands at a menu's path: menus below it, its items, or its settings.
    fn menu(&mut self, path: &str, node: &Yaml) {
        let menu = schema::menu(path);
        let children = schema::children(path).unwrap_or_default();
        match node {
            Yaml::Null => {}
            Yaml::Sequence(items) => match menu.filter(|m| m.kind == Kind::List) {
                Some(menu) => self.items(menu, items),
                None => self.fail("a list is not possible here", None),
            },
            Yaml::Mapping(map) => {
                let mut settings = Mapping::new();
                for (key, value) in map {
                    let Some(name) = key.as_str() else {
                        self.fail("names of menus and properties are words", None);
                        continue;
                    };
                    self.path.push(name.to_owned());
                    let own = menu.filter(|_| name == "items");
                    let is_property =
                        menu.is_some_and(|m| m.kind == Kind::Settings && m.property(name).is_some());
                    let holds_items = match value {
                        Yaml::Mapping(_) => true,
                        Yaml::Sequence(items) => items.iter().any(Yaml::is_mapping),
                        _ => false,
                    };
                    if children.iter().any(|c| c == name) && (holds_items || !is_property) {
                        let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                        self.menu(&below, value);
                    } else if let (Some(menu), Yaml::Sequence(items)) =
                        (own.filter(|m| m.kind == Kind::List), value)
                    {
                        self.items(menu, items);
                    } else if let (Some(menu), Yaml::Mapping(map)) =
                        (own.filter(|m| m.kind == Kind::Settings), value)
                    {
                        self.entry(menu, map);
                    } else if menu.is_some_and(|m| m.kind == Kind::Settings) {
                        settings.insert(key.clone(), value.clone());
                    } else {
                        let hint = nearest(name, children.iter().map(String::as_str));
                        self.fail(format!("bad command name {name}"), hint);
                    }
                    self.path.pop();
                }
                if let (Some(menu), false) = (menu, settings.is_empty()) {
                    self.entry(menu, &settings);
                }
            }
            _ => self.fail("a menu holds items or settings", None),
        }
    }

    fn items(&mut self, menu: &'static Menu, items: &[Yaml]) {
        for (n, item) in items.iter().enumerate() {
            self.path.push(n.to_string());
            match item {
                Yaml::Mapping(map) => self.entry(menu, map),
                _ => self.fail("an item is a map of properties", None),
            }
            self.path.pop();
        }
    }

    fn entry(&mut self, menu: &'static Menu, map: &Mapping) {
        let mut found =
            Found { menu, span: self.places.find(&self.path), builtin: None, assigns: Vec::new() };
        for (key, value) in map {
            let Some(name) = key.as_str() else {
                self.fail("names of properties are words", None);
                continue;
            };
            self.path.push(name.to_owned());
            let span = self.places.find(&self.path);
            match self.text(value) {
                Some(text) if name == BUILTIN => found.builtin = text,
                Some(text) => found.assigns.push(Assign {
                    name: name.to_owned(),
                    name_span: span,
                    value: text,
                    value_span: span,
                }),
                None => self.fail("expected a value or a list of values", None),
            }
            self.path.pop();
        }
        self.found.push(found);
    }

    /// The node at hand as RouterOS text; the inner None is a null. None for maps and lists of lists.
    fn text(&mut self, node: &Yaml) -> Option<Option<String>> {
        Some(match node {
            Yaml::Null => None,
            Yaml::Bool(yes) => Some(if *yes { "yes" } else { "no" }.into()),
            // `0x8000` may be a string as well: what is written counts.
            Yaml::Number(number) => {
                Some(self.places.number(&self.path).map_or_else(|| number.to_string(), str::to_owned))
            }
            Yaml::String(text) => Some(text.clone()),
            Yaml::Sequence(parts) => {
                let mut texts = Vec::new();
                for (n, part) in parts.iter().enumerate() {
                    self.path.push(n.to_string());
                    let text = self.text(part).flatten().filter(|_| !part.is_sequence());
                    self.path.pop();
                    texts.push(text?);
                }
                Some(texts.join(","))
            }
            Yaml::Mapping(_) | Yaml::Tagged(_) => return None,
        })
    }
}

/// The key that names a thing which comes into being by being named. Where such things can also be added, with the same
/// property, a key of its own tells them apart.
fn port_key(menu: &Menu) -> &str {
    let identity = menu.identity();
    let is_own = menu.fixed || menu.property(identity).is_none_or(|property| property.read_only);
    if is_own { identity } else { BUILTIN }
}

/// The command that an entry stands for: `add`, or `set` of what exists on every router.
fn command(session: &mut Session<'_>, entry: Found) -> Result<Command, Errors> {
    let Found { menu, span, builtin, mut assigns } = entry;
    let mut command = Command {
        menu,
        verb: "add".into(),
        verb_span: span,
        span,
        items: Vec::new(),
        found: None,
        assigns: Vec::new(),
    };
    let take = |assigns: &mut Vec<Assign>, name: &str| {
        let place = assigns.iter().position(|a| a.name == name)?;
        assigns.remove(place).value
    };
    if menu.kind == Kind::Settings {
        command.verb = "set".into();
    } else if !menu.ports.is_empty() {
        let key = port_key(menu);
        let named = if key == BUILTIN { builtin } else { take(&mut assigns, key) };
        match named.filter(|name| !name.is_empty()) {
            Some(port) => {
                command.verb = "set".into();
                command.found = Some(vec![session.tree.port(menu, &port)]);
            }
            None if menu.fixed => {
                let message = format!("missing value(s) of argument(s) {key}");
                return Err(Error::new(span, message).into());
            }
            None => {}
        }
    } else if let Some(wanted) = builtin {
        let item = session.tree.all(menu).iter().find(|item| is_builtin(menu, item, &wanted));
        let Some(item) = item else {
            return Err(Error::new(span, "no such item").hint(format!("builtin: {wanted}")).into());
        };
        command.found = Some(vec![item.id()]);
        command.verb = "set".into();
    } else {
        let name = assigns.iter().find(|a| a.name == "name").and_then(|a| a.value.clone());
        let same = name.and_then(|name| {
            session
                .tree
                .all(menu)
                .iter()
                .find(|i| i.builtin().is_some() && i.text("name").as_ref() == Some(&name))
        });
        if let Some(item) = same {
            command.found = Some(vec![item.id()]);
            command.verb = "set".into();
            assigns.retain(|a| a.name != "name");
        }
    }
    command.assigns = assigns;
    Ok(command)
}

fn is_builtin(menu: &Menu, item: &Item, wanted: &str) -> bool {
    let Some(number) = item.builtin() else { return false };
    let first_name = usize::try_from(number).ok().and_then(|n| menu.defaults.get(n)?.get("name"));
    number.to_string() == wanted || first_name.is_some_and(|name| name == wanted)
}
