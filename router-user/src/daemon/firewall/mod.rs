//! What the daemon does for the firewall beside the packets' way.

pub mod keeper;
pub mod lasting;
pub mod line;
pub mod log;
pub mod names;
pub mod timed;
