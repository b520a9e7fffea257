//! The data plane's ports and settings.

use router_common::maps::port::{Port as MapPort, Settings as MapSettings, port_flag};

use crate::addresses::Own;
use crate::desired::{Image, ImagePort};
use crate::ports::Port;
use crate::settings::Settings;

/// The bits of `skb->mark` that are ours, and the one among them that says "processed".
pub const MARK_MASK: u32 = 0xff00_0000;
pub const MARK_DONE: u32 = 0x8000_0000;

pub fn compile(image: &mut Image, managed: &[Port<'_>], own: &Own<'_>, settings: &Settings) {
    let icmp_rate = match settings.v4.icmp_rate_limit_ms {
        0 => 0,
        limit_ms => u32::try_from(1000 / limit_ms).unwrap_or(0).max(1),
    };
    image.settings = MapSettings { mark_mask: MARK_MASK, mark_done: MARK_DONE, icmp_rate, reserved: 0 };
    image.ports = managed.iter().map(|port| image_port(port, own, settings)).collect();
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
    let (address4, address6) = own.first(port.link.ifindex);
    ImagePort {
        name: port.name.clone(),
        host_name: port.link.name.clone(),
        port: MapPort {
            ifindex: port.link.ifindex,
            flags,
            mtu_bytes: port.mtu_bytes,
            mac: port.mac.unwrap_or_default(),
            address4: address4.map(|v4| v4.octets()).unwrap_or_default(),
            address6: address6.map(|v6| v6.octets()).unwrap_or_default(),
            ..MapPort::default()
        },
    }
}
