//! What only netlink tells of a device: its kind and peer, XDP programs, tc filters, XDP abilities.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{
    DecodeError, Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlasIterator, ParseableParametrized,
};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoKind, LinkAttribute, LinkInfo, LinkMessage, LinkXdp as XdpAttribute, XdpAttached,
};
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_packet_route::tc::{TcAttribute, TcFilterBpfOption, TcHandle, TcMessage, TcOption};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use netlink_sys::{Socket, SocketAddr};

use crate::Error;

/// A device as rtnetlink shows it.
#[derive(Clone, Debug, Default)]
pub struct Device {
    pub ifindex: u32,
    pub name: String,
    /// `IFLA_INFO_KIND`, empty for hardware.
    pub kind: String,
    /// ifindex of a veth's peer and, where it is in another network namespace, that one's id as seen from here.
    pub peer: Option<u32>,
    pub peer_namespace: Option<i32>,
    /// Id of the XDP program and whether it runs natively.
    pub xdp: Option<(u32, bool)>,
}

/// One `bpf` filter of a clsact qdisc.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub name: String,
    pub program: u32,
    pub priority: u16,
    pub handle: u32,
}

/// Sends one request and gives all answers.
fn request<P, R>(protocol: isize, flags: u16, payload: P) -> io::Result<Vec<R>>
where
    P: NetlinkSerializable + Into<NetlinkPayload<P>>,
    R: NetlinkDeserializable,
{
    let mut socket = Socket::new(protocol)?;
    socket.bind_auto()?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload.into());
    message.header.flags = NLM_F_REQUEST | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let mut answers = Vec::new();
    loop {
        let (bytes, _) = socket.recv_from_full()?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let answer = NetlinkMessage::<R>::deserialize(rest).map_err(io::Error::other)?;
            let length = (answer.header.length as usize).next_multiple_of(4);
            match answer.payload {
                NetlinkPayload::InnerMessage(inner) => answers.push(inner),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                NetlinkPayload::Done(_) | NetlinkPayload::Error(_) => return Ok(answers),
                _ => {}
            }
            rest = rest.get(length..).unwrap_or_default();
        }
    }
}

/// One device, or None where there is none with this ifindex.
pub fn device(ifindex: u32) -> Result<Option<Device>, Error> {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    let answers = match request(NETLINK_ROUTE, NLM_F_ACK, RouteNetlinkMessage::GetLink(message)) {
        // ENODEV; ENXIO or EINVAL for numbers that no device can have.
        Err(error) if matches!(error.raw_os_error(), Some(19 | 6 | 22)) => return Ok(None),
        answers => answers.map_err(|source| Error::Netlink { action: "read a link", source })?,
    };
    Ok(answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewLink(link) => Some(parse_link(link)),
        _ => None,
    }))
}

/// All devices of this network namespace.
pub fn devices() -> Result<Vec<Device>, Error> {
    let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
    let answers = request(NETLINK_ROUTE, NLM_F_DUMP, message)
        .map_err(|source| Error::Netlink { action: "list links", source })?;
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(parse_link(link)),
            _ => None,
        })
        .collect())
}

fn parse_link(link: LinkMessage) -> Device {
    let mut device = Device { ifindex: link.header.index, ..Device::default() };
    for attribute in link.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name = name,
            LinkAttribute::Link(peer) => device.peer = Some(peer),
            LinkAttribute::LinkNetNsId(id) => device.peer_namespace = Some(id),
            LinkAttribute::LinkInfo(infos) => {
                for info in infos {
                    if let LinkInfo::Kind(kind) = info {
                        device.kind = kind.to_string();
                        if kind != InfoKind::Veth {
                            device.peer = None;
                        }
                    }
                }
            }
            LinkAttribute::Xdp(attributes) => {
                let native = attributes.iter().any(|a| {
                    matches!(a, XdpAttribute::Attached(XdpAttached::Driver | XdpAttached::Hardware))
                });
                device.xdp = attributes.iter().find_map(|a| match a {
                    XdpAttribute::ProgId(id) if *id != 0 => Some((*id, native)),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    if device.kind != "veth" {
        (device.peer, device.peer_namespace) = (None, None);
    }
    device
}

/// The id by which the current network namespace knows another one, given by an open file of it.
pub fn namespace_id(file: BorrowedFd<'_>) -> Option<i32> {
    let fd = u32::try_from(file.as_raw_fd()).ok()?;
    let mut message = NsidMessage::default();
    message.attributes.push(NsidAttribute::Fd(fd));
    let answers = request(NETLINK_ROUTE, NLM_F_ACK, RouteNetlinkMessage::GetNsId(message)).ok()?;
    answers.into_iter().find_map(|answer| match answer {
        RouteNetlinkMessage::NewNsId(answer) => answer.attributes.into_iter().find_map(|a| match a {
            // -1: it has no id here.
            NsidAttribute::Id(id) if id >= 0 => Some(id),
            _ => None,
        }),
        _ => None,
    })
}

/// The minor numbers of clsact's two hooks (include/uapi/linux/pkt_sched.h).
fn clsact(egress: bool) -> TcHandle {
    TcHandle { major: 0xffff, minor: if egress { 0xfff3 } else { 0xfff2 } }
}

/// The `bpf` filters at one hook of a device; none where it has no clsact qdisc.
pub fn filters(ifindex: u32, egress: bool) -> Result<Vec<Filter>, Error> {
    let Ok(index) = i32::try_from(ifindex) else { return Ok(Vec::new()) };
    let mut message = TcMessage::with_index(index);
    message.header.parent = clsact(egress);
    let message = RouteNetlinkMessage::GetTrafficFilter(message);
    let answers = match request(NETLINK_ROUTE, NLM_F_DUMP, message) {
        // EINVAL: no such qdisc; ENODEV: no such device.
        Err(error) if matches!(error.raw_os_error(), Some(22 | 19)) => return Ok(Vec::new()),
        answers => answers.map_err(|source| Error::Netlink { action: "list tc filters", source })?,
    };
    Ok(answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewTrafficFilter(filter) => parse_filter(&filter),
            _ => None,
        })
        .collect())
}

fn parse_filter(message: &TcMessage) -> Option<Filter> {
    let mut filter = Filter {
        name: String::new(),
        program: 0,
        priority: (message.header.info >> 16) as u16,
        handle: u32::from(message.header.handle),
    };
    for attribute in &message.attributes {
        match attribute {
            TcAttribute::Kind(kind) if kind != "bpf" => return None,
            TcAttribute::Options(options) => {
                for option in options {
                    match option {
                        TcOption::Bpf(TcFilterBpfOption::ProgName(name)) => filter.name.clone_from(name),
                        TcOption::Bpf(TcFilterBpfOption::ProgId(id)) => filter.program = *id,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (filter.program != 0 || !filter.name.is_empty()).then_some(filter)
}

/// Removes a device's clsact qdisc with all its filters.
pub fn remove_clsact(ifindex: u32) -> Result<(), Error> {
    let Ok(index) = i32::try_from(ifindex) else { return Ok(()) };
    let mut message = TcMessage::with_index(index);
    message.header.handle = TcHandle { major: 0xffff, minor: 0 };
    message.header.parent = TcHandle { major: 0xffff, minor: 0xfff1 };
    let message = RouteNetlinkMessage::DelQueueDiscipline(message);
    request::<_, RouteNetlinkMessage>(NETLINK_ROUTE, NLM_F_ACK, message)
        .map(drop)
        .map_err(|source| Error::Netlink { action: "remove a clsact qdisc", source })
}

/// Bits of `enum netdev_xdp_act` (include/uapi/linux/netdev.h).
pub mod xdp_feature {
    pub const BASIC: u64 = 1 << 0;
    pub const NDO_XMIT: u64 = 1 << 2;
}

/// XDP abilities of a device as the kernel tells them since 6.3; None where it doesn't.
pub fn xdp_features(ifindex: u32) -> Option<u64> {
    let family = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName("netdev".to_owned())],
    });
    let answers: Vec<GenlMessage<GenlCtrl>> = request(NETLINK_GENERIC, NLM_F_ACK, family).ok()?;
    let id = answers.iter().flat_map(|answer| &answer.payload.nlas).find_map(|nla| match nla {
        GenlCtrlAttrs::FamilyId(id) => Some(*id),
        _ => None,
    })?;
    let mut message = GenlMessage::from_payload(Netdev { ifindex, xdp_features: None });
    message.set_resolved_family_id(id);
    let answers: Vec<GenlMessage<Netdev>> = request(NETLINK_GENERIC, NLM_F_ACK, message).ok()?;
    answers.iter().find_map(|answer| answer.payload.xdp_features)
}

/// `NETDEV_CMD_DEV_GET` and its answer.
#[derive(Clone, Debug)]
struct Netdev {
    ifindex: u32,
    xdp_features: Option<u64>,
}

const NETDEV_CMD_DEV_GET: u8 = 1;
const NETDEV_A_DEV_IFINDEX: u16 = 1;
const NETDEV_A_DEV_XDP_FEATURES: u16 = 3;

impl GenlFamily for Netdev {
    fn family_name() -> &'static str {
        "netdev"
    }
    fn command(&self) -> u8 {
        NETDEV_CMD_DEV_GET
    }
    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Netdev {
    fn buffer_len(&self) -> usize {
        8
    }
    fn emit(&self, buffer: &mut [u8]) {
        let attribute = [8u16.to_ne_bytes(), NETDEV_A_DEV_IFINDEX.to_ne_bytes()].concat();
        for (to, from) in buffer.iter_mut().zip(attribute.iter().chain(&self.ifindex.to_ne_bytes())) {
            *to = *from;
        }
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Netdev {
    fn parse_with_param(bytes: &[u8], _: GenlHeader) -> Result<Netdev, DecodeError> {
        let mut netdev = Netdev { ifindex: 0, xdp_features: None };
        for attribute in NlasIterator::new(bytes) {
            let attribute = attribute?;
            if attribute.kind() == NETDEV_A_DEV_XDP_FEATURES {
                netdev.xdp_features = attribute.value().first_chunk().map(|b| u64::from_ne_bytes(*b));
            }
        }
        Ok(netdev)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_and_a_wrong_number_is_not() {
        let lo = device(1).unwrap().unwrap();
        assert_eq!((lo.name.as_str(), lo.peer), ("lo", None));
        assert!(device(0x7fff_fff0).unwrap().is_none());
        assert!(devices().unwrap().iter().any(|d| d.name == "lo"));
        assert_eq!(filters(1, false).unwrap(), []);
    }
}
