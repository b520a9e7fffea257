//! `:resolve`: the host's resolver, or one question to a server that the script names.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};

const PORT: u16 = 53;
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 3;
const NO_NAME: &str = "failure: dns name does not exist";

/// An address of a name, of version 4 where it has both.
pub fn run(name: &str, server: Option<&str>) -> Result<IpAddr, String> {
    let Some(server) = server else { return by_host(name) };
    let invalid = || format!("invalid value for argument server: {server}");
    let server = server
        .parse::<IpAddr>()
        .map(|address| SocketAddr::new(address, PORT))
        .or_else(|_| server.parse::<SocketAddr>())
        .map_err(|_| invalid())?;
    match ask(server, name, RecordType::A)? {
        Some(address) => Ok(address),
        None => ask(server, name, RecordType::AAAA)?.ok_or_else(|| NO_NAME.to_owned()),
    }
}

/// All addresses of a name in one family, and how long they hold. A name of one label is the host's own matter.
pub fn all(name: &str, v6: bool) -> Result<(Vec<IpAddr>, Duration), String> {
    let servers = if name.trim_end_matches('.').contains('.') { servers() } else { Vec::new() };
    all_of(&servers, name, v6)
}

/// As [`all`], from the first of these servers that answers, else from the host's resolver.
fn all_of(servers: &[SocketAddr], name: &str, v6: bool) -> Result<(Vec<IpAddr>, Duration), String> {
    /// The host's resolver does not tell how long an answer holds.
    const UNTOLD: Duration = Duration::from_secs(60);
    let kind = if v6 { RecordType::AAAA } else { RecordType::A };
    for server in servers {
        let Ok(answer) = question(*server, name, kind) else { continue };
        let records: Vec<_> = answered(&answer)?.collect();
        let ttl_s = records.iter().map(|(_, ttl_s)| *ttl_s).min();
        let addresses = records.into_iter().map(|(address, _)| address);
        let addresses: Vec<IpAddr> = addresses.filter(|address| address.is_ipv6() == v6).collect();
        return match ttl_s {
            Some(ttl_s) if !addresses.is_empty() => Ok((addresses, Duration::from_secs(ttl_s.into()))),
            _ => Err(NO_NAME.into()),
        };
    }
    let found = (name, 0).to_socket_addrs().map_err(|_| NO_NAME)?.map(|address| address.ip());
    let found: Vec<IpAddr> = found.filter(|address| address.is_ipv6() == v6).collect();
    if found.is_empty() { Err(NO_NAME.into()) } else { Ok((found, UNTOLD)) }
}

/// The servers that the host asks: resolv.conf(5).
fn servers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let addresses = text.lines().filter_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok());
    addresses.map(|address| SocketAddr::new(address, PORT)).collect()
}

fn by_host(name: &str) -> Result<IpAddr, String> {
    let found = (name, 0).to_socket_addrs().map_err(|_| NO_NAME)?;
    let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied().ok_or_else(|| NO_NAME.to_owned())
}

/// None where the name has no such address.
fn ask(server: SocketAddr, name: &str, kind: RecordType) -> Result<Option<IpAddr>, String> {
    let answer = question(server, name, kind)?;
    Ok(answered(&answer)?.next().map(|(address, _)| address))
}

fn question(server: SocketAddr, name: &str, kind: RecordType) -> Result<Message, String> {
    let name =
        Name::from_str(name).map_err(|_| NO_NAME)?.append_domain(&Name::root()).map_err(|_| NO_NAME)?;
    let query = Query::query(name, kind);
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(query.clone());
    let bytes = message.to_vec().map_err(|error| format!("failure: {error}"))?;
    for _ in 0..ATTEMPTS {
        let answer = exchange(server, &bytes, message.metadata.id, &query);
        if let Some(answer) = answer.map_err(|error| format!("failure: dns server failure: {error}"))? {
            return Ok(answer);
        }
    }
    Err("failure: dns server timeout".into())
}

/// One question; None where no answer to it came in time.
fn exchange(server: SocketAddr, bytes: &[u8], id: u16, query: &Query) -> io::Result<Option<Message>> {
    let any: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0u8; 16].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.send(bytes)?;
    let mut buffer = [0; 4096];
    loop {
        let length = match socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let Ok(answer) = Message::from_vec(buffer.get(..length).unwrap_or_default()) else { continue };
        let is_ours = answer.metadata.id == id
            && answer.metadata.message_type == MessageType::Response
            && answer.queries.iter().all(|asked| asked == query);
        if is_ours {
            return Ok(Some(answer));
        }
    }
}

/// Addresses, and the seconds that each holds.
fn answered(answer: &Message) -> Result<impl Iterator<Item = (IpAddr, u32)>, String> {
    match answer.metadata.response_code {
        ResponseCode::NoError => {}
        ResponseCode::NXDomain => return Err(NO_NAME.into()),
        _ => return Err("failure: dns server failure".into()),
    }
    Ok(answer.answers.iter().filter_map(|record| match &record.data {
        RData::A(address) => Some((IpAddr::V4(address.0), record.ttl)),
        RData::AAAA(address) => Some((IpAddr::V6(address.0), record.ttl)),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use hickory_proto::rr::Record;
    use hickory_proto::rr::rdata::AAAA;

    use super::*;

    /// A server that knows `six.example` alone, with an address of version 6.
    fn serve(questions: usize) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let place = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            for _ in 0..questions {
                let mut buffer = [0; 512];
                let (length, from) = socket.recv_from(&mut buffer).unwrap();
                let mut message = Message::from_vec(&buffer[..length]).unwrap();
                let query = message.queries[0].clone();
                message.metadata.message_type = MessageType::Response;
                if query.name().to_ascii() != "six.example." {
                    message.metadata.response_code = ResponseCode::NXDomain;
                } else if query.query_type() == RecordType::AAAA {
                    let data = RData::AAAA(AAAA(Ipv6Addr::LOCALHOST));
                    message.answers.push(Record::from_rdata(query.name().clone(), 60, data));
                }
                let other =
                    Message::new(message.metadata.id ^ 1, MessageType::Response, message.metadata.op_code);
                socket.send_to(&other.to_vec().unwrap(), from).unwrap();
                socket.send_to(&message.to_vec().unwrap(), from).unwrap();
            }
        });
        place
    }

    #[test]
    fn all_addresses_of_a_family_come_with_their_life() {
        let servers = [serve(3)];
        let found = all_of(&servers, "six.example", true);
        assert_eq!(found, Ok((vec![IpAddr::V6(Ipv6Addr::LOCALHOST)], Duration::from_secs(60))));
        assert_eq!(all_of(&servers, "six.example", false), Err(NO_NAME.into()));
        assert_eq!(all_of(&servers, "seven.example", true), Err(NO_NAME.into()));
    }

    #[test]
    fn a_named_server_is_asked() {
        let server = serve(3).to_string();
        assert_eq!(run("six.example", Some(&server)), Ok(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        assert_eq!(run("seven.example", Some(&server)), Err(NO_NAME.into()));
        assert!(run("six.example", Some("nowhere")).unwrap_err().starts_with("invalid value"));
    }
}
