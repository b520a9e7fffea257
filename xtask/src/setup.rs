//! `cargo xtask setup`: finds what is missing and installs it, or says exactly what to install.
//!
//! The eBPF side needs a pair: a compiler with the library source, and a `bpf-linker` made for the same LLVM.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::shell;

const BPF_LINKER: &str = "0.13.0";
/// Debian 12's own pair: rustc 1.96 with LLVM 22.
const DEBIAN_PAIR: [&str; 4] = ["rustc-web", "rust-web-src", "cargo-web", "llvm-22-dev"];
/// What a bpf-linker from source links to.
const DEBIAN_LINKER: [&str; 4] = ["build-essential", "pkg-config", "zlib1g-dev", "libzstd-dev"];
/// Program -> Debian package.
const DEMO: [(&str, &str); 3] = [("ip", "iproute2"), ("ethtool", "ethtool"), ("ping", "iputils-ping")];
const TEST: [(&str, &str); 15] = [
    ("nft", "nftables"),
    ("tcpdump", "tcpdump"),
    ("iperf3", "iperf3"),
    ("curl", "curl"),
    ("dig", "bind9-dnsutils"),
    ("nmap", "nmap"),
    ("traceroute", "traceroute"),
    ("bpftool", "bpftool"),
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("systemctl", "systemd"),
    ("strip", "binutils"),
    ("depmod", "kmod"),
    ("xz", "xz-utils"),
    ("zstd", "zstd"),
];

#[derive(Args, Clone, Default)]
pub struct Options {
    /// What the machine is to be able to do
    #[arg(long = "for", value_enum, default_value_t = Purpose::Test)]
    pub purpose: Purpose,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Purpose {
    /// Build only
    Build,
    /// Build and run the demo
    Demo,
    /// Build, run the demo and every test
    #[default]
    Test,
}

/// Compiler and cargo that build the eBPF object; `bpf-linker` is found through `PATH`.
pub struct Pair {
    pub cargo: PathBuf,
    pub rustc: PathBuf,
}

pub fn run(options: &Options) -> Result<()> {
    // All packages in one go: who has to install them by hand wants one list.
    let mut packages = missing_programs(options.purpose);
    if find_pair().is_none() && on_debian() && offered(DEBIAN_PAIR[0]) {
        packages.extend(missing_pair());
    }
    install(&packages)?;
    let pair = pair()?;
    eprintln!("ready: {} with bpf-linker {BPF_LINKER}", version(&pair.rustc).unwrap_or_default());
    Ok(())
}

/// The pair that is installed; else installs one.
pub fn pair() -> Result<Pair> {
    if let Some(pair) = find_pair() {
        return Ok(pair);
    }
    if on_debian() && offered(DEBIAN_PAIR[0]) {
        debian_pair()?;
    } else if shell::which("rustup").is_some() {
        rustup_pair()?;
    } else {
        bail!(
            "no compiler for eBPF: it needs rustc with its library source and a bpf-linker of the same LLVM.\n\
             On Debian 12, as root: apt-get install {}\n\
             Elsewhere install rustup; cargo xtask setup then fetches a nightly compiler and bpf-linker",
            DEBIAN_PAIR.join(" ")
        );
    }
    match find_pair() {
        Some(pair) => Ok(pair),
        None => bail!("{}", mismatch()),
    }
}

/// Installs the Debian packages whose programs are missing.
pub fn programs(purpose: Purpose) -> Result<()> {
    install(&missing_programs(purpose))
}

fn missing_programs(purpose: Purpose) -> Vec<&'static str> {
    let mut wanted: Vec<(&str, &'static str)> = Vec::new();
    if purpose >= Purpose::Demo {
        wanted.extend(DEMO);
    }
    if purpose >= Purpose::Test {
        wanted.extend(TEST);
    }
    wanted.retain(|(program, _)| shell::which(program).is_none());
    let mut packages: Vec<&'static str> = wanted.iter().map(|(_, package)| *package).collect();
    // Firmware for qemu: a package that only recommends it leaves the machine without.
    if purpose >= Purpose::Test && !Path::new("/usr/share/seabios").exists() {
        packages.push("seabios");
    }
    packages
}

fn find_pair() -> Option<Pair> {
    let linker = shell::which("bpf-linker")?;
    let linker_llvm = linked_llvm(&linker);
    let mut candidates = vec![Pair { cargo: "/usr/bin/cargo".into(), rustc: "/usr/bin/rustc".into() }];
    for toolchain in ["bpf", "nightly"] {
        candidates.extend(rustup_which(toolchain));
    }
    candidates.into_iter().find(|pair| {
        pair.cargo.is_file()
            && has_source(&pair.rustc)
            && match (linker_llvm, compiler_llvm(&pair.rustc)) {
                (_, None) => false,
                // A linker with LLVM inside does not tell which; the published ones carry the newest.
                (None, Some(_)) => true,
                (Some(linker), Some(compiler)) => linker == compiler,
            }
    })
}

fn rustup_which(toolchain: &str) -> Option<Pair> {
    let which = |program| {
        let mut rustup = shell::builder("rustup");
        rustup.args(["which", "--toolchain", toolchain, program]).stderr(std::process::Stdio::null());
        Some(PathBuf::from(shell::output(&mut rustup).ok()?.trim()))
    };
    Some(Pair { cargo: which("cargo")?, rustc: which("rustc")? })
}

fn has_source(rustc: &Path) -> bool {
    let sysroot = shell::output(shell::builder(rustc).args(["--print", "sysroot"]));
    sysroot.is_ok_and(|folder| {
        Path::new(folder.trim()).join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file()
    })
}

fn version(rustc: &Path) -> Option<String> {
    Some(shell::output(shell::builder(rustc).arg("--version")).ok()?.trim().to_owned())
}

/// `LLVM version: 22.1.8` of `rustc -vV` -> 22.
fn compiler_llvm(rustc: &Path) -> Option<u32> {
    let text = shell::output(shell::builder(rustc).arg("-vV")).ok()?;
    major(text.split("LLVM version: ").nth(1)?)
}

/// `libLLVM.so.22.1` of `ldd` -> 22.
fn linked_llvm(linker: &Path) -> Option<u32> {
    let text = shell::output(Command::new("ldd").arg(linker)).ok()?;
    major(text.split("libLLVM.so.").nth(1).or_else(|| text.split("libLLVM-").nth(1))?)
}

fn major(text: &str) -> Option<u32> {
    text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn missing_pair() -> Vec<&'static str> {
    let mut packages: Vec<&str> = Vec::new();
    if !has_source(Path::new("/usr/bin/rustc")) || !Path::new("/usr/bin/cargo").is_file() {
        packages.extend(DEBIAN_PAIR);
    }
    if !Path::new("/usr/lib/llvm-22/bin/llvm-config").exists() && !packages.contains(&DEBIAN_PAIR[3]) {
        packages.push(DEBIAN_PAIR[3]);
    }
    packages.extend(DEBIAN_LINKER.iter().filter(|package| !installed(package)));
    packages
}

fn debian_pair() -> Result<()> {
    install(&missing_pair())?;
    if shell::which("bpf-linker").and_then(|linker| linked_llvm(&linker)) == Some(22) {
        return Ok(());
    }
    let mut cargo = shell::cargo();
    cargo.env("LLVM_PREFIX", "/usr/lib/llvm-22").args(["install", "--locked", "--force", "bpf-linker"]);
    cargo.args(["--version", BPF_LINKER, "--no-default-features", "--features", "llvm-22"]);
    shell::run(&mut cargo)
}

fn rustup_pair() -> Result<()> {
    let mut rustup = shell::builder("rustup");
    rustup.args(["toolchain", "install", "nightly", "--profile", "minimal", "--component", "rust-src"]);
    shell::run(&mut rustup)?;
    if shell::which("bpf-linker").is_some() {
        return Ok(());
    }
    let archive = format!("bpf-linker-{}-unknown-linux-musl.tar.zst", std::env::consts::ARCH);
    let address = format!("https://github.com/aya-rs/bpf-linker/releases/download/v{BPF_LINKER}/{archive}");
    let folder = shell::target().join("setup");
    fs::create_dir_all(&folder)?;
    let mut curl = shell::builder("curl");
    curl.args(["--fail", "--location", "--progress-bar", "--output"])
        .arg(folder.join(&archive))
        .arg(&address);
    shell::run(&mut curl)?;
    let mut tar = shell::builder("tar");
    tar.arg("--extract").arg("--file").arg(folder.join(&archive)).arg("--directory").arg(&folder);
    shell::run(&mut tar)?;
    let mut copy = shell::builder("install");
    copy.args(["-D", "-m", "755"])
        .arg(folder.join("bpf-linker"))
        .arg(shell::cargo_home().join("bin/bpf-linker"));
    shell::run(&mut copy)
}

fn mismatch() -> String {
    let linker = shell::which("bpf-linker");
    let llvm = |major: Option<u32>| major.map_or("unknown".to_owned(), |major| major.to_string());
    format!(
        "still no pair for eBPF. bpf-linker: {} (LLVM {}); /usr/bin/rustc: LLVM {}.\n\
         Both must have the same LLVM: install bpf-linker {BPF_LINKER} with the feature llvm-N of the compiler's LLVM",
        linker.as_deref().map_or("none".to_owned(), |file| file.display().to_string()),
        llvm(linker.as_deref().and_then(linked_llvm)),
        llvm(compiler_llvm(Path::new("/usr/bin/rustc"))),
    )
}

fn on_debian() -> bool {
    Path::new("/etc/debian_version").exists() && shell::which("apt-get").is_some()
}

/// Whether apt knows the package; a machine without package lists fetches them first.
fn offered(package: &str) -> bool {
    let known = || {
        let policy = shell::output(Command::new("apt-cache").args(["policy", package])).unwrap_or_default();
        policy.contains("Candidate:") && !policy.contains("Candidate: (none)")
    };
    known()
        || (::lab::is_root() && shell::run(Command::new("apt-get").args(["-q", "update"])).is_ok() && known())
}

fn installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]);
    shell::output(&mut query).is_ok_and(|status| status == "installed")
}

fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !on_debian() {
        bail!("missing here; install what your distribution calls these Debian packages: {list}");
    }
    if !::lab::is_root() {
        bail!("missing here; install it with: sudo apt-get install --no-install-recommends {list}");
    }
    shell::run(Command::new("apt-get").args(["-q", "update"]))?;
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt.args(["-q", "install", "--yes", "--no-install-recommends"]).args(packages);
    shell::run(&mut apt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_major_versions() {
        assert_eq!(major("22.1 => /usr/lib"), Some(22));
        assert_eq!(major("21.so"), Some(21));
        assert_eq!(major("none"), None);
    }
}
