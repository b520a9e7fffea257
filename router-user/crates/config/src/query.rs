//! Item queries: `find` conditions, and items named by name, number or id.

use std::cmp::Ordering;

use crate::ast::Op;
use crate::cond::Cond;
use crate::error::{Error, Span, nearest};
use crate::print::{self, Rows, flags};
use crate::schema::{Lookup, Menu, Property};
use crate::script;
use crate::tree::{INTERFACES, Item, ItemId, Tree, is_port_name};
use crate::value::Value;

/// Flags that can be asked for in every menu.
const FLAGS: [&str; 8] =
    ["dynamic", "invalid", "running", "slave", "active", "inactive", "hw-offload", "bound"];

fn is_flag(menu: &Menu, letters: &str, name: &str) -> bool {
    match name {
        "dynamic" => letters.contains('D'),
        "static" => !letters.contains('D'),
        // Both words stand for one letter.
        "invalid" | "inactive" => letters.contains('I'),
        "hw-offload" => letters.contains('H'),
        _ => flags::words(menu, letters).iter().any(|word| word == name),
    }
}

/// Whether letters say that an item is that; `disabled`, `running`.
pub(crate) fn has(menu: &Menu, letters: &str, name: &str) -> bool {
    is_flag(menu, letters, name)
}

fn has_flag(menu: &Menu, name: &str) -> bool {
    name == "static" || FLAGS.contains(&name) || menu.flags.iter().any(|(_, word)| word == name)
}

/// The items that meet a condition. Asking for a port by its default name makes it exist.
pub(crate) fn select(
    tree: &mut Tree,
    menu: &'static Menu,
    cond: &Cond,
    rows: &dyn Rows,
) -> Result<Vec<ItemId>, Error> {
    if !menu.ports.is_empty() || menu.path == INTERFACES {
        name_ports(tree, menu, cond);
    }
    let mut ids = Vec::new();
    for item in tree.all(menu) {
        if holds(item, menu, cond, rows)? {
            ids.push(item.id());
        }
    }
    for (item, row) in print::others(menu, rows) {
        if holds(&item, menu, cond, &row)? {
            ids.push(item.id());
        }
    }
    if ids.is_empty() && tree.all(menu).is_empty() {
        check(menu, cond)?;
    }
    Ok(ids)
}

fn name_ports(tree: &mut Tree, menu: &'static Menu, cond: &Cond) {
    match cond {
        Cond::All(conds) | Cond::Any(conds) => conds.iter().for_each(|c| name_ports(tree, menu, c)),
        Cond::Compare { name, op: Op::Equal, value: text, .. }
            if name == menu.identity() && !text.is_empty() && !menu.ports.is_empty() =>
        {
            tree.port(menu, text);
        }
        Cond::Compare { name, op: Op::Equal, value: text, .. } if name == "name" => {
            tree.interface_or_port(text);
        }
        _ => {}
    }
}

/// Finds unknown names also where there is no item to try them on.
pub(crate) fn check(menu: &'static Menu, cond: &Cond) -> Result<(), Error> {
    match cond {
        Cond::All(conds) | Cond::Any(conds) => conds.iter().try_for_each(|c| check(menu, c)),
        Cond::Not(cond) => check(menu, cond),
        Cond::Flag(name, span) | Cond::Compare { name, span, .. } => known(menu, name, *span),
    }
}

fn known(menu: &'static Menu, name: &str, span: Span) -> Result<(), Error> {
    if has_flag(menu, name)
        || matches!(name, ".id" | "default" | "builtin")
        || matches!(menu.find_readable(name), Lookup::One(_))
    {
        return Ok(());
    }
    let hint = nearest(name, menu.properties.iter().map(|p| p.name.as_str()))
        .or_else(|| Some(format!("{} has no property {name}", menu.slash_path())));
    Err(Error::new(span, "expected end of command").maybe(hint))
}

pub(crate) fn holds(item: &Item, menu: &'static Menu, cond: &Cond, rows: &dyn Rows) -> Result<bool, Error> {
    Ok(match cond {
        Cond::All(conds) => {
            for cond in conds {
                if !holds(item, menu, cond, rows)? {
                    return Ok(false);
                }
            }
            true
        }
        Cond::Any(conds) => {
            for cond in conds {
                if holds(item, menu, cond, rows)? {
                    return Ok(true);
                }
            }
            false
        }
        Cond::Not(cond) => !holds(item, menu, cond, rows)?,
        Cond::Flag(name, span) => {
            known(menu, name, *span)?;
            match text(item, menu, name, rows) {
                Some(text) => text != "no" && text != "false" && !text.is_empty(),
                None => false,
            }
        }
        Cond::Compare { name, op, value, span } => {
            known(menu, name, *span)?;
            compare(item, menu, name, (*op, value), rows, *span)?
        }
    })
}

/// The text a name has for an item: what is configured, what is known of it at the moment, the default; flags are `yes`
/// or `no`.
fn text(item: &Item, menu: &'static Menu, name: &str, rows: &dyn Rows) -> Option<String> {
    let flag = || Some(if is_flag(menu, &flags::of(item, rows), name) { "yes" } else { "no" }.to_owned());
    match name {
        ".id" => Some(item.id().to_string()),
        "default" | "builtin" => Some(if item.is_builtin() { "yes" } else { "no" }.into()),
        _ if has_flag(menu, name) && menu.property(name).is_none() => flag(),
        _ => match menu.find_readable(name) {
            Lookup::One(property) => shown(item, property, rows),
            _ => Some("no".into()),
        },
    }
}

/// What an item shows for a property.
fn shown(item: &Item, property: &Property, rows: &dyn Rows) -> Option<String> {
    let name = property.name.as_str();
    if let Some(value) = item.value(name) {
        return Some(value.to_string());
    }
    let known = rows.values(item).into_iter().find(|(known, _)| known == name).map(|(_, text)| text);
    known.or_else(|| item.text(name)).or_else(|| match (name, item.effective("address")?) {
        ("network", Value::Prefix(prefix)) => Some(prefix.network().address.to_string()),
        _ => None,
    })
}

/// The same as a value of the property's type; None for what has no text, or one that is not of the type.
fn typed(item: &Item, property: &Property, rows: &dyn Rows) -> Option<Value> {
    match item.value(&property.name) {
        Some(value) => Some(value.clone()),
        None => property.ty.parse(&property.name, &shown(item, property, rows)?).ok(),
    }
}

fn compare(
    item: &Item,
    menu: &'static Menu,
    name: &str,
    (op, wanted): (Op, &str),
    rows: &dyn Rows,
    span: Span,
) -> Result<bool, Error> {
    let have = text(item, menu, name, rows);
    if op == Op::Match {
        let have = script::bytes(&have.unwrap_or_default());
        return script::is_match(&have, &script::bytes(wanted)).map_err(|fault| fault.at(span));
    }
    let special = matches!(name, ".id" | "default" | "builtin") || has_flag(menu, name);
    let typed = match menu.find_readable(name) {
        Lookup::One(property) if !special || menu.property(name).is_some() => {
            let wanted = property.ty.parse(&property.name, wanted).ok();
            typed(item, property, rows).zip(wanted)
        }
        _ => None,
    };
    let order = match &typed {
        Some((have, wanted)) if have == wanted => Some(Ordering::Equal),
        Some((have, wanted)) => rank(have, wanted).filter(|o| *o != Ordering::Equal),
        None => (have.as_deref().unwrap_or_default() == wanted).then_some(Ordering::Equal),
    };
    Ok(match op {
        Op::Equal => order == Some(Ordering::Equal),
        Op::NotEqual => order != Some(Ordering::Equal),
        Op::Less => order == Some(Ordering::Less),
        Op::Greater => order == Some(Ordering::Greater),
        Op::LessEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Op::GreaterEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        _ => false,
    })
}

/// The order of two items by a property: by value where it has one, else by text; what has nothing comes first.
pub(crate) fn order(
    menu: &'static Menu,
    name: &str,
    (a, a_rows): (&Item, &dyn Rows),
    (b, b_rows): (&Item, &dyn Rows),
) -> Ordering {
    let Lookup::One(property) = menu.find_readable(name) else { return a.id().cmp(&b.id()) };
    let ranked = typed(a, property, a_rows).zip(typed(b, property, b_rows)).and_then(|(a, b)| rank(&a, &b));
    ranked.unwrap_or_else(|| shown(a, property, a_rows).cmp(&shown(b, property, b_rows)))
}

fn rank(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
        (Value::Time(a), Value::Time(b)) | (Value::Rate(a), Value::Rate(b)) => Some(a.cmp(b)),
        (Value::Ip(a), Value::Ip(b)) => Some(a.cmp(b)),
        (Value::Prefix(a), Value::Prefix(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

/// What a script reads for a name of an item.
pub(crate) fn value(
    item: &Item,
    menu: &'static Menu,
    name: &str,
    rows: &dyn Rows,
    span: Span,
) -> Result<script::Value, Error> {
    if name == ".id" {
        return Ok(script::Value::Id(item.id().0));
    }
    let state = rows.values(item).into_iter().find(|(known, _)| known == name);
    if let Some((_, text)) = state.filter(|_| item.value(name).is_none()) {
        return Ok(script::from_state(menu, name, &text));
    }
    known(menu, name, span)?;
    let value = match menu.find_readable(name) {
        Lookup::One(property) => match typed(item, property, rows) {
            Some(value) => Some(script::from_config(&value)),
            None => shown(item, property, rows).map(|text| script::Value::str(&text)),
        },
        _ => text(item, menu, name, rows).map(|text| script::Value::Bool(text == "yes")),
    };
    Ok(value.unwrap_or(script::Value::Nothing))
}

/// One written reference to an item: a name, `*1A`, a number, or a range of numbers. Empty where nothing is meant.
pub(crate) fn item(tree: &mut Tree, menu: &'static Menu, text: &str) -> Vec<ItemId> {
    if let Some(id) = tree.named(menu, text) {
        return vec![id];
    }
    if let Some(hex) = text.strip_prefix('*') {
        let id = u32::from_str_radix(hex, 16).ok().map(ItemId);
        return id.filter(|id| tree.get(menu, *id).is_some()).into_iter().collect();
    }
    if let Some(number) = ordinal(text) {
        if let (None, Some(prefix)) =
            (tree.all(menu).get(number), menu.ports.first().filter(|prefix| number < 1024 && *prefix != "*"))
        {
            for n in 0..=number {
                tree.port(menu, &format!("{prefix}{}", n + menu.first_port));
            }
        }
        return tree.all(menu).get(number).map(Item::id).into_iter().collect();
    }
    if let Some((Some(from), Some(to))) = text.split_once('-').map(|(a, b)| (ordinal(a), ordinal(b))) {
        let last = tree.all(menu).len().saturating_sub(1);
        if from <= to && to <= last {
            return tree.all(menu).iter().skip(from).take(to - from + 1).map(Item::id).collect();
        }
        return Vec::new();
    }
    let by_name = tree.all(menu).iter().find(|item| item.text("name").as_deref() == Some(text)).map(Item::id);
    let renamed = menu.interface && tree.renamed_port(text).is_some();
    if by_name.is_none() && is_port_name(menu, text) && !renamed {
        return vec![tree.port(menu, text)];
    }
    by_name.into_iter().collect()
}

fn ordinal(text: &str) -> Option<usize> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}
