//! Maps as they were when they were made, so that programs that are loaded once serve many tests.

use std::io::{Error, ErrorKind};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use anyhow::{Context, Result, bail};
use aya::maps::{Map, MapData, MapType, RingBuf};
use aya_obj::generated::{bpf_attr, bpf_cmd};

/// Empties a map. What the loader froze stays.
pub fn reset(name: &str, map: &mut Map) -> Result<()> {
    if name.starts_with('.') {
        return Ok(());
    }
    empty(map).with_context(|| format!("empty map {name}"))
}

fn empty(map: &mut Map) -> Result<()> {
    if let Map::RingBuf(_) = map {
        let mut ring: RingBuf<&mut MapData> = map.try_into()?;
        while ring.next().is_some() {}
        return Ok(());
    }
    let data = match &*map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::DevMap(data)
        | Map::HashMap(data)
        | Map::HashOfMaps(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::ProgramArray(data) => data,
        _ => bail!("of a kind that no test has needed yet"),
    };
    let (fd, info) = (data.fd().as_fd(), data.info()?);
    match info.map_type()? {
        MapType::Array => zero(fd, info.max_entries(), info.value_size() as usize),
        MapType::PerCpuArray => {
            let cpus = aya::util::nr_cpus().map_err(|(_, error)| error)?;
            zero(fd, info.max_entries(), info.value_size().next_multiple_of(8) as usize * cpus)
        }
        MapType::ArrayOfMaps | MapType::DevMap | MapType::ProgramArray => {
            (0..info.max_entries()).try_for_each(|index| delete(fd, &index.to_ne_bytes()))
        }
        _ => {
            let mut key = vec![0; info.key_size() as usize];
            while first(fd, &mut key)? {
                delete(fd, &key)?;
            }
            Ok(())
        }
    }
}

fn bpf(command: bpf_cmd, attr: &mut bpf_attr) -> Result<(), Error> {
    // SAFETY: the attributes are those of the command, and what they point to lives until its end.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_uint, &raw mut *attr, size_of::<bpf_attr>())
    };
    if result < 0 { Err(Error::last_os_error()) } else { Ok(()) }
}

fn attr() -> bpf_attr {
    // SAFETY: a union of integers.
    unsafe { std::mem::zeroed() }
}

/// Writes zeros to all entries of an array at once.
fn zero(fd: BorrowedFd<'_>, entries: u32, value_bytes: usize) -> Result<()> {
    let keys: Vec<u32> = (0..entries).collect();
    let values = vec![0u8; entries as usize * value_bytes];
    let mut attr = attr();
    attr.batch.map_fd = fd.as_raw_fd().cast_unsigned();
    attr.batch.keys = keys.as_ptr() as u64;
    attr.batch.values = values.as_ptr() as u64;
    attr.batch.count = entries;
    Ok(bpf(bpf_cmd::BPF_MAP_UPDATE_BATCH, &mut attr)?)
}

/// Deletes an entry; one that is not there is none.
fn delete(fd: BorrowedFd<'_>, key: &[u8]) -> Result<()> {
    let mut attr = attr();
    attr.__bindgen_anon_2.map_fd = fd.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.key = key.as_ptr() as u64;
    match bpf(bpf_cmd::BPF_MAP_DELETE_ELEM, &mut attr) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}

/// The first key of a map; false where there is none.
fn first(fd: BorrowedFd<'_>, key: &mut [u8]) -> Result<bool> {
    let mut attr = attr();
    attr.__bindgen_anon_2.map_fd = fd.as_raw_fd().cast_unsigned();
    attr.__bindgen_anon_2.__bindgen_anon_1.next_key = key.as_mut_ptr() as u64;
    match bpf(bpf_cmd::BPF_MAP_GET_NEXT_KEY, &mut attr) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}
