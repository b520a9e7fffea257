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

/// Takes them out of a configuration. What is disabled stays, and what is too many addresses.
pub fn take(tree: &mut Tree) -> anyhow::Result<Vec<Member>> {
    let mut members = Vec::new();
    for (v6, menu) in [false, true].into_iter().zip(MENUS) {
        let timed = tree.items(menu).filter_map(|item| Some((item.id().0, of(item, v6)?)));
        let (ids, found): (Vec<u32>, Vec<Vec<Member>>) = timed.unzip();
        members.extend(found.into_iter().flatten());
        if !ids.is_empty() {
            let ids: Vec<String> = ids.iter().map(|id| format!("*{id:X}")).collect();
            config::run(tree, &format!("/{menu} remove {}", ids.join(",")))
                .map_err(|errors| anyhow!("take dynamic members out of the configuration: {errors}"))?;
        }
    }
    Ok(members)
}

/// The members that an entry makes.
fn of(item: &Item, v6: bool) -> Option<Vec<Member>> {
    let Some(Value::Time(ms)) = item.value("timeout") else { return None };
    let seconds = u32::try_from(ms.div_ceil(1000)).unwrap_or(u32::MAX - 1).max(1);
    let list = name_number(&item.text("list")?);
    let addresses = plan::firewall::timed(item, v6)?;
    Some(addresses.into_iter().map(|address| Member { list, address, seconds }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_a_timeout_are_taken_out() {
        let text = "/ip firewall address-list\n\
             add list=a address=192.0.2.1 timeout=1m\n\
             add list=a address=192.0.2.2\n\
             add list=a address=192.0.2.3/32 timeout=1500ms\n\
             add list=a address=192.0.2.64/31 timeout=1m\n\
             add list=a address=198.51.100.255-198.51.101.0 timeout=1m\n\
             add list=a address=10.0.0.0/19 timeout=1m\n\
             add list=a address=192.0.2.4 timeout=1m disabled=yes\n\
             /ipv6 firewall address-list\n\
             add list=b address=2001:db8::1 timeout=1h\n\
             add list=b address=2001:db8::2/127 timeout=1h\n";
        let mut tree = config::import(&Tree::new(), text).unwrap().tree;
        let taken = take(&mut tree).unwrap();
        let member = |list, address: &str, seconds| Member {
            list: name_number(list),
            address: address.parse().unwrap(),
            seconds,
        };
        assert_eq!(
            taken,
            [
                member("a", "192.0.2.1", 60),
                member("a", "192.0.2.3", 2),
                member("a", "192.0.2.64", 60),
                member("a", "192.0.2.65", 60),
                member("a", "198.51.100.255", 60),
                member("a", "198.51.101.0", 60),
                member("b", "2001:db8::1", 3600),
                member("b", "2001:db8::2", 3600),
                member("b", "2001:db8::3", 3600),
            ]
        );
        let left: Vec<String> = tree.items(MENUS[0]).filter_map(|item| item.text("address")).collect();
        assert_eq!(left, ["192.0.2.2", "10.0.0.0/19", "192.0.2.4"]);
        assert_eq!(tree.items(MENUS[1]).count(), 0);
        assert!(take(&mut tree).unwrap().is_empty());
    }
}
