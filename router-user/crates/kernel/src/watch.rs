//! Changes of the host, told within a millisecond: a thread with a netlink socket of its own, so that no other work of
//! the daemon can delay it.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::thread::JoinHandle;

use rtnetlink::packet_core::{NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::Error;

/// What changed on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Links,
    Addresses,
    Routes,
    Rules,
    /// A neighbour got another link layer address, became usable, or ceased to be. Mere probing is not told.
    Neighbor {
        ifindex: u32,
        address: IpAddr,
        mac: Option<Vec<u8>>,
        /// It did not answer, and the kernel has given up on it.
        failed: bool,
    },
    /// Messages were lost: anything may have changed.
    Resync,
}

/// Ends the watch when dropped.
pub struct Watch {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // An eventfd takes 8 bytes unless its counter is full, and then it is readable as well.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            // A panic of the callback has been reported by then.
            let _ = thread.join();
        }
    }
}

// Multicast groups: include/uapi/linux/rtnetlink.h, enum rtnetlink_groups
const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_NEIGH: u32 = 3;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV4_RULE: u32 = 8;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_IPV6_RULE: u32 = 19;
/// Next hop objects change routes without a route message.
const RTNLGRP_NEXTHOP: u32 = 32;
const GROUPS: [u32; 9] = [
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV4_RULE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV6_RULE,
    RTNLGRP_NEXTHOP,
];
/// Room for a routing protocol's burst.
const RECEIVE_BUFFER_BYTES: usize = 16 << 20;

// Message types: include/uapi/linux/rtnetlink.h
const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_NEWNEXTHOP: u16 = 104;
const RTM_DELNEXTHOP: u16 = 105;

/// Watches the network namespace of the calling thread. `callback` runs on the watch's thread, once per kind of change
/// and burst; the watch is live when this returns.
pub fn watch(callback: impl FnMut(Change) + Send + 'static) -> Result<Watch, Error> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(Error::Open)?;
    rustix::net::sockopt::set_socket_recv_buffer_size_force(borrow(&socket), RECEIVE_BUFFER_BYTES)
        .or_else(|_| rustix::net::sockopt::set_socket_recv_buffer_size(borrow(&socket), RECEIVE_BUFFER_BYTES))
        .map_err(|e| Error::Open(e.into()))?;
    socket.bind(&SocketAddr::new(0, 0)).map_err(Error::Open)?;
    for group in GROUPS {
        socket.add_membership(group).map_err(Error::Open)?;
    }
    socket.set_non_blocking(true).map_err(Error::Open)?;
    let stop =
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|e| Error::Thread(e.into()))?;
    let stopped = stop.try_clone().map_err(Error::Thread)?;
    let thread = std::thread::Builder::new()
        .name("netlink-watch".to_owned())
        .spawn(move || run(&socket, &stopped, callback))
        .map_err(Error::Thread)?;
    Ok(Watch { stop, thread: Some(thread) })
}

fn borrow(socket: &Socket) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open as long as the socket, which is borrowed for as long as the result.
    unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

fn run(socket: &Socket, stop: &OwnedFd, mut callback: impl FnMut(Change)) {
    // The data plane waits for these changes, so a busy host must not hold them back. Without the right to it, so be it.
    let _ = rustix::process::setpriority_process(None, -10);
    let mut neighbors = Neighbors::default();
    loop {
        let descriptor = borrow(socket);
        let mut polled = [PollFd::new(&descriptor, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut polled, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                tracing::error!("watch the kernel's changes: {error}");
                return;
            }
        }
        if !polled[1].revents().is_empty() {
            return;
        }
        burst(socket, &mut neighbors, &mut callback);
    }
}

/// Reads all that is there and tells each change once.
fn burst(socket: &Socket, neighbors: &mut Neighbors, callback: &mut impl FnMut(Change)) {
    // Between two calls of the callback at most so many datagrams are read, or a steady stream would delay it for ever.
    const DATAGRAMS: usize = 64;
    let mut told: Vec<Change> = Vec::new();
    for _ in 0..DATAGRAMS {
        match socket.recv_from_full() {
            Ok((datagram, _)) => messages(&datagram, |kind, message| {
                if let Some(change) = change(kind, message, neighbors)
                    && !told.contains(&change)
                {
                    callback(change.clone());
                    told.push(change);
                }
            }),
            Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {
                neighbors.known.clear();
                callback(Change::Resync);
            }
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
                    tracing::warn!("read the kernel's changes: {error}");
                }
                return;
            }
        }
    }
}

/// Calls `each` with type and bytes (header included) of every message of a datagram.
fn messages(datagram: &[u8], mut each: impl FnMut(u16, &[u8])) {
    let mut rest = datagram;
    while let Some(head) = rest.first_chunk::<6>() {
        let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(message) = rest.get(..length).filter(|message| message.len() >= 16) else { return };
        each(u16::from_ne_bytes([head[4], head[5]]), message);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn change(kind: u16, message: &[u8], neighbors: &mut Neighbors) -> Option<Change> {
    match kind {
        RTM_NEWLINK | RTM_DELLINK => Some(Change::Links),
        RTM_NEWADDR | RTM_DELADDR => Some(Change::Addresses),
        RTM_NEWROUTE | RTM_DELROUTE | RTM_NEWNEXTHOP | RTM_DELNEXTHOP => Some(Change::Routes),
        RTM_NEWRULE | RTM_DELRULE => Some(Change::Rules),
        RTM_NEWNEIGH | RTM_DELNEIGH => {
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message).ok()?.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => {
                    neighbors.put(entry)
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelNeighbour(entry)) => {
                    neighbors.remove(entry)
                }
                _ => None,
            }
        }
        _ => None,
    }
}

/// The usable link layer address of each neighbour that was told.
#[derive(Default)]
struct Neighbors {
    known: HashMap<Key, Vec<u8>>,
}

/// Ifindex and address.
type Key = (u32, IpAddr);

impl Neighbors {
    fn put(&mut self, entry: NeighbourMessage) -> Option<Change> {
        use NeighbourState as State;
        let usable = matches!(
            entry.header.state,
            State::Reachable | State::Stale | State::Delay | State::Probe | State::Permanent | State::Noarp
        );
        let failed = entry.header.state == State::Failed;
        let (key, mac) = parts(entry)?;
        let mac = mac.filter(|_| usable);
        let before = match &mac {
            Some(mac) => self.known.insert(key, mac.clone()),
            None => self.known.remove(&key),
        };
        let (ifindex, address) = key;
        (before != mac || failed).then_some(Change::Neighbor { ifindex, address, mac, failed })
    }

    fn remove(&mut self, entry: NeighbourMessage) -> Option<Change> {
        let (key, _) = parts(entry)?;
        let (ifindex, address) = key;
        self.known.remove(&key).map(|_| Change::Neighbor { ifindex, address, mac: None, failed: false })
    }
}

fn parts(entry: NeighbourMessage) -> Option<(Key, Option<Vec<u8>>)> {
    let (mut address, mut mac) = (None, None);
    for attribute in entry.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => address = Some(IpAddr::from(v4)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => address = Some(IpAddr::from(v6)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = Some(bytes),
            _ => {}
        }
    }
    Some(((entry.header.ifindex, address?), mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn entry(state: NeighbourState, mac: u8) -> NeighbourMessage {
        let mut entry = NeighbourMessage::default();
        entry.header.ifindex = 2;
        entry.header.state = state;
        entry.attributes.push(NeighbourAttribute::Destination(Ipv4Addr::new(192, 0, 2, 1).into()));
        entry.attributes.push(NeighbourAttribute::LinkLayerAddress(vec![2, 0, 0, 0, 0, mac]));
        entry
    }

    #[test]
    fn only_another_address_or_usability_is_told() {
        let mut neighbors = Neighbors::default();
        assert!(neighbors.put(entry(NeighbourState::Reachable, 1)).is_some());
        assert_eq!(neighbors.put(entry(NeighbourState::Stale, 1)), None);
        assert_eq!(neighbors.put(entry(NeighbourState::Probe, 1)), None);
        assert!(neighbors.put(entry(NeighbourState::Reachable, 2)).is_some());
        let failed = neighbors.put(entry(NeighbourState::Failed, 2));
        assert!(matches!(failed, Some(Change::Neighbor { mac: None, failed: true, .. })));
        assert_eq!(neighbors.remove(entry(NeighbourState::Failed, 2)), None);
    }

    #[test]
    fn a_cut_datagram_ends_the_reading() {
        let mut datagram = vec![20, 0, 0, 0, 24, 0];
        datagram.resize(20, 0);
        datagram.extend([200, 0, 0, 0, 24, 0, 0, 0]);
        let mut kinds = Vec::new();
        messages(&datagram, |kind, _| kinds.push(kind));
        assert_eq!(kinds, [RTM_NEWROUTE]);
    }
}
