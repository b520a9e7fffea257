//! The variables that a router gives to the scripts of its hooks: what a lease, a session or a watched host is.

use super::eval::constant;
use super::value::Value;
use crate::parser::literal;

/// Variables that a script begins with.
#[derive(Clone, Debug, Default)]
pub struct Variables(Vec<(String, Value)>);

impl Variables {
    /// A value as it would be written without quotes: `192.0.2.1` is an address, `1` a number, `ether1` a text.
    pub fn set(&mut self, name: &str, word: &str) {
        self.0.push((name.to_owned(), constant(&literal(word))));
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn into_values(self) -> Vec<(String, Value)> {
        self.0
    }
}

/// Hooks of a menu, and what their scripts are told, with typical values.
struct Hook {
    menu: &'static str,
    properties: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

const HOOKS: [Hook; 7] = [
    Hook {
        menu: "ip/dhcp-client",
        properties: &["script"],
        variables: &[
            ("bound", "1"),
            ("server-address", "192.0.2.1"),
            ("lease-address", "192.0.2.10"),
            ("interface", "ether1"),
            ("gateway-address", "192.0.2.1"),
            ("vendor-specific", ""),
            ("lease-options", ""),
        ],
    },
    Hook {
        menu: "ip/dhcp-server",
        properties: &["lease-script"],
        variables: &[
            ("leaseBound", "1"),
            ("leaseServerName", "dhcp1"),
            ("leaseActMAC", "02:00:00:00:00:01"),
            ("leaseActIP", "192.0.2.10"),
            ("lease-hostname", "host"),
            ("lease-options", ""),
        ],
    },
    Hook {
        menu: "ipv6/dhcp-client",
        properties: &["script"],
        variables: &[
            ("pd-valid", "1"),
            ("pd-prefix", "2001:db8:1::/48"),
            ("na-valid", "1"),
            ("na-address", "2001:db8::10"),
            ("options", ""),
        ],
    },
    Hook {
        menu: "ipv6/dhcp-server",
        properties: &["binding-script"],
        variables: &[
            ("bindingBound", "1"),
            ("bindingServerName", "dhcp1"),
            ("bindingDUID", "0x00030001020000000001"),
            ("bindingAddress", "2001:db8::10"),
            ("bindingPrefix", "2001:db8:1::/48"),
        ],
    },
    Hook {
        menu: "ppp/profile",
        properties: &["on-up", "on-down"],
        variables: &[
            ("user", "user1"),
            ("local-address", "192.0.2.1"),
            ("remote-address", "192.0.2.10"),
            ("caller-id", "02:00:00:00:00:01"),
            ("called-id", "service1"),
            ("interface", "*F00001"),
        ],
    },
    Hook {
        menu: "ip/hotspot/user/profile",
        properties: &["on-login", "on-logout"],
        variables: &[
            ("user", "user1"),
            ("username", "user1"),
            ("address", "192.0.2.10"),
            ("mac-address", "02:00:00:00:00:01"),
            ("interface", "ether1"),
            ("cause", "user-request"),
        ],
    },
    Hook {
        menu: "tool/netwatch",
        properties: &["up-script", "down-script", "test-script"],
        variables: &[
            ("name", "watch1"),
            ("comment", ""),
            ("host", "192.0.2.1"),
            ("type", "icmp"),
            ("interval", "10s"),
            ("timeout", "3s"),
            ("status", "up"),
            ("since", "2026-01-01 12:00:00"),
            ("done-tests", "1"),
            ("failed-tests", "0"),
            ("sent-count", "10"),
            ("response-count", "10"),
            ("loss-count", "0"),
            ("loss-percent", "0"),
            ("rtt-avg", "1ms"),
            ("rtt-min", "1ms"),
            ("rtt-max", "2ms"),
            ("rtt-jitter", "1ms"),
            ("rtt-stdev", "1ms"),
            ("tcp-connect-time", "0ms"),
            ("http-status-code", "200"),
            ("http-resp-time", "1ms"),
        ],
    },
];

/// What the script of a hook is told, with values as they could be; nothing where a script is no hook.
pub fn typical(menu: &str, property: &str) -> Variables {
    let hook = HOOKS.iter().find(|hook| hook.menu == menu && hook.properties.contains(&property));
    let mut variables = Variables::default();
    for (name, word) in hook.map_or(&[][..], |hook| hook.variables) {
        variables.set(name, word);
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Type, schema};

    #[test]
    fn every_hook_is_a_script_of_its_menu() {
        for hook in HOOKS {
            let menu = schema::menu(hook.menu).unwrap();
            for property in hook.properties {
                let ty = menu.property(property).map(|property| &property.ty);
                assert_eq!(ty, Some(&Type::Script), "{} {property}", hook.menu);
            }
        }
    }

    #[test]
    fn values_have_the_types_that_their_words_look_like() {
        let types: Vec<_> =
            typical("ip/dhcp-client", "script").0.iter().map(|(_, value)| value.type_name()).collect();
        assert_eq!(types, ["num", "ip", "ip", "str", "ip", "str", "str"]);
        assert_eq!(typical("ip/address", "comment").names().count(), 0);
    }
}
