//! Frames by their fields: lengths and checksums are filled in unless a test breaks them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, SlicedPacket, TcpHeader, UdpHeader};
use router_common::csum;

pub type Mac = [u8; 6];

/// What follows the IP header.
#[derive(Clone, Debug)]
enum Body {
    Udp {
        source: u16,
        destination: u16,
        payload: usize,
    },
    Tcp {
        segment: Segment,
        payload: usize,
    },
    /// An ICMP or ICMPv6 message, whose checksum is filled in.
    Icmp {
        bytes: Vec<u8>,
    },
    Raw {
        protocol: u8,
        bytes: Vec<u8>,
    },
}

/// What a TCP header says; no options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Segment {
    pub source: u16,
    pub destination: u16,
    pub seq: u32,
    pub ack: u32,
    /// The flag byte: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
}

/// The window of segments that say none.
const WINDOW: u16 = 64000;

/// Source and destination.
#[derive(Clone, Copy, Debug)]
pub enum Ip {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

/// One frame, and the port that it comes in at.
#[derive(Clone, Debug)]
pub struct Frame {
    pub port: String,
    src: Mac,
    dst: Mac,
    ip: Ip,
    ttl: u8,
    tos: u8,
    dont_fragment: bool,
    more_fragments: bool,
    fragment_offset: u16,
    identification: u16,
    options: Vec<u8>,
    /// IPv6 extension headers as bytes; the first next-header value, then the headers, whose own values are given.
    extensions: Vec<(u8, Vec<u8>)>,
    body: Body,
    window: u16,
    ethertype: Option<u16>,
    bare: bool,
}

/// Begins a frame from `src` to `dst` at a port.
pub fn on(port: &str, src: Mac, dst: Mac) -> Frame {
    Frame {
        port: port.to_owned(),
        src,
        dst,
        ip: Ip::V4(Ipv4Addr::UNSPECIFIED, Ipv4Addr::UNSPECIFIED),
        ttl: 64,
        tos: 0,
        dont_fragment: false,
        more_fragments: false,
        fragment_offset: 0,
        identification: 0,
        options: Vec::new(),
        extensions: Vec::new(),
        window: WINDOW,
        body: Body::Udp { source: 40000, destination: 9, payload: 32 },
        ethertype: None,
        bare: false,
    }
}

impl Frame {
    /// Source and destination, both IPv4 or both IPv6.
    ///
    /// # Panics
    /// On anything else.
    pub fn ip(mut self, source: &str, destination: &str) -> Frame {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap_or_else(|_| panic!("not an address: {text}"));
        self.ip = match (parse(source), parse(destination)) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => Ip::V4(source, destination),
            (IpAddr::V6(source), IpAddr::V6(destination)) => Ip::V6(source, destination),
            _ => panic!("{source} and {destination} are of two families"),
        };
        self
    }
    pub fn macs(mut self, src: Mac, dst: Mac) -> Frame {
        (self.src, self.dst) = (src, dst);
        self
    }
    /// TTL or hop limit.
    pub fn ttl(mut self, ttl: u8) -> Frame {
        self.ttl = ttl;
        self
    }
    /// Type of service or traffic class.
    pub fn tos(mut self, tos: u8) -> Frame {
        self.tos = tos;
        self
    }
    pub fn dont_fragment(mut self) -> Frame {
        self.dont_fragment = true;
        self
    }
    /// An IPv4 fragment; the offset is in units of eight bytes.
    pub fn fragment(mut self, offset: u16, more: bool) -> Frame {
        (self.fragment_offset, self.more_fragments) = (offset, more);
        self
    }
    /// A fragment of the packet `id`; the offset is in units of eight bytes. With IPv6, behind what extension headers it
    /// has so far.
    pub fn part(mut self, id: u16, offset: u16, more: bool) -> Frame {
        if let Ip::V6(..) = self.ip {
            let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
            let [c, d] = id.to_be_bytes();
            return self.extension(44, &[0, 0, high, low, 0, 0, c, d]);
        }
        self.identification = id;
        self.fragment(offset, more)
    }
    /// IPv4 options; the length is a multiple of four.
    pub fn options(mut self, bytes: &[u8]) -> Frame {
        self.options = bytes.to_vec();
        self
    }
    /// Appends an IPv6 extension header: its number and its bytes, whose first is overwritten with the next number.
    pub fn extension(mut self, number: u8, bytes: &[u8]) -> Frame {
        self.extensions.push((number, bytes.to_vec()));
        self
    }
    pub fn udp(mut self, source: u16, destination: u16, payload: usize) -> Frame {
        self.body = Body::Udp { source, destination, payload };
        self
    }
    /// A TCP segment with `payload` bytes and a window of 64,000.
    pub fn tcp(mut self, segment: Segment, payload: usize) -> Frame {
        self.body = Body::Tcp { segment, payload };
        self
    }
    pub fn window(mut self, window: u16) -> Frame {
        self.window = window;
        self
    }
    /// An ICMP message: type, code, the four bytes behind the checksum, and what follows.
    pub fn icmp(mut self, kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Frame {
        let [a, b, c, d] = rest;
        self.body = Body::Icmp { bytes: [&[kind, code, 0, 0, a, b, c, d], payload].concat() };
        self
    }
    /// The packet without its Ethernet header, as an ICMP error quotes it.
    pub fn packet(&self) -> Vec<u8> {
        self.clone().bare().bytes()
    }
    pub fn raw(mut self, protocol: u8, bytes: &[u8]) -> Frame {
        self.body = Body::Raw { protocol, bytes: bytes.to_vec() };
        self
    }
    pub fn ethertype(mut self, ethertype: u16) -> Frame {
        self.ethertype = Some(ethertype);
        self
    }
    /// Without Ethernet header.
    pub fn bare(mut self) -> Frame {
        self.bare = true;
        self
    }

    fn body(&self) -> (u8, Vec<u8>) {
        match &self.body {
            Body::Raw { protocol, bytes } => (*protocol, bytes.clone()),
            Body::Tcp { segment, payload } => (6, self.segment(segment, *payload)),
            Body::Icmp { bytes } => {
                let mut bytes = bytes.clone();
                let (number, sum) = match self.ip {
                    Ip::V4(..) => (1, csum::sum(&bytes)),
                    Ip::V6(src, dst) => {
                        let pseudo =
                            csum::sum(&src.octets()) + csum::sum(&dst.octets()) + bytes.len() as u64 + 58;
                        (58, pseudo + csum::sum(&bytes))
                    }
                };
                bytes[2..4].copy_from_slice(&csum::finish(sum).to_be_bytes());
                (number, bytes)
            }
            Body::Udp { source, destination, payload } => {
                let payload: Vec<u8> = (0..*payload).map(|byte| byte as u8).collect();
                let header = match self.ip {
                    Ip::V4(src, dst) => {
                        let ip = Ipv4Header::new(0, 64, IpNumber::UDP, src.octets(), dst.octets())
                            .expect("fits a header");
                        UdpHeader::with_ipv4_checksum(*source, *destination, &ip, &payload)
                    }
                    Ip::V6(src, dst) => {
                        let ip = Ipv6Header {
                            source: src.octets(),
                            destination: dst.octets(),
                            ..Ipv6Header::default()
                        };
                        UdpHeader::with_ipv6_checksum(*source, *destination, &ip, &payload)
                    }
                };
                let mut bytes = header.expect("fits a datagram").to_bytes().to_vec();
                bytes.extend(payload);
                (17, bytes)
            }
        }
    }

    fn segment(&self, segment: &Segment, payload: usize) -> Vec<u8> {
        let payload: Vec<u8> = (0..payload).map(|byte| byte as u8).collect();
        let mut header = TcpHeader::new(segment.source, segment.destination, segment.seq, self.window);
        header.acknowledgment_number = segment.ack;
        let has = |bit: u8| segment.flags & bit != 0;
        (header.fin, header.syn, header.rst, header.psh, header.ack) =
            (has(1), has(2), has(4), has(8), has(16));
        let checksum = match self.ip {
            Ip::V4(src, dst) => header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), &payload),
            Ip::V6(src, dst) => header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), &payload),
        };
        header.checksum = checksum.expect("fits a segment");
        [header.to_bytes().as_slice(), &payload].concat()
    }

    /// The frame as it is on the wire.
    ///
    /// # Panics
    /// Where the fields don't fit their headers.
    pub fn bytes(&self) -> Vec<u8> {
        let (protocol, body) = self.body();
        let mut frame = Vec::new();
        if !self.bare {
            frame.extend(self.dst);
            frame.extend(self.src);
            let own = if matches!(self.ip, Ip::V4(..)) { 0x0800u16 } else { 0x86dd };
            frame.extend(self.ethertype.unwrap_or(own).to_be_bytes());
        }
        match self.ip {
            Ip::V4(src, dst) => {
                let mut header = Ipv4Header::new(
                    body.len() as u16,
                    self.ttl,
                    IpNumber(protocol),
                    src.octets(),
                    dst.octets(),
                )
                .expect("fits a header");
                header.dont_fragment = self.dont_fragment;
                header.identification = self.identification;
                header.more_fragments = self.more_fragments;
                header.fragment_offset = self.fragment_offset.try_into().expect("13 bits");
                header.dscp = (self.tos >> 2).try_into().expect("6 bits");
                header.ecn = (self.tos & 3).try_into().expect("2 bits");
                header.options = self.options.as_slice().try_into().expect("at most 40 bytes of options");
                header.total_len = (header.header_len() + body.len()) as u16;
                header.header_checksum = header.calc_header_checksum();
                frame.extend(header.to_bytes());
            }
            Ip::V6(src, dst) => {
                let mut extensions = Vec::new();
                for (index, (_, bytes)) in self.extensions.iter().enumerate() {
                    let next = self.extensions.get(index + 1).map_or(protocol, |(number, _)| *number);
                    extensions.push(next);
                    extensions.extend(bytes.iter().skip(1));
                }
                let header = Ipv6Header {
                    traffic_class: self.tos,
                    flow_label: Ipv6FlowLabel::ZERO,
                    payload_length: (extensions.len() + body.len()) as u16,
                    next_header: IpNumber(self.extensions.first().map_or(protocol, |(number, _)| *number)),
                    hop_limit: self.ttl,
                    source: src.octets(),
                    destination: dst.octets(),
                };
                frame.extend(header.to_bytes());
                frame.extend(extensions);
            }
        }
        frame.extend(body);
        frame
    }
}

/// A frame layer by layer, for the message of a failed comparison.
pub fn describe(frame: &[u8]) -> String {
    let hex = frame.iter().take(128).map(|byte| format!("{byte:02x}")).collect::<String>();
    match SlicedPacket::from_ethernet(frame) {
        Ok(packet) => format!(
            "{} bytes\n  link {:?}\n  net {:?}\n  transport {:?}\n  {hex}",
            frame.len(),
            packet.link,
            packet.net,
            packet.transport
        ),
        Err(error) => format!("{} bytes ({error})\n  {hex}", frame.len()),
    }
}
