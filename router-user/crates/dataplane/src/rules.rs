//! What rules count and keep: counters by rule and by path, dynamic members of lists, what is logged.

use std::collections::{BTreeMap, HashMap as StdHashMap};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{HashMap, MapData, MapError, PerCpuArray, PerCpuValues, RingBuf};
use router_common::hash;
use router_common::maps::counter::Counter;
use router_common::maps::rule::{
    LIST_EPOCHS, LISTED, Listed, ListedKey, Logged, MARK_NAME_BYTES, MARKS, MarkName, PATH_COUNTERS,
    PATH_NEXT, PATHS, PATHS_MAX, PathKey, RULE_BASE, RULE_COUNTERS, RULE_LOG, TABLES,
};

use crate::mapped::{Mapped, as_bytes, from_bytes};
use crate::maps::{add, typed};
use crate::object::possible_cpus;
use crate::pin::Pins;
use crate::{Error, Inspector};

type CounterBytes = [u8; size_of::<Counter>()];
type PathKeyBytes = [u8; size_of::<PathKey>()];
type ListedKeyBytes = [u8; size_of::<ListedKey>()];
type ListedBytes = [u8; size_of::<Listed>()];

/// The maps of rules outside the image.
pub struct RuleMaps {
    counters: PerCpuArray<MapData, CounterBytes>,
    /// Added to what the programs have counted, with wrap-around: what paths were folded into, less what was reset.
    base: Mapped<Counter>,
    paths: HashMap<MapData, PathKeyBytes, u32>,
    path_counters: PerCpuArray<MapData, CounterBytes>,
    path_next: Mapped<u32>,
    pub marks: Names,
    pub tables: Names,
    pub lists: Lists,
}

impl RuleMaps {
    pub fn open(pins: &Pins) -> Result<RuleMaps, Error> {
        let data = |name: &str| MapData::from_pin(pins.map(name)).map_err(Error::map(name));
        Ok(RuleMaps {
            counters: typed(pins, RULE_COUNTERS)?,
            base: Mapped::new(RULE_BASE, &data(RULE_BASE)?)?,
            paths: typed(pins, PATHS)?,
            path_counters: typed(pins, PATH_COUNTERS)?,
            path_next: Mapped::new(PATH_NEXT, &data(PATH_NEXT)?)?,
            marks: Names(Mapped::new(MARKS, &data(MARKS)?)?),
            tables: Names(Mapped::new(TABLES, &data(TABLES)?)?),
            lists: Lists::open(pins)?,
        })
    }

    /// What the rules of these slots have counted, in their order.
    pub fn count(&self, slots: &[u32]) -> Result<Vec<Counter>, Error> {
        let mut by_path: StdHashMap<u32, Counter> = StdHashMap::new();
        for (key, id) in self.all_paths()? {
            let counted = self.path_counter(id)?;
            for slot in slots_of(&key) {
                let sum = by_path.entry(*slot).or_default();
                *sum = add(*sum, counted);
            }
        }
        slots
            .iter()
            .map(|slot| {
                let own = sum(&self.counters, *slot, RULE_COUNTERS)?;
                let base = self.base.read(*slot).unwrap_or_default();
                let paths = by_path.get(slot).copied().unwrap_or_default();
                Ok(add(add(own, paths), base))
            })
            .collect()
    }

    /// Lets the rules of these slots begin at zero again.
    pub fn reset(&self, slots: &[u32]) -> Result<(), Error> {
        for (slot, counted) in slots.iter().zip(self.count(slots)?) {
            let base = self.base.read(*slot).unwrap_or_default();
            let less = Counter {
                packets: base.packets.wrapping_sub(counted.packets),
                bytes: base.bytes.wrapping_sub(counted.bytes),
            };
            self.base.write(*slot, &less);
        }
        Ok(())
    }

    /// Prepares the idle slot, whose paths no packet uses any more: adds them to their rules and lets ids begin anew.
    /// Whoever is killed meanwhile leaves each path either whole or added.
    pub fn fold(&mut self, parity: u32) -> Result<(), Error> {
        for (key, id) in self.all_paths()?.into_iter().filter(|(key, _)| key.parity == parity) {
            let counted = self.path_counter(id)?;
            let mut bytes: PathKeyBytes = [0; size_of::<PathKey>()];
            bytes.copy_from_slice(as_bytes(&key));
            self.paths.remove(&bytes).map_err(Error::map(PATHS))?;
            for slot in slots_of(&key) {
                let base = self.base.read(*slot).unwrap_or_default();
                self.base.write(*slot, &add(base, counted));
            }
        }
        let given = self.path_next.read(parity).unwrap_or_default().min(PATHS_MAX - 1);
        for id in 0..=given {
            zero(&mut self.path_counters, parity * PATHS_MAX + id, PATH_COUNTERS)?;
        }
        self.path_next.write(parity, &0);
        Ok(())
    }

    /// Sets the counters of a slot to zero that goes to another rule.
    pub fn clear(&mut self, slot: u32) -> Result<(), Error> {
        zero(&mut self.counters, slot, RULE_COUNTERS)?;
        self.base.write(slot, &Counter::default());
        Ok(())
    }

    fn all_paths(&self) -> Result<Vec<(PathKey, u32)>, Error> {
        let mut paths = Vec::new();
        for entry in self.paths.iter() {
            let (key, id) = entry.map_err(Error::map(PATHS))?;
            paths.extend(from_bytes::<PathKey>(&key).map(|key| (key, id)));
        }
        Ok(paths)
    }

    /// Every path with its id and what it counted.
    pub fn paths(&self) -> Result<Vec<(PathKey, u32, Counter)>, Error> {
        self.all_paths()?.into_iter().map(|(key, id)| Ok((key, id, self.path_counter(id)?))).collect()
    }

    fn path_counter(&self, id: u32) -> Result<Counter, Error> {
        sum(&self.path_counters, id, PATH_COUNTERS)
    }
}

/// Names that packets and connections carry numbers of: of marks, of routing tables.
pub struct Names(Mapped<MarkName>);

impl Names {
    /// The numbers of all names.
    pub fn numbers(&self) -> BTreeMap<String, u32> {
        (1..self.0.len()).filter_map(|number| Some((self.name(number)?, number))).collect()
    }

    pub fn name(&self, number: u32) -> Option<String> {
        let bytes = self.0.read(number)?;
        let name = bytes.split(|byte| *byte == 0).next().filter(|name| !name.is_empty())?;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    pub fn set(&self, numbers: &BTreeMap<String, u32>) {
        for (name, number) in numbers {
            let mut bytes: MarkName = [0; MARK_NAME_BYTES];
            bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
            self.0.write(*number, &bytes);
        }
    }
}

/// Dynamic members of address lists.
pub struct Lists {
    listed: HashMap<MapData, ListedKeyBytes, ListedBytes>,
    epochs: Mapped<u32>,
}

impl Lists {
    pub fn open(pins: &Pins) -> Result<Lists, Error> {
        let epochs = MapData::from_pin(pins.map(LIST_EPOCHS)).map_err(Error::map(LIST_EPOCHS))?;
        Ok(Lists { listed: typed(pins, LISTED)?, epochs: Mapped::new(LIST_EPOCHS, &epochs)? })
    }

    /// The dynamic members of all lists.
    pub fn members(&self) -> Result<Vec<(ListedKey, Listed)>, Error> {
        let mut members = Vec::new();
        for entry in self.listed.iter() {
            match entry {
                Ok((key, value)) => members.extend(from_bytes(&key).zip(from_bytes(&value))),
                // Gone in between.
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(Error::map(LISTED)(error)),
            }
        }
        Ok(members)
    }

    pub fn is_member(&self, key: &ListedKey, tick: u32) -> bool {
        let found = self.listed.get(&listed_key(key), 0).ok();
        found.and_then(|value| from_bytes::<Listed>(&value)).is_some_and(|listed| tick < listed.until_tick)
    }

    /// Makes an address a member, or renews that.
    pub fn insert(&mut self, key: &ListedKey, listed: Listed) -> Result<(), Error> {
        let mut value: ListedBytes = [0; size_of::<Listed>()];
        value.copy_from_slice(as_bytes(&listed));
        self.listed.insert(listed_key(key), value, 0).map_err(Error::map(LISTED))?;
        self.bump(key);
        Ok(())
    }

    pub fn remove(&mut self, key: &ListedKey) -> Result<(), Error> {
        match self.listed.remove(&listed_key(key)) {
            Ok(()) | Err(MapError::KeyNotFound) => {}
            Err(error) => return Err(Error::map(LISTED)(error)),
        }
        self.bump(key);
        Ok(())
    }

    /// Removes the members whose time is over. Gives their number, and list and address of [`Listed::STATIC`] ones.
    pub fn expire(&mut self, tick: u32) -> Result<(usize, Vec<(u32, IpAddr)>), Error> {
        let (mut over, mut lasting) = (Vec::new(), Vec::new());
        for (key, listed) in self.members()? {
            match listed.until_tick {
                until if until <= tick => over.push(key),
                Listed::STATIC => lasting.push((key.list, address(&key))),
                _ => {}
            }
        }
        for key in &over {
            self.remove(key)?;
        }
        Ok((over.len(), lasting))
    }

    /// Decisions that rest on whether this address is a member hold no more.
    fn bump(&self, key: &ListedKey) {
        let epoch = hash::epoch(&key.address);
        if let Some(word) = self.epochs.atomic(epoch) {
            word.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}

/// Members of lists that stand for domain names.
pub struct Named(Lists);

impl Named {
    pub(crate) fn open(inspector: &Inspector) -> Result<Named, Error> {
        Lists::open(&inspector.pins).map(Named)
    }

    /// Stays until it is removed, whoever dies.
    pub fn add(&mut self, list: u32, address: IpAddr) -> Result<(), Error> {
        let listed = Listed { until_tick: u32::MAX, since_tick: Listed::OF_NAME };
        self.0.insert(&listed_as(list, address), listed)
    }

    pub fn remove(&mut self, list: u32, address: IpAddr) -> Result<(), Error> {
        self.0.remove(&listed_as(list, address))
    }

    /// Those that are there, by list; from an earlier process too.
    pub fn all(&self) -> Result<Vec<(u32, IpAddr)>, Error> {
        let members = self.0.members()?.into_iter();
        let named = members.filter(|(_, listed)| listed.since_tick == Listed::OF_NAME);
        Ok(named.map(|(key, _)| (key.list, address(&key))).collect())
    }
}

/// The ring of what rules log.
pub struct RuleLog(RingBuf<MapData>);

impl RuleLog {
    pub fn open(pins: &Pins) -> Result<RuleLog, Error> {
        typed(pins, RULE_LOG).map(RuleLog)
    }

    /// The next packet; None until there is one. The file descriptor tells when.
    pub fn take(&mut self) -> Option<Logged> {
        self.0.next().and_then(|item| from_bytes(&item))
    }
}

impl AsRawFd for RuleLog {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// The key of a dynamic member.
pub fn listed_as(list: u32, address: IpAddr) -> ListedKey {
    let mut key = ListedKey { list, ..ListedKey::default() };
    match address {
        IpAddr::V4(v4) => {
            key.family = 4;
            key.address.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from);
        }
        IpAddr::V6(v6) => (key.family, key.address) = (6, v6.octets()),
    }
    key
}

fn address(key: &ListedKey) -> IpAddr {
    let [a, b, c, d, ..] = key.address;
    if key.family == 4 { [a, b, c, d].into() } else { key.address.into() }
}

fn slots_of(key: &PathKey) -> impl Iterator<Item = &u32> {
    key.slots.iter().take(key.count as usize)
}

fn listed_key(key: &ListedKey) -> ListedKeyBytes {
    let mut bytes: ListedKeyBytes = [0; size_of::<ListedKey>()];
    bytes.copy_from_slice(as_bytes(key));
    bytes
}

fn sum(map: &PerCpuArray<MapData, CounterBytes>, index: u32, name: &str) -> Result<Counter, Error> {
    let values = map.get(&index, 0).map_err(Error::map(name))?;
    Ok(values.iter().filter_map(|v| from_bytes::<Counter>(v)).fold(Counter::default(), add))
}

fn zero(map: &mut PerCpuArray<MapData, CounterBytes>, index: u32, name: &str) -> Result<(), Error> {
    let zero = vec![[0; size_of::<Counter>()]; possible_cpus()? as usize];
    let values =
        PerCpuValues::try_from(zero).map_err(|source| Error::map(name)(MapError::IoError(source)))?;
    map.set(index, values, 0).map_err(Error::map(name))
}
