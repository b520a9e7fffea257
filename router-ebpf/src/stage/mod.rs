//! The stages, in the order in which a packet meets them.

pub mod emit;
pub mod handover;
pub mod icmp_error;
pub mod route;
pub mod rules;
pub mod source;
pub mod unfinished;
