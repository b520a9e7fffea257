//! Names of an ELF64 object's symbols, enough to find a panic in an eBPF object.

/// Every name in the symbol tables; `None` when the bytes are not a little-endian ELF64 file.
pub fn symbols(object: &[u8]) -> Option<Vec<String>> {
    const SHT_SYMTAB: u32 = 2; // ELF gABI, figure 4-9
    if object.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = word(object, 0x28)?; // e_shoff
    let size = u16::from_le_bytes(object.get(0x3a..0x3c)?.try_into().ok()?) as usize; // e_shentsize
    let count = u16::from_le_bytes(object.get(0x3c..0x3e)?.try_into().ok()?) as usize; // e_shnum
    let header = |index: usize| object.get(table.checked_add(index.checked_mul(size)?)?..);
    let mut names = Vec::new();
    for index in 0..count {
        let section = header(index)?;
        if half(section, 4)? != SHT_SYMTAB {
            continue;
        }
        let strings = content(object, header(half(section, 0x28)? as usize)?)?; // sh_link
        for symbol in content(object, section)?.chunks_exact(24) {
            let name = strings.get(half(symbol, 0)? as usize..)?;
            let end = name.iter().position(|byte| *byte == 0)?;
            names.push(String::from_utf8_lossy(name.get(..end)?).into_owned());
        }
    }
    Some(names)
}

fn content<'o>(object: &'o [u8], section: &[u8]) -> Option<&'o [u8]> {
    let (start, size) = (word(section, 0x18)?, word(section, 0x20)?); // sh_offset, sh_size
    object.get(start..start.checked_add(size)?)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?)).ok()
}

fn half(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_symbols_of_this_very_test() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(symbols(&own).unwrap().iter().any(|name| name.contains("lists_symbols_of_this_very_test")));
    }

    #[test]
    fn refuses_what_is_cut_or_not_elf() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(symbols(b"#!/bin/sh\n"), None);
        assert_eq!(symbols(&own[..4096]), None);
    }
}
