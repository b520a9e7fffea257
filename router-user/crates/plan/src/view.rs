//! Typed views: the properties of each menu that have an effect, as plain structs.

use serde::Deserialize;

/// Every menu with an effect, and its properties that have one; all menus have `comment` and `disabled` besides.
pub fn views() -> Vec<(&'static str, Vec<&'static str>)> {
    let typed = TYPED.iter().map(|(menu, fields)| (*menu, fields.to_vec()));
    typed.chain(crate::firewall::views()).chain(crate::tables::views()).collect()
}

/// Defines a view and notes its fields for [`views`].
macro_rules! views {
    ($($menu:literal => $name:ident { $($text:literal $field:ident: $type:ty,)* })*) => {
        $(
            #[derive(Debug, Deserialize)]
            pub(crate) struct $name { $(#[serde(rename = $text)] pub $field: $type,)* }
        )*
        /// The menus whose items deserialise into a view, and its properties.
        const TYPED: &[(&str, &[&str])] = &[$(($menu, &[$($text),*])),*];
    };
}

views! {
    "interface/ethernet" => Ethernet {
        "name" name: Option<String>,
        "default-name" default_name: String,
        "mtu" mtu: u32,
        "mac-address" mac_address: Option<String>,
    }
    "ip/address" => Address4 {
        "address" address: String,
        "interface" interface: String,
        "network" network: Option<String>,
    }
    "ipv6/address" => Address6 {
        "address" address: String,
        "interface" interface: String,
        "no-dad" no_dad: bool,
    }
    "ip/route" => Route4 {
        "dst-address" dst_address: String,
        "gateway" gateway: Option<Vec<String>>,
        "distance" distance: u32,
        "blackhole" blackhole: Option<bool>,
        "type" kind: String,
        "pref-src" pref_src: Option<String>,
        "routing-table" routing_table: String,
        "check-gateway" check_gateway: Option<String>,
        "scope" scope: u32,
        "target-scope" target_scope: u32,
    }
    "ipv6/route" => Route6 {
        "dst-address" dst_address: String,
        "gateway" gateway: Option<Vec<String>>,
        "distance" distance: u32,
        "blackhole" blackhole: Option<bool>,
        "type" kind: String,
        "pref-src" pref_src: Option<String>,
        "routing-table" routing_table: String,
        "check-gateway" check_gateway: Option<String>,
        "scope" scope: u32,
        "target-scope" target_scope: u32,
    }
    "ip/arp" => Arp {
        "address" address: String,
        "interface" interface: String,
        "mac-address" mac_address: Option<String>,
        "published" published: bool,
    }
    "ipv6/neighbor" => Neighbor6 {
        "address" address: String,
        "interface" interface: Option<String>,
        "mac-address" mac_address: Option<String>,
    }
    "ip/settings" => Settings4 {
        "ip-forward" ip_forward: bool,
        "send-redirects" send_redirects: bool,
        "accept-redirects" accept_redirects: bool,
        "secure-redirects" secure_redirects: bool,
        "accept-source-route" accept_source_route: bool,
        "rp-filter" rp_filter: String,
        "tcp-syncookies" tcp_syncookies: bool,
        "tcp-timestamps" tcp_timestamps: String,
        "max-neighbor-entries" max_neighbor_entries: u64,
        "arp-timeout" arp_timeout_ms: u64,
        "icmp-rate-limit" icmp_rate_limit_ms: u64,
        "icmp-rate-mask" icmp_rate_mask: String,
        "icmp-errors-use-inbound-interface-address" icmp_errors_inbound: bool,
        "ipv4-multipath-hash-policy" multipath_hash_policy: String,
    }
    "ipv6/settings" => Settings6 {
        "forward" forward: bool,
        "accept-redirects" accept_redirects: String,
        "accept-router-advertisements" accept_router_advertisements: String,
        "max-neighbor-entries" max_neighbor_entries: u64,
        "disable-ipv6" disable_ipv6: bool,
        "multipath-hash-policy" multipath_hash_policy: String,
    }
    "ip/firewall/connection/tracking" => Tracking {
        "enabled" enabled: String,
        "loose-tcp-tracking" loose: bool,
        "liberal-tcp-tracking" liberal: bool,
        "tcp-syn-sent-timeout" syn_sent_ms: u64,
        "tcp-syn-received-timeout" syn_received_ms: u64,
        "tcp-established-timeout" established_ms: u64,
        "tcp-fin-wait-timeout" fin_wait_ms: u64,
        "tcp-close-wait-timeout" close_wait_ms: u64,
        "tcp-last-ack-timeout" last_ack_ms: u64,
        "tcp-time-wait-timeout" time_wait_ms: u64,
        "tcp-close-timeout" close_ms: u64,
        "tcp-max-retrans-timeout" max_retrans_ms: u64,
        "tcp-unacked-timeout" unacked_ms: u64,
        "udp-timeout" udp_ms: u64,
        "udp-stream-timeout" udp_stream_ms: u64,
        "icmp-timeout" icmp_ms: u64,
        "generic-timeout" generic_ms: u64,
    }
    "system/identity" => Identity {
        "name" name: String,
    }
}
