//! The arguments of `print`.

use crate::ast::{Arg, Expr};
use crate::cond::{Cond, constant};
use crate::error::{Error, Errors, Span};
use crate::query;
use crate::schema::{Lookup, Menu};
use crate::tree::{ItemId, Tree};
use crate::value::parse_time;

/// How often `follow` looks.
const FOLLOW_MS: u64 = 1_000;
/// No `interval=` is shorter.
const SHORTEST_MS: u64 = 200;
/// Words that show the items with a flag.
const FLAGS: [&str; 6] = ["active", "disabled", "dynamic", "expired", "invalid", "running"];

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Table,
    Detail,
    Terse,
    ValueList,
    AsValue,
    Count,
}

/// What `print` is to show, and how.
pub(crate) struct Options {
    pub(super) form: Form,
    pub(super) condition: Option<Cond>,
    pub(super) properties: Vec<String>,
    pub(super) show_ids: bool,
    pub(super) stats: bool,
    /// Passwords and keys too.
    pub(super) sensitive: bool,
    /// `static`, `dynamic`, `disabled`: only items with, or without, a flag.
    pub(super) flags: Vec<(&'static str, bool)>,
    /// `from=`: these items only.
    pub(super) from: Option<Vec<ItemId>>,
    /// `order-by=`, `group-by=`: names, and whether the largest comes first.
    pub(super) order: Vec<(String, bool)>,
    pub(super) group: Option<String>,
    /// `follow`, `interval=`: milliseconds until it is to be shown again.
    pub(super) again: Option<u64>,
}

/// Rules with many matchers are shown in detail, everything else as a table.
fn is_wide(menu: &Menu) -> bool {
    menu.columns.is_empty() && menu.ordered && menu.properties.len() > 20
}

/// Reads the arguments. `from=` may create ports that it names.
pub(crate) fn options(tree: &mut Tree, menu: &'static Menu, args: &[Arg]) -> Result<Options, Errors> {
    let is_on = |name: &str| args.iter().any(|arg| arg.name == name && matches!(arg.value, Expr::On));
    let stats = ["stats", "stats-detail", "bytes", "packets", "rate"].into_iter().any(is_on);
    let mut options = Options {
        form: if is_wide(menu) && !stats { Form::Detail } else { Form::Table },
        condition: None,
        properties: Vec::new(),
        show_ids: false,
        stats,
        sensitive: is_on("show-sensitive"),
        flags: FLAGS.into_iter().filter(|name| is_on(name)).map(|name| (name, true)).collect(),
        from: None,
        order: Vec::new(),
        group: None,
        again: None,
    };
    if is_on("static") {
        options.flags.push(("dynamic", false));
    }
    for arg in args {
        match (arg.name.as_str(), &arg.value) {
            ("detail" | "stats-detail", Expr::On) => options.form = Form::Detail,
            ("terse", Expr::On) => options.form = Form::Terse,
            ("value-list", Expr::On) => options.form = Form::ValueList,
            ("as-value", Expr::On) => options.form = Form::AsValue,
            ("brief", Expr::On) => options.form = Form::Table,
            ("count-only", Expr::On) => options.form = Form::Count,
            ("show-ids", Expr::On) => options.show_ids = true,
            ("follow" | "follow-only" | "follow-strict", Expr::On) => {
                options.again = options.again.or(Some(FOLLOW_MS));
            }
            // Said above, or nothing to choose from here.
            (_, Expr::On) => {}
            ("where", condition) => {
                let condition = Cond::new(condition, arg.span)?;
                query::check(menu, &condition)?;
                options.condition = Some(condition);
            }
            ("proplist", value) => {
                options.properties = names(menu, &text(value), "proplist", arg.value_span)?;
            }
            ("order-by", value) => {
                let text = text(value);
                // An exclamation mark turns the order round.
                for name in text.split(',').filter(|name| !name.is_empty()) {
                    let (name, down) = name.strip_prefix('!').map_or((name, false), |name| (name, true));
                    let found = names(menu, name, "order-by", arg.value_span)?;
                    options.order.extend(found.into_iter().map(|name| (name, down)));
                }
            }
            ("group-by", value) => {
                options.group = names(menu, &text(value), "group-by", arg.value_span)?.into_iter().next();
            }
            ("from", value) => {
                let text = text(value);
                let mut ids = Vec::new();
                for part in text.split(',').filter(|part| !part.is_empty()) {
                    let found = query::item(tree, menu, part);
                    if found.is_empty() {
                        return Err(Error::new(arg.value_span, "no such item").into());
                    }
                    ids.extend(found);
                }
                options.from = Some(ids);
            }
            ("interval", value) => {
                let time = constant(value).and_then(|text| parse_time(&text)).ok_or_else(|| {
                    Error::new(arg.value_span, "invalid value for argument interval: time interval required")
                })?;
                options.again = Some(time.max(SHORTEST_MS));
            }
            _ => return Err(Error::new(arg.span, "expected end of command").into()),
        }
    }
    Ok(options)
}

fn text(value: &Expr) -> String {
    constant(value).unwrap_or_default()
}

/// Full names of properties, from a list of them.
fn names(menu: &'static Menu, text: &str, argument: &str, span: Span) -> Result<Vec<String>, Error> {
    text.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| match menu.find_readable(name) {
            _ if name == ".id" => Ok(name.to_owned()),
            Lookup::One(property) => Ok(property.name.clone()),
            _ => Err(Error::new(span, format!("input does not match any value of {argument}"))),
        })
        .collect()
}
