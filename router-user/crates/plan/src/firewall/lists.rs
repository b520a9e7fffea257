//! `/ip firewall address-list`: the lists that rules ask.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use config::{Error, Item, Value};

use super::matches::addresses;
use super::rule::{AddressList, Range, name_number, number};
use crate::Plan;
use crate::desired::ListedName;
use crate::facts::Timed;

/// Names of lists, as rules come upon them.
#[derive(Default)]
pub struct Lists {
    pub lists: Vec<AddressList>,
    by_name: HashMap<String, usize>,
}

impl Lists {
    pub fn index(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let index = self.lists.len();
        self.lists.push(AddressList {
            name: name.to_owned(),
            id: name_number(name),
            ..AddressList::default()
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }

    /// Fills the lists in. `added` are the ids of those that rules add to. The addresses of names, and those that rules
    /// have added, are members outside the image.
    pub fn fill(&mut self, plan: &mut Plan<'_>, menu: &str, v6: bool, added: &BTreeSet<u32>) {
        for list in &mut self.lists {
            list.dynamic = added.contains(&list.id) || plan.facts.dynamic_lists.contains(&list.id);
        }
        let mut entries = vec![Vec::new(); self.lists.len()];
        for item in plan.tree.items(menu).filter(|item| !item.is_disabled()) {
            let Some(Value::Text(name)) = item.value("list") else { continue };
            let place = self.by_name.get(name.as_str()).copied();
            match entry(item, v6) {
                Entry::Range(range) => {
                    if let Some(entries) = place.and_then(|index| entries.get_mut(index)) {
                        entries.push(range);
                    }
                }
                Entry::Name(host) => self.name(plan, place, v6, host),
                Entry::Bad(text) => {
                    let message = format!("failure: {text} is not a valid dns name");
                    plan.errors.push(Error::new(item.span().unwrap_or_default(), message));
                }
            }
        }
        let timed = &plan.facts.timed;
        for (list, _, timed) in timed.iter().filter(|(_, own_v6, _)| *own_v6 == v6) {
            let place = self.lists.iter().position(|own| own.id == *list);
            match (timed, place.and_then(|index| entries.get_mut(index))) {
                (Timed::Range(from, to), Some(entries)) => entries.push((number(*from), number(*to))),
                (Timed::Name(host), Some(_)) => self.name(plan, place, v6, host.clone()),
                (_, None) => {}
            }
        }
        for (list, entries) in self.lists.iter_mut().zip(entries) {
            list.entries = Arc::new(entries);
        }
    }

    /// The addresses of a name are to be members.
    fn name(&mut self, plan: &mut Plan<'_>, place: Option<usize>, v6: bool, name: String) {
        if let Some(list) = place.and_then(|index| self.lists.get_mut(index)) {
            list.dynamic = true;
            plan.desired.names.push(ListedName { list: list.id, v6, name });
        }
    }
}

/// What an enabled entry with a timeout makes a member until then.
pub fn timed(item: &Item, v6: bool) -> Option<Timed> {
    item.value("timeout").filter(|_| !item.is_disabled())?;
    let address = |number: u128| match v6 {
        true => IpAddr::V6(number.into()),
        false => IpAddr::V4((number as u32).into()),
    };
    match entry(item, v6) {
        Entry::Range((from, to)) => Some(Timed::Range(address(from), address(to))),
        Entry::Name(name) => Some(Timed::Name(name)),
        Entry::Bad(_) => None,
    }
}

/// What an item makes a member.
enum Entry {
    Range(Range<u128>),
    Name(String),
    Bad(String),
}

fn entry(item: &Item, v6: bool) -> Entry {
    let value = item.value("address");
    let text = item.text("address").unwrap_or_default();
    match value.and_then(|value| addresses(value, v6)) {
        Some(range) => Entry::Range(range),
        None if is_host_name(&text) => Entry::Name(text.to_ascii_lowercase()),
        None => Entry::Bad(text),
    }
}

/// Whether it is a name that can have addresses (RFC 1123, 2.1). What looks like an address is none (RFC 3696, 2).
fn is_host_name(text: &str) -> bool {
    let mut labels = text.strip_suffix('.').unwrap_or(text).split('.');
    let fine = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let numeric = |label: &str| label.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 254 && labels.clone().all(fine) && labels.next_back().is_some_and(|last| !numeric(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_bad_addresses() {
        for name in ["example.com", "example.com.", "a-b.c1", "router", "_sip.example.org", "1.example"] {
            assert!(is_host_name(name), "{name}");
        }
        for other in
            ["192.0.2.9-192.0.2.1", "192.0.2.256", "192.0.2.0/33", "", ".", "a..b", "a b.c", "2001:db8::g"]
        {
            assert!(!is_host_name(other), "{other}");
        }
    }
}
