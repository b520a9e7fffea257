//! Places and entries that no connection has any more.

use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, Ordering};

use router_common::maps::flow::{BUCKET_SLOTS, Bucket, FILLING, Unused};
use router_common::tuple::Place;

use crate::mapped::Mapped;

impl Mapped<Unused> {
    /// Entries from this index on have never been used, or are not there. 0 is IPv4, 1 IPv6.
    pub fn used(&self, family: u32) -> u32 {
        let fresh = self.atomic32(family, offset_of!(Unused, fresh));
        fresh.map_or(0, |fresh| fresh.load(Ordering::Relaxed))
    }
}

/// Those of one family.
pub struct Places {
    pub(super) buckets: Mapped<Bucket>,
    pub(super) unused: Mapped<Unused>,
    family: u32,
}

impl Places {
    /// `family` is the element of `unused`: 0 for IPv4, 1 for IPv6.
    pub fn new(buckets: Mapped<Bucket>, unused: Mapped<Unused>, family: u32) -> Places {
        Places { buckets, unused, family }
    }

    /// As [`Mapped::used`].
    pub fn used(&self) -> u32 {
        self.unused.used(self.family)
    }

    /// Frees the place that has this entry, which the caller owns: nobody else changes it. False where none has.
    pub fn free(&self, place: Place, index: u32) -> bool {
        let mask = self.buckets.len() - 1;
        place.buckets(mask).into_iter().any(|number| {
            let Some(bucket) = self.buckets.read(number) else { return false };
            let found = (0..BUCKET_SLOTS)
                .find(|at| bucket.tag(*at) == place.tag() && bucket.entry(*at) == Some(index));
            let Some(at) = found else { return false };
            let offset = offset_of!(Bucket, tags) + at as usize / 8 * 8;
            let Some(tags) = self.buckets.long(number, offset) else { return false };
            tags.fetch_and(!(u64::from(FILLING) << (at % 8 * 8)), Ordering::AcqRel);
            true
        })
    }

    /// Makes a free entry the next one to be taken; `next` is its link. False where there is no such family.
    pub fn push(&self, index: u32, next: &AtomicU32) -> bool {
        let Some(last) = self.unused.long(self.family, offset_of!(Unused, last)) else { return false };
        let link = |found: u64| {
            next.store(found as u32, Ordering::Relaxed);
            Some(Unused::changed(found, index + 1))
        };
        last.fetch_update(Ordering::AcqRel, Ordering::Acquire, link).is_ok()
    }
}
