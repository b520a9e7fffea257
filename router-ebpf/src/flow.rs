//! The flow table: look-up, insert and end of entries. See [`router_common::maps::flow`] for its layout.

use core::hint::black_box;
use core::mem::offset_of;

use router_common::maps::flow::{
    BUCKET_SLOTS, Bucket, Entry, FILLING, Flow4, Flow6, KEY_MASK, NONE, Tracking, Unused, lowest, silence,
    status, tagged,
};
use router_common::tuple::{CHOICES, Key4, Key6, Place, Tuple, hash4, hash6, near};

use crate::pipeline::State;
use crate::{atomic, global, maps};

/// Tries to get a bucket's lock: another CPU holds it for less than a microsecond.
const LOCK_TRIES: u32 = 32;
/// Tries to change a word that other CPUs change as well.
const TRIES: u32 = 8;

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
const FAST_TRIES: u64 = 4;

/// The fast path's look-up: the entry of a live flow with this key, or [`NONE`].
#[inline(always)]
pub fn find(key: Key) -> u32 {
    let (seed, mask) = maps::flow_table(key.family);
    let place = key.place(seed);
    // Where none can stand beyond, the first bucket is asked again: a branch would cost the verifier more.
    let [first, second, third] = place.buckets(mask);
    let Some(beyond) = beyond(key.family, mask) else { return NONE };
    let or_first = |number: u32| first.wrapping_add(number.wrapping_sub(first) & beyond);
    for number in [first, or_first(second), or_first(third)] {
        let index = find_in::<FAST_TRIES>(key, place.tag(), number, false);
        if index != NONE {
            return index;
        }
    }
    NONE
}

/// All bits where a key may stand in another bucket than the first one of its own, else none.
#[inline(always)]
fn beyond(family: u32, mask: u32) -> Option<u32> {
    let unused = maps::unused(family)?;
    // SAFETY: one word of a map value, 0 or 1.
    let is_beyond = unsafe { (&raw const (*unused).beyond).read_volatile() } & 1;
    Some(black_box(is_beyond | u32::from(near(mask) == 0)).wrapping_neg())
}

/// The entry of a live flow with this key among the first `TRIES` candidates of a bucket, or [`NONE`]. With `busy`, one
/// that is being written counts too.
#[inline(always)]
fn find_in<const TRIES: u64>(key: Key, tag: u8, number: u32, busy: bool) -> u32 {
    let family = key.family;
    let Some(bucket) = maps::bucket(family, number) else { return NONE };
    let mut places = tagged(tags(bucket), tag);
    for _ in 0..TRIES {
        if places == 0 {
            break;
        }
        let (place, bit) = lowest(places);
        places ^= bit;
        let index = entry_at(bucket, place);
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
    /// Added once for the second of the three buckets, twice for the third.
    pub const NEXT: u32 = 8;
}

/// The slow path's look-up of a tuple by the bits of [`sought`]: the entry of a live flow, or [`NONE`].
#[inline(always)]
pub fn search(s: &mut State, what: u32) -> u32 {
    let (_, mask) = maps::flow_table(s.family);
    let Some(beyond) = beyond(s.family, mask) else { return NONE };
    let choices = if beyond != 0 { CHOICES } else { 1 };
    for choice in 0..CHOICES {
        if choice >= choices {
            break;
        }
        let index = global::flow_search(s, what + choice * sought::NEXT);
        if index != NONE {
            return index;
        }
    }
    NONE
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
        let [first, second, third] = place.buckets(mask);
        let number = match what / sought::NEXT {
            0 => first,
            1 => second,
            _ => third,
        };
        find_in::<{ BUCKET_SLOTS as u64 }>(key, place.tag(), number, busy)
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

/// The index that stands in a place. Of a place that is being filled it may be any, inside the table or not.
#[inline(always)]
fn entry_at(bucket: *const Bucket, place: u32) -> u32 {
    let place = (place & (BUCKET_SLOTS - 1)) as usize;
    // SAFETY: elements of the bucket.
    unsafe {
        let low = (&raw const (*bucket).low).cast::<u16>().add(place).read_volatile();
        let high = (&raw const (*bucket).high).cast::<u8>().add(place).read_volatile();
        u32::from(low) | u32::from(high) << 16
    }
}

/// The word with the tag of a place, and how far to shift.
#[inline(always)]
fn tag_of(bucket: *mut Bucket, place: u32) -> (*mut u64, u32) {
    let place = place & (BUCKET_SLOTS - 1);
    // SAFETY: one of the two words.
    (unsafe { (&raw mut (*bucket).tags).cast::<u64>().add((place >> 3) as usize) }, (place & 7) * 8)
}

/// Gives the tag to a place that is [`FILLING`]; 0 frees it.
#[inline(always)]
fn set_tag(bucket: *mut Bucket, place: u32, tag: u8) {
    let (word, shift) = tag_of(bucket, place);
    // SAFETY: the tags of a bucket. The byte has all bits.
    unsafe { atomic::and(word, !(u64::from(FILLING ^ tag) << shift)) };
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
    let [first, second, third] = place.buckets(mask);
    let (Some(a), Some(b), Some(c), Some(lock)) = (
        maps::bucket(s.family, first),
        maps::bucket(s.family, second),
        maps::bucket(s.family, third),
        maps::flow_lock(s.family, first),
    ) else {
        return refused::FULL;
    };
    let mut locked = false;
    for _ in 0..LOCK_TRIES {
        // SAFETY: a word of a map.
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
        let (emptier, fuller) = if free(b) >= free(c) { (second, third) } else { (third, second) };
        // One of those apart is filled; else one is left half empty, so that few find all of theirs full.
        let limit = if near(mask) == 0 { BUCKET_SLOTS / 2 } else { 0 };
        let order = if free(a) > limit { [first, emptier, fuller] } else { [emptier, fuller, first] };
        index = refused::FULL;
        'found: for displaces in [0, 1] {
            for number in order {
                index = global::flow_take(s, number, displaces);
                if index < refused::LEAST {
                    break 'found;
                }
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

/// How many places are free.
#[inline(always)]
fn free(bucket: *const Bucket) -> u32 {
    let places = tagged(tags(bucket), 0);
    // Two bits of each byte: the sum of the bytes, then that of both.
    let pairs = (places & 0x0101_0101_0101_0101) + (places >> 1 & 0x0101_0101_0101_0101);
    (pairs.wrapping_mul(0x0101_0101_0101_0101) >> 56) as u32
}

/// Takes a place in bucket `number` for the wanted key, and its entry, or gives [`refused::FULL`]: a free place, or with
/// `displaces` that of a flow that has ended, or of a half-open one.
#[inline(always)]
pub fn take(s: &mut State, number: u32, displaces: u32) -> u32 {
    if displaces != 0 {
        return displace(s, number);
    }
    let Some(key) = wanted(s) else { return refused::FULL };
    let (seed, mask) = maps::flow_table(s.family);
    if near(mask) != 0
        && number >= near(mask)
        && let Some(unused) = maps::unused(s.family)
    {
        // SAFETY: one word of a map value. What is stored in the bucket comes after a locked operation.
        unsafe { (&raw mut (*unused).beyond).write_volatile(1) };
    }
    let Some(bucket) = maps::bucket(s.family, number) else { return refused::FULL };
    settle(s, bucket, key, key.place(seed).tag())
}

/// Takes a free place and an unused entry.
#[inline(always)]
fn settle(s: &mut State, bucket: *mut Bucket, key: Key, tag: u8) -> u32 {
    let Some(place) = reserve(bucket) else { return refused::FULL };
    let index = global::flow_unused(s);
    let entry = maps::entry(s.family, index).filter(|entry| {
        let found = word(*entry);
        life(found) == status::FREE && seize(*entry, found)
    });
    if entry.is_none() {
        set_tag(bucket, place, 0);
        return refused::FULL;
    }
    write_key(index, key);
    let at = (place & (BUCKET_SLOTS - 1)) as usize;
    // SAFETY: elements of the bucket, ours while the place is being filled. Stored before the tag is, which is ordered.
    unsafe {
        (&raw mut (*bucket).low).cast::<u16>().add(at).write_volatile(index as u16);
        (&raw mut (*bucket).high).cast::<u8>().add(at).write_volatile((index >> 16) as u8);
    }
    set_tag(bucket, place, tag);
    index
}

/// Makes a free place one that is being filled. Inserts of other keys may want it at the same moment.
#[inline(always)]
fn reserve(bucket: *mut Bucket) -> Option<u32> {
    for _ in 0..TRIES {
        let places = tagged(tags(bucket), 0);
        if places == 0 {
            return None;
        }
        let (place, _) = lowest(places);
        let (word, shift) = tag_of(bucket, place);
        let filling = u64::from(FILLING) << shift;
        // SAFETY: the tags of a bucket.
        let found = unsafe { word.read_volatile() };
        // SAFETY: as above.
        if found & filling == 0 && unsafe { atomic::replace(word, found, found | filling) } {
            return Some(place);
        }
    }
    None
}

/// What a flow is worth to an insert that finds no free place.
const STAYS: u32 = 0;
const ENDED: u32 = 1;
const HALF_OPEN: u32 = 2;

#[inline(always)]
fn displace(s: &mut State, number: u32) -> u32 {
    let mut half_open = BUCKET_SLOTS;
    for place in 0..BUCKET_SLOTS {
        match global::flow_worth(s, number, place) {
            ENDED => {
                let index = global::flow_oust(s, number, place);
                if index < refused::LEAST {
                    return index;
                }
            }
            HALF_OPEN if half_open == BUCKET_SLOTS => half_open = place,
            _ => {}
        }
    }
    if half_open == BUCKET_SLOTS { refused::FULL } else { global::flow_oust(s, number, half_open) }
}

/// [`ENDED`], [`HALF_OPEN`] or [`STAYS`].
#[inline(always)]
pub fn worth(s: &mut State, number: u32, place: u32) -> u32 {
    let Some(bucket) = maps::bucket(s.family, number).filter(|bucket| is_settled(*bucket, place)) else {
        return STAYS;
    };
    let (index, settings) = (entry_at(bucket, place), maps::tracking(s.now.generation));
    let (Some(entry), Some(settings)) = (maps::entry(s.family, index), settings) else { return STAYS };
    let found = word(entry);
    match life(found) {
        status::DYING => ENDED,
        status::LIVE if is_expired(s.family, index, entry, s.now.tick, settings) => ENDED,
        status::LIVE if found as u32 & status::ASSURED == 0 => HALF_OPEN,
        _ => STAYS,
    }
}

/// Takes the place and the entry of a flow that may go, or gives [`refused::FULL`].
#[inline(always)]
pub fn oust(s: &mut State, number: u32, place: u32) -> u32 {
    let Some(key) = wanted(s) else { return refused::FULL };
    let Some(bucket) = maps::bucket(s.family, number) else { return refused::FULL };
    let index = entry_at(bucket, place);
    let Some(entry) = maps::entry(s.family, index) else { return refused::FULL };
    let mut found = word(entry);
    if life(found) == status::LIVE {
        // It may have been answered meanwhile.
        if found as u32 & status::ASSURED != 0 && global::flow_expired(s, index) == 0 {
            return refused::FULL;
        }
        global::flow_end(s, index);
        found = word(entry);
    }
    if life(found) != status::DYING || !seize(entry, found) {
        return refused::FULL;
    }
    // Before it was ours it may have been given back, and have been in another place since.
    if !is_settled(bucket, place) || entry_at(bucket, place) != index {
        abandon(entry);
        return refused::FULL;
    }
    write_key(index, key);
    let (seed, _) = maps::flow_table(s.family);
    let (word, shift) = tag_of(bucket, place);
    // SAFETY: the tags of a bucket. Nobody else changes this byte: the entry is ours. It is never 0 on the way.
    unsafe { atomic::or(word, u64::from(FILLING) << shift) };
    set_tag(bucket, place, key.place(seed).tag());
    index
}

/// Whether a place has an entry.
#[inline(always)]
fn is_settled(bucket: *mut Bucket, place: u32) -> bool {
    let (word, shift) = tag_of(bucket, place);
    // SAFETY: the tags of a bucket.
    let tag = unsafe { word.read_volatile() } >> shift & 0xff;
    tag != 0 && tag != u64::from(FILLING)
}

/// From free or dying to busy, in another life; whether the entry is ours.
#[inline(always)]
fn seize(entry: *mut Entry, found: u64) -> bool {
    let busy = (found & status::VERSION).wrapping_add(1 << status::VERSION_SHIFT) | u64::from(status::BUSY);
    // SAFETY: the status word of an entry.
    unsafe { atomic::replace(&raw mut (*entry).word, found, busy) }
}

/// An entry that no place has: the last one that was given back, else a fresh one, or [`NONE`].
#[inline(always)]
pub fn unused(s: &mut State) -> u32 {
    let Some(unused) = maps::unused(s.family) else { return NONE };
    // SAFETY: words of a map value.
    let (last, fresh) = unsafe { (&raw mut (*unused).last, &raw mut (*unused).fresh) };
    for _ in 0..TRIES {
        // SAFETY: as above.
        let found = unsafe { last.read_volatile() };
        if found as u32 == 0 {
            break;
        }
        let index = (found as u32).wrapping_sub(1);
        let Some(entry) = maps::entry(s.family, index) else { return NONE };
        // SAFETY: one word of an entry. Where that is another's by now, the exchange fails.
        let next = unsafe { (&raw const (*entry).partner).read_volatile() };
        // SAFETY: as above.
        if unsafe { atomic::replace(last, found, Unused::changed(found, next)) } {
            return index;
        }
    }
    let (_, mask) = maps::flow_table(s.family);
    let all = mask.wrapping_add(1).wrapping_mul(BUCKET_SLOTS);
    // SAFETY: as above.
    if unsafe { fresh.read_volatile() } >= all {
        return NONE;
    }
    // SAFETY: as above.
    let index = unsafe { atomic::add32(fresh, 1) };
    if index < all { index } else { NONE }
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
