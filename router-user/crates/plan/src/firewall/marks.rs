//! Names of marks and the numbers that packets and connections carry in their place.

use std::collections::{BTreeMap, BTreeSet};

use router_common::maps::rule::{MARK_NAME_BYTES, MARKS_MAX};

/// Numbers of marks by [`key`]. A name keeps its number while the data plane lives, since connections keep it as well.
#[derive(Debug)]
pub struct Marks {
    known: BTreeMap<String, u32>,
    taken: BTreeSet<u32>,
}

impl Marks {
    pub fn new(known: &BTreeMap<String, u32>) -> Marks {
        Marks { known: known.clone(), taken: known.values().copied().collect() }
    }

    /// The number of a mark; 0 for `no-mark`. None where there are too many.
    pub fn number(&mut self, name: &str) -> Option<u32> {
        if name == "no-mark" {
            return Some(0);
        }
        let key = key(name);
        if let Some(number) = self.known.get(&key) {
            return Some(*number);
        }
        let number = (1..MARKS_MAX).find(|number| !self.taken.contains(number))?;
        self.taken.insert(number);
        self.known.insert(key, number);
        Some(number)
    }

    pub fn into_numbers(self) -> BTreeMap<String, u32> {
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
    format!("{}#{:08x}", &name[..end], super::rule::name_number(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_keeps_its_number_and_a_new_one_gets_a_free_one() {
        let known = BTreeMap::from([("wan1".to_owned(), 1), ("wan2".to_owned(), 3)]);
        let mut marks = Marks::new(&known);
        let numbers = ["wan2", "new", "no-mark", "other", "new", "wan1"].map(|name| marks.number(name).unwrap());
        assert_eq!(numbers, [3, 2, 0, 4, 2, 1]);
        assert_eq!(marks.into_numbers().len(), 4);
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
        let mut marks = Marks::new(&BTreeMap::new());
        let numbers: BTreeSet<_> = (1..MARKS_MAX).map(|n| marks.number(&n.to_string()).unwrap()).collect();
        assert_eq!(numbers.len(), MARKS_MAX as usize - 1);
        assert_eq!(marks.number("one more"), None);
        assert_eq!(marks.number("7"), Some(7));
    }
}
