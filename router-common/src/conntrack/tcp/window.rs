//! What one side of a TCP connection has sent, acknowledged and offered.

use super::{Segment, flag};

/// One direction's record. The fast path keeps it up to date without judging, see [`Direction::record`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Direction {
    /// Behind the highest byte that was sent.
    pub end: u32,
    /// The highest acknowledgement.
    pub ack: u32,
    /// Half of what is known of an ignored segment, the other half being in the partner's record: the original
    /// direction's has a sequence number, the replies' the rest.
    pub pending: u32,
    /// As in the header: what is offered beyond `ack`, in units of `1 << scale` bytes. An offer is never taken back.
    pub window: u16,
    /// RFC 7323, 2.2: 0 to 14, with [`BYTES`] if the window is in bytes yet, as it is in a SYN.
    pub scale: u8,
    pub flags: u8,
}
crate::assert_size!(Direction, 16);

/// A bit of [`Direction::scale`].
const BYTES: u8 = 0x80;

/// Bits of [`Direction::flags`].
const SEEN: u8 = 1;
/// `ack` is one.
const ACKED: u8 = 2;
/// Its SYN had a window scale option.
const SCALES: u8 = 4;
/// Its beginning was not seen, so its window is not known.
pub(super) const LIBERAL: u8 = 8;
/// Its last segment offered nothing.
const ZERO_WINDOW: u8 = 16;
pub(super) const SIMULTANEOUS: u8 = 32;
/// Times that old data was sent again, up to 3 (`nf_conntrack_tcp_max_retrans`).
const RETRANS: u8 = 0xc0;
const RETRANS_ONE: u8 = 0x40;

/// Twice this far below the highest number, or two windows, a segment is late; once is `MAXACKWINCONST`.
const SPAN: u32 = 66000;

/// Whether sequence number `a` is before `b` (RFC 9293, 3.4).
#[inline(always)]
pub fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

impl Direction {
    #[inline(always)]
    pub fn is_seen(&self) -> bool {
        self.flags & SEEN != 0
    }

    #[inline(always)]
    pub fn is_acked(&self) -> bool {
        self.flags & ACKED != 0
    }

    /// Bytes that are offered at most.
    #[inline(always)]
    fn size(&self) -> u32 {
        u32::from(self.window) << if self.scale & BYTES == 0 { self.scale & 15 } else { 0 }
    }

    /// Behind the highest byte that the other side may send.
    #[inline(always)]
    fn edge(&self) -> u32 {
        self.ack.wrapping_add(self.size())
    }

    #[inline(always)]
    fn span(&self) -> u32 {
        let size = self.size();
        if size > SPAN { size } else { SPAN }
    }

    /// The record of who sends a SYN.
    #[inline(always)]
    pub(super) fn from_syn(syn: &Segment) -> Direction {
        let scales = syn.scale <= scale::MAX;
        Direction {
            end: syn.end(),
            ack: syn.ack,
            pending: 0,
            window: syn.window,
            scale: BYTES | if scales { syn.scale } else { 0 },
            flags: SEEN
                | if scales { SCALES } else { 0 }
                | if syn.flags & flag::ACK != 0 { ACKED } else { 0 },
        }
    }

    /// The record of who was met in the middle of a connection.
    #[inline(always)]
    pub(super) fn from_middle(segment: &Segment) -> Direction {
        let mut own = Direction { flags: LIBERAL, ..Direction::default() };
        own.start_in_the_middle(segment);
        own.record(segment.seq, segment.ack, segment.window, segment.payload_bytes);
        own
    }

    #[inline(always)]
    pub(super) fn start_in_the_middle(&mut self, segment: &Segment) {
        self.end = segment.end();
        self.flags |= SEEN;
    }

    #[inline(always)]
    pub(super) fn start(&mut self, syn: &Segment) {
        let kept = self.flags & (LIBERAL | SIMULTANEOUS);
        *self = Direction { pending: self.pending, ..Direction::from_syn(syn) };
        self.flags |= kept;
    }

    /// Windows are scaled only if both sides say so (RFC 7323, 2.2).
    #[inline(always)]
    pub(super) fn agree(&mut self, partner: &mut Direction) {
        if self.flags & partner.flags & SCALES == 0 {
            self.scale = BYTES;
            partner.scale &= BYTES;
        }
    }

    /// Takes a segment without SYN into the record. Cheap, for the fast path: nothing is judged, but an
    /// acknowledgement far beyond the offer is left out, so that nobody who can't see the connection moves it.
    #[inline(always)]
    pub fn record(&mut self, seq: u32, ack: u32, window: u16, payload_bytes: u32) {
        let end = seq.wrapping_add(payload_bytes);
        let mut flags = self.flags & !ZERO_WINDOW;
        if before(self.end, end) {
            self.end = end;
            flags &= !RETRANS;
        } else if payload_bytes != 0 && flags & RETRANS != RETRANS {
            flags += RETRANS_ONE;
        }
        if window == 0 {
            flags |= ZERO_WINDOW;
        }
        let ahead = ack.wrapping_sub(self.ack);
        let (size, offered) = (self.size(), u32::from(window) << (self.scale & 15));
        // What has been offered before still stands if the new offer ends below it.
        let left = size.saturating_sub(ahead);
        let is_first = flags & ACKED == 0;
        let is_near = ahead <= (size << 1).wrapping_add(SPAN) || (flags & LIBERAL != 0 && ahead < 1 << 31);
        if is_first || (is_near && (ahead != 0 || left < offered)) {
            self.ack = ack;
            self.window = if !is_first && left > offered { rounded_up(left, self.scale) } else { window };
            self.scale &= 15;
            flags |= ACKED;
        }
        self.flags = flags;
    }

    /// As [`Direction::record`], for a segment that was judged.
    #[inline(always)]
    pub(super) fn take(&mut self, segment: &Segment) {
        if segment.flags & (flag::SYN | flag::RST) == 0 {
            let fin = u32::from(segment.flags & flag::FIN);
            self.record(segment.seq, segment.ack, segment.window, segment.payload_bytes + fin);
        }
    }

    /// Nobody sends beyond what the partner offers: if the record says so, somebody else's segment has got into it.
    #[inline(always)]
    pub(super) fn repair(&mut self, partner: &Direction) {
        if (self.flags | partner.flags) & LIBERAL == 0 && partner.is_acked() {
            let highest = partner.edge().wrapping_add(partner.span());
            if before(highest, self.end) {
                self.end = highest;
            }
        }
    }

    /// How a segment lies that this side sends to `partner`. While the connection opens there is less room: nothing has
    /// been recorded without judgement.
    #[inline(always)]
    pub(super) fn lie(&self, partner: &Direction, seq: u32, end: u32, ack: u32, opens: bool) -> super::Lie {
        use super::Lie;
        let (room, acks_room) =
            if opens { (partner.size() | 1, self.span()) } else { (partner.span() << 1, self.span() << 1) };
        let is_late = partner.is_seen() && before(end, self.end.wrapping_sub(room));
        let acks_late = before(ack, partner.end.wrapping_sub(acks_room));
        let acks_early = before(partner.end, ack);
        let edge = if partner.is_acked() { partner.edge() } else { self.end };
        if before(edge, seq) {
            let over = end.wrapping_sub(edge);
            // Some send a little more than they may.
            return if over < partner.size() && !acks_early && !acks_late { Lie::Over } else { Lie::Outside };
        }
        if acks_early {
            Lie::Outside
        } else if is_late || acks_late {
            Lie::Late
        } else {
            Lie::Inside
        }
    }

    /// Has sent what `partner` has not acknowledged.
    #[inline(always)]
    pub fn is_unacked(&self, partner: &Direction) -> bool {
        partner.is_acked() && before(partner.ack, self.end)
    }

    /// Has sent the same three times in vain, or lets the other side send nothing.
    #[inline(always)]
    pub fn is_stuck(&self, partner: &Direction) -> bool {
        self.flags & ZERO_WINDOW != 0 || (self.flags & RETRANS == RETRANS && self.is_unacked(partner))
    }

    /// Whether this side may have sent `seq` lately: an ICMP error that quotes anything else is invented (RFC 5927, 4.1).
    #[inline(always)]
    pub fn may_have_sent(&self, partner: &Direction, seq: u32) -> bool {
        self.flags & LIBERAL != 0
            || !(before(self.end, seq) || before(seq, self.end.wrapping_sub(partner.span() << 1)))
    }

    #[inline(always)]
    pub(super) fn forget(&mut self) {
        self.pending = 0;
    }
}

/// `bytes` in units of `1 << scale`, as much as fits the header's field.
#[inline(always)]
fn rounded_up(bytes: u32, scale: u8) -> u16 {
    let scale = u32::from(scale & 15);
    let units = bytes.wrapping_add((1 << scale) - 1) >> scale;
    if units > 0xffff { 0xffff } else { units as u16 }
}

/// What the pending half in the replies' record is about.
pub(super) const IGNORED_SYN: u8 = 1;
pub(super) const IGNORED_ACK: u8 = 2;

/// Window, scale and what it was.
#[inline(always)]
pub(super) fn pending(kind: u8, segment: &Segment) -> u32 {
    let [low, high] = segment.window.to_le_bytes();
    u32::from_le_bytes([low, high, segment.scale, kind])
}

#[inline(always)]
pub(super) fn pending_kind(pending: u32) -> u8 {
    let [_, _, _, kind] = pending.to_le_bytes();
    kind
}

/// The SYN that was ignored, from the halves in the replies' and in the original direction's record.
#[inline(always)]
pub(super) fn pending_syn(reply: u32, original: u32) -> Segment {
    let [low, high, scale, _] = reply.to_le_bytes();
    let seq = original.wrapping_sub(1);
    Segment { seq, window: u16::from_le_bytes([low, high]), flags: flag::SYN, scale, ..Segment::default() }
}

/// The window scale option (RFC 7323, 2.2).
pub mod scale {
    /// The SYN has none.
    pub const NONE: u8 = 255;
    /// More counts as that.
    pub const MAX: u8 = 14;
    /// Bytes that the options of a header take at most.
    pub const OPTIONS_BYTES: usize = 40;

    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const WINDOW_SCALE: u8 = 3;

    /// Reads the option from the `length` bytes behind a SYN's fixed header.
    #[inline(always)]
    pub fn read(options: &[u8; OPTIONS_BYTES], length: u32) -> u8 {
        let byte = |at: u32| options.get(at as usize).copied().unwrap_or(END);
        let mut at = 0;
        for _ in 0..OPTIONS_BYTES {
            if at >= length {
                break;
            }
            match byte(at) {
                END => break,
                NO_OPERATION => at += 1,
                option => {
                    let bytes = u32::from(byte(at + 1));
                    if bytes < 2 || at + bytes > length {
                        break;
                    }
                    if option == WINDOW_SCALE && bytes == 3 {
                        let scale = byte(at + 2);
                        return if scale > MAX { MAX } else { scale };
                    }
                    at += bytes;
                }
            }
        }
        NONE
    }
}
