//! The router on the cards of a virtual machine: real drivers instead of veths.
//!
//! `cargo xtask test` starts it there with `ROUTERD_CARDS`, the MAC addresses of four cards: the first two are on
//! one segment, the others on another.

mod unit;

use std::{
    env,
    fs::{self, File},
    thread,
    time::{Duration, Instant},
};

use lab::{HttpServer, Lab, UdpStream, http_get};
use rustix::fs::{FlockOperation, flock};

use router_tests::support::{B4, B6, Router, pings, sides, socket};

/// A router on cards.
struct OnCards {
    router: Router,
    /// Tests take turns, each a process of its own.
    _turn: File,
}

impl OnCards {
    fn start(label: &str, mode: &str) -> OnCards {
        let Ok(cards) = env::var("ROUTERD_CARDS") else {
            lab::skip!("needs the cards of a virtual machine (cargo xtask test starts it there, too)");
        };
        let cards: Vec<&str> = cards.split(',').collect();
        let turn = File::create("/run/lock/routerd-cards").unwrap();
        flock(&turn, FlockOperation::LockExclusive).unwrap();
        let cards: Vec<String> = cards.into_iter().map(await_card).collect();
        let mut lab = Lab::new(label).unwrap();
        for (pair, (role, port, setup)) in cards.chunks(2).zip(sides()) {
            let setup = setup.each_ref().map(String::as_str);
            lab.host_on_cards(role, port, [&pair[0], &pair[1]], &setup).unwrap();
        }
        OnCards { router: Router::with(lab, mode, ""), _turn: turn }
    }

    /// Ping, HTTP, a UDP stream and fragments in both families; nothing may be lost.
    fn exchange(&self) {
        let router = &self.router;
        router.assert_reachable();
        let _server = HttpServer::start(router.b(), 80, 500_000).unwrap();
        for server in ["198.51.100.2:80", "[2001:db8:2::2]:80"] {
            let size = http_get(router.a(), socket(server), Duration::from_secs(30)).unwrap();
            assert_eq!(size, 500_000, "{server}");
        }
        for target in ["198.51.100.2:5000", "[2001:db8:2::2]:5000"] {
            let stream = UdpStream::start(router.a(), router.b(), socket(target), 200, 1200).unwrap();
            let delivery = stream.stop_after(100).unwrap();
            assert_eq!(delivery.lost(), 0, "{target}: {delivery:?}");
        }
        for target in [B4, B6] {
            let answered = pings(router.a(), target, "-c 3 -i 0.1 -W 5 -s 3000");
            assert_eq!(answered, (3, 3), "fragments to {target}");
        }
        assert_eq!(router.packets("kernel-forwarded"), 0);
        assert_eq!(router.dropped(), []);
    }

    #[track_caller]
    fn assert_mode(&self, mode: &str) {
        for port in self.router.status()["ports"].as_array().unwrap() {
            assert_eq!(port["mode"], mode, "{port}");
        }
    }
}

/// The name of a card. It comes back to the initial namespace, under the name that it had last, some time after the
/// namespace is removed that it was in.
fn await_card(mac: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        for link in fs::read_dir("/sys/class/net").unwrap().flatten() {
            let address = fs::read_to_string(link.path().join("address")).unwrap_or_default();
            if address.trim() == mac {
                return link.file_name().to_string_lossy().into_owned();
            }
        }
        assert!(Instant::now() < deadline, "no card {mac}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn native_xdp_is_chosen_and_forwards_on_virtio() {
    let on_cards = OnCards::start("vmauto", "auto");
    on_cards.exchange();
    on_cards.assert_mode("xdp");
    let (forwarded, handed_over) =
        (on_cards.router.packets("forwarded"), on_cards.router.packets("handed-over"));
    assert!(forwarded > 500 && handed_over < 50, "{forwarded} forwarded, {handed_over} handed over");
    assert_eq!(on_cards.router.packets("forwarded-tc"), 0);
}

#[test]
fn tc_forwards_on_virtio() {
    let on_cards = OnCards::start("vmtc", "tc");
    on_cards.exchange();
    on_cards.assert_mode("tc");
    let forwarded = on_cards.router.packets("forwarded-tc");
    assert!(forwarded > 200, "{forwarded} forwarded");
    assert_eq!(on_cards.router.packets("forwarded"), 0);
}
