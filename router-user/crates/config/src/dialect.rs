//! Lines that RouterOS 7 takes differently or not at all, turned into what they mean: forms of RouterOS 6 and of older
//! guides. Plain other names are in the schema (`also:`); here is what needs more than a name. Everything done here is
//! said in a note.

mod bgp;
mod filter;
mod guide;
mod ipsec;
mod ospf;
mod rip;
mod route;
mod system;

use crate::exec::{Assign, Command};
use crate::schema;
use crate::tree::{Item, Tree};

/// The item that RouterOS 6 had from the start in its routing protocols.
const DEFAULT: &str = "default";

/// What a command means.
pub(crate) struct Meaning {
    pub commands: Vec<Command>,
    /// The one that stands for the statement.
    pub main: usize,
    pub notes: Vec<String>,
}

impl Meaning {
    /// What it says.
    pub fn literal(command: Command) -> Meaning {
        Meaning { commands: vec![command], main: 0, notes: Vec::new() }
    }
}

/// Rewrites a command into those it means.
pub(crate) fn adapt(tree: &Tree, mut command: Command) -> Meaning {
    let mut adapter = Adapter { tree, notes: Vec::new(), before: Vec::new(), after: Vec::new() };
    let menu = command.menu;
    match menu.path.split('/').next().unwrap_or_default() {
        "routing" => routing(&mut adapter, &mut command),
        "ip" | "ipv6" => {
            route::adapt(&mut adapter, &mut command);
            ipsec::adapt(&mut adapter, &mut command);
        }
        _ => {}
    }
    system::adapt(&mut adapter, &mut command);
    guide::adapt(&mut adapter, &mut command);
    let main = adapter.before.len();
    let mut commands = adapter.before;
    commands.push(command);
    commands.append(&mut adapter.after);
    Meaning { commands, main, notes: adapter.notes }
}

fn routing(adapter: &mut Adapter<'_>, command: &mut Command) {
    route::adapt(adapter, command);
    match command.menu.path.split('/').nth(1).unwrap_or_default() {
        "bgp" => bgp::adapt(adapter, command),
        "ospf" | "ospf-v3" => ospf::adapt(adapter, command),
        "rip" | "ripng" => rip::adapt(adapter, command),
        "filter" => filter::adapt(adapter, command),
        _ => {}
    }
}

/// What a command means besides itself.
struct Adapter<'a> {
    tree: &'a Tree,
    notes: Vec<String>,
    before: Vec<Command>,
    after: Vec<Command>,
}

impl<'a> Adapter<'a> {
    fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// The item of that name.
    fn named(&self, path: &str, name: &str) -> Option<&'a Item> {
        self.tree.items(path).find(|item| item.text("name").as_deref() == Some(name))
    }

    /// An item of that name is there, or is about to be.
    fn knows(&self, path: &str, name: &str) -> bool {
        self.named(path, name).is_some()
            || self
                .before
                .iter()
                .any(|c| c.menu.path == path && c.verb == "add" && value(c, "name") == Some(name))
    }

    /// Adds an item that the command needs.
    fn add_before(&mut self, like: &Command, path: &str, values: &[(&str, &str)]) {
        self.before.extend(besides(like, path, "add", values));
    }

    /// Adds an item that follows from the command.
    fn add_after(&mut self, like: &Command, path: &str, values: &[(&str, &str)]) {
        self.after.extend(besides(like, path, "add", values));
    }

    /// Changes the item of that name, or the settings where there is none.
    fn set_after(&mut self, like: &Command, path: &str, name: &str, values: &[(&str, &str)]) {
        if let Some(mut command) = besides(like, path, "set", values) {
            if !name.is_empty() {
                command.items.push((name.to_owned(), like.span));
            }
            self.after.push(command);
        }
    }
}

/// Another command on behalf of one.
fn besides(like: &Command, path: &str, verb: &str, values: &[(&str, &str)]) -> Option<Command> {
    let assigns = values.iter().map(|(name, value)| assign(like, name, *value)).collect();
    Some(Command {
        menu: schema::menu(path)?,
        verb: verb.into(),
        verb_span: like.span,
        span: like.span,
        items: Vec::new(),
        found: None,
        assigns,
    })
}

fn assign(like: &Command, name: &str, value: impl Into<String>) -> Assign {
    Assign { name: name.into(), name_span: like.span, value: Some(value.into()), value_span: like.span }
}

/// Lets the command work on another menu.
fn turn(command: &mut Command, path: &str) {
    if let Some(menu) = schema::menu(path) {
        command.menu = menu;
    }
}

/// Takes an argument away.
fn take(command: &mut Command, name: &str) -> Option<Assign> {
    let place = command.assigns.iter().position(|a| a.name == name)?;
    Some(command.assigns.remove(place))
}

/// Takes an argument away; its text.
fn take_text(command: &mut Command, name: &str) -> Option<String> {
    take(command, name)?.value
}

fn value<'c>(command: &'c Command, name: &str) -> Option<&'c str> {
    command.assigns.iter().find(|a| a.name == name)?.value.as_deref()
}

fn has(command: &Command, name: &str) -> bool {
    command.assigns.iter().any(|a| a.name == name)
}

/// Takes the `redistribute-X` of RouterOS 6 away: the list of those that are not `no`, by what they are called now.
fn redistributed(command: &mut Command, kinds: &[(&str, &str)]) -> String {
    let given = |(name, kind): &(&str, &'_ str)| {
        take_text(command, &format!("redistribute-{name}"))
            .filter(|text| text != "no")
            .map(|_| (*kind).to_owned())
    };
    kinds.iter().filter_map(given).collect::<Vec<_>>().join(",")
}

/// Gives an argument, in place of what it was.
fn put(command: &mut Command, name: &str, text: impl Into<String>) {
    let new = assign(command, name, text);
    command.assigns.retain(|a| a.name != name);
    command.assigns.push(new);
}

/// Gives arguments their new names; one that is given by its new name too is dropped. True where any had a value.
fn rename(command: &mut Command, names: &[(&str, &str)]) -> bool {
    let mut any = false;
    for (old, new) in names {
        let is_known = has(command, new);
        command.assigns.retain(|a| a.name != *old || !is_known);
        for assign in command.assigns.iter_mut().filter(|a| a.name == *old) {
            assign.name = (*new).into();
            any |= assign.value.is_some();
        }
    }
    any
}

/// Takes arguments away that say nothing: no value, or this one.
fn drop_idle(command: &mut Command, idle: &[(&str, &str)]) {
    command.assigns.retain(|a| {
        let text = a.value.as_deref();
        !idle
            .iter()
            .any(|(name, default)| a.name == *name && text.is_none_or(|t| t.is_empty() || t == *default))
    });
}

/// A command that names no item, or none that is there.
fn names_nothing(adapter: &Adapter<'_>, command: &Command) -> bool {
    match &command.found {
        Some(found) => found.is_empty(),
        None => command.items.iter().all(|(name, _)| adapter.named(&command.menu.path, name).is_none()),
    }
}
