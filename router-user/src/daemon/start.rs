//! What has to be so before the router can start: its namespace, its directories, that it is the only one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use management::instance::NETNS_DIR;
use management::{Instance, Paths, server};
use rustix::fs::{FlockOperation, flock};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::cli::routerd::Run;

/// Must run before any thread is started: threads inherit the namespace.
pub fn enter(netns: &str) -> anyhow::Result<()> {
    if netns.contains('/') {
        bail!("network namespace {netns:?}: a name is wanted, not a path");
    }
    let path = Path::new(NETNS_DIR).join(netns);
    let file = File::open(&path).with_context(|| format!("open network namespace {}", path.display()))?;
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
        .with_context(|| format!("enter network namespace {netns} (this needs root)"))
}

/// The instance by `--instance`, else by the network namespace, which must have been entered.
pub fn instance(run: &Run) -> anyhow::Result<Instance> {
    Ok(match &run.instance {
        Some(name) => Instance::named(name)?,
        None => Instance::current()?,
    })
}

pub fn paths(run: &Run, instance: &Instance) -> anyhow::Result<Paths> {
    let absolute = |path: &PathBuf| std::path::absolute(path).context("find the working directory");
    let (state, run_dir) = (absolute(&run.state_dir)?, absolute(&run.run_dir)?);
    Ok(Paths::new(instance, &state, &run_dir, &absolute(&run.bpffs)?))
}

/// Held as long as the router runs; the kernel lets go of it however the process ends.
pub struct Lock(#[expect(dead_code, reason = "the lock lives as long as the file is open")] File);

/// Refuses a second router on the same instance, by name of the first one's process.
pub fn lock(instance: &Instance, paths: &Paths) -> anyhow::Result<Lock> {
    server::make_run_dir(&paths.run)?;
    let path = paths.lock();
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(&path)
        .with_context(|| format!("open {}", path.display()))?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        // An unreadable holder is only left out of the message.
        let _ = file.read_to_string(&mut holder);
        bail!("routerd already runs on instance {instance} (process {})", holder.trim());
    }
    file.set_len(0)
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .and_then(|_| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(Lock(file))
}
