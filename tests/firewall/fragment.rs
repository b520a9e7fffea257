//! Fragments through masquerade and a stateful filter: in order, in another order, and without the daemon.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    thread,
    time::Duration,
};

use lab::UdpStream;
use router_tests::packet::{Frame, on};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketType, sendto, socket as raw_socket};

use router_tests::support::{A4, B4, B6, Router, eventually, pings, socket};

const A6: &str = "2001:db8:1::2";

const FIREWALL: &str = "\
/ip firewall nat add chain=srcnat out-interface=ether2 action=masquerade
/ip firewall filter
add chain=forward connection-state=established,related
add chain=forward in-interface=ether1 connection-state=new
add chain=forward action=drop
add chain=input connection-state=established,related
add chain=input protocol=icmp
add chain=input action=drop
/ipv6 firewall nat add chain=srcnat out-interface=ether2 action=masquerade
/ipv6 firewall filter
add chain=forward connection-state=established,related
add chain=forward in-interface=ether1 connection-state=new
add chain=forward action=drop
";

fn exchange(router: &Router) {
    for target in [B4, B6] {
        assert_eq!(pings(router.a(), target, "-c 5 -i 0.05 -W 2 -s 4000"), (5, 5), "{target}");
    }
    for target in ["198.51.100.2:5000", "[2001:db8:2::2]:5000"] {
        let stream = UdpStream::start(router.a(), router.b(), socket(target), 200, 8000).unwrap();
        let delivery = stream.stop_after(500).unwrap();
        assert_eq!((delivery.lost(), delivery.duplicated), (0, 0), "{target}: {delivery:?}");
    }
}

/// A datagram from `a` to `b` in two fragments, the later one first; whether it has arrived.
fn arrives_reversed(router: &Router, source: &str, destination: &str, id: u16) -> bool {
    let target = SocketAddr::new(destination.parse().unwrap(), 5001);
    let receiver = router.b().enter(|| UdpSocket::bind(target).unwrap()).unwrap();
    receiver.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    let frame = || on("ether1", [0; 6], [0; 6]).ip(source, destination);
    let whole = frame().udp(4000, 5001, 1992).packet();
    let datagram = whole.split_at(if target.is_ipv4() { 20 } else { 40 }).1.to_vec();
    let (head, tail) = datagram.split_at(1200);
    let later = frame().part(id, 150, false).raw(17, tail);
    let first = frame().part(id, 0, true).raw(17, head);
    send(router, &later, target.ip());
    thread::sleep(Duration::from_millis(50));
    send(router, &first, target.ip());
    let mut buffer = [0; 4096];
    receiver.recv(&mut buffer).is_ok_and(|length| length == 1992)
}

/// Sends a finished IP packet from `a`.
fn send(router: &Router, frame: &Frame, to: IpAddr) {
    let packet = frame.packet();
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let sent = router.a().enter(|| {
        let socket = raw_socket(family, SocketType::RAW, Some(Protocol::from_raw(RAW.try_into().unwrap())));
        sendto(socket.unwrap(), &packet, SendFlags::empty(), &SocketAddr::new(to, 0))
    });
    assert_eq!(sent.unwrap().unwrap(), packet.len());
}

/// IPPROTO_RAW: the header is the sender's.
const RAW: u32 = 255;

fn fragments(label: &str, mode: &str) {
    let mut router = Router::start(label, mode, FIREWALL);
    exchange(&router);
    // Those of the host itself.
    assert_eq!(pings(router.a(), "192.0.2.1", "-c 3 -i 0.05 -W 2 -s 4000"), (3, 3));
    assert_eq!(pings(router.netns(), B4, "-c 3 -i 0.05 -W 2 -s 4000"), (3, 3));
    assert_eq!(router.dropped(), []);

    let before = router.packets("fragment-held");
    let arrived = arrives_reversed(&router, A4, B4, 77);
    assert!(
        arrived,
        "IPv4 in another order: {:?}, {} held",
        router.dropped(),
        router.packets("fragment-held") - before
    );
    assert!(arrives_reversed(&router, A6, B6, 77), "IPv6 in another order");
    assert!(router.packets("fragment-held") >= before + 2);
    assert_eq!(router.dropped(), []);
    // One whose first never comes is given up.
    let lone = on("ether1", [0; 6], [0; 6]).ip(A4, B4).part(78, 150, false).raw(17, &[0; 99]);
    send(&router, &lone, B4.parse().unwrap());
    eventually("it is dropped", || router.packets("fragment-unknown") == 1);

    router.daemon.kill().unwrap();
    // After three seconds of silence nothing is given to the daemon any more.
    thread::sleep(Duration::from_secs(5));
    exchange(&router);
    assert!(!arrives_reversed(&router, A4, B4, 79), "nobody holds it");
    router.restart();
    assert!(router.packets("fragment-unknown") >= 2);
    // The next beat is noticed within a second or two.
    let mut id = 80;
    eventually("fragments are held again", || {
        id += 1;
        arrives_reversed(&router, A4, B4, id)
    });
}

#[test]
fn fragments_pass_masquerade_in_xdp() {
    fragments("fragx", "xdp");
}

#[test]
fn fragments_pass_masquerade_in_tc() {
    fragments("fragt", "tc");
}
