//! The ABI between the eBPF programs and user space, and all packet logic that can run anywhere.
//!
//! Everything here is `no_std`, free of panics and tested on the host.
#![no_std]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod maps;
pub mod verdict;
