//! Numbers that packets and connections carry in place of names: of marks, of routing tables.

use std::collections::{BTreeMap, BTreeSet};

use router_common::maps::rule::MARK_NAME_BYTES;

use crate::firewall::rule::name_number;

/// Numbers by [`key`]. A name keeps its number while the data plane lives, since connections keep it as well.
#[derive(Debug)]
pub struct Numbers {
    known: BTreeMap<String, u32>,
    taken: BTreeSet<u32>,
    /// The highest number.
    last: u32,
}

impl Numbers {
    pub fn new(known: &BTreeMap<String, u32>, last: u32) -> Numbers {
        Numbers { known: known.clone(), taken: known.values().copied().collect(), last }
    }

    /// The number of a name, from 1 on. None where there are too many.
    pub fn of(&mut self, name: &str) -> Option<u32> {
        let key = key(name);
        if let Some(number) = self.known.get(&key) {
            return Some(*number);
        }
        let number = (1..=self.last).find(|number| !self.taken.contains(number))?;
        self.taken.insert(number);
        self.known.insert(key, number);
        Some(number)
    }

    pub fn into_known(self) -> BTreeMap<String, u32> {
        self.known
    }
}

/// The name as far as the data plane keeps it; one that is too long ends with a hash of all of it.
fn key(name: &str) -> String {
    const HASH_BYTES: usize = 9;
    if name.len() <= MARK_NAME_BYTES {
        return name.to_owned();
    }
    let end = (0..=MARK_NAME_BYTES - HASH_BYTES).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    format!("{}#{:08x}", name.get(..end).unwrap_or_default(), name_number(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_a_new_one_gets_a_free_one() {
        let known = BTreeMap::from([("wan1".to_owned(), 1), ("wan2".to_owned(), 3)]);
        let mut numbers = Numbers::new(&known, 100);
        let given = ["wan2", "new", "other", "new", "wan1"].map(|name| numbers.of(name).unwrap());
        assert_eq!(given, [3, 2, 4, 2, 1]);
        assert_eq!(numbers.into_known().len(), 4);
    }

    #[test]
    fn long_names_that_begin_alike_are_told_apart() {
        let (a, b) = (format!("{}a", "é".repeat(40)), format!("{}b", "é".repeat(40)));
        assert_ne!(key(&a), key(&b));
        assert!(key(&a).len() <= MARK_NAME_BYTES && key(&a).starts_with("é"));
        assert_eq!(key("short"), "short");
    }

    #[test]
    fn there_are_only_so_many() {
        let mut numbers = Numbers::new(&BTreeMap::new(), 9);
        let given: BTreeSet<_> = (0..9).map(|n| numbers.of(&n.to_string()).unwrap()).collect();
        assert_eq!(given, (1..=9).collect());
        assert_eq!(numbers.of("one more"), None);
        assert_eq!(numbers.of("7"), Some(8));
    }
}
