//! The rules of a case, once for nftables and once for this router.

use std::fmt::Write as _;

use super::case::{Case, Policy};

/// The address and the destination port of a rule that matches nothing.
pub fn stranger(n: u32) -> (String, u32) {
    (format!("172.{}.{}.{}", 16 + (n >> 16), n >> 8 & 255, n & 255), 1 + n % 65000)
}

/// The addresses of the list: those that the traffic comes from.
fn listed(case: Case, addresses: u32) -> impl Iterator<Item = String> {
    (0..addresses).map(move |n| {
        let [_, a, b, c] = (n * case.traffic.stride).to_be_bytes();
        format!("10.{a}.{b}.{c}")
    })
}

/// A file for `nft -f`. With another `shift` every rule is another one.
pub fn nftables(case: Case, shift: u32) -> String {
    let mut text = "table ip bench {\n".to_owned();
    let mut rules = |count: u32, before: &str, after: &str| {
        text += " chain forward {\n  type filter hook forward priority 0; policy drop;\n";
        text += before;
        for n in 0..count {
            let (address, port) = stranger(n);
            _ = writeln!(text, "  ip saddr {address} udp dport {} drop", port + shift);
        }
        text += after;
        text += " }\n";
    };
    match case.policy {
        Policy::None => {}
        Policy::Masquerade { rules: count } => {
            rules(
                count,
                "  ct state established,related accept\n  ct state invalid drop\n",
                "  ct state new accept\n",
            );
            text +=
                " chain nat {\n  type nat hook postrouting priority 100;\n  oifname \"r1\" masquerade\n }\n";
        }
        Policy::Walk { rules: count } => {
            rules(count, "  meta length < 11 counter\n", "  ct state new,established accept\n");
        }
        Policy::List { addresses } => {
            let elements: Vec<String> = listed(case, addresses).collect();
            _ = writeln!(text, " set listed {{ type ipv4_addr; elements = {{ {} }} }}", elements.join(",\n"));
            text +=
                " chain raw {\n  type filter hook prerouting priority -300;\n  ip saddr @listed drop\n }\n";
        }
    }
    text + "}\n"
}

/// The same as RouterOS commands.
pub fn routeros(case: Case, shift: u32) -> String {
    let mut text = String::new();
    let mut rules = |count: u32, before: &str, after: &str| {
        text += "/ip firewall filter\n";
        text += before;
        for n in 0..count {
            let (address, port) = stranger(n);
            _ = writeln!(
                text,
                "add chain=forward action=drop protocol=udp src-address={address} dst-port={}",
                port + shift
            );
        }
        text += after;
        text += "add chain=forward action=drop\n";
    };
    match case.policy {
        Policy::None => {}
        Policy::Masquerade { rules: count } => {
            rules(
                count,
                "add chain=forward action=accept connection-state=established,related\n\
                 add chain=forward action=drop connection-state=invalid\n",
                "add chain=forward action=accept connection-state=new\n",
            );
            text += "/ip firewall nat\nadd chain=srcnat action=masquerade out-interface=ether2\n";
        }
        // What looks at the length can't be decided once for a flow.
        Policy::Walk { rules: count } => rules(
            count,
            "add chain=forward action=passthrough packet-size=0-10\n",
            "add chain=forward action=accept connection-state=new,established\n",
        ),
        Policy::List { addresses } => {
            text += "/ip firewall address-list\n";
            for address in listed(case, addresses) {
                _ = writeln!(text, "add list=listed address={address}");
            }
            text += "/ip firewall raw\nadd chain=prerouting action=drop src-address-list=listed\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(name: &str) -> Case {
        Case::all().find(|case| case.name() == name).unwrap()
    }

    #[test]
    fn both_firewalls_have_the_same_rules() {
        for rules in [25, 1_000, 10_000] {
            let nft = nftables(case(&format!("nft-walk-{rules}")), 0);
            let routerd = routeros(case(&format!("routerd-walk-{rules}")), 0);
            assert_eq!(nft.matches("saddr").count(), rules);
            assert_eq!(routerd.matches("src-address=").count(), rules);
        }
        assert!(nftables(case("nft-fw25-masq-1k"), 0).contains("masquerade"));
        assert!(routeros(case("routerd-fw25-masq-1k"), 0).contains("masquerade"));
    }

    #[test]
    fn rules_match_nothing_that_is_sent() {
        let mut seen: Vec<_> = (0..10_000).map(|n| stranger(n).0).collect();
        assert!(seen.iter().all(|address| address.starts_with("172.16.")));
        seen.dedup();
        assert_eq!(seen.len(), 10_000);
    }

    #[test]
    fn the_list_has_every_source() {
        let all: Vec<_> = listed(case("nft-list-1m"), 1 << 20).collect();
        assert_eq!((all[0].as_str(), all[1].as_str()), ("10.0.0.0", "10.0.0.13"));
        let last = ((1 << 20) - 1) * 13;
        assert_eq!(all[(1 << 20) - 1], format!("10.{}.{}.{}", last >> 16, last >> 8 & 255, last & 255));
    }
}
