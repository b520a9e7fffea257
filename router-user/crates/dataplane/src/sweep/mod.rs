//! What has to be done about the flow table as time goes by: connections that were silent for too long are ended,
//! decisions of old generations are taken back before their number comes again, and connections whose translated
//! source is no address of the host any more are ended.
//!
//! Expired entries never match anyway; here only their memory is made available again. See [`places`].

use std::mem::offset_of;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use aya::maps::MapData;
use router_common::conntrack::other::TCP;
use router_common::maps::flow::{
    BUCKETS4, BUCKETS6, Entry, FLOWS4, FLOWS6, Flow4, Flow6, KEY_MASK, SIDES4, SIDES6, Side, TRACKING,
    Tracking, UNUSED, silence, status,
};
use router_common::tuple::{Place, hash4, hash6};

use crate::image::slot;
use crate::mapped::{Mapped, Plain};
use crate::pin::Pins;
use crate::rules::Lists;
use crate::{Error, Inspector, Pulse};

mod places;

use places::Places;

/// Seconds in which all of a table is looked at. A generation's number can't come again in that time: each flip waits
/// for a grace period.
const ROUND_SECONDS: u32 = 16;
/// Entries of a table that are looked at in a second at least.
const LEAST: u32 = 4096;
/// Members of lists are looked through so that it takes at most a hundredth of the time.
const LISTS_SHARE: u32 = 100;

/// What a second's work came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Connections that had expired, or were to go.
    pub ended: usize,
    /// Entries that were given back, each one direction of a connection.
    pub given_back: usize,
    /// Decisions of old generations.
    pub forgotten: usize,
    /// Members that are no longer in their lists.
    pub unlisted: usize,
    /// List and address of those that are to be written into the configuration, or have been.
    pub lasting: Vec<(u32, IpAddr)>,
}

/// Keeps the tables clean; has maps of its own, so that it can work on a thread of its own.
pub struct Sweeper {
    pulse: Pulse,
    tracking: Mapped<Tracking>,
    v4: Table<Flow4>,
    v6: Table<Flow6>,
    lists: Lists,
    lists_at: Option<Instant>,
}

impl Sweeper {
    pub fn open(inspector: &Inspector) -> Result<Sweeper, Error> {
        let pins = &inspector.pins;
        Ok(Sweeper {
            pulse: inspector.pulse(),
            tracking: mapped(pins, TRACKING)?,
            v4: Table::new(mapped(pins, FLOWS4)?, mapped(pins, SIDES4)?, places(pins, 0, BUCKETS4)?),
            v6: Table::new(mapped(pins, FLOWS6)?, mapped(pins, SIDES6)?, places(pins, 1, BUCKETS6)?),
            lists: Lists::open(pins)?,
            lists_at: None,
        })
    }

    /// To be called once a second.
    pub fn second(&mut self) -> Result<Swept, Error> {
        let now = self.now();
        let mut swept = Swept::default();
        self.v4.part(&now, &mut swept);
        self.v6.part(&now, &mut swept);
        let begin = Instant::now();
        if self.lists_at.is_none_or(|at| begin >= at) {
            (swept.unlisted, swept.lasting) = self.lists.expire(now.tick)?;
            self.lists_at = Some(begin + begin.elapsed() * LISTS_SHARE);
        }
        Ok(swept)
    }

    /// Ends the connections that masquerade behind an address that is not among these.
    pub fn keep_masqueraded(&self, addresses: &[IpAddr]) -> usize {
        self.v4.end_masqueraded(addresses) + self.v6.end_masqueraded(addresses)
    }

    fn now(&self) -> Now {
        let control = self.pulse.read();
        let tracking = self.tracking.read(slot(control.generation)).unwrap_or_default();
        Now { tick: control.tick, generation: control.generation, seed: control.flow_seed, tracking }
    }
}

fn places(pins: &Pins, family: u32, buckets: &str) -> Result<Places, Error> {
    Ok(Places::new(mapped(pins, buckets)?, mapped(pins, UNUSED)?, family))
}

fn mapped<T: Plain>(pins: &Pins, name: &str) -> Result<Mapped<T>, Error> {
    let data = MapData::from_pin(pins.map(name)).map_err(Error::map(name))?;
    Mapped::new(name, &data)
}

struct Now {
    tick: u32,
    generation: u32,
    /// Of the tables' hash.
    seed: u64,
    tracking: Tracking,
}

/// A family's entries.
trait Flow: Plain {
    /// Where its parts stand in an entry, in bytes.
    const ENTRY: usize;
    /// The word of the key with the protocol.
    const UPPER: usize;
    fn place(&self, seed: u64) -> Place;
    fn new_source(&self) -> IpAddr;
}

impl Flow for Flow4 {
    const ENTRY: usize = offset_of!(Flow4, entry);
    const UPPER: usize = offset_of!(Flow4, key) + 8;
    fn place(&self, seed: u64) -> Place {
        let [a, b] = self.key;
        hash4([a, b & KEY_MASK], seed)
    }
    fn new_source(&self) -> IpAddr {
        self.new_src.into()
    }
}

impl Flow for Flow6 {
    const ENTRY: usize = offset_of!(Flow6, entry);
    const UPPER: usize = offset_of!(Flow6, key) + 32;
    fn place(&self, seed: u64) -> Place {
        let [a, b, c, d, e] = self.key;
        hash6([a, b, c, d, e & KEY_MASK], seed)
    }
    fn new_source(&self) -> IpAddr {
        self.new_src.into()
    }
}

struct Table<F> {
    flows: Mapped<F>,
    sides: Mapped<Side>,
    places: Places,
    /// Where the next second begins.
    next: u32,
}

impl<F: Flow> Table<F> {
    fn new(flows: Mapped<F>, sides: Mapped<Side>, places: Places) -> Table<F> {
        Table { flows, sides, places, next: 0 }
    }

    /// Looks at a second's share of the entries.
    fn part(&mut self, now: &Now, swept: &mut Swept) {
        let all = self.places.used().min(self.flows.len());
        for _ in 0..all.div_ceil(ROUND_SECONDS).max(LEAST).min(all) {
            self.look(self.next, now, swept);
            self.next = (self.next + 1) % all;
        }
    }

    fn look(&self, index: u32, now: &Now, swept: &mut Swept) {
        let Some(word) = self.word(index) else { return };
        match word as u32 & status::LIFE {
            status::LIVE => {}
            status::DYING => {
                swept.given_back += usize::from(self.give_back(index, word, now.seed));
                return;
            }
            _ => return,
        }
        if self.is_over(index, word, now) {
            swept.ended += usize::from(self.end(index, word));
            return;
        }
        let decided_in = (word & status::GENERATION) >> status::GENERATION_SHIFT;
        if decided_in != 0 && decided_in != u64::from(now.generation as u16) {
            // Where a packet has changed the word meanwhile, the next round comes.
            swept.forgotten += usize::from(self.replace(index, word, word & !status::GENERATION));
        }
    }

    fn word(&self, index: u32) -> Option<u64> {
        Some(self.flows.long(index, F::ENTRY + offset_of!(Entry, word))?.load(Ordering::Acquire))
    }

    /// The word of a live entry.
    fn live(&self, index: u32) -> Option<u64> {
        self.word(index).filter(|word| *word as u32 & status::LIFE == status::LIVE)
    }

    /// Frees the place of a dying entry, and gives the entry to the next connection. One without a place stays: a
    /// process has ended on its way with it.
    fn give_back(&self, index: u32, word: u64, seed: u64) -> bool {
        let busy = word | u64::from(status::BUSY);
        if !self.replace(index, word, busy) {
            return false;
        }
        let place = self.flows.read(index).map(|flow| flow.place(seed));
        if !place.is_some_and(|place| self.places.free(place, index)) {
            self.replace(index, busy, word);
            return false;
        }
        let partner = self.flows.atomic32(index, F::ENTRY + offset_of!(Entry, partner));
        self.replace(index, busy, word & status::VERSION | u64::from(status::FREE));
        partner.is_some_and(|next| self.places.push(index, next))
    }

    fn replace(&self, index: u32, found: u64, new: u64) -> bool {
        let word = self.flows.long(index, F::ENTRY + offset_of!(Entry, word));
        word.is_some_and(|word| {
            word.compare_exchange(found, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        })
    }

    fn entry_word(&self, index: u32, offset: usize) -> u32 {
        self.flows.atomic32(index, F::ENTRY + offset).map_or(0, |word| word.load(Ordering::Relaxed))
    }

    fn silence(&self, index: u32, tick: u32) -> u32 {
        silence(tick, self.entry_word(index, offset_of!(Entry, last_tick)))
    }

    /// The entry of the other direction, and its word.
    fn partner(&self, index: u32) -> Option<(u32, u64)> {
        let partner = self.entry_word(index, offset_of!(Entry, partner));
        let word = self.live(partner)?;
        (self.entry_word(partner, offset_of!(Entry, partner)) == index).then_some((partner, word))
    }

    fn is_over(&self, index: u32, word: u64, now: &Now) -> bool {
        let timeouts = &now.tracking.timeouts;
        let class = (word as u32 & status::TIMEOUT) >> status::TIMEOUT_SHIFT;
        let is_tcp = || {
            let upper = self.flows.long(index, F::UPPER);
            upper.is_some_and(|upper| (upper.load(Ordering::Relaxed) >> 32) as u8 == TCP)
        };
        let longest = timeouts.seconds(class);
        let shortest = longest.min(timeouts.waiting_seconds());
        let own = self.silence(index, now.tick);
        if own <= shortest || (own <= longest && !is_tcp()) {
            return false;
        }
        let Some((partner, _)) = self.partner(index) else { return own > longest };
        let silence = own.min(self.silence(partner, now.tick));
        if silence > longest || silence <= shortest || !is_tcp() {
            return silence > longest;
        }
        let record = |index| self.sides.read(index).unwrap_or_default().tcp;
        silence > timeouts.tcp_seconds(class, &record(index), &record(partner))
    }

    /// Ends both directions; whether this one was ended here.
    fn end(&self, index: u32, word: u64) -> bool {
        let dying = |word: u64| word & !u64::from(status::LIFE) | u64::from(status::DYING);
        let partner = self.partner(index);
        let ended = self.replace(index, word, dying(word));
        if let Some((partner, word)) = partner.filter(|_| ended) {
            // A packet that changes it at the same moment leaves an entry without a partner, which ends by itself.
            self.replace(partner, word, dying(word));
        }
        ended
    }

    fn end_masqueraded(&self, addresses: &[IpAddr]) -> usize {
        let mut ended = 0;
        for index in 0..self.places.used() {
            let Some(word) = self.live(index) else { continue };
            if word as u32 & (status::MASQUERADE | status::REPLY) != status::MASQUERADE {
                continue;
            }
            let source = self.flows.read(index).map(|flow| flow.new_source());
            if source.is_some_and(|source| !addresses.contains(&source)) {
                ended += usize::from(self.end(index, word));
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests;
