//! Traffic goes through, in the path that was asked for, with the hosts' offloads on.

use std::{thread, time::Duration};

use lab::{HttpServer, UdpStream, http_get};

use router_tests::support::{B4, B6, Router, pings, socket};

/// Ping, HTTP with segmentation offload, a UDP stream and fragments, all in both families.
fn exchange(router: &Router) {
    router.assert_reachable();
    let _server = HttpServer::start(router.b(), 80, 3_000_000).unwrap();
    for server in ["198.51.100.2:80", "[2001:db8:2::2]:80"] {
        let size = http_get(router.a(), socket(server), Duration::from_secs(20)).unwrap();
        assert_eq!(size, 3_000_000, "{server}");
    }
    for target in ["198.51.100.2:5000", "[2001:db8:2::2]:5000"] {
        let stream = UdpStream::start(router.a(), router.b(), socket(target), 1000, 1200).unwrap();
        let delivery = stream.stop_after(500).unwrap();
        assert_eq!(delivery.lost(), 0, "{target}: {delivery:?}");
    }
    for target in [B4, B6] {
        assert_eq!(pings(router.a(), target, "-c 3 -i 0.1 -W 2 -s 3000"), (3, 3), "fragments to {target}");
    }
}

/// What the senders' checksum offload leaves unfinished is finished in tc; nothing goes by the kernel's own forwarding.
#[test]
fn xdp_ports_forward_frames_with_unfinished_checksums() {
    let router = Router::start("foff", "xdp", "");
    exchange(&router);
    assert!(router.packets("unfinished") > 1000, "{} unfinished", router.packets("unfinished"));
    assert!(router.packets("forwarded-tc") >= router.packets("unfinished"));
    assert!(router.packets("forwarded") > 10, "{} forwarded", router.packets("forwarded"));
    assert_eq!(router.packets("kernel-forwarded"), 0);
    assert_eq!(router.dropped(), []);
}

#[test]
fn xdp_forwards_both_families() {
    let router = Router::start_wired("fxdp", "xdp", "");
    exchange(&router);
    for port in router.status()["ports"].as_array().unwrap() {
        assert_eq!(port["mode"], "xdp", "{port}");
    }
    // 1400 UDP packets, 3 MB in 1500-byte packets twice, and some: all but the first to each neighbour in XDP.
    assert!(router.packets("forwarded") > 4000, "{} forwarded", router.packets("forwarded"));
    assert!(router.packets("handed-over") < 50, "{} handed over", router.packets("handed-over"));
    assert_eq!(router.packets("kernel-forwarded"), 0);
    assert_eq!(router.packets("forwarded-tc"), 0);
    assert_eq!(router.dropped(), []);
}

#[test]
fn tc_forwards_both_families() {
    let router = Router::start("ftc", "tc", "");
    exchange(&router);
    for port in router.status()["ports"].as_array().unwrap() {
        assert_eq!(port["mode"], "tc", "{port}");
    }
    assert!(router.packets("forwarded-tc") > 2000, "{} forwarded", router.packets("forwarded-tc"));
    assert_eq!(router.packets("forwarded"), 0);
    assert_eq!(router.packets("kernel-forwarded"), 0);
    assert_eq!(router.dropped(), []);
}

#[test]
fn one_port_in_xdp_and_one_in_tc() {
    let router = Router::start("fmix", "xdp,ether2=tc", "");
    exchange(&router);
    assert!(router.packets("forwarded-tc") > 0);
    assert_eq!(router.packets("kernel-forwarded"), 0);
    assert_eq!(router.dropped(), []);
}

#[test]
fn iperf3_runs_both_ways_in_xdp() {
    let router = Router::start("iperf", "xdp", "");
    if lab::daemon::installed("iperf3").is_none() {
        lab::skip!("iperf3 is not installed");
    }
    let mut server = router.b().command("iperf3");
    let mut server = server.args(["-s", "-1"]).stdout(std::process::Stdio::null()).spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    let report = router.a().run("iperf3 -c 198.51.100.2 -t 2 --bidir -J");
    server.kill().unwrap();
    server.wait().unwrap();
    let report: serde_json::Value = serde_json::from_str(&report.unwrap()).unwrap();
    for sum in ["sum_received", "sum_received_bidir_reverse"] {
        let rate = report["end"][sum]["bits_per_second"].as_f64().unwrap();
        assert!(rate > 1e6, "{sum}: {rate}");
    }
    assert_eq!(router.packets("kernel-forwarded"), 0);
}

/// veth takes redirected frames only while its peer polls (NAPI); the driver's refusal is counted, not silent.
#[test]
fn what_a_driver_refuses_after_the_redirect_is_counted() {
    let router = Router::start_wired("frefuse", "xdp", "");
    router.assert_reachable();
    let before = router.packets("redirect-failed");
    router.b().run("ethtool -K eth0 gro off").unwrap();
    assert_eq!(pings(router.a(), B4, "-c 3 -i 0.1 -W 1").1, 0, "veth has learnt to take frames without NAPI");
    let counted = router.packets("redirect-failed") - before;
    assert!((3..=6).contains(&counted), "{counted} counted");
    router.b().run("ethtool -K eth0 gro on").unwrap();
    router.assert_reachable();
}
