//! The rules that one packet met, and why each matched or not: the walk of the programs once more, over the image in
//! memory.

use plan::firewall::{CHAINS, MENUS};
use router_common::facts::Facts;
use router_common::maps::image::{Cell, DEPTH_MAX, Limits, More, Rule, Volume, action, dimension, matcher};
use router_common::maps::rule::ListedKey;
use router_common::rules::{Cells, Hooks, replay};
use serde::{Deserialize, Serialize};

use crate::Inspector;
use crate::walked::action_name;

/// A rule that a packet met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Met {
    /// `ip/firewall/filter`
    pub menu: String,
    pub id: u32,
    pub action: String,
    pub matched: bool,
    /// The properties that did not hold.
    pub unlike: Vec<String>,
    /// Properties by which the next packet of the same flow may fare otherwise: they keep it off the fast path.
    pub varying: Vec<String>,
}

/// One walk through a built-in chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walked {
    pub facts: Facts,
    /// Number of the chain.
    pub chain: u32,
}

impl Walked {
    pub fn chain_name(&self) -> &'static str {
        CHAINS.get(self.chain as usize).map_or("", |(_, name)| *name)
    }

    pub fn table_name(&self) -> &'static str {
        CHAINS.get(self.chain as usize).map_or("", |(table, _)| *table)
    }
}

/// The cells of an image that was read.
#[derive(Clone, Copy)]
struct Copied(&'static [Cell]);

impl Cells for Copied {
    fn cell(self, index: u32) -> Option<&'static Cell> {
        self.0.get(index as usize)
    }
}

/// Runs `look` over cells that live as long as that.
fn with<T>(cells: Vec<Cell>, look: impl FnOnce(Copied) -> Option<Vec<T>>) -> Vec<T> {
    let cells = Box::into_raw(cells.into_boxed_slice());
    // SAFETY: from a box just now; freed below, when nothing of what `look` gave can refer to it: this function is private,
    // and its callers' values own all they have.
    let seen = look(Copied(unsafe { &*cells }));
    // SAFETY: as above; a panic in `look` leaks it.
    drop(unsafe { Box::from_raw(cells) });
    seen.unwrap_or_default()
}

/// What matchers with a memory say: they are not asked again.
struct Looking<'p>(&'p Inspector);

impl Hooks for Looking<'_> {
    fn count(&mut self, _slot: u32, _facts: &Facts) {}
    fn log(&mut self, _rule: &Rule, _facts: &Facts) {}
    fn limit(&mut self, _rule: &Rule, _limits: &Limits, _facts: &Facts) -> bool {
        true
    }
    fn dst_limit(&mut self, _rule: &Rule, _limits: &Limits, _facts: &Facts) -> bool {
        true
    }
    fn connection_limit(&mut self, _rule: &Rule, _limits: &Limits, _facts: &Facts) -> bool {
        true
    }
    fn nth(&mut self, _rule: &Rule, _more: &More) -> bool {
        true
    }
    fn random(&mut self) -> u32 {
        0
    }
    fn second_of_week(&mut self) -> u32 {
        const WEEK_S: u32 = 7 * 86_400;
        let control = self.0.maps.pulse().read();
        control.tick.wrapping_add(control.week_s) % WEEK_S
    }
    fn connection_bytes(&mut self, _volume: &Volume, _facts: &Facts) -> bool {
        true
    }
    fn connection_rate(&mut self, _volume: &Volume, _facts: &Facts) -> bool {
        true
    }
    fn scans(&mut self, _rule: &Rule, _volume: &Volume, _facts: &Facts) -> bool {
        true
    }
    fn has_content(&mut self, _cell: u32, _bytes: u32) -> bool {
        true
    }
    fn is_listed(&mut self, list: u32, address: &[u8; 16], family: u8) -> bool {
        let key = ListedKey { list, family: family.into(), address: *address };
        self.0.maps.rules.lists.is_member(&key, self.0.maps.pulse().read().tick)
    }
    fn add_to_list(&mut self, _list: u32, _address: &[u8; 16], _family: u8, _timeout_s: u32) {}
}

impl Inspector {
    /// The rules that a packet met in a chain of the active image, in their order, jumps followed.
    pub fn met(&self, walked: &Walked) -> Vec<Met> {
        /// A loop of chains ends here, as it does in the programs.
        const RULES_MOST: usize = 1 << 16;
        let copy = self.cells();
        with(copy, |cells| {
            let mut facts = walked.facts;
            let mut walk = replay::prepared(cells, &facts)?;
            let (mut position, mut end) = replay::chain(cells, &walk, walked.chain)?;
            let mut callers: Vec<(u32, u32)> = Vec::new();
            let mut met = Vec::new();
            while met.len() < RULES_MOST {
                if position >= end {
                    let Some(caller) = callers.pop() else { break };
                    (position, end) = caller;
                    continue;
                }
                let index = position;
                position += 1;
                let rule = replay::rule(cells, &walk, index)?;
                let look = replay::look(cells, &facts, &mut walk, &mut Looking(self), index)?;
                met.push(Met {
                    menu: MENUS.get((rule.key >> 32) as usize).copied().unwrap_or_default().to_owned(),
                    id: rule.key as u32,
                    action: action_name(&rule, cells.0).to_owned(),
                    matched: look.is_match(),
                    unlike: names(&DIMENSIONS, look.dimensions)
                        .chain(names(&MATCHERS, look.matchers))
                        .collect(),
                    varying: names(&MATCHERS, look.varying).collect(),
                });
                if !look.is_match() {
                    continue;
                }
                match rule.action {
                    action::JUMP if callers.len() < DEPTH_MAX => {
                        callers.push((position, end));
                        (position, end) = (rule.target & 0xffff, rule.target >> 16);
                    }
                    action::RETURN => position = end,
                    action::PASSTHROUGH | action::ADD_SRC | action::ADD_DST | action::FASTTRACK => {}
                    action::ACCEPT | action::DROP | action::REJECT | action::NOTRACK | action::NAT => break,
                    _ => {
                        if !replay::apply(cells, &mut facts, &mut walk, &rule)? {
                            break;
                        }
                    }
                }
            }
            Some(met)
        })
    }
}

fn names(all: &'static [(u32, &'static str)], bits: u32) -> impl Iterator<Item = String> {
    all.iter().filter(move |(bit, _)| bits & bit != 0).map(|(_, name)| (*name).to_owned())
}

const DIMENSIONS: [(u32, &str); dimension::COUNT as usize] = [
    (1 << dimension::SRC, "src-address"),
    (1 << dimension::DST, "dst-address"),
    (1 << dimension::SRC_PORT, "src-port"),
    (1 << dimension::DST_PORT, "dst-port"),
    (1 << dimension::ANY_PORT, "port"),
    (1 << dimension::IN, "in-interface"),
    (1 << dimension::OUT, "out-interface"),
    (1 << dimension::CONNECTION_MARK, "connection-mark"),
    (1 << dimension::PACKET_MARK, "packet-mark"),
    (1 << dimension::ROUTING_MARK, "routing-mark"),
    (1 << dimension::LISTS, "address-list"),
    (1 << dimension::PROTOCOL, "protocol"),
    (1 << dimension::STATE, "connection-state"),
    (1 << dimension::TYPE, "address-type"),
    (1 << dimension::SRC_LIST, "src-address-list"),
    (1 << dimension::DST_LIST, "dst-address-list"),
];

const MATCHERS: [(u32, &str); 26] = [
    (matcher::TCP_FLAGS, "tcp-flags"),
    (matcher::ICMP, "icmp-options"),
    (matcher::FRAGMENT, "fragment"),
    (matcher::SIZE, "packet-size"),
    (matcher::TTL, "ttl"),
    (matcher::DSCP, "dscp"),
    (matcher::SRC_MAC, "src-mac-address"),
    (matcher::SRC_LIST, "src-address-list"),
    (matcher::DST_LIST, "dst-address-list"),
    (matcher::CONNECTION_LIMIT, "connection-limit"),
    (matcher::DST_LIMIT, "dst-limit"),
    (matcher::LIMIT, "limit"),
    (matcher::TCP_MSS, "tcp-mss"),
    (matcher::PCC, "per-connection-classifier"),
    (matcher::NTH, "nth"),
    (matcher::RANDOM, "random"),
    (matcher::TIME, "time"),
    (matcher::OPTIONS, "ipv4-options"),
    (matcher::HEADERS, "headers"),
    (matcher::PRIORITY, "priority"),
    (matcher::INGRESS_PRIORITY, "ingress-priority"),
    (matcher::CONNECTION_BYTES, "connection-bytes"),
    (matcher::CONNECTION_RATE, "connection-rate"),
    (matcher::PSD, "psd"),
    (matcher::CONTENT, "content"),
    (matcher::NEVER, "hotspot or connection-type"),
];
