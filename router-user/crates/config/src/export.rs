//! `export`: the configuration as a script that gives the same configuration again, here and on a router.

mod order;
mod wrap;

use crate::ExportOptions;
use crate::ast::{Arg, Expr};
use crate::cond::{Cond, constant};
use crate::error::{Error, Errors, Span};
use crate::print::NoRows;
use crate::query;
use crate::schema::{self, Kind, Menu, Property, Refer};
use crate::tree::{Item, Tree};
use crate::types::Type;
use crate::value::Value;
use wrap::Word;

pub(crate) use order::ordered_menus;
pub(crate) use wrap::quote;
pub use wrap::quoted;

/// The first line. It holds no time and no serial number: the same configuration gives the same bytes.
const HEADER: &str = concat!("# by routerd ", env!("CARGO_PKG_VERSION"), ", RouterOS 7 syntax\n");

/// Writes the menus in the order of their dependencies: what defines names first.
pub fn export(tree: &Tree, options: &ExportOptions) -> String {
    let mut text = String::from(HEADER);
    let paths = Paths::new(options.menu.as_deref().unwrap_or_default());
    for section in order::sections(tree, |menu| paths.take(menu)) {
        export_section(&mut text, &section, options, |_| true);
    }
    text
}

/// The items of some menus that another configuration does not have just so, as [`export`] writes them; None where other
/// menus differ, or more than `most` items.
pub fn export_changed(
    tree: &Tree,
    before: &Tree,
    menus: &[&str],
    most: usize,
    options: &ExportOptions,
) -> Option<String> {
    let menus: Vec<&Menu> = menus.iter().filter_map(|path| schema::menu(path)).collect();
    let changed = tree.changed(before, &menus).filter(|changed| changed.len() <= most)?;
    let mut text = String::from(HEADER);
    for (number, item) in changed {
        let section = order::Section { menu: item.menu(), items: vec![(number, item)] };
        export_section(&mut text, &section, options, |_| true);
    }
    Some(text)
}

/// The arguments of the command.
pub(crate) struct Request {
    options: ExportOptions,
    condition: Option<Cond>,
}

/// Reads the arguments of `export` in the menu of that path.
pub(crate) fn request(path: &str, args: &[Arg]) -> Result<Request, Errors> {
    let menu = (!path.is_empty()).then(|| path.to_owned());
    let mut request =
        Request { options: ExportOptions { menu, ..ExportOptions::default() }, condition: None };
    let options = &mut request.options;
    for arg in args {
        match (arg.name.as_str(), &arg.value) {
            ("show-sensitive", Expr::On) => options.sensitive = true,
            ("verbose", Expr::On) => options.verbose = true,
            ("terse", Expr::On) => options.terse = true,
            ("compact" | "hide-sensitive", Expr::On) => {}
            ("path", value) => {
                let list = constant(value).unwrap_or_default();
                Paths::check(&list, arg.value_span)?;
                options.menu = Some(list);
            }
            ("where", condition) => request.condition = Some(Cond::new(condition, arg.span)?),
            _ => return Err(Error::new(arg.span, "expected end of command").into()),
        }
    }
    Ok(request)
}

/// Carries out the command; a condition is asked of the items of the menu itself.
pub(crate) fn run(tree: &Tree, menu: Option<&'static Menu>, request: &Request) -> Result<String, Errors> {
    let (Some(condition), Some(menu)) = (&request.condition, menu) else {
        return Ok(export(tree, &request.options));
    };
    query::check(menu, condition)?;
    let mut wanted = Vec::new();
    for item in tree.all(menu) {
        if query::holds(item, menu, condition, &NoRows)? {
            wanted.push(item.id());
        }
    }
    let mut text = String::from(HEADER);
    for section in order::sections(tree, |other| other.index == menu.index) {
        export_section(&mut text, &section, &request.options, |item| wanted.contains(&item.id()));
    }
    Ok(text)
}

/// `/ip/firewall,!/ip/firewall/nat`: the menus to write; with nothing to take in, all but those left out.
struct Paths {
    taken: Vec<String>,
    left_out: Vec<String>,
}

impl Paths {
    fn new(list: &str) -> Paths {
        let path =
            |text: &str| text.split(['/', ' ']).filter(|w| !w.is_empty()).collect::<Vec<_>>().join("/");
        let parts = || list.split(',').map(str::trim);
        Paths {
            taken: parts().filter(|p| !p.starts_with('!')).map(path).collect(),
            left_out: parts().filter_map(|p| p.strip_prefix('!')).map(path).collect(),
        }
    }

    /// Refuses paths that lead nowhere.
    fn check(list: &str, span: Span) -> Result<(), Error> {
        let paths = Paths::new(list);
        let unknown = |path: &&String| !path.is_empty() && crate::schema::children(path).is_none();
        match paths.taken.iter().chain(&paths.left_out).find(unknown) {
            Some(path) => Err(Error::new(span, "input does not match any value of path")
                .hint(format!("there is no menu /{path}"))),
            None => Ok(()),
        }
    }

    fn take(&self, menu: &Menu) -> bool {
        let below = |top: &String| {
            top.is_empty()
                || menu.path == *top
                || menu.path.strip_prefix(top.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        (self.taken.is_empty() || self.taken.iter().any(below)) && !self.left_out.iter().any(below)
    }
}

fn export_section(
    text: &mut String,
    section: &order::Section<'_>,
    options: &ExportOptions,
    wanted: impl Fn(&Item) -> bool,
) {
    let menu = section.menu;
    let mut first = true;
    // What is made persistent is written again after each command.
    let is_stored = options.sensitive && !options.verbose && !options.terse && menu.kind == Kind::List;
    for (number, item) in section.items.iter().filter(|(_, item)| wanted(item)) {
        if is_stored && item.builtin().is_none() {
            if std::mem::take(&mut first) {
                text.push_str(&menu.blank_path());
                text.push('\n');
            }
            text.push_str(item.written(|| {
                let mut text = String::new();
                if let Some(words) = statement(menu, item, *number, options) {
                    wrap::statement(&mut text, &words);
                }
                text
            }));
            continue;
        }
        let Some(words) = statement(menu, item, *number, options) else { continue };
        if options.terse {
            text.push_str(&menu.blank_path());
            wrap::one_line(text, &words);
            continue;
        }
        if std::mem::take(&mut first) {
            text.push_str(&menu.blank_path());
            text.push('\n');
        }
        wrap::statement(text, &words);
    }
}

/// The words that make an item what it is; None where a fresh router has it so.
fn statement(menu: &'static Menu, item: &Item, number: usize, options: &ExportOptions) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    match (menu.kind, item.builtin()) {
        (Kind::Settings, _) => words.push(Word::plain("set")),
        (_, Some(builtin)) => {
            words.extend([Word::plain("set"), Word::plain(reference(menu, item, number, builtin))]);
        }
        (_, None) => words.push(Word::plain("add")),
    }
    let head = words.len();
    let mut group = "";
    // Both are sorted by name.
    let mut own = item.told().peekable();
    for property in &menu.properties {
        let own = own.next_if(|(name, _)| *name == property.name).map(|(_, value)| value);
        let hidden = property.is_secret() && !options.sensitive;
        if hidden || property.read_only || is_identity(menu, item, property) {
            continue;
        }
        let full = options.verbose && !menu.versions.is_former() && !property.versions.is_former();
        let shown = full || (property.always || property.required) && item.builtin().is_none();
        let lost = has_lost(menu, item, property);
        let shown = shown || lost;
        let default = property.default.as_ref().map(|(_, value)| value);
        let value = match own {
            Some(Value::Unset) => None,
            Some(value) => Some(value),
            None => default.filter(|_| shown),
        };
        match value {
            Some(value) => {
                let mut word = property_word(menu, property, value);
                // A group's name is told once: `remote.address=192.0.2.1 .as=65001`.
                match property.name.split_once('.').filter(|(_, name)| !name.contains('.')) {
                    Some((of, _)) if of == group => word.head = word.head.split_off(of.len()),
                    Some((of, _)) => group = of,
                    None => group = "",
                }
                words.push(word);
            }
            None if lost || full && property.unset || own == Some(&Value::Unset) => {
                words.push(Word::plain(format!("!{}", property.name)))
            }
            None => {}
        }
    }
    (words.len() > head || menu.kind == Kind::List && item.builtin().is_none()).then_some(words)
}

/// How a built-in item is named in `set`.
fn reference(menu: &Menu, item: &Item, number: usize, builtin: u32) -> String {
    // What has an id of its own from the start is named by it.
    let original = |name: &str| menu.defaults.get(usize::try_from(builtin).ok()?)?.get(name).cloned();
    match menu.refer {
        Refer::DefaultName => {
            let name = item.text("default-name").unwrap_or_default();
            format!("[ find default-name={} ]", quote(&name))
        }
        Refer::Default => "[ find default=yes ]".into(),
        Refer::Name if !menu.ports.is_empty() => word(&item.text(menu.identity()).unwrap_or_default()),
        Refer::Name if original(".id").is_some() => item.id().to_string(),
        Refer::Name => match original("name").or_else(|| item.text("name")) {
            Some(name) => word(&name),
            None => number.to_string(),
        },
        Refer::Number => port_number(menu, item).unwrap_or(number).to_string(),
    }
}

/// A name as the first word of a command: `!name` would take a property away.
fn word(name: &str) -> String {
    if name.starts_with('!') { quoted(name) } else { quote(name) }
}

/// The number that a port's name gives it, whether or not all before it are known.
fn port_number(menu: &Menu, item: &Item) -> Option<usize> {
    let name = item.text(menu.identity()).filter(|_| !menu.ports.is_empty())?;
    let number =
        menu.ports.iter().find_map(|prefix| name.strip_prefix(prefix.as_str())?.parse::<usize>().ok())?;
    number.checked_sub(menu.first_port)
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

/// A built-in item had this on a fresh router and has it no longer: it is at the default, or at nothing.
pub(crate) fn has_lost(menu: &Menu, item: &Item, property: &Property) -> bool {
    let fresh = item.builtin().and_then(|number| menu.defaults.get(usize::try_from(number).ok()?));
    menu.kind == Kind::List
        && fresh.and_then(|fresh| fresh.get(&property.name)).is_some_and(|text| {
            let value = property.ty.parse(&property.name, text).ok();
            item.value(&property.name).is_none()
                && value.is_some()
                && item.effective(&property.name) != value.as_ref()
        })
}

fn property_word(menu: &Menu, property: &Property, value: &Value) -> Word {
    match (&property.ty, value) {
        (Type::Switch, Value::Bool(true)) => Word::plain(&property.name),
        // The rights of a group of users are one string to RouterOS.
        _ if menu.path == "user/group" && property.name == "policy" => {
            Word { head: "policy=".into(), value: quoted(&value.to_string()) }
        }
        _ => Word::assign(&property.name, &value.to_string()),
    }
}
