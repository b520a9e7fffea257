//! The lab: network namespaces, links, hosts, traffic and a `routerd` under observation.
//!
//! Used by the scenarios, by `cargo xtask demo` and by `cargo xtask lab`. It depends on no other crate of the
//! workspace, so every crate's tests may use it (`lab.workspace = true` among the dev-dependencies).
//!
//! # A test that cannot run here
//!
//! It calls [`skip!`] with the reason. That is a panic whose message starts with `skipped: `: plain `cargo test`
//! shows it as failed, so nothing passes silently, and `cargo xtask test` counts it as skipped and prints
//! the reason. `#[ignore = "reason"]` is counted the same way. Tests that need root say
//! `lab::need_root!()` in their first line.

/// Ends a test that cannot run on this host: `skip!("kernel {release} has no tcx")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)+) => { ::std::panic!("skipped: {}", ::std::format_args!($($reason)+)) };
}

/// Skips the test unless it runs as root.
#[macro_export]
macro_rules! need_root {
    () => {
        if !$crate::is_root() {
            $crate::skip!("needs root (cargo xtask test asks sudo for it)");
        }
    };
}

/// Whether the effective user is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the processor is QEMU's emulation, which is ten times slower than a real one.
pub fn is_emulated() -> bool {
    std::fs::read_to_string("/proc/cpuinfo").is_ok_and(|text| text.contains("QEMU TCG"))
}

pub mod bulk;
pub mod daemon;
pub mod dns;
pub mod netns;
pub mod topology;
pub mod traffic;

pub use bulk::Bulk;
pub use daemon::{Daemon, ctl, ctl_json, routerctl};
pub use dns::DnsServer;
pub use netns::Netns;
pub use topology::Lab;
pub use traffic::{Delivery, HttpServer, UdpStream, http_get, ping};
