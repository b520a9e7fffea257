//! The pin directory of one instance on bpffs.
//!
//! ```text
//! <bpffs>/links/{xdp,ingress,egress}-<ifindex>, <tracepoint>   what is attached; outlives an ABI change
//! <bpffs>/rxvlan/<ifindex>                                     ports whose rx VLAN offload was on before us
//! <bpffs>/<fingerprint>/{maps,progs}/<name>                    state of one ABI
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, StatFs};
use rustix::mount::MountFlags;
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::Error;

/// BPF_FS_MAGIC of include/uapi/linux/magic.h.
const BPF_FS_MAGIC: i64 = 0xcafe_4a11;
const STANDARD: &str = "/sys/fs/bpf";

/// Where an instance's pins are.
#[derive(Clone, Debug)]
pub struct Pins {
    root: PathBuf,
    fingerprint: String,
}

impl Pins {
    /// Resolves where `bpffs` really is, without changing anything.
    pub fn find(bpffs: &Path, fingerprint: &str) -> Pins {
        Pins { root: resolve(bpffs), fingerprint: fingerprint.to_owned() }
    }

    /// As [`Pins::find`], and makes the directories, mounting bpffs where there is none.
    pub fn create(bpffs: &Path, fingerprint: &str) -> Result<Pins, Error> {
        mount(bpffs)?;
        let pins = Pins::find(bpffs, fingerprint);
        for dir in [pins.links(), pins.rx_vlan(), pins.maps(), pins.programs()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&dir)
                .map_err(Error::io("make directory", &dir))?;
        }
        Ok(pins)
    }

    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
    pub fn root(&self) -> &Path {
        &self.root
    }
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }
    pub fn rx_vlan(&self) -> PathBuf {
        self.root.join("rxvlan")
    }
    pub fn maps(&self) -> PathBuf {
        self.root.join(&self.fingerprint).join("maps")
    }
    pub fn programs(&self) -> PathBuf {
        self.root.join(&self.fingerprint).join("progs")
    }
    pub fn map(&self, name: &str) -> PathBuf {
        self.maps().join(name)
    }
    pub fn link(&self, kind: &str, ifindex: u32) -> PathBuf {
        self.links().join(format!("{kind}-{ifindex}"))
    }

    /// Fingerprint directories of other versions.
    pub fn others(&self) -> Vec<PathBuf> {
        entries(&self.root)
            .into_iter()
            .filter(|name| name != "links" && name != "rxvlan" && *name != self.fingerprint)
            .map(|name| self.root.join(name))
            .collect()
    }

    /// Ports that have a pinned link of `kind`.
    pub fn linked(&self, kind: &str) -> Vec<u32> {
        let prefix = format!("{kind}-");
        entries(&self.links()).iter().filter_map(|name| name.strip_prefix(&prefix)?.parse().ok()).collect()
    }
}

/// Names in a directory; empty where it can't be read.
pub fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

/// Removes a file; that it isn't there is fine.
pub fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a directory with all in it; that it isn't there is fine.
pub fn remove_all(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path)(error)),
        _ => Ok(()),
    }
}

fn is_bpffs(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|StatFs { f_type, .. }| f_type == BPF_FS_MAGIC)
}

/// `path` as this process reaches it. `ip netns exec` replaces /sys: the bpffs of the host is then found through
/// process 1. A private mount would take all pins with it when the process ends.
fn resolve(path: &Path) -> PathBuf {
    let Ok(below) = path.strip_prefix(STANDARD) else { return path.to_owned() };
    let host = Path::new("/proc/1/root/sys/fs/bpf");
    if !is_bpffs(Path::new(STANDARD)) && is_bpffs(host) { host.join(below) } else { path.to_owned() }
}

fn mount(path: &Path) -> Result<(), Error> {
    let resolved = resolve(path);
    let existing = resolved.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    if is_bpffs(existing) {
        return Ok(());
    }
    let failed = |source: io::Error| Error::Bpffs { path: path.to_owned(), source };
    if !path.starts_with(STANDARD) {
        return Err(failed(io::ErrorKind::Unsupported.into()));
    }
    let same_namespace = rustix::fs::readlinkat(CWD, "/proc/self/ns/mnt", Vec::new()).ok()
        == rustix::fs::readlinkat(CWD, "/proc/1/ns/mnt", Vec::new()).ok();
    if same_namespace { mount_here() } else { mount_as_process_1() }.map_err(failed)?;
    tracing::info!(path = STANDARD, "mounted a BPF file system");
    Ok(())
}

fn mount_here() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RELATIME;
    Ok(rustix::mount::mount("bpf", STANDARD, "bpf", flags, c"mode=700")?)
}

/// Mounts in the mount namespace of process 1, from a thread of its own that ends there.
fn mount_as_process_1() -> io::Result<()> {
    std::thread::spawn(|| {
        let namespace = fs::File::open("/proc/1/ns/mnt")?;
        // SAFETY: affects this thread only, which then opens nothing of the old root and ends.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
        rustix::thread::move_into_link_name_space(
            std::os::fd::AsFd::as_fd(&namespace),
            Some(LinkNameSpaceType::Mount),
        )?;
        mount_here()
    })
    .join()
    .map_err(|_| io::Error::other("the mounting thread ended early"))?
}
