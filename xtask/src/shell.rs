//! Child processes: started as the right user, with their output on the terminal.

use std::{
    env,
    ffi::OsStr,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};

/// The workspace's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_path_buf()
}

pub fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The user who called sudo: what is built belongs to them, not to root.
pub struct Invoker {
    pub uid: u32,
    pub gid: u32,
    pub home: PathBuf,
}

pub fn invoker() -> Option<Invoker> {
    if !::lab::is_root() {
        return None;
    }
    let number = |name| env::var(name).ok()?.parse::<u32>().ok();
    let (uid, gid) = (number("SUDO_UID").filter(|uid| *uid != 0)?, number("SUDO_GID")?);
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let home = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find_map(|fields| {
        (fields.get(2)?.parse() == Ok(uid)).then(|| PathBuf::from(fields.get(5).copied().unwrap_or("/")))
    })?;
    Some(Invoker { uid, gid, home })
}

/// A program that builds: runs as the invoking user, free of what cargo put into the environment of xtask itself.
pub fn builder(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let ours =
            ["CARGO_TARGET_DIR", "CARGO_HOME", "CARGO_TERM_COLOR", "CARGO_BUILD_JOBS", "CARGO_NET_OFFLINE"];
        if (name.starts_with("CARGO") && !ours.contains(&name.as_str()))
            || ["RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUST_RECURSION_COUNT", "LD_LIBRARY_PATH"]
                .contains(&&*name)
        {
            command.env_remove(name);
        }
    }
    let mut home = cargo_home();
    if let Some(user) = invoker() {
        command.uid(user.uid).gid(user.gid).env("HOME", &user.home);
        home = user.home.join(".cargo");
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(home.join("bin")).chain(env::split_paths(&path));
    if let Ok(path) = env::join_paths(folders) {
        command.env("PATH", path);
    }
    command
}

/// The cargo that builds user space.
pub fn cargo() -> Command {
    builder("cargo")
}

pub fn cargo_home() -> PathBuf {
    let home = env::var_os("HOME").map_or(PathBuf::from("/root"), PathBuf::from);
    env::var_os("CARGO_HOME").map_or(home.join(".cargo"), PathBuf::from)
}

const SBIN: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Finds a program by name, also in cargo's own folder and in root's, which users' paths lack.
pub fn which(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.push(cargo_home().join("bin"));
    folders.extend(SBIN.map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Says what is run, runs it with its output on the terminal, and fails if it fails.
pub fn run(command: &mut Command) -> Result<()> {
    step(&line(command));
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("start {}", line(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", line(command));
    }
    Ok(())
}

/// Standard output of a command that has to succeed.
pub fn output(command: &mut Command) -> Result<String> {
    let out = command.stdin(Stdio::null()).output().with_context(|| format!("start {}", line(command)))?;
    if !out.status.success() {
        bail!("{} failed ({}): {}", line(command), out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// One line of progress.
pub fn step(what: &str) {
    eprintln!("\x1b[1m>\x1b[0m {what}");
}

fn line(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}

/// `sudo PROGRAM` with this process's path, and root's own folders, which users' paths lack.
pub fn sudo(program: &Path) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(SBIN.map(PathBuf::from));
    let mut sudo = Command::new("sudo");
    if let Ok(path) = env::join_paths(folders) {
        sudo.env("PATH", path);
    }
    sudo.args(["--preserve-env=PATH,CARGO_TERM_COLOR", "--"]).arg(program);
    sudo
}

/// Runs an inner verb of xtask as root, through sudo where this process is not root.
pub fn as_root(arguments: &[&str]) -> Result<ExitCode> {
    crate::signal::catch()?; // the inner process cleans up; this one waits for it
    let own = env::current_exe()?;
    let mut command = if ::lab::is_root() {
        Command::new(&own)
    } else {
        if which("sudo").is_none() {
            bail!("this part needs root: run it as root, or install sudo");
        }
        step("sudo (network namespaces and eBPF need root)");
        sudo(&own)
    };
    let status = command.args(arguments).status().with_context(|| format!("start {}", own.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
