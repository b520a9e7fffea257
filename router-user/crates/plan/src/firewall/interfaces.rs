//! Interface matchers: names and lists -> the interfaces that are meant.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use config::{Tree, Value};

use super::matches::Fault;
use super::rule::Is;
use crate::ports::Ports;

/// Some interfaces, or all but some.
pub type Set = Is<Arc<BTreeSet<u32>>>;

fn some(set: BTreeSet<u32>) -> Set {
    Is { not: false, value: Arc::new(set) }
}

fn nothing() -> Set {
    some(BTreeSet::new())
}

fn everything() -> Set {
    not(nothing())
}

fn not(set: Set) -> Set {
    Is { not: !set.not, ..set }
}

/// What is in one of both.
fn union(a: &Set, b: &Set) -> Set {
    let (x, y) = (&a.value, &b.value);
    let set: BTreeSet<u32> = match (a.not, b.not) {
        (false, false) => x.union(y).copied().collect(),
        (true, true) => x.intersection(y).copied().collect(),
        (true, false) => x.difference(y).copied().collect(),
        (false, true) => y.difference(x).copied().collect(),
    };
    Is { not: a.not || b.not, value: Arc::new(set) }
}

fn without(a: &Set, b: &Set) -> Set {
    not(union(&not(a.clone()), b))
}

/// Every name that a matcher of interfaces can have.
pub struct Interfaces<'a> {
    tree: &'a Tree,
    ports: &'a Ports<'a>,
    lists: BTreeMap<String, Set>,
    /// Ports of bridges -> the bridge.
    slaves: BTreeMap<String, String>,
}

impl<'a> Interfaces<'a> {
    pub fn read(tree: &'a Tree, ports: &'a Ports<'a>) -> Interfaces<'a> {
        let slaves = tree.items("interface/bridge/port").filter(|item| !item.is_disabled());
        let slaves = slaves.filter_map(|item| Some((item.text("interface")?, item.text("bridge")?)));
        let mut interfaces = Interfaces { tree, ports, lists: BTreeMap::new(), slaves: slaves.collect() };
        let names: Vec<String> = tree.items("interface/list").filter_map(|item| item.text("name")).collect();
        for name in names {
            let set = interfaces.list_set(&name, &mut HashSet::new());
            interfaces.lists.insert(name, set);
        }
        interfaces
    }

    /// A list's members, with those of the lists that it includes, without those that it excludes. A list that comes
    /// back to itself adds nothing there.
    fn list_set(&self, name: &str, open: &mut HashSet<String>) -> Set {
        match name {
            // No interface comes and goes by itself, so that all are static.
            "all" | "static" => return everything(),
            "none" | "dynamic" => return nothing(),
            _ => {}
        }
        if let Some(known) = self.lists.get(name) {
            return known.clone();
        }
        if !open.insert(name.to_owned()) {
            return nothing();
        }
        let members = self
            .tree
            .items("interface/list/member")
            .filter(|item| !item.is_disabled() && item.text("list").as_deref() == Some(name));
        let indices = members.filter_map(|item| self.index(&item.text("interface")?).ok());
        let mut set = some(indices.collect());
        let item = self.tree.items("interface/list").find(|item| item.text("name").as_deref() == Some(name));
        let named = |property: &str| match item.and_then(|item| item.value(property)) {
            Some(Value::List(names)) => names.iter().map(ToString::to_string).collect(),
            Some(other) => vec![other.to_string()],
            None => Vec::new(),
        };
        for included in named("include") {
            set = union(&set, &self.list_set(&included, open));
        }
        for excluded in named("exclude") {
            set = without(&set, &self.list_set(&excluded, open));
        }
        open.remove(name);
        set
    }

    /// The list of that name; None where there is none.
    pub fn list(&self, name: &str) -> Option<Set> {
        self.lists.get(name).cloned()
    }

    /// The interface that an argument names, or a kind of them; an error says why there is none: it has no link here, or
    /// nothing has that name at all.
    pub fn named(&self, argument: &str, name: &str) -> Result<Set, Fault> {
        let kinds: &[&str] = match name {
            "dynamic" => return Ok(nothing()),
            "all-ethernet" => &["interface/ethernet"],
            "all-vlan" => &["interface/vlan"],
            "all-wireless" => &["interface/wireless", "interface/wifi"],
            "all-ppp" => &[
                "interface/pppoe-client",
                "interface/pppoe-server",
                "interface/l2tp-client",
                "interface/l2tp-server",
                "interface/ovpn-client",
                "interface/ovpn-server",
                "interface/ppp-client",
                "interface/ppp-server",
                "interface/pptp-client",
                "interface/pptp-server",
                "interface/sstp-client",
                "interface/sstp-server",
            ],
            _ => {
                let is_configured = self.tree.interface(name).is_some();
                return self.index(name).map(|index| some([index].into())).map_err(|reason| {
                    if is_configured { Fault::Invalid(reason) } else { Fault::unknown(argument) }
                });
            }
        };
        let names = kinds.iter().flat_map(|menu| self.tree.items(menu)).filter_map(|item| item.text("name"));
        Ok(some(names.filter_map(|name| self.index(&name).ok()).collect()))
    }

    /// The bridge whose port this is.
    pub fn master(&self, name: &str) -> Option<&str> {
        self.slaves.get(name).map(String::as_str)
    }

    /// Some bridge that has ports.
    pub fn any_master(&self) -> Option<&str> {
        self.slaves.values().next().map(String::as_str)
    }

    fn index(&self, name: &str) -> Result<u32, String> {
        self.ports.get(name).map(|port| port.link.ifindex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_and_their_complements_join() {
        let (a, b) = (some([1, 2].into()), some([2, 3].into()));
        let has = |set: &Set, index: u32| set.value.contains(&index) != set.not;
        for left in [a.clone(), not(a)] {
            for right in [b.clone(), not(b.clone())] {
                for index in 0..5 {
                    let (l, r) = (has(&left, index), has(&right, index));
                    assert_eq!(has(&union(&left, &right), index), l || r);
                    assert_eq!(has(&without(&left, &right), index), l && !r);
                }
            }
        }
    }
}
