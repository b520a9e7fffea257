//! Keys, values, names and sizes of every BPF map.
//!
//! All structs are `repr(C)` without implicit padding; integers are in host order unless a name ends in `_be`.

pub mod control;
pub mod counter;
pub mod event;
pub mod flow;
pub mod fragment;
pub mod handover;
pub mod image;
pub mod port;
pub mod route;
pub mod rule;
pub mod scratch;

/// Asserts at compile time that a map struct has the size that both worlds expect.
#[macro_export]
macro_rules! assert_size {
    ($type:ty, $size:expr) => {
        const _: () = assert!(core::mem::size_of::<$type>() == $size);
    };
}
