//! What scripts ask of the world in more than one word: echo requests, transfers.

use std::net::IpAddr;
use std::time::Duration;

/// `/ping`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    pub address: IpAddr,
    pub count: u32,
    /// Of the IP packet.
    pub size_bytes: u16,
    pub interval: Duration,
    pub interface: Option<String>,
    pub src_address: Option<IpAddr>,
    pub ttl: Option<u8>,
}

/// What came of one echo request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Who answered, also that the address can't be reached.
    pub from: Option<IpAddr>,
    pub size_bytes: u16,
    pub ttl: u8,
    /// None: no answer in time, or another than the wanted one.
    pub time: Option<Duration>,
    /// `timeout`, `host unreachable`; empty for an answer.
    pub status: String,
}

/// `/tool fetch` with HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub url: String,
    /// `GET`
    pub method: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub user: Option<(String, String)>,
    /// Whether a server has to show a certificate that is trusted.
    pub check_certificate: bool,
    /// Without a byte.
    pub idle_timeout: Duration,
    pub max_redirects: u32,
}

/// What a server answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}
