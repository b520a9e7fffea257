//! What the host had before us, for what cannot carry a tag: written down before it is changed.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::step::{LinkChange, Op, Step};

#[derive(Clone, Debug, Default)]
pub(crate) struct Originals {
    path: Option<PathBuf>,
    pub host: Host,
}

/// The file's content, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Host {
    /// `/proc/sys/kernel/random/boot_id`: after a reboot the values are the host's own again.
    boot: String,
    /// Inode of the network namespace.
    namespace: u64,
    pub sysctls: BTreeMap<String, String>,
    /// By ifindex.
    pub links: BTreeMap<u32, LinkOriginal>,
    pub hostname: Option<String>,
}

/// Only what we changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkOriginal {
    pub mtu_bytes: Option<u32>,
    pub mac: Option<Vec<u8>>,
    pub up: Option<bool>,
    /// Names that we gave.
    pub altnames: Vec<String>,
}

impl Originals {
    pub fn load(path: PathBuf) -> Result<Originals, Error> {
        let mut originals = Originals { path: Some(path.clone()), host: here() };
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(originals),
            Err(cause) => return Err(Error::File { path, cause }),
        };
        let found: Host = serde_json::from_slice(&text).map_err(|cause| Error::Originals { path, cause })?;
        if (&found.boot, found.namespace) == (&originals.host.boot, originals.host.namespace) {
            originals.host = found;
        }
        Ok(originals)
    }

    /// Writes down what `steps` are about to change, unless it is known already.
    pub fn record(&mut self, steps: &[Step]) -> Result<(), Error> {
        let before = self.host.clone();
        for step in steps {
            if let Op::Link { ifindex, change: LinkChange::AddAltname(name) } = &step.op {
                let link = self.host.links.entry(*ifindex).or_default();
                if !link.altnames.contains(name) {
                    link.altnames.push(name.clone());
                }
            }
            for old in &step.inverse {
                self.host.remember(old);
            }
        }
        if self.host == before { Ok(()) } else { self.save() }
    }

    /// Forgets what has its original value again.
    pub fn settle(&mut self, steps: &[Step]) -> Result<(), Error> {
        let before = self.host.clone();
        steps.iter().for_each(|step| self.host.forget(&step.op));
        self.host.links.retain(|_, link| *link != LinkOriginal::default());
        if self.host == before { Ok(()) } else { self.save() }
    }

    /// Drops everything, the file too.
    pub fn clear(&mut self) -> Result<(), Error> {
        self.host = here();
        match &self.path {
            Some(path) => match std::fs::remove_file(path) {
                Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
                    Err(Error::File { path: path.clone(), cause })
                }
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn save(&self) -> Result<(), Error> {
        let Some(path) = &self.path else { return Ok(()) };
        let text = serde_json::to_vec_pretty(&self.host)
            .map_err(|cause| Error::Originals { path: path.clone(), cause })?;
        write_atomically(path, &text).map_err(|cause| Error::File { path: path.clone(), cause })
    }
}

impl Host {
    fn remember(&mut self, old: &Op) {
        match old {
            Op::Sysctl { key, value } => {
                self.sysctls.entry(key.clone()).or_insert_with(|| value.clone());
            }
            Op::Hostname(name) => {
                self.hostname.get_or_insert_with(|| name.clone());
            }
            Op::Link { ifindex, change } => {
                let link = self.links.entry(*ifindex).or_default();
                match change {
                    LinkChange::Mtu(bytes) => drop(link.mtu_bytes.get_or_insert(*bytes)),
                    LinkChange::Mac(mac) => drop(link.mac.get_or_insert_with(|| mac.clone())),
                    LinkChange::Up(up) => drop(link.up.get_or_insert(*up)),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn forget(&mut self, new: &Op) {
        match new {
            Op::Sysctl { key, value } if self.sysctls.get(key) == Some(value) => {
                self.sysctls.remove(key);
            }
            Op::Hostname(name) if self.hostname.as_ref() == Some(name) => self.hostname = None,
            Op::Link { ifindex, change } => {
                let Some(link) = self.links.get_mut(ifindex) else { return };
                match change {
                    LinkChange::Mtu(bytes) => drop(link.mtu_bytes.take_if(|old| old == bytes)),
                    LinkChange::Mac(mac) => drop(link.mac.take_if(|old| old == mac)),
                    LinkChange::Up(up) => drop(link.up.take_if(|old| old == up)),
                    LinkChange::RemoveAltname(name) => link.altnames.retain(|known| known != name),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

/// An empty record of this boot and namespace.
fn here() -> Host {
    Host {
        boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .unwrap_or_default()
            .trim()
            .to_owned(),
        namespace: std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |m| m.ino()),
        ..Host::default()
    }
}

fn write_atomically(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let aside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => std::fs::File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sysctl(value: &str) -> Op {
        Op::Sysctl { key: "net/ipv4/tcp_syncookies".into(), value: value.into() }
    }

    #[test]
    fn the_first_value_is_kept_and_forgotten_once_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("originals.json");
        let mut originals = Originals::load(path.clone()).unwrap();
        originals.record(&[Step::new(String::new(), sysctl("0"), [sysctl("1")])]).unwrap();
        originals.record(&[Step::new(String::new(), sysctl("2"), [sysctl("0")])]).unwrap();

        let mut again = Originals::load(path).unwrap();
        assert_eq!(again.host.sysctls["net/ipv4/tcp_syncookies"], "1");
        again.settle(&[Step::new(String::new(), sysctl("1"), [])]).unwrap();
        assert_eq!(again.host.sysctls, BTreeMap::new());
    }

    #[test]
    fn a_record_of_another_boot_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("originals.json");
        let text = r#"{"boot":"another","namespace":1,"sysctls":{"a":"1"},"links":{},"hostname":"old"}"#;
        std::fs::write(&path, text).unwrap();
        assert_eq!(Originals::load(path).unwrap().host.hostname, None);
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("originals.json");
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(Originals::load(path), Err(Error::Originals { .. })));
    }
}
