//! Entries of address lists with a timeout: dynamic members, which are no part of the configuration.

use std::net::IpAddr;

use anyhow::anyhow;
use config::{Item, Tree, Value};
use plan::firewall::rule::name_number;

pub const MENUS: [&str; 2] = ["ip/firewall/address-list", "ipv6/firewall/address-list"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Id of the list.
    pub list: u32,
    pub address: IpAddr,
    pub seconds: u32,
}

/// Takes them out of a configuration. What is disabled, and what is more than one address, stays.
pub fn take(tree: &mut Tree) -> anyhow::Result<Vec<Member>> {
    let mut members = Vec::new();
    for menu in MENUS {
        let timed = tree.items(menu).filter_map(|item| Some((item.id().0, member(item)?)));
        let (ids, found): (Vec<u32>, Vec<Member>) = timed.unzip();
        members.extend(found);
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(|id| format!("*{id:X}")).collect();
            config::run(tree, &format!("/{menu} remove {}", ids.join(",")))
                .map_err(|errors| anyhow!("take dynamic members out of the configuration: {errors}"))?;
        }
    }
    Ok(members)
}

fn member(item: &Item) -> Option<Member> {
    let Some(Value::Time(ms)) = item.value("timeout") else { return None };
    let seconds = u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX - 1).max(1);
    let address = match item.value("address")? {
        Value::Prefix(prefix) if prefix.length == whole(prefix.address) => prefix.address,
        Value::Prefix(_) => return None,
        other => other.to_string().parse().ok()?,
    };
    let list = name_number(&item.text("list")?);
    (!item.is_disabled()).then_some(Member { list, address, seconds })
}

fn whole(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_addresses_with_a_timeout_are_taken_out() {
        let text = "/ip firewall address-list\n\
             add list=a address=192.0.2.1 timeout=1m\n\
             add list=a address=192.0.2.2\n\
             add list=a address=192.0.2.3/32 timeout=1500ms\n\
             add list=a address=192.0.2.64/26 timeout=1m\n\
             add list=a address=192.0.2.4 timeout=1m disabled=yes\n\
             /ipv6 firewall address-list\n\
             add list=b address=2001:db8::1 timeout=1h\n";
        let mut tree = config::import(&Tree::new(), text).unwrap().tree;
        let taken = take(&mut tree).unwrap();
        let member = |list, address: &str, seconds| Member {
            list: name_number(list),
            address: address.parse().unwrap(),
            seconds,
        };
        assert_eq!(
            taken,
            [member("a", "192.0.2.1", 60), member("a", "192.0.2.3", 2), member("b", "2001:db8::1", 3600)]
        );
        let left: Vec<String> = tree.items(MENUS[0]).filter_map(|item| item.text("address")).collect();
        assert_eq!(left, ["192.0.2.2", "192.0.2.64/26", "192.0.2.4"]);
        assert_eq!(tree.items(MENUS[1]).count(), 0);
        assert!(take(&mut tree).unwrap().is_empty());
    }
}
