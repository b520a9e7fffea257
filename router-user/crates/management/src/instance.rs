//! Which router on this host is meant, and where its files are.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where `ip netns` keeps its namespaces.
pub const NETNS_DIR: &str = "/run/netns";
pub const STATE_DIR: &str = "/var/lib/routerd";
pub const RUN_DIR: &str = "/run/routerd";
/// The BPF file system; where it is hidden (`ip netns exec` puts a bare /sys over it) `dataplane` finds the host's.
pub const BPFFS_DIR: &str = "/sys/fs/bpf";

/// One router on a host: it keeps state, run directory and pins apart from others by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance(String);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("instance name {0:?} may hold letters, digits, '.', '_' and '-' only, 64 at most")]
    Name(String),
    #[error("read the network namespace of this process")]
    Namespace(#[source] std::io::Error),
}

impl Instance {
    /// A name given by the operator. It becomes a directory's name, so path separators are refused.
    pub fn named(name: &str) -> Result<Instance, Error> {
        let fits = (1..=64).contains(&name.len())
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if fits { Ok(Instance(name.into())) } else { Err(Error::Name(name.into())) }
    }

    /// The instance of the network namespace that this process is in: `main` beside process 1, else the name that
    /// `ip netns` gave, else `netns-<inode>`.
    pub fn current() -> Result<Instance, Error> {
        let own = identity(Path::new("/proc/self/ns/net")).map_err(Error::Namespace)?;
        let first = identity(Path::new("/proc/1/ns/net"));
        if first.as_ref().is_ok_and(|first| *first == own) {
            return Ok(Instance("main".into()));
        }
        if let Some(name) = name_in(Path::new(NETNS_DIR), own) {
            return Ok(Instance(name));
        }
        match first {
            // An unprivileged process can't look at process 1; a namespace without a name is then the common one.
            Err(_) => Ok(Instance("main".into())),
            Ok(_) => Ok(Instance(format!("netns-{}", own.1))),
        }
    }

    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether this router is the host's own, in the initial network namespace.
    pub fn is_main(&self) -> bool {
        self.0 == "main"
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A namespace's device and inode.
fn identity(path: &Path) -> std::io::Result<(u64, u64)> {
    fs::metadata(path).map(|meta| (meta.dev(), meta.ino()))
}

fn name_in(dir: &Path, own: (u64, u64)) -> Option<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .ok()?
        .filter_map(Result::ok)
        .filter(|entry| identity(&entry.path()).is_ok_and(|found| found == own))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| Instance::named(name).is_ok())
        .collect();
    names.sort();
    names.into_iter().next()
}

/// The directories of one instance.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The persistent configuration and its history.
    pub state: PathBuf,
    /// Lock and control socket.
    pub run: PathBuf,
    /// Pinned maps, programs and links.
    pub pins: PathBuf,
}

impl Paths {
    /// `state`, `run` and `bpffs` are the directories above the instance's own.
    pub fn new(instance: &Instance, state: &Path, run: &Path, bpffs: &Path) -> Paths {
        let name = instance.name();
        Paths { state: state.join(name), run: run.join(name), pins: bpffs.join("routerd").join(name) }
    }

    pub fn socket(&self) -> PathBuf {
        self.run.join("control.sock")
    }

    pub fn lock(&self) -> PathBuf {
        self.run.join("lock")
    }

    /// Entries of address lists that end by themselves.
    pub fn timed(&self) -> PathBuf {
        self.state.join("timed.json")
    }

    /// What the kernel's settings were before the router changed them.
    pub fn originals(&self) -> PathBuf {
        self.state.join("originals.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_directory() {
        for bad in ["", ".", "..", "a/b", "../x", ".hidden", "a b", "ä", &"x".repeat(65)] {
            assert!(Instance::named(bad).is_err(), "{bad:?}");
        }
        for good in ["main", "netns-4026531840", "edge_1.lab"] {
            assert_eq!(Instance::named(good).unwrap().name(), good);
        }
    }

    #[test]
    fn a_named_namespace_is_found_by_its_inode() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("other"), "").unwrap();
        fs::write(dir.path().join("mine"), "").unwrap();
        let own = identity(&dir.path().join("mine")).unwrap();
        assert_eq!(name_in(dir.path(), own).as_deref(), Some("mine"));
        assert_eq!(name_in(dir.path(), (own.0, u64::MAX)), None);
        assert_eq!(name_in(&dir.path().join("absent"), own), None);
    }
}
