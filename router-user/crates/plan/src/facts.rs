//! What the plan has to know of the host. Read by `kernel`, given to [`crate::Desired`]'s compiler as a value.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A link of the host, as rtnetlink tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLink {
    pub ifindex: u32,
    pub name: String,
    pub altnames: Vec<String>,
    /// `IFLA_IFALIAS`; starts with our tag where we made or renamed the link.
    pub alias: Option<String>,
    /// `IFLA_INFO_KIND`, empty for hardware.
    pub kind: String,
    /// Six bytes for Ethernet; empty for devices without link layer addresses.
    pub mac: Vec<u8>,
    /// The burnt-in address (`IFLA_PERM_ADDRESS`) where the driver tells it.
    pub permanent_mac: Option<Vec<u8>>,
    pub mtu_bytes: u32,
    pub up: bool,
    pub running: bool,
    pub loopback: bool,
    /// Master's ifindex where enslaved.
    pub master: Option<u32>,
}

/// An address that the host has and that we did not make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostAddress {
    pub ifindex: u32,
    pub address: IpAddr,
    pub prefix_length: u8,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    pub links: Vec<HostLink>,
    pub addresses: Vec<HostAddress>,
    /// Operator's names for ports: RouterOS name -> host link name (`--port ether1=enp3s0`).
    pub ports: BTreeMap<String, String>,
    /// The host name is ours to set: this is the host's own network namespace.
    pub owns_hostname: bool,
    /// `uname -r`.
    pub kernel_release: String,
}
