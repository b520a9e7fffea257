//! What the plan has to know of the host. Read by `kernel`, given to [`crate::Desired`]'s compiler as a value.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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

/// The other address that a host with this one answers to: the broadcast address of an IPv4 subnet (RFC 1812,
/// 4.2.3.1), the subnet-router anycast address of an IPv6 prefix (RFC 4291, 2.6.1).
pub fn group_address(address: IpAddr, prefix_length: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) if prefix_length < 31 => {
            Some(IpAddr::from((u32::from(address) | u32::MAX >> prefix_length).to_be_bytes()))
        }
        IpAddr::V6(address) if prefix_length < 127 => {
            let host = u128::MAX.checked_shr(prefix_length.into())?;
            Some(IpAddr::from((u128::from(address) & !host).to_be_bytes()))
        }
        _ => None,
    }
}

/// What an entry of an address list with a timeout makes a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timed {
    /// First and last address.
    Range(IpAddr, IpAddr),
    Name(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    pub links: Vec<HostLink>,
    pub addresses: Vec<HostAddress>,
    /// Operator's names for ports: RouterOS name -> host link name (`--port ether1=enp3s0`).
    pub ports: BTreeMap<String, String>,
    /// Address lists that have dynamic members, by [`crate::firewall::rule::name_number`].
    pub dynamic_lists: BTreeSet<u32>,
    /// What is in address lists for some time: the list's number, whether it is one of IPv6, and what is in it.
    pub timed: Vec<(u32, bool, Timed)>,
    /// Gateways that routes have watched and that do not answer.
    pub gateways_down: BTreeSet<IpAddr>,
    /// Numbers that the data plane has given to names of marks, of routing tables.
    pub marks: BTreeMap<String, u32>,
    pub tables: BTreeMap<String, u32>,
    /// The host name is ours to set: this is the host's own network namespace.
    pub owns_hostname: bool,
    /// `uname -r`.
    pub kernel_release: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_has_one_more_address_that_is_the_hosts() {
        for (address, prefix_length, group) in [
            ("192.0.2.1", 24, Some("192.0.2.255")),
            ("203.0.113.2", 29, Some("203.0.113.7")),
            ("10.0.0.1", 0, Some("255.255.255.255")),
            ("192.0.2.1", 31, None),
            ("192.0.2.1", 32, None),
            ("2001:db8:1::1", 64, Some("2001:db8:1::")),
            ("2001:db8:1::1", 126, Some("2001:db8:1::")),
            ("2001:db8:1::1", 127, None),
            ("2001:db8:1::1", 128, None),
        ] {
            let address: IpAddr = address.parse().unwrap();
            let group: Option<IpAddr> = group.map(|group| group.parse().unwrap());
            assert_eq!(group_address(address, prefix_length), group, "{address}/{prefix_length}");
        }
    }
}
