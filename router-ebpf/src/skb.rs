//! The tc back end: changes go through helpers, because packets are merged ones with checksums left to the device.

use core::ffi::c_void;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::{
    __sk_buff, BPF_F_INGRESS, BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR, BPF_F_RECOMPUTE_CSUM, TC_ACT_REDIRECT,
    TC_ACT_SHOT, TC_ACT_UNSPEC, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC, bpf_redir_neigh,
};
use aya_ebpf::helpers::generated::{
    bpf_l3_csum_replace, bpf_l4_csum_replace, bpf_redirect, bpf_redirect_neigh, bpf_skb_adjust_room,
    bpf_skb_change_head, bpf_skb_change_tail, bpf_skb_load_bytes, bpf_skb_pull_data, bpf_skb_store_bytes,
    bpf_tail_call,
};
use router_common::cursor::Cursor;
use router_common::maps::handover::Handover;
use router_common::maps::port::port_flag;
use router_common::maps::route::table;
use router_common::maps::scratch;
use router_common::verdict::{Reason, Stage};
use router_common::wire::eth;
use router_common::wire::ipv4::decremented;
use router_common::wire::ipv6::Halves;

use crate::global::tc as global;
use crate::maps::{self, OUTPUT, SLOW_TC};
use crate::packet::{Packet, Untouched};
use crate::pipeline::State;
use crate::stage::emit::Way;
use crate::stage::tcp_answer;

#[derive(Clone, Copy)]
pub struct SkbPacket {
    skb: *mut __sk_buff,
}

const AF_INET: u32 = 2;
const AF_INET6: u32 = 10;

impl SkbPacket {
    #[inline(always)]
    pub fn new(skb: *mut __sk_buff) -> SkbPacket {
        SkbPacket { skb }
    }

    #[inline(always)]
    pub fn mark(self) -> u32 {
        // SAFETY: the context is this program's own.
        unsafe { (*self.skb).mark }
    }

    #[inline(always)]
    pub fn set_mark(self, mark: u32) {
        // SAFETY: as above.
        unsafe { (*self.skb).mark = mark };
    }

    /// Ifindex of the device that a forwarded packet came in at, 0 for the host's own.
    #[inline(always)]
    pub fn forwarded_from(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.skb).ingress_ifindex }
    }

    /// Takes the metadata that XDP left, if it is ours.
    #[inline(always)]
    pub fn take_handover(self) -> Option<Handover> {
        // SAFETY: as above.
        let (start, end) = unsafe { ((*self.skb).data_meta as usize, (*self.skb).data as usize) };
        if start + size_of::<Handover>() > end {
            return None;
        }
        let metadata = start as *mut Handover;
        // SAFETY: the bounds were compared; metadata lengths are multiples of 4.
        unsafe {
            let found = metadata.read();
            if found.magic != router_common::maps::handover::MAGIC {
                return None;
            }
            // Metadata outlives the packet's stay here: a router behind a veth must not take it for its own.
            (*metadata).magic = 0;
            Some(found)
        }
    }

    /// Goes on in the program of the output chains; comes back where there is none.
    #[inline(always)]
    pub fn output(self) {
        let programs = (&raw const OUTPUT).cast_mut().cast();
        // SAFETY: the context is this program's own; the map is an array of programs.
        unsafe { bpf_tail_call(self.skb.cast(), programs, 0) };
    }

    /// See [`crate::stage::reroute`].
    #[inline(always)]
    pub fn reroute(self, s: &mut State, way: &mut Way) -> u32 {
        global::tc_reroute(self.skb, s, way)
    }

    /// tc egress: has the packet come in at the device that it was to leave by.
    #[inline(always)]
    pub fn turn_round(self) -> i32 {
        // SAFETY: plain arguments.
        unsafe { bpf_redirect(self.ingress(), u64::from(BPF_F_INGRESS)) as i32 }
    }

    /// Tells the host's queues the packet's mark and priority.
    #[inline(always)]
    fn classify(self, class: u32) {
        const MARK: u32 = 0xffff;
        if class != 0 {
            self.set_mark(self.mark() & !MARK | class & MARK);
            // SAFETY: the context is this program's own.
            unsafe { (*self.skb).priority = class >> 16 };
        }
    }

    /// Sets the bit that says "has been through the pipeline", and by which table the kernel is to forward.
    #[inline(always)]
    pub fn mark_done(self, generation: u32, table: u32) -> Option<()> {
        let settings = maps::settings(generation)?;
        self.set_mark(self.mark() & !settings.mark_mask | settings.mark_table(table));
        Some(())
    }

    #[inline(always)]
    fn store<const N: usize>(self, offset: u32, bytes: [u8; N], flags: u64) -> Option<()> {
        // SAFETY: the buffer has N bytes.
        let result = unsafe { bpf_skb_store_bytes(self.skb, offset, bytes.as_ptr().cast(), N as u32, flags) };
        (result == 0).then_some(())
    }
}

impl Packet for SkbPacket {
    const XDP: bool = false;
    const SCRATCH: u32 = scratch::TC;
    const ENTRY: Stage = Stage::TcIngress;
    const FORWARDED: Reason = Reason::ForwardedTc;
    const DROP: i32 = TC_ACT_SHOT as i32;

    #[inline(always)]
    fn slow(self) {
        let programs = (&raw const SLOW_TC).cast_mut().cast();
        // SAFETY: the context is this program's own; the map is an array of programs.
        unsafe { bpf_tail_call(self.context(), programs, 0) };
    }

    #[inline(always)]
    fn context(self) -> *mut c_void {
        self.skb.cast()
    }

    /// Not TC_ACT_OK: other programs of the host on the same hook are to see the packet too.
    #[inline(always)]
    fn pass(self) -> i32 {
        TC_ACT_UNSPEC
    }

    #[inline(always)]
    fn ingress(self) -> u32 {
        // SAFETY: the context is this program's own.
        unsafe { (*self.skb).ifindex }
    }

    #[inline(always)]
    fn protocol(self) -> u16 {
        // SAFETY: as above.
        u16::from_be(unsafe { (*self.skb).protocol } as u16)
    }

    #[inline(always)]
    fn cursor<'p>(self) -> Cursor<'p> {
        // SAFETY: the verifier knows data and data_end as the bounds of the packet, and refuses references that
        // outlive a change of them.
        unsafe { Cursor::new((*self.skb).data as usize, (*self.skb).data_end as usize) }
    }

    #[inline(always)]
    fn pull(self, bytes: u32) {
        let linear = self.cursor().remaining();
        if linear < bytes {
            // SAFETY: the context is this program's own. May fail for a short packet: parsing then says so.
            let _ = unsafe { bpf_skb_pull_data(self.skb, bytes.min(self.length())) };
        }
    }

    #[inline(always)]
    fn length(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.skb).len }
    }

    #[inline(always)]
    fn load<const N: usize>(self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the buffer has N bytes.
        let result =
            unsafe { bpf_skb_load_bytes(self.skb.cast(), offset, bytes.as_mut_ptr().cast(), N as u32) };
        // SAFETY: the helper has written all of them.
        (result == 0).then(|| unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    fn header<const N: usize>(self, offset: u32) -> Option<[u8; N]> {
        self.load(offset)
    }

    #[inline(always)]
    fn load_address(self, offset: u32) -> Option<Halves> {
        let mut words = [0u64; 2];
        // SAFETY: the buffer has 16 bytes.
        let result = unsafe { bpf_skb_load_bytes(self.skb.cast(), offset, words.as_mut_ptr().cast(), 16) };
        let [high, low] = words;
        (result == 0).then_some((high, low))
    }

    #[inline(always)]
    unsafe fn load_into(self, offset: u32, buffer: *mut u8, length: u32) -> Option<()> {
        // SAFETY: the caller's.
        (unsafe { bpf_skb_load_bytes(self.skb.cast(), offset, buffer.cast(), length) } == 0).then_some(())
    }

    #[inline(always)]
    fn segment_bytes(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.skb).gso_size }
    }

    #[inline(always)]
    fn packets(self) -> u64 {
        // SAFETY: as above.
        u64::from(unsafe { (*self.skb).gso_segs }.max(1))
    }

    #[inline(always)]
    fn again(self, generation: u32) -> u32 {
        let mark = self.mark();
        if mark == 0 {
            return 0;
        }
        let Some(settings) = maps::settings(generation) else { return 0 };
        let again = settings.mark_again();
        if again == 0 || mark & settings.mark_mask != again {
            return 0;
        }
        self.set_mark(mark & !settings.mark_mask);
        port_flag::AGAIN
    }

    #[inline(always)]
    fn has_tag(self) -> bool {
        // SAFETY: as above.
        unsafe { (*self.skb).vlan_present != 0 }
    }

    #[inline(always)]
    fn upper(self, l2_bytes: u32, first: u8, length: u32) -> u32 {
        global::tc_upper(self.skb, l2_bytes, u32::from(first), length)
    }

    #[inline(always)]
    fn is_traced(self, ingress: u32, l2_bytes: u32) -> bool {
        global::tc_is_traced(self.skb, ingress, l2_bytes) != 0
    }

    #[inline(always)]
    fn report(self, ingress: u32, step: u32, egress: u32) {
        global::tc_report(self.skb, ingress, step, egress);
    }

    #[inline(always)]
    fn stranger(self) -> i32 {
        global::tc_stranger(self.skb) as i32
    }

    #[inline(always)]
    fn quote(self, offset: u32, bytes: u32) -> u32 {
        global::tc_quote(self.skb, offset, bytes)
    }

    #[inline(always)]
    fn begin(self, s: &mut State) {
        global::tc_begin(self.skb, s);
    }

    #[inline(always)]
    fn routed(self, s: &mut State, egress: u32) {
        global::tc_routed(self.skb, s, egress);
    }

    #[inline(always)]
    fn forwarded(self, s: &mut State, egress: u32) {
        global::tc_forwarded(self.skb, s, egress);
    }

    #[inline(always)]
    fn facts(self, s: &mut State) -> u32 {
        match s.family {
            4 => global::tc_facts4(self.skb, s),
            _ => global::tc_facts6(self.skb, s),
        }
    }

    #[inline(always)]
    fn fragment(self, s: &mut State) -> u32 {
        global::tc_fragment(self.skb, s)
    }

    #[inline(always)]
    fn hold(self, s: &mut State) -> u32 {
        global::tc_hold(self.skb, s)
    }

    #[inline(always)]
    fn track(self, s: &mut State) -> u32 {
        global::tc_track(self.skb, s)
    }

    #[inline(always)]
    fn related(self, s: &mut State) -> u32 {
        global::tc_related(self.skb, s)
    }

    #[inline(always)]
    fn segment(self, s: &mut State) -> u32 {
        global::tc_segment(self.skb, s)
    }

    #[inline(always)]
    fn translate(self, s: &mut State) -> u32 {
        global::tc_translate(self.skb, s)
    }

    #[inline(always)]
    fn quoted_header(self, s: &mut State) -> u32 {
        global::tc_quoted_header(self.skb, s)
    }

    #[inline(always)]
    fn quoted_upper(self, s: &mut State) -> u32 {
        global::tc_quoted_upper(self.skb, s)
    }

    #[inline(always)]
    fn inspect(self, s: &mut State) -> u32 {
        global::tc_inspect(self.skb, s)
    }
    #[inline(always)]
    fn edit(self, s: &mut State) -> u32 {
        global::tc_edit(self.skb, s)
    }
    #[inline(always)]
    fn clamp(self, s: &mut State) -> u32 {
        global::tc_clamp(self.skb, s)
    }
    #[inline(always)]
    fn masquerade(self, s: &mut State) -> u32 {
        global::tc_masquerade(self.skb, s)
    }

    #[inline(always)]
    fn source4(self, s: &mut State) -> u32 {
        global::tc_source4(self.skb, s)
    }

    #[inline(always)]
    fn source6(self, s: &mut State) -> u32 {
        global::tc_source6(self.skb, s)
    }

    #[inline(always)]
    fn route4(self, s: &mut State) -> u32 {
        global::tc_route4(self.skb, s)
    }

    #[inline(always)]
    fn route6(self, s: &mut State) -> u32 {
        global::tc_route6(self.skb, s)
    }

    #[inline(always)]
    fn slow_send(self, s: &mut State, way: &mut Way) -> u32 {
        global::tc_send(self.skb, s, way)
    }

    #[inline(always)]
    fn send_translated(self, s: &mut State, way: &mut Way) -> u32 {
        global::tc_send_translated(self.skb, s, way)
    }

    #[inline(always)]
    fn icmp_prepare(self, s: &mut State, way: &mut Way, reason: u32) -> u32 {
        match s.family {
            4 if tcp_answer::answers(reason) => global::tc_tcp_prepare4(self.skb, s, way, reason),
            _ if tcp_answer::answers(reason) => global::tc_tcp_prepare6(self.skb, s, way, reason),
            4 => global::tc_icmp_prepare4(self.skb, s, way, reason),
            _ => global::tc_icmp_prepare6(self.skb, s, way, reason),
        }
    }

    #[inline(always)]
    fn icmp_make(self, s: &mut State, way: &mut Way, reason: u32) -> u32 {
        match s.family {
            4 if tcp_answer::answers(reason) => global::tc_tcp_make4(self.skb, s, way, reason),
            _ if tcp_answer::answers(reason) => global::tc_tcp_make6(self.skb, s, way, reason),
            4 => global::tc_icmp_make4(self.skb, s, way, reason),
            _ => global::tc_icmp_make6(self.skb, s, way, reason),
        }
    }

    #[inline(always)]
    fn finish(self, s: &mut State, exit: u32) -> i32 {
        global::tc_finish(self.skb, s, exit) as i32
    }

    /// The sum over the header stays what it was, so that a checksum over the whole packet needs no change.
    #[inline(always)]
    fn store_half(self, offset: u32, bytes: [u8; 2]) -> Option<()> {
        self.store(offset, bytes, 0)
    }

    #[inline(always)]
    fn store_word(self, offset: u32, word: u32) -> Option<()> {
        self.store(offset, word.to_ne_bytes(), 0)
    }

    #[inline(always)]
    fn store_address(self, offset: u32, (high, low): Halves) -> Option<()> {
        let words = [high, low];
        // SAFETY: the buffer has 16 bytes.
        (unsafe { bpf_skb_store_bytes(self.skb, offset, words.as_ptr().cast(), 16, 0) } == 0).then_some(())
    }

    #[inline(always)]
    fn adjust_l3(self, offset: u32, changed: u32) -> Option<()> {
        // SAFETY: the context is this program's own.
        (unsafe { bpf_l3_csum_replace(self.skb, offset, 0, u64::from(changed), 0) } == 0).then_some(())
    }

    #[inline(always)]
    fn adjust_l4(self, offset: u32, changed: u32, pseudo: bool, is_udp: bool) -> Option<()> {
        let flags = if pseudo { u64::from(BPF_F_PSEUDO_HDR) } else { 0 }
            | if is_udp { u64::from(BPF_F_MARK_MANGLED_0) } else { 0 };
        // SAFETY: as above.
        (unsafe { bpf_l4_csum_replace(self.skb, offset, 0, u64::from(changed), flags) } == 0).then_some(())
    }

    #[inline(always)]
    fn decrement_ttl(self, l2_bytes: u32, third: [u8; 4]) -> Option<()> {
        self.store(l2_bytes + 8, decremented(third), 0)
    }

    #[inline(always)]
    fn decrement_hop_limit(self, l2_bytes: u32, hop_limit: u8) -> Option<()> {
        self.store(l2_bytes + 7, [hop_limit.wrapping_sub(1)], u64::from(BPF_F_RECOMPUTE_CSUM))
    }

    #[inline(always)]
    fn make_room(self, l2_bytes: u32, head: u32, keep: u32) -> Option<()> {
        // SAFETY: the context is this program's own.
        let made = unsafe {
            (self.length() == l2_bytes + keep || bpf_skb_change_tail(self.skb, l2_bytes + keep, 0) == 0)
                && bpf_skb_adjust_room(self.skb, head as i32, BPF_ADJ_ROOM_MAC, 0) == 0
                && bpf_skb_pull_data(self.skb, l2_bytes + head) == 0
        };
        made.then_some(())
    }

    #[inline(always)]
    fn announce(self, _way: &Way) -> Option<()> {
        Some(())
    }

    #[inline(always)]
    fn send(self, way: &Way) -> Result<i32, Reason> {
        self.mark_done(way.generation, table::NONE).ok_or(Reason::Internal)?;
        self.classify(way.class);
        // bpf_redirect_neigh takes an Ethernet header off first (net/core/filter.c, __bpf_redirect_neigh).
        // SAFETY: the context is this program's own.
        if way.l2_bytes == 0 && unsafe { bpf_skb_change_head(self.skb, eth::HEADER_BYTES, 0) } != 0 {
            return Err(Reason::NoHeadroom);
        }
        // SAFETY: a plain C struct of integers.
        let mut next_hop: bpf_redir_neigh = unsafe { core::mem::zeroed() };
        next_hop.nh_family = if way.gateway_family == 6 { AF_INET6 } else { AF_INET };
        next_hop.__bindgen_anon_1.ipv6_nh = way.gateway;
        // SAFETY: the size is that of the struct.
        let action = unsafe {
            bpf_redirect_neigh(way.ifindex, &raw mut next_hop, size_of::<bpf_redir_neigh>() as i32, 0)
        } as i32;
        if action == TC_ACT_REDIRECT as i32 { Ok(action) } else { Err(Reason::RedirectFailed) }
    }

    #[inline(always)]
    fn redirect(self, _tx_index: u32) -> Result<i32, Reason> {
        Err(Reason::Internal)
    }

    #[inline(always)]
    fn deliver(self) -> Result<i32, Untouched> {
        Ok(self.pass())
    }

    #[inline(always)]
    fn leave(self, generation: u32, table: u32) -> Result<i32, Untouched> {
        // Without settings there is no mark, and the guard at the egress drops the packet.
        let _ = self.mark_done(generation, table);
        Ok(self.pass())
    }
}
