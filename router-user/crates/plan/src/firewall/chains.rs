//! Chains of one table: who jumps where.

use std::collections::BTreeMap;

use config::{Error, Item};
use router_common::maps::image::DEPTH_MAX;

/// The chains of one table and the jumps between them.
#[derive(Default)]
pub struct Jumps<'a> {
    from: BTreeMap<String, Vec<(String, &'a Item)>>,
}

impl<'a> Jumps<'a> {
    pub fn add(&mut self, chain: &str, target: &str, item: &'a Item) {
        self.from.entry(chain.to_owned()).or_default().push((target.to_owned(), item));
    }

    /// Loops, and chains that go deeper than a walk can: one error for each jump that is to blame.
    pub fn check(&self, errors: &mut Vec<Error>) {
        let mut depths = BTreeMap::new();
        for chain in self.from.keys() {
            self.depth(chain, &mut Vec::new(), &mut depths, errors);
        }
    }

    /// How many jumps follow each other from a chain on.
    fn depth(
        &self,
        chain: &str,
        open: &mut Vec<String>,
        depths: &mut BTreeMap<String, usize>,
        errors: &mut Vec<Error>,
    ) -> usize {
        if let Some(known) = depths.get(chain) {
            return *known;
        }
        let mut deepest = 0;
        open.push(chain.to_owned());
        for (target, item) in self.from.get(chain).into_iter().flatten() {
            let span = item.span().unwrap_or_default();
            if open.contains(target) {
                errors.push(Error::new(
                    span,
                    format!("failure: jump loop: chain {target} comes back to itself"),
                ));
                continue;
            }
            let depth = 1 + self.depth(target, open, depths, errors);
            if depth == DEPTH_MAX + 1 {
                errors.push(Error::new(
                    span,
                    format!("failure: more than {DEPTH_MAX} jumps follow each other"),
                ));
            }
            deepest = deepest.max(depth);
        }
        open.pop();
        depths.insert(chain.to_owned(), deepest);
        deepest
    }
}
