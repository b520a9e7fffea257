//! Rules count each packet once, whatever becomes of the rules meanwhile.

use lab::{UdpStream, ctl_json};

use super::{HOME, home};
use router_tests::support::{BASE, Router, eventually, socket};

const PAYLOAD: usize = 100;

/// A rule that counts the stream and one that lets it pass; other rules stand between, before and behind.
const COUNTING: &str = "\
/ip firewall filter
add action=passthrough chain=forward comment=first dst-port=5000 protocol=udp
add action=accept chain=forward comment=last dst-port=5000 protocol=udp
/ipv6 firewall filter
add action=passthrough chain=forward comment=first dst-port=5000 place-before=[find chain=forward action=reject] protocol=udp
add action=accept chain=forward comment=last dst-port=5000 place-before=[find chain=forward action=reject] protocol=udp
";

/// Packets and bytes of a rule.
#[track_caller]
fn counted(router: &Router, family: &str, rule: &str) -> (u64, u64) {
    let get = |what: &str| {
        let line = format!("/{family} firewall filter get [find comment={rule}] {what}");
        router.ctl(&[&line]).trim().parse::<u64>().unwrap()
    };
    (get("packets"), get("bytes"))
}

/// Files with more or fewer rules are applied and a counting rule moves, two reloads a round, while most packets take the
/// fast path.
fn count_through_reloads(mode: &str, rounds: u32) {
    let router = home(&format!("fwcnt{mode}"), mode, COUNTING);
    let streams = [("ip", "198.51.100.2:5000", 28), ("ipv6", "[2001:db8:2::2]:5000", 48)];
    let running = streams.map(|(_, target, _)| {
        UdpStream::start(router.a(), router.b(), socket(target), 500, PAYLOAD).unwrap()
    });
    for round in 0..rounds {
        let place = if round % 2 == 0 { "place-before=0" } else { "" };
        let more = (0..round % 4).fold(String::new(), |text, rule| {
            text + &format!("add action=drop chain=forward dst-port={} {place} protocol=udp\n", 7000 + rule)
        });
        let files = ["ip", "ipv6"].map(|family| format!("/{family} firewall filter\n{more}"));
        router.write(&format!("{BASE}{HOME}{COUNTING}{}{}", files[0], files[1]));
        router.ctl(&["apply", router.file().to_str().unwrap()]);
        let family = if round % 4 < 2 { "ip" } else { "ipv6" };
        let target = if round % 8 < 4 { "0" } else { "[find comment=last]" };
        router.ctl(&[&format!("/{family} firewall filter move [find comment=first] destination={target}")]);
    }
    // Few packets meet the rules themselves after the last reload.
    eventually("packets take the fast path", || {
        let paths = ctl_json(router.netns(), &["map", "paths", "active=true"]).unwrap();
        let by_path = paths.as_array().unwrap().iter().filter_map(|path| path["packets"].as_u64());
        by_path.max() > Some(10)
    });
    let delivered = running.map(|stream| stream.stop().unwrap());
    for ((family, _, headers), delivery) in streams.iter().zip(delivered) {
        assert_eq!(
            (delivery.lost(), delivery.duplicated),
            (0, 0),
            "{family} {delivery:?} {:?}",
            router.dropped()
        );
        assert!(delivery.sent > 10 * u64::from(rounds), "{delivery:?}");
        let all = (delivery.sent, delivery.sent * (PAYLOAD as u64 + headers));
        for rule in ["first", "last"] {
            assert_eq!(counted(&router, family, rule), all, "{mode} {family} {rule}");
        }
    }
}

#[test]
fn counters_are_exact_across_a_hundred_reloads() {
    count_through_reloads("xdp", 50);
}

#[test]
fn counters_are_exact_across_reloads_in_tc() {
    count_through_reloads("tc", 15);
}
