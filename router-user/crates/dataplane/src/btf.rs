//! Where a field stands in a struct of the running kernel, from its BTF (Documentation/bpf/btf.rst).

use std::fs;

const VMLINUX: &str = "/sys/kernel/btf/vmlinux";
const MAGIC: u32 = 0xeb9f;
const STRUCT: u32 = 4;

/// Offset in bytes of a field that is a direct member of the struct; None where the kernel tells nothing of it.
pub fn field_offset(structure: &str, field: &str) -> Option<u32> {
    find(&fs::read(VMLINUX).ok()?, structure, field)
}

fn find(btf: &[u8], structure: &str, field: &str) -> Option<u32> {
    if word(btf, 0)? & 0xffff != MAGIC {
        return None;
    }
    let [header, types, types_bytes, strings] = [4, 8, 12, 16].map(|at| word(btf, at));
    let header = header? as usize;
    let strings = btf.get(header.checked_add(strings? as usize)?..)?;
    let types = btf.get(header.checked_add(types? as usize)?..)?.get(..types_bytes? as usize)?;
    let mut at = 0;
    while at < types.len() {
        let (name, info) = (word(types, at)?, word(types, at + 4)?);
        let (kind, count) = (info >> 24 & 0x1f, (info & 0xffff) as usize);
        at += 12;
        if kind == STRUCT && is_named(strings, name, structure) {
            for member in (at..at + count * 12).step_by(12) {
                if is_named(strings, word(types, member)?, field) {
                    let bits = word(types, member + 8)?;
                    // With the kind flag the upper byte is the width of a bit field.
                    return Some(if info >> 31 == 1 { bits & 0xff_ffff } else { bits } / 8);
                }
            }
        }
        at += match kind {
            // INT, VAR, DECL_TAG
            1 | 14 | 17 => 4,
            // ARRAY
            3 => 12,
            // STRUCT, UNION, DATASEC, ENUM64
            4 | 5 | 15 | 19 => count * 12,
            // ENUM, FUNC_PROTO
            6 | 13 => count * 8,
            _ => 0,
        };
    }
    None
}

/// BTF is in the byte order of the machine.
fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn is_named(strings: &[u8], at: u32, name: &str) -> bool {
    let Some(text) = strings.get(at as usize..) else { return false };
    text.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An int, then `struct pair { int first; int second; }`.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0pair\0first\0second\0";
        let types: [u32; 13] = [1, 1 << 24, 4, 32, 5, 4 << 24 | 2, 8, 10, 1, 0, 16, 1, 32];
        let types_bytes = types.len() as u32 * 4;
        let header = [MAGIC | 1 << 16, 24, 0, types_bytes, types_bytes, strings.len() as u32];
        let words = header.iter().chain(&types).flat_map(|word| word.to_ne_bytes());
        words.chain(strings.iter().copied()).collect()
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let btf = sample();
        assert_eq!(find(&btf, "pair", "first"), Some(0));
        assert_eq!(find(&btf, "pair", "second"), Some(4));
        assert_eq!(find(&btf, "pair", "sec"), None);
        assert_eq!(find(&btf, "int", "first"), None);
    }

    #[test]
    fn any_cut_gives_an_answer() {
        let btf = sample();
        for end in 0..btf.len() {
            let _: Option<u32> = find(&btf[..end], "pair", "second");
        }
        assert_eq!(find(b"\0\0\0\0", "pair", "first"), None);
    }
}
