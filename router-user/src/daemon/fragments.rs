//! Later fragments that came before their first: they wait for it here, for a second at most and in bounded memory, and
//! then go back to the programs. Those decide, and count what they drop.

use std::collections::BTreeMap;
use std::time::Duration;

use dataplane::{Fragments, HeldFragment};
use router_common::maps::fragment::FragmentKey;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::unix::AsyncFd;

/// How long a fragment waits for its first.
const PATIENCE: Duration = Duration::from_secs(1);
/// The first look, after which each is twice as long away as the one before.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Bytes of frames that wait.
const MOST_BYTES: usize = 4 << 20;

/// Fragments of one packet, in the order in which they came.
struct Waiting {
    fragments: Vec<HeldFragment>,
    /// Nanoseconds of CLOCK_MONOTONIC: when the first of them has waited long enough, and the next look.
    until_ns: u64,
    look_ns: u64,
    pause_ns: u64,
}

/// What waits. All times are nanoseconds of CLOCK_MONOTONIC.
#[derive(Default)]
struct Queue {
    packets: BTreeMap<FragmentKey, Waiting>,
    bytes: usize,
}

impl Queue {
    /// Takes a fragment, or gives it back where there is no room.
    fn push(&mut self, fragment: HeldFragment, now_ns: u64) -> Option<HeldFragment> {
        let bytes = fragment.frame.len();
        if self.bytes + bytes > MOST_BYTES {
            return Some(fragment);
        }
        self.bytes += bytes;
        let pause_ns = nanos(FIRST_LOOK);
        let until_ns = fragment.about.time_ns.saturating_add(nanos(PATIENCE));
        let waiting = self.packets.entry(fragment.about.key).or_insert_with(|| Waiting {
            fragments: Vec::new(),
            until_ns,
            look_ns: now_ns + pause_ns,
            pause_ns,
        });
        waiting.fragments.push(fragment);
        None
    }

    /// Those whose first has come, and those that have waited long enough.
    fn ready(&mut self, now_ns: u64, mut is_decided: impl FnMut(&FragmentKey) -> bool) -> Vec<HeldFragment> {
        let mut ready = Vec::new();
        self.packets.retain(|key, waiting| {
            let is_due = now_ns >= waiting.until_ns;
            if !is_due && now_ns < waiting.look_ns {
                return true;
            }
            if is_due || is_decided(key) {
                ready.append(&mut waiting.fragments);
                return false;
            }
            waiting.pause_ns *= 2;
            waiting.look_ns = (now_ns + waiting.pause_ns).min(waiting.until_ns);
            true
        });
        self.bytes -= ready.iter().map(|fragment| fragment.frame.len()).sum::<usize>();
        ready
    }

    fn next_look_ns(&self) -> Option<u64> {
        self.packets.values().map(|waiting| waiting.look_ns.min(waiting.until_ns)).min()
    }
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Serves the ring for as long as the daemon lives.
pub async fn run(fragments: Fragments) {
    // SAFETY: the descriptor is the ring's own, the same until it is dropped, which AsyncFd does last.
    let mut fragments = match unsafe { AsyncFd::register(fragments) } {
        Ok(fragments) => fragments,
        Err(error) => return tracing::error!("early fragments are not held: {error}"),
    };
    let mut queue = Queue::default();
    loop {
        let now = now_ns();
        let pause = queue.next_look_ns().map(|at| Duration::from_nanos(at.saturating_sub(now)));
        tokio::select! {
            ready = fragments.readable_mut() => {
                let Ok(mut ready) = ready else { continue };
                // Before the ring is emptied: what comes meanwhile sets it again.
                ready.clear_ready();
                let ring = ready.get_inner_mut();
                while let Some(fragment) = ring.take() {
                    if let Some(refused) = queue.push(fragment, now_ns()) {
                        give_back(ring, &refused);
                    }
                }
            }
            () = sleep(pause) => {}
        }
        let ring = fragments.get_mut();
        for fragment in queue.ready(now_ns(), |key| ring.is_decided(key).unwrap_or(true)) {
            give_back(ring, &fragment);
        }
    }
}

async fn sleep(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

fn give_back(fragments: &Fragments, fragment: &HeldFragment) {
    if let Err(error) = fragments.give_back(fragment) {
        tracing::debug!("give an early fragment back: {error}");
    }
}

#[cfg(test)]
mod tests {
    use router_common::maps::fragment::Held;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn fragment(id: u32, time_ns: u64, byte: u8) -> HeldFragment {
        let key = FragmentKey { id, ..FragmentKey::default() };
        HeldFragment { about: Held { key, time_ns, ..Held::default() }, frame: vec![byte; 1000] }
    }

    fn bytes(ready: &[HeldFragment]) -> Vec<u8> {
        ready.iter().map(|fragment| fragment.frame[0]).collect()
    }

    #[test]
    fn fragments_go_in_the_order_in_which_they_came() {
        let mut queue = Queue::default();
        for byte in [3, 1, 2] {
            assert!(queue.push(fragment(7, 10, byte), 10).is_none());
        }
        assert!(queue.push(fragment(8, 10, 9), 10).is_none());
        assert!(queue.ready(SECOND / 2, |_| false).is_empty());
        let ready = queue.ready(SECOND * 3 / 4, |key| key.id == 7);
        assert_eq!(bytes(&ready), [3, 1, 2]);
        assert_eq!(bytes(&queue.ready(SECOND + 9, |_| false)), [0u8; 0]);
        assert_eq!(bytes(&queue.ready(SECOND + 10, |_| false)), [9]);
        assert_eq!((queue.bytes, queue.next_look_ns()), (0, None));
    }

    #[test]
    fn looks_become_rarer() {
        let mut queue = Queue::default();
        queue.push(fragment(7, 0, 1), 0);
        let mut looks = 0;
        while let Some(at) = queue.next_look_ns() {
            let count = &mut looks;
            queue.ready(at, |_| {
                *count += 1;
                false
            });
        }
        assert_eq!(looks, 8);
    }

    #[test]
    fn memory_is_bounded() {
        let mut queue = Queue::default();
        let fits = MOST_BYTES / 1000;
        for id in 0..fits {
            assert!(queue.push(fragment(id as u32, 0, 1), 0).is_none());
        }
        assert_eq!(queue.push(fragment(7, 0, 5), 0).map(|fragment| fragment.frame[0]), Some(5));
        queue.ready(1 << 40, |_| true);
        assert!(queue.push(fragment(7, 0, 5), 0).is_none());
    }
}
