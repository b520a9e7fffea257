//! A packet that a rule logs, as RouterOS writes it.

use std::fmt::{self, Display, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use router_common::facts::{Facts, connection_state, nat_state};
use router_common::maps::rule::Logged;

/// Names for what a packet has numbers for.
pub struct Names<'a> {
    pub prefix: &'a str,
    pub chain: &'a str,
    pub input: Option<&'a str>,
    pub output: Option<&'a str>,
}

/// `x forward: in:ether2 out:ether1, connection-state:new src-mac .., proto TCP (SYN), 192.0.2.2:1234->203.0.113.9:80, len 60`
pub fn line(logged: &Logged, names: &Names<'_>) -> String {
    let facts = &logged.facts;
    let mut text = String::with_capacity(200);
    let written = write(&mut text, logged, facts, names);
    debug_assert!(written.is_ok());
    text
}

fn write(text: &mut String, logged: &Logged, facts: &Facts, names: &Names<'_>) -> fmt::Result {
    const UNKNOWN: &str = "(unknown 0)";
    if !names.prefix.is_empty() {
        write!(text, "{} ", names.prefix)?;
    }
    let (input, output) = (names.input.unwrap_or(UNKNOWN), names.output.unwrap_or(UNKNOWN));
    write!(text, "{}: in:{input} out:{output}", names.chain)?;
    let state = state(facts.state);
    let has_mac = facts.src_mac != [0; 6];
    if state.is_some() || has_mac {
        text.push(',');
    }
    if let Some(state) = state {
        write!(text, " connection-state:{state}")?;
        for (bit, name) in [(nat_state::SRCNAT, "snat"), (nat_state::DSTNAT, "dnat")] {
            if facts.nat & bit != 0 {
                write!(text, ",{name}")?;
            }
        }
    }
    if has_mac {
        let [a, b, c, d, e, f] = facts.src_mac;
        write!(text, " src-mac {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")?;
    }
    text.push_str(", proto ");
    protocol(text, facts)?;
    let ends = |facts: &Facts| {
        let ports = has_ports(facts.protocol).then_some((facts.src_port, facts.dst_port));
        let (from, to) = (address(facts.family, &facts.src), address(facts.family, &facts.dst));
        (End(from, ports.map(|(from, _)| from)), End(to, ports.map(|(_, to)| to)))
    };
    let (from, to) = ends(facts);
    write!(text, ", {from}->{to}")?;
    nat(text, logged, facts)?;
    write!(text, ", len {}", facts.length_bytes)
}

/// `NAT (a:1->b:2)->c:3`: what is in parentheses becomes the other.
fn nat(text: &mut String, logged: &Logged, facts: &Facts) -> fmt::Result {
    if !matches!(facts.state, connection_state::NEW | connection_state::ESTABLISHED) {
        return Ok(());
    }
    let (came, leaves) = (&logged.came, &logged.leaves);
    let ports = has_ports(facts.protocol);
    let end = |bytes: &[u8; 16], port_be: [u8; 2]| {
        End(address(facts.family, bytes), ports.then(|| u16::from_be_bytes(port_be)))
    };
    let src = (end(&came.src, came.src_port_be), end(&leaves.src, leaves.src_port_be));
    let dst = (end(&came.dst, came.dst_port_be), end(&leaves.dst, leaves.dst_port_be));
    if src.0 == src.1 && dst.0 == dst.1 {
        return Ok(());
    }
    text.push_str(", NAT ");
    side(text, &src)?;
    text.push_str("->");
    side(text, &dst)
}

fn side(text: &mut String, (old, new): &(End, End)) -> fmt::Result {
    if old == new { write!(text, "{old}") } else { write!(text, "({old}->{new})") }
}

fn state(number: u8) -> Option<&'static str> {
    Some(match number {
        connection_state::NEW => "new",
        connection_state::ESTABLISHED => "established",
        connection_state::RELATED => "related",
        connection_state::INVALID => "invalid",
        connection_state::UNTRACKED => "untracked",
        _ => return None,
    })
}

const TCP: u8 = 6;

/// TCP, UDP, DCCP, SCTP, UDP-Lite.
fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | 17 | 33 | 132 | 136)
}

fn protocol(text: &mut String, facts: &Facts) -> fmt::Result {
    match facts.protocol {
        TCP => {
            const FLAGS: [(u8, &str); 8] = [
                (2, "SYN"),
                (16, "ACK"),
                (1, "FIN"),
                (8, "PSH"),
                (4, "RST"),
                (32, "URG"),
                (64, "ECE"),
                (128, "CWR"),
            ];
            let set = FLAGS.iter().filter(|(bit, _)| facts.tcp_flags & bit != 0);
            let names: Vec<&str> = set.map(|(_, name)| *name).collect();
            write!(text, "TCP ({})", names.join(","))
        }
        17 => write!(text, "UDP"),
        1 => write!(text, "ICMP (type {}, code {})", facts.icmp_type, facts.icmp_code),
        58 => write!(text, "ICMPv6 (type {}, code {})", facts.icmp_type, facts.icmp_code),
        other => write!(text, "{other}"),
    }
}

fn address(family: u8, bytes: &[u8; 16]) -> IpAddr {
    let [a, b, c, d, ..] = *bytes;
    if family == 4 { Ipv4Addr::from([a, b, c, d]).into() } else { Ipv6Addr::from(*bytes).into() }
}

/// An address, and a port where the protocol has any.
#[derive(PartialEq)]
struct End(IpAddr, Option<u16>);

impl Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (address, None) => write!(f, "{address}"),
            (IpAddr::V4(address), Some(port)) => write!(f, "{address}:{port}"),
            (IpAddr::V6(address), Some(port)) => write!(f, "[{address}]:{port}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use router_common::tuple::Tuple;

    fn v4(address: [u8; 4]) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&address);
        bytes
    }

    fn syn() -> Logged {
        let facts = Facts {
            src: v4([192, 0, 2, 2]),
            dst: v4([203, 0, 113, 9]),
            src_port: 1234,
            dst_port: 80,
            protocol: TCP,
            family: 4,
            tcp_flags: 2,
            length_bytes: 60,
            src_mac: [2, 0, 0, 0, 0, 0xab],
            state: connection_state::NEW,
            ..Facts::default()
        };
        let came = Tuple {
            src: facts.src,
            dst: facts.dst,
            src_port_be: 1234u16.to_be_bytes(),
            dst_port_be: 80u16.to_be_bytes(),
            protocol: TCP,
            ..Tuple::default()
        };
        Logged { key: 0, chain: 0, lost: 0, facts, came, leaves: came }
    }

    const NAMES: Names<'_> =
        Names { prefix: "x", chain: "forward", input: Some("ether2"), output: Some("ether1") };

    #[test]
    fn a_segment_that_opens_a_connection() {
        assert_eq!(
            line(&syn(), &NAMES),
            "x forward: in:ether2 out:ether1, connection-state:new src-mac 02:00:00:00:00:ab, proto TCP (SYN), \
             192.0.2.2:1234->203.0.113.9:80, len 60"
        );
    }

    #[test]
    fn translations_stand_in_parentheses() {
        let mut logged = syn();
        logged.leaves.src = v4([198, 51, 100, 1]);
        logged.facts.nat = nat_state::SRCNAT;
        let text = line(&logged, &NAMES);
        assert!(text.contains(", NAT (192.0.2.2:1234->198.51.100.1:1234)->203.0.113.9:80, len 60"), "{text}");
        assert!(text.contains("connection-state:new,snat src-mac"), "{text}");
        let mut logged = syn();
        logged.leaves.dst = v4([10, 0, 0, 5]);
        logged.leaves.dst_port_be = 8080u16.to_be_bytes();
        let text = line(&logged, &NAMES);
        assert!(text.contains(", NAT 192.0.2.2:1234->(203.0.113.9:80->10.0.0.5:8080), len"), "{text}");
        // The tuples of a packet that is not tracked are those of another.
        logged.facts.state = connection_state::NONE;
        assert!(!line(&logged, &NAMES).contains("NAT"));
    }

    #[test]
    fn before_tracking_and_without_ports() {
        let mut logged = syn();
        logged.facts = Facts {
            src: v4([192, 0, 2, 2]),
            dst: v4([203, 0, 113, 9]),
            protocol: 1,
            family: 4,
            icmp_type: 8,
            length_bytes: 84,
            ..Facts::default()
        };
        let names = Names { prefix: "", chain: "prerouting", input: Some("ether2"), output: None };
        assert_eq!(
            line(&logged, &names),
            "prerouting: in:ether2 out:(unknown 0), proto ICMP (type 8, code 0), 192.0.2.2->203.0.113.9, len 84"
        );
        logged.facts.protocol = 47;
        assert!(line(&logged, &names).contains(", proto 47, 192.0.2.2->203.0.113.9,"));
    }

    #[test]
    fn ports_of_ipv6_stand_behind_brackets() {
        let mut logged = syn();
        logged.facts.family = 6;
        logged.facts.protocol = 17;
        logged.facts.src = Ipv6Addr::LOCALHOST.octets();
        logged.facts.dst = "2001:db8::9".parse::<Ipv6Addr>().unwrap().octets();
        logged.leaves = Tuple::default();
        logged.came = Tuple::default();
        let text = line(&logged, &NAMES);
        assert!(text.ends_with(", proto UDP, [::1]:1234->[2001:db8::9]:80, len 60"), "{text}");
    }
}
