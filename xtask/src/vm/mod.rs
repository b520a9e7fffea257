//! `cargo xtask vm -- COMMAND`: runs a command as root under a stock Debian kernel in an emulated machine.
//!
//! The guest sees the host's whole file system read-only under an overlay in its memory: what is built on the
//! host runs there as it is, and what it writes is gone with it, except below folders given with `--rw`.

mod cpio;
mod guest;
mod kernel;
mod qemu;

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use clap::Args;

use self::{guest::Boot, kernel::Kernel, qemu::Machine};

pub use self::qemu::Card;
use crate::{shell, signal};

/// Names of the guest's serial ports: standard output, standard error, exit status.
const OUTPUTS: [&str; 3] = ["vm.output", "vm.errors", "vm.status"];
/// Exit status of a run that took too long, as `timeout` has it.
const TIMEOUT: u8 = 124;
/// Exit status when the guest ended without a result.
const BROKEN: u8 = 125;
const TIMEOUT_S: u64 = 300;
const MEMORY_MB: u32 = 1536;
/// How much of the console is shown then.
const CONSOLE_TAIL_BYTES: usize = 4000;

#[derive(Args, Clone)]
pub struct Options {
    /// Series (6.1, 6.12) or name of a Debian kernel package
    #[arg(long, default_value = "6.1")]
    pub kernel: String,
    /// Seconds for everything, the start included; then the exit status is 124
    #[arg(long, default_value_t = TIMEOUT_S, value_name = "SECONDS")]
    pub timeout: u64,
    /// A card, ether1, ether2, ... in the guest: virtio[,hub=N][,tap=IF[,queues=N]]
    #[arg(long = "nic", value_name = "CARD")]
    pub nics: Vec<Card>,
    /// Kernel modules to load before the command
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub modules: Vec<String>,
    /// A folder of the host that the guest may write to
    #[arg(long = "rw", value_name = "DIR")]
    pub writable: Vec<PathBuf>,
    /// A variable for the command
    #[arg(long = "env", value_name = "NAME=VALUE", value_parser = variable)]
    pub environment: Vec<(String, String)>,
    /// Memory of the guest in MiB
    #[arg(long, default_value_t = MEMORY_MB)]
    pub memory: u32,
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

impl Options {
    pub fn new(kernel: &str, command: impl IntoIterator<Item = impl Into<OsString>>) -> Options {
        Options {
            kernel: kernel.to_owned(),
            timeout: TIMEOUT_S,
            nics: Vec::new(),
            modules: Vec::new(),
            writable: Vec::new(),
            environment: Vec::new(),
            memory: MEMORY_MB,
            command: command.into_iter().map(Into::into).collect(),
        }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value))
            if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty() =>
        {
            Ok((name.into(), value.into()))
        }
        _ => Err(format!("{text} is not NAME=VALUE")),
    }
}

/// Why no machine can run here.
pub fn trouble() -> Option<&'static str> {
    if cfg!(not(target_arch = "x86_64")) {
        Some("the virtual machine is an x86-64 one")
    } else if shell::which("qemu-system-x86_64").is_none() {
        Some("qemu-system-x86_64 is not installed")
    } else if shell::which("apt-get").is_none() {
        Some("no apt-get here to fetch a Debian kernel with")
    } else {
        None
    }
}

/// Runs the command with its output on the terminal; gives its exit status, 124 or 125.
pub fn run(options: &Options) -> Result<u8> {
    crate::setup::programs(crate::setup::Purpose::Test)?;
    let guest = Guest::start(options)?;
    match guest.wait()? {
        End::Exit(status) => Ok(status),
        End::Timeout => {
            eprintln!("xtask: the guest was stopped after {} s", options.timeout);
            Ok(TIMEOUT)
        }
        End::Died(console) => {
            eprintln!("xtask: the guest ended without a result; its console:\n{console}");
            Ok(BROKEN)
        }
    }
}

/// How a guest ended.
enum End {
    Exit(u8),
    Timeout,
    /// With the tail of its console.
    Died(String),
}

/// A running machine; stopped on drop.
struct Guest {
    child: Child,
    relays: Vec<JoinHandle<()>>,
    work: tempfile::TempDir,
    deadline: Instant,
}

impl Guest {
    /// Boots the kernel and starts the command.
    fn start(options: &Options) -> Result<Guest> {
        let kernel = Kernel::of(&options.kernel)?;
        let work = tempfile::Builder::new().prefix("routerd-vm-").tempdir()?;
        let mut writable = Vec::new();
        for (number, folder) in options.writable.iter().enumerate() {
            let folder = folder.canonicalize().with_context(|| format!("find {}", folder.display()))?;
            writable.push((format!("rw{number}"), folder.to_string_lossy().into_owned()));
        }
        let mut environment = vec![
            ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
            ("HOME".to_owned(), "/root".to_owned()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
        ];
        environment.extend(options.environment.iter().cloned());
        let boot = Boot {
            load: &kernel.boot_modules(!options.nics.is_empty())?,
            release: &kernel.release,
            modules: &kernel.modules(),
            later: &options.modules,
            cards: &(0..options.nics.len()).map(Card::mac).collect::<Vec<_>>(),
            writable: &writable,
            folder: &env::current_dir()?,
            environment: &environment,
            command: &options
                .command
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect::<Vec<_>>(),
        };
        let initrd = work.path().join("initrd");
        fs::write(&initrd, [kernel.initramfs()?, boot.archive()].concat())?;
        let machine = Machine {
            kernel: &kernel.image(),
            initrd: &initrd,
            memory_mb: options.memory,
            cards: &options.nics,
            writable: &writable,
            console: work.path().join("console"),
            status: work.path().join("status"),
        };
        let mut qemu = machine.command()?;
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The guest and its files have to go; qemu itself gets the terminal's signals too.
        signal::catch()?;
        // SAFETY: between fork and exec only one system call runs, and it takes no pointer.
        unsafe {
            qemu.pre_exec(|| {
                let end = rustix::process::Signal::KILL;
                Ok(rustix::process::set_parent_process_death_signal(Some(end))?)
            });
        }
        let mut child = qemu.spawn().context("start qemu-system-x86_64")?;
        let mut relays = Vec::new();
        relays.extend(child.stdout.take().map(|stream| thread::spawn(|| relay(stream, io::stdout()))));
        relays.extend(child.stderr.take().map(|stream| thread::spawn(|| relay_errors(stream))));
        let deadline = Instant::now() + Duration::from_secs(options.timeout);
        Ok(Guest { child, relays, work, deadline })
    }

    /// Waits for the end.
    fn wait(mut self) -> Result<End> {
        while self.child.try_wait()?.is_none() {
            signal::check()?;
            if Instant::now() > self.deadline {
                return Ok(End::Timeout);
            }
            thread::sleep(Duration::from_millis(20));
        }
        for relay in self.relays.drain(..) {
            // A relay that panicked has lost output, not the result.
            let _ = relay.join();
        }
        let status = fs::read_to_string(self.work.path().join("status")).unwrap_or_default();
        Ok(match status.trim().parse() {
            Ok(status) => End::Exit(status),
            Err(_) => End::Died(self.console()),
        })
    }

    fn console(&self) -> String {
        let text = fs::read(self.work.path().join("console")).unwrap_or_default();
        let tail = text.get(text.len().saturating_sub(CONSOLE_TAIL_BYTES)..).unwrap_or_default();
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn relay(mut source: impl Read, mut target: impl Write) {
    let mut part = [0; 65536];
    while let Ok(length @ 1..) = source.read(&mut part) {
        // Nobody listens any more: what the guest prints is not why it runs.
        let _ = target.write_all(part.get(..length).unwrap_or_default()).and_then(|()| target.flush());
    }
}

/// Leaves out what qemu says of every hub that does not reach the host, which none is meant to.
fn relay_errors(source: impl Read) {
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    while let Ok(1..) = source.read_until(b'\n', &mut line) {
        if !line.ends_with(b" is not connected to host network\n") {
            // As above.
            let _ = io::stderr().write_all(&line);
        }
        line.clear();
    }
}
