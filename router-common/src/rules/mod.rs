//! The rule walk: which rule decides? Generic over where the cells of the image come from, so that the same code runs
//! in the kernel and in tests.
//!
//! [`rows::prepare`] turns what is known of a packet into rows of bits; [`walk::start`] sets a chain; [`walk::step`]
//! looks at one candidate, until it says that the walk is done. See [`crate::maps::image`] for the image.

pub mod content;
pub mod limit;
pub mod matcher;
pub mod replay;
pub mod rows;
pub mod tree;
pub mod walk;

use crate::facts::Facts;
use crate::maps::image::{Cell, Limits, More, Nat, Record, Rule, Volume};

pub use walk::Walk;

/// The cells of one image.
pub trait Cells: Copy {
    fn cell(self, index: u32) -> Option<&'static Cell>;

    // Each of these may be a function of its own in the kernel, where the verifier goes through it once.
    fn find32(self, tree: tree::Tree, key: u32) -> Option<u32> {
        tree::find32(self, tree, key)
    }
    fn find64(self, tree: tree::Tree, key: u64) -> Option<u32> {
        tree::find64(self, tree, key)
    }
    fn row(self, facts: &Facts, walk: &mut Walk, dimension: u32) -> Option<()> {
        rows::row(self, facts, walk, dimension)
    }
    fn chunks(self, walk: &mut Walk) -> Option<()> {
        rows::chunks(self, walk)
    }
    fn load(self, walk: &mut Walk, chunk: u32) -> Option<()> {
        walk::load(self, walk, chunk)
    }
}

/// What a walk asks for or does beyond the image.
pub trait Hooks {
    /// A rule counts the packet.
    fn count(&mut self, slot: u32, facts: &Facts);
    /// A rule logs the packet.
    fn log(&mut self, rule: &Rule, facts: &Facts);
    /// Whether the rule's `limit` lets one more packet match; takes its tokens.
    fn limit(&mut self, rule: &Rule, limits: &Limits, facts: &Facts) -> bool;
    /// The same for the bucket of the packet's addresses.
    fn dst_limit(&mut self, rule: &Rule, limits: &Limits, facts: &Facts) -> bool;
    /// Whether the packet's source has more than that number of connections.
    fn connection_limit(&mut self, rule: &Rule, limits: &Limits, facts: &Facts) -> bool;
    /// Whether the packet is that one of the rule's `nth`; counts it.
    fn nth(&mut self, rule: &Rule, more: &More) -> bool;
    /// A number from 0 to 99.
    fn random(&mut self) -> u32;
    /// The local time: seconds since the midnight before Sunday.
    fn second_of_week(&mut self) -> u32;
    /// Whether the packet's connection has carried so many bytes in both directions, with this packet.
    fn connection_bytes(&mut self, volume: &Volume, facts: &Facts) -> bool;
    /// Whether it has carried so many bits in the last second.
    fn connection_rate(&mut self, volume: &Volume, facts: &Facts) -> bool;
    /// Whether the packet's source scans ports; weighs the packet.
    fn scans(&mut self, rule: &Rule, volume: &Volume, facts: &Facts) -> bool;
    /// Whether the packet's payload has these bytes: so many of a cell.
    fn has_content(&mut self, cell: u32, bytes: u32) -> bool;
    /// Whether an address is a dynamic member of a list.
    fn is_listed(&mut self, list: u32, address: &[u8; 16], family: u8) -> bool;
    fn add_to_list(&mut self, list: u32, address: &[u8; 16], family: u8, timeout_s: u32);
}

/// The parameters of an action of NAT, from [`Walk::parameter`].
#[inline(always)]
pub fn nat<C: Cells>(cells: C, index: u32) -> Option<&'static Nat> {
    cells.cell(index).map(Nat::of)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Clone, Copy)]
    pub struct Slice(pub &'static [Cell]);

    impl Cells for Slice {
        fn cell(self, index: u32) -> Option<&'static Cell> {
            self.0.get(index as usize)
        }
    }
}
