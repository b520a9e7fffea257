//! The router as a port scanner on the outside sees it.

use std::collections::BTreeMap;

use lab::{HttpServer, Netns};

use super::{home, said};

/// State and reason of each port, as `nmap` names them.
#[track_caller]
fn scan(from: &Netns, options: &str, target: &str) -> BTreeMap<String, String> {
    let line = format!("nmap -n -Pn --max-retries 2 --reason -oG /dev/null {options} {target}");
    let text = said(from, &line);
    let ports = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (port, state) = (words.next()?, words.next()?);
        let (number, _) = port.split_once('/')?;
        number.parse::<u16>().ok()?;
        let reason = words.nth(1)?;
        Some((number.to_owned(), format!("{state} {reason}")))
    });
    let ports: BTreeMap<_, _> = ports.collect();
    assert!(!ports.is_empty(), "{text}");
    ports
}

/// One port for each way to be turned away, before the rule that drops the rest.
fn rejects(menu: &str, kinds: &[(u16, &str, &str)]) -> String {
    kinds.iter().fold(format!("{menu}\n"), |text, (port, with, _)| {
        text + &format!(
            "add action=reject chain=input dst-port={port} in-interface-list=WAN place-before=0 protocol=tcp reject-with={with}\n"
        )
    })
}

#[track_caller]
fn assert_scan(found: &BTreeMap<String, String>, kinds: &[(u16, &str, &str)], more: &[(u16, &str)]) {
    let kinds = kinds.iter().map(|(port, _, state)| (port.to_string(), (*state).to_owned()));
    let more = more.iter().map(|(port, state)| (port.to_string(), (*state).to_owned()));
    assert_eq!(found, &kinds.chain(more).collect());
}

const KINDS4: [(u16, &str, &str); 8] = [
    (101, "icmp-network-unreachable", "filtered net-unreach"),
    (102, "icmp-host-unreachable", "filtered host-unreach"),
    (103, "icmp-protocol-unreachable", "filtered proto-unreach"),
    (104, "icmp-port-unreachable", "filtered port-unreach"),
    (105, "icmp-net-prohibited", "filtered net-prohibited"),
    (106, "icmp-host-prohibited", "filtered host-prohibited"),
    (107, "icmp-admin-prohibited", "filtered admin-prohibited"),
    (108, "tcp-reset", "closed reset"),
];

const KINDS6: [(u16, &str, &str); 5] = [
    (101, "icmp-no-route", "filtered no-route"),
    (102, "icmp-admin-prohibited", "filtered admin-prohibited"),
    (103, "icmp-address-unreachable", "filtered host-unreach"),
    (104, "icmp-port-unreachable", "filtered port-unreach"),
    (105, "tcp-reset", "closed reset"),
];

#[test]
fn a_scan_from_outside_finds_what_is_open_and_every_kind_of_refusal() {
    const OPEN: &str = "\
/ip firewall nat
add action=dst-nat chain=dstnat dst-port=8080 in-interface-list=WAN protocol=tcp to-addresses=192.0.2.2 to-ports=80
add action=dst-nat chain=dstnat dst-port=8081 in-interface-list=WAN protocol=tcp to-addresses=192.0.2.2 to-ports=81
";
    for mode in ["xdp", "tc"] {
        let more = format!(
            "{OPEN}{}{}",
            rejects("/ip firewall filter", &KINDS4),
            rejects("/ipv6 firewall filter", &KINDS6)
        );
        let router = home(&format!("fwscan{mode}"), mode, &more);
        let _web = HttpServer::start(router.a(), 80, 1000).unwrap();
        let _own = HttpServer::start(router.netns(), 8000, 1000).unwrap();
        let found = scan(router.b(), "-sS -p 101-108,8000,8080,8081", "198.51.100.1");
        let open = [(8000, "filtered no-response"), (8080, "open syn-ack"), (8081, "closed reset")];
        assert_scan(&found, &KINDS4, &open);
        let found = scan(router.b(), "-6 -sS -p 101-105,8000", "2001:db8:2::1");
        assert_scan(&found, &KINDS6, &open[..1]);
        // By name of reason: UDP from outside is dropped, from inside a closed port says so itself.
        let found = scan(router.b(), "-sU -p 9", "198.51.100.1");
        assert_eq!(found["9"], "open|filtered no-response", "{mode}");
        let found = scan(router.a(), "-sU -p 9", "192.0.2.1");
        assert_eq!(found["9"], "closed port-unreach", "{mode}");
        // Scans that hope for a stateless filter.
        for kind in ["-sA", "-sF", "-sN", "-sX"] {
            let found = scan(router.b(), &format!("{kind} -p 8000"), "198.51.100.1");
            assert!(found["8000"].ends_with("filtered no-response"), "{mode} {kind}: {found:?}");
        }
    }
}

/// Hosts behind the router are not there for the outside, by IPv6 neither: what isn't asked for is turned away.
#[test]
fn a_scan_of_the_inside_is_turned_away() {
    for mode in ["xdp", "tc"] {
        let router = home(&format!("fwhid{mode}"), mode, "");
        let _web = HttpServer::start(router.a(), 80, 1000).unwrap();
        let found = scan(router.b(), "-6 -sS -p 80,81", "2001:db8:1::2");
        for port in ["80", "81"] {
            assert_eq!(found[port], "filtered admin-prohibited", "{mode} {port}");
        }
        let found = scan(router.a(), "-6 -sS -p 80,81", "2001:db8:2::2");
        assert_eq!(found["80"], "closed reset", "{mode}");
    }
}
