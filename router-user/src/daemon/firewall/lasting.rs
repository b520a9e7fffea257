//! `address-list-timeout=none-static`: what a rule puts into a list becomes an entry of the configuration. It stays a
//! member in the data plane as well, so that the rule need not add it again, and goes from there with the entry.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::IpAddr;

use config::{Item, Tree, Value};
use plan::firewall::rule::name_number;

use super::keeper::Listed;
use super::timed::MENUS;

/// Those of some members that have an entry of their own.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Configured {
    pub enabled: BTreeSet<Listed>,
    pub disabled: BTreeSet<Listed>,
}

/// Which of these members the configuration has.
pub fn configured(tree: &Tree, members: &BTreeSet<Listed>) -> Configured {
    let mut configured = Configured::default();
    if members.is_empty() {
        return configured;
    }
    for item in MENUS.into_iter().flat_map(|menu| tree.items(menu)) {
        let Some(member) = member(item).filter(|member| members.contains(member)) else { continue };
        let set = if item.is_disabled() { &mut configured.disabled } else { &mut configured.enabled };
        set.insert(member);
    }
    configured
}

/// The member that an entry of a single address makes.
fn member(item: &Item) -> Option<Listed> {
    let address = match item.value("address")? {
        Value::Ip(address) => *address,
        Value::Prefix(prefix) if prefix.is_single() => prefix.address,
        _ => return None,
    };
    match item.value("list")? {
        Value::Text(list) => Some((name_number(list), address)),
        _ => None,
    }
}

/// The lines that make them entries. `names` are those of the lists, by their numbers; what is of no known list is left
/// out.
pub fn lines(members: &BTreeSet<Listed>, names: &BTreeMap<u32, String>) -> String {
    let mut text = String::new();
    for (list, address) in members {
        let Some(list) = names.get(list) else { continue };
        let menu = if matches!(address, IpAddr::V4(_)) { MENUS[0] } else { MENUS[1] };
        // Writing to a string can't fail.
        let _ = writeln!(text, "/{menu} add list={} address={address}", config::quoted(list));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_become_entries_once() {
        let member = |list, address: &str| (name_number(list), address.parse::<IpAddr>().unwrap());
        let members = BTreeSet::from([
            member("bad guys", "192.0.2.1"),
            member("bad guys", "192.0.2.2"),
            member("b", "192.0.2.3"),
            member("b", "2001:db8::1"),
            member("gone", "192.0.2.4"),
        ]);
        let names = ["bad guys", "b"].map(|name| (name_number(name), name.to_owned())).into();
        let text = "/ip firewall address-list\nadd list=\"bad guys\" address=192.0.2.1\n\
                    add list=b address=192.0.2.3/32 disabled=yes\nadd list=b address=192.0.2.2";
        let tree = config::import(&Tree::new(), text).unwrap().tree;
        let found = configured(&tree, &members);
        assert_eq!(found.enabled, BTreeSet::from([member("bad guys", "192.0.2.1")]));
        assert_eq!(found.disabled, BTreeSet::from([member("b", "192.0.2.3")]));
        let rest = &(&members - &found.enabled) - &found.disabled;
        let tree = config::import(&tree, &lines(&rest, &names)).unwrap().tree;
        assert_eq!(configured(&tree, &rest).enabled, &rest - &BTreeSet::from([member("gone", "192.0.2.4")]));
        assert_eq!(tree.items(MENUS[1]).count(), 1);
    }
}
