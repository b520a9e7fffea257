//! The state machine of TCP against the kernel's own: the same segments in lockstep through a namespace that tracks
//! connections with netfilter, and through `router_common::conntrack::tcp`.

use std::{
    collections::{HashMap, HashSet},
    net::{Ipv4Addr, SocketAddrV4},
    os::fd::OwnedFd,
};

use etherparse::PacketBuilder;
use lab::Netns;
use router_common::conntrack::{
    tcp::{Direction, Segment, Step, Verdict, context, flag, scale, state},
    timeout::{Class, Timeouts},
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with};

const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 9, 2, 1);
/// Connections at a time, each with a client port of its own, and segments of each.
const FLOWS: u16 = 1500;
const SEGMENTS: u32 = 14;
const FIRST_PORT: u16 = 20_000;

/// Timeouts of the kernel, in seconds: all of them differ by more than the test takes.
const TIMEOUTS: [(&str, Class, u32); 10] = [
    ("syn_sent", Class::SynSent, 10_000),
    ("syn_recv", Class::SynReceived, 20_000),
    ("established", Class::Established, 90_000),
    ("fin_wait", Class::FinWait, 30_000),
    ("close_wait", Class::CloseWait, 40_000),
    ("last_ack", Class::LastAck, 50_000),
    ("time_wait", Class::TimeWait, 60_000),
    ("close", Class::Close, 65_000),
    ("max_retrans", Class::MaxRetrans, 80_000),
    ("unacknowledged", Class::Unacked, 85_000),
];

/// A connection as our tables would keep it.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    client: Direction,
    server: Direction,
    state: u8,
    class: u32,
    seen_reply: bool,
    assured: bool,
    is_there: bool,
    /// Its beginning was not seen.
    is_taken_up: bool,
}

impl Flow {
    /// Whether the segment is invalid.
    fn meet(&mut self, reply: bool, segment: Segment) -> bool {
        let mut bits = context::LOOSE;
        bits |= if reply { context::REPLY } else { 0 };
        bits |= if self.seen_reply { context::SEEN_REPLY } else { 0 };
        bits |= if self.assured { context::ASSURED } else { 0 };
        let (own, partner) = if reply { (self.server, self.client) } else { (self.client, self.server) };
        let mut step = Step { own, partner, segment, state: self.state, context: bits, ..Step::default() };
        let verdict: Verdict = if self.is_there { step.judge() } else { step.open() };
        if verdict.is_invalid() {
            return true;
        }
        if verdict.is_reopened() {
            *self = Flow::default();
            return self.meet(reply, segment);
        }
        (self.server, self.client) = if reply { (step.own, step.partner) } else { (step.partner, step.own) };
        self.is_taken_up |= !self.is_there && segment.flags & flag::SYN == 0;
        self.is_there = true;
        self.seen_reply |= reply;
        self.assured |= verdict.is_assured();
        self.state = verdict.state();
        if !verdict.keeps_timer() || self.class == 0 {
            self.class = verdict.class();
        }
        if verdict.is_removed() {
            *self = Flow::default();
        }
        false
    }
}

/// What the kernel says of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    state: &'static str,
    seconds: u32,
    seen_reply: bool,
    assured: bool,
}

/// A router that tracks connections, a host that sends for both ends, and a sink for what the router forwards.
struct Kernel {
    router: Netns,
    socket: OwnedFd,
    _others: [Netns; 2],
}

impl Kernel {
    fn start() -> Kernel {
        let create = |role| Netns::create(&format!("lab-oracle-{}-{role}", std::process::id())).unwrap();
        let (host, router, sink) = (create("h"), create("r"), create("s"));
        router.ip(&format!("link add in0 type veth peer name eth0 netns {}", host.name())).unwrap();
        router.ip(&format!("link add out0 type veth peer name eth0 netns {}", sink.name())).unwrap();
        host.ip("link set eth0 up").unwrap();
        sink.ip("link set eth0 up").unwrap();
        for line in ["link set in0 up", "link set out0 up", "address add 10.8.0.1/24 dev in0"] {
            router.ip(line).unwrap();
        }
        host.ip("address add 10.8.0.2/24 dev eth0").unwrap();
        host.ip("route add default via 10.8.0.1").unwrap();
        // Both ends are behind the sink, which takes everything.
        router.ip("route add 10.9.0.0/16 dev out0").unwrap();
        for address in [CLIENT, SERVER] {
            router
                .ip(&format!("neighbour add {address} lladdr 02:00:00:00:00:01 dev out0 nud permanent"))
                .unwrap();
        }
        router.sysctl("net.ipv4.ip_forward", "1").unwrap();
        for scope in ["all", "in0"] {
            router.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0").unwrap();
        }
        let rules = "add table ip t
            add set ip t invalid { type inet_service; flags dynamic; size 65535; }
            add chain ip t p { type filter hook prerouting priority 0; }
            add rule ip t p ip saddr 10.9.1.1 ct state invalid add @invalid { tcp sport }
            add rule ip t p ip saddr 10.9.2.1 ct state invalid add @invalid { tcp dport }";
        for line in rules.lines() {
            router.run(&format!("nft {}", line.trim())).unwrap();
        }
        router.sysctl("net.netfilter.nf_conntrack_checksum", "0").unwrap();
        for (name, _, seconds) in TIMEOUTS {
            router
                .sysctl(&format!("net.netfilter.nf_conntrack_tcp_timeout_{name}"), &seconds.to_string())
                .unwrap();
        }
        let socket = host
            .enter(|| {
                socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::empty(), Some(ipproto::RAW))
            })
            .unwrap()
            .unwrap();
        Kernel { router, socket, _others: [host, sink] }
    }

    fn send(&self, port: u16, reply: bool, segment: Segment) {
        let (source, destination) = if reply { (SERVER, CLIENT) } else { (CLIENT, SERVER) };
        let (from, to) = if reply { (80, port) } else { (port, 80) };
        let mut builder = PacketBuilder::ipv4(source.octets(), destination.octets(), 64).tcp(
            from,
            to,
            segment.seq,
            segment.window,
        );
        if segment.flags & flag::ACK != 0 {
            builder = builder.ack(segment.ack);
        }
        if segment.scale != scale::NONE {
            builder = builder.options_raw(&[1, 3, 3, segment.scale]).unwrap();
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &vec![0; segment.payload_bytes as usize]).unwrap();
        // The builder has no way to set all flags at once.
        bytes[20 + 13] = segment.flags;
        sendto(&self.socket, &bytes, SendFlags::empty(), &SocketAddrV4::new(destination, 0)).unwrap();
    }

    /// Ports of connections whose last segment was invalid.
    fn invalid(&self) -> HashSet<u16> {
        let text = self.router.run("nft list set ip t invalid").unwrap();
        self.router.run("nft flush set ip t invalid").unwrap();
        let elements =
            text.split_once("elements = {").map_or("", |(_, rest)| rest.split('}').next().unwrap());
        elements.split(',').filter_map(|port| port.trim().parse().ok()).collect()
    }

    fn entries(&self) -> HashMap<u16, Entry> {
        let text = self
            .router
            .enter(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack"))
            .unwrap()
            .unwrap();
        let states = [
            ("SYN_SENT2", "syn-sent2"),
            ("SYN_SENT", "syn-sent"),
            ("SYN_RECV", "syn-received"),
            ("ESTABLISHED", "established"),
            ("FIN_WAIT", "fin-wait"),
            ("CLOSE_WAIT", "close-wait"),
            ("LAST_ACK", "last-ack"),
            ("TIME_WAIT", "time-wait"),
            ("CLOSE", "close"),
        ];
        let mut entries = HashMap::new();
        for line in text.lines().filter(|line| line.contains(" tcp ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let port = words.iter().find_map(|word| word.strip_prefix("sport=")).unwrap().parse().unwrap();
            let state =
                states.iter().find(|(theirs, _)| *theirs == words[5]).map_or("none", |(_, ours)| ours);
            let seconds = words[4].parse().unwrap();
            let seen_reply = !line.contains("[UNREPLIED]");
            entries.insert(port, Entry { state, seconds, seen_reply, assured: line.contains("[ASSURED]") });
        }
        entries
    }
}

/// Numbers from a fixed seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((self.0 >> 33) as u32) % limit
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u32) as usize]
    }
}

/// A segment that is likely enough in the connection's state to be about it.
fn segment(chance: &mut Chance, flow: &Flow, reply: bool) -> Segment {
    let (own, partner) = if reply { (&flow.server, &flow.client) } else { (&flow.client, &flow.server) };
    let next = if own.is_seen() {
        own.end
    } else if reply {
        500_000
    } else {
        100_000
    };
    let acks = if partner.is_seen() { partner.end } else { 0 };
    use flag::{ACK, FIN, PSH, RST, SYN};
    let flags = if !flow.is_there && chance.below(8) != 0 {
        SYN
    } else if reply && flow.state == state::SYN_SENT && chance.below(4) != 0 {
        SYN | ACK
    } else if chance.below(3) != 0 {
        ACK
    } else {
        chance.of(&[SYN, SYN | ACK, FIN | ACK, FIN | ACK, FIN | ACK | PSH, RST, RST | ACK, ACK, SYN | FIN, 0])
    };
    let payload_bytes = if flags & (SYN | RST) == 0 { chance.of(&[0, 0, 0, 1, 100, 500]) } else { 0 };
    // Well inside or well outside: how far below the window a segment still counts as late is not the same.
    let seq = match chance.below(8) {
        0 => next.wrapping_add(chance.of(&[1, 2, 100, 100_000, 1 << 30])),
        1 => next.wrapping_sub(chance.of(&[1, 2, 100, 300_000, 1 << 30])),
        _ if flags & RST != 0 && partner.is_acked() => partner.ack,
        _ => next,
    };
    let ack = match chance.below(8) {
        0 => acks.wrapping_add(chance.of(&[1, 2, 100, 1 << 30])),
        1 => acks.wrapping_sub(chance.of(&[1, 2, 100, 300_000, 1 << 30])),
        _ => acks,
    };
    let scale =
        if flags & SYN != 0 && chance.below(2) == 0 { chance.of(&[0, 2, 7, 14]) } else { scale::NONE };
    Segment {
        seq,
        ack: if flags & ACK == 0 { 0 } else { ack },
        payload_bytes,
        window: chance.of(&[1000, 1000, 2000, 8000]),
        flags,
        scale,
    }
}

#[test]
fn tcp_states_are_the_kernels() {
    lab::need_root!();
    if !std::path::Path::new("/proc/net/nf_conntrack").exists() {
        lab::skip!("the kernel does not list connections in /proc");
    }
    let kernel = Kernel::start();
    let mut chance = Chance(0x5eed);
    let mut flows = vec![Flow::default(); FLOWS.into()];
    let mut past = vec![String::new(); FLOWS.into()];
    let (mut compared, mut timed, mut other_timers) = (0, 0, 0);
    let mut timeouts = Timeouts::default();
    for (_, class, seconds) in TIMEOUTS {
        timeouts.set(class, seconds);
    }
    let mut different = Vec::new();
    let mut over = HashSet::new();
    for _ in 0..SEGMENTS {
        let (mut ours, mut resets) = (HashSet::new(), HashSet::new());
        for (n, flow) in (0..).zip(&mut flows) {
            let reply = flow.is_there && chance.below(2) == 0;
            let segment = segment(&mut chance, flow, reply);
            past[usize::from(n)] +=
                &format!("  {} {:?}\n    {:?}\n", if reply { "reply" } else { "original" }, segment, flow);
            // It would begin a connection of the other direction, which has other ports.
            if reply && flow.state == state::TIME_WAIT && segment.flags & flag::SYN != 0 {
                continue;
            }
            // Resets from behind what was sent: here they do not end a connection that was taken up in its middle.
            if flow.is_taken_up && segment.flags & flag::RST != 0 {
                continue;
            }
            // A SYN-ACK that acknowledges no SYN: the kernel keeps its sequence number all the same.
            if flow.state == state::SYN_SENT
                && segment.flags == flag::SYN | flag::ACK
                && segment.ack != flow.client.end
            {
                continue;
            }
            // Here a SYN always begins anew what was reset, there only if the client itself had ended it.
            if flow.state == state::CLOSE && segment.flags & flag::SYN != 0 {
                continue;
            }
            // There such a SYN-ACK forgets what the other side offers.
            if flow.state == state::SYN_RECEIVED && !reply && segment.flags == flag::SYN | flag::ACK {
                continue;
            }
            // Data behind the first of a server whose SYN-ACK nobody has acknowledged.
            let partner = if reply { flow.client } else { flow.server };
            if partner.is_seen() && !partner.is_acked() && segment.flags & (flag::SYN | flag::RST) == 0 {
                continue;
            }
            kernel.send(FIRST_PORT + n, reply, segment);
            // A reset a little behind the window is invalid here, and passed over there.
            if segment.flags & flag::RST != 0 {
                resets.insert(FIRST_PORT + n);
            }
            if flow.meet(reply, segment) {
                ours.insert(FIRST_PORT + n);
            }
        }
        let (theirs, entries) = (kernel.invalid(), kernel.entries());
        for (n, flow) in (0..).zip(&flows) {
            let port = FIRST_PORT + n;
            if over.contains(&port) {
                continue;
            }
            let name = if flow.state == state::SYN_SENT2 { "syn-sent2" } else { state::name(flow.state) };
            let ours_s = timeouts.tcp_seconds(flow.class, &flow.client, &flow.server);
            if let Some(entry) = entries.get(&port) {
                timed += 1;
                if !(entry.seconds <= ours_s && entry.seconds + 60 > ours_s) {
                    other_timers += 1;
                }
            }
            let expected = flow.is_there.then_some((name, flow.seen_reply, flow.assured));
            let found = entries.get(&port).map(|entry| (entry.state, entry.seen_reply, entry.assured));
            compared += 1;
            let invalid = (ours.contains(&port), theirs.contains(&port));
            if found != expected || (invalid.0 != invalid.1 && !resets.contains(&port)) {
                over.insert(port);
                different.push(format!(
                    "ours {expected:?} kernel {found:?}, invalid {invalid:?}\n{}",
                    past[usize::from(n)]
                ));
            }
        }
    }
    for text in different.iter().take(5) {
        eprintln!("{text}");
    }
    // What is left are segments that no TCP sends: resets and SYNs whose window the kernel takes for an offer, data far
    // beyond it. Anything wrong in the table or the windows shows in a hundred times as many.
    assert!(different.len() * 1000 < compared, "{} of {compared} differ", different.len());
    // The kernel notes what is not acknowledged when it is sent, here the records are looked at afterwards.
    assert!(other_timers * 20 < timed, "{other_timers} of {timed} timers differ");
}
