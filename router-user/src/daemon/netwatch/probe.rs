//! One test of a host.

use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use config::script::{Echo, Fetch, Ping};

use super::watch::{Kind, Watch};
use crate::daemon::{fetch, ping};

/// Whether the host is well, and what was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    pub up: bool,
    pub measured: Vec<(&'static str, String)>,
}

pub fn run(watch: &Watch) -> Outcome {
    match watch.kind {
        Kind::Simple => simple(watch),
        Kind::Icmp => icmp(watch),
        Kind::TcpConn => tcp(watch),
        Kind::HttpGet => http(watch, "http", 80),
        Kind::HttpsGet => http(watch, "https", 443),
        Kind::Dns => Outcome { up: address(&watch.host).is_some(), measured: Vec::new() },
    }
}

/// The address of a host, of version 4 where it has both.
fn address(host: &str) -> Option<IpAddr> {
    if let Ok(address) = host.parse() {
        return Some(address);
    }
    let mut found: Vec<IpAddr> = (host, 0).to_socket_addrs().ok()?.map(|address| address.ip()).collect();
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied()
}

fn echoes(watch: &Watch, count: u32, interval: Duration) -> Vec<Echo> {
    let Some(address) = address(&watch.host) else { return Vec::new() };
    let ping = Ping {
        address,
        count,
        size_bytes: watch.packet_size,
        interval,
        interface: None,
        src_address: watch.src_address,
        ttl: Some(watch.ttl),
    };
    ping::run_with(&ping, None, watch.timeout).unwrap_or_default()
}

fn simple(watch: &Watch) -> Outcome {
    let up = echoes(watch, 1, Duration::ZERO).iter().any(|echo| echo.time.is_some());
    Outcome { up, measured: Vec::new() }
}

fn icmp(watch: &Watch) -> Outcome {
    let echoes = echoes(watch, watch.packet_count, watch.packet_interval);
    judged(watch, &echoes)
}

/// The thresholds of `type=icmp`.
fn judged(watch: &Watch, echoes: &[Echo]) -> Outcome {
    let times: Vec<Duration> = echoes.iter().filter_map(|echo| echo.time).collect();
    let (sent, received) = (echoes.len(), times.len());
    let lost = sent - received;
    let percent = if sent == 0 { 100.0 } else { lost as f64 * 100.0 / sent as f64 };
    let count = u32::try_from(received).unwrap_or(u32::MAX).max(1);
    let average = times.iter().sum::<Duration>() / count;
    let least = times.iter().min().copied().unwrap_or_default();
    let most = times.iter().max().copied().unwrap_or_default();
    let jitter = most.saturating_sub(least);
    let square = |time: &Duration| (time.as_secs_f64() - average.as_secs_f64()).powi(2);
    let deviation = (times.iter().map(square).sum::<f64>() / f64::from(count)).sqrt();
    let up = received > 0
        && most <= watch.thr_max
        && average <= watch.thr_avg
        && deviation <= watch.thr_stdev.as_secs_f64()
        && jitter <= watch.thr_jitter
        && percent <= watch.thr_loss_percent
        && u64::try_from(lost).is_ok_and(|lost| lost <= watch.thr_loss_count);
    let measured = vec![
        ("sent-count", sent.to_string()),
        ("response-count", received.to_string()),
        ("loss-count", lost.to_string()),
        ("loss-percent", format!("{percent:.0}")),
        ("rtt-avg", text(average)),
        ("rtt-min", text(least)),
        ("rtt-max", text(most)),
        ("rtt-jitter", text(jitter)),
        ("rtt-stdev", text(Duration::try_from_secs_f64(deviation).unwrap_or_default())),
    ];
    Outcome { up, measured }
}

fn tcp(watch: &Watch) -> Outcome {
    let Some(address) = address(&watch.host) else { return Outcome::default() };
    let place = SocketAddr::new(address, watch.port.unwrap_or(80));
    let begin = Instant::now();
    let up = TcpStream::connect_timeout(&place, watch.timeout.min(watch.thr_tcp_conn_time)).is_ok();
    Outcome { up, measured: vec![("tcp-connect-time", text(begin.elapsed()))] }
}

fn http(watch: &Watch, scheme: &str, port: u16) -> Outcome {
    let host = if watch.host.contains(':') { format!("[{}]", watch.host) } else { watch.host.clone() };
    let request = Fetch {
        url: format!("{scheme}://{host}:{}/", watch.port.unwrap_or(port)),
        method: "GET".into(),
        headers: Vec::new(),
        body: Vec::new(),
        user: None,
        check_certificate: watch.check_certificate,
        idle_timeout: watch.timeout,
        max_redirects: 0,
    };
    let begin = Instant::now();
    let Ok(fetched) = fetch::run(&request) else { return Outcome::default() };
    let time = begin.elapsed();
    let good = match watch.http_codes.as_slice() {
        [] => (100..300).contains(&fetched.status),
        codes => codes.iter().any(|(first, last)| (first..=last).contains(&&fetched.status)),
    };
    Outcome {
        up: good && time <= watch.thr_http_time,
        measured: vec![("http-status-code", fetched.status.to_string()), ("http-resp-time", text(time))],
    }
}

/// `1ms500us`
fn text(time: Duration) -> String {
    let micros = time.as_micros();
    match (micros / 1000, micros % 1000) {
        (0, us) => format!("{us}us"),
        (ms, 0) => format!("{ms}ms"),
        (ms, us) => format!("{ms}ms{us}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn echo(ms: Option<u64>) -> Echo {
        let from = ms.map(|_| IpAddr::from([192, 0, 2, 1]));
        Echo { from, size_bytes: 54, ttl: 64, time: ms.map(Duration::from_millis), status: String::new() }
    }

    fn watch(more: &str) -> Watch {
        let text = format!("/tool netwatch add host=127.0.0.1 type=icmp {more}");
        let tree = config::import(&config::Tree::new(), &text).unwrap().tree;
        Watch::of(tree.items("tool/netwatch").next().unwrap())
    }

    #[test]
    fn thresholds_decide() {
        let good = [echo(Some(2)), echo(Some(4))];
        let up = |more: &str, echoes: &[Echo]| judged(&watch(more), echoes).up;
        assert!(up("", &good));
        assert!(!up("", &[]) && !up("", &[echo(None)]));
        assert!(!up("thr-avg=2ms", &good) && !up("thr-max=3ms", &good) && !up("thr-jitter=1ms", &good));
        let half = [echo(Some(2)), echo(None)];
        assert!(up("", &half) && !up("thr-loss-percent=40", &half) && !up("thr-loss-count=0", &half));
        let measured = judged(&watch(""), &half).measured;
        assert!(measured.contains(&("loss-percent", "50".into())), "{measured:?}");
        assert!(measured.contains(&("rtt-avg", "2ms".into())), "{measured:?}");
    }

    #[test]
    fn a_port_that_nobody_listens_on_is_down() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let of = |watch: &Watch| tcp(watch).up;
        let watched = watch(&format!("port={port}"));
        assert!(of(&watched));
        drop(listener);
        assert!(!of(&watched));
    }
}
