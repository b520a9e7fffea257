//! Entries of address lists with a timeout: no part of the configuration. Few addresses are dynamic members in the data
//! plane, which ends them itself; large ranges and names are kept here, and planned with.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use config::{Item, Row, Tree, Value};
use management::Deadline;
use plan::facts;
use plan::firewall::rule::{name_number, number};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub const MENUS: [&str; 2] = ["ip/firewall/address-list", "ipv6/firewall/address-list"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Id of the list.
    pub list: u32,
    pub address: IpAddr,
    pub seconds: u32,
}

/// A large range, or a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    list: String,
    v6: bool,
    /// As it was written.
    address: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
    what: facts::Timed,
    deadline: Deadline,
}

impl Entry {
    fn is_same(&self, other: &Entry) -> bool {
        (&self.list, self.v6, &self.address) == (&other.list, other.v6, &other.address)
    }
}

/// What was taken out of a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub members: Vec<Member>,
    pub entries: Vec<Entry>,
}

/// Takes enabled entries with a timeout out of a configuration.
pub fn take(tree: &mut Tree) -> anyhow::Result<Taken> {
    let mut taken = Taken::default();
    for (v6, menu) in [false, true].into_iter().zip(MENUS) {
        let mut ids = Vec::new();
        for item in tree.items(menu) {
            let Some(Value::Time(ms)) = item.value("timeout") else { continue };
            if let Some(what) = plan::firewall::timed(item, v6) {
                ids.push(format!("*{:X}", item.id().0));
                taken.add(item, v6, what, ms.div_ceil(1000).max(1));
            }
        }
        if !ids.is_empty() {
            config::run(tree, &format!("/{menu} remove {}", ids.join(",")))
                .map_err(|errors| anyhow!("take dynamic members out of the configuration: {errors}"))?;
        }
    }
    Ok(taken)
}

/// The addresses of a range, if each can be a member by itself.
fn few(first: IpAddr, last: IpAddr) -> Option<Vec<IpAddr>> {
    const MOST: u128 = 4096;
    let range = number(first)..=number(last);
    let address = |number: u128| match first {
        IpAddr::V6(_) => IpAddr::V6(number.into()),
        // No more than the 32 bits that it was made of.
        IpAddr::V4(_) => IpAddr::V4((number as u32).into()),
    };
    (range.end() - range.start() < MOST).then(|| range.map(address).collect())
}

impl Taken {
    fn add(&mut self, item: &Item, v6: bool, what: facts::Timed, seconds: u64) {
        let list = item.text("list").unwrap_or_default();
        match what {
            facts::Timed::Range(first, last) if few(first, last).is_some() => {
                let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
                let list = name_number(&list);
                let addresses = few(first, last).unwrap_or_default().into_iter();
                self.members.extend(addresses.map(|address| Member { list, address, seconds }));
            }
            what => self.entries.push(Entry {
                list,
                v6,
                address: item.text("address").unwrap_or_default(),
                comment: item.text("comment"),
                what,
                deadline: Deadline::after_seconds(seconds),
            }),
        }
    }
}

/// The entries whose time is not over, kept in a file over restarts of the daemon.
pub struct Timed {
    path: PathBuf,
    entries: Vec<Entry>,
}

impl Timed {
    /// A file that can't be read counts as empty.
    pub fn open(path: PathBuf) -> Timed {
        let entries = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!("{}: {error}; entries with a timeout are lost", path.display());
                Vec::new()
            }),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!("{}: {error}; entries with a timeout are lost", path.display());
                }
                Vec::new()
            }
        };
        Timed { path, entries }
    }

    /// What is in force at this moment.
    pub fn facts(&self) -> Vec<(u32, bool, facts::Timed)> {
        let alive = self.entries.iter().filter(|entry| entry.deadline.left_ms() > 0);
        alive.map(|entry| (name_number(&entry.list), entry.v6, entry.what.clone())).collect()
    }

    /// Adds entries, or renews them. Gives those that there were before.
    pub fn add(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut next = self.entries.clone();
        next.retain(|old| !entries.iter().any(|new| new.is_same(old)));
        next.extend(entries);
        std::mem::replace(&mut self.entries, next)
    }

    pub fn set(&mut self, entries: Vec<Entry>) {
        self.entries = entries;
    }

    /// Removes the entry that this row of [`Timed::rows`] shows; whether there was one.
    pub fn remove(&mut self, v6: bool, row: &Row) -> bool {
        let value =
            |name: &str| row.values.iter().find(|(own, _)| own == name).map(|(_, text)| text.as_str());
        let (list, address) = (value("list"), value("address"));
        let before = self.entries.len();
        self.entries.retain(|entry| {
            entry.v6 != v6 || Some(entry.list.as_str()) != list || Some(entry.address.as_str()) != address
        });
        self.entries.len() != before
    }

    /// Removes the entries whose time is over; whether there were any.
    pub fn expire(&mut self) -> bool {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.deadline.left_ms() > 0);
        self.entries.len() != before
    }

    /// When the next entry's time is over.
    pub fn next(&self) -> Option<Instant> {
        let left = self.entries.iter().map(|entry| entry.deadline.left_ms()).min()?;
        Some(Instant::now() + Duration::from_millis(left))
    }

    /// Writes the file anew.
    pub fn save(&self) -> anyhow::Result<()> {
        let name = || format!("write {}", self.path.display());
        if self.entries.is_empty() {
            return match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(name),
                _ => Ok(()),
            };
        }
        let aside = self.path.with_extension("json.new");
        std::fs::write(&aside, serde_json::to_vec(&self.entries)?).with_context(name)?;
        std::fs::rename(&aside, &self.path).with_context(name)
    }

    /// As listings show them.
    pub fn rows(&self, v6: bool) -> Vec<Row> {
        let own = self.entries.iter().filter(|entry| entry.v6 == v6 && entry.deadline.left_ms() > 0);
        let row = |entry: &Entry| {
            let left_ms = entry.deadline.left_ms().div_ceil(1000) * 1000;
            let mut values = vec![
                ("list".to_owned(), entry.list.clone()),
                ("address".to_owned(), entry.address.clone()),
                ("dynamic".to_owned(), "yes".to_owned()),
                ("timeout".to_owned(), Value::Time(left_ms).to_string()),
            ];
            values.extend(entry.comment.iter().map(|comment| ("comment".to_owned(), comment.clone())));
            let id = name_number(&format!("{} {}", entry.list, entry.address)) % Row::IDS;
            Row { id: Some(id), flags: "D".to_owned(), values }
        };
        own.map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (Taken, Tree) {
        let mut tree = config::import(&Tree::new(), text).unwrap().tree;
        (take(&mut tree).unwrap(), tree)
    }

    #[test]
    fn what_has_a_timeout_is_taken_out() {
        let (taken, mut tree) = taken(
            "/ip firewall address-list\n\
             add list=a address=192.0.2.1 timeout=1m\n\
             add list=a address=192.0.2.2\n\
             add list=a address=192.0.2.3/32 timeout=1500ms\n\
             add list=a address=10.0.0.0/8 timeout=1m comment=ten\n\
             add list=a address=198.51.100.255-198.51.101.0 timeout=1m\n\
             add list=a address=10.0.0.0/20 timeout=1m disabled=yes\n\
             add list=a address=example.com timeout=1m\n\
             add list=a address=192.0.2.4 timeout=1m disabled=yes\n\
             /ipv6 firewall address-list\n\
             add list=b address=2001:db8::1 timeout=1h\n\
             add list=b address=2001:db8::/32 timeout=1h\n",
        );
        let member = |list, address: &str, seconds| Member {
            list: name_number(list),
            address: address.parse().unwrap(),
            seconds,
        };
        assert_eq!(
            taken.members,
            [
                member("a", "192.0.2.1", 60),
                member("a", "192.0.2.3", 2),
                member("a", "198.51.100.255", 60),
                member("a", "198.51.101.0", 60),
                member("b", "2001:db8::1", 3600)
            ]
        );
        let entries: Vec<(&str, &str)> =
            taken.entries.iter().map(|entry| (entry.list.as_str(), entry.address.as_str())).collect();
        assert_eq!(entries, [("a", "10.0.0.0/8"), ("a", "example.com"), ("b", "2001:db8::/32")]);
        assert_eq!(taken.entries[0].comment.as_deref(), Some("ten"));
        let left: Vec<String> = tree.items(MENUS[0]).filter_map(|item| item.text("address")).collect();
        assert_eq!(left, ["192.0.2.2", "10.0.0.0/20", "192.0.2.4"]);
        let (first, last) = ("10.0.0.0".parse().unwrap(), "10.0.15.255".parse().unwrap());
        assert_eq!(few(first, last).unwrap().len(), 4096);
        assert_eq!(few(first, "10.0.16.0".parse().unwrap()), None);
        assert_eq!(tree.items(MENUS[1]).count(), 0);
        assert_eq!(take(&mut tree).unwrap(), Taken::default());
    }

    #[test]
    fn entries_outlive_the_daemon_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timed.json");
        let mut timed = Timed::open(path.clone());
        assert_eq!(timed.next(), None);
        let add = |timeout: &str| {
            let menu = "/ip firewall address-list add list=a";
            taken(&format!("{menu} address=10.0.0.0/8 timeout={timeout}")).0.entries
        };
        timed.add(add("1m"));
        timed.add(add("1h"));
        timed.save().unwrap();
        let mut timed = Timed::open(path.clone());
        assert_eq!(timed.facts().len(), 1);
        assert!(timed.next().unwrap() > Instant::now() + Duration::from_secs(3000), "renewed");
        let rows = timed.rows(false);
        assert!(rows[0].values.contains(&("timeout".to_owned(), "1h".to_owned())), "{rows:?}");
        assert!(!timed.expire() && !timed.remove(true, &rows[0]));
        assert!(timed.remove(false, &rows[0]));
        timed.save().unwrap();
        assert!(!path.exists());
        timed.add(add("0s"));
        std::thread::sleep(Duration::from_millis(1100));
        assert!(timed.facts().is_empty() && timed.rows(false).is_empty() && timed.expire());
        std::fs::write(&path, "[{").unwrap();
        assert!(Timed::open(path).facts().is_empty());
    }
}
