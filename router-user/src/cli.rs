//! Command lines of both programs.

pub mod routerctl;
pub mod routerd;
