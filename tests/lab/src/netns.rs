//! Network namespaces by name, as `ip netns` keeps them.

use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::{
    io::Errno,
    process::{Pid, Signal, kill_process},
    thread::{LinkNameSpaceType, move_into_link_name_space},
};

const FOLDER: &str = "/run/netns";

/// A network namespace; removed on drop unless it is [kept](Netns::keep).
pub struct Netns {
    name: String,
    file: File,
    kept: bool,
}

impl Netns {
    /// Makes the namespace, brings its loopback up and switches duplicate address detection off, which would
    /// hold every IPv6 address back for two seconds.
    pub fn create(name: &str) -> Result<Netns> {
        run(Command::new("ip").args(["netns", "add", name]))?;
        let mut netns = Netns::open(name)?;
        netns.kept = false;
        netns.ip("link set lo up")?;
        for which in ["all", "default"] {
            netns.sysctl(&format!("net.ipv6.conf.{which}.accept_dad"), "0")?;
        }
        Ok(netns)
    }

    /// An existing namespace, which stays when this value goes.
    pub fn open(name: &str) -> Result<Netns> {
        let path = Path::new(FOLDER).join(name);
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        Ok(Netns { name: name.to_owned(), file, kept: true })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the namespace standing when this value goes.
    pub fn keep(&mut self) {
        self.kept = true;
    }

    /// Runs `f` on a thread inside the namespace; sockets that it opens stay there.
    pub fn enter<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T> {
        let file = self.file.as_fd();
        thread::scope(|scope| {
            let inside = scope.spawn(move || {
                move_into_link_name_space(file, Some(LinkNameSpaceType::Network))?;
                Ok::<T, Errno>(f())
            });
            match inside.join() {
                Ok(result) => result.with_context(|| format!("enter namespace {}", self.name)),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// A command that starts inside the namespace. Unlike `ip netns exec` it keeps the mounts, so `/sys/fs/bpf`
    /// is the host's.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        let file = self.file.as_raw_fd();
        // SAFETY: between fork and exec only one system call runs; the descriptor is the child's own copy of a
        // file that `self` holds open, and where it is not, the call fails and with it the start.
        unsafe {
            command.pre_exec(move || {
                let file = BorrowedFd::borrow_raw(file);
                Ok(move_into_link_name_space(file, Some(LinkNameSpaceType::Network))?)
            });
        }
        command
    }

    /// Standard output of a command line inside the namespace, which has to succeed.
    pub fn run(&self, line: &str) -> Result<String> {
        let mut words = line.split_whitespace();
        let program = words.next().ok_or_else(|| anyhow!("empty command line"))?;
        run(self.command(program).args(words))
    }

    /// `ip` inside the namespace: `netns.ip("link set eth0 up")`.
    pub fn ip(&self, arguments: &str) -> Result<String> {
        self.run(&format!("ip {arguments}"))
    }

    /// Writes a sysctl of the namespace, named with dots; an interface name with dots is not possible here.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        let path = sysctl_path(name);
        self.enter(|| fs::write(&path, value))?.with_context(|| format!("set {name} to {value}"))
    }

    pub fn read_sysctl(&self, name: &str) -> Result<String> {
        let path = sysctl_path(name);
        let text = self.enter(|| fs::read_to_string(&path))?.with_context(|| format!("read {name}"))?;
        Ok(text.trim().to_owned())
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = remove(&self.name)
        {
            eprintln!("lab: {error:#}");
        }
    }
}

/// Names of all namespaces that start with `prefix`.
pub fn list(prefix: &str) -> Vec<String> {
    let entries = fs::read_dir(FOLDER).into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Ends the processes inside a namespace of a lab whose owner is gone.
pub(crate) fn end_processes(name: &str) -> Result<()> {
    for pid in run(Command::new("ip").args(["netns", "pids", name]))?.split_whitespace() {
        if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
            match kill_process(pid, Signal::KILL) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error).with_context(|| format!("end process {pid:?} of {name}")),
            }
        }
    }
    Ok(())
}

/// Removes a namespace and what a `routerd` of that instance leaves on purpose: pins, state and run folders.
pub fn remove(name: &str) -> Result<()> {
    run(Command::new("ip").args(["netns", "delete", name]))?;
    for parent in ["/sys/fs/bpf/routerd", "/run/routerd", "/var/lib/routerd"] {
        let folder = Path::new(parent).join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()))?;
        }
    }
    Ok(())
}

fn sysctl_path(name: &str) -> PathBuf {
    Path::new("/proc/sys").join(name.replace('.', "/"))
}

pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {name}"))?;
    if !out.status.success() {
        let said = [out.stdout, out.stderr].concat();
        bail!("{name} failed ({}): {}", out.status, String::from_utf8_lossy(&said).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}
