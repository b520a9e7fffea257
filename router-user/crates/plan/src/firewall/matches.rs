//! The matchers of an item.

use std::net::IpAddr;

use config::{Item, Value};
use router_common::facts::{address_type, connection_state, nat_state};
use router_common::maps::image::{limit_key, matcher};
use router_common::rules::content::CONTENT_BYTES;

use super::Marks;
use super::interfaces::Interfaces;
use super::more;
use super::rule::{ConnectionLimit, DstLimit, IcmpOptions, Is, Limit, Matches, Range, TcpFlags, number};

/// Why a rule is not in force, or must not be.
#[derive(Debug, PartialEq)]
pub enum Fault {
    /// RouterOS refuses it too.
    Error(String),
    /// Not built yet.
    Gap(String),
    /// It names what nothing has.
    Unknown(String),
    /// What it speaks of is not there: it matches nothing.
    Invalid(String),
}

impl Fault {
    /// What RouterOS says at the console.
    pub fn unknown(argument: &str) -> Fault {
        Fault::Unknown(format!("input does not match any value of {argument}"))
    }
}

/// What the matchers of one family speak of.
pub struct Names<'a> {
    pub interfaces: &'a Interfaces<'a>,
    pub v6: bool,
    /// No packet of this router meets an IPsec policy.
    pub no_ipsec: bool,
}

/// Properties that say what happens, not to which packets.
pub const ACTIONS: &[&str] = &[
    "action",
    "address-list",
    "address-list-timeout",
    "chain",
    "comment",
    "disabled",
    "hw-offload",
    "jump-target",
    "log",
    "log-prefix",
    "new-connection-mark",
    "new-dscp",
    "new-hop-limit",
    "new-mss",
    "new-packet-mark",
    "new-priority",
    "new-routing-mark",
    "new-ttl",
    "passthrough",
    "randomise-ports",
    "reject-with",
    "route-dst",
    "same-not-by-dst",
    "to-address",
    "to-addresses",
    "to-ports",
];

/// Reads all matchers. `list` gives the index of an address list by its name.
pub fn read(
    names: &Names<'_>,
    item: &Item,
    mut list: impl FnMut(&str) -> usize,
    marks: &mut Marks<'_>,
) -> Result<Matches, Fault> {
    let mut m = Matches::default();
    for (name, value) in item.values().filter(|(name, _)| !ACTIONS.contains(name)) {
        let (not, value) = match value {
            Value::Not(inner) => (true, inner.as_ref()),
            other => (false, other),
        };
        let invalid = || Fault::Error(format!("invalid value for argument {name}"));
        match name {
            "src-address" => m.src = Some(Is::of(not, addresses(value, names.v6).ok_or_else(invalid)?)),
            "dst-address" => m.dst = Some(Is::of(not, addresses(value, names.v6).ok_or_else(invalid)?)),
            "src-address-list" => m.src_list = Some(Is::of(not, list(&value.to_string()))),
            "dst-address-list" => m.dst_list = Some(Is::of(not, list(&value.to_string()))),
            "src-address-type" => {
                m.src_type = Some(Is::of(not, bits(value, address_type).ok_or_else(invalid)?))
            }
            "dst-address-type" => {
                m.dst_type = Some(Is::of(not, bits(value, address_type).ok_or_else(invalid)?))
            }
            "protocol" => m.protocol = Some(Is::of(not, protocol(value).ok_or_else(invalid)?)),
            "src-port" => m.src_ports = Some(Is::of(not, ports(value).ok_or_else(invalid)?)),
            "dst-port" => m.dst_ports = Some(Is::of(not, ports(value).ok_or_else(invalid)?)),
            "port" => m.any_ports = Some(Is::of(not, ports(value).ok_or_else(invalid)?)),
            "in-interface" | "out-interface" => {
                let interface = value.to_string();
                if let Some(bridge) = names.interfaces.master(&interface) {
                    return Err(Fault::Error(format!(
                        "failure: in/out-interface matcher not possible when interface ({interface}) is slave - use master instead ({bridge})"
                    )));
                }
                let set = names.interfaces.named(name, &interface)?;
                let side = if name == "in-interface" { &mut m.input } else { &mut m.output };
                side.push(Is { not: set.not != not, ..set });
            }
            "in-interface-list" | "out-interface-list" => {
                let set = names.interfaces.list(&value.to_string());
                let set = set.ok_or_else(|| Fault::unknown(name))?;
                let side = if name == "in-interface-list" { &mut m.input } else { &mut m.output };
                side.push(Is { not: set.not != not, ..set });
            }
            "connection-state" => m.state = Some(Is::of(not, bits(value, connection).ok_or_else(invalid)?)),
            "connection-nat-state" => {
                let known = bits(value, nat);
                m.nat_state = Some(Is::of(not, known.ok_or_else(|| Fault::Gap(format!("{name}={value}")))?));
            }
            "connection-mark" | "packet-mark" | "routing-mark" => {
                let number = marks.number(name, &value.to_string())?;
                let mark = match name {
                    "connection-mark" => &mut m.connection_mark,
                    "packet-mark" => &mut m.packet_mark,
                    _ => &mut m.routing_mark,
                };
                *mark = Some(Is::of(not, number));
            }
            "tcp-flags" => m.tcp_flags = Some(tcp_flags(value).ok_or_else(invalid)?),
            "icmp-options" => m.icmp = Some(Is::of(not, icmp(&value.to_string()).ok_or_else(invalid)?)),
            "fragment" => m.fragment = Some((*value == Value::Bool(true)) != not),
            "packet-size" => m.size = Some(Is::of(not, range(value).ok_or_else(invalid)?)),
            "ttl" | "hop-limit" => m.ttl = Some(hops(&value.to_string()).ok_or_else(invalid)?),
            "dscp" => m.dscp = Some(Is::of(not, small(value).ok_or_else(invalid)?)),
            "src-mac-address" => match value {
                Value::Mac(mac) => m.src_mac = Some(Is::of(not, *mac)),
                _ => return Err(invalid()),
            },
            "limit" => m.limit = Some(Is::of(not, limit(&value.to_string()).ok_or_else(invalid)?)),
            "dst-limit" => {
                m.dst_limit = Some(Is::of(not, dst_limit(&value.to_string()).ok_or_else(invalid)?))
            }
            "connection-limit" => {
                let read = connection_limit(&value.to_string(), names.v6).ok_or_else(invalid)?;
                m.connection_limit = Some(Is::of(not, read));
            }
            // Without any policy all packets are outside IPsec.
            "ipsec-policy" if names.no_ipsec => {
                if !value.to_string().ends_with(",none") {
                    return Err(Fault::Invalid("no IPsec policy is configured".to_owned()));
                }
            }
            "per-connection-classifier" => {
                let read = more::per_connection_classifier(&value.to_string()).ok_or_else(invalid)?;
                (m.more.pcc_fields, m.more.pcc_denominator, m.more.pcc_remainder) = read;
                m.has(matcher::PCC, not);
            }
            "nth" => {
                let read = more::nth(&value.to_string()).ok_or_else(invalid)?;
                (m.more.nth_every, m.more.nth_packet) = read;
                m.has(matcher::NTH, not);
            }
            "random" => {
                m.more.random = small(value).ok_or_else(invalid)?;
                m.has(matcher::RANDOM, not);
            }
            "tcp-mss" => {
                (m.more.mss_from, m.more.mss_to) = range(value).ok_or_else(invalid)?;
                m.has(matcher::TCP_MSS, not);
            }
            "time" => {
                more::time(&value.to_string(), &mut m.more).ok_or_else(invalid)?;
                m.has(matcher::TIME, not);
            }
            "ipv4-options" => {
                let (bits, is_there) = more::options(&value.to_string()).ok_or_else(invalid)?;
                (m.more.option, m.more.option_is_there) = (bits, is_there.into());
                m.has(matcher::OPTIONS, not);
            }
            "headers" => {
                let (bits, exact) = more::headers(&value.to_string()).ok_or_else(invalid)?;
                (m.more.headers, m.more.headers_exact) = (bits, exact.into());
                m.has(matcher::HEADERS, not);
            }
            "priority" => {
                m.more.priority = small(value).ok_or_else(invalid)?;
                m.has(matcher::PRIORITY, not);
            }
            "ingress-priority" => {
                m.more.ingress_priority = small(value).ok_or_else(invalid)?;
                m.has(matcher::INGRESS_PRIORITY, not);
            }
            "connection-bytes" => {
                let read = more::volume(&value.to_string()).ok_or_else(invalid)?;
                (m.volume.bytes_from, m.volume.bytes_to) = read;
                m.has(matcher::CONNECTION_BYTES, not);
            }
            "connection-rate" => {
                let read = more::volume(&value.to_string()).ok_or_else(invalid)?;
                (m.volume.rate_from, m.volume.rate_to) = read;
                m.has(matcher::CONNECTION_RATE, not);
            }
            "psd" => {
                more::psd(&value.to_string(), &mut m.volume).ok_or_else(invalid)?;
                m.has(matcher::PSD, not);
            }
            "content" => {
                let content = value.to_string().into_bytes();
                if content.len() > CONTENT_BYTES {
                    return Err(Fault::Gap(format!("content of more than {CONTENT_BYTES} bytes")));
                }
                m.content = content;
                m.has(matcher::CONTENT, not);
            }
            // No client of a hotspot, no connection of a helper is there.
            "hotspot" | "connection-type" => m.has(matcher::NEVER, not),
            "in-bridge-port" | "out-bridge-port" => {
                let interface = value.to_string();
                if let Some(bridge) = names.interfaces.master(&interface) {
                    return Err(Fault::Gap(format!("{name} (bridge {bridge} is not built yet)")));
                }
                names.interfaces.named(name, &interface)?;
                if !not {
                    return Err(Fault::Invalid(format!(
                        "in/out-bridge-port matcher not possible when interface ({interface}) is not slave"
                    )));
                }
                m.has(matcher::NEVER, not);
            }
            "in-bridge-port-list" | "out-bridge-port-list" => {
                names.interfaces.list(&value.to_string()).ok_or_else(|| Fault::unknown(name))?;
                if let Some(bridge) = names.interfaces.any_master() {
                    return Err(Fault::Gap(format!("{name} (bridge {bridge} is not built yet)")));
                }
                m.has(matcher::NEVER, not);
            }
            _ => return Err(Fault::Gap(name.to_owned())),
        }
    }
    check(&m)?;
    Ok(m)
}

/// What RouterOS asks of matchers together.
fn check(m: &Matches) -> Result<(), Fault> {
    const TCP: u8 = 6;
    let protocol = m.protocol.filter(|is| !is.not).map(|is| is.value);
    let has_ports = m.src_ports.is_some() || m.dst_ports.is_some() || m.any_ports.is_some();
    if has_ports && !protocol.is_some_and(|number| [TCP, 17, 33, 132, 136].contains(&number)) {
        return Err(Fault::Error(
            "failure: ports can be specified if proto is tcp,udp,udp-lite,dccp,sctp".to_owned(),
        ));
    }
    if m.tcp_flags.is_some() && protocol != Some(TCP) {
        return Err(Fault::Error("failure: tcp-flags can be specified only if proto is tcp".to_owned()));
    }
    if m.icmp.is_some() && !matches!(protocol, Some(1 | 58)) {
        return Err(Fault::Error("failure: icmp-options can be specified only if proto is icmp".to_owned()));
    }
    Ok(())
}

fn address(value: &Value, v6: bool) -> Option<u128> {
    match value {
        Value::Ip(address) => (matches!(address, IpAddr::V6(_)) == v6).then(|| number(*address)),
        _ => None,
    }
}

/// An address, prefix or range.
pub fn addresses(value: &Value, v6: bool) -> Option<Range<u128>> {
    match value {
        Value::Range(from, to) => Some((address(from, v6)?, address(to, v6)?)),
        Value::Prefix(prefix) if matches!(prefix.address, IpAddr::V6(_)) == v6 => {
            let all = if v6 { u128::MAX } else { u32::MAX.into() };
            let host = all.checked_shr(prefix.length.into()).unwrap_or(0);
            let network = number(prefix.address) & !host;
            Some((network, network | host))
        }
        other => address(other, v6).map(|address| (address, address)),
    }
}

fn small<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    match value {
        Value::Number(number) => T::try_from(*number).ok(),
        _ => None,
    }
}

pub fn range<T: TryFrom<i64>>(value: &Value) -> Option<Range<T>> {
    match value {
        Value::Range(from, to) => Some((small(from)?, small(to)?)),
        other => Some((small(other)?, small(other)?)),
    }
}

fn ports(value: &Value) -> Option<Vec<Range<u16>>> {
    match value {
        Value::List(ports) => ports.iter().map(range).collect(),
        other => Some(vec![range(other)?]),
    }
}

/// One bit per word of a list of flags.
fn bits(value: &Value, bit: impl Fn(&str) -> Option<u8>) -> Option<u8> {
    let words: Vec<&Value> = match value {
        Value::List(words) => words.iter().collect(),
        other => vec![other],
    };
    words.into_iter().try_fold(0, |bits, word| match word {
        Value::Text(word) => Some(bits | bit(word)?),
        _ => None,
    })
}

fn address_type(word: &str) -> Option<u8> {
    Some(
        1 << match word {
            "unicast" => address_type::UNICAST,
            "local" => address_type::LOCAL,
            "broadcast" => address_type::BROADCAST,
            "multicast" => address_type::MULTICAST,
            "blackhole" => address_type::BLACKHOLE,
            _ => return None,
        },
    )
}

fn connection(word: &str) -> Option<u8> {
    Some(
        1 << match word {
            "new" => connection_state::NEW,
            "established" => connection_state::ESTABLISHED,
            "related" => connection_state::RELATED,
            "invalid" => connection_state::INVALID,
            "untracked" => connection_state::UNTRACKED,
            _ => return None,
        },
    )
}

fn nat(word: &str) -> Option<u8> {
    match word {
        "srcnat" => Some(nat_state::SRCNAT),
        "dstnat" => Some(nat_state::DSTNAT),
        _ => None,
    }
}

/// `syn,!ack`: all listed are set, all negated are clear.
fn tcp_flags(value: &Value) -> Option<TcpFlags> {
    let bit = |word: &Value| match word {
        Value::Text(word) => {
            let names = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
            Some(1u8 << names.iter().position(|name| name == word)?)
        }
        _ => None,
    };
    let words: Vec<&Value> = match value {
        Value::List(words) => words.iter().collect(),
        other => vec![other],
    };
    let mut flags = TcpFlags { mask: 0, value: 0 };
    for word in words {
        match word {
            Value::Not(word) => flags.mask |= bit(word)?,
            word => {
                flags.mask |= bit(word)?;
                flags.value |= bit(word)?;
            }
        }
    }
    Some(flags)
}

/// `3`, `3:1`, `3:0-4`.
fn icmp(text: &str) -> Option<IcmpOptions> {
    let (kind, codes) = match text.split_once(':') {
        Some((kind, codes)) => match codes.split_once('-') {
            Some((from, to)) => (kind, (from.parse().ok()?, to.parse().ok()?)),
            None => (kind, (codes.parse().ok()?, codes.parse().ok()?)),
        },
        None => (text, (0, u8::MAX)),
    };
    (codes.0 <= codes.1).then_some(IcmpOptions { kind: kind.parse().ok()?, codes })
}

/// `equal:64`, `not-equal:64`, `less-than:5`, `greater-than:64`.
fn hops(text: &str) -> Option<Is<Range<u8>>> {
    let (relation, value) = text.split_once(':').unwrap_or(("equal", text));
    let value: u8 = value.parse().ok()?;
    let (not, value) = match relation {
        "equal" => (false, (value, value)),
        "not-equal" => (true, (value, value)),
        // What is not at least this.
        "less-than" => (true, (value, u8::MAX)),
        "greater-than" => (true, (0, value)),
        _ => return None,
    };
    Some(Is { not, value })
}

/// `10`, `10k`.
pub fn count(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['k', 'M', 'G']);
    let factor = match text.strip_prefix(digits)? {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// `1s`, `5m`, `10`: milliseconds.
pub fn time_ms(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match text.strip_prefix(digits)? {
        "" | "s" => 1_000,
        "ms" => 1,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 604_800_000,
        _ => return None,
    };
    let time_ms =
        if digits.is_empty() { unit_ms } else { digits.parse::<u64>().ok()?.checked_mul(unit_ms)? };
    (time_ms > 0).then_some(time_ms)
}

/// `count[/time],burst[:packet|bit]`
fn limit(text: &str) -> Option<Limit> {
    let (rate, burst) = text.split_once(',').unwrap_or((text, "5"));
    let (burst, unit) = burst.split_once(':').unwrap_or((burst, "packet"));
    let bits = match unit {
        "packet" => false,
        "bit" => true,
        _ => return None,
    };
    let (number, time) = rate.split_once('/').unwrap_or((rate, "1s"));
    Some(Limit { count: count(number)?, time_ms: time_ms(time)?, burst: count(burst)?, bits })
}

/// `count[/time],burst,mode[/expire]`
fn dst_limit(text: &str) -> Option<DstLimit> {
    let (limits, mode) = text.rsplit_once(',')?;
    let (mode, expire) = mode.split_once('/').unwrap_or((mode, "10s"));
    use limit_key::{DST, DST_PORT, SRC};
    let key = match mode {
        "dst-address" => DST,
        "dst-address-and-port" => DST | DST_PORT,
        "src-address" => SRC,
        "src-and-dst-addresses" => SRC | DST,
        "addresses-and-dst-port" => SRC | DST | DST_PORT,
        _ => return None,
    };
    let expire_s = u32::try_from(time_ms(expire)?.div_ceil(1000)).ok()?;
    Some(DstLimit { limit: limit(limits)?, key, expire_s })
}

/// `n,masklen`
fn connection_limit(text: &str, v6: bool) -> Option<ConnectionLimit> {
    let (count, length) = text.split_once(',').unwrap_or((text, if v6 { "128" } else { "32" }));
    let prefix_length: u8 = length.parse().ok()?;
    (prefix_length <= if v6 { 128 } else { 32 })
        .then_some(ConnectionLimit { count: count.parse().ok()?, prefix_length })
}

/// RouterOS's names of protocols (IANA's numbers).
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp", 1),
    ("igmp", 2),
    ("ggp", 3),
    ("ip-encap", 4),
    ("ipencap", 4),
    ("st", 5),
    ("tcp", 6),
    ("egp", 8),
    ("pup", 12),
    ("udp", 17),
    ("hmp", 20),
    ("xns-idp", 22),
    ("rdp", 27),
    ("iso-tp4", 29),
    ("dccp", 33),
    ("xtp", 36),
    ("ddp", 37),
    ("idpr-cmtp", 38),
    ("ipv6-encap", 41),
    ("ipv6", 41),
    ("rsvp", 46),
    ("gre", 47),
    ("ipsec-esp", 50),
    ("ipsec-ah", 51),
    ("icmpv6", 58),
    ("rspf", 73),
    ("vmtp", 81),
    ("ospf", 89),
    ("ipip", 94),
    ("etherip", 97),
    ("encap", 98),
    ("pim", 103),
    ("vrrp", 112),
    ("l2tp", 115),
    ("sctp", 132),
    ("udp-lite", 136),
];

/// RouterOS's name of a protocol, its number where it has none.
pub fn protocol_name(number: u8) -> String {
    let known = PROTOCOLS.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

fn protocol(value: &Value) -> Option<u8> {
    match value {
        Value::Text(name) => PROTOCOLS.iter().find(|(known, _)| known == name).map(|(_, number)| *number),
        other => small(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_in_all_their_forms() {
        let of = |count, time_ms, burst, bits| Some(Limit { count, time_ms, burst, bits });
        assert_eq!(limit("5,5:packet"), of(5, 1000, 5, false));
        assert_eq!(limit("50/1m,10"), of(50, 60_000, 10, false));
        assert_eq!(limit("10M/1s,2M:bit"), of(10_000_000, 1000, 2_000_000, true));
        assert_eq!(limit("1/h,1:packet"), of(1, 3_600_000, 1, false));
        for wrong in ["", "5,", "5/0s,5", "x,5", "5,5:byte", "5k5,1"] {
            assert_eq!(limit(wrong), None, "{wrong}");
        }
        let found = dst_limit("32,64,src-and-dst-addresses/20s").unwrap();
        assert_eq!((found.limit.count, found.limit.burst, found.expire_s), (32, 64, 20));
        assert_eq!(found.key, limit_key::SRC | limit_key::DST);
        assert_eq!(dst_limit("1/1m,5,dst-address").map(|found| found.expire_s), Some(10));
        assert_eq!(dst_limit("1,5,anything"), None);
    }

    #[test]
    fn icmp_options_and_hops() {
        assert_eq!(icmp("8:0"), Some(IcmpOptions { kind: 8, codes: (0, 0) }));
        assert_eq!(icmp("3"), Some(IcmpOptions { kind: 3, codes: (0, 255) }));
        assert_eq!(icmp("3:1-4"), Some(IcmpOptions { kind: 3, codes: (1, 4) }));
        assert_eq!(icmp("3:4-1"), None);
        assert_eq!(icmp("300"), None);
        assert_eq!(hops("less-than:0"), Some(Is { not: true, value: (0, 255) }));
        assert_eq!(hops("greater-than:255"), Some(Is { not: true, value: (0, 255) }));
        assert_eq!(hops("equal:1"), Some(Is { not: false, value: (1, 1) }));
        assert_eq!(hops("about:1"), None);
    }
}
