//! Packet bytes -> typed references. The only place where packet memory is turned into headers.

use core::marker::PhantomData;

/// # Safety
/// `repr(C)`, alignment 1, no padding, every bit pattern valid.
pub unsafe trait Wire: Copy {}

// SAFETY: bytes.
unsafe impl<const N: usize> Wire for [u8; N] {}

/// The packet ends before the header does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short;

/// Walks over the bytes of a packet.
pub struct Cursor<'p> {
    pos: usize,
    end: usize,
    packet: PhantomData<&'p mut [u8]>,
}

impl<'p> Cursor<'p> {
    /// # Safety
    /// `start..end` is memory that may be read and written for `'p`, and that nothing else refers to meanwhile.
    #[inline(always)]
    pub unsafe fn new(start: usize, end: usize) -> Cursor<'p> {
        Cursor { pos: start, end, packet: PhantomData }
    }

    #[inline(always)]
    pub fn take<T: Wire>(&mut self) -> Result<&'p mut T, Short> {
        const { assert!(align_of::<T>() == 1) };
        let next = self.pos + size_of::<T>();
        if next > self.end {
            return Err(Short);
        }
        let header = self.pos as *mut T;
        self.pos = next;
        // SAFETY: inside the packet by the check above; T: Wire; positions only grow, so headers never overlap.
        Ok(unsafe { &mut *header })
    }

    /// A cursor `bytes` further on, which may be beyond the end.
    #[inline(always)]
    pub fn skip(self, bytes: usize) -> Cursor<'p> {
        Cursor { pos: self.pos + bytes, ..self }
    }

    /// Another cursor at the same place, for a look ahead: what it takes is not to be kept when this one goes on.
    #[inline(always)]
    pub fn again(&self) -> Cursor<'p> {
        Cursor { pos: self.pos, end: self.end, packet: PhantomData }
    }

    /// Bytes between the position and the end.
    #[inline(always)]
    pub fn remaining(&self) -> u32 {
        self.end.wrapping_sub(self.pos) as u32
    }
}

impl<'p> From<&'p mut [u8]> for Cursor<'p> {
    fn from(bytes: &'p mut [u8]) -> Cursor<'p> {
        let range = bytes.as_mut_ptr_range();
        // SAFETY: the slice is borrowed mutably for 'p.
        unsafe { Cursor::new(range.start as usize, range.end as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_do_not_overlap_and_end_with_the_packet() {
        let mut bytes = [1u8, 2, 3, 4, 5];
        let mut cursor = Cursor::from(&mut bytes[..]);
        let first = cursor.take::<[u8; 2]>().unwrap();
        let second = cursor.take::<[u8; 2]>().unwrap();
        assert_eq!((*first, *second, cursor.remaining()), ([1, 2], [3, 4], 1));
        assert_eq!(cursor.take::<[u8; 2]>(), Err(Short));
        assert_eq!(cursor.again().skip(1).take::<[u8; 1]>(), Err(Short));
        assert_eq!(cursor.take::<[u8; 1]>(), Ok(&mut [5]));
        assert_eq!(cursor.take::<[u8; 1]>(), Err(Short));
    }
}
