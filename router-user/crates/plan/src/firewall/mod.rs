//! `/ip firewall`, `/ipv6 firewall`, `/interface list`.

pub mod rule;

/// The menus of rules, by [`rule::RuleKey::menu`].
pub const MENUS: [&str; 6] = [
    "ip/firewall/filter",
    "ip/firewall/nat",
    "ip/firewall/raw",
    "ipv6/firewall/filter",
    "ipv6/firewall/nat",
    "ipv6/firewall/raw",
];
