//! Later fragments that came before their first: taken from the programs, and given back to them.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use aya::maps::{HashMap, MapData, MapError, RingBuf};
use router_common::maps::fragment::{FRAGMENTS, First, FragmentKey, HELD, Held};
use router_common::wire::eth;
use socket2::{Domain, SockAddr, SockAddrStorage, Socket, Type};

use crate::Error;
use crate::mapped::{as_bytes, from_bytes};
use crate::maps::typed;
use crate::pin::Pins;

type KeyBytes = [u8; size_of::<FragmentKey>()];
type FirstBytes = [u8; size_of::<First>()];

/// A fragment whose first has not been seen, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldFragment {
    pub about: Held,
    pub frame: Vec<u8>,
}

/// The ring of early fragments, and the way back. There is one reader.
pub struct Fragments {
    ring: RingBuf<MapData>,
    firsts: HashMap<MapData, KeyBytes, FirstBytes>,
    socket: Socket,
}

impl Fragments {
    pub fn open(pins: &Pins) -> Result<Fragments, Error> {
        let io = |source| Error::Io { action: "open", path: "a packet socket".into(), source };
        // Protocol 0: it sends, and receives nothing.
        let socket = Socket::new(Domain::PACKET, Type::RAW, None).map_err(io)?;
        socket.set_nonblocking(true).map_err(io)?;
        Ok(Fragments { ring: typed(pins, HELD)?, firsts: typed(pins, FRAGMENTS)?, socket })
    }

    /// The next early fragment; None until there is one. The file descriptor tells when.
    pub fn take(&mut self) -> Option<HeldFragment> {
        loop {
            let item = self.ring.next()?;
            let (about, frame) = item.split_at_checked(size_of::<Held>())?;
            if let Some(about) = from_bytes::<Held>(about)
                && let Some(frame) = frame.get(..about.length_bytes as usize)
            {
                return Some(HeldFragment { about, frame: frame.to_vec() });
            }
        }
    }

    /// Whether it is known what became of the first one.
    pub fn is_decided(&self, key: &FragmentKey) -> Result<bool, Error> {
        let mut bytes: KeyBytes = [0; size_of::<FragmentKey>()];
        bytes.copy_from_slice(as_bytes(key));
        match self.firsts.get(&bytes, 0) {
            Ok(_) => Ok(true),
            Err(MapError::KeyNotFound) => Ok(false),
            Err(error) => Err(Error::map(FRAGMENTS)(error)),
        }
    }

    /// Has the port's programs decide of the fragment, for good this time: its mark turns it round at tc egress.
    pub fn give_back(&self, fragment: &HeldFragment) -> io::Result<()> {
        let Held { key, mark, .. } = fragment.about;
        self.socket.set_mark(mark)?;
        let to = link_address(key.port, if key.family == 4 { eth::IPV4 } else { eth::IPV6 });
        self.socket.send_to(&fragment.frame, &to).map(|_| ())
    }
}

impl AsRawFd for Fragments {
    fn as_raw_fd(&self) -> RawFd {
        self.ring.as_raw_fd()
    }
}

/// `struct sockaddr_ll` (packet(7)).
#[repr(C)]
struct LinkAddress {
    family: u16,
    protocol_be: [u8; 2],
    ifindex: u32,
    hardware_type: u16,
    packet_type: u8,
    address_bytes: u8,
    address: [u8; 8],
}

fn link_address(ifindex: u32, protocol: u16) -> SockAddr {
    const AF_PACKET: u16 = 17;
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: a plain struct of integers, of the layout that the kernel knows, smaller than the storage.
    unsafe {
        let link: &mut LinkAddress = storage.view_as();
        (link.family, link.protocol_be, link.ifindex) = (AF_PACKET, protocol.to_be_bytes(), ifindex);
        SockAddr::new(storage, size_of::<LinkAddress>() as u32)
    }
}
