//! Sets the router namespace up for a case.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use aya::{Ebpf, maps::DevMap};
use lab::{Daemon, Netns};

use super::{
    case::{Case, Router},
    namespace::{G0_MAC, S0_MAC, Topology, feed},
    policy,
    traffic::{attach, ifindex},
};

/// Sets up the router of `case`; the daemon, where there is one, lives as long as what is returned.
pub fn start(case: Case, topology: &Topology, programs: &mut Ebpf, routerd: &Path) -> Result<Option<Daemon>> {
    let router = &topology.router;
    if case.router == Router::Routerd {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let file = directory.path().join("bench.rsc");
        fs::write(&file, configuration() + &policy::routeros(case, 0))?;
        let options = ["--port", "ether1=r0", "--port", "ether2=r1", "--port-mode", "all=xdp"];
        return Daemon::start_program(routerd, router, &file, &options).map(Some);
    }
    configure_kernel(router)?;
    match case.router {
        Router::Redirect => router.enter(|| attach(programs, "redirect", "r0"))??,
        Router::Drop => router.enter(|| attach(programs, "drop_counted", "r0"))??,
        Router::FibDirect => router.enter(|| {
            let mut devices: DevMap<_> =
                programs.map_mut("DEVICES").context("the object has no map DEVICES")?.try_into()?;
            for device in ["r0", "r1"] {
                let index = ifindex(device)?;
                devices.set(index, index, None, 0)?;
            }
            attach(programs, "fib_direct", "r0")
        })??,
        Router::Nft => {
            router.sysctl("net.netfilter.nf_conntrack_checksum", "0")?;
            feed(router, "nft", &["-f", "-"], &policy::nftables(case, 0))?;
        }
        Router::Kernel | Router::Routerd => {}
    }
    Ok(None)
}

/// Addresses, static neighbours, one route each way, forwarding on.
fn configure_kernel(router: &Netns) -> Result<()> {
    for key in ["net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"] {
        router.sysctl(key, "1")?;
    }
    for scope in ["all", "r0", "r1"] {
        router.sysctl(&format!("net.ipv4.conf.{scope}.rp_filter"), "0")?;
    }
    let batch = format!(
        "address add 192.168.1.1/24 dev r0\n\
         address add 192.168.2.1/24 dev r1\n\
         address add 2001:db8:1::1/64 dev r0 nodad\n\
         address add 2001:db8:2::1/64 dev r1 nodad\n\
         neighbour replace 192.168.1.2 lladdr {G0_MAC} dev r0 nud permanent\n\
         neighbour replace 192.168.2.2 lladdr {S0_MAC} dev r1 nud permanent\n\
         neighbour replace 2001:db8:1::2 lladdr {G0_MAC} dev r0 nud permanent\n\
         neighbour replace 2001:db8:2::2 lladdr {S0_MAC} dev r1 nud permanent\n\
         route add 10.0.0.0/8 via 192.168.1.2\n\
         route add 198.18.0.0/15 via 192.168.2.2\n\
         route add 2001:db8:10::/48 via 2001:db8:1::2\n\
         route add 2001:db8:20::/48 via 2001:db8:2::2\n"
    );
    feed(router, "ip", &["-batch", "-"], &batch)
}

/// The same for routerd, with ether1 = r0 and ether2 = r1.
pub fn configuration() -> String {
    format!(
        "/ip address\n\
         add address=192.168.1.1/24 interface=ether1\n\
         add address=192.168.2.1/24 interface=ether2\n\
         /ipv6 address\n\
         add address=2001:db8:1::1/64 interface=ether1 advertise=no no-dad=yes\n\
         add address=2001:db8:2::1/64 interface=ether2 advertise=no no-dad=yes\n\
         /ip arp\n\
         add address=192.168.1.2 mac-address={G0_MAC} interface=ether1\n\
         add address=192.168.2.2 mac-address={S0_MAC} interface=ether2\n\
         /ipv6 neighbor\n\
         add address=2001:db8:1::2 mac-address={G0_MAC} interface=ether1\n\
         add address=2001:db8:2::2 mac-address={S0_MAC} interface=ether2\n\
         /ip route\n\
         add dst-address=10.0.0.0/8 gateway=192.168.1.2\n\
         add dst-address=198.18.0.0/15 gateway=192.168.2.2\n\
         /ipv6 route\n\
         add dst-address=2001:db8:10::/48 gateway=2001:db8:1::2\n\
         add dst-address=2001:db8:20::/48 gateway=2001:db8:2::2\n"
    )
}
