//! Room for as many connections as the cases have, in the kernel's own table. Its size is the machine's, not a
//! namespace's.

use std::fs;

use anyhow::{Context as _, Result};

/// Buckets and entries.
const WANTED: [(&str, u64); 2] = [
    ("/proc/sys/net/netfilter/nf_conntrack_buckets", 2 << 20),
    ("/proc/sys/net/netfilter/nf_conntrack_max", 4 << 20),
];

/// What the limits were; given back when this value goes.
pub struct Limits(Vec<(&'static str, u64)>);

/// Raises the limits where they are lower. A kernel without connection tracking has none.
pub fn raise() -> Result<Limits> {
    let mut limits = Limits(Vec::new());
    for (file, wanted) in WANTED {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let found: u64 = text.trim().parse().with_context(|| format!("{file} holds {text}"))?;
        if found < wanted {
            fs::write(file, wanted.to_string()).with_context(|| format!("write {file}"))?;
            limits.0.push((file, found));
        }
    }
    Ok(limits)
}

impl Drop for Limits {
    fn drop(&mut self) {
        for (file, found) in self.0.drain(..).rev() {
            if let Err(error) = fs::write(file, found.to_string()) {
                eprintln!("write {file}: {error}");
            }
        }
    }
}
