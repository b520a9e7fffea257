//! Connection tracking: what a packet means for the connection it belongs to. State machines only; entries and their
//! place in memory are [`crate::maps::flow`]'s.

pub mod icmp;
pub mod other;
pub mod tcp;
pub mod timeout;
pub mod udp;
