//! The words that steer the running programs.

use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use router_common::maps::control::{Control, flag};
use router_common::maps::flow;

use crate::Error;
use crate::mapped::Mapped;
use crate::maps::Maps;

/// A cheap handle on the control words that any thread may use, also while the data plane is busy.
#[derive(Clone, Debug)]
pub struct Pulse {
    control: Arc<Mapped<Control>>,
}

impl Pulse {
    pub(crate) fn new(control: Arc<Mapped<Control>>) -> Pulse {
        Pulse { control }
    }

    fn add(&self, offset: usize) {
        if let Some(word) = self.word(offset) {
            word.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Makes every cached route stale. To be called at each route, neighbour, link and address change.
    pub fn bump_route_epoch(&self) {
        self.add(offset_of!(Control, route_epoch));
    }

    /// Tells the dead-man timer that the daemon lives; about once a second.
    pub fn heartbeat(&self) {
        self.add(offset_of!(Control, heartbeat));
    }

    /// Tells rules with a `time` what time it is, here: seconds since the midnight before Sunday.
    pub fn set_time(&self, second_of_week: u32) {
        const WEEK_S: u32 = 7 * 86_400;
        let tick = self.read().tick % WEEK_S;
        if let Some(word) = self.word(offset_of!(Control, week_s)) {
            word.store((second_of_week + WEEK_S - tick) % WEEK_S, Ordering::Relaxed);
        }
    }

    /// Routes may be cached by destination: no policy rule, no multipath route.
    pub fn set_cache_routes(&self, on: bool) {
        self.set_flag(flag::CACHE_ROUTES, on);
    }

    /// Ends a trace whose process was killed before it could.
    pub fn end_trace(&self) {
        self.set_flag(flag::TRACE, false);
    }

    pub(crate) fn set_flag(&self, bit: u32, on: bool) {
        let Some(word) = self.word(offset_of!(Control, flags)) else { return };
        match on {
            true => word.fetch_or(bit, Ordering::SeqCst),
            false => word.fetch_and(!bit, Ordering::SeqCst),
        };
    }

    /// All words, each as of its own moment.
    pub fn read(&self) -> Control {
        self.control.read(0).unwrap_or_default()
    }

    pub(crate) fn generation(&self) -> u32 {
        self.word(offset_of!(Control, generation)).map_or(0, |word| word.load(Ordering::Acquire))
    }

    /// By this id the tracepoints know the redirects of this instance.
    pub(crate) fn set_tx_map_id(&self, id: u32) {
        if let Some(word) = self.word(offset_of!(Control, tx_map_id)) {
            word.store(id, Ordering::Relaxed);
        }
    }

    /// Gives the flow tables their seed, if they have none yet, and tells the programs how large they are.
    pub(crate) fn begin_flows(&self, maps: &Maps) -> Result<(), Error> {
        let mut control = self.read();
        if control.flow_seed == 0 {
            let mut seed = [0; 8];
            rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
                .map_err(|errno| Error::io("read", "/dev/urandom")(errno.into()))?;
            control.flow_seed = u64::from_ne_bytes(seed) | 1;
        }
        let buckets = |entries: u32| (entries / flow::BUCKET_SLOTS).max(1);
        let words = [
            (offset_of!(Control, flow_seed), control.flow_seed as u32),
            (offset_of!(Control, flow_seed) + 4, (control.flow_seed >> 32) as u32),
            (offset_of!(Control, flow_mask4), buckets(maps.flows4.len()) - 1),
            (offset_of!(Control, flow_mask6), buckets(maps.flows6.len()) - 1),
        ];
        for (offset, value) in words {
            if let Some(word) = self.word(offset) {
                word.store(value, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Makes a generation visible; everything written to its slot before is visible with it.
    pub(crate) fn set_generation(&self, generation: u32) {
        if let Some(word) = self.word(offset_of!(Control, generation)) {
            word.store(generation, Ordering::Release);
        }
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        self.control.word(offset)
    }
}
