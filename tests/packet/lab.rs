//! The router that all tables speak of.

use router_common::maps::port::{Port, port_flag};
use router_tests::packet::{Frame, Rig, on, port};

pub const ROUTER1: [u8; 6] = [2, 0, 0, 0, 1, 1];
pub const HOST1: [u8; 6] = [2, 0, 0, 0, 1, 2];
pub const ROUTER2: [u8; 6] = [2, 0, 0, 0, 2, 1];
pub const HOST2: [u8; 6] = [2, 0, 0, 0, 2, 2];
pub const ROUTER3: [u8; 6] = [2, 0, 0, 0, 3, 1];
pub const HOST3: [u8; 6] = [2, 0, 0, 0, 3, 2];

/// ether1 and ether2 have addresses, ether3 has none and a small MTU, ether4 is not managed, ether5 can't be redirected
/// to by XDP.
const SETUP: &str = "
link set lo up
link add ether1 address 02:00:00:00:01:01 type veth peer name host1 address 02:00:00:00:01:02
link add ether2 address 02:00:00:00:02:01 type veth peer name host2 address 02:00:00:00:02:02
link add ether3 address 02:00:00:00:03:01 mtu 1400 type veth peer name host3 address 02:00:00:00:03:02 mtu 1400
link add ether4 address 02:00:00:00:04:01 type veth peer name host4 address 02:00:00:00:04:02
link add ether5 address 02:00:00:00:05:01 type veth peer name host5 address 02:00:00:00:05:02
link set ether1 up
link set host1 up
link set ether2 up
link set host2 up
link set ether3 up
link set host3 up
link set ether4 up
link set host4 up
link set ether5 up
link set host5 up
address add 192.0.2.1/24 dev ether1
address add 2001:db8:1::1/64 dev ether1 nodad
address add 198.51.100.1/24 dev ether2
address add 2001:db8:2::1/64 dev ether2 nodad
neighbor add 192.0.2.2 lladdr 02:00:00:00:01:02 dev ether1 nud permanent
neighbor add 2001:db8:1::2 lladdr 02:00:00:00:01:02 dev ether1 nud permanent
neighbor add 198.51.100.2 lladdr 02:00:00:00:02:02 dev ether2 nud permanent
neighbor add 2001:db8:2::2 lladdr 02:00:00:00:02:02 dev ether2 nud permanent
neighbor add 203.0.113.2 lladdr 02:00:00:00:03:02 dev ether3 nud permanent
neighbor add 2001:db8:3::2 lladdr 02:00:00:00:03:02 dev ether3 nud permanent
route add 203.0.113.0/24 dev ether3
route add 2001:db8:3::/64 dev ether3
route add 10.1.0.0/16 via 198.51.100.2
route add 10.1.0.0/16 via 203.0.113.2 table 52001
route add blackhole 10.2.0.0/16
route add unreachable 10.3.0.0/16
route add prohibit 10.4.0.0/16
route add 10.5.0.0/16 dev ether4
route add 10.6.0.0/16 dev ether5
route add 10.7.0.0/16 via inet6 2001:db8:2::2 dev ether2
route add 10.8.0.0/16 via 198.51.100.2 mtu lock 1000
route add 2001:db8:a1::/48 via 2001:db8:2::2
route add blackhole 2001:db8:a2::/48
route add unreachable 2001:db8:a3::/48
route add prohibit 2001:db8:a4::/48
route add 2001:db8:a5::/48 dev ether4
route add 2001:db8:a6::/48 dev ether5
neighbor add 10.5.0.1 lladdr 02:00:00:00:04:02 dev ether4 nud permanent
neighbor add 10.6.0.1 lladdr 02:00:00:00:05:02 dev ether5 nud permanent
neighbor add 2001:db8:a5::1 lladdr 02:00:00:00:04:02 dev ether4 nud permanent
neighbor add 2001:db8:a6::1 lladdr 02:00:00:00:05:02 dev ether5 nud permanent
";

const BOTH: u32 = port_flag::FORWARD4 | port_flag::FORWARD6;

pub fn router() -> Rig {
    with(Rig::new)
}

/// As [`router`], with a table of so many buckets for the flows of IPv4.
pub fn sized_router(flow_buckets: u32) -> Rig {
    with(|setup, ports| Rig::sized(setup, ports, flow_buckets))
}

fn with(make: impl FnOnce(&str, &[(&str, Port)]) -> anyhow::Result<Rig>) -> Rig {
    lab::need_root!();
    let address6 = |text: &str| text.parse::<std::net::Ipv6Addr>().expect("an address").octets();
    let flags = BOTH | port_flag::XDP_TX;
    let mut rig = make(
        SETUP,
        &[
            ("ether1", port(flags, ROUTER1, [192, 0, 2, 1], address6("2001:db8:1::1"))),
            ("ether2", port(flags, ROUTER2, [198, 51, 100, 1], address6("2001:db8:2::1"))),
            ("ether3", port(flags, ROUTER3, [0; 4], [0; 16])),
            ("ether5", port(BOTH, [2, 0, 0, 0, 5, 1], [0; 4], [0; 16])),
        ],
    )
    .expect("the rig");
    for address in [
        "192.0.2.1",
        "192.0.2.255",
        "198.51.100.1",
        "198.51.100.255",
        "2001:db8:1::1",
        "2001:db8:2::1",
        "fe80::1",
    ] {
        rig.local(address.parse().expect("an address")).expect("a local address");
    }
    rig
}

/// A frame from the host on ether1 to the router.
pub fn from_host1() -> Frame {
    on("ether1", HOST1, ROUTER1)
}

/// As [`from_host1`], on ether2.
pub fn from_host2() -> Frame {
    on("ether2", HOST2, ROUTER2)
}
