//! The properties that the firewall's menus read. Rules are read property by property, not through a struct: most of
//! their fifty properties are unset in most rules, and there are thousands of them.

const RULE: &[&str] =
    &["action", "address-list", "address-list-timeout", "chain", "jump-target", "log", "log-prefix"];
const NAT: &[&str] = &["randomise-ports", "same-not-by-dst", "to-ports"];
const MANGLE: &[&str] = &[
    "new-connection-mark",
    "new-dscp",
    "new-mss",
    "new-packet-mark",
    "new-priority",
    "new-routing-mark",
    "passthrough",
];
const MATCHERS: &[&str] = &[
    "content",
    "dscp",
    "dst-address",
    "dst-address-list",
    "dst-address-type",
    "dst-limit",
    "dst-port",
    "icmp-options",
    "in-interface",
    "in-interface-list",
    "ingress-priority",
    "ipsec-policy",
    "limit",
    "nth",
    "out-interface",
    "out-interface-list",
    "packet-mark",
    "packet-size",
    "per-connection-classifier",
    "port",
    "priority",
    "protocol",
    "random",
    "src-address",
    "src-address-list",
    "src-address-type",
    "src-mac-address",
    "src-port",
    "tcp-flags",
    "tcp-mss",
    "time",
];
const CONNECTION: &[&str] = &[
    "connection-bytes",
    "connection-limit",
    "connection-mark",
    "connection-nat-state",
    "connection-rate",
    "connection-state",
    "connection-type",
    "routing-mark",
];
const V4: &[&str] = &["fragment", "hotspot", "ipv4-options", "psd", "ttl"];
const V6: &[&str] = &["headers", "hop-limit"];

/// As [`crate::views`].
pub fn views() -> Vec<(&'static str, Vec<&'static str>)> {
    let all = |sets: &[&[&'static str]]| sets.concat();
    vec![
        ("ip/firewall/filter", all(&[RULE, MATCHERS, CONNECTION, V4, &["reject-with"]])),
        ("ip/firewall/nat", all(&[RULE, MATCHERS, CONNECTION, V4, NAT, &["to-addresses"]])),
        ("ip/firewall/raw", all(&[RULE, MATCHERS, V4])),
        ("ip/firewall/mangle", all(&[RULE, MATCHERS, CONNECTION, V4, MANGLE, &["new-ttl", "route-dst"]])),
        ("ipv6/firewall/filter", all(&[RULE, MATCHERS, CONNECTION, V6, &["reject-with"]])),
        ("ipv6/firewall/nat", all(&[RULE, MATCHERS, CONNECTION, V6, NAT, &["to-address"]])),
        ("ipv6/firewall/raw", all(&[RULE, MATCHERS, V6])),
        ("ipv6/firewall/mangle", all(&[RULE, MATCHERS, CONNECTION, V6, MANGLE, &["new-hop-limit"]])),
        ("ip/firewall/address-list", vec!["address", "list", "timeout"]),
        ("ipv6/firewall/address-list", vec!["address", "list", "timeout"]),
        ("interface/list", vec!["exclude", "include", "name"]),
        ("interface/list/member", vec!["interface", "list"]),
    ]
}
