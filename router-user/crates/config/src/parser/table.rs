//! The table of `schema/language.yaml`: commands of the language, and the arguments of commands that menus share.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use serde::Deserialize;

use crate::schema;
use crate::types::Type;

/// What an argument's value is, and so how it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kind {
    Any,
    Name,
    Names,
    Code,
    Cond,
    Flag,
    Text,
    Num,
    Time,
    Bool,
    List,
    Word,
}

#[derive(Debug, PartialEq)]
pub(super) struct Param {
    pub name: String,
    pub kind: Kind,
}

/// The arguments of a command.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Signature {
    /// May be given without their name, in this order.
    pub args: Vec<Param>,
    pub named: Vec<Param>,
    /// The menu's properties are arguments.
    pub properties: bool,
    /// Any other name is taken.
    pub free: bool,
}

impl Signature {
    /// A parameter by its name or a unique beginning of it.
    pub fn param(&self, name: &str) -> Option<&Param> {
        let all = || self.args.iter().chain(&self.named);
        if let Some(exact) = all().find(|p| p.name == name) {
            return Some(exact);
        }
        let mut matching = all().filter(|p| !name.is_empty() && p.name.starts_with(name));
        match (matching.next(), matching.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }
}

/// Path -> command -> arguments.
type Commands = HashMap<String, BTreeMap<String, Signature>>;

pub(super) struct Table {
    list: BTreeMap<String, Signature>,
    settings: BTreeMap<String, Signature>,
    status: BTreeMap<String, Signature>,
    none: BTreeMap<String, Signature>,
    /// `ip/address` -> command -> arguments; the root's are the language's.
    own: Commands,
    /// Of commands of menus, where more is known than the schema tells.
    told: Commands,
    /// Of the commands that single menus have, by path and name.
    of_menus: HashMap<&'static str, HashMap<&'static str, Signature>>,
    /// Paths that not every router has.
    extra: Vec<String>,
    /// Of commands that only their name is known of.
    unknown: Signature,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    load(include_str!(concat!(env!("OUT_DIR"), "/language.json"))).unwrap_or_else(|e| broken(&e))
});

/// The table is part of the program; a test loads it, so this can't be met in the field.
fn broken(error: &str) -> Table {
    debug_assert!(false, "language.yaml: {error}");
    Table {
        list: BTreeMap::new(),
        settings: BTreeMap::new(),
        status: BTreeMap::new(),
        none: BTreeMap::new(),
        own: HashMap::new(),
        told: HashMap::new(),
        of_menus: HashMap::new(),
        extra: Vec::new(),
        unknown: Signature::default(),
    }
}

pub(super) fn table() -> &'static Table {
    &TABLE
}

impl Table {
    /// The commands that every menu of this kind has.
    fn generic(&self, menu: Option<&schema::Menu>) -> &BTreeMap<String, Signature> {
        match menu.map(|m| m.kind) {
            Some(schema::Kind::List) => &self.list,
            Some(schema::Kind::Settings) => &self.settings,
            Some(schema::Kind::Status) => &self.status,
            Some(schema::Kind::Commands) | None => &self.none,
        }
    }

    /// The names of all commands of a path.
    pub fn commands(&'static self, path: &str) -> Vec<&'static str> {
        let menu = schema::menu(path);
        let generic = self.generic(menu).keys().map(String::as_str);
        let of_menu = menu.into_iter().flat_map(|m| m.commands.iter().map(|c| c.name.as_str()));
        let mut names: Vec<&str> = generic.chain(of_menu).chain(self.own_names(path)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The names of this table's own commands of a path.
    pub fn own_names(&'static self, path: &str) -> impl Iterator<Item = &'static str> {
        self.own.get(path).into_iter().flat_map(|own| own.keys().map(String::as_str))
    }

    /// Whether a word is, or begins, the name of any command or menu.
    pub fn is_word(&'static self, word: &str) -> bool {
        let begins = |name: &str| name.split('/').any(|part| part.starts_with(word));
        let own = self.own.iter().any(|(path, own)| begins(path) || own.keys().any(|name| begins(name)));
        let generic = [&self.list, &self.settings, &self.status, &self.none];
        own || generic.iter().any(|table| table.keys().any(|name| begins(name)))
            || schema::menus().any(|menu| begins(&menu.path) || menu.commands.iter().any(|c| begins(&c.name)))
    }

    /// Menus that have nothing but such commands.
    pub fn menus(&'static self) -> impl Iterator<Item = &'static str> {
        self.own.keys().map(String::as_str).filter(|path| schema::children(path).is_none())
    }

    pub fn is_menu(&self, path: &str) -> bool {
        !path.is_empty() && self.own.contains_key(path)
    }

    pub fn is_own(&self, path: &str, name: &str) -> bool {
        self.own.get(path).is_some_and(|own| own.contains_key(name))
    }

    /// A router with nothing but the base package has no such menu.
    pub fn is_extra(&self, path: &str) -> bool {
        let below = |extra: &String| {
            path.strip_prefix(extra.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.extra.iter().any(below)
    }

    /// A command that menus with items have.
    pub fn is_shared(&self, name: &str) -> bool {
        self.list.contains_key(name)
    }

    pub fn has(&self, path: &str, name: &str) -> bool {
        let menu = schema::menu(path);
        self.is_own(path, name)
            || self.generic(menu).contains_key(name)
            || menu.is_some_and(|m| m.command(name).is_some())
    }

    /// The arguments of a command that exists.
    pub fn signature(&'static self, path: &str, name: &str) -> &'static Signature {
        for commands in [&self.own, &self.told] {
            if let Some(signature) = commands.get(path).and_then(|own| own.get(name)) {
                return signature;
            }
        }
        if let Some(told) = self.of_menus.get(path).and_then(|commands| commands.get(name)) {
            return told;
        }
        let menu = schema::menu(path);
        let generic = self.generic(menu).get(name).filter(|_| menu.is_none_or(|m| m.command(name).is_none()));
        generic.unwrap_or(&self.unknown)
    }
}

/// Something is part of the release that is read for.
pub(super) fn is_current(versions: &schema::Versions) -> bool {
    let minor = |version: &str| match version.split_once('.') {
        Some(("7", rest)) => rest.split('.').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0),
        _ => 0,
    };
    versions.since.as_deref().is_none_or(|v| minor(v) <= RELEASE)
        && versions.until.as_deref().is_none_or(|v| minor(v) >= RELEASE)
}

/// RouterOS 7.22
const RELEASE: u32 = 22;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    extra: BTreeMap<String, Vec<String>>,
    generic: RawGeneric,
    commands: BTreeMap<String, RawSignature>,
    menus: BTreeMap<String, RawSignature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGeneric {
    list: BTreeMap<String, RawSignature>,
    settings: BTreeMap<String, RawSignature>,
    status: BTreeMap<String, RawSignature>,
    none: BTreeMap<String, RawSignature>,
    other: RawSignature,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSignature {
    args: Vec<String>,
    named: Vec<String>,
    properties: bool,
    free: bool,
}

fn load(json: &str) -> Result<Table, String> {
    let raw: RawTable = serde_json::from_str(json).map_err(|e| e.to_string())?;
    let own = by_path(raw.commands)?;
    let told = by_path(raw.menus)?;
    let unknown = signature(raw.generic.other)?;
    Ok(Table {
        list: all(raw.generic.list)?,
        settings: all(raw.generic.settings)?,
        status: all(raw.generic.status)?,
        none: all(raw.generic.none)?,
        own,
        told,
        extra: raw.extra.into_values().flatten().map(|path| path.trim_start_matches('/').into()).collect(),
        of_menus: schema::menus().map(|menu| (menu.path.as_str(), of_menu(menu))).collect(),
        unknown,
    })
}

fn by_path(raw: BTreeMap<String, RawSignature>) -> Result<Commands, String> {
    let mut commands = Commands::new();
    for (path, command) in raw {
        let (menu, name) = path
            .strip_prefix('/')
            .map(|path| path.rsplit_once('/').unwrap_or(("", path)))
            .ok_or_else(|| format!("{path}: no leading slash"))?;
        commands.entry(menu.to_owned()).or_default().insert(name.to_owned(), signature(command)?);
    }
    Ok(commands)
}

/// The commands of one menu, with what the schema says of their arguments.
fn of_menu(menu: &'static schema::Menu) -> HashMap<&'static str, Signature> {
    let told = menu.commands.iter().filter(|c| !c.arguments.is_empty() || !c.positional.is_empty());
    let signatures = told.map(|command| {
        let param = |name: &str| {
            let kind = match command.arguments.iter().find(|a| a.name == name).map(|a| &a.ty) {
                Some(Type::Switch) => Kind::Flag,
                Some(Type::Time) => Kind::Time,
                _ => Kind::Any,
            };
            Param { name: name.to_owned(), kind }
        };
        let names = command.arguments.iter().map(|a| a.name.as_str());
        let free = command.arguments.is_empty();
        let args = command.positional.iter().map(|name| param(name)).collect();
        let named = names.filter(|n| !command.positional.iter().any(|p| p == n)).map(param).collect();
        (command.name.as_str(), Signature { args, named, properties: false, free })
    });
    signatures.collect()
}

fn all(raw: BTreeMap<String, RawSignature>) -> Result<BTreeMap<String, Signature>, String> {
    raw.into_iter().map(|(name, raw)| Ok((name, signature(raw)?))).collect()
}

fn signature(raw: RawSignature) -> Result<Signature, String> {
    Ok(Signature {
        args: raw.args.iter().map(|p| param(p)).collect::<Result<_, _>>()?,
        named: raw.named.iter().map(|p| param(p)).collect::<Result<_, _>>()?,
        properties: raw.properties,
        free: raw.free,
    })
}

fn param(text: &str) -> Result<Param, String> {
    let (name, kind) = match text.split_once(' ') {
        Some((name, kind)) => {
            let kind = serde_json::from_value(kind.into()).map_err(|e| format!("{text}: {e}"))?;
            (name, kind)
        }
        None => (text, Kind::Any),
    };
    Ok(Param { name: name.to_owned(), kind })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_loads_and_its_menus_exist() {
        let table = load(include_str!(concat!(env!("OUT_DIR"), "/language.json"))).expect("loads");
        assert!(table.own.get("").is_some_and(|root| root.len() > 40));
        let put = table.own.get("").and_then(|root| root.get("put")).expect("put");
        assert_eq!(put.args, [Param { name: "message".into(), kind: Kind::Any }]);
        assert_eq!(table.own.get("").and_then(|r| r.get("if")).expect("if").named.len(), 2);
        for (path, commands) in &table.told {
            let menu = schema::menu(path).expect(path);
            for name in commands.keys() {
                assert!(menu.command(name).is_some(), "/{path}/{name}");
            }
        }
    }
}
