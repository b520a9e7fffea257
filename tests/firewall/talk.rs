//! One connection of UDP, packet by packet.

use std::{
    cell::Cell,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use router_tests::support::Router;

/// How long a packet may take before it counts as dropped.
const LIMIT: Duration = Duration::from_millis(700);

/// From `a`, by the router, to `b`, who answers where it was asked from.
pub struct Talk {
    a: UdpSocket,
    b: UdpSocket,
    /// Whom `b` takes `a` for.
    peer: Cell<Option<SocketAddr>>,
    number: Cell<u32>,
}

impl Talk {
    pub fn new(router: &Router) -> Talk {
        let a = router.a().enter(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
        let b = router.b().enter(|| UdpSocket::bind("198.51.100.2:0")).unwrap().unwrap();
        a.connect(b.local_addr().unwrap()).unwrap();
        for socket in [&a, &b] {
            socket.set_read_timeout(Some(LIMIT)).unwrap();
        }
        Talk { a, b, peer: Cell::new(None), number: Cell::new(0) }
    }

    /// Whether a packet of `a` reaches `b`.
    pub fn passes(&self) -> bool {
        let number = self.next();
        // What came of an earlier packet, an error by ICMP, is not this one's.
        let _ = self.a.take_error();
        self.a.send(&number).unwrap();
        loop {
            let mut packet = [0; 64];
            match self.b.recv_from(&mut packet) {
                Ok((_, from)) if packet.starts_with(&number) => {
                    self.peer.set(Some(from));
                    return true;
                }
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// Whether a packet of `b` reaches `a`.
    pub fn is_answered(&self) -> bool {
        let number = self.next();
        self.b.send_to(&number, self.peer.get().expect("b has heard of a")).unwrap();
        loop {
            let mut packet = [0; 64];
            match self.a.recv(&mut packet) {
                Ok(_) if packet.starts_with(&number) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// The address that `b` sees.
    pub fn seen_as(&self) -> String {
        self.peer.get().map_or(String::new(), |peer| IpAddr::to_string(&peer.ip()))
    }

    fn next(&self) -> [u8; 4] {
        self.number.set(self.number.get() + 1);
        self.number.get().to_be_bytes()
    }
}
