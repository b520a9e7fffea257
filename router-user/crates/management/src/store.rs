//! The persistent configuration: one readable export file, replaced atomically, and the versions before it.
//!
//! `config.rsc` is the only truth. Its first line is a comment that says which version it is, where it came from and
//! whether it still waits for confirmation; so one rename moves the text and all that is known of it together.
//! `versions/<number>.rsc` hold the same files by number, `previous.rsc` the one before.
//! A version with a higher number than `config.rsc` was never committed and is removed on the next start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;

/// Versions that stay readable, the current one among them.
pub const KEEP: usize = 20;

const CURRENT: &str = "config.rsc";
const PREVIOUS: &str = "previous.rsc";
const VERSIONS: &str = "versions";
const HEADER: &str = "# routerd ";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("no such version {0}")]
    NoVersion(u32),
    #[error("there is no configuration yet")]
    Empty,
}

/// What is known of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub version: u32,
    /// RFC 3339, UTC.
    pub time: String,
    /// What made it: `apply office.rsc`, `reload`, a live command, `rollback 3`.
    pub origin: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The file given to `--config` as it was when it was last loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Set while the version waits for `routerctl confirm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// The operator knows of the firewall lines that are not in force.
    #[serde(default)]
    pub gaps_accepted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub path: PathBuf,
    pub hash: String,
}

/// A configuration on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The version that returns without confirmation; 0 is the empty configuration.
    pub revert_to: u32,
    /// When the trial is over.
    #[serde(flatten)]
    pub deadline: Deadline,
}

impl Pending {
    pub fn after_seconds(revert_to: u32, seconds: u64) -> Pending {
        Pending { revert_to, deadline: Deadline::after_seconds(seconds) }
    }
}

/// FNV-1a, 64 bits: tells a changed file from an unchanged one, no more.
pub fn fingerprint(bytes: &[u8]) -> String {
    let hash =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// A stored configuration with its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    pub meta: Meta,
    /// The export text, secrets included.
    pub text: String,
}

impl Version {
    fn to_file(&self) -> String {
        let meta = serde_json::to_string(&self.meta).unwrap_or_default();
        format!("{HEADER}{meta}\n{}", self.text)
    }

    /// A file without our header (written by hand) counts as version 0 of unknown origin.
    fn from_file(text: &str) -> Version {
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        match header(first) {
            Some(meta) => Version { meta, text: rest.into() },
            None => Version { meta: by_hand(), text: text.into() },
        }
    }
}

fn header(line: &str) -> Option<Meta> {
    line.strip_prefix(HEADER).and_then(|json| serde_json::from_str(json).ok())
}

fn by_hand() -> Meta {
    Meta {
        version: 0,
        time: String::new(),
        origin: "written by hand".into(),
        comment: None,
        source: None,
        pending: None,
        gaps_accepted: false,
    }
}

/// What a commit records beside the text.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub origin: String,
    pub comment: Option<String>,
    pub source: Option<Source>,
    pub pending: Option<Pending>,
    pub gaps_accepted: bool,
}

/// The state directory of one instance.
pub struct Store {
    dir: PathBuf,
    current: Option<Version>,
    #[cfg(test)]
    crash_after: std::cell::Cell<Option<u32>>,
}

impl Store {
    /// Opens or makes the directory (mode 0700) and tidies up after an interrupted commit.
    pub fn open(dir: &Path) -> Result<Store, Error> {
        make_private(&dir.join(VERSIONS))?;
        make_private(dir)?;
        let mut store = Store {
            dir: dir.into(),
            current: None,
            #[cfg(test)]
            crash_after: Default::default(),
        };
        store.current = store.read(&dir.join(CURRENT))?;
        store.tidy()?;
        Ok(store)
    }

    /// Reads without changing anything, for tools beside the daemon.
    pub fn peek(dir: &Path) -> Result<Option<Version>, Error> {
        read_file(&dir.join(CURRENT))
    }

    pub fn current(&self) -> Option<&Version> {
        self.current.as_ref()
    }

    /// The configuration before the current one.
    pub fn previous(&self) -> Result<Option<Version>, Error> {
        self.read(&self.dir.join(PREVIOUS))
    }

    /// Makes `text` the persistent configuration. After an error, or a crash at any moment, the old one or the new
    /// one is there whole.
    pub fn commit(&mut self, commit: Commit, text: String) -> Result<u32, Error> {
        let newest = self.numbers()?.into_iter().max().unwrap_or(0);
        let number = self.current.as_ref().map_or(0, |v| v.meta.version).max(newest) + 1;
        let meta = Meta {
            version: number,
            time: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            origin: commit.origin,
            comment: commit.comment,
            source: commit.source,
            pending: commit.pending,
            gaps_accepted: commit.gaps_accepted,
        };
        let version = Version { meta, text };
        let named = self.version_path(number);
        if let Err(error) = self.replace(&named, &version).and_then(|()| self.promote(&version)) {
            // A version that was not committed; if it can't be removed now, the next start does.
            let _ = fs::remove_file(&named);
            return Err(error);
        }
        self.current = Some(version);
        self.prune()?;
        Ok(number)
    }

    /// Ends a trial: the current version stays.
    pub fn confirm(&mut self) -> Result<u32, Error> {
        let mut version = self.current.clone().ok_or(Error::Empty)?;
        version.meta.pending = None;
        self.replace(&self.dir.join(CURRENT), &version)?;
        let number = version.meta.version;
        self.replace(&self.version_path(number), &version)?;
        self.current = Some(version);
        Ok(number)
    }

    /// Newest first.
    pub fn history(&self) -> Result<Vec<Meta>, Error> {
        let mut numbers = self.numbers()?;
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        let mut history = Vec::new();
        for number in numbers {
            history.extend(read_meta(&self.version_path(number))?);
        }
        Ok(history)
    }

    pub fn version(&self, number: u32) -> Result<Version, Error> {
        self.read(&self.version_path(number))?.ok_or(Error::NoVersion(number))
    }

    fn promote(&self, version: &Version) -> Result<(), Error> {
        let current = self.dir.join(CURRENT);
        if current.exists() {
            let aside = self.dir.join("previous.rsc.new");
            remove_if_there(&aside)?;
            self.step(&aside)?;
            fs::hard_link(&current, &aside).map_err(io_error("link", &aside))?;
            self.step(&aside)?;
            let previous = self.dir.join(PREVIOUS);
            fs::rename(&aside, &previous).map_err(io_error("replace", &previous))?;
        }
        self.replace(&current, version)
    }

    /// Writes aside, syncs, renames, syncs the directory.
    fn replace(&self, path: &Path, version: &Version) -> Result<(), Error> {
        let aside = path.with_extension("rsc.new");
        remove_if_there(&aside)?;
        let text = version.to_file();
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&aside)
            .map_err(io_error("create", &aside))?;
        let (half, rest) = text.as_bytes().split_at(text.len() / 2);
        self.step(&aside)?;
        file.write_all(half).map_err(io_error("write", &aside))?;
        self.step(&aside)?;
        file.write_all(rest).map_err(io_error("write", &aside))?;
        file.sync_all().map_err(io_error("sync", &aside))?;
        self.step(&aside)?;
        fs::rename(&aside, path).map_err(io_error("replace", path))?;
        // The rename is done and visible: an error of the directory's sync can't take it back.
        if let Some(Err(error)) = path.parent().map(|dir| File::open(dir).and_then(|dir| dir.sync_all())) {
            tracing::warn!(%error, path = %path.display(), "sync the directory after a commit");
        }
        Ok(())
    }

    /// Removes what an interrupted commit left.
    fn tidy(&mut self) -> Result<(), Error> {
        for dir in [self.dir.clone(), self.dir.join(VERSIONS)] {
            for entry in fs::read_dir(&dir).map_err(io_error("read", &dir))?.filter_map(Result::ok) {
                if entry.file_name().to_string_lossy().ends_with(".rsc.new") {
                    remove_if_there(&entry.path())?;
                }
            }
        }
        let Some(current) = &self.current else { return Ok(()) };
        let number = current.meta.version;
        if number == 0 {
            return Ok(());
        }
        for newer in self.numbers()?.into_iter().filter(|n| *n > number) {
            remove_if_there(&self.version_path(newer))?;
        }
        let named = self.version_path(number);
        if self.read(&named)?.as_ref() != Some(current) {
            self.replace(&named, current)?;
        }
        Ok(())
    }

    /// The oldest versions go, but never the one that a trial may return to.
    fn prune(&self) -> Result<(), Error> {
        let wanted = self.current.as_ref().and_then(|v| v.meta.pending.as_ref()).map(|p| p.revert_to);
        let mut numbers = self.numbers()?;
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        for number in numbers.into_iter().skip(KEEP).filter(|n| Some(*n) != wanted) {
            remove_if_there(&self.version_path(number))?;
        }
        Ok(())
    }

    fn numbers(&self) -> Result<Vec<u32>, Error> {
        let dir = self.dir.join(VERSIONS);
        let entries = fs::read_dir(&dir).map_err(io_error("read", &dir))?;
        Ok(entries
            .filter_map(Result::ok)
            .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rsc")?.parse().ok())
            .collect())
    }

    fn version_path(&self, number: u32) -> PathBuf {
        self.dir.join(VERSIONS).join(format!("{number}.rsc"))
    }

    fn read(&self, path: &Path) -> Result<Option<Version>, Error> {
        read_file(path)
    }

    #[cfg(not(test))]
    fn step(&self, _path: &Path) -> Result<(), Error> {
        Ok(())
    }

    /// In tests: the place where a simulated power cut ends the commit.
    #[cfg(test)]
    fn step(&self, path: &Path) -> Result<(), Error> {
        match self.crash_after.get() {
            Some(0) => panic!("power cut at {}", path.display()),
            Some(n) => self.crash_after.set(Some(n - 1)),
            None => {}
        }
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<Option<Version>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(Version::from_file(&String::from_utf8_lossy(&bytes)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read", path)(error)),
    }
}

/// The first line alone: the text behind it may have megabytes.
fn read_meta(path: &Path) -> Result<Option<Meta>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error("open", path)(error)),
    };
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line).map_err(io_error("read", path))?;
    Ok(Some(header(&String::from_utf8_lossy(&line)).unwrap_or_else(by_hand)))
}

/// Makes a directory with its parents and sets the mode of the last one to 0700.
fn make_private(dir: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(io_error("set the mode of", dir))
}

fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { action, path: path.into(), source }
}

#[cfg(test)]
mod tests;
