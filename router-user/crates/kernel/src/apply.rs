//! Steps done, and undone.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use plan::desired::{Address, Neighbor, NextHop, Route, RouteKind};
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol,
};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage, Prop};
use rtnetlink::packet_route::neighbour::{
    NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteProtocol,
    RouteScope, RouteType,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rustix::io::Errno;

use crate::step::{LinkChange, Op, Step};
use crate::{Error, Kernel, rules, sysctl};

/// Steps that were done, with what undoes them.
#[derive(Debug, Default)]
#[must_use = "keep it until the rest of the transaction has succeeded"]
pub struct Applied {
    /// In the order in which the steps were done.
    inverses: Vec<Vec<Op>>,
}

impl Applied {
    pub fn is_empty(&self) -> bool {
        self.inverses.is_empty()
    }

    /// Adds what was applied later, so that both are undone as one.
    pub fn extend(&mut self, later: Applied) {
        self.inverses.extend(later.inverses);
    }
}

/// A step that the kernel refused; all steps before it have been undone.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {cause}")]
pub struct Failed {
    /// The step, as in the diff.
    pub step: String,
    pub cause: Error,
    /// What could not be undone, each as a sentence; empty as a rule.
    pub undo_errors: Vec<String>,
}

impl Kernel {
    /// Does the steps in their order. If one fails, those before it are undone in reverse order.
    pub async fn apply(&self, steps: Vec<Step>) -> Result<Applied, Failed> {
        let failed = |step: String, cause| Failed { step, cause, undo_errors: Vec::new() };
        self.originals().record(&steps).map_err(|e| failed("write down what the host has".to_owned(), e))?;
        let mut applied = Applied::default();
        for step in &steps {
            if let Err(cause) = self.run(&step.op).await {
                let undo_errors = self.undo_all(applied).await;
                return Err(Failed { step: step.to_string(), cause, undo_errors });
            }
            applied.inverses.push(step.inverse.clone());
        }
        let settled = self.originals().settle(&steps);
        if let Err(cause) = settled {
            let undo_errors = self.undo_all(applied).await;
            return Err(Failed { undo_errors, ..failed("write down what the host has".to_owned(), cause) });
        }
        Ok(applied)
    }

    /// Undoes what was applied, last step first, as far as possible; the error names the first thing that could not be.
    pub async fn undo(&self, applied: Applied) -> Result<(), Error> {
        match self.undo_all(applied).await.into_iter().next() {
            Some(what) => Err(Error::Undo(what)),
            None => Ok(()),
        }
    }

    /// What fails is tried once more at the end: a route back over a network whose address has to come back first.
    async fn undo_all(&self, applied: Applied) -> Vec<String> {
        let mut again = Vec::new();
        for op in applied.inverses.into_iter().rev().flatten() {
            if self.run(&op).await.is_err() {
                again.push(op);
            }
        }
        let mut errors = Vec::new();
        for op in again {
            if let Err(error) = self.run(&op).await {
                errors.push(format!("undo {op:?}: {error}"));
            }
        }
        errors
    }

    pub(crate) fn originals(&self) -> std::sync::MutexGuard<'_, crate::originals::Originals> {
        self.originals.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) async fn run(&self, op: &Op) -> Result<(), Error> {
        use RouteNetlinkMessage as Message;
        match op {
            Op::Link { ifindex, change } => self.change_link(*ifindex, change).await,
            Op::AddAddress { address, protocol } => {
                let message = address_message(address, *protocol);
                self.send(Message::NewAddress(message), NLM_F_CREATE | NLM_F_EXCL).await
            }
            Op::RemoveAddress(address) => {
                gone(self.send(Message::DelAddress(address_message(address, 0)), 0).await)
            }
            Op::PutRoute { route, protocol, replace } => self.put_route(route, *protocol, *replace).await,
            Op::RemoveRoute { route, protocol } => {
                gone(self.send(Message::DelRoute(removal_of_route(route, *protocol)), 0).await)
            }
            Op::PutNeighbor { neighbor, protocol } => {
                let message = neighbor_message(neighbor, *protocol);
                self.send(Message::NewNeighbour(message), NLM_F_CREATE | NLM_F_REPLACE).await
            }
            Op::RemoveNeighbor(neighbor) => {
                gone(self.send(Message::DelNeighbour(neighbor_message(neighbor, 0)), 0).await)
            }
            Op::AddRule(rule) => {
                self.send(Message::NewRule(rules::message(rule)), NLM_F_CREATE | NLM_F_EXCL).await
            }
            Op::RemoveRule(rule) => gone(self.send(Message::DelRule(rules::message(rule)), 0).await),
            Op::Sysctl { key, value } => sysctl::write(key, value),
            Op::Hostname(name) => rustix::system::sethostname(name.as_bytes())
                .map_err(|e| Error::Refused { cause: e.into(), reason: String::new() }),
        }
    }

    async fn change_link(&self, ifindex: u32, change: &LinkChange) -> Result<(), Error> {
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        let altname = |name: &String| LinkAttribute::PropList(vec![Prop::AltIfName(name.clone())]);
        match change {
            LinkChange::Up(up) => {
                message.header.change_mask = LinkFlags::Up;
                message.header.flags = if *up { LinkFlags::Up } else { LinkFlags::empty() };
            }
            LinkChange::Mtu(bytes) => message.attributes.push(LinkAttribute::Mtu(*bytes)),
            LinkChange::Mac(mac) => message.attributes.push(LinkAttribute::Address(mac.clone())),
            LinkChange::Alias(alias) => message.attributes.push(LinkAttribute::IfAlias(alias.clone())),
            LinkChange::AddAltname(name) => {
                message.attributes.push(altname(name));
                let flags = NLM_F_CREATE | NLM_F_EXCL | NLM_F_APPEND;
                return self.send(RouteNetlinkMessage::NewLinkProp(message), flags).await;
            }
            LinkChange::RemoveAltname(name) => {
                message.attributes.push(altname(name));
                return gone(self.send(RouteNetlinkMessage::DelLinkProp(message), 0).await);
            }
        }
        self.send(RouteNetlinkMessage::SetLink(message), 0).await
    }

    async fn put_route(&self, route: &Route, protocol: u8, replace: bool) -> Result<(), Error> {
        // An IPv6 source address is refused as long as duplicate address detection runs for it, which takes about two
        // seconds: ip6_route_info_create, net/ipv6/route.c
        const DAD_ROUNDS: u32 = 40;
        const DAD_ROUND: Duration = Duration::from_millis(100);
        let flags = NLM_F_CREATE | if replace { NLM_F_REPLACE } else { NLM_F_EXCL };
        let mut rounds = match route.preferred_source {
            Some(IpAddr::V6(_)) => DAD_ROUNDS,
            _ => 0,
        };
        loop {
            let message = RouteNetlinkMessage::NewRoute(route_message(route, protocol));
            match self.send(message, flags).await {
                Err(error) if rounds > 0 && error.errno() == Some(Errno::INVAL.raw_os_error()) => rounds -= 1,
                other => return other,
            }
            tokio::time::sleep(DAD_ROUND).await;
        }
    }

    pub(crate) async fn send(&self, message: RouteNetlinkMessage, flags: u16) -> Result<(), Error> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut handle = self.handle.clone();
        let mut answers = handle.request(request).map_err(|_| Error::Gone)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(message) = answer.payload
                && message.code.is_some()
            {
                return Err(Error::refused(&message));
            }
        }
        // A positive acknowledgement only ends the stream; so does the end of the connection.
        if self.connection.is_finished() { Err(Error::Gone) } else { Ok(()) }
    }
}

/// What is gone already need not be removed.
fn gone(result: Result<(), Error>) -> Result<(), Error> {
    let absent = [Errno::SRCH, Errno::NOENT, Errno::ADDRNOTAVAIL, Errno::NODEV].map(|e| e.raw_os_error());
    match result {
        Err(error) if error.errno().is_some_and(|errno| absent.contains(&errno)) => Ok(()),
        other => other,
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn address_message(address: &Address, protocol: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address.address);
    message.header.prefix_len = address.prefix_length;
    message.header.index = address.ifindex;
    if address.no_dad {
        message.header.flags = AddressHeaderFlags::Nodad;
    }
    message.attributes.push(AddressAttribute::Local(address.address));
    message.attributes.push(AddressAttribute::Address(address.peer.unwrap_or(address.address)));
    if let (IpAddr::V4(own), None, 0..=30) = (address.address, address.peer, address.prefix_length) {
        let hosts = u32::MAX.checked_shr(address.prefix_length.into()).unwrap_or(0);
        message.attributes.push(AddressAttribute::Broadcast((u32::from(own) | hosts).into()));
    }
    if protocol != 0 {
        message.attributes.push(AddressAttribute::Protocol(AddressProtocol::from(protocol)));
    }
    message
}

fn route_address(address: IpAddr) -> RouteAddress {
    match address {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

fn route_key(route: &Route, protocol: u8) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(route.destination);
    message.header.destination_prefix_length = route.prefix_length;
    message.header.table = u8::try_from(route.table).unwrap_or(0);
    message.header.protocol = RouteProtocol::from(protocol);
    message.header.kind = match route.kind {
        RouteKind::Unicast => RouteType::Unicast,
        RouteKind::Blackhole => RouteType::BlackHole,
        RouteKind::Unreachable => RouteType::Unreachable,
        RouteKind::Prohibit => RouteType::Prohibit,
    };
    if route.prefix_length > 0 {
        message.attributes.push(RouteAttribute::Destination(route_address(route.destination)));
    }
    message.attributes.push(RouteAttribute::Table(route.table));
    message.attributes.push(RouteAttribute::Priority(route.metric));
    message
}

fn removal_of_route(route: &Route, protocol: u8) -> RouteMessage {
    let mut message = route_key(route, protocol);
    message.header.scope = RouteScope::NoWhere; // any
    message
}

fn route_message(route: &Route, protocol: u8) -> RouteMessage {
    let mut message = route_key(route, protocol);
    let on_link = !route.next_hops.is_empty() && route.next_hops.iter().all(|hop| hop.gateway.is_none());
    if route.destination.is_ipv4() && on_link {
        message.header.scope = RouteScope::Link;
    }
    if let Some(source) = route.preferred_source {
        message.attributes.push(RouteAttribute::PrefSource(route_address(source)));
    }
    match route.next_hops.as_slice() {
        [] => {}
        [hop] => {
            message
                .attributes
                .extend(hop.gateway.map(|gateway| RouteAttribute::Gateway(route_address(gateway))));
            message.attributes.extend(hop.ifindex.map(RouteAttribute::Oif));
            if hop.onlink {
                message.header.flags |= RouteFlags::Onlink;
            }
        }
        hops => message.attributes.push(RouteAttribute::MultiPath(hops.iter().map(multipath_hop).collect())),
    }
    message
}

fn multipath_hop(hop: &NextHop) -> RouteNextHop {
    let mut message = RouteNextHop::default();
    message.interface_index = hop.ifindex.unwrap_or(0);
    message.attributes.extend(hop.gateway.map(|gateway| RouteAttribute::Gateway(route_address(gateway))));
    if hop.onlink {
        message.flags |= RouteNextHopFlags::Onlink;
    }
    message
}

fn neighbor_message(neighbor: &Neighbor, protocol: u8) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family(neighbor.address);
    message.header.ifindex = neighbor.ifindex;
    message.attributes.push(NeighbourAttribute::Destination(match neighbor.address {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => v6.into(),
    }));
    match neighbor.mac {
        Some(mac) => {
            message.header.state = NeighbourState::Permanent;
            message.attributes.push(NeighbourAttribute::LinkLayerAddress(mac.to_vec()));
        }
        None => message.header.flags = NeighbourFlags::Proxy,
    }
    if protocol != 0 {
        message.attributes.push(NeighbourAttribute::Protocol(RouteProtocol::from(protocol)));
    }
    message
}
