//! Where does the packet go? The kernel's FIB answers; the answer is remembered per destination and ingress port.

use aya_ebpf::bindings::{
    BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_FWD_DISABLED, BPF_FIB_LKUP_RET_NO_NEIGH,
    BPF_FIB_LKUP_RET_NOT_FWDED, BPF_FIB_LKUP_RET_PROHIBIT, BPF_FIB_LKUP_RET_SUCCESS,
    BPF_FIB_LKUP_RET_UNREACHABLE, BPF_FIB_LKUP_RET_UNSUPP_LWT, BPF_FIB_LOOKUP_DIRECT,
    BPF_FIB_LOOKUP_SKIP_NEIGH, BPF_FIB_LOOKUP_SRC, BPF_FIB_LOOKUP_TBID, bpf_fib_lookup as Params,
};
use aya_ebpf::helpers::generated::{bpf_check_mtu, bpf_fib_lookup};
use router_common::address::{Kind, is_solicited_node, kind4, kind6};
use router_common::hash;
use router_common::maps::control::flag;
use router_common::maps::port::port_flag;
use router_common::maps::route::{NextHop, Route4, Route6, kind, table};
use router_common::verdict::Reason;
use router_common::wire::icmp;
use router_common::wire::ipv6::{HEADER_BYTES, Halves, next, pairs, words};

use crate::global;
use crate::maps;
use crate::packet::Packet;
use crate::pipeline::{Exit, State};

/// A question to the FIB, and its answer. It stands in the program's scratch memory.
pub struct Fib(&'static mut Params);

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

impl Fib {
    #[inline(always)]
    fn new<P: Packet>(family: u8, ingress: u32) -> Result<Fib, Exit> {
        const { assert!(size_of::<Params>() == size_of::<[u64; 8]>()) };
        let scratch = maps::scratch(P::SCRATCH).ok_or(Reason::Internal)?;
        scratch.fib = [0; 8];
        // SAFETY: a plain C struct of integers and unions of integers, of that size and less alignment.
        let params: &'static mut Params = unsafe { &mut *(&raw mut scratch.fib).cast() };
        params.family = family;
        params.ifindex = ingress;
        // Not 0: in tc the helper then answers with the route's MTU instead of checking against the device's
        // (net/core/filter.c, bpf_skb_fib_lookup).
        params.__bindgen_anon_1.tot_len = 1;
        Ok(Fib(params))
    }

    /// The answer to the last question of this program.
    #[inline(always)]
    pub fn answered<P: Packet>() -> Option<Fib> {
        let scratch = maps::scratch(P::SCRATCH)?;
        // SAFETY: as in `new`.
        Some(Fib(unsafe { &mut *(&raw mut scratch.fib).cast() }))
    }

    #[inline(always)]
    pub fn ipv4<P: Packet>(ingress: u32, source: [u8; 4], destination: [u8; 4]) -> Result<Fib, Exit> {
        let fib = Fib::new::<P>(AF_INET, ingress)?;
        fib.0.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(source);
        fib.0.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(destination);
        Ok(fib)
    }

    #[inline(always)]
    pub fn ipv6<P: Packet>(ingress: u32, source: Halves, destination: Halves) -> Result<Fib, Exit> {
        let fib = Fib::new::<P>(AF_INET6, ingress)?;
        fib.0.__bindgen_anon_3.ipv6_src = words(source);
        fib.0.__bindgen_anon_4.ipv6_dst = words(destination);
        Ok(fib)
    }

    #[inline(always)]
    fn ask_with<P: Packet>(&mut self, packet: P, flags: u32) -> u32 {
        // SAFETY: the context is this program's own, the size that of the struct.
        unsafe {
            bpf_fib_lookup(packet.context(), &raw mut *self.0, size_of::<Params>() as i32, flags) as u32
        }
    }

    /// One of `BPF_FIB_LKUP_RET_*`; a negative error shows as none of them. What the table of [`table`] has no route for
    /// is asked of all others.
    #[inline(always)]
    pub fn ask<P: Packet>(&mut self, packet: P, number: u32, flags: u32) -> u32 {
        let mut result = BPF_FIB_LKUP_RET_NOT_FWDED;
        if number != table::NONE {
            self.0.__bindgen_anon_5.tbid = table::kernel(number);
            result = self.ask_with(packet, flags | BPF_FIB_LOOKUP_DIRECT | BPF_FIB_LOOKUP_TBID);
        }
        if result == BPF_FIB_LKUP_RET_NOT_FWDED {
            self.0.__bindgen_anon_5.tbid = 0;
            result = self.ask_with(packet, flags);
        }
        result
    }

    /// Asks for the source that the route prefers, or else the egress port's address towards the next hop (kernel 6.7
    /// and later; those before refuse). As [`Fib::ask`].
    #[inline(always)]
    pub fn ask_source<P: Packet>(&mut self, packet: P, number: u32) -> u32 {
        self.ask(packet, number, BPF_FIB_LOOKUP_SRC | BPF_FIB_LOOKUP_SKIP_NEIGH)
    }

    /// The answer to [`Fib::ask_source`].
    #[inline(always)]
    pub fn source(&self) -> Halves {
        // SAFETY: all bytes of the union are initialised.
        let [a, b, c, d] = unsafe { self.0.__bindgen_anon_3.ipv6_src };
        if self.0.family == AF_INET6 { pairs([a, b, c, d]) } else { (u64::from(a), 0) }
    }

    #[inline(always)]
    pub fn egress(&self) -> u32 {
        self.0.ifindex
    }

    /// The route's MTU, where there is a neighbour.
    #[inline(always)]
    fn mtu_bytes(&self) -> u32 {
        // SAFETY: all bytes of the union are initialised; the helper writes mtu_result where it succeeds.
        u32::from(unsafe { self.0.__bindgen_anon_1.mtu_result })
    }

    #[inline(always)]
    pub fn has_neighbor(&self) -> bool {
        self.0.dmac != [0; 6]
    }

    /// Destination and source MAC of the frame.
    #[inline(always)]
    pub fn macs(&self) -> ([u8; 6], [u8; 6]) {
        (self.0.dmac, self.0.smac)
    }

    /// The next hop's address in four words and its family, 4 or 6. IPv4 stands in the first word.
    #[inline(always)]
    pub fn gateway(&self) -> ([u32; 4], u8) {
        // SAFETY: all bytes of the union are initialised; for IPv4 the helper writes the first word.
        let [a, b, c, d] = unsafe { self.0.__bindgen_anon_4.ipv6_dst };
        if self.0.family == AF_INET6 { ([a, b, c, d], 6) } else { ([a, 0, 0, 0], 4) }
    }

    /// Fills in the ports, for policy rules and multipath hashes that look at them.
    #[inline(always)]
    fn set_ports<P: Packet>(&mut self, packet: P, protocol: u8, offset: u32) {
        // TCP, UDP, DCCP, SCTP, UDP-Lite: both ports come first.
        if let 6 | 17 | 33 | 132 | 136 = protocol
            && let Some([a, b, c, d]) = packet.load::<4>(offset)
        {
            self.0.l4_protocol = protocol;
            self.0.sport = u16::from_ne_bytes([a, b]);
            self.0.dport = u16::from_ne_bytes([c, d]);
        }
    }
}

/// 0 where a remembered answer was given to the same question in the same state of things. One number, so that the fast
/// path has one branch.
#[inline(always)]
fn differences(s: &State, [epoch, generation, ingress]: [u32; 3], next_hop: &NextHop) -> u32 {
    (epoch ^ s.now.epoch)
        | (generation ^ s.now.generation)
        | (ingress ^ s.ingress)
        | (u32::from(next_hop.table) ^ s.table)
}

/// What the answer depends on beside the destination.
#[inline(always)]
fn origin(s: &State) -> u32 {
    s.ingress ^ s.table << 24
}

#[inline(always)]
pub fn find4<P: Packet>(packet: P, s: &mut State, destination: [u8; 4]) -> Result<&'static mut Route4, Exit> {
    let slot = hash::slot4(u32::from_ne_bytes(destination), origin(s));
    let route = maps::route4(slot).ok_or(Reason::Internal)?;
    let other = differences(s, [route.epoch, route.generation, route.ingress], &route.next_hop);
    if other | (u32::from_ne_bytes(route.destination) ^ u32::from_ne_bytes(destination)) != 0 {
        s.destination = [u64::from(u32::from_ne_bytes(destination)), 0];
        Exit::unpack(packet.route4(s))?;
    }
    Ok(route)
}

#[inline(always)]
pub fn find6<P: Packet>(packet: P, s: &mut State, (high, low): Halves) -> Result<&'static mut Route6, Exit> {
    let slot = hash::slot6(high, low, origin(s));
    let route = maps::route6(slot).ok_or(Reason::Internal)?;
    let other = differences(s, [route.epoch, route.generation, route.ingress], &route.next_hop);
    let known = maps::read6(&route.destination);
    if u64::from(other) | (known.0 ^ high) | (known.1 ^ low) != 0 {
        s.destination = [high, low];
        Exit::unpack(packet.route6(s))?;
    }
    Ok(route)
}

/// An epoch that no packet carries: the entry serves the packet at hand alone.
#[inline(always)]
fn epoch(s: &State, keep: bool) -> u32 {
    if keep { s.now.epoch } else { s.now.epoch.wrapping_sub(1) }
}

/// Asks the FIB and remembers the answer. The entry is written in place, so that no copy of it stands on the stack.
#[inline(always)]
pub fn learn4<P: Packet>(packet: P, s: &mut State) -> u32 {
    let learned = (|| {
        let header = packet.load::<20>(s.l2_bytes).ok_or(Reason::MalformedHeader)?;
        let [first, tos, _, _, _, _, high, low, _, protocol, _, _, a, b, c, d, ..] = header;
        let [destination, _] = s.destination;
        let (source, destination) = ([a, b, c, d], (destination as u32).to_ne_bytes());
        let slot = hash::slot4(u32::from_ne_bytes(destination), origin(s));
        let route = maps::route4(slot).ok_or(Reason::Internal)?;
        route.destination = destination;
        route.next_hop.table = s.table as u8;
        route.ingress = s.ingress;
        route.generation = s.now.generation;
        route.epoch = epoch(s, false);
        if sort4(s, destination)? {
            route.next_hop.kind = kind::LOCAL;
            route.epoch = epoch(s, true);
            return Ok(());
        }
        let mut fib = Fib::ipv4::<P>(s.ingress, source, destination)?;
        fib.0.__bindgen_anon_2.tos = tos;
        let later_fragment = u16::from_be_bytes([high, low]) & 0x1fff != 0;
        if s.now.flags & flag::CACHE_ROUTES == 0 && !later_fragment {
            fib.set_ports(packet, protocol, s.l2_bytes + u32::from(first & 15) * 4);
        }
        let result = fib.ask(packet, s.table, 0);
        if result != BPF_FIB_LKUP_RET_SUCCESS && maps::is_local4(&destination) {
            route.next_hop.kind = kind::LOCAL;
            route.epoch = epoch(s, true);
            return Ok(());
        }
        let keep = answer(packet, s, result, &fib, &mut route.next_hop, &mut route.gateway)?;
        route.epoch = epoch(s, keep);
        Ok(())
    })();
    Exit::pack(learned)
}

/// Sorts out what is not to be asked of the FIB, which knows no scopes; whether it is for the host, as far as that is
/// known without asking.
#[inline(always)]
fn sort4(s: &State, destination: [u8; 4]) -> Result<bool, Exit> {
    let forwarding = s.port_flags & port_flag::FORWARD4 != 0;
    let scoped = s.bound == Reason::BogusScope as u32;
    match kind4(destination) {
        Kind::Unicast if forwarding && !scoped => Ok(false),
        Kind::Unicast | Kind::LinkLocal if maps::is_local4(&destination) => Ok(true),
        Kind::Unicast if scoped => Err(Exit::drop(Reason::BogusScope)),
        Kind::Unicast => Err(Exit::drop(Reason::ForwardingOff)),
        Kind::LinkLocal => Err(Exit::drop(Reason::BogusScope)),
        Kind::Multicast => Err(Exit::host(Reason::Multicast)),
        Kind::Broadcast => Err(Exit::host(Reason::Broadcast)),
        _ => Err(Exit::drop(Reason::MartianDestination)),
    }
}

/// As [`learn4`].
#[inline(always)]
pub fn learn6<P: Packet>(packet: P, s: &mut State) -> u32 {
    let learned = (|| {
        let first = packet.load::<8>(s.l2_bytes).ok_or(Reason::MalformedHeader)?;
        let [a, b, c, d, _, _, next_header, _] = first;
        let [high, low] = s.destination;
        let destination = (high, low);
        let route = maps::route6(hash::slot6(high, low, origin(s))).ok_or(Reason::Internal)?;
        maps::write6(&mut route.destination, destination);
        route.next_hop.table = s.table as u8;
        route.ingress = s.ingress;
        route.generation = s.now.generation;
        route.epoch = epoch(s, false);
        if sort6(packet, s, next_header, destination)? {
            route.next_hop.kind = kind::LOCAL;
            route.epoch = epoch(s, true);
            return Ok(());
        }
        let source = packet.load_address(s.l2_bytes + 8).ok_or(Reason::MalformedHeader)?;
        let mut fib = Fib::ipv6::<P>(s.ingress, source, destination)?;
        fib.0.__bindgen_anon_2.flowinfo = u32::from_ne_bytes([a & 0x0f, b, c, d]);
        if s.now.flags & flag::CACHE_ROUTES == 0 {
            let upper = global::upper(packet.upper(s.l2_bytes, next_header, s.length));
            if let Ok(upper) = upper
                && !upper.is_later_fragment()
            {
                fib.set_ports(packet, upper.protocol(), s.l2_bytes + upper.offset());
            }
        }
        let result = fib.ask(packet, s.table, 0);
        if result != BPF_FIB_LKUP_RET_SUCCESS && maps::is_local6(destination) {
            route.next_hop.kind = kind::LOCAL;
            route.epoch = epoch(s, true);
            return Ok(());
        }
        let keep = answer(packet, s, result, &fib, &mut route.next_hop, &mut route.gateway)?;
        route.epoch = epoch(s, keep);
        Ok(())
    })();
    Exit::pack(learned)
}

/// As [`sort4`].
#[inline(always)]
fn sort6<P: Packet>(packet: P, s: &State, next_header: u8, destination: Halves) -> Result<bool, Exit> {
    let forwarding = s.port_flags & port_flag::FORWARD6 != 0;
    let scoped = s.bound == Reason::BogusScope as u32;
    match kind6(destination) {
        Kind::Unicast if forwarding && !scoped => Ok(false),
        Kind::Unicast | Kind::LinkLocal if maps::is_local6(destination) => Ok(true),
        Kind::Unicast if scoped => Err(Exit::drop(Reason::BogusScope)),
        Kind::Unicast => Err(Exit::drop(Reason::ForwardingOff)),
        Kind::LinkLocal | Kind::Bogus => Err(Exit::drop(Reason::BogusScope)),
        Kind::Multicast => Err(Exit::host(multicast6(packet, s.l2_bytes, next_header, destination))),
        _ => Err(Exit::drop(Reason::MartianDestination)),
    }
}

/// Tells neighbour and router discovery from other multicast.
#[inline(always)]
fn multicast6<P: Packet>(packet: P, l2_bytes: u32, next_header: u8, destination: Halves) -> Reason {
    if next_header != next::ICMPV6 {
        return Reason::Multicast;
    }
    match packet.load::<1>(l2_bytes + HEADER_BYTES) {
        Some([kind]) if icmp::is_discovery(kind) || is_solicited_node(destination) => {
            Reason::NeighborDiscovery
        }
        _ => Reason::Multicast,
    }
}

/// The largest packet that fits both ports of a packet's way, and its route as far as that is remembered.
#[inline(always)]
pub fn path_mtu_bytes<P: Packet>(s: &State) -> Option<u32> {
    let facts = &maps::scratch(P::SCRATCH)?.facts;
    let of = |ifindex: u32| {
        let mtu_bytes = maps::port(s.now.generation, ifindex).map_or(0, |port| port.mtu_bytes);
        if mtu_bytes == 0 { u32::from(u16::MAX) } else { mtu_bytes }
    };
    let ports = of(facts.in_ifindex).min(of(facts.out_ifindex));
    let [high, low] = s.destination;
    let route = if s.family == 4 {
        let route = maps::route4(hash::slot4(high as u32, origin(s)))?;
        (route.destination == (high as u32).to_ne_bytes()).then_some(route.next_hop.mtu_bytes)
    } else {
        let route = maps::route6(hash::slot6(high, low, origin(s)))?;
        (maps::read6(&route.destination) == (high, low)).then_some(route.next_hop.mtu_bytes)
    };
    Some(ports.min(route.filter(|mtu_bytes| *mtu_bytes != 0).unwrap_or(ports)))
}

#[inline(always)]
fn device_mtu_bytes<P: Packet>(packet: P, ifindex: u32) -> u32 {
    let mut mtu_bytes = 0;
    // SAFETY: the context is this program's own. Whether this packet would fit is told apart by the caller.
    let _ = unsafe { bpf_check_mtu(packet.context(), ifindex, &raw mut mtu_bytes, 0, 0) };
    mtu_bytes
}

/// What the FIB's answer means. Fills in the next hop and tells whether it may be remembered.
#[inline(always)]
fn answer<P: Packet>(
    packet: P,
    s: &State,
    result: u32,
    fib: &Fib,
    next_hop: &mut NextHop,
    gateway: &mut [u8; 16],
) -> Result<bool, Exit> {
    let resolved = match result {
        BPF_FIB_LKUP_RET_SUCCESS => fib.has_neighbor(),
        BPF_FIB_LKUP_RET_NO_NEIGH => false,
        BPF_FIB_LKUP_RET_UNSUPP_LWT => {
            // The kernel knows what the encapsulation leaves of the MTU.
            next_hop.kind = kind::KERNEL;
            next_hop.mtu_bytes = u32::MAX;
            return Ok(true);
        }
        BPF_FIB_LKUP_RET_BLACKHOLE => return Err(Exit::drop(Reason::Blackhole)),
        BPF_FIB_LKUP_RET_UNREACHABLE => return Err(Exit::drop(Reason::Unreachable)),
        BPF_FIB_LKUP_RET_PROHIBIT => return Err(Exit::drop(Reason::Prohibited)),
        BPF_FIB_LKUP_RET_FWD_DISABLED => return Err(Exit::drop(Reason::ForwardingOff)),
        // "Not forwarded" is all that is no unicast route: addresses of the host were sorted out before, so none is
        // left, unless a broadcast address of a link came in a broadcast frame.
        BPF_FIB_LKUP_RET_NOT_FWDED if s.bound == Reason::LinkBroadcast as u32 => {
            return Err(Exit::host(Reason::Broadcast));
        }
        BPF_FIB_LKUP_RET_NOT_FWDED => return Err(Exit::drop(Reason::NoRoute)),
        _ => return Err(Exit::drop(Reason::Internal)),
    };
    let (hop, gateway_family) = fib.gateway();
    maps::write6(gateway, pairs(hop));
    let egress = maps::port(s.now.generation, fib.egress());
    next_hop.kind = if !resolved {
        if maps::is_failed(fib.egress(), hop, s.now.tick) {
            return Err(Exit::drop(Reason::HostUnreachable));
        }
        kind::SEND
    } else if fib.egress() == s.ingress && s.port_flags & port_flag::SEND_REDIRECTS != 0 {
        kind::KERNEL
    } else if egress.is_some_and(|port| port.flags & port_flag::XDP_TX != 0) {
        kind::REDIRECT
    } else {
        kind::SEND
    };
    next_hop.ifindex = fib.egress();
    next_hop.tx_index = egress.map_or(u32::MAX, |port| port.tx_index);
    // The FIB does not tell the MTU without a neighbour (net/core/filter.c, bpf_fib_set_fwd_params).
    next_hop.mtu_bytes = if resolved { fib.mtu_bytes() } else { device_mtu_bytes(packet, fib.egress()) };
    next_hop.used_tick = s.now.tick;
    next_hop.dst_mac = fib.0.dmac;
    next_hop.src_mac = fib.0.smac;
    next_hop.gateway_family = gateway_family;
    Ok(resolved && s.now.flags & flag::CACHE_ROUTES != 0)
}
