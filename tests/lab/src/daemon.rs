//! A `routerd` under observation.

use std::{
    env, fs,
    io::Write,
    os::unix::{net::UnixDatagram, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::netns::Netns;

/// How long a start may take: in a virtual machine without hardware support programs verify slowly.
const START: Duration = Duration::from_secs(240);

/// A running `routerd` in a namespace; killed on drop unless it is [left running](Daemon::leave).
pub struct Daemon {
    child: Option<Child>,
    netns: String,
    folder: PathBuf,
    /// What it tells its service manager.
    told: Receiver<String>,
}

impl Daemon {
    /// Starts `routerd run --config FILE` with further options inside the namespace and waits until it says that
    /// it is ready.
    pub fn start(netns: &Netns, config: &Path, options: &[&str]) -> Result<Daemon> {
        let mut daemon = Daemon::spawn(netns, config, options)?;
        daemon.wait_for("READY=1")?;
        Ok(daemon)
    }

    /// As [`Daemon::start`] with a given `routerd`.
    pub fn start_program(program: &Path, netns: &Netns, config: &Path, options: &[&str]) -> Result<Daemon> {
        let mut daemon = Daemon::spawn_program(program, netns, config, options)?;
        daemon.wait_for("READY=1")?;
        Ok(daemon)
    }

    /// As [`Daemon::start`] without the wait.
    pub fn spawn(netns: &Netns, config: &Path, options: &[&str]) -> Result<Daemon> {
        Daemon::spawn_program(&binary("routerd")?, netns, config, options)
    }

    fn spawn_program(program: &Path, netns: &Netns, config: &Path, options: &[&str]) -> Result<Daemon> {
        let folder = env::temp_dir().join(format!("routerd-lab-{}", netns.name()));
        fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
        let socket = folder.join("notify");
        if socket.exists() {
            fs::remove_file(&socket)?;
        }
        let notify = UnixDatagram::bind(&socket).with_context(|| format!("bind {}", socket.display()))?;
        let log = fs::OpenOptions::new().create(true).append(true).open(folder.join("log"))?;
        let mut command = netns.command(program);
        command.args(["run", "--config"]).arg(config).args(options);
        command.env("NOTIFY_SOCKET", &socket).env_remove("JOURNAL_STREAM");
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C is for whoever runs the lab.
        command.process_group(0);
        let child = command.spawn().context("start routerd")?;
        Ok(Daemon { child: Some(child), netns: netns.name().to_owned(), folder, told: listen(notify) })
    }

    /// Waits until the daemon has sent this line to its service manager.
    pub fn wait_for(&mut self, line: &str) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if let Ok(text) = self.told.recv_timeout(Duration::from_millis(50))
                && text.lines().any(|found| found == line)
            {
                return Ok(());
            }
            if let Some(status) = self.exit()? {
                bail!("routerd ended ({status}) before it said {line}:\n{}", self.log());
            }
            if Instant::now() > deadline {
                bail!("routerd has not said {line} after {} s:\n{}", START.as_secs(), self.log());
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    pub fn log_file(&self) -> PathBuf {
        self.folder.join("log")
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        match Pid::from_raw(self.pid().cast_signed()) {
            Some(pid) => Ok(kill_process(pid, signal)?),
            None => bail!("routerd does not run"),
        }
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// SIGTERM, and the exit status, within ten seconds.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(Duration::from_secs(10))
    }

    /// Waits for the daemon to end by itself.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.exit()? {
                self.child = None;
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("routerd still runs after {} s:\n{}", limit.as_secs(), self.log());
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Leaves the daemon running when this value goes; gives its process id.
    pub fn leave(mut self) -> u32 {
        self.child.take().map_or(0, |child| child.id())
    }

    fn exit(&mut self) -> Result<Option<ExitStatus>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }
}

/// Reads all the time, as a service manager does: with a full queue the daemon would stand still. The thread ends with
/// the process, or with the first message that nobody wants.
fn listen(notify: UnixDatagram) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut message = [0u8; 4096];
        while let Ok(length) = notify.recv(&mut message) {
            let text = String::from_utf8_lossy(&message[..length]).into_owned();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.child.is_none() {
            return;
        }
        if thread::panicking() {
            // Where stderr is closed there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "log of routerd in {}:\n{}", self.netns, self.log());
        }
        if let Err(error) = self.kill() {
            eprintln!("lab: {error:#}");
        }
    }
}

/// `routerctl` inside the namespace.
pub fn routerctl(netns: &Netns, arguments: &[&str]) -> Result<Output> {
    let mut command = netns.command(binary("routerctl")?);
    command.args(arguments).stdin(Stdio::null()).output().context("start routerctl")
}

/// Standard output of `routerctl`, which has to succeed.
pub fn ctl(netns: &Netns, arguments: &[&str]) -> Result<String> {
    crate::netns::run(netns.command(binary("routerctl")?).args(arguments))
}

/// As [`ctl`] with `--json`, parsed.
pub fn ctl_json(netns: &Netns, arguments: &[&str]) -> Result<serde_json::Value> {
    let text = ctl(netns, &[arguments, &["--json"]].concat())?;
    serde_json::from_str(&text).with_context(|| format!("routerctl {arguments:?} printed {text}"))
}

/// A binary of this workspace: in `ROUTERD_BIN`, beside the running program, or in the folder above (tests).
pub fn binary(name: &str) -> Result<PathBuf> {
    let own = env::current_exe()?;
    let folders = env::var_os("ROUTERD_BIN")
        .map(PathBuf::from)
        .into_iter()
        .chain(own.ancestors().skip(1).take(2).map(Path::to_path_buf));
    for folder in folders {
        let file = folder.join(name);
        if file.is_file() {
            return Ok(file);
        }
    }
    bail!("{name} is not built: run cargo xtask build")
}

/// A command for programs of the host's packages, `None` when the program is not installed.
pub fn installed(program: &str) -> Option<Command> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file()).map(Command::new)
}
