//! What the kernel's watch thread has seen since the router looked last: bounded, however much happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;

/// Links, addresses: the plan may come out differently.
pub const PLAN: u32 = 1 << 0;
/// Rules: whether routes may be cached has to be found out now.
pub const RULES: u32 = 1 << 1;
/// Routes: the same, but it can wait a moment.
pub const ROUTES: u32 = 1 << 2;

#[derive(Clone, Default)]
pub struct Changes(Arc<(AtomicU32, Notify)>);

impl Changes {
    /// Callable from any thread.
    pub fn report(&self, bits: u32) {
        self.0.0.fetch_or(bits, Ordering::AcqRel);
        self.0.1.notify_one();
    }

    /// Waits for the next ones and takes them.
    pub async fn next(&self) -> u32 {
        loop {
            self.0.1.notified().await;
            let bits = self.0.0.swap(0, Ordering::AcqRel);
            if bits != 0 {
                return bits;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_reports_are_taken_at_once() {
        let changes = Changes::default();
        changes.report(PLAN);
        changes.report(PLAN);
        changes.report(RULES);
        assert_eq!(changes.next().await, PLAN | RULES);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(20), changes.next()).await;
        assert!(waiting.is_err());
    }
}
