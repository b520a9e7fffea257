//! `/ip settings`, `/ipv6 settings`, `/system identity`: sysctls and the host name.
//!
//! What RouterOS defines for its interfaces is set on every managed port, defaults too. What holds for the whole network
//! namespace (TCP, neighbour tables, hash policy) is touched only where the configuration departs from RouterOS's
//! default: the host's own services live with it as well.

use config::{Errors, Tree};
use serde::de::DeserializeOwned;

use crate::Plan;
use crate::ports::Port;
use crate::view::{Identity, Settings4, Settings6};

pub struct Settings {
    pub v4: Settings4,
    pub v6: Settings6,
}

impl Settings {
    pub fn read(tree: &Tree) -> Result<Settings, Errors> {
        Ok(Settings { v4: record(tree, "ip/settings")?, v6: record(tree, "ipv6/settings")? })
    }

    pub fn forwards6(&self) -> bool {
        self.v6.forward && !self.v6.disable_ipv6
    }
}

pub fn record<V: DeserializeOwned>(tree: &Tree, menu: &str) -> Result<V, Errors> {
    match tree.settings(menu) {
        Some(item) => Ok(item.view()?),
        None => Err(config::Error::new(config::Span::default(), format!("no such command /{menu}")).into()),
    }
}

pub fn compile(plan: &mut Plan<'_>, managed: &[Port<'_>], settings: &Settings) {
    for port in managed {
        for (key, value) in port_sysctls(&port.link.name, settings) {
            plan.desired.sysctls.insert(key, value);
        }
    }
    if !managed.is_empty() {
        shared_sysctls(plan, settings);
    }
    namespace_sysctls(plan, managed, settings);
    hostname(plan);
}

fn flag(on: bool) -> String {
    u8::from(on).to_string()
}

fn port_sysctls(link: &str, Settings { v4, v6 }: &Settings) -> Vec<(String, String)> {
    let in4 = |name: &str, value: String| (format!("net/ipv4/conf/{link}/{name}"), value);
    let in6 = |name: &str, value: String| (format!("net/ipv6/conf/{link}/{name}"), value);
    let accept_ra = match v6.accept_router_advertisements.as_str() {
        "yes" => "2", // while forwarding, too
        "no" => "0",
        _ => "1",
    };
    vec![
        in4("forwarding", flag(v4.ip_forward)),
        // The pipeline checks sources, before any translation; the kernel would judge packets that are translated.
        in4("rp_filter", flag(false)),
        in4("accept_local", flag(true)),
        // A first address can go without the others of its network.
        in4("promote_secondaries", flag(true)),
        // Routes over a port without carrier are not active; those with a greater distance take over.
        in4("ignore_routes_with_linkdown", flag(true)),
        in6("ignore_routes_with_linkdown", flag(true)),
        in4("send_redirects", flag(v4.send_redirects)),
        in4("accept_redirects", flag(v4.accept_redirects)),
        in4("secure_redirects", flag(v4.secure_redirects)),
        in4("accept_source_route", flag(v4.accept_source_route)),
        in6("disable_ipv6", flag(v6.disable_ipv6)),
        in6("forwarding", flag(v6.forward && !v6.disable_ipv6)),
        in6("accept_ra", accept_ra.to_owned()),
        in6("accept_redirects", flag(v6.accept_redirects != "no")),
    ]
}

/// Values of `conf/all` that would override those of the ports: the kernel takes the greater.
fn shared_sysctls(plan: &mut Plan<'_>, settings: &Settings) {
    let mut set = |key: &str, on: bool| plan.desired.sysctls.insert(key.to_owned(), flag(on));
    set("net/ipv4/conf/all/rp_filter", false);
    if !settings.v4.send_redirects {
        set("net/ipv4/conf/all/send_redirects", false);
    }
    if !settings.v4.secure_redirects {
        set("net/ipv4/conf/all/secure_redirects", false);
    }
    if settings.forwards6() {
        // ip6_forward looks at this one alone: net/ipv6/ip6_output.c
        set("net/ipv6/conf/all/forwarding", true);
    }
}

fn namespace_sysctls(plan: &mut Plan<'_>, managed: &[Port<'_>], settings: &Settings) {
    let Settings { v4, v6 } = settings;
    let tree = plan.tree;
    let departs =
        |menu: &str, property: &str| tree.settings(menu).and_then(|item| item.value(property)).is_some();
    let mut set = |key: String, value: String| plan.desired.sysctls.insert(key, value);
    if departs("ip/settings", "tcp-syncookies") {
        set("net/ipv4/tcp_syncookies".to_owned(), flag(v4.tcp_syncookies));
    }
    if departs("ip/settings", "tcp-timestamps") {
        let value = match v4.tcp_timestamps.as_str() {
            "disabled" => "0",
            "enabled" => "2", // without the random offset
            _ => "1",
        };
        set("net/ipv4/tcp_timestamps".to_owned(), value.to_owned());
    }
    for (menu, family, most) in
        [("ip/settings", "ipv4", v4.max_neighbor_entries), ("ipv6/settings", "ipv6", v6.max_neighbor_entries)]
    {
        if departs(menu, "max-neighbor-entries") {
            let most = most.min(i32::MAX as u64); // the kernel's type
            // The proportions of the kernel's defaults: 128, 512, 1024.
            for (level, value) in [(1, most / 8), (2, most / 2), (3, most)] {
                set(format!("net/{family}/neigh/default/gc_thresh{level}"), value.to_string());
            }
        }
    }
    if departs("ip/settings", "arp-timeout") {
        for port in managed {
            // Whole seconds, which the kernel's clock can hold whatever its rate.
            let time_ms = v4.arp_timeout_ms.div_ceil(1000).clamp(1, 1_000_000) * 1000;
            set(format!("net/ipv4/neigh/{}/base_reachable_time_ms", port.link.name), time_ms.to_string());
        }
    }
    if departs("ip/settings", "icmp-rate-limit") {
        set("net/ipv4/icmp_ratelimit".to_owned(), v4.icmp_rate_limit_ms.min(i32::MAX as u64).to_string());
    }
    if departs("ip/settings", "icmp-errors-use-inbound-interface-address") {
        set("net/ipv4/icmp_errors_use_inbound_ifaddr".to_owned(), flag(v4.icmp_errors_inbound));
    }
    for (menu, property, family, policy) in [
        ("ip/settings", "ipv4-multipath-hash-policy", "ipv4", &v4.multipath_hash_policy),
        ("ipv6/settings", "multipath-hash-policy", "ipv6", &v6.multipath_hash_policy),
    ] {
        if departs(menu, property) {
            let number = match policy.as_str() {
                "l4" => "1",
                "l3-inner" => "2",
                _ => "0",
            };
            set(format!("net/{family}/fib_multipath_hash_policy"), number.to_owned());
        }
    }
    if let Some(item) = tree.settings("ip/settings").filter(|item| item.value("icmp-rate-mask").is_some())
        && let Some(mask) = plan.parse(item, &v4.icmp_rate_mask, number)
    {
        plan.desired.sysctls.insert("net/ipv4/icmp_ratemask".to_owned(), mask.to_string());
    }
}

/// `0x1818` or decimal.
fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn hostname(plan: &mut Plan<'_>) {
    const MENU: &str = "system/identity";
    let tree = plan.tree;
    let Some(item) = tree.settings(MENU).filter(|item| item.value("name").is_some()) else { return };
    let name = match item.view::<Identity>() {
        Ok(view) => view.name,
        Err(error) => return plan.errors.push(error),
    };
    if !plan.facts.owns_hostname {
        plan.inactive(MENU, item, "the host's name is not changed from inside a network namespace");
    } else if !is_hostname(&name) {
        plan.inactive(
            MENU,
            item,
            format!("{name} can be no host name: letters, digits, . - _ only, 64 at most"),
        );
    } else {
        plan.desired.hostname = Some(name);
    }
}

fn is_hostname(name: &str) -> bool {
    // __NEW_UTS_LEN: include/uapi/linux/utsname.h
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}
