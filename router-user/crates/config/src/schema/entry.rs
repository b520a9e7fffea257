//! The schema on its way from `build.rs` to the library: every menu with its property sets taken in, as JSON.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Items: add, set, remove, ...
    #[default]
    List,
    /// One record: set.
    Settings,
    /// Rows that can only be read.
    Status,
    /// Commands only.
    Commands,
}

/// How `export` names an item that it can only `set`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refer {
    /// `set telnet`
    #[default]
    Name,
    /// `set [ find default-name=ether1 ]`
    DefaultName,
    /// `set 0`
    Number,
    /// `set [ find default=yes ]`
    Default,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MenuEntry {
    /// Without the leading slash.
    pub path: String,
    pub area: String,
    pub kind: Kind,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// None: enforced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// By name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub properties: Vec<PropertyEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<PropertyEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<(String, String)>,
    #[serde(skip_serializing_if = "is_false")]
    pub fixed: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub ordered: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub interface: String,
    /// In the order in which an error names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<AnyOfEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unique: Vec<UniqueEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<CommandEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    pub refer: Refer,
    /// Pairs of name and text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub defaults: Vec<Vec<(String, String)>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub first_port: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub until: String,
}

#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct PropertyEntry {
    pub name: String,
    /// A type expression, see `schema/README.md`.
    pub ty: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub unset: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    #[serde(skip_serializing_if = "is_false")]
    pub read_only: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub always: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub explicit: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub since: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub until: String,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct AnyOfEntry {
    pub names: Vec<String>,
    pub message: String,
}

#[derive(Clone, Deserialize, Serialize)]
pub struct UniqueEntry {
    pub by: Vec<String>,
    pub message: String,
}

#[derive(Default, Deserialize, Serialize)]
#[serde(default)]
pub struct CommandEntry {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positional: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<PropertyEntry>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn is_false(flag: &bool) -> bool {
    !flag
}
