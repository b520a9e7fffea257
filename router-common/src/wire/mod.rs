//! Headers as they are on the wire: byte arrays of alignment 1, with getters in host order.

pub mod eth;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod l4;
pub mod tcp;
