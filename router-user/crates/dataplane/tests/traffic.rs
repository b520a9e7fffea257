//! Real traffic while programs, images and whole ABIs are replaced: no packet is lost, none is seen twice.

mod support;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use lab::{Delivery, Lab, UdpStream, need_root};
use router_dataplane::{Dataplane, Mode};
use rustix::mount::{MountFlags, UnmountFlags};
use support::{image, options};

const RATE: u32 = 500;

/// Hosts `a` 192.0.2.2 behind port p1 and `b` 198.51.100.2 behind p2.
fn lab(label: &str) -> Lab {
    let mut lab = Lab::new(label).unwrap();
    for (role, port, net) in [("a", "p1", "192.0.2"), ("b", "p2", "198.51.100")] {
        let address = format!("addr add {net}.2/24 dev eth0");
        let route = format!("route add default via {net}.1");
        lab.host(role, port, &[&address, &route]).unwrap();
        lab.router.ip(&format!("addr add {net}.1/24 dev {port}")).unwrap();
    }
    lab.router.sysctl("net.ipv4.ip_forward", "1").unwrap();
    lab
}

fn open(pins: &Path, mode: Mode) -> Dataplane {
    let (mut dataplane, _) = Dataplane::open(options(pins, mode)).unwrap();
    let own = [([192, 0, 2, 1], "p1"), ([198, 51, 100, 1], "p2")];
    let own = own.map(|(address, port)| (IpAddr::from(address), support::ifindex(port)));
    dataplane.set_locals(&own).unwrap();
    dataplane.set_cache_routes(true);
    dataplane
}

fn apply(dataplane: &mut Dataplane, mtu_bytes: u32) {
    let mut image = image(&["p1", "p2"]);
    for port in &mut image.ports {
        port.port.mtu_bytes = mtu_bytes;
    }
    let staged = dataplane.stage(&image).unwrap();
    dataplane.flip(staged).unwrap();
    dataplane.heartbeat();
}

/// Sends through the router while `work` runs inside it.
fn under_traffic<T: Send>(lab: &Lab, work: impl FnOnce() -> T + Send) -> (Delivery, T) {
    let target: SocketAddr = "198.51.100.2:9000".parse().unwrap();
    let stream = UdpStream::start(lab.on("a"), lab.on("b"), target, RATE, 64).unwrap();
    // The neighbours are resolved by then.
    std::thread::sleep(Duration::from_millis(500));
    let result = lab.router.enter(work).unwrap();
    (stream.stop_after(300).unwrap(), result)
}

/// `offload`: whether the hosts leave checksums to their devices, that is, to nobody.
fn replaced_under_traffic(label: &str, mode: Mode, offload: &str, forwarded: &str) {
    let pins = tempfile::tempdir().unwrap();
    rustix::mount::mount("bpf", pins.path(), "bpf", MountFlags::empty(), None).unwrap();
    let instance = pins.path().join("routerd").join("test");
    let lab = lab(label);
    lab.on("a").run(&format!("ethtool -K eth0 tx {offload}")).unwrap();
    lab.router.enter(|| apply(&mut open(&instance, mode), 1500)).unwrap();

    let (delivery, dataplane) = under_traffic(&lab, || {
        // Programs: a new process takes over, twice.
        drop(open(&instance, mode));
        let mut dataplane = open(&instance, mode);
        // Images.
        (0..20).for_each(|round| apply(&mut dataplane, 1400 + round));
        let reasons = dataplane.reasons().unwrap();
        let packets = reasons.iter().find(|r| r.reason == forwarded).map_or(0, |r| r.packets);
        assert!(packets > 100, "{forwarded}: {packets}");
        assert!(reasons.iter().all(|r| r.class != "drop" || r.packets == 0), "{reasons:?}");
        // The ABI: nothing of the pinned state can be used.
        drop(dataplane);
        let fingerprint = router_dataplane::fingerprint().unwrap();
        std::fs::rename(instance.join(fingerprint), instance.join("00000000deadbeef")).unwrap();
        let mut dataplane = open(&instance, mode);
        apply(&mut dataplane, 1500);
        dataplane
    });
    lab.router.enter(|| dataplane.detach().unwrap()).unwrap();
    drop(lab);
    rustix::mount::unmount(pins.path(), UnmountFlags::DETACH).unwrap();
    assert_eq!((delivery.lost(), delivery.duplicated), (0, 0), "{delivery:?}");
}

#[test]
fn replacing_everything_in_xdp_loses_nothing() {
    need_root!();
    replaced_under_traffic("dpxdp", Mode::Xdp, "off", "forwarded");
}

#[test]
fn unfinished_checksums_take_the_way_through_tc() {
    need_root!();
    replaced_under_traffic("dpsum", Mode::Xdp, "on", "forwarded-tc");
}

#[test]
fn replacing_everything_in_tc_loses_nothing() {
    need_root!();
    replaced_under_traffic("dptc", Mode::Tc, "on", "forwarded-tc");
}
