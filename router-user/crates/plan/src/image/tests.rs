//! The walk over the image against a plain interpreter of the rules.

use std::sync::Arc;

use router_common::facts::{Facts, fragment, header};
use router_common::maps::image::{
    Cell, Limits, RULES_MAX, Record, Rule as RuleCell, action, chain, limit_key, matcher,
};
use router_common::rules::rows::{self, halves};
use router_common::rules::walk::{self, flag, verdict};
use router_common::rules::{Cells, Hooks, Walk};

use super::encode;
use crate::desired::RuleImage;
use crate::firewall::rule::*;

/// A small generator: every run sees the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
    fn is<T>(&mut self, value: T) -> Is<T> {
        Is { not: self.one_in(3), value }
    }
    fn maybe<T>(&mut self, n: u64, make: impl FnOnce(&mut Random) -> T) -> Option<T> {
        self.one_in(n).then(|| make(self))
    }
}

/// Few addresses, so that rules meet packets; both ends of the family among them.
fn address(r: &mut Random, v6: bool) -> u128 {
    let n = r.below(24) as u128;
    match (n, v6) {
        (0, _) => 0,
        (1, true) => u128::MAX,
        (1, false) => u32::MAX.into(),
        (_, false) => 0xc000_0200 + n * 7,
        (2..=9, true) => 0x2001_0db8 << 96 | n << 64,
        (_, true) => 0x2001_0db8 << 96 | 3 << 64 | (n * 11),
    }
}

fn addresses(r: &mut Random, v6: bool) -> Range<u128> {
    let (bits, last) = if v6 { (128, u128::MAX) } else { (32, u32::MAX.into()) };
    let (a, b) = (address(r, v6), address(r, v6));
    match r.below(4) {
        0 => (a, a),
        1 => (a.min(b), a.max(b)),
        _ => {
            let length = [0, 1, 24, 27, 31, bits / 2, bits - 1, bits][r.below(8) as usize];
            let host = last.checked_shr(length).unwrap_or(0);
            (a & !host, a | host)
        }
    }
}

fn ports(r: &mut Random) -> Vec<Range<u16>> {
    (0..1 + r.below(3))
        .map(|_| match r.below(6) {
            0 => (0, 0),
            1 => (65535, 65535),
            2 => (0, 65535),
            _ => {
                let from = r.below(9) as u16;
                (from, from + r.below(3) as u16)
            }
        })
        .collect()
}

fn interfaces(r: &mut Random) -> Vec<Is<Arc<std::collections::BTreeSet<u32>>>> {
    (0..1 + r.below(2))
        .map(|_| {
            let set = (0..r.below(4)).map(|_| 1 + r.below(5) as u32).collect();
            r.is(Arc::new(set))
        })
        .collect()
}

fn limit(r: &mut Random) -> Limit {
    Limit { count: 1 + r.below(100), time_ms: 1000, burst: r.below(5), bits: r.one_in(4) }
}

fn matches(r: &mut Random, v6: bool, lists: usize) -> Matches {
    let range8 = |r: &mut Random| {
        let from = r.below(4) as u8;
        (from, from + r.below(3) as u8)
    };
    Matches {
        src: r.maybe(3, |r| {
            let range = addresses(r, v6);
            r.is(range)
        }),
        dst: r.maybe(3, |r| {
            let range = addresses(r, v6);
            r.is(range)
        }),
        src_list: r.maybe(6, |r| {
            let list = r.below(lists as u64) as usize;
            r.is(list)
        }),
        dst_list: r.maybe(6, |r| {
            let list = r.below(lists as u64) as usize;
            r.is(list)
        }),
        src_type: r.maybe(9, |r| {
            let bits = r.next() as u8 & 0x1f;
            r.is(bits)
        }),
        dst_type: r.maybe(9, |r| {
            let bits = r.next() as u8 & 0x1f;
            r.is(bits)
        }),
        protocol: r.maybe(2, |r| {
            let protocol = [6, 17, 1, 58][r.below(4) as usize];
            r.is(protocol)
        }),
        src_ports: r.maybe(6, |r| {
            let ports = ports(r);
            r.is(ports)
        }),
        dst_ports: r.maybe(5, |r| {
            let ports = ports(r);
            r.is(ports)
        }),
        any_ports: r.maybe(6, |r| {
            let ports = ports(r);
            r.is(ports)
        }),
        input: r.maybe(4, interfaces).unwrap_or_default(),
        output: r.maybe(5, interfaces).unwrap_or_default(),
        state: r.maybe(3, |r| {
            let bits = r.next() as u8 & 0x3e;
            r.is(bits)
        }),
        nat_state: r.maybe(7, |r| {
            let bits = 1 + r.below(3) as u8;
            r.is(bits)
        }),
        connection_mark: r.maybe(9, |r| {
            let mark = r.below(3) as u32;
            r.is(mark)
        }),
        packet_mark: r.maybe(9, |r| {
            let mark = r.below(3) as u32;
            r.is(mark)
        }),
        routing_mark: r.maybe(9, |r| {
            let mark = r.below(3) as u32;
            r.is(mark)
        }),
        tcp_flags: r.maybe(8, |r| {
            let mask = r.next() as u8 & 0x1f;
            TcpFlags { mask, value: r.next() as u8 & mask }
        }),
        icmp: r.maybe(8, |r| {
            let (kind, codes) = (r.below(3) as u8, range8(r));
            r.is(IcmpOptions { kind, codes })
        }),
        fragment: r.maybe(12, |r| r.one_in(3)),
        size: r.maybe(9, |r| {
            let from = r.below(3) as u16 * 100;
            let range = (from, from + r.below(200) as u16);
            r.is(range)
        }),
        ttl: r.maybe(9, |r| {
            let range = range8(r);
            r.is(range)
        }),
        dscp: r.maybe(9, |r| {
            let dscp = r.below(4) as u8;
            r.is(dscp)
        }),
        src_mac: r.maybe(9, |r| {
            let mac = [2, 0, 0, 0, 0, r.below(3) as u8];
            r.is(mac)
        }),
        connection_limit: r.maybe(12, |r| {
            let count = r.below(9) as u32;
            r.is(ConnectionLimit { count, prefix_length: 32 })
        }),
        dst_limit: r.maybe(12, |r| {
            let limit = limit(r);
            r.is(DstLimit { limit, key: limit_key::SRC, expire_s: 10 })
        }),
        limit: r.maybe(10, |r| {
            let limit = limit(r);
            r.is(limit)
        }),
        ..rare(r)
    }
}

/// Some rules with one or two of the rarer matchers.
fn rare(r: &mut Random) -> Matches {
    let mut m = Matches::default();
    if !r.one_in(4) {
        return m;
    }
    for _ in 0..2 {
        let bits = [
            matcher::TCP_MSS,
            matcher::PCC,
            matcher::NTH,
            matcher::RANDOM,
            matcher::TIME,
            matcher::OPTIONS,
            matcher::HEADERS,
            matcher::PRIORITY,
            matcher::INGRESS_PRIORITY,
            matcher::CONNECTION_BYTES,
            matcher::CONNECTION_RATE,
            matcher::PSD,
            matcher::CONTENT,
            matcher::NEVER,
        ];
        let not = r.one_in(2);
        m.has(bits[r.below(bits.len() as u64) as usize], not);
    }
    let denominator = 1 + r.below(4) as u32;
    m.more = More {
        pcc_denominator: denominator,
        pcc_remainder: r.below(denominator.into()) as u32,
        nth_every: denominator,
        nth_packet: 1 + r.below(denominator.into()) as u32,
        time_from_s: r.below(86_400) as u32,
        time_to_s: r.below(86_400) as u32,
        mss_from: r.below(1000) as u16,
        mss_to: 1000 + r.below(1000) as u16,
        pcc_fields: r.below(16) as u8,
        random: r.below(100) as u8,
        days: r.next() as u8 & 0x7f,
        option: 1 << r.below(3),
        option_is_there: r.below(2) as u8,
        headers: 1 << r.below(8),
        headers_exact: r.below(2) as u8,
        priority: r.below(2) as u8,
        ingress_priority: r.below(2) as u8,
        ..More::default()
    };
    m.volume = Volume {
        bytes_from: r.below(500),
        bytes_to: 500 + r.below(500),
        rate_from: r.below(500),
        rate_to: 500 + r.below(500),
        ..Volume::default()
    };
    m.content = vec![7; 1 + r.below(64) as usize];
    m
}

/// Rules in all built-in chains and some of one's own; jumps go to later chains only.
fn rules(r: &mut Random, v6: bool, count: u64, menu: u8) -> Rules {
    let lists: Vec<AddressList> = (0..6)
        .map(|n| AddressList {
            name: format!("list{n}"),
            id: 100 + n,
            dynamic: n % 3 == 2,
            entries: Arc::new((0..r.below(12)).map(|_| addresses(r, v6)).collect()),
        })
        .collect();
    let own = 6;
    let chains = chain::COUNT as usize + own;
    let mut all = vec![Chain::default(); chains];
    for item in 0..count {
        let place = r.below(chains as u64) as usize;
        let action = match r.below(16) {
            0 | 1 => Action::Accept,
            2 => Action::Drop,
            3 => Action::Reject(r.below(9) as u8),
            4 | 5 => {
                let first = (place + 1).max(chain::COUNT as usize);
                Action::Jump((first < chains).then(|| first + r.below((chains - first) as u64) as usize))
            }
            6 => Action::Return,
            7 => Action::AddSrc(7, 60),
            8 => Action::Nat(Box::new(Nat { kind: r.below(6) as u8, ..Nat::default() })),
            9 => Action::Fasttrack,
            10 => Action::Notrack,
            11 => [Action::MarkConnection, Action::MarkPacket, Action::MarkRouting][r.below(3) as usize](
                r.below(3) as u32,
            ),
            12 => changing(r),
            _ => Action::Passthrough,
        };
        let rule = Rule {
            key: RuleKey { menu, item: item as u32 },
            text: 0,
            matches: matches(r, v6, lists.len()),
            action,
            log: r.one_in(20),
            last: r.one_in(3),
        };
        all[place].rules.push(Arc::new(rule));
    }
    Rules { chains: all, lists }
}

/// An action that changes the packet.
fn changing(r: &mut Random) -> Action {
    let number = r.below(6) as u8;
    match r.below(8) {
        0 => Action::ChangeDscp(number),
        1 => Action::ChangeTtl([Hops::Set, Hops::Increment, Hops::Decrement][r.below(3) as usize](number)),
        2 => Action::ClearDf,
        3 => Action::ChangeMss(r.one_in(2).then_some(1000)),
        4 => Action::SetPriority(Priority::Number(number & 1)),
        5 => Action::SetPriority(
            [Priority::Dscp, Priority::DscpHigh3Bits, Priority::Ingress][r.below(3) as usize],
        ),
        6 => Action::Route(Box::default()),
        _ => Action::StripOptions,
    }
}

fn bytes(v6: bool, address: u128) -> [u8; 16] {
    let mut bytes = [0; 16];
    if v6 {
        return address.to_be_bytes();
    }
    bytes[..4].copy_from_slice(&(address as u32).to_be_bytes());
    bytes
}

fn packet(r: &mut Random, v6: bool) -> Facts {
    Facts {
        src: bytes(v6, address(r, v6)),
        dst: bytes(v6, address(r, v6)),
        src_port: if r.one_in(9) { 65535 } else { r.below(12) as u16 },
        dst_port: if r.one_in(9) { 65535 } else { r.below(12) as u16 },
        protocol: [6, 17, 1, 58, 47][r.below(5) as usize],
        family: if v6 { 6 } else { 4 },
        tcp_flags: if r.one_in(2) { 0x10 } else { r.next() as u8 & 0x1f },
        ttl: r.below(6) as u8,
        dscp: r.below(4) as u8,
        icmp_type: r.below(3) as u8,
        icmp_code: r.below(5) as u8,
        fragment: if r.one_in(8) {
            [fragment::PART, fragment::PART | fragment::LATER][r.below(2) as usize]
        } else {
            0
        },
        length_bytes: r.below(500) as u32,
        packets: 1,
        src_mac: [2, 0, 0, 0, 0, r.below(3) as u8],
        state: r.below(6) as u8,
        nat: r.below(4) as u8,
        in_ifindex: r.below(6) as u32,
        out_ifindex: r.below(6) as u32,
        connection_mark: r.below(3) as u32,
        packet_mark: r.below(3) as u32,
        routing_mark: r.below(3) as u32,
        src_type: r.below(5) as u8,
        dst_type: r.below(5) as u8,
        tcp_mss: [0, 900, 1500][r.below(3) as usize],
        options: r.below(8) as u8,
        headers: if r.one_in(2) { header::PROTO } else { r.next() as u8 },
        priority: r.below(2) as u8,
        ..Facts::default()
    }
}

/// What a walk does to the world around it.
#[derive(Clone, Debug, PartialEq)]
enum Deed {
    Count(u64),
    Log(u64),
    Limit(u64),
    DstLimit(u64),
    ConnectionLimit(u64),
    Nth(u64),
    Scan(u64),
    Add(u32),
}

/// The same answers for the walk and the interpreter.
#[derive(Default)]
struct World {
    deeds: Vec<Deed>,
    /// Changes what limits answer.
    salt: u64,
}

impl World {
    fn answer(&self, deed: &Deed) -> bool {
        let (Deed::Limit(key) | Deed::DstLimit(key) | Deed::ConnectionLimit(key) | Deed::Scan(key)) = deed
        else {
            return false;
        };
        Random(*key ^ self.salt).one_in(2)
    }
    fn ask(&mut self, deed: Deed) -> bool {
        let answer = self.answer(&deed);
        self.deeds.push(deed);
        answer
    }
}

fn is_listed(list: u32, address: &[u8; 16]) -> bool {
    Random(address.iter().fold(u64::from(list), |sum, byte| sum.rotate_left(5) ^ u64::from(*byte))).one_in(3)
}

impl Hooks for World {
    fn count(&mut self, slot: u32, _: &Facts) {
        self.deeds.push(Deed::Count(slot.into()));
    }
    fn log(&mut self, rule: &RuleCell, _: &Facts) {
        self.deeds.push(Deed::Log(rule.key));
    }
    fn limit(&mut self, rule: &RuleCell, _: &Limits, _: &Facts) -> bool {
        self.ask(Deed::Limit(rule.key))
    }
    fn dst_limit(&mut self, rule: &RuleCell, _: &Limits, _: &Facts) -> bool {
        self.ask(Deed::DstLimit(rule.key))
    }
    fn connection_limit(&mut self, rule: &RuleCell, _: &Limits, _: &Facts) -> bool {
        self.ask(Deed::ConnectionLimit(rule.key))
    }
    fn nth(&mut self, rule: &RuleCell, more: &More) -> bool {
        self.deeds.push(Deed::Nth(rule.key));
        Random(rule.key ^ self.salt).next() as u32 % more.nth_every + 1 == more.nth_packet
    }
    fn random(&mut self) -> u32 {
        Random(self.salt).next() as u32 % 100
    }
    fn second_of_week(&mut self) -> u32 {
        Random(self.salt).next() as u32 % (7 * 86_400)
    }
    fn connection_bytes(&mut self, volume: &Volume, _: &Facts) -> bool {
        (volume.bytes_from..=volume.bytes_to).contains(&(Random(self.salt).next() % 1000))
    }
    fn connection_rate(&mut self, volume: &Volume, _: &Facts) -> bool {
        (volume.rate_from..=volume.rate_to).contains(&(Random(self.salt ^ 1).next() % 1000))
    }
    fn scans(&mut self, rule: &RuleCell, _: &Volume, _: &Facts) -> bool {
        self.ask(Deed::Scan(rule.key))
    }
    fn has_content(&mut self, _: u32, bytes: u32) -> bool {
        Random(self.salt ^ u64::from(bytes)).one_in(2)
    }
    fn is_listed(&mut self, list: u32, address: &[u8; 16], _: u8) -> bool {
        is_listed(list, address)
    }
    fn add_to_list(&mut self, list: u32, _: &[u8; 16], _: u8, _: u32) {
        self.deeds.push(Deed::Add(list));
    }
}

// The interpreter.

fn value(facts: &Facts, address: &[u8; 16]) -> u128 {
    match facts.family {
        4 => u32::from_be_bytes(address[..4].try_into().unwrap()).into(),
        _ => u128::from_be_bytes(*address),
    }
}

fn holds<T: Clone>(is: &Option<Is<T>>, test: impl FnOnce(T) -> bool) -> bool {
    is.as_ref().is_none_or(|is| test(is.value.clone()) != is.not)
}

fn in_list(list: &AddressList, facts: &Facts, address: &[u8; 16]) -> bool {
    let value = value(facts, address);
    list.entries.iter().any(|(from, to)| *from <= value && value <= *to)
        || list.dynamic && is_listed(list.id, address)
}

fn matches_packet(lists: &[AddressList], rule: &Rule, facts: &Facts, world: &mut World) -> bool {
    let m = &rule.matches;
    let (src, dst) = (value(facts, &facts.src), value(facts, &facts.dst));
    let whole = facts.fragment & fragment::LATER == 0;
    let port =
        |ports: &Vec<Range<u16>>, port: u16| ports.iter().any(|(from, to)| *from <= port && port <= *to);
    let has_ports = m.src_ports.is_some() || m.dst_ports.is_some() || m.any_ports.is_some();
    let key = rule.key.number();
    holds(&m.src, |(from, to)| from <= src && src <= to)
        && holds(&m.dst, |(from, to)| from <= dst && dst <= to)
        && holds(&m.protocol, |protocol| protocol == facts.protocol)
        && (whole || !has_ports)
        && holds(&m.src_ports, |ports| port(&ports, facts.src_port))
        && holds(&m.dst_ports, |ports| port(&ports, facts.dst_port))
        && holds(&m.any_ports, |ports| port(&ports, facts.src_port) || port(&ports, facts.dst_port))
        && m.input.iter().all(|is| is.value.contains(&facts.in_ifindex) != is.not)
        && m.output.iter().all(|is| is.value.contains(&facts.out_ifindex) != is.not)
        && holds(&m.state, |bits| bits & 1 << facts.state != 0)
        && holds(&m.nat_state, |bits| bits & facts.nat != 0)
        && holds(&m.src_type, |bits| bits & 1 << facts.src_type != 0)
        && holds(&m.dst_type, |bits| bits & 1 << facts.dst_type != 0)
        && holds(&m.connection_mark, |mark| mark == facts.connection_mark)
        && holds(&m.packet_mark, |mark| mark == facts.packet_mark)
        && holds(&m.routing_mark, |mark| mark == facts.routing_mark)
        && m.tcp_flags
            .is_none_or(|flags| facts.protocol == 6 && whole && facts.tcp_flags & flags.mask == flags.value)
        && holds(&m.icmp, |icmp| {
            [1, 58].contains(&facts.protocol)
                && whole
                && icmp.kind == facts.icmp_type
                && icmp.codes.0 <= facts.icmp_code
                && facts.icmp_code <= icmp.codes.1
        })
        && m.fragment.is_none_or(|wanted| wanted == (facts.fragment != 0))
        && holds(&m.size, |(from, to)| {
            u32::from(from) <= facts.length_bytes && facts.length_bytes <= u32::from(to)
        })
        && holds(&m.ttl, |(from, to)| from <= facts.ttl && facts.ttl <= to)
        && holds(&m.dscp, |dscp| dscp == facts.dscp)
        && holds(&m.src_mac, |mac| mac == facts.src_mac)
        && holds(&m.src_list, |list| in_list(&lists[list], facts, &facts.src))
        && holds(&m.dst_list, |list| in_list(&lists[list], facts, &facts.dst))
        && rarer(m, facts, world, rule)
        && holds(&m.connection_limit, |_| world.ask(Deed::ConnectionLimit(key)))
        && holds(&m.dst_limit, |_| world.ask(Deed::DstLimit(key)))
        && holds(&m.limit, |_| world.ask(Deed::Limit(key)))
}

/// The rarer matchers, one after the other in the order in which a rule asks them.
fn rarer(m: &Matches, facts: &Facts, world: &mut World, rule: &Rule) -> bool {
    let cell = RuleCell { key: rule.key.number(), ..RuleCell::default() };
    let (more, volume) = (&m.more, &m.volume);
    let mut all = true;
    let mut ask = |world: &mut World, bit: u32, holds: &mut dyn FnMut(&mut World) -> bool| {
        if all && m.present & bit != 0 {
            all = holds(world) != (m.negated & bit != 0);
        }
    };
    ask(world, matcher::NEVER, &mut |_| false);
    ask(world, matcher::TCP_MSS, &mut |_| {
        facts.tcp_mss != 0 && (more.mss_from..=more.mss_to).contains(&facts.tcp_mss)
    });
    ask(world, matcher::PCC, &mut |_| {
        // A share of what the same fields give.
        router_common::rules::matcher::pcc(facts, more) == more.pcc_remainder
    });
    ask(world, matcher::OPTIONS, &mut |_| (facts.options & more.option != 0) == (more.option_is_there != 0));
    ask(world, matcher::HEADERS, &mut |_| match more.headers_exact {
        0 => facts.headers & more.headers == more.headers,
        _ => facts.headers == more.headers,
    });
    ask(world, matcher::PRIORITY, &mut |_| facts.priority == more.priority);
    ask(world, matcher::INGRESS_PRIORITY, &mut |_| more.ingress_priority == 0);
    ask(world, matcher::TIME, &mut |world| {
        let now = world.second_of_week();
        let (from, to, second) = (more.time_from_s, more.time_to_s, now % 86_400);
        let inside = if from <= to { from <= second && second <= to } else { second >= from || second <= to };
        more.days & 1 << (now / 86_400) != 0 && inside
    });
    ask(world, matcher::RANDOM, &mut |world| world.random() < more.random.into());
    ask(world, matcher::NTH, &mut |world| world.nth(&cell, more));
    ask(world, matcher::CONTENT, &mut |world| world.has_content(0, m.content.len() as u32));
    ask(world, matcher::CONNECTION_BYTES, &mut |world| world.connection_bytes(volume, facts));
    ask(world, matcher::CONNECTION_RATE, &mut |world| world.connection_rate(volume, facts));
    ask(world, matcher::PSD, &mut |world| world.scans(&cell, volume, facts));
    all
}

/// What a rule says in the end: verdict number and the rule.
type Said = (u32, Option<RuleKey>);

fn interpret(rules: &Rules, number: usize, facts: &mut Facts, world: &mut World) -> Option<Said> {
    for rule in &rules.chains[number].rules {
        if !matches_packet(&rules.lists, rule, facts, world) {
            continue;
        }
        world.deeds.push(Deed::Count(rule.key.number()));
        if rule.log {
            world.deeds.push(Deed::Log(rule.key.number()));
        }
        let said = match &rule.action {
            Action::Accept => verdict::ACCEPT,
            Action::Drop => verdict::DROP,
            Action::Reject(_) => verdict::REJECT,
            Action::Notrack => verdict::NOTRACK,
            Action::Nat(_) => verdict::NAT,
            Action::Jump(Some(target)) => match interpret(rules, *target, facts, world) {
                Some(said) => return Some(said),
                None => continue,
            },
            Action::Return => return None,
            Action::AddSrc(list, _) | Action::AddDst(list, _) => {
                world.deeds.push(Deed::Add(*list));
                continue;
            }
            Action::Jump(None) | Action::Passthrough | Action::Fasttrack => continue,
            change => {
                match *change {
                    Action::MarkConnection(mark) => facts.connection_mark = mark,
                    Action::MarkPacket(mark) => facts.packet_mark = mark,
                    Action::MarkRouting(mark) => facts.routing_mark = mark,
                    Action::ChangeDscp(dscp) => facts.dscp = dscp,
                    Action::ChangeTtl(Hops::Set(number)) => facts.ttl = number,
                    Action::ChangeTtl(Hops::Increment(number)) => {
                        facts.ttl = facts.ttl.saturating_add(number)
                    }
                    Action::ChangeTtl(Hops::Decrement(number)) => {
                        facts.ttl = facts.ttl.saturating_sub(number)
                    }
                    Action::SetPriority(Priority::Number(number)) => facts.priority = number,
                    Action::SetPriority(Priority::Dscp) => facts.priority = facts.dscp,
                    Action::SetPriority(Priority::DscpHigh3Bits) => facts.priority = facts.dscp >> 3,
                    Action::SetPriority(Priority::Ingress) => facts.priority = 0,
                    _ => {}
                }
                if !rule.last {
                    continue;
                }
                verdict::ACCEPT
            }
        };
        return Some((said, Some(rule.key)));
    }
    None
}

// The walk.

#[derive(Clone, Copy)]
struct Image(&'static [Cell]);

impl Cells for Image {
    fn cell(self, index: u32) -> Option<&'static Cell> {
        self.0.get(index as usize)
    }
}

/// Gives each rule its key as its slot, as far as 32 bits go.
fn with_slots(image: &RuleImage) -> &'static [Cell] {
    let mut cells = image.cells.clone();
    for placed in &image.rules {
        let mut rule = *RuleCell::of(&cells[placed.cell as usize]);
        rule.slot = placed.key.item;
        cells[placed.cell as usize] = rule.cell();
    }
    cells.leak()
}

fn run(image: Image, walk: &mut Walk, chain: u32, facts: &mut Facts, world: &mut World) -> Said {
    rows::prepare(image, facts, walk).expect("a whole image");
    if walk::start(image, walk, chain) {
        let mut steps = 0;
        while walk::step(image, facts, walk, world) {
            if walk.is_outdated() {
                rows::prepare(image, facts, walk).expect("a whole image");
            }
            steps += 1;
            assert!(steps < 200_000, "the walk does not end");
        }
    }
    let key = (walk.rule != u32::MAX).then(|| {
        let key = RuleCell::of(image.cell(walk.rule_cell()).unwrap()).key;
        RuleKey { menu: (key >> 32) as u8, item: key as u32 }
    });
    (walk.verdict, key)
}

fn check(seed: u64, sets: u64, size: impl Fn(&mut Random) -> u64, packets: u64) -> u64 {
    let mut r = Random(seed);
    let mut steady = 0;
    for _ in 0..sets {
        let (count4, count6) = (size(&mut r), size(&mut r));
        let firewall = Firewall { v4: rules(&mut r, false, count4, 0), v6: rules(&mut r, true, count6, 0) };
        let encoded = encode(&firewall).unwrap();
        if encoded.cells.is_empty() {
            continue;
        }
        let cells = with_slots(&encoded);
        let image = Image(cells);
        for _ in 0..packets {
            let v6 = r.one_in(2);
            let set = if v6 { &firewall.v6 } else { &firewall.v4 };
            let mut facts = packet(&mut r, v6);
            let mut walk = Walk::default();
            walk.reset();
            // One packet meets several chains, and its destination changes between them.
            for _ in 0..2 {
                let number = r.below(chain::COUNT.into()) as u32;
                let mut expected = World { salt: r.next(), ..World::default() };
                let mut found = World { salt: expected.salt, ..World::default() };
                let before = walk.counted_len;
                walk.flags = 0;
                let before_it = facts;
                let mut marked = facts;
                let wanted = interpret(set, number as usize, &mut marked, &mut expected)
                    .unwrap_or((verdict::NONE, None));
                let said = run(image, &mut walk, number, &mut facts, &mut found);
                assert_eq!(facts, marked, "chain {number} of {before_it:?}\n{set:#?}");
                assert_eq!(said, wanted, "chain {number} of {facts:?}\n{set:#?}");
                assert_eq!(found.deeds, expected.deeds, "chain {number} of {facts:?}\n{set:#?}");
                let counts = found.deeds.iter().filter(|deed| matches!(deed, Deed::Count(_))).count();
                assert!(
                    walk.counted_len as usize == before as usize + counts
                        || walk.flags & flag::UNCACHEABLE != 0
                );
                if walk.flags & flag::UNCACHEABLE == 0 {
                    steady += 1;
                    like(image, &mut r, number, &before_it, wanted, &expected.deeds);
                }
                facts.dst = bytes(v6, address(&mut r, v6));
                facts.dst_port = r.below(12) as u16;
                facts.dst_type = r.below(5) as u8;
                walk.change(rows::DESTINATION);
            }
        }
        // SAFETY: leaked by `with_slots`; nothing refers to it any more.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(cells).cast_mut()) });
    }
    steady
}

/// Another packet of the same flow fares as the one whose walk may be kept.
fn like(image: Image, r: &mut Random, chain: u32, facts: &Facts, wanted: Said, deeds: &[Deed]) {
    if facts.fragment != 0 || facts.tcp_flags & 7 != 0 {
        return;
    }
    let mut other = Facts {
        tcp_flags: r.next() as u8 & 0xf8,
        ttl: r.below(6) as u8,
        dscp: r.below(4) as u8,
        icmp_code: r.below(5) as u8,
        length_bytes: r.below(500) as u32,
        src_mac: [2, 0, 0, 0, 0, r.below(3) as u8],
        ..*facts
    };
    let mut walk = Walk::default();
    let mut world = World { salt: r.next(), ..World::default() };
    assert_eq!(run(image, &mut walk, chain, &mut other, &mut world), wanted, "{facts:?} and {other:?}");
    assert_eq!(world.deeds, deeds, "{facts:?} and {other:?}");
}

#[test]
fn the_walk_says_what_a_plain_interpreter_says() {
    // Rule sets of one chunk, of some, and of one with hardly any rule: 1.3 million pairs of a packet and a chain.
    let steady = check(1, 400, |r| r.below(40), 1000)
        + check(2, 60, |r| 400 + r.below(300), 2500)
        + check(3, 12, |r| 1500 + r.below(9000), 8000)
        + check(4, 200, |r| r.below(3), 20);
    assert!(steady > 200_000, "{steady} walks could be kept");
}

#[test]
fn more_rules_than_there_are_indices_are_refused() {
    let rule = Arc::new(Rule {
        key: RuleKey { menu: 0, item: 1 },
        text: 0,
        matches: Matches::default(),
        action: Action::Accept,
        log: false,
        last: false,
    });
    let with = |count: u32| {
        let mut chains = vec![Chain::default(); chain::COUNT as usize];
        chains[chain::FILTER_FORWARD as usize].rules = vec![Arc::clone(&rule); count as usize];
        Firewall { v4: Rules { chains, lists: Vec::new() }, ..Firewall::default() }
    };
    let full = encode(&with(RULES_MAX)).unwrap();
    assert_eq!(full.rules.len(), RULES_MAX as usize);
    // The last of all rules is found too.
    let mut cells = full.cells.clone();
    for placed in &full.rules[..full.rules.len() - 1] {
        let mut passing = *RuleCell::of(&cells[placed.cell as usize]);
        passing.action = action::PASSTHROUGH;
        cells[placed.cell as usize] = passing.cell();
    }
    let image = Image(cells.leak());
    let mut facts = Facts { family: 4, ..Facts::default() };
    let (mut walk, mut world) = (Walk::default(), World::default());
    assert_eq!(run(image, &mut walk, chain::FILTER_FORWARD, &mut facts, &mut world).0, verdict::ACCEPT);
    assert_eq!(walk.rule, RULES_MAX - 1);
    assert!(encode(&with(RULES_MAX + 1)).unwrap_err().0.contains("32769 rules"));
}

#[test]
fn a_million_hosts_are_found_and_others_are_not() {
    let mut r = Random(5);
    let mut entries: Vec<Range<u128>> =
        (0..200_000).map(|_| u128::from(r.next() as u32)).map(|host| (host, host)).collect();
    entries.push((0, 0));
    entries.push((0xffff_ffff, 0xffff_ffff));
    entries.push((0x0a00_0000, 0x0aff_ffff));
    let known: std::collections::HashSet<u128> = entries.iter().map(|(from, _)| *from).collect();
    let list = AddressList { name: "x".into(), id: 1, dynamic: false, entries: Arc::new(entries) };
    let rule = Rule {
        key: RuleKey { menu: 2, item: 1 },
        text: 0,
        matches: Matches { src_list: Some(Is { not: false, value: 0 }), ..Matches::default() },
        action: Action::Drop,
        log: false,
        last: false,
    };
    let mut chains = vec![Chain::default(); chain::COUNT as usize];
    chains[chain::RAW_PREROUTING as usize].rules.push(Arc::new(rule));
    let firewall = Firewall { v4: Rules { chains, lists: vec![list] }, ..Firewall::default() };
    let image = Image(encode(&firewall).unwrap().cells.leak());
    let probes: Vec<u128> =
        known.iter().copied().chain((0..200_000).map(|_| u128::from(r.next() as u32))).collect();
    for host in probes {
        let mut facts = Facts { family: 4, src: bytes(false, host), ..Facts::default() };
        let listed = known.contains(&host) || host >> 24 == 10;
        let said = run(image, &mut Walk::default(), chain::RAW_PREROUTING, &mut facts, &mut World::default());
        assert_eq!(said.0, if listed { verdict::DROP } else { verdict::NONE }, "{host:x}");
    }
}

#[test]
fn halves_are_those_of_the_address() {
    assert_eq!(halves(&bytes(true, 0x1122 << 112 | 7)), (0x1122 << 48, 7));
}
