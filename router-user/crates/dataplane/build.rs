//! Embeds the eBPF object that `cargo xtask build` made, and the fingerprint of the map ABI it was made against.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Where `cargo xtask build` leaves the object, below the workspace.
const OBJECT: &str = "target/ebpf/bpfel-unknown-none/bpf/router-ebpf";
/// The ABI's source, below the workspace.
const ABI: &str = "router-common/src/maps";

fn main() -> io::Result<()> {
    let workspace = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let out = PathBuf::from(env::var("OUT_DIR").map_err(io::Error::other)?);

    let object = workspace.join(OBJECT);
    println!("cargo:rerun-if-changed={}", object.display());
    match fs::read(&object) {
        Ok(bytes) => fs::write(out.join("router-ebpf"), bytes)?,
        // Opening the data plane then says how to build it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::write(out.join("router-ebpf"), [])?,
        Err(error) => return Err(error),
    }

    let abi = workspace.join(ABI);
    println!("cargo:rerun-if-changed={}", abi.display());
    println!("cargo:rustc-env=ABI_SOURCE_HASH={:016x}", fnv1a(abi_text(&abi)?.as_bytes()));
    Ok(())
}

/// The ABI's source without comments and white space: changes exactly when names, fields, sizes or constants do.
fn abi_text(folder: &Path) -> io::Result<String> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<io::Result<_>>()?;
    files.sort();
    let mut text = String::new();
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "rs")) {
        for line in fs::read_to_string(file)?.lines() {
            let code = line.split("//").next().unwrap_or_default();
            text.extend(code.chars().filter(|c| !c.is_whitespace()));
        }
    }
    Ok(text)
}

/// FNV-1a, 64 bits: the standard library's hashers promise no stable values.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
