//! What listings know of the firewall beside its configuration, and what commands ask of it.

use std::collections::HashMap;

use anyhow::bail;
use config::{Act, Item, Row, Tree};
use dataplane::{Connection, Count, Dataplane, Fill, Inspector};
use plan::firewall::MENUS;
use plan::firewall::rule::RuleKey;
use router_common::maps::flow::{Tracking, tracking};

use super::{connections, members};
use crate::daemon::firewall::timed::Timed;

/// What of the firewall is to be looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// What rules that are not of the configuration there are.
    pub rules: bool,
    /// What each rule has counted.
    pub counters: bool,
    pub connections: bool,
    /// How many there are.
    pub fill: bool,
    /// Dynamic members of address lists.
    pub members: bool,
}

impl Scope {
    pub fn holds(self, other: Scope) -> bool {
        (self.rules || !other.rules)
            && (self.counters || !other.counters)
            && (self.connections || !other.connections)
            && (self.fill || !other.fill)
            && (self.members || !other.members)
    }

    /// What a line can mean: `/ip fi fi pr st` is a listing of rules too.
    pub fn of_line(line: &str) -> Scope {
        if !line.contains("fi") {
            return Scope::default();
        }
        Scope {
            rules: true,
            counters: reads_counters(line),
            connections: line.contains("co"),
            fill: line.contains("tr"),
            members: line.contains("ad"),
        }
    }

    pub fn of_menu(menu: &str) -> Scope {
        Scope {
            rules: MENUS.contains(&menu),
            counters: MENUS.contains(&menu),
            connections: menu.ends_with("/connection"),
            fill: menu.ends_with("/tracking"),
            members: menu.ends_with("/address-list"),
        }
    }
}

/// Whether a line may ask what rules have counted; reading that of many rules takes its time.
fn reads_counters(line: &str) -> bool {
    line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).any(|word| {
        matches!(word, "bytes" | "packets") || "print".starts_with(word) || "get".starts_with(word)
    })
}

/// The firewall at one moment.
#[derive(Default)]
pub struct Firewall {
    /// By [`RuleKey::number`].
    counters: HashMap<u64, Count>,
    /// What fasttracked connections count, of IPv4 and IPv6; None where no rule fasttracks any.
    fasttracked: Option<[Count; 2]>,
    v4: Vec<Connection>,
    v6: Vec<Connection>,
    tracking: Option<(Tracking, Fill)>,
    members: [Vec<Row>; 2],
}

impl Firewall {
    /// `tree` knows the names of lists.
    pub fn look(plane: &Inspector, scope: Scope, tree: &Tree, timed: &Timed) -> anyhow::Result<Firewall> {
        let mut firewall = Firewall::default();
        if scope.counters {
            let counted = plane.rule_counters()?.into_iter();
            firewall.counters =
                counted.map(|rule| (rule.key, Count { packets: rule.packets, bytes: rule.bytes })).collect();
        }
        if scope.rules && plane.tracking().flags & tracking::FASTTRACK != 0 {
            firewall.fasttracked = Some(plane.fasttracked()?);
        }
        if scope.connections {
            firewall.v4 = plane.connections(false);
            firewall.v6 = plane.connections(true);
        }
        firewall.tracking = scope.fill.then(|| (plane.tracking(), plane.fill()));
        if scope.members {
            firewall.members = members::rows(plane, tree, timed)?;
        }
        Ok(firewall)
    }

    pub fn rows(&self, menu: &str) -> Vec<Row> {
        match menu {
            "ip/firewall/connection" => self.v4.iter().map(connections::row).collect(),
            "ipv6/firewall/connection" => self.v6.iter().map(connections::row).collect(),
            "ip/firewall/address-list" => self.members[0].clone(),
            "ipv6/firewall/address-list" => self.members[1].clone(),
            _ => match (self.fasttracked, menu.strip_prefix("ip/"), menu.strip_prefix("ipv6/")) {
                (Some([v4, _]), Some(list), _) => dummies(list, v4),
                (Some([_, v6]), _, Some(list)) => dummies(list, v6),
                _ => Vec::new(),
            },
        }
    }

    /// What a rule has counted; one that is not in force counts nothing.
    pub fn values(&self, item: &Item) -> Vec<(&'static str, String)> {
        if let ("ip/firewall/connection/tracking", Some((settings, fill))) =
            (item.menu().path.as_str(), self.tracking)
        {
            return connections::summary(&settings, fill);
        }
        let Some(key) = key(&item.menu().path, item.id().0) else { return Vec::new() };
        let Count { packets, bytes } = self.counters.get(&key).copied().unwrap_or_default();
        vec![("bytes", bytes.to_string()), ("packets", packets.to_string())]
    }
}

/// RouterOS's own rules for what fasttracked connections count, one for each chain that these go by.
fn dummies(list: &str, Count { packets, bytes }: Count) -> Vec<Row> {
    let chains: &[&str] = match list {
        "firewall/filter" => &["forward"],
        "firewall/mangle" => &["prerouting", "forward", "postrouting"],
        "firewall/raw" => &["prerouting"],
        _ => &[],
    };
    let dummy = |chain: &&str| {
        super::row(
            "D",
            vec![
                ("comment", "special dummy rule to show fasttrack counters".to_owned()),
                ("chain", (*chain).to_owned()),
                ("action", "passthrough".to_owned()),
                ("bytes", bytes.to_string()),
                ("packets", packets.to_string()),
            ],
        )
    };
    chains.iter().map(dummy).collect()
}

fn key(menu: &str, item: u32) -> Option<u64> {
    let menu = MENUS.iter().position(|own| *own == menu)?;
    Some(RuleKey { menu: menu as u8, item }.number())
}

/// Does what a command asks for.
pub fn act(plane: &mut Dataplane, act: &Act) -> anyhow::Result<()> {
    match act.verb.as_str() {
        "reset-counters" | "reset-counters-all" => {
            let keys: Vec<u64> = act.items.iter().filter_map(|item| key(&act.menu, item.0)).collect();
            plane.reset_rule_counters(Some(&keys))?;
        }
        "remove" if act.menu.ends_with("/connection") => connections::remove(plane, act),
        "remove" if act.menu.ends_with("/address-list") => members::remove(plane, act)?,
        verb => bail!("{verb} is not built yet"),
    }
    Ok(())
}
