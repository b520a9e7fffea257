//! The ABI between the eBPF programs and user space, and all packet logic that can run anywhere.
//!
//! Everything here is `no_std`, free of panics and tested on the host.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

#[cfg(test)]
extern crate std;

pub mod address;
pub mod conntrack;
pub mod csum;
pub mod cursor;
pub mod facts;
pub mod hash;
pub mod maps;
pub mod nat;
pub mod parse;
pub mod rules;
pub mod tuple;
pub mod unaligned;
pub mod verdict;
pub mod wire;
