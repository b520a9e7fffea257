//! Dynamic members of address lists as RouterOS lists them.

use std::collections::{BTreeMap, BTreeSet};

use config::{Act, Row, Tree, Value};
use dataplane::{Dataplane, Inspector};
use plan::firewall::rule::name_number;

use crate::daemon::firewall::lasting;
use crate::daemon::firewall::timed::Timed;

/// Names of lists by their numbers: those that an entry or a rule names.
pub fn names(tree: &Tree) -> BTreeMap<u32, String> {
    const PROPERTIES: [&str; 4] = ["address-list", "src-address-list", "dst-address-list", "list"];
    let mut names = BTreeSet::new();
    for menu in
        plan::firewall::MENUS.into_iter().chain(["ip/firewall/address-list", "ipv6/firewall/address-list"])
    {
        for item in tree.items(menu) {
            let texts = PROPERTIES.iter().filter_map(|property| item.text(property));
            names.extend(texts.map(|text| text.trim_start_matches('!').to_owned()));
        }
    }
    names.into_iter().map(|name| (name_number(&name), name)).collect()
}

/// All of them by list and address, of IPv4 and of IPv6.
pub fn rows(plane: &Inspector, tree: &Tree, timed: &Timed) -> anyhow::Result<[Vec<Row>; 2]> {
    let names = names(tree);
    let mut members = plane.members()?;
    // What rules have made entries of the configuration is listed as those.
    let lasting = members.iter().filter(|member| member.lasting);
    let lasting = lasting.map(|member| (member.list, member.address)).collect();
    let configured = lasting::configured(tree, &lasting).enabled;
    members.retain(|member| !member.lasting || !configured.contains(&(member.list, member.address)));
    members.sort_by(|a, b| (names.get(&a.list), a.address).cmp(&(names.get(&b.list), b.address)));
    let row = |member: &dataplane::Member| {
        let address = member.address;
        let mut values = vec![
            ("list", names.get(&member.list).cloned().unwrap_or_else(|| format!("#{:x}", member.list))),
            ("address", address.to_string()),
            ("dynamic", "yes".to_owned()),
        ];
        values.extend(member.left_s.map(|left| ("timeout", Value::Time(u64::from(left) * 1000).to_string())));
        let id = Some(name_number(&format!("{} {address}", member.list)) % Row::IDS);
        let values = values.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        Row { id, flags: "D".to_owned(), values }
    };
    Ok([false, true].map(|v6| {
        let own = members.iter().filter(|member| member.address.is_ipv6() == v6);
        own.map(row).chain(timed.rows(v6)).collect()
    }))
}

/// Takes the members of these rows out of their lists.
pub fn remove(plane: &mut Dataplane, act: &Act) -> anyhow::Result<()> {
    for row in &act.rows {
        let value =
            |name: &str| row.values.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str());
        let list = value("list").map(|name| match name.strip_prefix('#') {
            Some(number) => u32::from_str_radix(number, 16).unwrap_or_else(|_| name_number(name)),
            None => name_number(name),
        });
        if let (Some(list), Some(Ok(address))) = (list, value("address").map(str::parse)) {
            plane.remove_listed(list, address)?;
        }
    }
    Ok(())
}
