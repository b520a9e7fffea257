//! The programs of `cargo xtask bench`: a traffic generator, two sinks, and the yardsticks that a router is
//! measured against. `docs/benchmarks.md` says how they are put together.
#![no_std]
#![no_main]

use core::mem::{MaybeUninit, size_of};

use aya_ebpf::{
    EbpfContext as _, Global,
    bindings::{
        BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_PROHIBIT, BPF_FIB_LKUP_RET_SUCCESS,
        BPF_FIB_LKUP_RET_UNREACHABLE, BPF_FIB_LOOKUP_DIRECT, bpf_fib_lookup as FibLookup,
        xdp_action::{XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX},
    },
    helpers::{bpf_fib_lookup, bpf_redirect},
    macros::{map, xdp},
    maps::{Array, DevMap, PerCpuArray},
    programs::XdpContext,
};

const ETH_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// The interfaces that `generate` and `redirect` send to.
#[unsafe(no_mangle)]
static GENERATE_TO: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static REDIRECT_TO: Global<u32> = Global::new(0);
/// Destination and source MAC of generated frames.
#[unsafe(no_mangle)]
static MACS: Global<[u16; 6]> = Global::new([0; 6]);
/// 0: IPv4, 1: IPv6.
#[unsafe(no_mangle)]
static IPV6: Global<u32> = Global::new(0);
/// Number of flows, of source addresses and of destination addresses: powers of two, minus one.
#[unsafe(no_mangle)]
static FLOW_MASK: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static SOURCE_MASK: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static DESTINATION_MASK: Global<u32> = Global::new(0);
/// From one source address to the next, IPv4 only.
#[unsafe(no_mangle)]
static SOURCE_STRIDE: Global<u32> = Global::new(1);
/// The source address that `sink_verify` expects, as in memory; 0: any.
#[unsafe(no_mangle)]
static TRANSLATED_TO: Global<u32> = Global::new(0);
/// UDP header and payload, in bytes.
#[unsafe(no_mangle)]
static UDP_LENGTH: Global<u32> = Global::new(8);

/// The number of the next generated packet.
#[map]
static POSITION: Array<u64> = Array::with_max_entries(1, 0);

/// Indexed by the constants below; user space reads the same numbers.
#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(4, 0);
/// UDP packets that arrived.
const ARRIVED: u32 = 0;
/// Of these, with a wrong checksum, another TTL than 63 or another source than expected.
const BAD: u32 = 1;
/// Frames that are no UDP packets.
const OTHER: u32 = 2;

/// Devices that `fib_direct` may send to, by ifindex.
#[map]
static DEVICES: DevMap = DevMap::with_max_entries(64, 0);

#[inline(always)]
fn count(counter: u32) {
    if let Some(value) = COUNTERS.get_ptr_mut(counter) {
        // SAFETY: the element belongs to this CPU.
        unsafe { *value += 1 }
    }
}

/// The address of byte `offset`, if so many `length` bytes follow it in the frame.
#[inline(always)]
fn at(ctx: &XdpContext, offset: usize, length: usize) -> Option<usize> {
    (ctx.data() + offset + length <= ctx.data_end()).then_some(ctx.data() + offset)
}

/// # Safety
/// `address` and the bytes of a `T` after it are inside the frame: checked with [`at`].
#[inline(always)]
unsafe fn read<T: Copy>(address: usize) -> T {
    // SAFETY: by the contract above; XDP frames may lie at any alignment.
    unsafe { (address as *const T).read_unaligned() }
}

/// # Safety
/// As for [`read`].
#[inline(always)]
unsafe fn write<T: Copy>(address: usize, value: T) {
    // SAFETY: as in `read`.
    unsafe { (address as *mut T).write_unaligned(value) }
}

#[inline(always)]
fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Spreads flow numbers over the destinations.
#[inline(always)]
fn mix(x: u32) -> u32 {
    let x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
    let x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// Makes the frame packet n of the flow set and sends it; every flow comes once per cycle, in a fixed scattered order.
#[xdp]
pub fn generate(ctx: XdpContext) -> u32 {
    let Some(position) = POSITION.get_ptr_mut(0) else { return XDP_ABORTED };
    // SAFETY: one CPU generates.
    let n = unsafe { *position };
    // SAFETY: as above.
    unsafe { *position = n + 1 };
    let flow = (n as u32).wrapping_mul(0x9e37_79b1) & FLOW_MASK.load();
    let source = flow & SOURCE_MASK.load();
    let destination = mix(flow) & DESTINATION_MASK.load();
    // Every source has its own sequence of 32,768 ports, so that up to 2^23 flows of 256 sources differ.
    let source_port = 16384 + ((flow >> 8).wrapping_add(source.wrapping_mul(7989)) & 0x7fff);
    let length = UDP_LENGTH.load();
    // All of the UDP checksum but the addresses.
    let sum = u32::from(UDP) + 2 * length + source_port + 443;

    let Some(eth) = at(&ctx, 0, ETH_BYTES + IPV4_BYTES + UDP_BYTES) else { return XDP_ABORTED };
    // SAFETY: inside the frame by the check above.
    unsafe { write(eth, MACS.load()) };
    let (udp, check) = if IPV6.load() == 0 {
        let (source, destination) = (0x0a00_0000 + source * SOURCE_STRIDE.load(), 0xc612_0000 + destination); // 10.0.0.0, 198.18.0.0
        let pseudo = (source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff);
        let total = IPV4_BYTES as u32 + length;
        let ip = eth + ETH_BYTES;
        // SAFETY: as above.
        unsafe {
            write(eth + 12, ETHERTYPE_IPV4.to_be());
            write(ip, (0x4500_0000 | total).to_be());
            write(ip + 4, 0x0000_4000_u32.to_be()); // identification 0, DF
            write(ip + 8, 0x4011_u16.to_be()); // TTL 64, UDP
            write(ip + 10, (!fold(0x4500 + total + 0x4000 + 0x4011 + pseudo)).to_be());
            write(ip + 12, source.to_be());
            write(ip + 16, destination.to_be());
        }
        (ip + IPV4_BYTES, !fold(pseudo + sum))
    } else {
        let Some(ip) = at(&ctx, ETH_BYTES, IPV6_BYTES + UDP_BYTES) else { return XDP_ABORTED };
        // 2001:db8:10:: and 2001:db8:20::
        let prefixes = 2 * (0x2001 + 0x0db8) + 0x10 + 0x20;
        let pseudo =
            prefixes + (source >> 16) + (source & 0xffff) + (destination >> 16) + (destination & 0xffff);
        // SAFETY: as above.
        unsafe {
            write(eth + 12, ETHERTYPE_IPV6.to_be());
            write(ip, 0x6000_0000_u32.to_be());
            write(ip + 4, ((length << 16) | 0x1140).to_be()); // UDP, hop limit 64
            write(ip + 8, [0x2001_0db8_u32.to_be(), 0x0010_0000_u32.to_be(), 0, source.to_be()]);
            write(ip + 24, [0x2001_0db8_u32.to_be(), 0x0020_0000_u32.to_be(), 0, destination.to_be()]);
        }
        (ip + IPV6_BYTES, !fold(pseudo + sum))
    };
    // SAFETY: as above; the payload is zero.
    unsafe {
        write(udp, ((source_port << 16) | 443).to_be());
        write(udp + 4, ((length << 16) | u32::from(check)).to_be());
    }
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(GENERATE_TO.load(), 0) as u32 }
}

/// The offset of the IP header's end and whether it is IPv6, for UDP packets.
#[inline(always)]
fn udp_packet(ctx: &XdpContext) -> Option<(usize, bool)> {
    let eth = at(ctx, 0, ETH_BYTES + IPV4_BYTES + UDP_BYTES)?;
    // SAFETY: inside the frame by the check above.
    let (ethertype, protocol4, protocol6): (u16, u8, u8) =
        unsafe { (read(eth + 12), read(eth + ETH_BYTES + 9), read(eth + ETH_BYTES + 6)) };
    match u16::from_be(ethertype) {
        ETHERTYPE_IPV4 if protocol4 == UDP => Some((eth, false)),
        ETHERTYPE_IPV6 if protocol6 == UDP => Some((at(ctx, 0, ETH_BYTES + IPV6_BYTES + UDP_BYTES)?, true)),
        _ => None,
    }
}

/// Counts and drops.
#[xdp]
pub fn sink(ctx: XdpContext) -> u32 {
    count(if udp_packet(&ctx).is_some() { ARRIVED } else { OTHER });
    XDP_DROP
}

/// Counts, checks and drops: not for timing.
#[xdp]
pub fn sink_verify(ctx: XdpContext) -> u32 {
    let Some((eth, ipv6)) = udp_packet(&ctx) else {
        count(OTHER);
        return XDP_DROP;
    };
    let ip = eth + ETH_BYTES;
    let good = if ipv6 {
        // SAFETY: `udp_packet` checked the frame up to the end of the UDP header.
        unsafe {
            read::<u8>(ip + 7) == 63
                && sum_words::<20>(ip + 8, u32::from(u16::from(UDP).to_be()) + udp_length(ip + IPV6_BYTES))
        }
    } else {
        // SAFETY: as above.
        unsafe {
            read::<u8>(ip + 8) == 63
                && (TRANSLATED_TO.load() == 0 || read::<u32>(ip + 12) == TRANSLATED_TO.load())
                && sum_words::<10>(ip, 0)
                && sum_words::<8>(ip + 12, u32::from(u16::from(UDP).to_be()) + udp_length(ip + IPV4_BYTES))
        }
    };
    count(ARRIVED);
    if !good {
        count(BAD);
    }
    XDP_DROP
}

/// # Safety
/// As for [`read`], for the 8 bytes of a UDP header.
#[inline(always)]
unsafe fn udp_length(udp: usize) -> u32 {
    // SAFETY: by the contract above.
    u32::from(unsafe { read::<u16>(udp + 4) })
}

/// Whether `WORDS` words from `address` on and `start` add up to a right Internet checksum.
///
/// # Safety
/// As for [`read`], for all the words.
#[inline(always)]
unsafe fn sum_words<const WORDS: usize>(address: usize, start: u32) -> bool {
    let mut sum = start;
    for i in 0..WORDS {
        // SAFETY: by the contract above.
        sum += u32::from(unsafe { read::<u16>(address + 2 * i) });
    }
    fold(sum) == 0xffff
}

/// Bare redirect: the ceiling of any router here.
#[xdp]
pub fn redirect(_ctx: XdpContext) -> u32 {
    // SAFETY: a plain helper call.
    unsafe { bpf_redirect(REDIRECT_TO.load(), 0) as u32 }
}

/// Answers: addresses and ports change sides, and the frame goes back. All sums stay what they were.
#[xdp]
pub fn reflect(ctx: XdpContext) -> u32 {
    let Some((eth, ipv6)) = udp_packet(&ctx) else { return XDP_DROP };
    let (addresses, udp) = (eth + ETH_BYTES, eth + ETH_BYTES + if ipv6 { IPV6_BYTES } else { IPV4_BYTES });
    // SAFETY: `udp_packet` checked the frame up to the end of the UDP header.
    unsafe {
        swap::<[u16; 3]>(eth, eth + 6);
        if ipv6 {
            swap::<[u64; 2]>(addresses + 8, addresses + 24);
        } else {
            swap::<u32>(addresses + 12, addresses + 16);
        }
        swap::<u16>(udp, udp + 2);
    }
    XDP_TX
}

/// # Safety
/// As for [`read`], at both addresses.
#[inline(always)]
unsafe fn swap<T: Copy>(one: usize, other: usize) {
    // SAFETY: by the contract above.
    unsafe {
        let (a, b): (T, T) = (read(one), read(other));
        write(one, b);
        write(other, a);
    }
}

/// What comes back.
#[xdp]
pub fn discard(_ctx: XdpContext) -> u32 {
    XDP_DROP
}

/// Stands at a port so that its peer may send from XDP.
#[xdp]
pub fn pass(_ctx: XdpContext) -> u32 {
    XDP_PASS
}

/// Generator and one hop alone.
#[xdp]
pub fn drop_counted(_ctx: XdpContext) -> u32 {
    count(ARRIVED);
    XDP_DROP
}

/// What xdp-tools' `xdp-forward` does per packet in fib-direct mode: TTL check, one look-up in the kernel's FIB that
/// skips the policy rules, device check, MACs and TTL rewritten, redirect through a device map.
#[xdp]
pub fn fib_direct(ctx: XdpContext) -> u32 {
    let Some(eth) = at(&ctx, 0, ETH_BYTES) else { return XDP_DROP };
    let mut fib = MaybeUninit::<FibLookup>::zeroed();
    // SAFETY: all zero is a valid `bpf_fib_lookup`.
    let fib = unsafe { fib.assume_init_mut() };
    // SAFETY: inside the frame by the check above.
    let ethertype = u16::from_be(unsafe { read(eth + 12) });
    let ip;
    match ethertype {
        ETHERTYPE_IPV4 => {
            let Some(header) = at(&ctx, ETH_BYTES, IPV4_BYTES) else { return XDP_DROP };
            ip = header;
            // SAFETY: as above.
            unsafe {
                if read::<u8>(ip + 8) <= 1 {
                    return XDP_PASS;
                }
                fib.family = AF_INET;
                fib.__bindgen_anon_2.tos = read(ip + 1);
                fib.l4_protocol = read(ip + 9);
                fib.__bindgen_anon_1.tot_len = u16::from_be(read(ip + 2));
                fib.__bindgen_anon_3.ipv4_src = read(ip + 12);
                fib.__bindgen_anon_4.ipv4_dst = read(ip + 16);
            }
        }
        ETHERTYPE_IPV6 => {
            let Some(header) = at(&ctx, ETH_BYTES, IPV6_BYTES) else { return XDP_DROP };
            ip = header;
            // SAFETY: as above.
            unsafe {
                if read::<u8>(ip + 7) <= 1 {
                    return XDP_PASS;
                }
                fib.family = AF_INET6;
                fib.__bindgen_anon_2.flowinfo = read::<u32>(ip) & 0x0fff_ffff_u32.to_be();
                fib.l4_protocol = read(ip + 6);
                fib.__bindgen_anon_1.tot_len = u16::from_be(read(ip + 4));
                fib.__bindgen_anon_3.ipv6_src = read(ip + 8);
                fib.__bindgen_anon_4.ipv6_dst = read(ip + 24);
            }
        }
        _ => return XDP_PASS,
    }
    // SAFETY: the context of an XDP program is an `xdp_md`.
    fib.ifindex = unsafe { (*ctx.ctx).ingress_ifindex };
    // SAFETY: `fib` lives on the stack, of the size given.
    let result = unsafe {
        bpf_fib_lookup(ctx.as_ptr(), fib, size_of::<FibLookup>() as i32, BPF_FIB_LOOKUP_DIRECT as u32)
    };
    match result as u32 {
        BPF_FIB_LKUP_RET_SUCCESS => {}
        BPF_FIB_LKUP_RET_BLACKHOLE | BPF_FIB_LKUP_RET_UNREACHABLE | BPF_FIB_LKUP_RET_PROHIBIT => {
            return XDP_DROP;
        }
        _ => return XDP_PASS,
    }
    if DEVICES.get_ifindex(fib.ifindex).is_none() {
        return XDP_PASS;
    }
    // SAFETY: as above.
    unsafe {
        if ethertype == ETHERTYPE_IPV4 {
            let check = u32::from(read::<u16>(ip + 10)) + u32::from(0x0100_u16.to_be());
            write(ip + 10, (check + u32::from(check >= 0xffff)) as u16);
            write(ip + 8, read::<u8>(ip + 8) - 1);
        } else {
            write(ip + 7, read::<u8>(ip + 7) - 1);
        }
        write(eth, fib.dmac);
        write(eth + 6, fib.smac);
    }
    DEVICES.redirect(fib.ifindex, 0).unwrap_or(XDP_ABORTED)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
