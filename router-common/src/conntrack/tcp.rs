//! The life of a TCP connection as somebody in the middle sees it: RFC 9293, with the guesses and the tolerance of
//! net/netfilter/nf_conntrack_proto_tcp.c.
//!
//! Each direction has a [`Direction`], which says what its sender has sent, acknowledged and offered. A segment is judged
//! by its sender's record and by the partner's: data may not go beyond what the partner offers, acknowledgements not
//! beyond what the partner has sent. Selective acknowledgements are not looked at: they could only move a lower bound,
//! below which a segment passes anyhow and moves nothing.

use crate::conntrack::timeout::Class;

mod window;
pub use window::{Direction, before, scale};

/// States, with the numbers of the kernel. Four bits.
pub mod state {
    pub const NONE: u8 = 0;
    /// A SYN was seen.
    pub const SYN_SENT: u8 = 1;
    pub const SYN_RECEIVED: u8 = 2;
    pub const ESTABLISHED: u8 = 3;
    /// A FIN was seen.
    pub const FIN_WAIT: u8 = 4;
    /// That FIN was acknowledged.
    pub const CLOSE_WAIT: u8 = 5;
    /// The other side's FIN was seen.
    pub const LAST_ACK: u8 = 6;
    pub const TIME_WAIT: u8 = 7;
    /// A reset was seen.
    pub const CLOSE: u8 = 8;
    /// Both sides have sent a SYN: simultaneous open.
    pub const SYN_SENT2: u8 = 9;

    /// As `/ip firewall connection print` shows it.
    pub const fn name(state: u8) -> &'static str {
        match state {
            SYN_SENT | SYN_SENT2 => "syn-sent",
            SYN_RECEIVED => "syn-received",
            ESTABLISHED => "established",
            FIN_WAIT => "fin-wait",
            CLOSE_WAIT => "close-wait",
            LAST_ACK => "last-ack",
            TIME_WAIT => "time-wait",
            CLOSE => "close",
            _ => "none",
        }
    }
}

/// Flags of the header (RFC 9293, 3.1).
pub mod flag {
    pub const FIN: u8 = 1;
    pub const SYN: u8 = 2;
    pub const RST: u8 = 4;
    pub const PSH: u8 = 8;
    pub const ACK: u8 = 16;
    pub const URG: u8 = 32;
}

/// What is looked at in a segment; integers in host order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub seq: u32,
    pub ack: u32,
    pub payload_bytes: u32,
    pub window: u16,
    pub flags: u8,
    /// The window scale option of a SYN, [`scale::NONE`] where there is none.
    pub scale: u8,
}
crate::assert_size!(Segment, 16);

impl Segment {
    /// The sequence number behind it: SYN and FIN count for one.
    #[inline(always)]
    pub fn end(&self) -> u32 {
        let controls = u32::from(self.flags >> 1 & 1) + u32::from(self.flags & 1);
        self.seq.wrapping_add(self.payload_bytes).wrapping_add(controls)
    }

    #[inline(always)]
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// What a segment is for the table of transitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Syn,
    SynAck,
    Fin,
    Ack,
    Rst,
}

impl Kind {
    /// None where the flags do not go together; PSH, ECE and CWR go with all.
    #[inline(always)]
    pub fn of(flags: u8) -> Option<Kind> {
        use flag::{ACK, FIN, RST, SYN, URG};
        Some(match flags & (FIN | SYN | RST | ACK | URG) {
            value if value == SYN || value == SYN | URG => Kind::Syn,
            value if value == SYN | ACK => Kind::SynAck,
            value if value == RST || value == RST | ACK => Kind::Rst,
            value if value == FIN | ACK || value == FIN | ACK | URG => Kind::Fin,
            value if value == ACK || value == ACK | URG => Kind::Ack,
            _ => return None,
        })
    }
}

/// Transitions beyond the states.
const INVALID: u8 = 15;
/// Passes and moves nothing: it may be that the ends are right and the record is not.
const IGNORE: u8 = 14;

/// Ten states of four bits, that of [`state::NONE`] lowest.
const fn row(to: [u8; 10]) -> u64 {
    let mut packed = 0;
    let mut place = 0;
    while place < 10 {
        #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
        let next = to[place] as u64;
        packed |= next << (4 * place);
        place += 1;
    }
    packed
}

/// Where a segment leads from a state; the direction is that of the first packet, or of its answers.
#[inline(always)]
pub fn transition(kind: Kind, reply: bool, from: u8) -> u8 {
    const SS: u8 = state::SYN_SENT;
    const SR: u8 = state::SYN_RECEIVED;
    const ES: u8 = state::ESTABLISHED;
    const FW: u8 = state::FIN_WAIT;
    const CW: u8 = state::CLOSE_WAIT;
    const LA: u8 = state::LAST_ACK;
    const TW: u8 = state::TIME_WAIT;
    const CL: u8 = state::CLOSE;
    const S2: u8 = state::SYN_SENT2;
    const IV: u8 = INVALID;
    const IG: u8 = IGNORE;

    let row = match (kind, reply) {
        // none, SYN sent, SYN received, established, FIN wait, close wait, last ACK, time wait, close, two SYNs sent
        (Kind::Syn, false) => const { row([SS, SS, IG, IG, IG, IG, IG, SS, SS, S2]) },
        (Kind::Syn, true) => const { row([IV, S2, IV, IV, IV, IV, IV, SS, IV, S2]) },
        (Kind::SynAck, false) => const { row([IV, IV, SR, IV, IV, IV, IV, IV, IV, SR]) },
        (Kind::SynAck, true) => const { row([IV, SR, IG, IG, IG, IG, IG, IG, IG, SR]) },
        (Kind::Fin, _) => const { row([IV, IV, FW, FW, LA, LA, LA, TW, CL, IV]) },
        (Kind::Ack, false) => const { row([ES, IV, ES, ES, CW, CW, TW, TW, CL, IV]) },
        (Kind::Ack, true) => const { row([IV, IG, SR, ES, CW, CW, TW, TW, CL, IG]) },
        (Kind::Rst, _) => const { row([IV, CL, CL, CL, CL, CL, CL, CL, CL, CL]) },
    };
    (row >> (4 * u32::from(from & 15))) as u8 & 15
}

/// What is known beside the records; bits of [`Step::context`].
pub mod context {
    /// The segment travels against the first one.
    pub const REPLY: u8 = 1;
    /// Both directions had been seen before this segment.
    pub const SEEN_REPLY: u8 = 2;
    pub const ASSURED: u8 = 4;
    /// `loose-tcp-tracking`: connections may be taken up in their middle.
    pub const LOOSE: u8 = 8;
    /// `liberal-tcp-tracking`: of what is out of the window only resets are invalid.
    pub const LIBERAL: u8 = 16;
}

/// One segment and the connection it meets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// The sender's record, and the partner's. Both may change.
    pub own: Direction,
    pub partner: Direction,
    pub segment: Segment,
    /// One of [`state`].
    pub state: u8,
    /// Bits of [`context`].
    pub context: u8,
    pub reserved: [u8; 6],
}
crate::assert_size!(Step, 56);

/// What a segment does to its connection. In one word, as a function of an eBPF program gives it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict(pub u32);

impl Verdict {
    const CLASS_SHIFT: u32 = 8;
    const INVALID: u32 = 1 << 16;
    const REOPEN: u32 = 1 << 17;
    const KEEP_TIMER: u32 = 1 << 18;
    const REMOVE: u32 = 1 << 19;
    const ASSURED: u32 = 1 << 20;
    const UNSETTLED: u32 = 1 << 21;

    #[inline(always)]
    const fn is(self, bit: u32) -> bool {
        self.0 & bit != 0
    }

    /// One of [`state`]: what the connection is now.
    #[inline(always)]
    pub const fn state(self) -> u8 {
        (self.0 & 15) as u8
    }
    /// Number of the timer's [`Class`].
    #[inline(always)]
    pub const fn class(self) -> u32 {
        self.0 >> Verdict::CLASS_SHIFT & 31
    }
    /// The packet's state is `invalid`; the connection stays as it is.
    #[inline(always)]
    pub const fn is_invalid(self) -> bool {
        self.is(Verdict::INVALID)
    }
    /// The connection is over and this is the SYN of another: the entries go, and the packet is looked at as a new one.
    #[inline(always)]
    pub const fn is_reopened(self) -> bool {
        self.is(Verdict::REOPEN)
    }
    /// Timer and class stay as they were.
    #[inline(always)]
    pub const fn keeps_timer(self) -> bool {
        self.is(Verdict::KEEP_TIMER)
    }
    /// The packet passes and the entries go: a refused connection.
    #[inline(always)]
    pub const fn is_removed(self) -> bool {
        self.is(Verdict::REMOVE)
    }
    /// The connection is assured from now on.
    #[inline(always)]
    pub const fn is_assured(self) -> bool {
        self.is(Verdict::ASSURED)
    }
    /// The next segment of either direction has to be judged as well: decisions are not to be kept, and those that
    /// were are over.
    #[inline(always)]
    pub const fn is_unsettled(self) -> bool {
        self.is(Verdict::UNSETTLED)
    }
}

/// How a segment lies in the window.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    Inside = 3,
    /// Old: passes, moves nothing.
    Late = 1,
    /// A little too much: passes, and may be acknowledged.
    Over = 2,
    Outside = 0,
}

impl Lie {
    /// The one of that number; what has no such number lies outside.
    #[inline(always)]
    pub fn from_number(number: u32) -> Lie {
        match number {
            1 => Lie::Late,
            2 => Lie::Over,
            3 => Lie::Inside,
            _ => Lie::Outside,
        }
    }
}

impl Step {
    #[inline(always)]
    fn knows(&self, bit: u8) -> bool {
        self.context & bit != 0
    }

    #[inline(always)]
    fn is_reply(&self) -> bool {
        self.knows(context::REPLY)
    }

    /// Judges the first segment of a connection: a SYN, or with `loose-tcp-tracking` an ACK. `own`, `partner` and
    /// `state` need not be filled in.
    #[inline(always)]
    pub fn open(&mut self) -> Verdict {
        let next = match Kind::of(self.segment.flags) {
            Some(kind) => transition(kind, false, state::NONE),
            None => INVALID,
        };
        self.partner = Direction::default();
        match next {
            state::SYN_SENT => self.own = Direction::from_syn(&self.segment),
            state::ESTABLISHED if self.knows(context::LOOSE) => {
                self.own = Direction::from_middle(&self.segment);
                self.partner.flags = window::LIBERAL;
            }
            _ => return Verdict(Verdict::INVALID),
        }
        self.state = next;
        Verdict(u32::from(next) | (self.class(false) as u32) << Verdict::CLASS_SHIFT | Verdict::UNSETTLED)
    }

    /// Judges a segment of a connection that is there.
    #[inline(always)]
    pub fn judge(&mut self) -> Verdict {
        self.judge_by(Step::look)
    }

    /// As [`Step::judge`]; `look` does what [`Step::look`] does, which in the kernel is a function of its own.
    #[inline(always)]
    pub fn judge_by(&mut self, look: impl FnOnce(&mut Step) -> Lie) -> Verdict {
        let Some(kind) = Kind::of(self.segment.flags) else { return self.invalid() };
        self.own.repair(&self.partner);
        self.partner.repair(&self.own);
        let from = self.state;
        let mut next = transition(kind, self.is_reply(), from);
        let mut is_sure = false;
        match next {
            INVALID => return self.invalid(),
            state::SYN_SENT if from == state::TIME_WAIT || from == state::CLOSE => {
                return Verdict(Verdict::REOPEN);
            }
            IGNORE if kind == Kind::SynAck && self.answers_ignored_syn() => {
                self.resume();
                next = state::SYN_RECEIVED;
            }
            IGNORE => return self.ignore(kind),
            // The answer to a SYN that the connection did not expect, not the last ACK (RFC 5961, 4.2).
            state::TIME_WAIT
                if from == state::LAST_ACK
                    && kind == Kind::Ack
                    && self.is_reply()
                    && self.ignored_syn().is_some() =>
            {
                self.own.forget();
                return Verdict(self.pass().0 | Verdict::UNSETTLED);
            }
            state::SYN_SENT2 => self.own.flags |= window::SIMULTANEOUS,
            state::SYN_RECEIVED
                if kind == Kind::Ack && (self.own.flags | self.partner.flags) & window::SIMULTANEOUS != 0 =>
            {
                next = state::ESTABLISHED;
            }
            state::CLOSE if kind == Kind::Rst => match self.reset() {
                Reset::Sure => is_sure = true,
                Reset::Look => {}
                Reset::Challenge => next = from,
                Reset::Invalid => return self.invalid(),
            },
            _ => {}
        }
        if !is_sure {
            match look(self) {
                Lie::Over if kind != Kind::Rst => {
                    self.own.end = self.segment.end();
                    return self.pass();
                }
                Lie::Late => return self.pass(),
                Lie::Over | Lie::Outside => return self.invalid(),
                Lie::Inside => {}
            }
        }
        self.own.forget();
        self.partner.forget();
        self.state = next;
        self.move_on(kind, from)
    }

    /// What follows from a segment that has been taken.
    #[inline(always)]
    fn move_on(&self, kind: Kind, from: u8) -> Verdict {
        let seen_reply = self.knows(context::SEEN_REPLY);
        let class = if kind == Kind::Rst { Class::Close } else { self.class(seen_reply) };
        let mut verdict = u32::from(self.state) | (class as u32) << Verdict::CLASS_SHIFT;
        if !seen_reply {
            if kind == Kind::Rst {
                verdict |= Verdict::REMOVE;
            }
            // A SYN that is sent again and again would keep the entry, and what it translates to, for ever.
            if kind == Kind::Syn && from == state::SYN_SENT && !self.is_reply() {
                verdict |= Verdict::KEEP_TIMER;
            }
        }
        let answered =
            matches!(from, state::SYN_RECEIVED | state::ESTABLISHED) && self.state == state::ESTABLISHED;
        let assured = self.knows(context::ASSURED) || (seen_reply && answered);
        if assured {
            verdict |= Verdict::ASSURED;
        }
        if !assured || !self.is_still() || kind == Kind::Rst {
            verdict |= Verdict::UNSETTLED;
        }
        Verdict(verdict)
    }

    /// The timer that the connection runs on, as long as nobody waits for an acknowledgement.
    #[inline(always)]
    fn class(&self, seen_reply: bool) -> Class {
        let class = match self.state {
            state::SYN_SENT | state::SYN_SENT2 => Class::SynSent,
            state::SYN_RECEIVED => Class::SynReceived,
            state::ESTABLISHED => Class::Established,
            state::FIN_WAIT => Class::FinWait,
            state::CLOSE_WAIT => Class::CloseWait,
            state::LAST_ACK => Class::LastAck,
            state::TIME_WAIT => Class::TimeWait,
            _ => Class::Close,
        };
        if class == Class::Established && !seen_reply { Class::Unacked } else { class }
    }

    #[inline(always)]
    fn invalid(&self) -> Verdict {
        Verdict(u32::from(self.state) | Verdict::INVALID | Verdict::KEEP_TIMER)
    }

    /// Passes, and moves neither state nor timer.
    #[inline(always)]
    fn pass(&self) -> Verdict {
        let assured = if self.knows(context::ASSURED) { Verdict::ASSURED } else { 0 };
        let unsettled = if assured == 0 || !self.is_still() { Verdict::UNSETTLED } else { 0 };
        Verdict(u32::from(self.state) | Verdict::KEEP_TIMER | assured | unsettled)
    }

    /// Whether an ACK moves nothing in this state, so that decisions can be kept.
    #[inline(always)]
    fn is_still(&self) -> bool {
        matches!(self.state, state::ESTABLISHED | state::CLOSE_WAIT)
    }

    /// Notes what may prove right by its answer: a SYN on a connection that is already there (its sender has started
    /// anew), and an ACK that answers a SYN (its sender still has the old connection).
    #[inline(always)]
    fn ignore(&mut self, kind: Kind) -> Verdict {
        let segment = &self.segment;
        match kind {
            Kind::Syn => {
                self.own.pending = segment.end();
                self.partner.pending = window::pending(window::IGNORED_SYN, segment);
            }
            Kind::Ack => {
                self.partner.pending = segment.ack;
                self.own.pending = window::pending(window::IGNORED_ACK, segment);
            }
            _ => {}
        }
        Verdict(self.pass().0 | Verdict::UNSETTLED)
    }

    /// The record of the original direction, and that of the replies.
    #[inline(always)]
    fn sides(&self) -> (&Direction, &Direction) {
        if self.is_reply() { (&self.partner, &self.own) } else { (&self.own, &self.partner) }
    }

    /// The end of the SYN in the original direction that was ignored last.
    #[inline(always)]
    fn ignored_syn(&self) -> Option<u32> {
        let (original, reply) = self.sides();
        (window::pending_kind(reply.pending) == window::IGNORED_SYN).then_some(original.pending)
    }

    #[inline(always)]
    fn ignored_ack(&self) -> Option<u32> {
        let (original, reply) = self.sides();
        (window::pending_kind(reply.pending) == window::IGNORED_ACK).then_some(original.pending)
    }

    #[inline(always)]
    fn answers_ignored_syn(&self) -> bool {
        self.is_reply() && self.ignored_syn() == Some(self.segment.ack)
    }

    /// Both ends have agreed on a new connection: goes on from the SYN that was ignored.
    #[inline(always)]
    fn resume(&mut self) {
        let syn = window::pending_syn(self.own.pending, self.partner.pending);
        self.partner = Direction::from_syn(&syn);
        self.own = Direction { flags: self.own.flags & window::LIBERAL, ..Direction::default() };
    }

    /// What a reset is worth (RFC 5961, 3.2): only the exact sequence number ends an established connection; one
    /// elsewhere in the window passes, since the other end answers it with a challenge.
    #[inline(always)]
    fn reset(&self) -> Reset {
        let segment = &self.segment;
        if matches!(
            self.state,
            state::FIN_WAIT | state::CLOSE_WAIT | state::LAST_ACK | state::TIME_WAIT | state::CLOSE
        ) {
            return Reset::Sure;
        }
        let ignored_syn = self.ignored_syn();
        // The server's answer to a SYN that passed although it did not fit: the ends have no connection any more.
        if self.is_reply()
            && ignored_syn.is_some()
            && ignored_syn == Some(segment.ack)
            && segment.has(flag::ACK)
        {
            return Reset::Sure;
        }
        // The client's answer to an ACK that passed although it did not fit (RFC 9293, figure 10, line 4).
        if self.state == state::SYN_SENT && !self.is_reply() && self.ignored_ack() == Some(segment.seq) {
            return Reset::Sure;
        }
        if !self.partner.is_acked() || ignored_syn.is_some() {
            return Reset::Look;
        }
        let established = self.state == state::ESTABLISHED;
        if segment.seq == 0 && !established {
            return Reset::Look;
        }
        if before(segment.seq, self.partner.ack) {
            return Reset::Invalid;
        }
        // Also behind what it has sent itself: data and reset in one train.
        if !established || segment.seq == self.partner.ack || segment.seq == self.own.end {
            return Reset::Look;
        }
        Reset::Challenge
    }

    /// Whether the segment lies in the window; takes it into its sender's record if so, else leaves both as they were.
    #[inline(always)]
    pub fn look(&mut self) -> Lie {
        let (own, partner) = (self.own, self.partner);
        let lie = self.try_segment();
        if lie != Lie::Inside {
            (self.own, self.partner) = (own, partner);
        }
        lie
    }

    #[inline(always)]
    fn try_segment(&mut self) -> Lie {
        let segment = self.segment;
        let (mut seq, mut end) = (segment.seq, segment.end());
        let is_syn = segment.has(flag::SYN);
        let opens = matches!(self.state, state::SYN_SENT | state::SYN_RECEIVED | state::SYN_SENT2);
        let starts_anew = is_syn && opens && before(self.own.end, end);
        if is_syn && (!self.own.is_seen() || starts_anew) {
            // Perhaps with other options than the first (RFC 9293, 3.4.3).
            self.own.start(&segment);
            if self.is_reply() {
                self.own.agree(&mut self.partner);
                if !segment.has(flag::ACK) {
                    return Lie::Inside;
                }
            }
        } else if !self.own.is_seen() {
            self.own.start_in_the_middle(&segment);
            // Nothing was seen of the partner, or this answers its keep-alive.
            if !self.partner.is_seen() || segment.ack == self.partner.end.wrapping_add(1) {
                self.partner.end = segment.ack;
            }
        }
        // Some set the flag in a reset and leave the number empty.
        let ack = match segment.has(flag::ACK) && !(segment.has(flag::RST) && segment.ack == 0) {
            true => segment.ack,
            false => self.partner.end,
        };
        if segment.has(flag::RST) && seq == 0 && self.state == state::SYN_SENT {
            // A reset that answers a SYN.
            (seq, end) = (self.own.end, self.own.end);
        }
        let is_liberal = self.knows(context::LIBERAL) || self.own.flags & window::LIBERAL != 0;
        match self.own.lie(&self.partner, seq, end, ack, opens) {
            Lie::Inside => {}
            // But no reset from behind what was sent.
            _ if is_liberal && !(segment.has(flag::RST) && before(self.own.end, seq)) => {}
            other => return other,
        }
        self.own.take(&segment);
        Lie::Inside
    }
}

/// What is to be done about a reset.
enum Reset {
    /// Ends the connection whatever its numbers.
    Sure,
    /// Ends it if it lies in the window.
    Look,
    /// Passes if it lies in the window; the connection stays.
    Challenge,
    Invalid,
}

#[cfg(test)]
mod tests;
