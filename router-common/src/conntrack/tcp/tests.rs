use super::*;
use crate::conntrack::timeout::Class;
use flag::{ACK, FIN, PSH, RST, SYN, URG};
use proptest::prelude::*;
use std::string::String;

/// The two ends as a test writes them: the client opens.
const CLIENT: bool = false;
const SERVER: bool = true;

/// A connection in the way the flow table keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Line {
    client: Direction,
    server: Direction,
    state: u8,
    class: u32,
    seen_reply: bool,
    assured: bool,
    settings: u8,
    gone: bool,
}

/// Sequence numbers that both ends start with.
const C: u32 = 1000;
const S: u32 = 5000;

fn segment(flags: u8, seq: u32, ack: u32, payload_bytes: u32) -> Segment {
    Segment { seq, ack, payload_bytes, window: 1000, flags, scale: scale::NONE }
}

fn closed() -> Line {
    Line {
        client: Direction::default(),
        server: Direction::default(),
        state: state::NONE,
        class: 0,
        seen_reply: false,
        assured: false,
        settings: context::LOOSE,
        gone: true,
    }
}

impl Line {
    fn send(&mut self, from: bool, segment: Segment) -> Verdict {
        let mut context = self.settings;
        context |= if from == SERVER { context::REPLY } else { 0 };
        context |= if self.seen_reply { context::SEEN_REPLY } else { 0 };
        context |= if self.assured { context::ASSURED } else { 0 };
        let (own, partner) =
            if from == SERVER { (self.server, self.client) } else { (self.client, self.server) };
        let mut step = Step { own, partner, segment, state: self.state, context, ..Step::default() };
        let verdict = if self.gone { step.open() } else { step.judge() };
        if verdict.is_invalid() {
            return verdict;
        }
        if verdict.is_reopened() {
            *self = Line { settings: self.settings, ..closed() };
            return verdict;
        }
        (self.server, self.client) =
            if from == SERVER { (step.own, step.partner) } else { (step.partner, step.own) };
        self.gone = verdict.is_removed();
        self.seen_reply |= from == SERVER;
        self.assured |= verdict.is_assured();
        self.state = verdict.state();
        if !verdict.keeps_timer() {
            self.class = verdict.class();
        }
        verdict
    }

    fn c(&mut self, flags: u8, seq: u32, ack: u32, payload_bytes: u32) -> Verdict {
        self.send(CLIENT, segment(flags, C.wrapping_add(seq), S.wrapping_add(ack), payload_bytes))
    }

    fn s(&mut self, flags: u8, seq: u32, ack: u32, payload_bytes: u32) -> Verdict {
        self.send(SERVER, segment(flags, S.wrapping_add(seq), C.wrapping_add(ack), payload_bytes))
    }

    /// What the fast path does with data.
    fn fast(&mut self, from: bool, seq: u32, ack: u32, payload_bytes: u32) {
        match from {
            CLIENT => self.client.record(C.wrapping_add(seq), S.wrapping_add(ack), 1000, payload_bytes),
            SERVER => self.server.record(S.wrapping_add(seq), C.wrapping_add(ack), 1000, payload_bytes),
        }
    }
}

fn syn_sent() -> Line {
    let mut line = closed();
    let verdict = line.c(SYN, 0, 0, 0);
    assert_eq!((verdict.state(), verdict.class()), (state::SYN_SENT, Class::SynSent as u32));
    line
}

fn syn_received() -> Line {
    let mut line = syn_sent();
    let verdict = line.s(SYN | ACK, 0, 1, 0);
    assert_eq!((verdict.state(), verdict.class()), (state::SYN_RECEIVED, Class::SynReceived as u32));
    line
}

fn established() -> Line {
    let mut line = syn_received();
    let verdict = line.c(ACK, 1, 1, 0);
    assert_eq!((verdict.state(), verdict.class()), (state::ESTABLISHED, Class::Established as u32));
    assert!(verdict.is_assured() && !verdict.is_unsettled());
    line
}

fn fin_wait() -> Line {
    let mut line = established();
    assert_eq!(line.c(FIN | ACK, 1, 1, 0).state(), state::FIN_WAIT);
    line
}

fn close_wait() -> Line {
    let mut line = fin_wait();
    assert_eq!(line.s(ACK, 1, 2, 0).state(), state::CLOSE_WAIT);
    line
}

fn last_ack() -> Line {
    let mut line = close_wait();
    assert_eq!(line.s(FIN | ACK, 1, 2, 0).state(), state::LAST_ACK);
    line
}

fn time_wait() -> Line {
    let mut line = last_ack();
    assert_eq!(line.c(ACK, 2, 2, 0).state(), state::TIME_WAIT);
    line
}

fn close() -> Line {
    let mut line = established();
    assert_eq!(line.s(RST, 1, 1, 0).state(), state::CLOSE);
    line
}

fn syn_sent2() -> Line {
    let mut line = syn_sent();
    assert_eq!(line.s(SYN, 0, 0, 0).state(), state::SYN_SENT2);
    line
}

/// A line in each state, by number.
fn all() -> [Line; 9] {
    [
        syn_sent(),
        syn_received(),
        established(),
        fin_wait(),
        close_wait(),
        last_ack(),
        time_wait(),
        close(),
        syn_sent2(),
    ]
}

/// What became of a segment, as the table has it.
fn outcome(line: &mut Line, from: bool, segment: Segment) -> String {
    let before = line.state;
    let verdict = line.send(from, segment);
    if verdict.is_invalid() {
        assert_eq!(line.state, before);
        return "x".into();
    }
    if verdict.is_reopened() {
        return "+".into();
    }
    if verdict.keeps_timer() && verdict.state() == before {
        return "-".into();
    }
    match verdict.state() {
        state::SYN_SENT2 => "syn-sent2".into(),
        other => state::name(other).into(),
    }
}

#[test]
fn every_transition_of_the_table() {
    // From syn-sent, syn-received, established, fin-wait, close-wait, last-ack, time-wait, close, two SYNs sent: the
    // state it leads to, ignored (-), invalid (x), or reopened (+).
    let table = [
        ("syn", CLIENT, "- - - - - - + + syn-sent2"),
        ("syn", SERVER, "syn-sent2 x x x x x + x syn-sent2"),
        ("syn-ack", CLIENT, "x syn-received x x x x x x syn-received"),
        ("syn-ack", SERVER, "syn-received - - - - - - - syn-received"),
        ("fin", CLIENT, "x fin-wait fin-wait last-ack last-ack last-ack time-wait close x"),
        ("fin", SERVER, "x fin-wait fin-wait last-ack last-ack last-ack time-wait close x"),
        ("ack", CLIENT, "x established established close-wait close-wait time-wait time-wait close x"),
        ("ack", SERVER, "- syn-received established close-wait close-wait time-wait time-wait close -"),
        ("rst", CLIENT, "close close close close close close close close close"),
        ("rst", SERVER, "close close close close close close close close close"),
    ];
    for (name, from, expected) in table {
        for (line, expected) in all().iter().zip(expected.split_whitespace()) {
            let mut line = *line;
            let (own, partner) =
                if from == SERVER { (line.server, line.client) } else { (line.client, line.server) };
            let next = if own.is_seen() { own.end } else { S };
            let acks = partner.end;
            let segment = match name {
                "syn" => segment(SYN, next.wrapping_sub(1), 0, 0),
                "syn-ack" => segment(SYN | ACK, next.wrapping_sub(1), acks, 0),
                "fin" => segment(FIN | ACK, next, acks, 0),
                "ack" => segment(ACK, next, acks, 0),
                // Where the partner expects the next byte.
                _ => segment(RST | ACK, if partner.is_acked() { partner.ack } else { next }, acks, 0),
            };
            let from_state = line.state;
            assert_eq!(
                outcome(&mut line, from, segment),
                expected,
                "{name} of {} in {from_state}",
                if from { "server" } else { "client" }
            );
        }
    }
}

#[test]
fn flags_that_do_not_go_together_are_invalid() {
    for flags in
        [0, SYN | FIN, SYN | RST, FIN, FIN | RST | ACK, SYN | FIN | ACK, URG, URG | RST, SYN | ACK | URG, PSH]
    {
        assert_eq!(Kind::of(flags), None, "{flags:#x}");
        assert!(established().c(flags, 1, 1, 0).is_invalid(), "{flags:#x}");
        assert!(closed().c(flags, 0, 0, 0).is_invalid(), "{flags:#x}");
    }
    for (flags, kind) in [
        (SYN, Kind::Syn),
        (SYN | PSH | 0xc0, Kind::Syn),
        (SYN | ACK, Kind::SynAck),
        (ACK | PSH | URG, Kind::Ack),
        (FIN | ACK | PSH, Kind::Fin),
        (RST, Kind::Rst),
        (RST | ACK, Kind::Rst),
    ] {
        assert_eq!(Kind::of(flags), Some(kind), "{flags:#x}");
    }
}

#[test]
fn a_connection_begins_with_a_syn() {
    for flags in [SYN | ACK, FIN | ACK, RST, RST | ACK] {
        assert!(closed().c(flags, 0, 0, 0).is_invalid(), "{flags:#x}");
    }
    assert!(!closed().c(SYN, 0, 0, 0).is_invalid());
    assert!(!closed().c(SYN, 0, 0, 100).is_invalid(), "data in a SYN (RFC 7413)");
}

#[test]
fn a_connection_from_the_first_segment_to_the_last() {
    let mut line = established();
    assert_eq!(line.c(ACK | PSH, 1, 1, 100).state(), state::ESTABLISHED);
    assert_eq!(line.s(ACK | PSH, 1, 101, 500).state(), state::ESTABLISHED);
    assert_eq!(line.c(FIN | ACK, 101, 501, 0).class(), Class::FinWait as u32);
    assert_eq!(line.s(ACK, 501, 102, 0).class(), Class::CloseWait as u32);
    // Half closed: the server goes on.
    let verdict = line.s(ACK | PSH, 501, 102, 400);
    assert_eq!((verdict.state(), verdict.is_unsettled()), (state::CLOSE_WAIT, false));
    assert_eq!(line.c(ACK, 102, 901, 0).state(), state::CLOSE_WAIT);
    assert_eq!(line.s(FIN | ACK, 901, 102, 0).class(), Class::LastAck as u32);
    let verdict = line.c(ACK, 102, 902, 0);
    assert_eq!((verdict.state(), verdict.class()), (state::TIME_WAIT, Class::TimeWait as u32));
}

#[test]
fn both_ends_open_at_once() {
    // RFC 9293, figure 7.
    let mut line = syn_sent();
    assert_eq!(line.s(SYN, 0, 0, 0).class(), Class::SynSent as u32);
    assert_eq!(line.c(SYN | ACK, 0, 1, 0).state(), state::SYN_RECEIVED);
    assert!(line.s(SYN | ACK, 0, 1, 0).keeps_timer());
    assert_eq!(line.s(ACK, 1, 1, 0).state(), state::ESTABLISHED);
    assert_eq!(line.c(ACK | PSH, 1, 1, 10).state(), state::ESTABLISHED);
}

#[test]
fn both_ends_close_at_once() {
    // RFC 9293, figure 13.
    let mut line = established();
    assert_eq!(line.c(FIN | ACK, 1, 1, 0).state(), state::FIN_WAIT);
    assert_eq!(line.s(FIN | ACK, 1, 1, 0).state(), state::LAST_ACK);
    assert_eq!(line.c(ACK, 2, 2, 0).state(), state::TIME_WAIT);
    assert_eq!(line.s(ACK, 2, 2, 0).state(), state::TIME_WAIT);
}

#[test]
fn a_refused_connection_is_removed() {
    let mut line = syn_sent();
    let verdict = line.s(RST | ACK, 0u32.wrapping_sub(S), 1, 0);
    assert!(verdict.is_removed(), "{verdict:?}");
    assert!(line.gone);
}

#[test]
fn a_reset_that_answers_no_syn_of_ours_is_invalid() {
    assert!(syn_sent().s(RST | ACK, 0u32.wrapping_sub(S), 77, 0).is_invalid());
}

#[test]
fn a_syn_that_is_sent_again_does_not_renew_the_timer() {
    let mut line = syn_sent();
    let verdict = line.c(SYN, 0, 0, 0);
    assert!(verdict.keeps_timer() && !verdict.is_invalid());
    assert_eq!(line.s(SYN | ACK, 0, 1, 0).state(), state::SYN_RECEIVED);
}

#[test]
fn a_new_attempt_with_another_number_counts() {
    let mut line = syn_sent();
    assert!(!line.c(SYN, 100_000, 0, 0).is_invalid());
    assert!({ line }.s(SYN | ACK, 0, 200_000, 0).is_invalid(), "acknowledges what was never sent");
    assert_eq!(line.s(SYN | ACK, 0, 100_001, 0).state(), state::SYN_RECEIVED);
}

#[test]
fn a_half_open_connection_is_found_out() {
    // RFC 9293, figure 9: the client has crashed and opens again, the server still has the connection.
    let mut line = established();
    let verdict = line.c(SYN, 70_000, 0, 0);
    assert!(verdict.keeps_timer() && verdict.is_unsettled() && !verdict.is_invalid());
    assert_eq!(line.s(ACK, 1, 1, 0).state(), state::ESTABLISHED);
    assert_eq!(line.c(RST, 1, 0, 0).state(), state::CLOSE);
    assert!(line.c(SYN, 70_000, 0, 0).is_reopened());
    assert_eq!(line.c(SYN, 70_000, 0, 0).state(), state::SYN_SENT);
}

#[test]
fn both_ends_start_anew_behind_our_back() {
    let mut line = established();
    line.c(SYN, 700_000, 0, 0);
    assert!({ line }.s(SYN | ACK, 900_000, 5, 0).keeps_timer(), "acknowledges something else");
    assert_eq!(line.s(SYN | ACK, 900_000, 700_001, 0).state(), state::SYN_RECEIVED);
    assert_eq!(line.c(ACK, 700_001, 900_001, 0).state(), state::ESTABLISHED);
    assert_eq!(line.c(FIN | ACK, 1, 1, 0).state(), state::ESTABLISHED, "the old numbers are over");
    assert_eq!(line.s(ACK | PSH, 900_001, 700_001, 500).state(), state::ESTABLISHED);
}

#[test]
fn a_server_that_has_lost_the_connection_ends_it() {
    let mut line = established();
    line.c(SYN, 70_000, 0, 0);
    assert_eq!(line.s(RST | ACK, 0u32.wrapping_sub(S), 70_001, 0).state(), state::CLOSE);
}

#[test]
fn a_server_with_an_old_connection_is_reset() {
    // The client's SYN meets a connection of the server that we have forgotten: its ACK passes, and so does the
    // client's reset.
    let mut line = syn_sent();
    let verdict = line.s(ACK, 40, 4000, 0);
    assert!(!verdict.is_invalid() && verdict.keeps_timer());
    assert!({ line }.c(RST, 3999, 0, 0).is_invalid(), "not the number that was asked for");
    let verdict = line.send(CLIENT, segment(RST, C + 4000, 0, 0));
    assert_eq!(verdict.state(), state::CLOSE);
}

#[test]
fn a_challenge_is_not_the_last_ack() {
    let mut line = last_ack();
    line.c(SYN, 70_000, 0, 0);
    let verdict = line.s(ACK, 2, 2, 0);
    assert_eq!(verdict.state(), state::LAST_ACK, "RFC 5961, 4.2");
    assert_eq!(line.c(ACK, 2, 2, 0).state(), state::TIME_WAIT);
}

#[test]
fn only_the_exact_reset_ends_an_established_connection() {
    let mut line = established();
    line.s(ACK | PSH, 1, 1, 500);
    line.c(ACK, 1, 501, 0);
    assert!({ line }.s(RST, 500, 0, 0).is_invalid(), "before the window");
    assert!({ line }.s(RST, 1_000_000, 0, 0).is_invalid(), "behind the window");
    assert!({ line }.s(RST, 501 + 1001, 0, 0).is_invalid(), "just behind the window");
    for seq in [502, 900, 1501] {
        let mut line = line;
        let verdict = line.s(RST, seq, 0, 0);
        assert_eq!((verdict.state(), verdict.class()), (state::ESTABLISHED, Class::Close as u32), "{seq}");
        assert!(verdict.is_unsettled());
        let verdict = line.c(ACK, 1, 501, 0);
        assert_eq!(
            (verdict.state(), verdict.class()),
            (state::ESTABLISHED, Class::Established as u32),
            "challenged"
        );
    }
    assert_eq!(line.s(RST, 501, 0, 0).state(), state::CLOSE);
}

#[test]
fn data_and_reset_in_one_train() {
    let mut line = established();
    line.fast(SERVER, 1, 1, 300);
    assert_eq!(line.s(RST | ACK, 301, 1, 0).state(), state::CLOSE);
}

#[test]
fn a_closing_connection_ends_with_any_reset() {
    for mut line in [fin_wait(), close_wait(), last_ack(), time_wait(), close()] {
        assert_eq!(line.s(RST, 123_456, 0, 0).state(), state::CLOSE);
    }
}

#[test]
fn the_window_has_two_ends() {
    let mut line = established();
    line.c(ACK, 1, 1, 0);
    line.s(ACK, 1, 1, 0);
    assert!({ line }.c(FIN | ACK, 3000, 1, 0).is_invalid(), "more than the server takes");
    assert_eq!({ line }.c(FIN | ACK, 901, 1, 100).state(), state::FIN_WAIT);
    assert!({ line }.c(FIN | ACK, 1, 2, 0).is_invalid(), "acknowledges what was not sent");
    let verdict = { line }.c(FIN | ACK, 0u32.wrapping_sub(140_000), 1, 0);
    assert!(verdict.keeps_timer() && !verdict.is_invalid() && verdict.state() == state::ESTABLISHED, "old");
}

#[test]
fn a_little_too_much_passes_and_is_remembered() {
    let mut line = established();
    line.s(ACK, 1, 1, 0);
    let verdict = line.c(ACK, 1010, 1, 100);
    assert!(!verdict.is_invalid() && verdict.keeps_timer());
    assert!(!line.s(ACK, 1, 1110, 0).is_invalid(), "its acknowledgement is none of what was never sent");
}

#[test]
fn liberal_tracking_takes_what_is_outside() {
    let mut line = established();
    line.settings |= context::LIBERAL;
    line.s(ACK, 1, 1, 0);
    assert_eq!({ line }.c(FIN | ACK, 3_000_000, 9000, 0).state(), state::FIN_WAIT);
    assert!({ line }.c(RST, 3_000_000, 0, 0).is_invalid(), "but resets");
    assert!(line.c(SYN | FIN, 1, 1, 0).is_invalid(), "and nonsense");
}

#[test]
fn windows_are_scaled_if_both_say_so() {
    let open = |client: u8, server: u8| {
        let mut line = closed();
        let syn = Segment { scale: client, window: 64_000, ..segment(SYN, C, 0, 0) };
        assert!(!line.send(CLIENT, syn).is_invalid());
        let syn_ack = Segment { scale: server, window: 60_000, ..segment(SYN | ACK, S, C + 1, 0) };
        assert!(!line.send(SERVER, syn_ack).is_invalid());
        let ack = Segment { window: 500, ..segment(ACK, C + 1, S + 1, 0) };
        assert!(!line.send(CLIENT, ack).is_invalid());
        line
    };
    // 500 units of 128 bytes are offered to the server, and 60,000 bytes by its SYN to the client.
    let mut line = open(7, 7);
    assert!(!{ line }.s(FIN | ACK, 1 + 64_000, 1, 0).is_invalid());
    assert!({ line }.s(FIN | ACK, 1 + 200_000, 1, 0).is_invalid());
    assert!(line.c(FIN | ACK, 1 + 200_000, 1, 0).is_invalid());
    for (client, server) in [(7, scale::NONE), (scale::NONE, 7)] {
        let mut line = open(client, server);
        assert_eq!((line.client.scale & 15, line.server.scale & 15), (0, 0));
        assert!(line.s(FIN | ACK, 1 + 63_000, 1, 0).is_invalid(), "500 bytes");
        // What the SYN-ACK offered stands: 60,000 bytes.
        assert_eq!({ line }.c(FIN | ACK, 1 + 59_000, 1, 0).state(), state::FIN_WAIT);
        assert!(line.c(FIN | ACK, 1 + 130_000, 1, 0).is_invalid());
    }
    assert_eq!(open(200, 200).client.scale, 0, "not an option");
}

#[test]
fn a_connection_is_taken_up_in_its_middle() {
    let mut line = closed();
    let verdict = line.c(ACK | PSH, 100, 200, 50);
    assert_eq!((verdict.state(), verdict.class()), (state::ESTABLISHED, Class::Unacked as u32));
    assert!(verdict.is_unsettled() && !verdict.is_assured(), "nobody has answered yet");
    let verdict = line.s(ACK | PSH, 200, 150, 40_000);
    assert_eq!(verdict.state(), state::ESTABLISHED);
    let verdict = line.c(ACK, 150, 40_200, 0);
    assert_eq!((verdict.class(), verdict.is_assured()), (Class::Established as u32, true));
    assert_eq!(line.c(FIN | ACK, 1_000_000, 40_200, 0).state(), state::FIN_WAIT, "its window is not known");
}

#[test]
fn strict_tracking_wants_the_beginning() {
    let mut line = closed();
    line.settings = 0;
    assert!(line.c(ACK, 100, 200, 50).is_invalid());
    assert!(!line.c(SYN, 0, 0, 0).is_invalid());
}

#[test]
fn sequence_numbers_wrap() {
    for base in [u32::MAX, u32::MAX - 1, u32::MAX - 50, 0x7fff_ffff, 0x8000_0000] {
        let mut line = closed();
        assert!(!line.send(CLIENT, segment(SYN, base, 0, 0)).is_invalid());
        assert!(!line.send(SERVER, segment(SYN | ACK, base, base.wrapping_add(1), 0)).is_invalid());
        let (c, s) = (base.wrapping_add(1), base.wrapping_add(1));
        assert_eq!(line.send(CLIENT, segment(ACK, c, s, 500)).state(), state::ESTABLISHED);
        assert_eq!(line.send(SERVER, segment(ACK, s, c.wrapping_add(500), 700)).state(), state::ESTABLISHED);
        let old = segment(RST, s.wrapping_sub(1), 0, 0);
        assert!({ line }.send(SERVER, old).is_invalid(), "{base:#x}");
        let fin = segment(FIN | ACK, c.wrapping_add(500), s.wrapping_add(700), 0);
        assert_eq!(line.send(CLIENT, fin).state(), state::FIN_WAIT, "{base:#x}");
    }
}

#[test]
fn the_fast_path_keeps_the_record() {
    let mut line = established();
    let mut offset = 1;
    // Both ways through the whole space of numbers.
    for _ in 0..20_000 {
        line.fast(CLIENT, offset, offset, 300_000);
        offset = offset.wrapping_add(300_000);
        line.server.record(S.wrapping_add(offset).wrapping_sub(300_000), C.wrapping_add(offset), 60_000, 0);
        line.server.record(
            S.wrapping_add(offset).wrapping_sub(300_000),
            C.wrapping_add(offset),
            60_000,
            300_000,
        );
        line.client.record(C.wrapping_add(offset), S.wrapping_add(offset), 60_000, 0);
        line.client.ack = S.wrapping_add(offset);
        line.server.ack = C.wrapping_add(offset);
    }
    assert_eq!({ line }.c(FIN | ACK, offset, offset, 0).state(), state::FIN_WAIT);
    assert!({ line }.s(RST, offset.wrapping_sub(1), 0, 0).is_invalid());
    assert_eq!(line.s(RST, offset, 0, 0).state(), state::CLOSE);
}

#[test]
fn an_offer_is_never_taken_back() {
    let mut own = Direction { flags: 0, ..Direction::default() };
    own.record(0, 1000, 500, 0);
    own.record(0, 1100, 100, 0);
    let mut partner = Direction::default();
    partner.record(1400, 0, 100, 0);
    partner.flags |= 1;
    assert_eq!(partner.lie(&own, 1500, 1500, 0, false), Lie::Inside);
    own.record(0, 1100, 600, 0);
    assert_eq!(partner.lie(&own, 1700, 1700, 0, false), Lie::Inside, "a window update");
}

#[test]
fn what_strangers_send_does_not_spoil_the_record() {
    let line = {
        let mut line = established();
        line.fast(CLIENT, 1, 1, 100);
        line.fast(SERVER, 1, 101, 100);
        line
    };
    let exact = |mut line: Line| line.s(RST, 101, 0, 0).state();
    // Somebody who knows addresses and ports only sends data with invented numbers both ways, then a reset that fits
    // them.
    for invented in [500_000, 0x4000_0000, 0xc000_0000] {
        let mut line = line;
        line.fast(CLIENT, invented, invented, 100);
        line.fast(SERVER, invented, invented, 100);
        assert_ne!({ line }.s(RST, invented + 100, 0, 0).state(), state::CLOSE, "{invented:#x}");
        assert_ne!({ line }.s(RST, invented, 0, 0).state(), state::CLOSE, "{invented:#x}");
        // And the ends go on.
        line.fast(CLIENT, 101, 101, 100);
        assert_eq!({ line }.c(FIN | ACK, 201, 101, 0).state(), state::FIN_WAIT, "{invented:#x}");
        assert_eq!(exact(line), state::CLOSE);
    }
}

#[test]
fn only_what_was_sent_can_be_quoted() {
    let mut line = established();
    line.fast(CLIENT, 1, 1, 1000);
    for (offset, expected) in
        [(0, true), (1, true), (1001, true), (1002, false), (0x4000_0000, false), (0xc000_0000, false)]
    {
        assert_eq!(line.client.may_have_sent(&line.server, C.wrapping_add(offset)), expected, "{offset:#x}");
    }
    let mut line = closed();
    line.c(ACK, 100, 200, 50);
    assert!(line.client.may_have_sent(&line.server, 0x4000_0000), "its beginning was not seen");
}

#[test]
fn data_sent_again_and_again_is_stuck() {
    let mut line = established();
    line.fast(SERVER, 1, 1, 0);
    for _ in 0..3 {
        assert!(!line.client.is_stuck(&line.server));
        line.fast(CLIENT, 1, 1, 100);
    }
    assert!(
        line.client.is_unacked(&line.server) && !line.client.is_stuck(&line.server),
        "sent once, and twice more"
    );
    line.fast(CLIENT, 1, 1, 100);
    assert!(line.client.is_stuck(&line.server));
    line.fast(SERVER, 1, 101, 0);
    assert!(
        !line.client.is_stuck(&line.server) && !line.client.is_unacked(&line.server),
        "it arrived at last"
    );
    for _ in 0..9 {
        line.fast(CLIENT, 100, 1, 0);
    }
    assert!(!line.client.is_stuck(&line.server), "keep-alives are no data");
}

#[test]
fn the_answer_to_a_keep_alive_of_a_connection_taken_up() {
    let mut line = closed();
    line.c(ACK, 100, 200, 0);
    let verdict = line.s(ACK, 200, 101, 0);
    assert!(!verdict.is_invalid());
}

#[test]
fn the_window_scale_option_is_found() {
    let read = |bytes: &[u8]| {
        let mut options = [0xaa; scale::OPTIONS_BYTES];
        options[..bytes.len()].copy_from_slice(bytes);
        scale::read(&options, bytes.len() as u32)
    };
    assert_eq!(read(&[]), scale::NONE);
    assert_eq!(read(&[3, 3, 7]), 7);
    assert_eq!(read(&[2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 9]), 9);
    assert_eq!(read(&[3, 3, 15]), scale::MAX);
    assert_eq!(read(&[1, 1, 1, 1, 3, 3, 0, 0]), 0);
    assert_eq!(read(&[0, 3, 3, 7]), scale::NONE, "behind the end");
    assert_eq!(read(&[3, 4, 7, 0]), scale::NONE, "of another length");
    assert_eq!(read(&[2, 0, 3, 3, 7]), scale::NONE, "an option shorter than itself");
    assert_eq!(read(&[2, 9, 3, 3, 7]), scale::NONE, "an option longer than all");
    assert_eq!(read(&[3]), scale::NONE);
    let mut long = [1; 40];
    long[37..].copy_from_slice(&[3, 3, 5]);
    assert_eq!(read(&long), 5);
}

fn any_segment() -> impl Strategy<Value = Segment> {
    // Mostly near what the ends would send.
    let near = prop_oneof![Just(0u32), 0u32..3, 0u32..2000, any::<u32>()];
    let flags = prop_oneof![
        Just(SYN),
        Just(SYN | ACK),
        Just(ACK),
        Just(ACK),
        Just(FIN | ACK),
        Just(RST),
        Just(RST | ACK),
        any::<u8>()
    ];
    (near.clone(), near, 0u32..1500, any::<u16>(), flags, any::<u8>()).prop_map(
        |(seq, ack, payload_bytes, window, flags, scale)| Segment {
            seq,
            ack,
            payload_bytes,
            window,
            flags,
            scale,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn states_move_along_the_table_only(
        segments in prop::collection::vec((any::<bool>(), any_segment()), 1..40), settings in 0u8..32,
    ) {
        let mut line = closed();
        line.settings = settings & (context::LOOSE | context::LIBERAL);
        for (from, offset) in segments {
            let (seq, ack) = if from == SERVER { (S, C) } else { (C, S) };
            let segment = Segment { seq: seq.wrapping_add(offset.seq), ack: ack.wrapping_add(offset.ack), ..offset };
            let before = line;
            if line.gone && from == SERVER {
                continue;
            }
            let verdict = line.send(from, segment);
            let kind = Kind::of(segment.flags);
            if verdict.is_invalid() {
                prop_assert_eq!(line, before);
                continue;
            }
            let Some(kind) = kind else { return Err(TestCaseError::fail("nonsense passed")) };
            prop_assert!((1..=14).contains(&line.class) || line.gone);
            prop_assert!(before.assured <= line.assured || line.gone || before.gone);
            if before.gone || verdict.is_reopened() || verdict.state() == before.state {
                continue;
            }
            let planned = transition(kind, from, before.state);
            let resumed = planned == IGNORE && kind == Kind::SynAck && verdict.state() == state::SYN_RECEIVED;
            let simultaneous = planned == state::SYN_RECEIVED && verdict.state() == state::ESTABLISHED;
            prop_assert!(planned == verdict.state() || resumed || simultaneous, "{:?} {:?}", before.state, verdict);
        }
    }

    #[test]
    fn two_honest_ends_are_never_invalid(
        base in any::<[u32; 2]>(), scales in any::<[u8; 2]>(), sends in prop::collection::vec((any::<bool>(), 1u32..1460, any::<bool>(), any::<bool>()), 0..60),
    ) {
        // Each end sends within what the other offers, loses packets behind us, and sends them again.
        let scales = scales.map(|scale| scale % 15);
        let windows = [20_000u32, 30_000];
        let mut line = closed();
        line.settings = 0;
        let syn = Segment { seq: base[0], window: 20_000, flags: SYN, scale: scales[0], ..Segment::default() };
        prop_assert!(!line.send(CLIENT, syn).is_invalid());
        let syn_ack = Segment {
            seq: base[1], ack: base[0].wrapping_add(1), window: 30_000, flags: SYN | ACK, scale: scales[1], payload_bytes: 0,
        };
        prop_assert!(!line.send(SERVER, syn_ack).is_invalid());
        let mut next = base.map(|base| base.wrapping_add(1));
        let mut received = next;
        let header = |end: usize| (windows[end] >> scales[end]) as u16;
        let first = Segment { seq: next[0], ack: received[1], window: header(0), flags: ACK, ..Segment::default() };
        prop_assert!(!line.send(CLIENT, first).is_invalid());
        for (from, bytes, lost, again) in sends {
            let (own, other) = if from == SERVER { (1, 0) } else { (0, 1) };
            let seq = if again { received[own] } else { next[own] };
            let offered = u32::from(header(other)) << scales[other];
            if seq.wrapping_add(bytes).wrapping_sub(received[own]) > offered || header(other) == 0 {
                continue;
            }
            let segment = Segment {
                seq, ack: received[other], payload_bytes: bytes, window: header(own), flags: ACK, scale: scale::NONE,
            };
            let verdict = line.send(from, segment);
            prop_assert!(!verdict.is_invalid(), "{segment:?} {line:?}");
            prop_assert_eq!(verdict.state(), state::ESTABLISHED);
            let end = seq.wrapping_add(bytes);
            if before(next[own], end) {
                next[own] = end;
            }
            if !lost && before(received[own], end) && !before(received[own], seq) {
                received[own] = end;
            }
        }
        let fin = Segment { seq: next[0], ack: received[1], window: header(0), flags: FIN | ACK, ..Segment::default() };
        if next[0] == received[0] {
            prop_assert_eq!(line.send(CLIENT, fin).state(), state::FIN_WAIT);
        }
    }

    #[test]
    fn nothing_panics(own: [u32; 3], partner: [u32; 3], window: [u16; 2], bits: [u8; 8], offset in any_segment()) {
        let direction = |words: [u32; 3], window, scale, flags| Direction { end: words[0], ack: words[1], pending: words[2], window, scale, flags };
        let mut step = Step {
            own: direction(own, window[0], bits[0], bits[1]),
            partner: direction(partner, window[1], bits[2], bits[3]),
            segment: offset,
            state: bits[4],
            context: bits[5],
            reserved: [0; 6],
        };
        let verdict = step.judge();
        prop_assert!(verdict.state() < 16);
        step.open();
        step.own.record(offset.seq, offset.ack, offset.window, offset.payload_bytes);
    }

    #[test]
    fn order_of_sequence_numbers(a: u32, distance in 1u32..0x8000_0000) {
        prop_assert!(before(a, a.wrapping_add(distance)));
        prop_assert!(!before(a.wrapping_add(distance), a) || distance == 0x8000_0000);
        prop_assert!(!before(a, a));
    }
}
