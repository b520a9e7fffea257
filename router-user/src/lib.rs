//! The two commands: `routerd`, the daemon, and `routerctl`, which speaks to it.

pub mod cli;
pub mod ctl;
pub mod daemon;
mod difference;
mod files;
mod ports;
mod take;
mod trace;
