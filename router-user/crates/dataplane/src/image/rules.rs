//! The rules of a slot: one array per slot, filled through memory before it is the active one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use aya::maps::{Array, ArrayOfMaps, MapData, MapError};
use plan::desired::RuleImage;
use router_common::maps::image::{Cell, HEADER, IMAGES, Record, Rule, header, root, word};
use router_common::maps::rule::FASTTRACK_SLOTS;

use crate::Error;
use crate::mapped::Mapped;
use crate::pin::{self, Pins};

/// `BPF_F_MMAPABLE | BPF_F_INNER_MAP` of include/uapi/linux/bpf.h.
const FLAGS: u32 = 1 << 10 | 1 << 12;

type Outer = ArrayOfMaps<MapData, Array<MapData, Cell>>;

/// The arrays of both slots.
pub struct Images {
    outer: Outer,
    slots: [Option<Mapped<Cell>>; 2],
}

impl Images {
    pub fn open(pins: &Pins) -> Result<Images, Error> {
        let outer: Outer = crate::maps::typed(pins, IMAGES)?;
        let slots = [inner(pins, &outer, 0)?, inner(pins, &outer, 1)?];
        Ok(Images { outer, slots })
    }

    /// The cells of a slot; empty where it has no rules.
    pub fn read(&self, slot: u32) -> Vec<Cell> {
        let Some(mapped) = self.slots.get(slot as usize).and_then(Option::as_ref) else { return Vec::new() };
        let Some(top) = mapped.read(HEADER) else { return Vec::new() };
        mapped.read_all(word(&top, header::CELLS as u32))
    }

    /// Fills the idle slot. Its array is used again where the cells fit it and it is not much too large: to put another
    /// in its place waits for a grace period of the kernel.
    pub fn write(&mut self, pins: &Pins, slot: u32, cells: &[Cell]) -> Result<(), Error> {
        const LEAST: usize = 1024;
        let Some(place) = self.slots.get_mut(slot as usize) else { return Ok(()) };
        let wanted = cells.len().max(LEAST);
        let fits = |mapped: &Mapped<Cell>| (wanted..=4 * wanted).contains(&(mapped.len() as usize));
        if cells.is_empty() && place.is_none() {
            return Ok(());
        }
        if !place.as_ref().is_some_and(fits) {
            let room = u32::try_from(wanted + wanted / 4).unwrap_or(u32::MAX);
            let array = Array::create(room, FLAGS).map_err(Error::map(IMAGES))?;
            self.outer.set(slot, &array, 0).map_err(Error::map(IMAGES))?;
            *place = inner(pins, &self.outer, slot)?;
        }
        if let Some(mapped) = place {
            mapped.write_all(cells);
            if cells.is_empty() {
                // A header without families: no chain has rules.
                mapped.write(HEADER, &[0; 8]);
            }
        }
        Ok(())
    }
}

/// The array that stands in a slot. Opening it by its id is not offered: by a pin that is gone at once, it can be mapped.
fn inner(pins: &Pins, outer: &Outer, slot: u32) -> Result<Option<Mapped<Cell>>, Error> {
    let array = match outer.get(&slot, 0) {
        Ok(array) => array,
        Err(MapError::KeyNotFound) => return Ok(None),
        Err(error) => return Err(Error::map(IMAGES)(error)),
    };
    let path = pins.map(&format!("{IMAGES}-{slot}-{}", std::process::id()));
    pin::remove(&path)?;
    array.pin(&path).map_err(|source| Error::Pin { path: path.clone(), source })?;
    let data = MapData::from_pin(&path).map_err(Error::map(IMAGES));
    pin::remove(&path)?;
    Mapped::new(IMAGES, &data?).map(Some)
}

/// A rule of an image, as far as counters are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub key: u64,
    pub text: u64,
    pub slot: u32,
}

/// The rules of an image in their order, IPv4 first.
pub fn known(cells: &[Cell]) -> Vec<Known> {
    let cell = |index: u32| cells.get(index as usize);
    let Some(top) = cell(HEADER) else { return Vec::new() };
    let roots = [header::ROOT4, header::ROOT6].map(|place| word(top, place as u32));
    roots
        .into_iter()
        .filter_map(|first| cell(first.checked_add(1)?))
        .flat_map(|words| {
            let first = word(words, root::RULES as u32);
            first..first.saturating_add(word(words, root::COUNT as u32))
        })
        .filter_map(cell)
        .map(|cell| {
            let rule = Rule::of(cell);
            Known { key: rule.key, text: rule.text, slot: rule.slot }
        })
        .collect()
}

/// Gives every rule its slot. A rule keeps the slot that it has in the active image: the same rule is first the one that
/// is written the same in the same menu, of several the one with the same id, then the one with the same id alone.
/// `taken` are slots that must not be given away yet. Gives the cells and the slots that are new.
pub fn with_slots(
    image: &RuleImage,
    active: &[Known],
    taken: &BTreeSet<u32>,
) -> Result<(Vec<Cell>, Vec<u32>), Error> {
    let mut by_text: BTreeMap<(u64, u64), VecDeque<Known>> = BTreeMap::new();
    let mut by_key: BTreeMap<u64, Known> = BTreeMap::new();
    for known in active {
        by_text.entry((known.key >> 32, known.text)).or_default().push_back(*known);
        by_key.insert(known.key, *known);
    }
    let mut slots: Vec<Option<u32>> = vec![None; image.rules.len()];
    // Three passes, from the surest to the least sure.
    for (slot, rule) in slots.iter_mut().zip(&image.rules) {
        let key = rule.key.number();
        if let Some(same) = by_key.get(&key).filter(|known| known.text == rule.text) {
            *slot = Some(same.slot);
            if let Some(alike) = by_text.get_mut(&(key >> 32, rule.text)) {
                alike.retain(|known| known.key != key);
            }
            by_key.remove(&key);
        }
    }
    for (slot, rule) in slots.iter_mut().zip(&image.rules).filter(|(slot, _)| slot.is_none()) {
        let alike = by_text.get_mut(&(rule.key.number() >> 32, rule.text));
        if let Some(known) = alike.and_then(VecDeque::pop_front) {
            *slot = Some(known.slot);
            by_key.remove(&known.key);
        }
    }
    for (slot, rule) in slots.iter_mut().zip(&image.rules).filter(|(slot, _)| slot.is_none()) {
        *slot = by_key.remove(&rule.key.number()).map(|known| known.slot);
    }
    let mut used: BTreeSet<u32> =
        active.iter().map(|known| known.slot).chain(taken.iter().copied()).collect();
    let mut next = 0;
    let mut fresh = Vec::new();
    let mut cells = image.cells.clone();
    for (slot, rule) in slots.into_iter().zip(&image.rules) {
        let slot = match slot {
            Some(slot) => slot,
            None => {
                while used.contains(&next) {
                    next += 1;
                }
                if next >= FASTTRACK_SLOTS {
                    return Err(Error::TooManyRules(FASTTRACK_SLOTS));
                }
                used.insert(next);
                fresh.push(next);
                next
            }
        };
        if let Some(cell) = cells.get_mut(rule.cell as usize) {
            let mut rule = *Rule::of(cell);
            rule.slot = slot;
            *cell = rule.cell();
        }
    }
    Ok((cells, fresh))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plan::desired::PlacedRule;
    use plan::firewall::rule::RuleKey;

    fn image(rules: &[(u32, u64)]) -> RuleImage {
        let cells = vec![[0; 8]; rules.len()];
        let placed = rules.iter().enumerate().map(|(place, (item, text))| PlacedRule {
            key: RuleKey { menu: 0, item: *item },
            text: *text,
            cell: place as u32,
            index: place as u32,
        });
        RuleImage { cells, rules: placed.collect() }
    }

    fn slots(rules: &[(u32, u64)], active: &[(u32, u64, u32)]) -> (Vec<u32>, Vec<u32>) {
        let active: Vec<Known> = active
            .iter()
            .map(|(item, text, slot)| Known { key: (*item).into(), text: *text, slot: *slot })
            .collect();
        let (cells, fresh) = with_slots(&image(rules), &active, &BTreeSet::new()).unwrap();
        (cells.iter().map(|cell| Rule::of(cell).slot).collect(), fresh)
    }

    const ACTIVE: [(u32, u64, u32); 3] = [(1, 10, 5), (2, 20, 6), (3, 20, 7)];

    #[test]
    fn an_edited_rule_keeps_its_slot_and_a_new_one_gets_another() {
        assert_eq!(slots(&[(1, 11), (2, 20), (3, 20)], &ACTIVE), (vec![5, 6, 7], vec![]));
        assert_eq!(slots(&[(1, 10), (9, 90), (2, 20), (3, 20)], &ACTIVE), (vec![5, 0, 6, 7], vec![0]));
    }

    #[test]
    fn rules_with_new_ids_are_known_by_how_they_are_written() {
        // A file that was applied again, with one rule more at its beginning.
        assert_eq!(slots(&[(1, 5), (2, 10), (3, 20), (4, 20)], &ACTIVE), (vec![0, 5, 7, 6], vec![0]));
        assert_eq!(slots(&[(41, 10), (42, 20), (43, 20)], &ACTIVE), (vec![5, 6, 7], vec![]));
    }

    #[test]
    fn of_rules_written_alike_the_removed_one_is_that_with_its_id() {
        assert_eq!(slots(&[(1, 10), (3, 20)], &ACTIVE), (vec![5, 7], vec![]));
    }

    #[test]
    fn slots_end() {
        let active = [Known { key: 0, text: 0, slot: 0 }];
        let taken = (1..FASTTRACK_SLOTS).collect();
        assert!(with_slots(&image(&[(1, 1)]), &active, &taken).is_err());
    }
}
