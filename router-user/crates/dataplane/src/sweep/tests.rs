use super::*;
use router_common::conntrack::tcp::Direction;
use router_common::conntrack::timeout::{Class, Timeouts};
use router_common::maps::flow::{BUCKET_SLOTS, Bucket, NONE, Unused};

const GENERATION: u64 = 7;

fn word(class: Class, bits: u32) -> u64 {
    u64::from(status::LIVE | (class as u32) << status::TIMEOUT_SHIFT | bits)
        | GENERATION << status::GENERATION_SHIFT
}

const SEED: u64 = 99;

/// A table of which all entries have been used.
fn table(entries: u32) -> Table<Flow4> {
    let unused = Mapped::anonymous(2);
    unused.write(0, &Unused { fresh: entries, ..Unused::default() });
    let buckets = Mapped::anonymous((entries / BUCKET_SLOTS).next_power_of_two());
    Table::new(Mapped::anonymous(entries), Mapped::anonymous(entries), Places::new(buckets, unused, 0))
}

fn now(tick: u32) -> Now {
    let tracking = Tracking { timeouts: Timeouts::default(), ..Tracking::default() };
    Now { tick, generation: 0x50000 | GENERATION as u32, seed: SEED, tracking }
}

/// A connection at two indices, with the ticks of their last packets.
fn connect(table: &Table<Flow4>, protocol: u8, class: Class, [one, other]: [u32; 2], ticks: [u32; 2]) {
    for ((index, partner), (direction, tick)) in
        [(one, other), (other, one)].into_iter().zip([(0, ticks[0]), (status::REPLY, ticks[1])])
    {
        let entry = Entry { word: word(class, direction), partner, last_tick: tick, ..Entry::default() };
        let flow = Flow4 { key: [0, u64::from(protocol) << 32], entry, ..Flow4::default() };
        assert!(table.flows.write(index, &flow));
    }
}

fn sweep(table: &mut Table<Flow4>, now: &Now) -> Swept {
    let mut swept = Swept::default();
    for _ in 0..ROUND_SECONDS {
        table.part(now, &mut swept);
    }
    swept
}

fn is_live(table: &Table<Flow4>, index: u32) -> bool {
    table.live(index).is_some()
}

#[test]
fn a_connection_ends_when_both_directions_were_silent_for_its_timeout() {
    let mut table = table(64);
    connect(&table, 17, Class::Udp, [3, 40], [100, 110]);
    assert_eq!(sweep(&mut table, &now(140)), Swept::default());
    assert!(is_live(&table, 3) && is_live(&table, 40), "110 + 30 is not over");
    assert_eq!(sweep(&mut table, &now(141)).ended, 1);
    assert!(!is_live(&table, 3) && !is_live(&table, 40));
    assert_eq!(table.word(3).unwrap() as u32 & status::LIFE, status::DYING, "there is no place to free");
}

/// Gives an entry a place in one of its key's three buckets.
fn settle(table: &Table<Flow4>, index: u32, at: usize, choice: usize) -> u32 {
    let place = table.flows.read(index).unwrap().place(SEED);
    let number = place.buckets(table.places.buckets.len() - 1)[choice];
    let mut bucket = table.places.buckets.read(number).unwrap();
    bucket.low[at] = index as u16;
    bucket.high[at] = (index >> 16) as u8;
    bucket.tags[at / 8] |= u64::from(place.tag()) << (at % 8 * 8);
    table.places.buckets.write(number, &bucket);
    number
}

#[test]
fn what_has_ended_is_given_back_and_taken_again_last_first() {
    const OTHER: usize = 7;
    let mut table = table(1 << 17);
    connect(&table, 17, Class::Udp, [3, 0x1_0004], [100, 100]);
    connect(&table, TCP, Class::Established, [5, 6], [100, 100]);
    let numbers = [settle(&table, 3, 0, 0), settle(&table, 0x1_0004, 15, 2), settle(&table, 5, OTHER, 1)];
    let tags = |table: &Table<Flow4>, number| table.places.buckets.read(number).unwrap().tags;
    let kept = tags(&table, numbers[2])[0] & 0xff << (8 * OTHER);
    // The answers' entry is looked at behind the one that ends it, in the same round.
    let swept = sweep(&mut table, &now(200));
    assert_eq!((swept.ended, swept.given_back), (1, 1));
    assert_eq!(sweep(&mut table, &now(200)).given_back, 1);
    assert_eq!(numbers.map(|number| tags(&table, number)), [[0, 0], [0, 0], [kept, 0]]);
    assert_eq!([3, 0x1_0004, 5].map(|i| table.word(i).unwrap() as u32 & status::LIFE), [0, 0, status::LIVE]);
    // The second one given back is on top and leads to the first, behind which there is nothing.
    let last = table.places.unused.read(0).unwrap().last;
    assert_eq!(last, 2 << 32 | 4);
    assert_eq!(table.flows.read(3).unwrap().entry.partner, 0x1_0005);
    assert_eq!(table.flows.read(0x1_0004).unwrap().entry.partner, 0);
    assert_eq!(sweep(&mut table, &now(200)), Swept::default());
}

#[test]
fn an_entry_in_a_bucket_that_is_full_of_others_like_it_is_told_from_them() {
    let table = table(64);
    connect(&table, 17, Class::Udp, [3, 40], [100, 100]);
    let number = settle(&table, 3, 9, 0);
    let mut bucket = table.places.buckets.read(number).unwrap();
    let tag = bucket.tag(9);
    bucket.tags = [u64::from_ne_bytes([tag; 8]); 2];
    bucket.low = [77; 16];
    bucket.low[9] = 3;
    table.places.buckets.write(number, &bucket);
    assert!(table.end(3, table.live(3).unwrap()));
    assert!(table.give_back(3, table.word(3).unwrap(), SEED));
    let free: Vec<u32> = {
        let bucket: Bucket = table.places.buckets.read(number).unwrap();
        (0..16).filter(|at| bucket.tag(*at) == 0).collect()
    };
    assert_eq!(free, [9]);
}

#[test]
fn a_packet_of_a_later_second_is_no_silence() {
    let mut table = table(64);
    connect(&table, 17, Class::Udp, [3, 40], [101, 50]);
    assert_eq!(sweep(&mut table, &now(100)).ended, 0);
    assert!(is_live(&table, 3));
}

#[test]
fn an_entry_whose_partner_is_another_connections_ends_alone() {
    let mut table = table(64);
    connect(&table, 17, Class::Udp, [3, 40], [100, 100]);
    connect(&table, 17, Class::Udp, [40, 41], [1000, 1000]);
    assert_eq!(sweep(&mut table, &now(1000)).ended, 1);
    assert!(!is_live(&table, 3) && is_live(&table, 40) && is_live(&table, 41));
}

#[test]
fn data_that_nobody_acknowledges_shortens_the_timer_of_tcp() {
    let mut table = table(64);
    connect(&table, TCP, Class::Established, [3, 40], [1000, 1000]);
    let side = |seq, ack, bytes| {
        let mut tcp = Direction::default();
        tcp.record(seq, ack, 100, bytes);
        Side { tcp, ..Side::default() }
    };
    table.sides.write(3, &side(1000, 5000, 0));
    table.sides.write(40, &side(5000, 1000, 0));
    assert_eq!(sweep(&mut table, &now(1000 + 86_400)).ended, 0);
    table.sides.write(3, &side(1000, 5000, 10));
    assert_eq!(sweep(&mut table, &now(1300)).ended, 0);
    assert_eq!(sweep(&mut table, &now(1301)).ended, 1);
}

#[test]
fn a_decision_of_an_old_generation_is_taken_back_and_nothing_else() {
    let mut table = table(64);
    connect(&table, 17, Class::UdpStream, [3, 40], [100, 100]);
    let old = word(Class::UdpStream, 0) & !status::GENERATION | 6 << status::GENERATION_SHIFT;
    table.flows.write(
        3,
        &Flow4 {
            entry: Entry { word: old, ..table.flows.read(3).unwrap().entry },
            ..table.flows.read(3).unwrap()
        },
    );
    let swept = sweep(&mut table, &now(100));
    assert_eq!(swept, Swept { forgotten: 1, ..Swept::default() });
    assert_eq!(table.live(3), Some(old & !status::GENERATION));
    assert_eq!(table.live(40), Some(word(Class::UdpStream, status::REPLY)));
}

#[test]
fn connections_behind_an_address_that_is_gone_end() {
    let table = table(64);
    for (index, source, bits) in [
        (1, [198, 51, 100, 1], status::MASQUERADE),
        (2, [198, 51, 100, 9], status::MASQUERADE),
        (3, [198, 51, 100, 9], status::SRCNAT),
        (4, [198, 51, 100, 9], status::MASQUERADE | status::REPLY),
    ] {
        let entry = Entry { word: word(Class::Udp, bits), partner: NONE, ..Entry::default() };
        table.flows.write(index, &Flow4 { entry, new_src: source, ..Flow4::default() });
    }
    assert_eq!(table.end_masqueraded(&["198.51.100.1".parse().unwrap()]), 1);
    assert_eq!([1, 2, 3, 4].map(|index| is_live(&table, index)), [true, false, true, true]);
}

/// Tells what a round costs: `cargo test --release -p router-dataplane million -- --nocapture`
#[test]
fn a_million_established_connections_stay() {
    const CONNECTIONS: u32 = 1_000_000;
    let mut table = table(CONNECTIONS * 5 / 2 / 8 * 8);
    for number in 0..CONNECTIONS {
        connect(&table, TCP, Class::Established, [2 * number, 2 * number + 1], [1000, 1000]);
    }
    for (what, tick) in [("busy", 1001), ("silent for 400 s", 1400)] {
        let begin = Instant::now();
        let swept = sweep(&mut table, &now(tick));
        let took = begin.elapsed();
        let share = took.as_secs_f64() / f64::from(ROUND_SECONDS) * 100.0;
        println!("{what}: {took:?} in {ROUND_SECONDS} s, {share:.2} % of a core; {swept:?}");
        assert_eq!(swept.ended, 0);
    }
}
