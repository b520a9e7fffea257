//! Turns schema/*.yaml into one JSON text that the library embeds, with all property sets taken in: what is done here
//! costs nothing when a command starts.

#[path = "src/schema/entry.rs"]
mod entry;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};

use entry::{AnyOfEntry, CommandEntry, Kind, MenuEntry, PropertyEntry, Refer, UniqueEntry};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("schema");
    println!("cargo:rerun-if-changed=schema");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    let mut sets = BTreeMap::new();
    let mut menus = Vec::new();
    let out = PathBuf::from(env::var("OUT_DIR")?);
    for file in &files {
        // The commands of the language are no menus.
        if file.file_name().is_some_and(|name| name == "language.yaml") {
            let table: serde_json::Value = serde_yaml::from_str(&fs::read_to_string(file)?)
                .map_err(|e| format!("{}: {e}", file.display()))?;
            fs::write(out.join("language.json"), serde_json::to_string(&table)?)?;
            continue;
        }
        read(file, &mut sets, &mut menus).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    menus.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    let mut entries = Vec::new();
    for (path, area, menu) in &menus {
        if entries.last().is_some_and(|last: &MenuEntry| last.path == *path) {
            return Err(format!("/{path} occurs twice").into());
        }
        entries.push(menu.resolve(path, area, &sets).map_err(|e| format!("/{path}: {e}"))?);
    }
    fs::write(out.join("schema.json"), serde_json::to_string(&entries)?)?;
    Ok(())
}

/// Reads one file: an optional `area`, property sets, and menus.
fn read(file: &Path, sets: &mut Sets, menus: &mut Vec<(String, Area, Menu)>) -> Result<(), Box<dyn Error>> {
    let entries: Mapping = serde_yaml::from_str(&fs::read_to_string(file)?)?;
    let title = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut area = Area { title, kept: None };
    for (name, value) in entries {
        let name = name.as_str().ok_or("a name is no text")?.to_owned();
        if name == "area" {
            area = typed(&name, value)?;
        } else if let Some(path) = name.strip_prefix('/') {
            menus.push((path.to_owned(), area.clone(), typed(&name, value)?));
        } else if sets.insert(name.clone(), typed(&name, value)?).is_some() {
            return Err(format!("set {name} occurs twice").into());
        }
    }
    Ok(())
}

fn typed<T: DeserializeOwned>(name: &str, value: Value) -> Result<T, String> {
    serde_yaml::from_value(value).map_err(|e| format!("{name}: {e}"))
}

type Sets = BTreeMap<String, Set>;
type Properties = BTreeMap<String, Property>;

/// What the menus of a file have in common.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Area {
    /// Of a chapter in the reference.
    title: String,
    /// Why its menus do nothing on a host, where they do not say it themselves.
    kept: Option<String>,
}

/// Properties that several menus have.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Set {
    #[serde(rename = "use")]
    sets: Vec<String>,
    groups: BTreeMap<String, String>,
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Menu {
    kind: Kind,
    help: String,
    effect: Option<String>,
    kept: Option<String>,
    properties: Properties,
    /// Type to names.
    status: BTreeMap<String, Vec<String>>,
    /// Letter to word, in the order of the legend.
    flags: Mapping,
    #[serde(rename = "use")]
    sets: Vec<String>,
    groups: BTreeMap<String, String>,
    without: Vec<String>,
    fixed: bool,
    ordered: bool,
    interface: String,
    required: Vec<String>,
    any_of: Vec<AnyOfEntry>,
    unique: Vec<UniqueEntry>,
    commands: Commands,
    also: Vec<String>,
    refer: Refer,
    defaults: Vec<BTreeMap<String, String>>,
    ports: Vec<String>,
    first_port: Option<usize>,
    identity: Option<String>,
    columns: Vec<String>,
    shown: Vec<String>,
    since: String,
    until: String,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Property {
    /// `TYPE` or `TYPE = DEFAULT`
    Short(String),
    Long(Box<LongProperty>),
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LongProperty {
    #[serde(rename = "type")]
    ty: String,
    default: Option<String>,
    #[serde(default)]
    required: bool,
    unset: Option<bool>,
    #[serde(default)]
    help: String,
    #[serde(default)]
    also: Vec<String>,
    kept: Option<String>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    always: bool,
    #[serde(default)]
    explicit: bool,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Commands {
    Names(Vec<String>),
    Described(BTreeMap<String, Command>),
}

impl Default for Commands {
    fn default() -> Commands {
        Commands::Names(Vec::new())
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Command {
    help: String,
    positional: Vec<String>,
    arguments: Properties,
    #[serde(rename = "use")]
    sets: Vec<String>,
}

impl Menu {
    fn resolve(&self, path: &str, area: &Area, sets: &Sets) -> Result<MenuEntry, String> {
        let kept = match (&self.effect, &self.kept, &area.kept) {
            (Some(word), None, _) if word == "enforced" => None,
            (None, Some(reason), _) | (None, None, Some(reason)) => Some(reason.clone()),
            _ => return Err("needs either `effect: enforced` or `kept: REASON`".into()),
        };
        let mut properties = Properties::new();
        if self.kind == Kind::List {
            properties.insert("comment".into(), Property::Short("string".into()));
            properties.insert("disabled".into(), Property::Short("bool = no".into()));
        }
        take_in(&mut properties, &self.sets, &self.groups, sets)?;
        properties.extend(self.properties.clone());
        properties.retain(|name, _| !self.without.contains(name));
        let mut properties = entries(&properties);
        let own: Vec<String> = properties.iter().map(|p| p.name.clone()).collect();
        // The routing part of RouterOS 7 keeps what it is told, defaults too.
        let told = ["ip/route", "ipv6/route", "ip/vrf"].contains(&path)
            || path.starts_with("routing/")
            || path.starts_with("mpls/");
        for property in &mut properties {
            property.explicit |= told;
            let bare = property.name.split_once('.').filter(|(group, _)| self.groups.contains_key(*group));
            property.also.extend(bare.map(|(_, bare)| bare.to_owned()).filter(|bare| !own.contains(bare)));
        }
        let mut required = self.required.clone();
        for name in self.required.iter().chain(self.any_of.iter().flat_map(|any| &any.names)) {
            if !properties.iter().any(|p| p.name == *name) {
                return Err(format!("required {name}: no such property"));
            }
        }
        for property in &mut properties {
            if property.required && !required.contains(&property.name) {
                required.push(property.name.clone());
            }
            property.required = required.contains(&property.name);
            property.unset &= !property.required;
        }
        if !self.ports.is_empty() {
            let identity = self.identity.as_deref().unwrap_or("default-name");
            if !properties.iter().any(|p| p.name == identity) {
                return Err(format!("ports are told apart by {identity}: no such property"));
            }
        }
        if let Some(by) =
            self.unique.iter().flat_map(|u| &u.by).find(|by| !properties.iter().any(|p| p.name == **by))
        {
            return Err(format!("unique by {by}: no such property"));
        }
        Ok(MenuEntry {
            path: path.to_owned(),
            area: area.title.clone(),
            kind: self.kind,
            help: self.help.clone(),
            kept,
            properties,
            status: status(&self.status)?,
            flags: flags(&self.flags)?,
            fixed: self.fixed,
            ordered: self.ordered,
            interface: self.interface.clone(),
            required,
            any_of: self.any_of.clone(),
            unique: self.unique.clone(),
            commands: self.commands.resolve(sets)?,
            also: self.also.clone(),
            refer: self.refer,
            defaults: self.defaults.iter().map(|item| item.clone().into_iter().collect()).collect(),
            ports: self.ports.clone(),
            first_port: self.first_port.unwrap_or(1),
            identity: self.identity.clone(),
            columns: self.columns.clone(),
            shown: self.shown.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
        })
    }
}

impl Commands {
    fn resolve(&self, sets: &Sets) -> Result<Vec<CommandEntry>, String> {
        match self {
            Commands::Names(names) => Ok(names
                .iter()
                .map(|name| CommandEntry { name: name.clone(), ..CommandEntry::default() })
                .collect()),
            Commands::Described(commands) => commands
                .iter()
                .map(|(name, command)| {
                    let mut arguments = Properties::new();
                    take_in(&mut arguments, &command.sets, &BTreeMap::new(), sets)?;
                    arguments.extend(command.arguments.clone());
                    Ok(CommandEntry {
                        name: name.clone(),
                        help: command.help.clone(),
                        positional: command.positional.clone(),
                        arguments: entries(&arguments),
                    })
                })
                .collect(),
        }
    }
}

/// Adds the properties of sets; those of a group get its name and a dot before theirs.
fn take_in(
    into: &mut Properties,
    names: &[String],
    groups: &BTreeMap<String, String>,
    sets: &Sets,
) -> Result<(), String> {
    let find = |name: &String| sets.get(name).ok_or_else(|| format!("no property set {name}"));
    for name in names {
        let set = find(name)?;
        take_in(into, &set.sets, &set.groups, sets)?;
        into.extend(set.properties.clone());
    }
    for (group, name) in groups {
        let set = find(name)?;
        let mut below = Properties::new();
        take_in(&mut below, &set.sets, &set.groups, sets)?;
        below.extend(set.properties.clone());
        into.extend(below.into_iter().map(|(name, property)| (format!("{group}.{name}"), property)));
    }
    Ok(())
}

/// What can only be read, by name.
fn status(by_type: &BTreeMap<String, Vec<String>>) -> Result<Vec<PropertyEntry>, String> {
    let mut names = BTreeMap::new();
    for (ty, among) in by_type {
        for name in among {
            if names.insert(name, ty).is_some() {
                return Err(format!("status {name} occurs twice"));
            }
        }
    }
    let entry = |(name, ty): (&String, &String)| PropertyEntry {
        name: name.clone(),
        ty: ty.clone(),
        ..PropertyEntry::default()
    };
    Ok(names.into_iter().map(entry).collect())
}

fn flags(letters: &Mapping) -> Result<Vec<(String, String)>, String> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("flags: letter and word are texts");
    letters.iter().map(|(letter, word)| Ok((text(letter)?, text(word)?))).collect()
}

fn entries(properties: &Properties) -> Vec<PropertyEntry> {
    properties.iter().map(|(name, property)| property.entry(name)).collect()
}

impl Property {
    fn entry(&self, name: &str) -> PropertyEntry {
        let name = name.to_owned();
        match self {
            Property::Short(text) => {
                let (ty, default) = match text.split_once(" = ") {
                    Some((ty, default)) => (ty, Some(default.to_owned())),
                    None => (text.as_str(), None),
                };
                let unset = default.is_none();
                PropertyEntry { name, ty: ty.trim().to_owned(), default, unset, ..PropertyEntry::default() }
            }
            Property::Long(long) => {
                let long = (**long).clone();
                PropertyEntry {
                    name,
                    unset: long.unset.unwrap_or(long.default.is_none() && !long.required),
                    ty: long.ty,
                    default: long.default,
                    required: long.required,
                    help: long.help,
                    also: long.also,
                    kept: long.kept,
                    read_only: long.read_only,
                    always: long.always,
                    explicit: long.explicit,
                    since: long.since,
                    until: long.until,
                }
            }
        }
    }
}
