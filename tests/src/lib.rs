//! Support for black-box tests: packet builder, topologies.
//!
//! A test that cannot run here calls `lab::skip!("reason")`; see the crate `lab`.

pub mod packet;
pub mod support;
