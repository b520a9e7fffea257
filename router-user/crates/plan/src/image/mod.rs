//! What goes into one slot of the data plane.

mod lists;
mod ports;
mod rows;
mod rules;
mod tree;

#[cfg(test)]
mod tests;

pub use ports::compile;
pub use rules::{TooLarge, encode};
