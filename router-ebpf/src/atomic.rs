//! Atomic read-modify-write: `core::sync::atomic` has none on this target.
//!
//! All are sequentially consistent: a relaxed addition whose result is used would give the addend (LLVM 22 emits it
//! without fetch).

use core::intrinsics::{
    AtomicOrdering::SeqCst, atomic_and, atomic_cxchg, atomic_or, atomic_xadd, atomic_xchg,
};

/// Puts `new` in the place of `old`; whether it was there.
///
/// # Safety
/// `word` is a field of a map value, aligned to its size; so for all functions here.
#[inline(always)]
pub unsafe fn replace(word: *mut u64, old: u64, new: u64) -> bool {
    // SAFETY: the caller's.
    unsafe { atomic_cxchg::<u64, { SeqCst }, { SeqCst }>(word, old, new).0 == old }
}

/// As [`replace`].
///
/// # Safety
/// As there.
#[inline(always)]
pub unsafe fn replace32(word: *mut u32, old: u32, new: u32) -> bool {
    // SAFETY: the caller's.
    unsafe { atomic_cxchg::<u32, { SeqCst }, { SeqCst }>(word, old, new).0 == old }
}

/// # Safety
/// As for [`replace`].
#[inline(always)]
pub unsafe fn exchange32(word: *mut u32, new: u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { atomic_xchg::<u32, { SeqCst }>(word, new) }
}

/// # Safety
/// As for [`replace`].
#[inline(always)]
pub unsafe fn and(word: *mut u64, bits: u64) -> u64 {
    // SAFETY: the caller's.
    unsafe { atomic_and::<u64, u64, { SeqCst }>(word, bits) }
}

/// # Safety
/// As for [`replace`].
#[inline(always)]
pub unsafe fn or(word: *mut u64, bits: u64) -> u64 {
    // SAFETY: the caller's.
    unsafe { atomic_or::<u64, u64, { SeqCst }>(word, bits) }
}

/// The value before.
///
/// # Safety
/// As for [`replace`].
#[inline(always)]
pub unsafe fn add32(word: *mut u32, number: u32) -> u32 {
    // SAFETY: the caller's.
    unsafe { atomic_xadd::<u32, u32, { SeqCst }>(word, number) }
}
