//! Links of this network namespace by name and number.

use std::collections::HashMap;

use anyhow::Context;
use rustix::net::netdevice::{index_to_name, name_to_index};
use rustix::net::{AddressFamily, SocketType, socket};

/// The ifindex of a link by its name or another name of it, so by its RouterOS name as well.
pub fn index(name: &str) -> anyhow::Result<u32> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).context("open a socket")?;
    name_to_index(&socket, name).with_context(|| format!("no such interface {name}"))
}

/// Names of links, looked up once each.
#[derive(Default)]
pub struct Names(HashMap<u32, String>);

impl Names {
    pub fn of(&mut self, ifindex: u32) -> &str {
        self.0.entry(ifindex).or_insert_with(|| name(ifindex).unwrap_or_else(|| format!("#{ifindex}")))
    }
}

/// The host's name of a link.
pub fn name(ifindex: u32) -> Option<String> {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None).ok()?;
    index_to_name(&socket, ifindex).ok()
}

/// `tcp`, `udp`, `icmp`, `icmpv6` or a number (IANA, protocol numbers).
pub fn protocol(text: &str) -> anyhow::Result<u8> {
    match text {
        "icmp" => Ok(1),
        "tcp" => Ok(6),
        "udp" => Ok(17),
        "icmpv6" => Ok(58),
        number => {
            number.parse().with_context(|| format!("protocol {number}: tcp, udp, icmp, icmpv6 or a number"))
        }
    }
}
