//! A name server that knows one address for every name.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::netns::Netns;

/// Answers questions for IPv4 addresses over UDP and TCP, on port 53 of all addresses of a namespace (RFC 1035).
pub struct DnsServer {
    stop: Arc<AtomicBool>,
}

impl DnsServer {
    pub fn start(netns: &Netns, address: Ipv4Addr) -> Result<DnsServer> {
        let any = (Ipv6Addr::UNSPECIFIED, 53);
        let (udp, tcp) = netns.enter(|| (UdpSocket::bind(any), TcpListener::bind(any)))?;
        let (udp, tcp) =
            (udp.context("listen for UDP on port 53")?, tcp.context("listen for TCP on port 53")?);
        udp.set_read_timeout(Some(Duration::from_millis(50)))?;
        tcp.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        thread::spawn({
            let stop = stop.clone();
            move || {
                let mut question = [0u8; 512];
                while !stop.load(Ordering::SeqCst) {
                    if let Ok((length, from)) = udp.recv_from(&mut question)
                        && let Some(answer) = answer(&question[..length], address)
                    {
                        // Who asked and went away misses nothing.
                        let _ = udp.send_to(&answer, from);
                    }
                }
            }
        });
        thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::SeqCst) {
                    match tcp.accept() {
                        // A client that closes early ends its own exchange only.
                        Ok((stream, _)) => drop(converse(stream, address)),
                        Err(_) => thread::sleep(Duration::from_millis(10)),
                    }
                }
            }
        });
        Ok(DnsServer { stop })
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// One question and its answer, each after its length (RFC 1035, 4.2.2).
fn converse(mut stream: TcpStream, address: Ipv4Addr) -> std::io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    let mut length = [0u8; 2];
    stream.read_exact(&mut length)?;
    let mut question = vec![0u8; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut question)?;
    if let Some(answer) = answer(&question, address) {
        stream.write_all(&(answer.len() as u16).to_be_bytes())?;
        stream.write_all(&answer)?;
    }
    Ok(())
}

/// The question's id and text, and one record of a minute that points to its name.
fn answer(question: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let name = question.get(12..)?;
    let text = name.iter().position(|byte| *byte == 0)? + 5;
    let mut answer = question.get(..2)?.to_vec();
    answer.extend([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
    answer.extend(name.get(..text)?);
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
    answer.extend(address.octets());
    Some(answer)
}
