//! `/ip firewall address-list`: the lists that rules ask.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use config::Value;

use super::matches::addresses;
use super::rule::{AddressList, name_number};
use crate::Plan;

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

    /// Fills the lists in. `added` are the ids of those that rules add to.
    pub fn fill(&mut self, plan: &mut Plan<'_>, menu: &str, v6: bool, added: &BTreeSet<u32>) {
        for list in &mut self.lists {
            list.dynamic = added.contains(&list.id);
        }
        let mut entries = vec![Vec::new(); self.lists.len()];
        for item in plan.tree.items(menu).filter(|item| !item.is_disabled()) {
            let Some(Value::Text(name)) = item.value("list") else { continue };
            let whole = item.value("address").and_then(|value| addresses(value, v6));
            let (Some(range), None) = (whole, item.value("timeout")) else {
                let what = if whole.is_some() { "timeout" } else { "a name instead of an address" };
                plan.gap(menu, item, what);
                continue;
            };
            if let Some(entries) = self.by_name.get(name.as_str()).and_then(|index| entries.get_mut(*index)) {
                entries.push(range);
            }
        }
        for (list, entries) in self.lists.iter_mut().zip(entries) {
            list.entries = Arc::new(entries);
        }
    }
}
