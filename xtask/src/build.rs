//! `cargo xtask build`: the eBPF object, then the binaries that carry it.

use std::{fs, os::unix::process::CommandExt, path::PathBuf, process::Command};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{
    elf,
    setup::{self, Pair},
    shell,
};

#[derive(Args, Clone, Default)]
pub struct Options {
    /// Optimised binaries
    #[arg(long)]
    pub release: bool,
}

pub fn run(options: &Options) -> Result<()> {
    let pair = setup::pair()?;
    own_target()?;
    object(&pair)?;
    let mut cargo = shell::cargo();
    cargo.args(["build", "--package", "router-user", "--bins"]);
    if options.release {
        cargo.arg("--release");
    }
    shell::run(&mut cargo)?;
    eprintln!("built: {}/{{routerd,routerctl}}", binaries(options.release).display());
    Ok(())
}

/// Folder of the user space binaries.
pub fn binaries(release: bool) -> PathBuf {
    shell::target().join(if release { "release" } else { "debug" })
}

/// Builds the eBPF object and refuses one that could panic.
fn object(pair: &Pair) -> Result<()> {
    let folder = shell::target().join("ebpf");
    // The linker by default asks LLVM to leave short fills and copies alone; they then become calls of functions that
    // go byte by byte: 30 ns per packet for the 64 bytes of one struct.
    let inline_fills = "-Clink-arg=--disable-expand-memcpy-in-order";
    let flags = [
        "--cfg=bpf_target_arch=\"x86_64\"",
        "-Cdebuginfo=2",
        "-Clink-arg=--btf",
        inline_fills,
        "-Ctarget-cpu=v3",
    ];
    let mut cargo = shell::builder(&pair.cargo);
    cargo
        .env("RUSTC", &pair.rustc)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args(["build", "--package", "router-ebpf", "--target", "bpfel-unknown-none", "-Z", "build-std=core"])
        .args(["--profile", "bpf", "--target-dir"])
        .arg(&folder);
    shell::run(&mut cargo)?;
    let file = folder.join("bpfel-unknown-none/bpf/router-ebpf");
    let bytes = fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let symbols = elf::symbols(&bytes).with_context(|| format!("{} is no ELF object", file.display()))?;
    let panics: Vec<_> = symbols.iter().filter(|name| name.contains("panicking")).collect();
    if !panics.is_empty() {
        bail!("the eBPF object can panic, so the kernel would refuse it: {panics:?}");
    }
    Ok(())
}

/// Under sudo a first `cargo xtask` may have left root's files in `target`: gives them back to the user.
fn own_target() -> Result<()> {
    if let Some(user) = shell::invoker() {
        let mut chown = Command::new("chown");
        chown.arg("-R").arg(format!("{}:{}", user.uid, user.gid)).arg(shell::target());
        chown.process_group(0);
        shell::output(&mut chown)?;
    }
    Ok(())
}
