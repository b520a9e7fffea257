//! An entry of `/tool netwatch`, with RouterOS's values where it says nothing.

use std::net::IpAddr;
use std::time::Duration;

use config::{Item, Value};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Simple,
    Icmp,
    TcpConn,
    HttpGet,
    HttpsGet,
    Dns,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    pub name: String,
    pub comment: String,
    pub host: String,
    pub kind: Kind,
    pub src_address: Option<IpAddr>,
    pub interval: Duration,
    pub timeout: Duration,
    pub start_delay: Duration,
    pub startup_delay: Duration,
    pub ignore_initial_up: bool,
    pub ignore_initial_down: bool,
    pub up_script: String,
    pub down_script: String,
    pub test_script: String,
    pub packet_count: u32,
    pub packet_interval: Duration,
    pub packet_size: u16,
    pub ttl: u8,
    pub thr_max: Duration,
    pub thr_avg: Duration,
    pub thr_stdev: Duration,
    pub thr_jitter: Duration,
    pub thr_loss_percent: f64,
    pub thr_loss_count: u64,
    pub thr_tcp_conn_time: Duration,
    pub thr_http_time: Duration,
    pub port: Option<u16>,
    pub check_certificate: bool,
    /// First and last of each range; none: 100 to 299.
    pub http_codes: Vec<(u16, u16)>,
}

/// A host is not tested more often.
const SHORTEST: Duration = Duration::from_millis(100);

impl Watch {
    pub fn of(item: &Item) -> Watch {
        let text = |name: &str| item.text(name).unwrap_or_default();
        let yes = |name: &str| item.effective(name) == Some(&Value::Bool(true));
        let time = |name: &str, default_ms: u64| match item.effective(name) {
            Some(Value::Time(ms)) => Duration::from_millis(*ms),
            _ => Duration::from_millis(default_ms),
        };
        let number = |name: &str, default: u64| text(name).parse().unwrap_or(default);
        Watch {
            name: text("name"),
            comment: text("comment"),
            host: text("host"),
            kind: match text("type").as_str() {
                "icmp" => Kind::Icmp,
                "tcp-conn" => Kind::TcpConn,
                "http-get" => Kind::HttpGet,
                "https-get" => Kind::HttpsGet,
                "dns" => Kind::Dns,
                _ => Kind::Simple,
            },
            src_address: text("src-address").parse().ok(),
            interval: time("interval", 10_000).max(SHORTEST),
            timeout: time("timeout", 3_000).max(SHORTEST),
            start_delay: time("start-delay", 3_000),
            startup_delay: time("startup-delay", 0),
            ignore_initial_up: yes("ignore-initial-up"),
            ignore_initial_down: yes("ignore-initial-down"),
            up_script: text("up-script"),
            down_script: text("down-script"),
            test_script: text("test-script"),
            packet_count: u32::try_from(number("packet-count", 10).clamp(1, 100)).unwrap_or(10),
            packet_interval: time("packet-interval", 50),
            packet_size: u16::try_from(number("packet-size", 54)).unwrap_or(54),
            ttl: u8::try_from(number("ttl", 255).max(1)).unwrap_or(255),
            thr_max: time("thr-max", 1_000),
            thr_avg: time("thr-avg", 100),
            thr_stdev: time("thr-stdev", 250),
            thr_jitter: time("thr-jitter", 1_000),
            thr_loss_percent: text("thr-loss-percent").trim_end_matches('%').parse().unwrap_or(85.0),
            thr_loss_count: number("thr-loss-count", u64::MAX),
            thr_tcp_conn_time: time("thr-tcp-conn-time", 30_000),
            thr_http_time: time("thr-http-time", 10_000),
            port: text("port").parse().ok(),
            check_certificate: yes("check-certificate"),
            http_codes: text("http-codes").split(',').filter_map(codes).collect(),
        }
    }

    /// What its scripts are told of the entry itself.
    pub fn told(&self) -> [(&'static str, String); 6] {
        let seconds = |time: Duration| format!("{}ms", time.as_millis());
        let kind = match self.kind {
            Kind::Simple => "simple",
            Kind::Icmp => "icmp",
            Kind::TcpConn => "tcp-conn",
            Kind::HttpGet => "http-get",
            Kind::HttpsGet => "https-get",
            Kind::Dns => "dns",
        };
        [
            ("name", self.name.clone()),
            ("comment", self.comment.clone()),
            ("host", self.host.clone()),
            ("type", kind.to_owned()),
            ("interval", seconds(self.interval)),
            ("timeout", seconds(self.timeout)),
        ]
    }
}

fn codes(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_the_defaults_of_routeros() {
        let text = "/tool netwatch add host=192.0.2.1 type=icmp timeout=500ms http-codes=200,300-302 thr-loss-percent=50";
        let tree = config::import(&config::Tree::new(), text).unwrap().tree;
        let watch = Watch::of(tree.items("tool/netwatch").next().unwrap());
        assert_eq!((watch.kind, watch.packet_count), (Kind::Icmp, 10));
        assert_eq!((watch.interval.as_secs(), watch.timeout.as_millis()), (10, 500));
        assert_eq!(watch.http_codes, [(200, 200), (300, 302)]);
        assert!((watch.thr_loss_percent - 50.0).abs() < 0.01);
    }
}
