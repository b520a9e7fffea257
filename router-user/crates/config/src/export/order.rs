//! The order of an export: what defines names goes before what uses them.
//!
//! RouterOS writes the menus in a fixed order, and an item only after all those that it names. A menu is therefore
//! written twice where its items are tied both ways with another menu's: VLANs on a bond, and a bond over VLANs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::LazyLock;

use super::is_identity;
use crate::schema::{self, Kind, Menu};
use crate::tree::{INTERFACES, Item, ItemId, Tree};
use crate::types::{LISTS, Target};

/// Menus whose items others name, in the order of exports. A path that ends in `/` stands for the menus below it.
const DEFINING: &[&str] = &[
    "caps-man/channel",
    "caps-man/datapath",
    "caps-man/rates",
    "caps-man/security",
    "caps-man/configuration",
    "caps-man/interface",
    "certificate",
    "container/mounts",
    "container/envs",
    "disk",
    "interface/bridge",
    "interface/lte",
    "interface/wifi",
    "interface/wireless",
    "interface/ethernet",
    "interface/ethernet/switch",
    "interface/ethernet/switch/port",
    "interface/w60g",
    "interface/eoip",
    "interface/eoipv6",
    "interface/gre",
    "interface/gre6",
    "interface/ipip",
    "interface/ipipv6",
    "interface/6to4",
    "interface/l2tp-client",
    "interface/l2tp-ether",
    "interface/l2tp-server",
    "interface/ovpn-client",
    "interface/ovpn-server",
    "interface/ppp-client",
    "interface/ppp-server",
    "interface/pppoe-client",
    "interface/pppoe-server",
    "interface/pptp-client",
    "interface/pptp-server",
    "interface/sstp-client",
    "interface/sstp-server",
    "interface/traffic-eng",
    "interface/vpls",
    "interface/wireguard",
    "interface/vxlan",
    "interface/veth",
    "interface/vrrp",
    "interface/vlan",
    "interface/macvlan",
    "interface/bonding",
    "interface/macsec/profile",
    "interface/macsec",
    "interface/mesh",
    "interface/amt",
    "interface/list",
    "interface/lte/apn",
    "interface/wifi/aaa",
    "interface/wifi/channel",
    "interface/wifi/datapath",
    "interface/wifi/interworking",
    "interface/wifi/security",
    "interface/wifi/steering",
    "interface/wifi/configuration",
    "interface/wireless/channels",
    "interface/wireless/security-profiles",
    "iot/lora/servers",
    "ip/dhcp-client/option",
    "ip/dhcp-server",
    "ip/dhcp-server/option",
    "ip/dhcp-server/option/sets",
    "ip/dns/forwarders",
    "ip/firewall/layer7-protocol",
    "ip/hotspot/profile",
    "ip/hotspot/user/profile",
    "ip/hotspot",
    "ip/ipsec/mode-config",
    "ip/ipsec/policy/group",
    "ip/ipsec/profile",
    "ip/ipsec/peer",
    "ip/ipsec/proposal",
    "ip/kid-control",
    "ip/pool",
    "ip/smb/users",
    "ip/vrf",
    "ipv6/dhcp-client/option",
    "ipv6/dhcp-server",
    "ipv6/dhcp-server/option",
    "ipv6/dhcp-server/option/sets",
    "ipv6/pool",
    "mpls/traffic-eng/path",
    "mpls/traffic-eng/tunnel-path",
    "port",
    "ppp/profile",
    "queue/simple",
    "queue/tree",
    "queue/type",
    "routing/bgp/instance",
    "routing/bgp/template",
    "routing/id",
    "routing/isis/instance",
    "routing/ospf/instance",
    "routing/ospf/area",
    "routing/pimsm/instance",
    "routing/rip/instance",
    "routing/table",
    "snmp/community",
    "system/logging/action",
    "user/group",
    "user-manager/limitation",
    "user-manager/profile",
    "user-manager/user/group",
];

/// What goes between those and all the others.
const EARLY: &[&str] = &[
    "app/",
    "caps-man/",
    "certificate/",
    "container/",
    "disk/",
    "interface/bridge/calea",
    "interface/bridge/filter",
    "interface/bridge/nat",
    "interface/bridge/port",
    "interface/bridge/port-controller",
    "interface/bridge/port-extender",
    "interface/bridge/settings",
    "interface/ethernet/switch/l3hw-settings",
    "ip/firewall/connection/tracking",
    "ip/neighbor/discovery-settings",
    "ip/settings",
    "ipv6/settings",
];

/// All menus in export order.
pub(crate) fn ordered_menus() -> impl Iterator<Item = &'static Menu> {
    static ORDER: LazyLock<Vec<&'static Menu>> = LazyLock::new(|| {
        let mut menus: Vec<&'static Menu> = schema::menus().filter(|menu| menu.path != INTERFACES).collect();
        menus.sort_by_cached_key(|menu| {
            let defining = DEFINING.iter().position(|path| *path == menu.path);
            let early = EARLY.iter().any(|path| {
                menu.path == path.trim_end_matches('/') || path.ends_with('/') && menu.path.starts_with(path)
            });
            let zone = if early { usize::MAX - 1 } else { usize::MAX };
            (defining.unwrap_or(zone), menu.blank_path())
        });
        menus
    });
    ORDER.iter().copied()
}

/// Items of one menu that are written together, with their numbers in the menu.
pub(super) struct Section<'t> {
    pub menu: &'static Menu,
    pub items: Vec<(usize, &'t Item)>,
}

/// The items of the menus that `wanted` takes, in the order in which they can be read again.
pub(super) fn sections<'t>(tree: &'t Tree, wanted: impl Fn(&Menu) -> bool) -> Vec<Section<'t>> {
    let mut plan = Plan::default();
    for (rank, menu) in ordered_menus().enumerate().filter(|(_, menu)| wanted(menu)) {
        plan.collect(tree, rank, menu);
    }
    plan.link(tree);
    plan.sections()
}

/// Items that go together: one, or all of a menu whose order has a meaning or which names nothing.
struct Node<'t> {
    rank: usize,
    menu: &'static Menu,
    items: Vec<(usize, &'t Item)>,
    /// Nodes that have to be written before this one.
    waits_for: usize,
    followers: Vec<usize>,
}

#[derive(Default)]
struct Plan<'t> {
    nodes: Vec<Node<'t>>,
    /// Menu index and item -> its node.
    by_item: HashMap<(usize, ItemId), usize>,
}

impl<'t> Plan<'t> {
    fn collect(&mut self, tree: &'t Tree, rank: usize, menu: &'static Menu) {
        let mut items: Vec<(usize, &Item)> = tree.all(menu).iter().enumerate().collect();
        if menu.interface {
            items.sort_by_cached_key(|(_, item)| natural(&item.text("name").unwrap_or_default()));
        }
        let together = menu.ordered || menu.kind == Kind::Settings || !menu.has_references();
        let size = if together { items.len().max(1) } else { 1 };
        for items in items.chunks(size) {
            let node = self.nodes.len();
            self.by_item.extend(items.iter().map(|(_, item)| ((menu.index, item.id()), node)));
            let items = items.to_vec();
            self.nodes.push(Node { rank, menu, items, waits_for: 0, followers: Vec::new() });
        }
    }

    /// Finds out what every node waits for.
    fn link(&mut self, tree: &'t Tree) {
        let mut names = Names { tree, menus: HashMap::new() };
        for at in 0..self.nodes.len() {
            let mut before: BTreeSet<usize> = BTreeSet::new();
            let Some(node) = self.nodes.get(at) else { continue };
            if node.menu.has_references() {
                for (_, item) in &node.items {
                    references(item, &mut |target, name| {
                        let key = names.find(target, name);
                        before
                            .extend(key.and_then(|key| self.by_item.get(&key)).copied().filter(|n| *n != at));
                    });
                }
            }
            for other in &before {
                if let Some(node) = self.nodes.get_mut(*other) {
                    node.followers.push(at);
                }
            }
            if let Some(node) = self.nodes.get_mut(at) {
                node.waits_for = before.len();
            }
        }
    }

    /// Menu after menu writes what it can. The menus of interfaces are gone through again and again, as long as that brings
    /// anything, before what follows them.
    fn sections(mut self) -> Vec<Section<'t>> {
        let mut left: BTreeSet<usize> = (0..self.nodes.len()).collect();
        let mut ready: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.waits_for == 0) {
            ready.entry(node.rank).or_default().insert(at);
        }
        let interfaces: BTreeSet<usize> =
            self.nodes.iter().filter(|node| node.menu.interface).map(|node| node.rank).collect();
        let mut sections: Vec<Section<'t>> = Vec::new();
        let mut rank = 0;
        loop {
            if ready.is_empty() {
                // Items that name each other in a ring: one of them has to begin.
                let Some(first) = left.first().copied() else { return sections };
                let rank = self.nodes.get(first).map_or(0, |node| node.rank);
                ready.entry(rank).or_default().insert(first);
            }
            let round = interfaces.contains(&rank);
            let next = ready.keys().copied().find(|next| round && *next > rank && interfaces.contains(next));
            rank = next.or_else(|| ready.keys().next().copied()).unwrap_or_default();
            for at in ready.remove(&rank).unwrap_or_default() {
                left.remove(&at);
                let Some(node) = self.nodes.get_mut(at) else { continue };
                let (items, followers) =
                    (std::mem::take(&mut node.items), std::mem::take(&mut node.followers));
                match sections.last_mut().filter(|section| section.menu.index == node.menu.index) {
                    Some(section) => section.items.extend(items),
                    None => sections.push(Section { menu: node.menu, items }),
                }
                for follower in followers {
                    let Some(node) = self.nodes.get_mut(follower) else { continue };
                    node.waits_for = node.waits_for.saturating_sub(1);
                    if node.waits_for == 0 && left.contains(&follower) {
                        ready.entry(node.rank).or_default().insert(follower);
                    }
                }
            }
        }
    }
}

/// Calls `found` for every name inside an item that has to exist elsewhere.
fn references(item: &Item, found: &mut dyn FnMut(Target<'_>, &str)) {
    for (name, value) in item.values() {
        if let Some(property) = item.menu().property(name).filter(|property| property.ty.has_references()) {
            property.ty.references(value, &mut |target, name| found(target, name));
        }
    }
}

/// Whether an export has to make an item, or to rename it.
fn is_told(item: &Item) -> bool {
    let menu = item.menu();
    item.builtin().is_none() || menu.property("name").is_some_and(|name| !is_identity(menu, item, name))
}

/// Looks up names; those of a menu are read once.
struct Names<'t> {
    tree: &'t Tree,
    menus: HashMap<usize, HashMap<String, ItemId>>,
}

impl Names<'_> {
    /// The item of that name, unless every router has it from the start under that name.
    fn find(&mut self, target: Target<'_>, name: &str) -> Option<(usize, ItemId)> {
        let interface =
            || self.tree.interface(name).filter(|i| is_told(i)).map(|item| (item.menu().index, item.id()));
        match target {
            Target::Interface => interface(),
            Target::InterfaceOrList => interface().or_else(|| self.find(Target::Menu(LISTS), name)),
            Target::Menu(path) => {
                let menu = schema::menu(path)?;
                let names = self.menus.entry(menu.index).or_insert_with(|| {
                    let told = self.tree.all(menu).iter().filter(|item| is_told(item));
                    told.filter_map(|item| Some((item.text("name")?, item.id()))).collect()
                });
                names.get(name).map(|id| (menu.index, *id))
            }
        }
    }
}

/// Orders `ether2` before `ether10`: parts without digits as text, digits as numbers.
fn natural(name: &str) -> Vec<(String, Option<u64>)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, tail) = rest.split_at(digits);
        let end = tail.find(|c: char| !c.is_ascii_digit()).unwrap_or(tail.len());
        let (number, tail) = tail.split_at(end);
        let number = (!number.is_empty()).then(|| number.parse().unwrap_or(u64::MAX));
        parts.push((text.to_owned(), number));
        rest = tail;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_numbers_stand_in_the_order_of_the_numbers() {
        let mut names = vec!["vlan10@bond1", "wan1", "wan", "vlan2@bond10", "vlan2@bond9", "auth"];
        names.sort_by_cached_key(|name| natural(name));
        assert_eq!(names, ["auth", "vlan2@bond9", "vlan2@bond10", "vlan10@bond1", "wan", "wan1"]);
    }

    #[test]
    fn every_menu_has_one_place() {
        let menus: Vec<&Menu> = ordered_menus().collect();
        assert_eq!(menus.len(), schema::menus().count() - 1);
        let place = |path: &str| menus.iter().position(|menu| menu.path == path);
        for (first, second) in [
            ("interface/bridge", "interface/vlan"),
            ("ip/pool", "interface/bridge/port"),
            ("interface/bridge/port", "interface/list/member"),
            ("ip/address", "ip/route"),
        ] {
            assert!(place(first) < place(second), "{first} {second}");
        }
    }
}
