//! The data plane's ports and settings.

use std::net::IpAddr;

use router_common::maps::port::{Port as MapPort, Settings as MapSettings, port_flag};

use crate::addresses::Own;
use crate::desired::{Image, ImagePort};
use crate::ports::Port;
use crate::settings::Settings;

/// The bits of `skb->mark` that are ours, and the one among them that says "processed".
pub const MARK_MASK: u32 = 0xff00_0000;
pub const MARK_DONE: u32 = 0x8000_0000;

pub fn compile(managed: &[Port<'_>], own: &Own<'_>, settings: &Settings) -> Image {
    let icmp_rate = match settings.v4.icmp_rate_limit_ms {
        0 => 0,
        limit_ms => u32::try_from(1000 / limit_ms).unwrap_or(0).max(1),
    };
    Image {
        settings: MapSettings { mark_mask: MARK_MASK, mark_done: MARK_DONE, icmp_rate, reserved: 0 },
        ports: managed.iter().map(|port| image_port(port, own, settings)).collect(),
    }
}

fn image_port(port: &Port<'_>, own: &Own<'_>, settings: &Settings) -> ImagePort {
    let mut flags = match settings.v4.rp_filter.as_str() {
        "strict" => port_flag::RP_STRICT,
        "loose" => port_flag::RP_LOOSE,
        _ => 0,
    };
    for (flag, on) in [
        (port_flag::FORWARD4, settings.v4.ip_forward),
        (port_flag::FORWARD6, settings.forwards6()),
        (port_flag::SEND_REDIRECTS, settings.v4.send_redirects),
        (port_flag::NO_ETHERNET, port.link.mac.len() != 6),
    ] {
        if on {
            flags |= flag;
        }
    }
    let (mut address4, mut address6) = ([0; 4], [0; 16]);
    // Last to first: the first address of each family stays. One of the host's own serves where none is configured.
    let configured = own.all.iter().filter(|own| own.ifindex == port.link.ifindex).map(|own| own.address);
    for address in configured.collect::<Vec<_>>().into_iter().rev() {
        match address {
            IpAddr::V4(v4) => address4 = v4.octets(),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => {}
            IpAddr::V6(v6) => address6 = v6.octets(),
        }
    }
    ImagePort {
        name: port.name.clone(),
        host_name: port.link.name.clone(),
        port: MapPort {
            ifindex: port.link.ifindex,
            flags,
            mtu_bytes: port.mtu_bytes,
            mac: port.mac.unwrap_or_default(),
            address4,
            address6,
            ..MapPort::default()
        },
    }
}
