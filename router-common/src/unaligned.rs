//! Words at any address of a packet, each in one instruction.
//!
//! The headers have alignment 1, for which LLVM's BPF back end loads byte by byte unless the target feature
//! `allows-misaligned-mem-access` is on; with that it misaligns the stack as well, and the verifier refuses
//! ("misaligned stack access"). The kernel does allow words at any packet address where the machine does.

macro_rules! access {
    ($load:ident, $store:ident, $word:ty, $bytes:literal, $read:literal, $write:literal) => {
        /// Loads a word in native order.
        #[inline(always)]
        pub fn $load<const OFFSET: usize, const N: usize>(bytes: &[u8; N]) -> $word {
            const { assert!(OFFSET + $bytes <= N) };
            #[cfg(target_arch = "bpf")]
            {
                let value: u64;
                // SAFETY: inside the array by the assertion; reads memory and changes nothing.
                unsafe {
                    core::arch::asm!(
                        $read,
                        value = out(reg) value,
                        base = in(reg) bytes.as_ptr(),
                        offset = const OFFSET,
                        options(pure, readonly, nostack),
                    );
                }
                value as $word
            }
            #[cfg(not(target_arch = "bpf"))]
            {
                // SAFETY: inside the array by the assertion.
                unsafe { bytes.as_ptr().add(OFFSET).cast::<$word>().read_unaligned() }
            }
        }

        /// Stores a word in native order.
        #[inline(always)]
        pub fn $store<const OFFSET: usize, const N: usize>(bytes: &mut [u8; N], value: $word) {
            const { assert!(OFFSET + $bytes <= N) };
            #[cfg(target_arch = "bpf")]
            // SAFETY: inside the array by the assertion, which is borrowed mutably.
            unsafe {
                core::arch::asm!(
                    $write,
                    value = in(reg) u64::from(value),
                    base = in(reg) bytes.as_mut_ptr(),
                    offset = const OFFSET,
                    options(nostack),
                );
            }
            #[cfg(not(target_arch = "bpf"))]
            // SAFETY: inside the array by the assertion.
            unsafe {
                bytes.as_mut_ptr().add(OFFSET).cast::<$word>().write_unaligned(value);
            }
        }
    };
}

access!(
    load16,
    store16,
    u16,
    2,
    "{value} = *(u16 *)({base} + {offset})",
    "*(u16 *)({base} + {offset}) = {value}"
);
access!(
    load32,
    store32,
    u32,
    4,
    "{value} = *(u32 *)({base} + {offset})",
    "*(u32 *)({base} + {offset}) = {value}"
);
access!(
    load64,
    store64,
    u64,
    8,
    "{value} = *(u64 *)({base} + {offset})",
    "*(u64 *)({base} + {offset}) = {value}"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_and_go_at_odd_offsets() {
        let mut bytes = [0u8; 15];
        store64::<7, 15>(&mut bytes, u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
        store32::<3, 15>(&mut bytes, u32::from_ne_bytes([9, 10, 11, 12]));
        store16::<1, 15>(&mut bytes, u16::from_ne_bytes([13, 14]));
        assert_eq!(bytes, [0, 13, 14, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(load64::<7, 15>(&bytes), u64::from_ne_bytes([1, 2, 3, 4, 5, 6, 7, 8]));
        assert_eq!(load32::<3, 15>(&bytes), u32::from_ne_bytes([9, 10, 11, 12]));
        assert_eq!(load16::<1, 15>(&bytes), u16::from_ne_bytes([13, 14]));
    }
}
