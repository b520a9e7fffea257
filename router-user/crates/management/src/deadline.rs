//! Moments that outlive the daemon, but no reboot.

use std::fs;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// CLOCK_BOOTTIME in milliseconds.
    pub deadline_ms: u64,
    /// The boot that `deadline_ms` counts from. After another boot the deadline is over.
    pub boot_id: String,
}

impl Deadline {
    pub fn after_seconds(seconds: u64) -> Deadline {
        let deadline_ms = boottime_ms().saturating_add(seconds.saturating_mul(1000));
        Deadline { deadline_ms, boot_id: boot_id() }
    }

    /// Milliseconds until then, 0 when it is over.
    pub fn left_ms(&self) -> u64 {
        if self.boot_id == boot_id() { self.deadline_ms.saturating_sub(boottime_ms()) } else { 0 }
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

fn boottime_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}
