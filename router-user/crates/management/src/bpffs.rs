//! Where the pinned data plane lives: a BPF file system that outlasts the daemon.
//!
//! `ip netns exec` gives a process a mount namespace of its own in which /sys is new and /sys/fs/bpf empty. What is
//! pinned in a file system mounted there dies with the last process inside, and traffic with it; so the host's own
//! is taken, through process 1.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::mount::MountFlags;
use rustix::thread::LinkNameSpaceType;

const OWN: &str = "/sys/fs/bpf";
const HOST: &str = "/proc/1/root/sys/fs/bpf";
/// `BPF_FS_MAGIC`, include/uapi/linux/magic.h
const MAGIC: u32 = 0xcafe_4a11;

#[derive(Debug, thiserror::Error)]
#[error("no BPF file system at {OWN}, and none could be mounted (mount -t bpf bpf {OWN})")]
pub struct Error(#[source] pub io::Error);

/// The mounted BPF file system, if there is one.
pub fn find() -> Option<PathBuf> {
    [OWN, HOST].into_iter().map(PathBuf::from).find(|path| is_mounted(path))
}

/// Finds it, or mounts it where the whole host sees it.
pub fn find_or_mount() -> Result<PathBuf, Error> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if !own_mounts_are_the_hosts()
        && std::thread::spawn(mount_beside_process_1).join().is_ok_and(|r| r.is_ok())
    {
        return Ok(HOST.into());
    }
    mount().map_err(Error)?;
    if !own_mounts_are_the_hosts() {
        tracing::warn!("the BPF file system is private to this mount namespace: the data plane ends with it");
    }
    Ok(OWN.into())
}

fn is_mounted(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|found| u32::try_from(found.f_type).is_ok_and(|kind| kind == MAGIC))
}

fn mount() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("bpf", OWN, "bpf", flags, c"mode=0700")?)
}

fn own_mounts_are_the_hosts() -> bool {
    match (std::fs::read_link("/proc/self/ns/mnt"), std::fs::read_link("/proc/1/ns/mnt")) {
        (Ok(own), Ok(first)) => own == first,
        _ => true,
    }
}

/// Runs on a thread that ends afterwards: only it changes its mount namespace.
fn mount_beside_process_1() -> io::Result<()> {
    let namespace = rustix::fs::open("/proc/1/ns/mnt", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    // A thread that shares root and working directory with others may not change its mount namespace: setns(2).
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_FS)?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    if is_mounted(Path::new(OWN)) { Ok(()) } else { mount() }
}
