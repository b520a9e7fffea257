//! Array maps read and written through memory instead of by system calls.

use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::{align_of, size_of};
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use aya::maps::{MapData, MapType};
use router_common::maps::{control, counter, event, flow, fragment, image, port, route, rule};
use rustix::mm::{MapFlags, ProtFlags};

use crate::Error;

/// `BPF_F_MMAPABLE` of include/uapi/linux/bpf.h.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Map values as the kernel stores them.
///
/// # Safety
/// `repr(C)`, no padding, every bit pattern valid, alignment at most 8.
pub unsafe trait Plain: Copy + 'static {}

macro_rules! plain {
    ($($type:ty),+ $(,)?) => { $(
        // SAFETY: a struct of the ABI: repr(C), integers and byte arrays without padding (its size is asserted there).
        unsafe impl Plain for $type {}
    )+ };
}

plain!(
    control::Control,
    port::Port,
    port::Settings,
    counter::Counter,
    counter::PortCounters,
    event::Event,
    event::TraceFilter,
    flow::Bucket,
    flow::Flow4,
    flow::Flow6,
    flow::Side,
    flow::Tracking,
    flow::Unused,
    route::Route4,
    route::Route6,
    route::FailedKey,
    fragment::FragmentKey,
    fragment::Held,
    rule::DstLimitKey,
    rule::ListedKey,
    rule::Listed,
    rule::PathKey,
    rule::Logged,
    router_common::facts::Facts,
    rule::MarkName,
    image::Cell,
    u64,
    u32,
);

/// The bytes of a map value.
pub fn as_bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: T: Plain has no padding, so every byte is initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// A map value from its bytes; None where there are too few.
pub fn from_bytes<T: Plain>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.get(..size_of::<T>())?;
    // SAFETY: long enough; T: Plain accepts every bit pattern; the read is unaligned.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// A whole array map in memory, shared with the running programs.
#[derive(Debug)]
pub struct Mapped<T> {
    base: NonNull<u8>,
    length_bytes: usize,
    entries: u32,
    value: PhantomData<T>,
}

// SAFETY: the memory is shared with the kernel anyway; access is volatile or atomic, never through references to T.
unsafe impl<T> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Mapped<T> {}

impl<T: Plain> Mapped<T> {
    /// Bytes from one element to the next: kernel/bpf/arraymap.c rounds values up to 8.
    const STRIDE: usize = size_of::<T>().next_multiple_of(8);

    pub fn new(name: &str, map: &MapData) -> Result<Mapped<T>, Error> {
        let info = map.info().map_err(Error::map(name))?;
        let fits = matches!(info.map_type(), Ok(MapType::Array))
            && info.value_size() as usize == size_of::<T>()
            && info.map_flags() & BPF_F_MMAPABLE != 0;
        if !fits {
            return Err(Error::Shape { name: name.to_owned(), value_bytes: size_of::<T>() });
        }
        let page = rustix::param::page_size();
        let length_bytes = (info.max_entries() as usize * Self::STRIDE).next_multiple_of(page);
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; nothing else refers to it.
        let base = unsafe {
            rustix::mm::mmap(std::ptr::null_mut(), length_bytes, prot, MapFlags::SHARED, map.fd().as_fd(), 0)
        };
        let base = base.map_err(|errno| Error::Mmap { name: name.to_owned(), source: errno.into() })?;
        // mmap without MAP_FIXED never gives the null page.
        let base = NonNull::new(base.cast::<u8>())
            .ok_or_else(|| Error::Mmap { name: name.to_owned(), source: std::io::ErrorKind::Other.into() })?;
        Ok(Mapped { base, length_bytes, entries: info.max_entries(), value: PhantomData })
    }

    /// Zeros that no map stands behind.
    #[cfg(test)]
    pub fn anonymous(entries: u32) -> Mapped<T> {
        let length_bytes = (entries as usize * Self::STRIDE).next_multiple_of(rustix::param::page_size());
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses; nothing else refers to it.
        let base = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), length_bytes, prot, MapFlags::PRIVATE)
        };
        let base = NonNull::new(base.unwrap().cast::<u8>()).unwrap();
        Mapped { base, length_bytes, entries, value: PhantomData }
    }

    pub fn len(&self) -> u32 {
        self.entries
    }

    fn element(&self, index: u32) -> Option<NonNull<T>> {
        (index < self.entries).then(|| {
            // SAFETY: inside the mapping by the check; element starts are multiples of 8, which suits any T: Plain.
            unsafe { self.base.add(index as usize * Self::STRIDE).cast() }
        })
    }

    /// One element. A program may write it meanwhile: what is read of several words can be of two moments.
    pub fn read(&self, index: u32) -> Option<T> {
        // SAFETY: `element` is inside the mapping and aligned; every bit pattern is a T.
        self.element(index).map(|element| unsafe { element.as_ptr().read_volatile() })
    }

    /// Writes one element; false where there is no such index.
    pub fn write(&self, index: u32, value: &T) -> bool {
        match self.element(index) {
            // SAFETY: `element` is inside the mapping and aligned.
            Some(element) => unsafe { element.as_ptr().write_volatile(*value) },
            None => return false,
        }
        true
    }

    /// The first `count` elements.
    pub fn read_all(&self, count: u32) -> Vec<T> {
        (0..count.min(self.entries)).filter_map(|index| self.read(index)).collect()
    }

    /// Writes elements from the first on, as far as there is room.
    pub fn write_all(&self, values: &[T]) {
        for (index, value) in (0..).zip(values) {
            self.write(index, value);
        }
    }

    /// An element of one 32-bit word.
    pub fn atomic(&self, index: u32) -> Option<&AtomicU32> {
        const { assert!(size_of::<T>() == size_of::<AtomicU32>() && align_of::<T>() == align_of::<AtomicU32>()) };
        // SAFETY: `element` is inside the mapping and aligned; only accessed atomically where that matters.
        self.element(index).map(|element| unsafe { AtomicU32::from_ptr(element.as_ptr().cast()) })
    }

    /// A 64-bit word of an element, `offset` bytes from its start; None outside.
    pub fn long(&self, index: u32, offset: usize) -> Option<&AtomicU64> {
        let fits = offset.is_multiple_of(align_of::<AtomicU64>())
            && offset + size_of::<AtomicU64>() <= size_of::<T>();
        let element = self.element(index).filter(|_| fits)?;
        // SAFETY: inside the element, which is aligned to 8 as every value of an array map; only accessed atomically.
        Some(unsafe { AtomicU64::from_ptr(element.as_ptr().cast::<u8>().add(offset).cast()) })
    }

    /// A 32-bit word of an element, `offset` bytes from its start.
    pub fn atomic32(&self, index: u32, offset: usize) -> Option<&AtomicU32> {
        let fits = offset.is_multiple_of(align_of::<AtomicU32>())
            && offset + size_of::<AtomicU32>() <= size_of::<T>();
        let element = self.element(index).filter(|_| fits)?;
        // SAFETY: as for `long`.
        Some(unsafe { AtomicU32::from_ptr(element.as_ptr().cast::<u8>().add(offset).cast()) })
    }

    /// A 32-bit word of element 0, `offset` bytes from its start; None outside.
    pub fn word(&self, offset: usize) -> Option<&AtomicU32> {
        let fits = self.entries > 0
            && offset.is_multiple_of(align_of::<AtomicU32>())
            && offset + size_of::<AtomicU32>() <= size_of::<T>();
        // SAFETY: inside element 0, aligned; lives as long as the mapping, which self owns; only accessed atomically.
        fits.then(|| unsafe { AtomicU32::from_ptr(self.base.add(offset).as_ptr().cast()) })
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`; nothing borrows from it beyond self.
        let unmapped = unsafe { rustix::mm::munmap(self.base.as_ptr().cast::<c_void>(), self.length_bytes) };
        debug_assert!(unmapped.is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_a_value_give_the_value_again() {
        let port = port::Port { ifindex: 7, mtu_bytes: 1500, mac: [2, 0, 0, 0, 0, 1], ..Default::default() };
        let bytes = as_bytes(&port);
        assert_eq!(bytes.len(), 44);
        assert_eq!(from_bytes::<port::Port>(bytes), Some(port));
        assert_eq!(from_bytes::<port::Port>(&bytes[..43]), None);
    }
}
