//! A world for a script that is only tried: everything outside works, nothing happens.

use std::net::IpAddr;
use std::time::Duration;

use super::Script;
use super::host::{Host, Nowhere};
use super::world::{Echo, Fetch, Fetched, Ping};
use crate::print::{Row, Rows};
use crate::tree::Item;

#[derive(Debug, Default)]
pub(crate) struct Rehearsal(Nowhere);

impl Host for Rehearsal {
    fn now(&mut self) -> Duration {
        self.0.now()
    }

    fn delay(&mut self, time: Duration) -> Result<(), String> {
        self.0.delay(time)
    }

    fn rests(&self) -> bool {
        false
    }

    fn log(&mut self, _severity: &str, _text: &str) {}

    fn resolve(&mut self, _name: &str, _server: Option<&str>) -> Result<IpAddr, String> {
        Ok(IpAddr::from([192, 0, 2, 1]))
    }

    fn execute(&mut self, _script: Script) -> Result<u32, String> {
        Ok(1)
    }

    fn random(&mut self) -> u64 {
        self.0.random()
    }

    fn ping(&mut self, ping: &Ping) -> Result<Vec<Echo>, String> {
        let echo = Echo {
            from: Some(ping.address),
            size_bytes: ping.size_bytes,
            ttl: 64,
            time: Some(Duration::from_millis(1)),
            status: String::new(),
        };
        Ok(vec![echo; usize::try_from(ping.count).unwrap_or(1)])
    }

    fn fetch(&mut self, _fetch: &Fetch) -> Result<Fetched, String> {
        Ok(Fetched { status: 200, ..Fetched::default() })
    }

    fn read_file(&mut self, _name: &str) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    fn write_file(&mut self, _name: &str, _content: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn step(&mut self, _word: &str) -> Result<String, String> {
        Ok(String::new())
    }
}

/// What every router knows of itself, with values as they could be.
pub(crate) struct Known;

impl Rows for Known {
    fn rows(&self, _menu: &str) -> Vec<Row> {
        Vec::new()
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        let known: &[(&str, &str)] = match item.menu().path.as_str() {
            "system/clock" => &[("date", "2026-01-01"), ("time", "12:00:00")],
            "system/resource" => &[
                ("uptime", "1d2h3m4s"),
                ("version", "7.22.1 (stable)"),
                ("cpu-load", "1"),
                ("cpu-count", "2"),
                ("free-memory", "536870912"),
                ("total-memory", "1073741824"),
                ("architecture-name", "x86_64"),
                ("board-name", "x86"),
                ("platform", "router"),
            ],
            _ => &[],
        };
        known.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }
}
