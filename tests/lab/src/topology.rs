//! A router namespace whose ports are veths, each with a host namespace at the other end.

use std::process::Command;

use anyhow::{Context, Result};

use crate::netns::{self, Netns};

/// The router and its hosts. Namespaces are named `PREFIX-ROLE`; all are removed on drop unless kept.
pub struct Lab {
    prefix: String,
    pub router: Netns,
    hosts: Vec<Host>,
}

/// A host: one interface, `eth0`, at the other end of a router's port.
pub struct Host {
    pub role: String,
    pub port: String,
    pub netns: Netns,
}

impl Lab {
    /// A lab of this process: `rd-LABEL-PID-...`. What a killed process of the same label left is removed first.
    pub fn new(label: &str) -> Result<Lab> {
        remove_orphans(&format!("rd-{label}-"));
        Lab::named(&format!("rd-{label}-{}", std::process::id()))
    }

    /// A lab with a fixed prefix. Fails where it stands already.
    pub fn named(prefix: &str) -> Result<Lab> {
        let router = Netns::create(&format!("{prefix}-router"))?;
        Ok(Lab { prefix: prefix.to_owned(), router, hosts: Vec::new() })
    }

    /// Connects a new host to a new port of the router. `setup` are `ip` command lines for the host, run in order
    /// after `eth0` is up: `addr add 192.0.2.2/24 dev eth0`, `route add default via 192.0.2.1`.
    pub fn host(&mut self, role: &str, port: &str, setup: &[&str]) -> Result<()> {
        let netns = Netns::create(&format!("{}-{role}", self.prefix))?;
        let host = netns.name();
        // A veth gets frames that XDP redirects to it only if its peer runs NAPI, hence GRO on the host's side; a tag
        // inserted in hardware would be invisible to XDP, hence no VLAN offload there. Checksum and segmentation
        // offload stay as they are.
        self.router.ip(&format!("link add {port} type veth peer name eth0 netns {host}"))?;
        netns.run("ethtool -K eth0 gro on txvlan off").with_context(|| format!("set up {host}"))?;
        self.add(role, port, netns, setup)
    }

    /// As [`Lab::host`], through two cards of the initial namespace that are on one segment: the first becomes the
    /// router's port, the second the host's `eth0`. They return, with these names, when their namespaces go.
    pub fn host_on_cards(&mut self, role: &str, port: &str, cards: [&str; 2], setup: &[&str]) -> Result<()> {
        let netns = Netns::create(&format!("{}-{role}", self.prefix))?;
        let places = [(cards[0], &self.router, port), (cards[1], &netns, "eth0")];
        for (card, place, name) in places {
            netns::run(Command::new("ip").args(["link", "set", card, "netns", place.name(), "name", name]))?;
        }
        self.add(role, port, netns, setup)
    }

    fn add(&mut self, role: &str, port: &str, netns: Netns, setup: &[&str]) -> Result<()> {
        let router = self.router.name();
        netns.ip("link set eth0 up")?;
        self.router.ip(&format!("link set {port} up")).with_context(|| format!("set up {router}"))?;
        for line in setup {
            netns.ip(line)?;
        }
        self.hosts.push(Host { role: role.to_owned(), port: port.to_owned(), netns });
        Ok(())
    }

    /// The namespace of a host by its role. Panics when the lab has no such host: the caller made it.
    #[track_caller]
    pub fn on(&self, role: &str) -> &Netns {
        match self.hosts.iter().find(|host| host.role == role) {
            Some(host) => &host.netns,
            None => panic!("the lab has no host {role}"),
        }
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// Leaves all namespaces standing.
    pub fn keep(&mut self) {
        self.router.keep();
        self.hosts.iter_mut().for_each(|host| host.netns.keep());
    }
}

/// Removes namespaces `PREFIX<pid>-...` whose process is gone.
pub fn remove_orphans(prefix: &str) {
    for name in netns::list(prefix) {
        let pid: Option<u32> = name[prefix.len()..].split('-').next().and_then(|pid| pid.parse().ok());
        let alive = pid.is_none_or(|pid| std::path::Path::new(&format!("/proc/{pid}")).exists());
        if !alive && let Err(error) = netns::end_processes(&name).and_then(|()| netns::remove(&name)) {
            eprintln!("lab: {error:#}");
        }
    }
}

/// The lab of `configs/smb-office.rsc`: the provider's side on ether1, LAN1 on ether2, LAN2 on ether3.
pub fn office(prefix: Option<&str>) -> Result<Lab> {
    let mut lab = match prefix {
        Some(prefix) => Lab::named(prefix)?,
        None => Lab::new("demo")?,
    };
    lab.host(
        "wan",
        "ether1",
        &[
            "addr add 203.0.113.1/29 dev eth0",
            "addr add 2001:db8:3::1/64 dev eth0 nodad",
            // The Internet behind the provider.
            "addr add 198.51.100.80/32 dev lo",
            "addr add 2001:db8:ffff::80/128 dev lo nodad",
            // The office's IPv4 addresses are nobody's out there: only what the router translates is answered.
            "route add 2001:db8:1::/64 via 2001:db8:3::2",
            "route add 2001:db8:2::/64 via 2001:db8:3::2",
        ],
    )?;
    for (role, port, number) in [("lan1", "ether2", 1), ("lan2", "ether3", 2)] {
        lab.host(
            role,
            port,
            &[
                &format!("addr add 192.168.{number}.100/24 dev eth0"),
                &format!("addr add 2001:db8:{number}::100/64 dev eth0 nodad"),
                &format!("route add default via 192.168.{number}.1"),
                &format!("route add default via 2001:db8:{number}::1"),
            ],
        )?;
    }
    // The web server that the configuration forwards a port to.
    lab.on("lan2").ip("addr add 192.168.2.10/24 dev eth0")?;
    // What comes over a wire has its checksums; a veth's sender leaves them out, and XDP leaves such frames to tc.
    for host in lab.hosts() {
        host.netns.run("ethtool -K eth0 tx off")?;
    }
    Ok(lab)
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, thread, time::Duration};

    use super::*;
    use crate::{HttpServer, UdpStream, http_get, ping};

    /// Two hosts and a router that is plain Linux.
    fn plain(label: &str) -> Lab {
        let mut lab = Lab::new(label).unwrap();
        lab.host("a", "ether1", &["addr add 192.0.2.2/24 dev eth0", "route add default via 192.0.2.1"])
            .unwrap();
        lab.host("b", "ether2", &["addr add 198.51.100.2/24 dev eth0", "route add default via 198.51.100.1"])
            .unwrap();
        lab.router.ip("addr add 192.0.2.1/24 dev ether1").unwrap();
        lab.router.ip("addr add 198.51.100.1/24 dev ether2").unwrap();
        lab.router.sysctl("net.ipv4.ip_forward", "1").unwrap();
        lab
    }

    #[test]
    fn traffic_tools_tell_loss_from_delivery() {
        need_root!();
        let lab = plain("self");
        let target: SocketAddr = "198.51.100.2:4000".parse().unwrap();
        let stream = UdpStream::start(lab.on("a"), lab.on("b"), target, 500, 64).unwrap();
        thread::sleep(Duration::from_millis(400));
        let delivery = stream.stop().unwrap();
        assert!(delivery.sent >= 100, "{delivery:?}");
        assert_eq!((delivery.lost(), delivery.duplicated), (0, 0), "{delivery:?}");

        let _server = HttpServer::start(lab.on("b"), 80, 100_000).unwrap();
        let size = http_get(lab.on("a"), "198.51.100.2:80".parse().unwrap(), Duration::from_secs(5)).unwrap();
        assert_eq!(size, 100_000);
        assert_eq!(ping(lab.on("a"), target.ip(), "-c 2 -i 0.1 -W 1").unwrap(), (2, 2));

        lab.router.sysctl("net.ipv4.ip_forward", "0").unwrap();
        assert_eq!(ping(lab.on("a"), target.ip(), "-c 2 -i 0.1 -W 1").unwrap(), (2, 0));
        let stream = UdpStream::start(lab.on("a"), lab.on("b"), target, 500, 64).unwrap();
        thread::sleep(Duration::from_millis(100));
        let delivery = stream.stop().unwrap();
        assert_eq!(delivery.lost(), delivery.sent, "{delivery:?}");
    }

    #[test]
    fn nothing_is_left_behind() {
        need_root!();
        let lab = plain("left");
        let prefix = lab.prefix.clone();
        assert_eq!(netns::list(&prefix).len(), 3);
        drop(lab);
        assert_eq!(netns::list(&prefix), Vec::<String>::new());
    }
}
