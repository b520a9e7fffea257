//! Traffic with an answer to "was anything lost": numbered UDP, HTTP, ping.

use std::{
    collections::HashSet,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::netns::Netns;

/// How long a receiver waits for packets still under way.
const LINGER: Duration = Duration::from_millis(500);

/// What became of a [`UdpStream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    pub sent: u64,
    pub received: u64,
    pub duplicated: u64,
    /// Arrived after one with a higher number.
    pub reordered: u64,
    /// Longest time between two arrivals.
    pub longest_gap: Duration,
}

impl Delivery {
    pub fn lost(&self) -> u64 {
        self.sent - (self.received - self.duplicated)
    }
}

/// Numbered UDP packets from one namespace to another until it is stopped.
pub struct UdpStream {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    sender: JoinHandle<std::io::Result<()>>,
    receiver: JoinHandle<Delivery>,
}

impl UdpStream {
    /// Sends `rate` packets a second of `size` bytes (8 at least) from `from` to `target` in `to`; a tenth of them
    /// where the processor is emulated: a veth's ring has 256 places, and a machine that is ten times slower also
    /// stands still ten times longer.
    pub fn start(from: &Netns, to: &Netns, target: SocketAddr, rate: u32, size: usize) -> Result<UdpStream> {
        let rate = if crate::is_emulated() { rate.div_ceil(10) } else { rate };
        let any = SocketAddr::new(unspecified(target.ip()), 0);
        let input = to.enter(|| UdpSocket::bind(target))?.with_context(|| format!("listen on {target}"))?;
        // Room for what arrives while a busy machine keeps the receiver waiting.
        rustix::net::sockopt::set_socket_recv_buffer_size_force(&input, 16 << 20)?;
        input.set_read_timeout(Some(Duration::from_millis(50)))?;
        let output = from.enter(|| UdpSocket::bind(any))?.context("open the sender's socket")?;
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sender = thread::spawn({
            let (stop, sent) = (stop.clone(), sent.clone());
            move || send(&output, target, rate, size.max(8), &stop, &sent)
        });
        let receiver = thread::spawn({
            let (stop, sent) = (stop.clone(), sent.clone());
            move || receive(&input, &stop, &sent)
        });
        Ok(UdpStream { stop, sent, sender, receiver })
    }

    /// Packets sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Stops once at least that many packets were sent.
    pub fn stop_after(self, packets: u64) -> Result<Delivery> {
        while self.sent() < packets && !self.sender.is_finished() {
            thread::sleep(Duration::from_millis(10));
        }
        self.stop()
    }

    pub fn stop(self) -> Result<Delivery> {
        self.stop.store(true, Ordering::SeqCst);
        match self.sender.join() {
            Ok(result) => result.context("send")?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        match self.receiver.join() {
            Ok(delivery) => Ok(delivery),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

fn send(
    socket: &UdpSocket,
    target: SocketAddr,
    rate: u32,
    size: usize,
    stop: &AtomicBool,
    sent: &AtomicU64,
) -> std::io::Result<()> {
    let mut packet = vec![0u8; size];
    let begin = Instant::now();
    let mut number = 0u64;
    while !stop.load(Ordering::SeqCst) {
        let due = begin + Duration::from_secs(1).mul_f64(number as f64 / f64::from(rate));
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            thread::sleep(wait);
        }
        packet[..8].copy_from_slice(&number.to_be_bytes());
        match socket.send_to(&packet, target) {
            Ok(_) => {
                number += 1;
                sent.store(number, Ordering::SeqCst);
            }
            // An ICMP error for an earlier packet, or no route for a moment: this packet was not sent.
            Err(error) if is_passing(&error) => thread::sleep(Duration::from_millis(1)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_passing(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
    )
}

fn receive(socket: &UdpSocket, stop: &AtomicBool, sent: &AtomicU64) -> Delivery {
    let mut seen = HashSet::new();
    let (mut delivery, mut highest) = (Delivery::default(), None);
    let mut last = None::<Instant>;
    let mut stopped = None::<Instant>;
    let mut packet = [0u8; 65536];
    loop {
        match socket.recv(&mut packet) {
            Ok(length) if length >= 8 => {
                let mut number = [0u8; 8];
                number.copy_from_slice(&packet[..8]);
                let number = u64::from_be_bytes(number);
                let now = Instant::now();
                delivery.received += 1;
                delivery.duplicated += u64::from(!seen.insert(number));
                delivery.reordered += u64::from(highest.is_some_and(|highest| number < highest));
                delivery.longest_gap = delivery.longest_gap.max(last.map_or(Duration::ZERO, |at| now - at));
                highest = highest.max(Some(number));
                last = Some(now);
            }
            Ok(_) | Err(_) => {}
        }
        if stop.load(Ordering::SeqCst) {
            delivery.sent = sent.load(Ordering::SeqCst);
            let since = *stopped.get_or_insert_with(Instant::now);
            let quiet = last.is_none_or(|at| at.elapsed() > LINGER) && since.elapsed() > LINGER;
            if quiet || seen.len() as u64 >= delivery.sent && since.elapsed() > Duration::from_millis(50) {
                return delivery;
            }
        }
    }
}

pub(crate) fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => IpAddr::from([0, 0, 0, 0]),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// A web server for one fixed document, over IPv4 and IPv6.
pub struct HttpServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Serves a document of `size` bytes on `port` of all addresses of the namespace.
    pub fn start(netns: &Netns, port: u16, size: usize) -> Result<HttpServer> {
        let listener = netns
            .enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)))?
            .with_context(|| format!("listen on port {port} of {}", netns.name()))?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = stop.clone();
            move || {
                while !stop.load(Ordering::SeqCst) {
                    match listener.accept() {
                        Ok((stream, _)) => drop(thread::spawn(move || answer(stream, size))),
                        Err(_) => thread::sleep(Duration::from_millis(10)),
                    }
                }
            }
        });
        Ok(HttpServer { stop, thread: Some(thread) })
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic of the server's thread ends the wait, which is all there is to do.
            let _ = thread.join();
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn answer(mut stream: TcpStream, size: usize) {
    let serve = |stream: &mut TcpStream| -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut request = Vec::new();
        let mut part = [0u8; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < 16384 {
            match stream.read(&mut part)? {
                0 => break,
                length => request.extend_from_slice(&part[..length]),
            }
        }
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n")?;
        stream.write_all(b"Connection: close\r\n\r\n")?;
        stream.write_all(&document(size))
    };
    // The client went away; the next one matters.
    let _ = serve(&mut stream);
}

fn document(size: usize) -> Vec<u8> {
    (0..size).map(|at| b"routerd\n"[at % 8]).collect()
}

/// Fetches the document of an [`HttpServer`] and compares it byte for byte; gives its size.
pub fn http_get(netns: &Netns, server: SocketAddr, timeout: Duration) -> Result<usize> {
    let stream = netns.enter(|| TcpStream::connect_timeout(&server, timeout))?;
    let mut stream = stream.with_context(|| format!("connect to {server}"))?;
    stream.set_read_timeout(Some(timeout))?;
    write!(stream, "GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).with_context(|| format!("read from {server}"))?;
    let Some(head) = reply.windows(4).position(|end| end == b"\r\n\r\n") else {
        bail!("{server} sent no HTTP answer");
    };
    let body = &reply[head + 4..];
    if !reply.starts_with(b"HTTP/1.1 200") || body.is_empty() || body != document(body.len()) {
        bail!("{server} sent {} bytes that are not the document", body.len());
    }
    Ok(body.len())
}

/// `ping` with further options; gives (sent, received). Zero answers are a result, not an error.
pub fn ping(netns: &Netns, target: IpAddr, options: &str) -> Result<(u32, u32)> {
    let mut ping = netns.command("ping");
    ping.arg("-n").args(options.split_whitespace()).arg(target.to_string());
    let out = ping.stdin(std::process::Stdio::null()).output().context("start ping")?;
    let text = String::from_utf8_lossy(&out.stdout);
    let count = |word: &str| -> Option<u32> {
        let line = text.lines().find(|line| line.contains("packets transmitted"))?;
        line.split(", ").find(|part| part.contains(word))?.split(' ').next()?.parse().ok()
    };
    match (count("transmitted"), count("received")) {
        (Some(sent), Some(received)) => Ok((sent, received)),
        _ => bail!("ping {target}: {}", String::from_utf8_lossy(&out.stderr).trim()),
    }
}
