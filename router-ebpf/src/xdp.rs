//! The XDP back end: bytes are written where they stand.

use core::ffi::c_void;
use core::hint::black_box;
use core::mem::MaybeUninit;

use aya_ebpf::bindings::{xdp_action, xdp_md};
use aya_ebpf::helpers::generated::{
    bpf_redirect_map, bpf_tail_call, bpf_xdp_adjust_head, bpf_xdp_adjust_meta, bpf_xdp_adjust_tail,
    bpf_xdp_get_buff_len, bpf_xdp_load_bytes, bpf_xdp_store_bytes,
};
use router_common::csum;
use router_common::cursor::Cursor;
use router_common::maps::handover::{self, Handover};
use router_common::maps::scratch;
use router_common::verdict::{Reason, Stage};
use router_common::wire::eth::Ethernet;
use router_common::wire::ipv4::Ipv4;
use router_common::wire::ipv6::{Halves, Ipv6};

use crate::global::xdp as global;
use crate::maps::{SLOW_XDP, TX_PORTS};
use crate::packet::{Packet, Untouched};
use crate::pipeline::State;
use crate::stage::emit::Way;
use crate::stage::tcp_answer;

#[derive(Clone, Copy)]
pub struct XdpPacket {
    ctx: *mut xdp_md,
}

const PASS: i32 = xdp_action::XDP_PASS as i32;

impl XdpPacket {
    #[inline(always)]
    pub fn new(ctx: *mut xdp_md) -> XdpPacket {
        XdpPacket { ctx }
    }

    /// Puts metadata before the frame. It is written there field by field: a copy on the stack is too much for some callers.
    #[inline(always)]
    fn announce(
        self,
        verdict: u32,
        ifindex: u32,
        class: u32,
        next_hop: impl FnOnce() -> [u32; 4],
    ) -> Option<()> {
        const BYTES: usize = size_of::<Handover>();
        // SAFETY: the context is this program's own.
        if unsafe { bpf_xdp_adjust_meta(self.ctx, -(BYTES as i32)) } != 0 {
            return None;
        }
        // SAFETY: as above; both words are valid after the adjustment.
        let (start, end) = unsafe { ((*self.ctx).data_meta as usize, (*self.ctx).data as usize) };
        if start + BYTES > end {
            return None;
        }
        let metadata = start as *mut Handover;
        // SAFETY: the bounds were compared; the area is aligned to 4 as every metadata length is.
        unsafe {
            (&raw mut (*metadata).magic).write(handover::MAGIC);
            (&raw mut (*metadata).verdict).write(verdict);
            (&raw mut (*metadata).ifindex).write(ifindex);
            (&raw mut (*metadata).class).write(class);
            (&raw mut (*metadata).next_hop).cast::<[u32; 4]>().write(next_hop());
        }
        Some(())
    }

    #[inline(always)]
    fn store<T>(self, offset: u32, value: T) -> Option<()> {
        let bytes = (&raw const value).cast_mut().cast();
        // SAFETY: the buffer has that size.
        (unsafe { bpf_xdp_store_bytes(self.ctx, offset, bytes, size_of::<T>() as u32) } == 0).then_some(())
    }

    #[inline(always)]
    fn pass_with(self, verdict: u32, ifindex: u32) -> Result<i32, Untouched> {
        let announced = self.announce(verdict, ifindex, 0, || [0; 4]);
        if announced.is_some() { Ok(PASS) } else { Err(Untouched(PASS)) }
    }
}

impl Packet for XdpPacket {
    const XDP: bool = true;
    const SCRATCH: u32 = scratch::XDP;
    const ENTRY: Stage = Stage::XdpEntry;
    const FORWARDED: Reason = Reason::Forwarded;
    const DROP: i32 = xdp_action::XDP_DROP as i32;

    #[inline(always)]
    fn slow(self) {
        let programs = (&raw const SLOW_XDP).cast_mut().cast();
        // SAFETY: the context is this program's own; the map is an array of programs.
        unsafe { bpf_tail_call(self.context(), programs, 0) };
    }

    #[inline(always)]
    fn context(self) -> *mut c_void {
        self.ctx.cast()
    }

    #[inline(always)]
    fn pass(self) -> i32 {
        PASS
    }

    #[inline(always)]
    fn ingress(self) -> u32 {
        // SAFETY: the context is this program's own.
        unsafe { (*self.ctx).ingress_ifindex }
    }

    #[inline(always)]
    fn protocol(self) -> u16 {
        0
    }

    #[inline(always)]
    fn cursor<'p>(self) -> Cursor<'p> {
        // SAFETY: the verifier knows data and data_end as the bounds of the packet, and refuses references that
        // outlive a change of them.
        unsafe { Cursor::new((*self.ctx).data as usize, (*self.ctx).data_end as usize) }
    }

    #[inline(always)]
    fn pull(self, _bytes: u32) {}

    #[inline(always)]
    fn length(self) -> u32 {
        // SAFETY: the context is this program's own.
        unsafe { bpf_xdp_get_buff_len(self.ctx) as u32 }
    }

    #[inline(always)]
    fn load<const N: usize>(self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = MaybeUninit::<[u8; N]>::uninit();
        // SAFETY: the buffer has N bytes.
        let result = unsafe { bpf_xdp_load_bytes(self.ctx, offset, bytes.as_mut_ptr().cast(), N as u32) };
        // SAFETY: the helper has written all of them.
        (result == 0).then(|| unsafe { bytes.assume_init() })
    }

    #[inline(always)]
    fn header<const N: usize>(self, offset: u32) -> Option<[u8; N]> {
        /// No header is further from the start of the frame.
        const FAR: u32 = 1 << 10;
        // For a single byte LLVM asks `at < end`, from which the verifier learns nothing.
        const { assert!(N > 1) };
        // Hidden from LLVM, which else drops the mask that the verifier needs.
        let at = black_box(offset) & (FAR - 1);
        match self.cursor().skip(at as usize).take::<[u8; N]>() {
            Ok(bytes) if offset < FAR => Some(*bytes),
            _ => self.load(offset),
        }
    }

    #[inline(always)]
    fn load_address(self, offset: u32) -> Option<Halves> {
        let mut words = [0u64; 2];
        // SAFETY: the buffer has 16 bytes.
        let result = unsafe { bpf_xdp_load_bytes(self.ctx, offset, words.as_mut_ptr().cast(), 16) };
        let [high, low] = words;
        (result == 0).then_some((high, low))
    }

    #[inline(always)]
    unsafe fn load_into(self, offset: u32, buffer: *mut u8, length: u32) -> Option<()> {
        // SAFETY: the caller's.
        (unsafe { bpf_xdp_load_bytes(self.ctx, offset, buffer.cast(), length) } == 0).then_some(())
    }

    #[inline(always)]
    fn segment_bytes(self) -> u32 {
        0
    }

    #[inline(always)]
    fn packets(self) -> u64 {
        1
    }

    #[inline(always)]
    fn again(self, _generation: u32) -> u32 {
        0
    }

    #[inline(always)]
    fn has_tag(self) -> bool {
        false
    }

    #[inline(always)]
    fn upper(self, l2_bytes: u32, first: u8, length: u32) -> u32 {
        global::xdp_upper(self.ctx, l2_bytes, u32::from(first), length)
    }

    #[inline(always)]
    fn is_traced(self, ingress: u32, l2_bytes: u32) -> bool {
        global::xdp_is_traced(self.ctx, ingress, l2_bytes) != 0
    }

    #[inline(always)]
    fn report(self, ingress: u32, step: u32, egress: u32) {
        global::xdp_report(self.ctx, ingress, step, egress);
    }

    #[inline(always)]
    fn stranger(self) -> i32 {
        global::xdp_stranger(self.ctx) as i32
    }

    #[inline(always)]
    fn quote(self, offset: u32, bytes: u32) -> u32 {
        global::xdp_quote(self.ctx, offset, bytes)
    }

    #[inline(always)]
    fn begin(self, s: &mut State) {
        global::xdp_begin(self.ctx, s);
    }

    #[inline(always)]
    fn routed(self, s: &mut State, egress: u32) {
        global::xdp_routed(self.ctx, s, egress);
    }

    #[inline(always)]
    fn forwarded(self, s: &mut State, egress: u32) {
        global::xdp_forwarded(self.ctx, s, egress);
    }

    #[inline(always)]
    fn facts(self, s: &mut State) -> u32 {
        match s.family {
            4 => global::xdp_facts4(self.ctx, s),
            _ => global::xdp_facts6(self.ctx, s),
        }
    }

    #[inline(always)]
    fn fragment(self, s: &mut State) -> u32 {
        global::xdp_fragment(self.ctx, s)
    }

    #[inline(always)]
    fn hold(self, s: &mut State) -> u32 {
        global::xdp_hold(self.ctx, s)
    }

    #[inline(always)]
    fn track(self, s: &mut State) -> u32 {
        global::xdp_track(self.ctx, s)
    }

    #[inline(always)]
    fn related(self, s: &mut State) -> u32 {
        global::xdp_related(self.ctx, s)
    }

    #[inline(always)]
    fn segment(self, s: &mut State) -> u32 {
        global::xdp_segment(self.ctx, s)
    }

    #[inline(always)]
    fn translate(self, s: &mut State) -> u32 {
        global::xdp_translate(self.ctx, s)
    }

    #[inline(always)]
    fn quoted_header(self, s: &mut State) -> u32 {
        global::xdp_quoted_header(self.ctx, s)
    }

    #[inline(always)]
    fn quoted_upper(self, s: &mut State) -> u32 {
        global::xdp_quoted_upper(self.ctx, s)
    }

    #[inline(always)]
    fn inspect(self, s: &mut State) -> u32 {
        global::xdp_inspect(self.ctx, s)
    }
    #[inline(always)]
    fn edit(self, s: &mut State) -> u32 {
        global::xdp_edit(self.ctx, s)
    }
    #[inline(always)]
    fn clamp(self, s: &mut State) -> u32 {
        global::xdp_clamp(self.ctx, s)
    }
    #[inline(always)]
    fn masquerade(self, s: &mut State) -> u32 {
        global::xdp_masquerade(self.ctx, s)
    }

    #[inline(always)]
    fn source4(self, s: &mut State) -> u32 {
        global::xdp_source4(self.ctx, s)
    }

    #[inline(always)]
    fn source6(self, s: &mut State) -> u32 {
        global::xdp_source6(self.ctx, s)
    }

    #[inline(always)]
    fn route4(self, s: &mut State) -> u32 {
        global::xdp_route4(self.ctx, s)
    }

    #[inline(always)]
    fn route6(self, s: &mut State) -> u32 {
        global::xdp_route6(self.ctx, s)
    }

    #[inline(always)]
    fn slow_send(self, s: &mut State, way: &mut Way) -> u32 {
        global::xdp_send(self.ctx, s, way)
    }

    #[inline(always)]
    fn send_translated(self, s: &mut State, way: &mut Way) -> u32 {
        global::xdp_send_translated(self.ctx, s, way)
    }

    #[inline(always)]
    fn icmp_prepare(self, s: &mut State, way: &mut Way, reason: u32) -> u32 {
        match s.family {
            4 if tcp_answer::answers(reason) => global::xdp_tcp_prepare4(self.ctx, s, way, reason),
            _ if tcp_answer::answers(reason) => global::xdp_tcp_prepare6(self.ctx, s, way, reason),
            4 => global::xdp_icmp_prepare4(self.ctx, s, way, reason),
            _ => global::xdp_icmp_prepare6(self.ctx, s, way, reason),
        }
    }

    #[inline(always)]
    fn icmp_make(self, s: &mut State, way: &mut Way, reason: u32) -> u32 {
        match s.family {
            4 if tcp_answer::answers(reason) => global::xdp_tcp_make4(self.ctx, s, way, reason),
            _ if tcp_answer::answers(reason) => global::xdp_tcp_make6(self.ctx, s, way, reason),
            4 => global::xdp_icmp_make4(self.ctx, s, way, reason),
            _ => global::xdp_icmp_make6(self.ctx, s, way, reason),
        }
    }

    #[inline(always)]
    fn finish(self, s: &mut State, exit: u32) -> i32 {
        global::xdp_finish(self.ctx, s, exit) as i32
    }

    #[inline(always)]
    fn store_half(self, offset: u32, bytes: [u8; 2]) -> Option<()> {
        self.store(offset, bytes)
    }

    #[inline(always)]
    fn store_word(self, offset: u32, word: u32) -> Option<()> {
        self.store(offset, word.to_ne_bytes())
    }

    #[inline(always)]
    fn store_address(self, offset: u32, (high, low): Halves) -> Option<()> {
        self.store(offset, [high, low])
    }

    #[inline(always)]
    fn adjust_l3(self, offset: u32, changed: u32) -> Option<()> {
        self.adjust_l4(offset, changed, false, false)
    }

    #[inline(always)]
    fn adjust_l4(self, offset: u32, changed: u32, _pseudo: bool, is_udp: bool) -> Option<()> {
        let found = self.load::<2>(offset)?;
        if is_udp && found == [0, 0] {
            return Some(());
        }
        let new = csum::changed(u16::from_ne_bytes(found), u64::from(changed));
        let new = if is_udp && new == 0 { 0xffff } else { new };
        self.store(offset, new.to_ne_bytes())
    }

    #[inline(always)]
    fn decrement_ttl(self, _l2_bytes: u32, _third: [u8; 4]) -> Option<()> {
        let mut cursor = self.cursor();
        cursor.take::<Ethernet>().ok()?;
        cursor.take::<Ipv4>().ok()?.decrement_ttl();
        Some(())
    }

    #[inline(always)]
    fn decrement_hop_limit(self, _l2_bytes: u32, hop_limit: u8) -> Option<()> {
        let mut cursor = self.cursor();
        cursor.take::<Ethernet>().ok()?;
        cursor.take::<Ipv6>().ok()?.set_hop_limit(hop_limit.wrapping_sub(1));
        Some(())
    }

    #[inline(always)]
    fn make_room(self, l2_bytes: u32, head: u32, keep: u32) -> Option<()> {
        let excess = self.length().checked_sub(l2_bytes + keep)?;
        // SAFETY: the context is this program's own.
        let made = unsafe {
            (excess == 0 || bpf_xdp_adjust_tail(self.ctx, -(excess as i32)) == 0)
                && bpf_xdp_adjust_head(self.ctx, -(head as i32)) == 0
        };
        made.then_some(())
    }

    #[inline(always)]
    fn announce(self, way: &Way) -> Option<()> {
        let verdict =
            if way.gateway_family == 6 { handover::verdict::SEND6 } else { handover::verdict::SEND4 };
        self.announce(verdict, way.ifindex, way.class, || way.gateway)
    }

    #[inline(always)]
    fn send(self, _way: &Way) -> Result<i32, Reason> {
        Ok(PASS)
    }

    #[inline(always)]
    fn redirect(self, tx_index: u32) -> Result<i32, Reason> {
        let map = (&raw const TX_PORTS).cast_mut().cast();
        // SAFETY: the map is a devmap. Without an entry the answer is the flags' low bits, 0: XDP_ABORTED.
        let action = unsafe { bpf_redirect_map(map, u64::from(tx_index), 0) } as u32;
        if action == xdp_action::XDP_REDIRECT { Ok(action as i32) } else { Err(Reason::RedirectFailed) }
    }

    #[inline(always)]
    fn deliver(self) -> Result<i32, Untouched> {
        self.pass_with(handover::verdict::LOCAL, 0)
    }

    #[inline(always)]
    fn leave(self, _generation: u32, table: u32) -> Result<i32, Untouched> {
        self.pass_with(handover::verdict::KERNEL, table)
    }
}
