//! The rules of the active image as user space sees them, and what counts for them.

use plan::firewall::{CHAINS, MENUS};
use router_common::maps::image::{
    Cell, HEADER, Nat, REJECT_BASE, Record, Rule, action, header, nat_flag, nat_kind, root, rule_flag, word,
};
use router_common::maps::route::table;
use router_common::maps::rule::PathKey;
use router_common::verdict::Reason;
use serde::{Deserialize, Serialize};

use crate::{Count, Error, Inspector, image};

/// One rule in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleEntry {
    /// `ip/firewall/filter`
    pub menu: String,
    /// The item's id in its menu.
    pub id: u32,
    /// Its place among the rules of its family.
    pub index: u32,
    /// Where it counts; stable while the rule exists.
    pub slot: u32,
    /// A built-in chain's name; empty for one of the operator's.
    pub chain: String,
    pub action: String,
    pub log: bool,
    /// What it jumps to, translates to or adds to.
    pub target: String,
    pub count: Count,
}

/// The rules that packets of the fast path count for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathEntry {
    pub path: u32,
    /// Of the active image; else its flows decide anew.
    pub active: bool,
    pub slots: Vec<u32>,
    pub count: Count,
}

impl Inspector {
    pub(crate) fn cells(&self) -> Vec<Cell> {
        self.maps.images.read(image::slot(self.maps.pulse().generation()))
    }

    /// The rules of the active image in their order, IPv4 first.
    pub fn rules(&self) -> Result<Vec<RuleEntry>, Error> {
        let cells = self.cells();
        let cell = |index: u32| cells.get(index as usize);
        let Some(top) = cell(HEADER) else { return Ok(Vec::new()) };
        let mut rules = Vec::new();
        for place in [header::ROOT4, header::ROOT6] {
            let Some(words) = cell(word(top, place as u32) + 1).filter(|_| word(top, place as u32) > HEADER)
            else {
                continue;
            };
            let first = word(words, root::RULES as u32);
            for index in 0..word(words, root::COUNT as u32) {
                rules.extend(cell(first.saturating_add(index)).map(|cell| (index, *Rule::of(cell))));
            }
        }
        let slots: Vec<u32> = rules.iter().map(|(_, rule)| rule.slot).collect();
        let counts = self.maps.rules.count(&slots)?;
        let entry = |((index, rule), count): ((u32, Rule), _)| RuleEntry {
            menu: MENUS.get((rule.key >> 32) as usize).copied().unwrap_or_default().to_owned(),
            id: rule.key as u32,
            index,
            slot: rule.slot,
            chain: CHAINS
                .get(usize::from(rule.chain))
                .map(|(_, name)| (*name).to_owned())
                .unwrap_or_default(),
            action: action_name(&rule, &cells).to_owned(),
            log: rule.flags & rule_flag::LOG != 0,
            target: self.target(&rule, &cells),
            count: Count::from(count),
        };
        Ok(rules.into_iter().zip(counts).map(entry).collect())
    }

    /// The paths of both images, those of the active one first.
    pub fn paths(&self) -> Result<Vec<PathEntry>, Error> {
        let parity = image::slot(self.maps.pulse().generation());
        let entry = |(key, path, count): (PathKey, u32, _)| PathEntry {
            path,
            active: key.parity == parity,
            slots: key.slots.iter().take(key.count as usize).copied().collect(),
            count: Count::from(count),
        };
        let mut paths: Vec<PathEntry> = self.maps.rules.paths()?.into_iter().map(entry).collect();
        paths.sort_by_key(|path| (!path.active, path.path));
        Ok(paths)
    }

    /// What an action is about, as text.
    fn target(&self, rule: &Rule, cells: &[Cell]) -> String {
        let names = &self.maps.rules;
        match rule.action {
            action::JUMP => {
                let (start, end) = (rule.target & 0xffff, rule.target >> 16);
                if start < end { format!("rules {start}..{}", end - 1) } else { "no rule".to_owned() }
            }
            action::ADD_SRC | action::ADD_DST => format!("list #{:x}", rule.target),
            action::MARK_CONNECTION | action::MARK_PACKET if rule.target == 0 => "no-mark".to_owned(),
            action::MARK_CONNECTION | action::MARK_PACKET => {
                names.marks.name(rule.target).unwrap_or_default()
            }
            action::MARK_ROUTING if rule.target == table::MAIN => "main".to_owned(),
            action::MARK_ROUTING => names.tables.name(rule.target).unwrap_or_default(),
            action::CHANGE_DSCP | action::CHANGE_MSS | action::SET_PRIORITY => rule.target.to_string(),
            action::CHANGE_TTL => (rule.target >> 8).to_string(),
            _ => nat(rule, cells)
                .map(|nat| nat_text(nat, (rule.key >> 32) >= MENUS.len() as u64 / 2))
                .unwrap_or_default(),
        }
    }
}

fn nat<'c>(rule: &Rule, cells: &'c [Cell]) -> Option<&'c Nat> {
    cells.get(rule.target as usize).filter(|_| rule.action == action::NAT).map(Nat::of)
}

pub(crate) fn action_name(rule: &Rule, cells: &[Cell]) -> &'static str {
    match rule.action {
        action::ACCEPT => "accept",
        action::DROP => "drop",
        action::REJECT if u16::from(rule.reject) + REJECT_BASE == Reason::Tarpit as u16 => "tarpit",
        action::REJECT => "reject",
        action::JUMP => "jump",
        action::RETURN => "return",
        action::PASSTHROUGH => "passthrough",
        action::ADD_SRC => "add-src-to-address-list",
        action::ADD_DST => "add-dst-to-address-list",
        action::FASTTRACK => "fasttrack-connection",
        action::NOTRACK => "notrack",
        action::MARK_CONNECTION => "mark-connection",
        action::MARK_PACKET => "mark-packet",
        action::MARK_ROUTING => "mark-routing",
        action::CHANGE_DSCP => "change-dscp",
        action::CHANGE_TTL => "change-ttl",
        action::CLEAR_DF => "clear-df",
        action::CHANGE_MSS => "change-mss",
        action::SET_PRIORITY => "set-priority",
        action::STRIP_OPTIONS => "strip-ipv4-options",
        action::ROUTE => "route",
        _ => match nat(rule, cells).map(|nat| nat.kind) {
            Some(nat_kind::ACCEPT) => "accept",
            Some(nat_kind::MASQUERADE) => "masquerade",
            Some(nat_kind::SRC_NAT) => "src-nat",
            Some(nat_kind::DST_NAT) => "dst-nat",
            Some(nat_kind::REDIRECT) => "redirect",
            Some(nat_kind::NETMAP) => "netmap",
            Some(nat_kind::SAME) => "same",
            _ => "unknown",
        },
    }
}

fn nat_text(nat: &Nat, is_v6: bool) -> String {
    let address = |bytes: [u8; 16]| match (is_v6, bytes) {
        (true, _) => std::net::IpAddr::from(bytes).to_string(),
        (false, [a, b, c, d, ..]) => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
    };
    let mut parts = Vec::new();
    if nat.flags & nat_flag::ADDRESSES != 0 {
        let (from, to) = (address(nat.from), address(nat.to));
        parts.push(match nat.flags & nat_flag::PREFIX != 0 {
            true => format!("{from}/{}", nat.prefix_length),
            false if from == to => from,
            false => format!("{from}-{to}"),
        });
    }
    if nat.flags & nat_flag::PORTS != 0 {
        let (from, to) = (nat.port_from, nat.port_to);
        parts.push(if from == to { format!("port {from}") } else { format!("ports {from}-{to}") });
    }
    parts.join(" ")
}
