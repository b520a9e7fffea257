//! `/system resource`, `/system clock`, `/system package`: the host's processor, memory, disk and time.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// RouterOS's release whose language this is; scripts look at its first digit.
const LANGUAGE: &str = "7.22";

/// One look at the host.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    uptime_ms: u64,
    memory: Option<(u64, u64)>,
    processor: String,
    processors: usize,
    megahertz: Option<u64>,
    load_percent: u64,
    /// Free and all bytes where the configuration is stored.
    disk: Option<(u64, u64)>,
    board: String,
}

/// Time of the processors, busy and altogether, when it was looked at last (proc(5), /proc/stat).
#[derive(Clone, Copy, Debug, Default)]
pub struct Ticks {
    busy: u64,
    all: u64,
}

impl Resources {
    /// Looks at the host; the load is that since `before`, which is the last look from now on.
    pub fn read(before: &mut Ticks, state_dir: &Path) -> Resources {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = text("/proc/cpuinfo");
        let field = |name: &str| {
            let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let megahertz = field("cpu MHz").and_then(|text| text.split('.').next()?.parse().ok());
        Resources {
            uptime_ms: uptime(&text("/proc/uptime")),
            memory: memory(&text("/proc/meminfo")),
            processor: field("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            processors: cpuinfo.lines().filter(|line| line.starts_with("processor")).count().max(1),
            megahertz,
            load_percent: load(before, &text("/proc/stat")),
            disk: rustix::fs::statvfs(state_dir).ok().map(|disk| {
                (disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize))
            }),
            board: match text("/sys/class/dmi/id/product_name").trim() {
                "" => "host".to_owned(),
                name => name.to_owned(),
            },
        }
    }

    pub fn values(&self) -> Vec<(&'static str, String)> {
        let mut values = vec![
            ("uptime", time(self.uptime_ms / 1000)),
            ("version", version()),
            ("cpu", self.processor.clone()),
            ("cpu-count", self.processors.to_string()),
            ("cpu-load", self.load_percent.to_string()),
            ("architecture-name", std::env::consts::ARCH.to_owned()),
            ("board-name", self.board.clone()),
            ("platform", "Linux".to_owned()),
        ];
        values.extend(build_time().map(|time| ("build-time", time)));
        values.extend(self.megahertz.map(|megahertz| ("cpu-frequency", megahertz.to_string())));
        let pair = |pair: Option<(u64, u64)>, free, all| {
            pair.into_iter().flat_map(move |(a, b)| [(free, a.to_string()), (all, b.to_string())])
        };
        values.extend(pair(self.memory, "free-memory", "total-memory"));
        values.extend(pair(self.disk, "free-hdd-space", "total-hdd-space"));
        values
    }

    /// The host's clock and zone, at this moment.
    pub fn clock(&self) -> Vec<(&'static str, String)> {
        let zone = TimeZone::system();
        let now = Timestamp::now().to_zoned(zone.clone());
        let summer = zone.to_offset_info(now.timestamp()).dst().is_dst();
        vec![
            ("time", now.strftime("%H:%M:%S").to_string()),
            ("date", now.strftime("%Y-%m-%d").to_string()),
            ("time-zone-name", zone.iana_name().unwrap_or("manual").to_owned()),
            ("gmt-offset", now.strftime("%:z").to_string()),
            ("dst-active", if summer { "yes" } else { "no" }.to_owned()),
        ]
    }

    pub fn package(&self) -> Vec<(&'static str, String)> {
        let mut values =
            vec![("name", "routerd".to_owned()), ("version", env!("CARGO_PKG_VERSION").to_owned())];
        values.extend(build_time().map(|time| ("build-time", time)));
        values
    }
}

/// `7.22 (routerd 0.1.0)`
fn version() -> String {
    format!("{LANGUAGE} (routerd {})", env!("CARGO_PKG_VERSION"))
}

/// When the program was written to disk.
fn build_time() -> Option<String> {
    let written: SystemTime = fs::metadata("/proc/self/exe").ok()?.modified().ok()?;
    let written = Zoned::new(Timestamp::try_from(written).ok()?, TimeZone::UTC);
    Some(written.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// `6w5d11h55m45s`
fn time(seconds: u64) -> String {
    let units = [(604_800, 'w'), (86_400, 'd'), (3_600, 'h'), (60, 'm'), (1, 's')];
    let (mut text, mut left) = (String::new(), seconds);
    for (unit, letter) in units {
        if left >= unit || unit == 1 && text.is_empty() {
            text.push_str(&format!("{}{letter}", left / unit));
        }
        left %= unit;
    }
    text
}

/// /proc/uptime: seconds with hundredths.
fn uptime(text: &str) -> u64 {
    let first = text.split_whitespace().next().unwrap_or_default();
    let seconds = first.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok());
    seconds.unwrap_or(0).saturating_mul(1000)
}

/// Free and all bytes of /proc/meminfo.
fn memory(text: &str) -> Option<(u64, u64)> {
    let field = |name: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
    };
    Some((field("MemAvailable")?, field("MemTotal")?))
}

/// Percent of the time since the last look that the processors were busy.
fn load(before: &mut Ticks, text: &str) -> u64 {
    let Some(line) = text.lines().find_map(|line| line.strip_prefix("cpu ")) else { return 0 };
    let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let all: u64 = fields.iter().take(8).fold(0, |sum, ticks| sum.saturating_add(*ticks));
    // The fourth is idle, the fifth waits for disks.
    let idle = fields.iter().skip(3).take(2).fold(0u64, |sum, ticks| sum.saturating_add(*ticks));
    let now = Ticks { busy: all.saturating_sub(idle), all };
    let (busy, span) = (now.busy.saturating_sub(before.busy), now.all.saturating_sub(before.all));
    *before = now;
    busy.saturating_mul(100).checked_div(span).unwrap_or(0).min(100)
}

/// The local time, in seconds since the midnight before Sunday.
pub fn second_of_week() -> u32 {
    let now = Timestamp::now().to_zoned(TimeZone::system());
    let time = now.time();
    let second = i32::from(time.hour()) * 3600 + i32::from(time.minute()) * 60 + i32::from(time.second());
    (i32::from(now.weekday().to_sunday_zero_offset()) * 86_400 + second).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_read() {
        assert_eq!(uptime("123.45 200.00\n"), 123_000);
        assert_eq!(memory("MemTotal:  2048 kB\nMemAvailable:  512 kB\n"), Some((524_288, 2_097_152)));
        assert_eq!(memory(""), None);
        let mut before = Ticks::default();
        assert_eq!(load(&mut before, "cpu  50 0 50 90 10 0 0 0 0 0\n"), 50);
        assert_eq!(load(&mut before, "cpu  60 0 50 170 20 0 0 0 0 0\n"), 10);
        assert_eq!(load(&mut before, ""), 0);
    }

    #[test]
    fn times_have_routeros_units() {
        assert_eq!(time(0), "0s");
        assert_eq!(time(62), "1m2s");
        assert_eq!(time(86_400 * 47 + 11 * 3600 + 55 * 60 + 45), "6w5d11h55m45s");
        assert_eq!(time(3600), "1h");
    }
}
