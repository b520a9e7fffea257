//! `/ip firewall address-list`: the lists that rules ask.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use config::{Error, Item, Value};

use super::matches::addresses;
use super::rule::{AddressList, Range, name_number};
use crate::Plan;
use crate::desired::ListedName;

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

    /// Fills the lists in. `added` are the ids of those that rules add to. The addresses of names, and what has a
    /// timeout, are members outside the image.
    pub fn fill(&mut self, plan: &mut Plan<'_>, menu: &str, v6: bool, added: &BTreeSet<u32>) {
        for list in &mut self.lists {
            list.dynamic = added.contains(&list.id) || plan.facts.dynamic_lists.contains(&list.id);
        }
        let mut entries = vec![Vec::new(); self.lists.len()];
        for item in plan.tree.items(menu).filter(|item| !item.is_disabled()) {
            let Some(Value::Text(name)) = item.value("list") else { continue };
            let place = self.by_name.get(name.as_str()).copied();
            match entry(item, v6) {
                Entry::Static(range) => {
                    if let Some(entries) = place.and_then(|index| entries.get_mut(index)) {
                        entries.push(range);
                    }
                }
                Entry::Timed(from, to) if to - from < TIMED_MAX => self.set_dynamic(place),
                Entry::Timed(..) => {
                    plan.gap(menu, item, &format!("the timeout of more than {TIMED_MAX} addresses"));
                }
                Entry::Name(host) => {
                    self.set_dynamic(place);
                    if place.is_some() {
                        plan.desired.names.push(ListedName { list: name_number(name), v6, name: host });
                    }
                }
                Entry::TimedName => plan.gap(menu, item, "the timeout of a name"),
                Entry::Bad(text) => {
                    let message = format!("failure: {text} is not a valid dns name");
                    plan.errors.push(Error::new(item.span().unwrap_or_default(), message));
                }
            }
        }
        for (list, entries) in self.lists.iter_mut().zip(entries) {
            list.entries = Arc::new(entries);
        }
    }

    fn set_dynamic(&mut self, place: Option<usize>) {
        if let Some(list) = place.and_then(|index| self.lists.get_mut(index)) {
            list.dynamic = true;
        }
    }
}

/// Addresses of one entry with a timeout at most: each is a member by itself.
const TIMED_MAX: u128 = 4096;

/// The addresses that an entry makes members until its timeout.
pub fn timed(item: &Item, v6: bool) -> Option<Vec<IpAddr>> {
    let Entry::Timed(from, to) = entry(item, v6) else { return None };
    let address = |number: u128| match v6 {
        true => IpAddr::V6(number.into()),
        false => IpAddr::V4((number as u32).into()),
    };
    (!item.is_disabled() && to - from < TIMED_MAX).then(|| (from..=to).map(address).collect())
}

/// What an item makes a member.
enum Entry {
    Static(Range<u128>),
    Timed(u128, u128),
    Name(String),
    TimedName,
    Bad(String),
}

fn entry(item: &Item, v6: bool) -> Entry {
    let value = item.value("address");
    let whole = value.and_then(|value| addresses(value, v6));
    let text = item.text("address").unwrap_or_default();
    match (whole, item.value("timeout")) {
        (Some(range), None) => Entry::Static(range),
        (Some((from, to)), Some(_)) => Entry::Timed(from, to),
        (None, _) if !is_host_name(&text) => Entry::Bad(text),
        (None, None) => Entry::Name(text.to_ascii_lowercase()),
        (None, Some(_)) => Entry::TimedName,
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
