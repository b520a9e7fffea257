//! The flow table: look-up, insert and end of entries. See [`router_common::maps::flow`] for its layout.

use core::mem::offset_of;

use router_common::maps::flow::{
    BUCKET_SLOTS, Bucket, Entry, FIRST_SLOTS, Flow4, Flow6, KEY_MASK, NONE, Tracking, lowest, silence,
    status, tagged,
};
use router_common::tuple::{Key4, Key6, Place, Tuple, hash4, hash6};

use crate::pipeline::State;
use crate::{atomic, global, maps};

/// Tries to get a bucket's lock: another CPU holds it for less than a microsecond.
const LOCK_TRIES: u32 = 32;

/// The status word of an entry that another CPU may be writing.
#[inline(always)]
pub fn word(entry: *const Entry) -> u64 {
    // SAFETY: an entry of the table, aligned to 8; the word is whole whenever it is read.
    unsafe { (&raw const (*entry).word).read_volatile() }
}

#[inline(always)]
pub fn life(word: u64) -> u32 {
    word as u32 & status::LIFE
}

/// A word of an array of words.
///
/// # Safety
/// `index` is inside.
#[inline(always)]
pub unsafe fn read<const N: usize>(words: *const [u64; N], index: usize) -> u64 {
    // SAFETY: the caller's.
    unsafe { words.cast::<u64>().add(index).read_volatile() }
}

#[inline(always)]
fn has_key4(flow: *const Flow4, [a, b]: Key4) -> bool {
    // SAFETY: an entry of the table, and its two words.
    unsafe {
        let key = &raw const (*flow).key;
        read(key, 0) == a && (read(key, 1) ^ b) & KEY_MASK == 0
    }
}

#[inline(always)]
fn has_key6(flow: *const Flow6, [a, b, c, d, e]: Key6) -> bool {
    // SAFETY: an entry of the table, and its five words.
    unsafe {
        let key = &raw const (*flow).key;
        read(key, 0) == a
            && read(key, 1) == b
            && read(key, 2) == c
            && read(key, 3) == d
            && (read(key, 4) ^ e) & KEY_MASK == 0
    }
}

/// A key of either family. All words are always there: of an enum LLVM reads parts that another variant leaves
/// uninitialised, which the verifier of 6.1 refuses ("R9 !read_ok").
#[derive(Clone, Copy)]
pub struct Key {
    family: u32,
    words: Key6,
}

impl Key {
    #[inline(always)]
    pub fn v4([a, b]: Key4) -> Key {
        Key { family: 4, words: [a, b, 0, 0, 0] }
    }

    #[inline(always)]
    pub fn v6(words: Key6) -> Key {
        Key { family: 6, words }
    }

    #[inline(always)]
    pub fn of(family: u32, tuple: &Tuple) -> Key {
        if family == 4 { Key::v4(tuple.key4()) } else { Key::v6(tuple.key6()) }
    }

    #[inline(always)]
    fn place(self, seed: u64) -> Place {
        let [a, b, ..] = self.words;
        if self.family == 4 { hash4([a, b], seed) } else { hash6(self.words, seed) }
    }

    #[inline(always)]
    fn is_of(self, index: u32) -> bool {
        let [a, b, ..] = self.words;
        match self.family {
            4 => maps::flow4(index).is_some_and(|flow| has_key4(flow, [a, b])),
            _ => maps::flow6(index).is_some_and(|flow| has_key6(flow, self.words)),
        }
    }
}

/// Candidates that the fast path looks at in a bucket. More of them with the same tag leave the packet to the slow path:
/// one in some millions.
const FAST_TRIES: u32 = 4;

/// The fast path's look-up: the entry of a live flow with this key, or [`NONE`].
#[inline(always)]
pub fn find(key: Key) -> u32 {
    let (seed, mask) = maps::flow_table(key.family);
    let place = key.place(seed);
    for number in [place.first() & mask, place.second() & mask] {
        let index = find_in::<FAST_TRIES>(key, place.tag(), number, false);
        if index != NONE {
            return index;
        }
    }
    NONE
}

/// The entry of a live flow with this key among the first `TRIES` candidates of a bucket, or [`NONE`]. With `busy`, one
/// that is being written counts too.
#[inline(always)]
fn find_in<const TRIES: u32>(key: Key, tag: u8, number: u32, busy: bool) -> u32 {
    let family = key.family;
    let Some(bucket) = maps::bucket(family, number) else { return NONE };
    let mut places = tagged(tags(bucket), tag);
    for _ in 0..TRIES {
        if places == 0 {
            break;
        }
        let (slot, bit) = lowest(places);
        places ^= bit;
        let index = number * BUCKET_SLOTS + slot;
        let Some(entry) = maps::entry(family, index) else { return NONE };
        let life = life(word(entry));
        if (life == status::LIVE || busy && life == status::BUSY) && key.is_of(index) {
            return index;
        }
    }
    NONE
}

/// Which tuple of [`router_common::maps::scratch::Work`] is looked up.
pub mod sought {
    pub const KEY: u32 = 0;
    pub const CAME: u32 = 1;
    pub const INNER: u32 = 2;
    /// Added where an entry that is being written counts too.
    pub const BUSY: u32 = 4;
    /// Added for the second of the two buckets.
    pub const SECOND: u32 = 8;
}

/// The slow path's look-up of a tuple by the bits of [`sought`]: the entry of a live flow, or [`NONE`].
#[inline(always)]
pub fn search(s: &mut State, what: u32) -> u32 {
    match global::flow_search(s, what) {
        NONE => global::flow_search(s, what | sought::SECOND),
        index => index,
    }
}

/// One bucket of [`search`].
#[inline(always)]
pub fn search_bucket(s: &mut State, what: u32) -> u32 {
    let Some(scratch) = maps::scratch(s.scratch) else { return NONE };
    let tuple = match what & 3 {
        sought::CAME => &scratch.work.came,
        sought::INNER => &scratch.work.inner,
        _ => &scratch.work.key,
    };
    let busy = what & sought::BUSY != 0;
    let find = |key: Key| {
        let (seed, mask) = maps::flow_table(key.family);
        let place = key.place(seed);
        let number = if what & sought::SECOND == 0 { place.first() } else { place.second() };
        find_in::<BUCKET_SLOTS>(key, place.tag(), number & mask, busy)
    };
    // Each with a family that the compiler knows.
    if s.family == 4 { find(Key::v4(tuple.key4())) } else { find(Key::v6(tuple.key6())) }
}

#[inline(always)]
pub fn tags(bucket: *const Bucket) -> [u64; 2] {
    // SAFETY: a bucket of the table.
    unsafe {
        let tags = &raw const (*bucket).tags;
        [read(tags, 0), read(tags, 1)]
    }
}

/// Whether neither direction has had a packet for as long as the connection's timeout.
#[inline(always)]
pub fn is_expired(family: u32, index: u32, entry: *const Entry, tick: u32, settings: &Tracking) -> bool {
    let found = word(entry);
    let class = (found as u32 & status::TIMEOUT) >> status::TIMEOUT_SHIFT;
    let timeout = settings.timeouts.seconds(class);
    // SAFETY: an entry of the table; single words.
    let (last, partner) = unsafe { ((*entry).last_tick, (*entry).partner) };
    if silence(tick, last) <= timeout {
        return false;
    }
    let Some(other) = partner_of(family, index, partner) else { return true };
    // SAFETY: as above.
    silence(tick, unsafe { (*other).last_tick }) > timeout
}

/// The live entry at `partner`, if it belongs to the one at `index`.
#[inline(always)]
pub fn partner_of(family: u32, index: u32, partner: u32) -> Option<*mut Entry> {
    let other = maps::entry(family, partner)?;
    // SAFETY: an entry of the table; one word.
    let back = unsafe { (*other).partner };
    (life(word(other)) == status::LIVE && back == index).then_some(other)
}

/// Ends both directions.
#[inline(always)]
pub fn end(family: u32, index: u32) {
    let Some(entry) = maps::entry(family, index) else { return };
    // SAFETY: an entry of the table; one word.
    let partner = unsafe { (*entry).partner };
    let other = partner_of(family, index, partner);
    kill(entry);
    if let Some(other) = other {
        kill(other);
    }
}

/// From live to dying; whether it was live.
#[inline(always)]
fn kill(entry: *mut Entry) -> bool {
    let found = word(entry);
    let dying = found & !u64::from(status::LIFE) | u64::from(status::DYING);
    // SAFETY: the status word of an entry.
    life(found) == status::LIVE && unsafe { atomic::replace(&raw mut (*entry).word, found, dying) }
}

/// What [`claim`] gives in place of an index.
pub mod refused {
    /// There is an entry with this key: [`router_common::maps::scratch::Work::partner`].
    pub const TAKEN: u32 = u32::MAX - 1;
    /// Both buckets are full of what must stay.
    pub const FULL: u32 = u32::MAX - 2;
    /// The lock was not to be had.
    pub const BUSY: u32 = u32::MAX - 3;
    pub const LEAST: u32 = BUSY;
}

#[inline(always)]
fn wanted(s: &State) -> Option<Key> {
    maps::scratch(s.scratch).map(|scratch| Key::of(s.family, &scratch.work.key))
}

/// Takes a place for the key [`router_common::maps::scratch::Work::key`] if the table does not have it: the index of
/// the entry, which is busy and has to be filled in and brought to life, or one of [`refused`].
#[inline(always)]
pub fn claim(s: &mut State) -> u32 {
    let Some(key) = wanted(s) else { return refused::FULL };
    let (seed, mask) = maps::flow_table(s.family);
    let place = key.place(seed);
    let (first, second) = (place.first() & mask, place.second() & mask);
    let (Some(a), Some(b)) = (maps::bucket(s.family, first), maps::bucket(s.family, second)) else {
        return refused::FULL;
    };
    // SAFETY: a bucket of the table.
    let lock = unsafe { &raw mut (*a).lock };
    let mut locked = false;
    for _ in 0..LOCK_TRIES {
        // SAFETY: as above.
        if unsafe { atomic::replace32(lock, 0, 1) } {
            locked = true;
            break;
        }
    }
    if !locked {
        return refused::BUSY;
    }
    let mut index = refused::TAKEN;
    if global::flow_known(s) == NONE {
        let (in_first, in_second) = (free(a), free(b));
        let first_will_do = in_first > BUCKET_SLOTS - FIRST_SLOTS || in_first >= in_second;
        let (first, second) = if first_will_do { (first, second) } else { (second, first) };
        index = refused::FULL;
        // Each worth in both buckets: free places, then ended flows, then half-open ones.
        for turn in 0..2 * (HALF_OPEN + 1) {
            let number = if turn & 1 == 0 { first } else { second };
            index = global::flow_take(s, number, turn / 2);
            if index < refused::LEAST {
                break;
            }
        }
    }
    // SAFETY: as above. An exchange, because it orders what was written before.
    unsafe { atomic::exchange32(lock, 0) };
    index
}

/// The entry of the wanted key, alive or being written; one that has expired is ended and does not count.
#[inline(always)]
pub fn known(s: &mut State) -> u32 {
    let index = search(s, sought::KEY | sought::BUSY);
    let Some(entry) = maps::entry(s.family, index) else { return NONE };
    if life(word(entry)) == status::LIVE && global::flow_expired(s, index) != 0 {
        end(s.family, index);
        return NONE;
    }
    if let Some(scratch) = maps::scratch(s.scratch) {
        scratch.work.partner = index;
    }
    index
}

/// 1 where neither direction has had a packet for as long as the connection's timeout.
#[inline(always)]
pub fn expired(s: &mut State, index: u32) -> u32 {
    let (Some(entry), Some(settings)) = (maps::entry(s.family, index), maps::tracking(s.now.generation))
    else {
        return 1;
    };
    u32::from(is_expired(s.family, index, entry, s.now.tick, settings))
}

/// What a place may be taken from: a flow that nobody has used yet, one that has ended, a half-open one.
const FREE: u32 = 0;
const ENDED: u32 = 1;
const HALF_OPEN: u32 = 2;

/// How many places nobody has used yet.
#[inline(always)]
fn free(bucket: *const Bucket) -> u32 {
    let places = tagged(tags(bucket), 0);
    // Two bits of each byte: the sum of the bytes, then that of both.
    let pairs = (places & 0x0101_0101_0101_0101) + (places >> 1 & 0x0101_0101_0101_0101);
    (pairs.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32
}

/// Takes a place in bucket `number` for the wanted key, or gives [`refused::FULL`].
#[inline(always)]
pub fn take(s: &mut State, number: u32, worth: u32) -> u32 {
    let family = s.family;
    let Some(key) = wanted(s) else { return refused::FULL };
    let (seed, _) = maps::flow_table(family);
    let tag = key.place(seed).tag();
    let Some(bucket) = maps::bucket(family, number) else { return refused::FULL };
    let all = 0x0303_0303_0303_0303;
    let mut places = if worth == FREE { tagged(tags(bucket), 0) } else { all };
    for _ in 0..BUCKET_SLOTS {
        if places == 0 {
            break;
        }
        let (slot, bit) = lowest(places);
        places ^= bit;
        let index = number * BUCKET_SLOTS + slot;
        let Some(entry) = maps::entry(family, index) else { return refused::FULL };
        let mut found = word(entry);
        let may_go = life(found) == status::LIVE
            && match worth {
                ENDED => global::flow_expired(s, index) != 0,
                HALF_OPEN => found as u32 & status::ASSURED == 0,
                _ => false,
            };
        if may_go {
            global::flow_end(s, index);
            found = word(entry);
        }
        if life(found) != status::FREE && life(found) != status::DYING {
            continue;
        }
        let busy =
            (found & status::VERSION).wrapping_add(1 << status::VERSION_SHIFT) | u64::from(status::BUSY);
        // SAFETY: the status word of an entry.
        if !unsafe { atomic::replace(&raw mut (*entry).word, found, busy) } {
            continue;
        }
        write_key(index, key);
        let shift = slot % 8 * 8;
        // SAFETY: the tags of a bucket. Nobody else changes this byte: the place is busy.
        unsafe {
            let word = (&raw mut (*bucket).tags).cast::<u64>().add((slot / 8) as usize);
            atomic::and(word, !(0xffu64 << shift));
            atomic::or(word, u64::from(tag) << shift);
        }
        return index;
    }
    refused::FULL
}

/// As [`end`], for a function of its own.
#[inline(always)]
pub fn end_at(s: &mut State, index: u32) -> u32 {
    end(s.family, index);
    0
}

#[inline(always)]
fn write_key(index: u32, key: Key) {
    let [a, b, ..] = key.words;
    // SAFETY: an entry of the table that is ours while it is busy.
    unsafe {
        if key.family == 4 {
            if let Some(flow) = maps::flow4(index) {
                (&raw mut (*flow).key).write([a, b]);
            }
        } else if let Some(flow) = maps::flow6(index) {
            (&raw mut (*flow).key).write(key.words);
        }
    }
}

/// Brings a claimed entry to life.
#[inline(always)]
pub fn publish(entry: *mut Entry, bits: u32) {
    let busy = word(entry);
    let live = busy & status::VERSION | u64::from(bits & !status::LIFE | status::LIVE);
    // SAFETY: the status word of an entry that is ours. With the full order that readers on other CPUs rely on.
    unsafe { atomic::replace(&raw mut (*entry).word, busy, live) };
}

/// Gives a claimed entry back.
#[inline(always)]
pub fn abandon(entry: *mut Entry) {
    let busy = word(entry);
    let dying = busy & status::VERSION | u64::from(status::DYING);
    // SAFETY: as above.
    unsafe { atomic::replace(&raw mut (*entry).word, busy, dying) };
}

/// Clears and sets bits of the word of a live entry, unless it has become another flow's since it was `known`.
#[inline(always)]
pub fn change(entry: *mut Entry, known: u64, clear: u64, set: u64) -> bool {
    for _ in 0..4 {
        let found = word(entry);
        if (found ^ known) & status::VERSION != 0 || life(found) != status::LIVE {
            return false;
        }
        let new = found & !clear | set;
        // SAFETY: the status word of an entry.
        if new == found || unsafe { atomic::replace(&raw mut (*entry).word, found, new) } {
            return true;
        }
    }
    false
}

const _: () = assert!(
    offset_of!(Flow4, entry) % 8 == 0
        && offset_of!(Flow6, entry) % 8 == 0
        && offset_of!(Flow6, new_src) % 8 == 0
        && offset_of!(Flow6, new_dst) % 8 == 0
);
