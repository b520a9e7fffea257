//! What a translated connection looks like: which address of a range, which port. Pure choice; the flow table says
//! whether a tuple is free.
//!
//! As the kernel chooses (net/netfilter/nf_nat_core.c), with the recommendations of RFC 4787 and RFC 5508 where it
//! leaves room: a host keeps its address, a port its parity and its class.

use crate::conntrack::other::{ICMP, ICMPV6, Ports, SCTP, UDP, UDP_LITE, ports};
use crate::tuple::{Tuple, hash6};
use crate::wire::ipv6::Halves;

/// Tuples that are tried for a connection at most. The first one keeps the port where that may be.
pub const ATTEMPTS: u32 = 32;

/// What a connection's address out of several hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// One inside host, one outside address (RFC 4787, REQ-2).
    BySource,
    ByAddresses,
    ByConnection,
}

/// A number to choose by, well spread and known to nobody outside.
#[inline(always)]
pub fn number(spread: Spread, tuple: &Tuple, seed: u64) -> u64 {
    let [a, b, c, d, upper] = tuple.key6();
    let key = match spread {
        Spread::BySource => [a, b, 0, 0, 0],
        Spread::ByAddresses => [a, b, c, d, 0],
        Spread::ByConnection => [a, b, c, d, upper],
    };
    hash6(key, seed).0
}

/// One of the addresses from `from` to `to`, both included and in the byte order of memory. IPv4 addresses are in the
/// first four bytes.
#[inline(always)]
pub fn address(family: u32, from: Halves, to: Halves, number: u64) -> Halves {
    if family == 4 {
        let first = u32::from_be(from.0 as u32);
        let span = u32::from_be(to.0 as u32).wrapping_sub(first);
        return (u64::from(first.wrapping_add(below(number, span)).to_be()), 0);
    }
    let (first, last) =
        ((u64::from_be(from.0), u64::from_be(from.1)), (u64::from_be(to.0), u64::from_be(to.1)));
    let high = first.0.wrapping_add(below_long(number, last.0.wrapping_sub(first.0)));
    let least = if high == first.0 { first.1 } else { 0 };
    let most = if high == last.0 { last.1 } else { u64::MAX };
    let low = least.wrapping_add(below_long(number.rotate_left(32), most.wrapping_sub(least)));
    (high.to_be(), low.to_be())
}

/// The address that stands for `old` among those from `from` to `to`: the bits that all of them have in common are
/// exchanged, the others stay.
#[inline(always)]
pub fn netmap(from: Halves, to: Halves, old: Halves) -> Halves {
    let map = |from: u64, to: u64, old: u64| {
        let host = spread_right(u64::from_be(from ^ to));
        (u64::from_be(from) & !host | u64::from_be(old) & host).to_be()
    };
    let high = map(from.0, to.0, old.0);
    // Below a bit that differs all do.
    let low = if from.0 == to.0 { map(from.1, to.1, old.1) } else { old.1 };
    (high, low)
}

/// As [`netmap`], for IPv4.
#[inline(always)]
pub fn netmap4(from: u32, to: u32, old: u32) -> u32 {
    let host = spread_right(u64::from(u32::from_be(from ^ to))) as u32;
    (u32::from_be(from) & !host | u32::from_be(old) & host).to_be()
}

/// Sets all bits below the highest one.
#[inline(always)]
const fn spread_right(mut bits: u64) -> u64 {
    bits |= bits >> 1;
    bits |= bits >> 2;
    bits |= bits >> 4;
    bits |= bits >> 8;
    bits |= bits >> 16;
    bits | bits >> 32
}

/// 0 to `most`, both included, evenly.
#[inline(always)]
fn below(number: u64, most: u32) -> u32 {
    ((number >> 32).wrapping_mul(u64::from(most) + 1) >> 32) as u32
}

/// As [`below`]; where there are more than 2^32 to choose from, not the last ones beyond a power of two.
#[inline(always)]
fn below_long(number: u64, most: u64) -> u64 {
    match most {
        ..=0xffff_ffff => u64::from(below(number, most as u32)),
        _ => {
            let all = spread_right(most);
            number & if all == most { all } else { all >> 1 }
        }
    }
}

/// Ports from and to, both included.
pub type PortRange = (u16, u16);

/// How the source port, or the identifier of a query, is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePort {
    pub protocol: u8,
    /// What the packet came with, in host order.
    pub port: u16,
    /// `to-ports`.
    pub given: Option<PortRange>,
    /// `randomise-ports`.
    pub is_random: bool,
    /// By the connection, see [`number`].
    pub number: u64,
}

impl SourcePort {
    /// The port to try in that attempt; None where there is none left.
    #[inline(always)]
    pub fn attempt(&self, attempt: u32) -> Option<u16> {
        let has_ports = matches!(ports(self.protocol), Ports::Both);
        // What has no ports keeps its zeros; the checksum of SCTP is one over the whole packet (RFC 9260, 6.8).
        if matches!(ports(self.protocol), Ports::None) || self.protocol == SCTP {
            return (attempt == 0).then_some(self.port);
        }
        let given = if has_ports { self.given } else { None };
        let (from, to) = given.unwrap_or(self.class());
        let keeps = !self.is_random && (given.is_none() || (from <= self.port && self.port <= to));
        let attempt = match (keeps, attempt) {
            (true, 0) => return Some(self.port),
            (true, later) => later - 1,
            (false, first) => first,
        };
        let most = u32::from(to.wrapping_sub(from));
        if attempt > most {
            return None;
        }
        // Few are tried one after the other, so that none is left out.
        let port = if most < ATTEMPTS {
            let at = below(self.number, most) + attempt;
            from.wrapping_add(if at > most { at - most - 1 } else { at } as u16)
        } else {
            from.wrapping_add(below(another(self.number, attempt), most) as u16)
        };
        Some(if given.is_none() { self.like(port, from, to) } else { port })
    }

    /// The ports that stand for this one if nothing is said (`nf_nat_l4proto_unique_tuple`); RFC 4787, REQ-3a.
    #[inline(always)]
    fn class(&self) -> PortRange {
        match (self.protocol, self.port) {
            (ICMP | ICMPV6, _) => (0, 65535),
            (_, ..=511) => (1, 511),
            (_, ..=1023) => (600, 1023),
            _ => (1024, 65535),
        }
    }

    /// An odd port for an odd one (RFC 4787, REQ-4): RTP and RTCP have neighbouring ones.
    #[inline(always)]
    fn like(&self, port: u16, from: u16, to: u16) -> u16 {
        if !matches!(self.protocol, UDP | UDP_LITE) {
            return port;
        }
        let port = port & !1 | self.port & 1;
        if port < from {
            port.wrapping_add(2)
        } else if port > to {
            port.wrapping_sub(2)
        } else {
            port
        }
    }
}

/// The `n`th number beside one.
#[inline(always)]
fn another(number: u64, n: u32) -> u64 {
    // SplitMix64.
    let mixed = number.wrapping_add(u64::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

/// The port that a packet for `port` goes to under dst-nat and redirect: its own if there is no range or it lies in it.
#[inline(always)]
pub fn destination_port(protocol: u8, port: u16, given: Option<PortRange>, number: u64) -> u16 {
    match given {
        Some((from, to)) if matches!(ports(protocol), Ports::Both) && protocol != SCTP => {
            if from <= port && port <= to {
                port
            } else {
                from.wrapping_add(below(number, u32::from(to.wrapping_sub(from))) as u16)
            }
        }
        _ => port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conntrack::other::{ESP, TCP};
    use crate::wire::ipv6::halves;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn of(text: &str) -> Halves {
        let mut bytes = [0; 16];
        match text.parse().unwrap() {
            IpAddr::V4(address) => bytes[..4].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => bytes = address.octets(),
        }
        halves(&bytes)
    }

    fn text(family: u32, (high, low): Halves) -> String {
        let [a, b, c, d, ..] = high.to_ne_bytes();
        match family {
            4 => Ipv4Addr::new(a, b, c, d).to_string(),
            _ => Ipv6Addr::from((u128::from(u64::from_be(high)) << 64) | u128::from(u64::from_be(low)))
                .to_string(),
        }
    }

    fn tuple(source: u32, port: u16) -> Tuple {
        let mut tuple = Tuple {
            protocol: UDP,
            src_port_be: port.to_be_bytes(),
            dst_port_be: [0, 53],
            ..Tuple::default()
        };
        tuple.src[..4].copy_from_slice(&source.to_be_bytes());
        tuple.dst[..4].copy_from_slice(&[192, 0, 2, 1]);
        tuple
    }

    fn source(protocol: u8, port: u16, given: Option<PortRange>) -> SourcePort {
        SourcePort { protocol, port, given, is_random: false, number: 0x0123_4567_89ab_cdef }
    }

    #[test]
    fn a_host_keeps_its_address() {
        let (from, to) = (of("203.0.113.8"), of("203.0.113.15"));
        let choose = |tuple: &Tuple| address(4, from, to, number(Spread::BySource, tuple, 7));
        let mut used = BTreeSet::new();
        for host in 0..200 {
            let chosen = choose(&tuple(host, 1000));
            assert_eq!(chosen, choose(&tuple(host, 2000)), "another port");
            let mut elsewhere = tuple(host, 1000);
            elsewhere.dst[3] = 77;
            assert_eq!(chosen, choose(&elsewhere), "another destination");
            used.insert(text(4, chosen));
        }
        assert_eq!(used.len(), 8, "{used:?}");
    }

    #[test]
    fn connections_spread_over_servers() {
        let (from, to) = (of("192.168.88.10"), of("192.168.88.12"));
        let mut counts = [0; 3];
        for port in 0..3000 {
            let number = number(Spread::ByConnection, &tuple(1, port), 7);
            let [_, _, _, last, ..] = address(4, from, to, number).0.to_ne_bytes();
            counts[usize::from(last) - 10] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn ranges_of_one_and_of_all() {
        assert_eq!(address(4, of("203.0.113.8"), of("203.0.113.8"), u64::MAX), of("203.0.113.8"));
        assert_eq!(address(6, of("2001:db8::8"), of("2001:db8::8"), u64::MAX), of("2001:db8::8"));
        assert_eq!(text(4, address(4, of("0.0.0.0"), of("255.255.255.255"), u64::MAX)), "255.255.255.255");
        assert_eq!(text(4, address(4, of("0.0.0.0"), of("255.255.255.255"), 0)), "0.0.0.0");
    }

    #[test]
    fn netmap_exchanges_the_prefix() {
        let map = |from: &str, to: &str, old: &str| {
            let (from, to, old) = (of(from).0 as u32, of(to).0 as u32, of(old).0 as u32);
            text(4, (u64::from(netmap4(from, to, old)), 0))
        };
        assert_eq!(map("203.0.113.0", "203.0.113.255", "192.168.88.17"), "203.0.113.17");
        assert_eq!(map("203.0.113.8", "203.0.113.15", "192.168.88.17"), "203.0.113.9");
        assert_eq!(map("203.0.113.5", "203.0.113.5", "192.168.88.17"), "203.0.113.5");
        assert_eq!(map("0.0.0.0", "255.255.255.255", "192.168.88.17"), "192.168.88.17");
        let map = |from, to, old| text(6, netmap(of(from), of(to), of(old)));
        assert_eq!(
            map("2001:db8:1::", "2001:db8:1:ffff:ffff:ffff:ffff:ffff", "fd00:0:0:5::7"),
            "2001:db8:1:5::7"
        );
        assert_eq!(map("2001:db8:1:2::", "2001:db8:1:2:ffff:ffff:ffff:ffff", "fd00::7"), "2001:db8:1:2::7");
        assert_eq!(map("2001:db8::100", "2001:db8::1ff", "fd00::7"), "2001:db8::107");
    }

    #[test]
    fn the_port_stays_if_it_is_free() {
        assert_eq!(source(TCP, 40000, None).attempt(0), Some(40000));
        assert_eq!(source(TCP, 550, None).attempt(0), Some(550));
        assert_eq!(source(UDP, 0, None).attempt(0), Some(0));
        assert_eq!(source(TCP, 40000, Some((30000, 50000))).attempt(0), Some(40000));
        let other = source(TCP, 40000, Some((1000, 2000))).attempt(0).unwrap();
        assert!((1000..=2000).contains(&other), "{other}");
        let random = SourcePort { is_random: true, ..source(TCP, 40000, None) };
        assert!((0..4).any(|attempt| random.attempt(attempt) != Some(40000)));
    }

    #[test]
    fn ports_stay_in_their_class() {
        for (port, from, to) in
            [(1, 1, 511), (511, 1, 511), (512, 600, 1023), (1023, 600, 1023), (1024, 1024, 65535)]
        {
            let tried: BTreeSet<u16> =
                (1..ATTEMPTS).filter_map(|n| source(TCP, port, None).attempt(n)).collect();
            assert!(tried.iter().all(|tried| (from..=to).contains(tried)), "{port}: {tried:?}");
            assert!(tried.len() > 25, "{port}: {tried:?}");
        }
        let ids: BTreeSet<u16> =
            (0..ATTEMPTS).filter_map(|n| source(ICMP, 77, Some((5, 5))).attempt(n)).collect();
        assert!(ids.contains(&77) && ids.len() > 25, "identifiers know no to-ports: {ids:?}");
    }

    #[test]
    fn udp_ports_keep_their_parity() {
        for port in [1, 2, 511, 512, 601, 1023, 1024, 5004, 5005, 65534, 65535] {
            for attempt in 0..ATTEMPTS {
                let tried = source(UDP, port, None).attempt(attempt).unwrap();
                assert_eq!(tried & 1, port & 1, "{port} {tried}");
                assert!((tried >= 1024) == (port >= 1024) && tried != 0, "{port} {tried}");
            }
        }
    }

    #[test]
    fn every_port_of_a_small_range_is_tried_once() {
        for most in [0, 1, 2, 7, 30, 31] {
            let mut tried: Vec<u16> = (0..ATTEMPTS + 2)
                .map_while(|n| source(TCP, 9, Some((10_000, 10_000 + most))).attempt(n))
                .collect();
            tried.sort();
            assert_eq!(tried, (10_000..=10_000 + most).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_has_no_ports_is_tried_once() {
        for protocol in [ESP, 47, 89, SCTP] {
            assert_eq!(source(protocol, 0, Some((1, 9))).attempt(0), Some(0));
            assert_eq!(source(protocol, 0, Some((1, 9))).attempt(1), None);
        }
    }

    #[test]
    fn destination_ports() {
        assert_eq!(destination_port(TCP, 8080, Some((80, 80)), 5), 80);
        assert_eq!(destination_port(TCP, 8080, None, 5), 8080);
        assert_eq!(destination_port(TCP, 8080, Some((8000, 9000)), 5), 8080, "lies in the range");
        assert!((10..=20).contains(&destination_port(UDP, 8080, Some((10, 20)), u64::MAX / 3)));
        assert_eq!(destination_port(UDP, 8080, Some((0, 65535)), 5), 8080);
        assert_eq!(destination_port(ICMP, 8, Some((80, 80)), 5), 8, "an identifier");
        assert_eq!(destination_port(ESP, 0, Some((80, 80)), 5), 0);
    }

    fn number_of(address: u128) -> Halves {
        (((address >> 64) as u64).to_be(), (address as u64).to_be())
    }

    proptest! {
        #[test]
        fn addresses_lie_in_their_range(a: u128, b: u128, shift in 0u32..128, number: u64) {
            let (from, to) = { let b = a.wrapping_add(b >> shift); (a.min(b), a.max(b)) };
            let (high, low) = address(6, number_of(from), number_of(to), number);
            let chosen = u128::from(u64::from_be(high)) << 64 | u128::from(u64::from_be(low));
            prop_assert!(from <= chosen && chosen <= to, "{from:x} {chosen:x} {to:x}");
            let (from, to) = ((a as u32).min(b as u32), (a as u32).max(b as u32));
            let (chosen, rest) = address(4, (u64::from(from.to_be()), 0), (u64::from(to.to_be()), 0), number);
            let chosen = u32::from_be(chosen as u32);
            prop_assert!(from <= chosen && chosen <= to && rest == 0);
        }

        #[test]
        fn netmap_is_one_to_one(prefix: u128, length in 0u32..129, a: u128, b: u128) {
            let host = u128::MAX.checked_shr(length).unwrap_or(0);
            let (from, to) = (prefix & !host, prefix | host);
            let map = |old: u128| {
                let (high, low) = netmap(number_of(from), number_of(to), number_of(old));
                u128::from(u64::from_be(high)) << 64 | u128::from(u64::from_be(low))
            };
            prop_assert_eq!(map(a) & !host, from);
            prop_assert_eq!(map(a) & host, a & host);
            prop_assert_eq!(map(a) == map(b), a & host == b & host);
            // Translating back with the old prefix gives the old address.
            let back = netmap(number_of(a & !host), number_of(a | host), number_of(map(a)));
            prop_assert_eq!(back, number_of(a));
        }

        #[test]
        fn ports_lie_in_their_range(port: u16, a: u16, b: u16, attempt in 0..ATTEMPTS, number: u64, is_random: bool) {
            let (from, to) = (a.min(b), a.max(b));
            let source = SourcePort { protocol: TCP, port, given: Some((from, to)), is_random, number };
            if let Some(port) = source.attempt(attempt) {
                prop_assert!(from <= port && port <= to);
            } else {
                prop_assert!(u32::from(to - from) <= attempt);
            }
            let port = destination_port(TCP, port, Some((from, to)), number);
            prop_assert!(from <= port && port <= to);
        }
    }
}
