//! The fast path: a packet of a flow for which it is decided what becomes of its packets.

use router_common::conntrack::{other, tcp};
use router_common::csum;
use router_common::cursor::Cursor;
use router_common::maps::flow::{Decision, Entry, Flow4, Flow6, INGRESS_SHIFT, status};
use router_common::tuple::{Key4, Key6, key4, key6};
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::{Halves, Ipv6, join};
use router_common::wire::l4::{Tcp, Udp};

use crate::flow::{self, Key};
use crate::maps;
use crate::pipeline::State;
use crate::stage::firewall::{epoch, is_decided};
use crate::stage::translate::delta;

/// What the table says of a packet, copied and then found to be of one life of the entry.
#[derive(Clone, Copy, Default)]
pub struct Hit<Address> {
    /// Whether there is anything.
    pub found: bool,
    pub rewrite: bool,
    pub src: Address,
    pub dst: Address,
    /// Both ports as they stand in the packet.
    pub ports: u32,
    pub decision: Decision,
    /// Its entry.
    pub index: u32,
}

/// [`State::stranger`]: whether the table has no entry for a packet that is no fragment.
pub mod stranger {
    pub const NO: u32 = 0;
    pub const YES: u32 = 1;
    /// Control segments of TCP are not looked up.
    pub const MAYBE: u32 = 2;
}

/// The upper layer's header, as far as it is of interest. All of it is always written: the verifier refuses what LLVM
/// reads of an enum's other variant ("R3 !read_ok").
#[derive(Clone, Copy, Default)]
struct Upper {
    /// Whether the packet can be one of the fast path.
    plain: bool,
    tcp: bool,
    window: u16,
    ports: u32,
    seq: u32,
    ack: u32,
    payload_bytes: u32,
}

#[inline(always)]
fn upper(cursor: &mut Cursor<'_>, protocol: u8, l4_bytes: u32) -> Upper {
    let mut upper = Upper::default();
    match protocol {
        other::TCP => {
            let Ok(header) = cursor.take::<Tcp>() else { return upper };
            let is_control = header.flags() & (tcp::flag::SYN | tcp::flag::FIN | tcp::flag::RST) != 0;
            let header_bytes = header.header_bytes();
            upper.plain = !is_control
                && header.flags() & tcp::flag::ACK != 0
                && header_bytes >= 20
                && header_bytes <= l4_bytes;
            upper.tcp = true;
            upper.ports = header.ports();
            upper.seq = header.seq();
            upper.ack = header.ack();
            upper.window = header.window();
            upper.payload_bytes = l4_bytes.wrapping_sub(header_bytes);
        }
        other::UDP => {
            let Ok(header) = cursor.take::<Udp>() else { return upper };
            upper.plain = true;
            upper.ports = header.ports();
        }
        // Identifiers, or ports that are not worth a way of their own.
        other::ICMP | other::ICMPV6 | other::UDP_LITE | other::SCTP | other::DCCP => {}
        _ => upper.plain = true,
    }
    upper
}

/// Whether the entry's decision holds for this packet: its status word, or 0. Notes when it came if so.
#[inline(always)]
fn take(
    s: &State,
    entry: *mut Entry,
    ingress: u64,
    upper: &Upper,
    family: u32,
    index: u32,
    guard: impl FnOnce() -> u16,
) -> u64 {
    let word = flow::word(entry);
    if !is_decided(word, s.now.generation) || ingress != u64::from(s.port_index) {
        return 0;
    }
    // SAFETY: an entry of the table; single words.
    unsafe {
        if word as u32 & status::GUARDED != 0 && (*entry).guard != guard() {
            return 0;
        }
        let last = (*entry).last_tick;
        if last != s.now.tick {
            let class = (word as u32 & status::TIMEOUT) >> status::TIMEOUT_SHIFT;
            // What may have expired, and what may have become a stream, is looked at.
            let timeout =
                maps::tracking(s.now.generation).map_or(0, |settings| settings.timeouts.seconds(class));
            if s.now.tick.wrapping_sub(last) > timeout || class == tracks_age() {
                return 0;
            }
            (*entry).last_tick = s.now.tick;
        }
        if upper.tcp
            && let Some(side) = maps::side(family, index)
        {
            (*side).tcp.record(upper.seq, upper.ack, upper.window, upper.payload_bytes);
        }
    }
    word
}

/// Counts a packet of the entry, once it is certain that the slow path will not.
#[inline(always)]
pub fn count(s: &State, index: u32, packets: u64) {
    let Some(entry) = maps::entry(s.family, index) else { return };
    // SAFETY: an entry of the table; single words.
    unsafe {
        (*entry).packets = (*entry).packets.wrapping_add(packets as u32);
        (*entry).bytes = (*entry).bytes.wrapping_add(u64::from(s.length));
    }
}

/// The sum of the epochs of the addresses that dynamic lists are asked for: [`router_common::maps::flow::Entry::guard`].
#[inline(always)]
fn guard(src: Halves, dst: Halves, new_dst: Halves) -> u16 {
    let sum = epoch(&join(src)).wrapping_add(epoch(&join(dst)));
    if new_dst == dst { sum } else { sum.wrapping_add(epoch(&join(new_dst))) }
}

/// Number of the class of timeouts that a connection leaves by age.
#[inline(always)]
const fn tracks_age() -> u32 {
    router_common::conntrack::timeout::Class::Udp as u32
}

#[inline(always)]
pub fn find4(s: &mut State, header: &Ipv4, cursor: &mut Cursor<'_>) -> Hit<u32> {
    let none = Hit::default();
    if header.has_options() || header.is_fragment() {
        return none;
    }
    let protocol = header.protocol();
    let upper = upper(cursor, protocol, s.length.wrapping_sub(20));
    if !upper.plain {
        s.stranger = if upper.tcp { stranger::MAYBE } else { stranger::YES };
        return none;
    }
    let (src, dst) = (u32::from_ne_bytes(header.src()), u32::from_ne_bytes(header.dst()));
    let key = key4(src, dst, upper.ports, protocol, 0);
    let index = flow::find(Key::v4(key));
    let Some(found) = maps::flow4(index) else {
        s.stranger = stranger::YES;
        return none;
    };
    hit4(s, key, found, &upper, index)
}

#[inline(always)]
fn hit4(s: &State, key: Key4, found: *mut Flow4, upper: &Upper, index: u32) -> Hit<u32> {
    // SAFETY: an entry of the table. The copy is only used if the entry has not begun another life meanwhile.
    unsafe {
        let entry = &raw mut (*found).entry;
        let [addresses, _] = key;
        let guard = || {
            let (src, dst) = (addresses & 0xffff_ffff, addresses >> 32);
            let new = u64::from((&raw const (*found).new_dst).cast::<u32>().read_volatile());
            guard((src, 0), (dst, 0), (new, 0))
        };
        let word =
            take(s, entry, flow::read(&raw const (*found).key, 1) >> INGRESS_SHIFT, upper, 4, index, guard);
        if word == 0 {
            return Hit::default();
        }
        let mut hit = Hit {
            found: true,
            rewrite: word as u32 & status::REWRITE != 0,
            src: (&raw const (*found).new_src).cast::<u32>().read_volatile(),
            dst: (&raw const (*found).new_dst).cast::<u32>().read_volatile(),
            ports: (&raw const (*found).new_ports).cast::<u32>().read_volatile(),
            decision: (&raw const (*found).decision).read_volatile(),
            index,
        };
        hit.found = flow::word(entry) == word;
        hit
    }
}

#[inline(always)]
pub fn find6(s: &mut State, header: &Ipv6, cursor: &mut Cursor<'_>) -> Hit<Halves> {
    let protocol = header.next_header();
    let none = Hit::default();
    if router_common::wire::ipv6::next::is_extension(protocol) {
        return none;
    }
    let upper = upper(cursor, protocol, s.length.wrapping_sub(40));
    if !upper.plain {
        s.stranger = if upper.tcp { stranger::MAYBE } else { stranger::YES };
        return none;
    }
    let key = key6(header.src_halves(), header.dst_halves(), upper.ports, protocol, 0);
    let index = flow::find(Key::v6(key));
    let Some(found) = maps::flow6(index) else {
        s.stranger = stranger::YES;
        return none;
    };
    hit6(s, key, found, &upper, index)
}

#[inline(always)]
fn hit6(s: &State, key: Key6, found: *mut Flow6, upper: &Upper, index: u32) -> Hit<Halves> {
    // SAFETY: as for hit4.
    unsafe {
        let entry = &raw mut (*found).entry;
        let [a, b, c, d, _] = key;
        let guard = || {
            let new = (&raw const (*found).new_dst).cast::<[u64; 2]>();
            guard((a, b), (c, d), (flow::read(new, 0), flow::read(new, 1)))
        };
        let word =
            take(s, entry, flow::read(&raw const (*found).key, 4) >> INGRESS_SHIFT, upper, 6, index, guard);
        if word == 0 {
            return Hit::default();
        }
        let (src, dst) = (
            (&raw const (*found).new_src).cast::<[u64; 2]>(),
            (&raw const (*found).new_dst).cast::<[u64; 2]>(),
        );
        let mut hit = Hit {
            found: true,
            rewrite: word as u32 & status::REWRITE != 0,
            src: (flow::read(src, 0), flow::read(src, 1)),
            dst: (flow::read(dst, 0), flow::read(dst, 1)),
            ports: (&raw const (*found).new_ports).cast::<u32>().read_volatile(),
            decision: (&raw const (*found).decision).read_volatile(),
            index,
        };
        hit.found = flow::word(entry) == word;
        hit
    }
}

/// XDP: writes addresses, ports and checksums of a plain TCP or UDP packet. `cursor` stands behind the header.
#[inline(always)]
pub fn rewrite4(header: &mut Ipv4, mut cursor: Cursor<'_>, hit: &Hit<u32>) -> Option<()> {
    let (src, dst) = (u32::from_ne_bytes(header.src()), u32::from_ne_bytes(header.dst()));
    let changed = delta(src, hit.src) + delta(dst, hit.dst);
    let protocol = header.protocol();
    header.readdress(hit.src.to_ne_bytes(), hit.dst.to_ne_bytes(), changed);
    rewrite_upper(&mut cursor, protocol, hit.ports, changed)
}

/// As [`rewrite4`].
#[inline(always)]
pub fn rewrite6(header: &mut Ipv6, mut cursor: Cursor<'_>, hit: &Hit<Halves>) -> Option<()> {
    let changed = delta6(header.src_halves(), hit.src) + delta6(header.dst_halves(), hit.dst);
    let protocol = header.next_header();
    header.readdress(hit.src, hit.dst);
    rewrite_upper(&mut cursor, protocol, hit.ports, changed)
}

#[inline(always)]
fn delta6(old: Halves, new: Halves) -> u64 {
    let word =
        |old: u64, new: u64| delta(old as u32, new as u32) + delta((old >> 32) as u32, (new >> 32) as u32);
    word(old.0, new.0) + word(old.1, new.1)
}

#[inline(always)]
fn rewrite_upper(cursor: &mut Cursor<'_>, protocol: u8, ports: u32, changed: u64) -> Option<()> {
    match protocol {
        other::TCP => {
            let header = cursor.take::<Tcp>().ok()?;
            let sum = csum::changed(header.checksum(), changed + delta(header.ports(), ports));
            header.set_ports(ports);
            header.set_checksum(sum);
        }
        other::UDP => {
            let header = cursor.take::<Udp>().ok()?;
            let old = header.checksum();
            if old != 0 {
                let sum = csum::changed(old, changed + delta(header.ports(), ports));
                // 0 would say that there is none (RFC 768).
                header.set_checksum(if sum == 0 { 0xffff } else { sum });
            }
            header.set_ports(ports);
        }
        _ => {}
    }
    Some(())
}
