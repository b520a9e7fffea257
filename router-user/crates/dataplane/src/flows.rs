//! The flow table as user space sees it: connections, how many there are, and their end.
//!
//! Entries are read while programs write them: an entry is copied, and what is read counts where its word is the same
//! before and after. User space changes nothing but the life of an entry, from live to dying.

use std::mem::offset_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{Ordering, fence};

use router_common::conntrack::icmp::kind;
use router_common::conntrack::tcp::state;
use router_common::maps::flow::{Entry, Flow4, Flow6, INGRESS_SHIFT, Tracking, decision, status};
use serde::{Deserialize, Serialize};

use crate::mapped::{Mapped, Plain};
use crate::maps::Maps;
use crate::{Count, Dataplane, Inspector, image};

/// Names an entry of the flow table during one life of its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionId {
    pub is_v6: bool,
    /// Of the direction that began.
    pub index: u32,
    /// Goes up with each new life of the place.
    pub version: u16,
}

/// The packets of one direction as they arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    pub src: IpAddr,
    pub dst: IpAddr,
    /// 0 where the protocol has none; of ICMP queries the identifier.
    pub src_port: u16,
    pub dst_port: u16,
    pub count: Count,
    /// Whether its packets take the fast path, by a decision of the present image.
    pub decided: bool,
    /// The path by which fast packets count for rules; 0: for none.
    pub path: u16,
    /// Counter index of the port by which decided packets arrive and leave; None: not decided, or the host.
    pub ingress: Option<u16>,
    pub egress: Option<u16>,
}

/// One tracked connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    pub protocol: u8,
    /// The ICMP type of a query.
    pub icmp_type: Option<u8>,
    pub original: Way,
    /// None: nothing is known of the answers, the entry is about to go.
    pub reply: Option<Way>,
    /// Bits of `router_common::maps::flow::status` that tell of the connection.
    pub status: u32,
    /// Connection mark.
    pub mark: Option<String>,
    /// Seconds until it is forgotten, unless packets come.
    pub timeout_s: u32,
}

impl Connection {
    /// The state of TCP by its name; None for other protocols.
    pub fn tcp_state(&self) -> Option<&'static str> {
        const TCP: u8 = 6;
        let number = (self.status & status::TCP) >> status::TCP_SHIFT;
        (self.protocol == TCP).then(|| state::name(number as u8))
    }

    pub fn has(&self, bit: u32) -> bool {
        self.status & bit != 0
    }
}

/// How many connections there are, and how many there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    pub v4: u32,
    pub v6: u32,
    pub most_v4: u32,
    pub most_v6: u32,
}

/// One entry of either family, in one shape.
struct Read {
    entry: Entry,
    src: IpAddr,
    dst: IpAddr,
    src_port: u16,
    dst_port: u16,
    protocol: u8,
    kind: u8,
    ingress: u16,
    path: u16,
    egress: u16,
}

trait Flow: Plain {
    const IS_V6: bool;
    /// Where the word of an entry stands.
    const WORD: usize;
    fn entry(&self) -> &Entry;
    fn read(&self) -> Read;
}

/// Ports, protocol, kind and ingress of the last word of a key, see `router_common::tuple::Tuple`.
fn last_word(word: u64) -> (u16, u16, u8, u8, u16) {
    let [a, b, c, d, protocol, kind, ..] = word.to_ne_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]), protocol, kind, (word >> INGRESS_SHIFT) as u16)
}

impl Flow for Flow4 {
    const IS_V6: bool = false;
    const WORD: usize = offset_of!(Flow4, entry) + offset_of!(Entry, word);

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn read(&self) -> Read {
        let [addresses, last] = self.key;
        let [a, b, c, d, e, f, g, h] = addresses.to_ne_bytes();
        let (src_port, dst_port, protocol, kind, ingress) = last_word(last);
        Read {
            entry: self.entry,
            src: Ipv4Addr::new(a, b, c, d).into(),
            dst: Ipv4Addr::new(e, f, g, h).into(),
            src_port,
            dst_port,
            protocol,
            kind,
            ingress,
            path: self.decision.path(),
            egress: self.decision.egress(),
        }
    }
}

impl Flow for Flow6 {
    const IS_V6: bool = true;
    const WORD: usize = offset_of!(Flow6, entry) + offset_of!(Entry, word);

    fn entry(&self) -> &Entry {
        &self.entry
    }

    fn read(&self) -> Read {
        let [a, b, c, d, last] = self.key;
        let address = |high: u64, low: u64| {
            let mut bytes = [0; 16];
            let words = high.to_ne_bytes().into_iter().chain(low.to_ne_bytes());
            bytes.iter_mut().zip(words).for_each(|(to, from)| *to = from);
            IpAddr::from(Ipv6Addr::from(bytes))
        };
        let (src_port, dst_port, protocol, kind, ingress) = last_word(last);
        Read {
            entry: self.entry,
            src: address(a, b),
            dst: address(c, d),
            src_port,
            dst_port,
            protocol,
            kind,
            ingress,
            path: self.decision.path(),
            egress: self.decision.egress(),
        }
    }
}

fn is_live(word: u64) -> bool {
    word as u32 & status::LIFE == status::LIVE
}

fn version(word: u64) -> u16 {
    (word >> status::VERSION_SHIFT) as u16
}

/// A live entry, as it was at one moment of one life; None where there is none.
fn whole<F: Flow>(table: &Mapped<F>, index: u32) -> Option<F> {
    // The first word's atomic load, and the fence before the second, order what is read between them.
    let word = table.long(index, F::WORD)?;
    let before = word.load(Ordering::Acquire);
    if !is_live(before) {
        return None;
    }
    let flow = table.read(index)?;
    fence(Ordering::Acquire);
    let after = word.load(Ordering::Relaxed);
    // Bits may change under a packet; another life may not have begun.
    (is_live(after) && version(after) == version(before)).then_some(flow)
}

/// Whether the entry still has the life that the word tells of.
fn is_alive<F: Flow>(table: &Mapped<F>, index: u32, word: u64) -> bool {
    fence(Ordering::Acquire);
    let now = table.long(index, F::WORD).map_or(0, |word| word.load(Ordering::Relaxed));
    is_live(now) && version(now) == version(word)
}

/// What the entries of a table are measured by.
struct Now<'t> {
    tick: u32,
    generation: u32,
    tracking: &'t Tracking,
    /// The name of a mark.
    mark: &'t dyn Fn(u32) -> Option<String>,
}

impl Now<'_> {
    /// Seconds that a connection of this class has left, of which the last packet was so many seconds ago.
    fn left(&self, word: u64, silent: u32) -> u32 {
        let class = (word as u32 & status::TIMEOUT) >> status::TIMEOUT_SHIFT;
        self.tracking.timeouts.seconds(class).saturating_sub(silent)
    }

    fn silent(&self, entry: &Entry) -> u32 {
        self.tick.wrapping_sub(entry.last_tick)
    }

    fn way(&self, read: &Read) -> Way {
        let entry = &read.entry;
        let decided_in = (entry.word & status::GENERATION) >> status::GENERATION_SHIFT;
        let decided = decided_in != 0 && decided_in as u16 == self.generation as u16;
        Way {
            src: read.src,
            dst: read.dst,
            src_port: read.src_port,
            dst_port: read.dst_port,
            count: Count { packets: entry.packets.into(), bytes: entry.bytes },
            decided,
            path: if decided { read.path } else { 0 },
            ingress: decided.then_some(read.ingress),
            egress: (decided && read.egress != decision::LOCAL).then_some(read.egress),
        }
    }
}

/// The connection whose first direction stands at `index`; None where no connection, or one that has expired, does.
fn connection<F: Flow>(table: &Mapped<F>, now: &Now<'_>, index: u32) -> Option<Connection> {
    let flow = whole(table, index)?;
    let word = flow.entry().word;
    if word as u32 & status::REPLY != 0 {
        return None;
    }
    let original = flow.read();
    let partner = whole(table, original.entry.partner).filter(|partner| partner.entry().partner == index);
    // Both may have become those of another connection in between.
    if !is_alive(table, index, word) {
        return None;
    }
    let reply = partner.map(|partner| partner.read());
    let silent =
        reply.iter().map(|reply| now.silent(&reply.entry)).fold(now.silent(&original.entry), u32::min);
    let class = (word as u32 & status::TIMEOUT) >> status::TIMEOUT_SHIFT;
    if silent > now.tracking.timeouts.seconds(class) {
        return None;
    }
    Some(Connection {
        id: ConnectionId { is_v6: F::IS_V6, index, version: version(word) },
        protocol: original.protocol,
        icmp_type: kind::message_type(original.kind),
        status: word as u32 & !(status::LIFE | status::TIMEOUT),
        mark: (now.mark)(original.entry.mark.into()),
        timeout_s: now.left(word, silent),
        original: now.way(&original),
        reply: reply.map(|reply| now.way(&reply)),
    })
}

impl Inspector {
    fn now<T>(&self, look: impl FnOnce(&Now<'_>) -> T) -> T {
        let control = self.maps.pulse().read();
        let tracking = self.maps.tracking.read(image::slot(control.generation)).unwrap_or_default();
        let mark = &|number| self.maps.rules.marks.name(number);
        look(&Now { tick: control.tick, generation: control.generation, tracking: &tracking, mark })
    }

    /// The connections of one family that have not expired, in the order of the table.
    pub fn connections(&self, is_v6: bool) -> Vec<Connection> {
        self.now(|now| match is_v6 {
            false => {
                (0..self.maps.unused.used(0)).filter_map(|i| connection(&self.maps.flows4, now, i)).collect()
            }
            true => {
                (0..self.maps.unused.used(1)).filter_map(|i| connection(&self.maps.flows6, now, i)).collect()
            }
        })
    }

    /// Counts them.
    pub fn fill(&self) -> Fill {
        let Maps { flows4, flows6, unused, .. } = &self.maps;
        self.now(|now| Fill {
            v4: (0..unused.used(0)).filter(|i| connection(flows4, now, *i).is_some()).count() as u32,
            v6: (0..unused.used(1)).filter(|i| connection(flows6, now, *i).is_some()).count() as u32,
            most_v4: flows4.len() / 2,
            most_v6: flows6.len() / 2,
        })
    }

    /// Settings of the active image.
    pub fn tracking(&self) -> Tracking {
        self.now(|now| *now.tracking)
    }
}

/// From live to dying, if the place still holds that life; whether it did.
fn kill<F: Flow>(table: &Mapped<F>, index: u32, wanted: u16) -> bool {
    let Some(word) = table.long(index, F::WORD) else { return false };
    let dying = |found: u64| {
        let ends = is_live(found) && version(found) == wanted;
        ends.then_some(found & !u64::from(status::LIFE) | u64::from(status::DYING))
    };
    word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, dying).is_ok()
}

fn end<F: Flow>(table: &Mapped<F>, id: ConnectionId) -> bool {
    let Some(flow) = whole(table, id.index).filter(|flow| version(flow.entry().word) == id.version) else {
        return false;
    };
    let partner = flow.entry().partner;
    let other = whole(table, partner).filter(|other| other.entry().partner == id.index);
    let ended = kill(table, id.index, id.version);
    if let (true, Some(other)) = (ended, other) {
        kill(table, partner, version(other.entry().word));
    }
    ended
}

impl Dataplane {
    /// Ends a connection: its next packet is looked at as if there had been none before. False where it has ended by
    /// itself.
    pub fn end_connection(&mut self, id: ConnectionId) -> bool {
        let maps = &self.inspector.maps;
        if id.is_v6 { end(&maps.flows6, id) } else { end(&maps.flows4, id) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::atomic::AtomicBool;
    use std::thread;

    use router_common::conntrack::timeout::{Class, Timeouts};
    use router_common::maps::flow::Decision;

    use super::*;

    const TICK: u32 = 1000;

    /// As programs do: out of its last life, busy, filled in, alive.
    fn begin_life(table: &Mapped<Flow4>, index: u32, fill: impl FnOnce(&mut Flow4), bits: u32) {
        let word = table.long(index, Flow4::WORD).unwrap();
        let busy = (version(word.load(Ordering::SeqCst)).wrapping_add(1) as u64) << status::VERSION_SHIFT
            | u64::from(status::BUSY);
        word.store(busy, Ordering::SeqCst);
        let mut flow = Flow4::default();
        fill(&mut flow);
        (flow.entry.word, flow.entry.last_tick) = (busy, TICK);
        table.write(index, &flow);
        let class = (Class::Established as u32) << status::TIMEOUT_SHIFT;
        let life = u64::from(status::LIVE ^ status::BUSY | class | bits);
        word.store(busy ^ life, Ordering::SeqCst);
    }

    fn end_life(table: &Mapped<Flow4>, index: u32) {
        let word = table.long(index, Flow4::WORD).unwrap();
        word.fetch_xor(u64::from(status::LIVE ^ status::DYING), Ordering::SeqCst);
    }

    /// Everything of a connection says the same number; its answers' entry lives before its own.
    fn connect(table: &Mapped<Flow4>, [original, reply]: [u32; 2], number: u32) {
        let addresses = u64::from(number) << 32 | u64::from(number);
        let fill = |partner: u32| {
            move |flow: &mut Flow4| {
                flow.key = [addresses, u64::from(number)];
                flow.entry.partner = partner;
                flow.entry.packets = number;
                flow.entry.bytes = u64::from(number);
                flow.decision = Decision::new(number as u16, 0, 0);
            }
        };
        begin_life(table, reply, fill(original), status::REPLY);
        begin_life(table, original, fill(reply), 0);
    }

    /// Ends the writer however the reader ends.
    struct Done<'f>(&'f AtomicBool);

    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What is printed is one connection: never half of it and half of that which came after it.
    #[test]
    fn a_reader_sees_whole_connections_while_their_entries_are_used_again() {
        const READS: u32 = 100_000;
        const CONNECTIONS: usize = 300;
        const PLACES: [u32; 2] = [3, 1];
        let table: Mapped<Flow4> = Mapped::anonymous(4);
        let tracking = Tracking { timeouts: Timeouts::default(), ..Tracking::default() };
        let now = Now { tick: TICK, generation: 1, tracking: &tracking, mark: &|_| None };
        let done = AtomicBool::new(false);
        let (mut reads, mut numbers) = (0, BTreeSet::new());
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    connect(&table, PLACES, number);
                    // Some live for as long as a look takes, some for less.
                    for _ in 0..number % 512 {
                        std::hint::spin_loop();
                    }
                    for index in PLACES {
                        end_life(&table, index);
                    }
                }
            });
            let _done = Done(&done);
            while reads < READS || numbers.len() < CONNECTIONS {
                reads += 1;
                let found = PLACES.map(|index| connection(&table, &now, index));
                assert!(found[1].is_none(), "answers are no connection: {found:?}");
                let Some(found) = &found[0] else { continue };
                let number = found.original.count.packets;
                numbers.insert(number);
                for way in [Some(&found.original), found.reply.as_ref()].into_iter().flatten() {
                    let IpAddr::V4(src) = way.src else { panic!("{way:?}") };
                    assert_eq!(way.src, way.dst, "{found:?}");
                    assert_eq!(u64::from(u32::from_ne_bytes(src.octets())), number, "{found:?}");
                    assert_eq!((way.count.packets, way.count.bytes), (number, number), "{found:?}");
                    assert_eq!(way.src_port, (number as u16).swap_bytes(), "{found:?}");
                }
            }
        });
    }
}
