//! The pin directory of one instance on bpffs.
//!
//! ```text
//! <bpffs>/links/{xdp,ingress,egress}-<ifindex>, <tracepoint>   what is attached; outlives an ABI change
//! <bpffs>/rxvlan/<ifindex>                                     ports whose rx VLAN offload was on before us
//! <bpffs>/<fingerprint>/{maps,progs}/<name>                    state of one ABI
//! ```

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::StatFs;
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
    /// The bpffs of another mount namespace, through which `root` leads.
    _host: Option<Arc<File>>,
}

impl Pins {
    /// Resolves where `bpffs` really is, without changing anything.
    pub fn find(bpffs: &Path, fingerprint: &str) -> Pins {
        let (root, host) = resolve(bpffs);
        Pins { root, fingerprint: fingerprint.to_owned(), _host: host }
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

/// `path` as this process reaches it. `ip netns exec` replaces /sys: the bpffs of the host is then found through an
/// ancestor. A private mount would take all pins with it when the process ends.
fn resolve(path: &Path) -> (PathBuf, Option<Arc<File>>) {
    let own = (path.to_owned(), None);
    let Ok(below) = path.strip_prefix(STANDARD) else { return own };
    if is_bpffs(Path::new(STANDARD)) {
        return own;
    }
    let Some(file) = outermost().and_then(|pid| File::open(format!("/proc/{pid}/root{STANDARD}")).ok())
    else {
        return own;
    };
    // Not by the ancestor's path: this process may outlive it.
    let root = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    if is_bpffs(&root) { (root.join(below), Some(Arc::new(file))) } else { own }
}

/// The ancestor nearest to process 1 whose namespaces may be seen, if its mounts are not ours.
fn outermost() -> Option<u32> {
    let mounts = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
    let parent = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let pid = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())?;
        (pid != 0 && mounts(pid).is_some()).then_some(pid)
    };
    let last = std::iter::successors(Some(std::process::id()), parent).last()?;
    (mounts(last) != fs::read_link("/proc/thread-self/ns/mnt").ok()).then_some(last)
}

fn mount(path: &Path) -> Result<(), Error> {
    let (resolved, _host) = resolve(path);
    let existing = resolved.ancestors().find(|p| p.exists()).unwrap_or(Path::new("/"));
    if is_bpffs(existing) {
        return Ok(());
    }
    let failed = |source: io::Error| Error::Bpffs { path: path.to_owned(), source };
    if !path.starts_with(STANDARD) {
        return Err(failed(io::ErrorKind::Unsupported.into()));
    }
    match outermost() {
        Some(pid) => mount_as(pid),
        None => mount_here(),
    }
    .map_err(failed)?;
    tracing::info!(path = STANDARD, "mounted a BPF file system");
    Ok(())
}

fn mount_here() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RELATIME;
    Ok(rustix::mount::mount("bpf", STANDARD, "bpf", flags, c"mode=700")?)
}

/// Mounts in the mount namespace of another process, from a thread of its own that ends there.
fn mount_as(pid: u32) -> io::Result<()> {
    std::thread::spawn(move || {
        let namespace = File::open(format!("/proc/{pid}/ns/mnt"))?;
        // SAFETY: affects this thread only, which then opens nothing of the old root and ends.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
        mount_here()
    })
    .join()
    .map_err(|_| io::Error::other("the mounting thread ended early"))?
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::mount::{MountPropagationFlags, UnmountFlags};

    /// As after `ip netns exec`, which puts a bare /sys over the host's.
    #[test]
    fn without_a_bpffs_of_its_own_a_mount_namespace_uses_the_hosts() {
        lab::need_root!();
        // SAFETY: a test runs on a thread of its own; no file descriptor is unshared.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS) }.unwrap();
        rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .unwrap();
        while is_bpffs(Path::new(STANDARD)) {
            rustix::mount::unmount(STANDARD, UnmountFlags::DETACH).unwrap();
        }
        let name = format!("rd-pin-{}", std::process::id());
        let pins = Pins::create(&Path::new(STANDARD).join(&name), "f").unwrap();
        assert!(pins.root().starts_with("/proc/self/fd"), "{}", pins.root().display());
        assert!(is_bpffs(&pins.maps()) && is_bpffs(&pins.links()));
        assert!(!is_bpffs(Path::new(STANDARD)), "nothing is mounted that would end with this process");
        remove_all(pins.root()).unwrap();
        assert!(!pins.root().exists());
    }

    #[test]
    fn elsewhere_than_on_a_bpffs_nothing_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let error = Pins::create(&dir.path().join("x"), "f").unwrap_err();
        assert!(error.to_string().contains("mount -t bpf bpf /sys/fs/bpf"), "{error}");
        assert!(entries(dir.path()).is_empty());
    }
}
