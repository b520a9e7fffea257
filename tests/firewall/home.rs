//! Clients of the local network behind masquerade and a stateful filter.

use std::{io::ErrorKind, net::UdpSocket, process::Stdio, thread, time::Duration};

use lab::{DnsServer, HttpServer, UdpStream, http_get};

use super::{Talk, ask, curl, home, said};
use router_tests::support::{B4, B6, Router, pings, socket};

fn both(label: &str, more: &str, scenario: impl Fn(&Router)) {
    for mode in ["xdp", "tc"] {
        let router = home(&format!("{label}{mode}"), mode, more);
        scenario(&router);
        assert_eq!(router.packets("kernel-forwarded"), 0, "{mode}");
    }
}

#[test]
fn web_pages_names_and_pings_go_out() {
    both("fwout", "", |router| {
        let _web = HttpServer::start(router.b(), 80, 2_000_000).unwrap();
        let _names = DnsServer::start(router.b(), [203, 0, 113, 80].into()).unwrap();
        for page in ["http://198.51.100.2/", "http://[2001:db8:2::2]/"] {
            assert_eq!(curl(router.a(), page), "2000000", "{page}");
        }
        for options in ["+notcp", "+tcp"] {
            assert_eq!(ask(router.a(), B4, options), "203.0.113.80", "{options}");
        }
        for target in [B4, B6] {
            assert_eq!(pings(router.a(), target, "-c 3 -i 0.1 -W 2"), (3, 3), "{target}");
        }
    });
}

/// The hosts' segmentation, checksum and receive offloads are on.
#[test]
fn tcp_and_udp_streams_run_both_ways() {
    both("fwbulk", "", |router| {
        let mut server = router.b().command("iperf3");
        let mut server = server.args(["-s", "-1"]).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_millis(300));
        let report = router.a().run("iperf3 -c 198.51.100.2 -t 2 --bidir -J");
        server.kill().unwrap();
        server.wait().unwrap();
        let report: serde_json::Value = serde_json::from_str(&report.unwrap()).unwrap();
        for sum in ["sum_received", "sum_received_bidir_reverse"] {
            let rate = report["end"][sum]["bits_per_second"].as_f64().unwrap();
            assert!(rate > 1e6, "{sum}: {rate}");
        }
        for target in ["198.51.100.2:5000", "[2001:db8:2::2]:5000"] {
            let stream = UdpStream::start(router.a(), router.b(), socket(target), 1000, 1200).unwrap();
            let delivery = stream.stop_after(500).unwrap();
            assert_eq!((delivery.lost(), delivery.duplicated), (0, 0), "{target}: {delivery:?}");
        }
    });
}

#[test]
fn every_kind_of_traceroute_sees_the_router_and_the_target() {
    both("fwhops", "", |router| {
        let _web = HttpServer::start(router.b(), 80, 100).unwrap();
        for (target, first) in [(B4, "192.0.2.1"), (B6, "2001:db8:1::1")] {
            for kind in ["-U", "-I", "-T -p 80", "-T -p 81"] {
                let text = said(router.a(), &format!("traceroute -n -N 1 -q 1 -w 2 -m 4 {kind} {target}"));
                let hops: Vec<_> =
                    text.lines().skip(1).filter_map(|hop| hop.split_whitespace().nth(1)).collect();
                assert_eq!(hops, [first, target], "{kind}: {text}");
            }
        }
    });
}

/// Input takes what belongs to a connection: answers to the router's own, and errors about them.
#[test]
fn what_the_router_opens_is_answered_and_what_the_outside_opens_is_not() {
    both("fwown", "", |router| {
        let _web = HttpServer::start(router.b(), 80, 300_000).unwrap();
        let _names = DnsServer::start(router.b(), [203, 0, 113, 80].into()).unwrap();
        let _own = HttpServer::start(router.netns(), 8000, 200_000).unwrap();
        assert_eq!(curl(router.netns(), "http://198.51.100.2/"), "300000");
        assert_eq!(curl(router.netns(), "http://[2001:db8:2::2]/"), "300000");
        assert_eq!(ask(router.netns(), B4, "+notcp"), "203.0.113.80");
        assert_eq!(pings(router.netns(), B4, "-c 2 -i 0.1 -W 2"), (2, 2));
        // From inside the router is open.
        assert_eq!(curl(router.a(), "http://192.0.2.1:8000/"), "200000");
        assert_eq!(curl(router.a(), "http://[2001:db8:1::1]:8000/"), "200000");
        for server in ["198.51.100.1:8000", "[2001:db8:2::1]:8000"] {
            http_get(router.b(), socket(server), Duration::from_millis(700)).unwrap_err();
        }
        assert!(router.packets("filter-drop") >= 2);
        // A closed port's error is related to the question.
        for (from, target) in [(router.netns(), B4), (router.a(), B4), (router.a(), B6)] {
            assert_eq!(refusal(from, target), ErrorKind::ConnectionRefused, "{target}");
        }
    });
}

/// What a connected socket hears of a UDP port where nobody listens.
fn refusal(from: &lab::Netns, target: &str) -> ErrorKind {
    let any = if target.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = from.enter(|| UdpSocket::bind(any)).unwrap().unwrap();
    socket.connect((target, 9)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.send(b"anybody there").unwrap();
    socket.recv(&mut [0; 64]).unwrap_err().kind()
}

const FAST: &str = "\
/ip firewall filter
add action=fasttrack-connection chain=forward comment=fast connection-state=established,related \\
    place-before=[find comment=fwd-known]
";

/// Packets of fasttracked connections meet no rules; a rule of RouterOS's own tells how many there were.
#[test]
fn fasttracked_packets_count_by_a_rule_that_stands_before_all_others() {
    both("fwfast", FAST, |router| {
        let talk = Talk::new(router);
        // The first opens the connection, the answer is the one that the rule fasttracks.
        assert!(talk.passes() && talk.is_answered());
        for _ in 0..4 {
            assert!(talk.passes() && talk.is_answered());
        }
        let packets = |condition: &str| {
            let line = format!("/ip firewall filter print stats terse where {condition}");
            router.ctl(&[&line])
        };
        let dummy = packets("dynamic");
        assert!(
            dummy.starts_with("0  D comment=special dummy rule to show fasttrack counters chain=forward"),
            "{dummy}"
        );
        assert!(dummy.contains(" packets=8\n"), "{dummy}");
        for form in ["print terse", "print stats terse", "print terse where chain=forward"] {
            let all = router.ctl(&[&format!("/ip firewall filter {form}")]);
            assert!(all.starts_with("0  D comment=special dummy rule"), "{all}");
        }
        for (list, rules) in [("mangle", "3\n"), ("raw", "1\n"), ("nat", "0\n")] {
            let line = format!("/ip firewall {list} print count-only where dynamic");
            assert_eq!(router.ctl(&[&line]), rules, "{list}");
        }
        let fast = packets("comment=fast");
        assert!(fast.contains(" packets=1\n"), "{fast}");
    });
}
