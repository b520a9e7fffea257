//! Commands that reach other hosts: `/ping` and `/tool fetch`.

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::array::Array;
use super::convert;
use super::run::{Flow, Stop, missing, nanoseconds};
use super::value::{Value, count, to_bytes};
use super::world::{Echo, Fetch, Ping};
use crate::ast;
use crate::error::Span;
use crate::exec::Session;
use crate::parser::into_text;

/// Echo requests where no number is given: nobody could end an endless `/ping` of a script.
const PINGS: i64 = 4;
const MAX_PINGS: i64 = 1000;
/// Of a whole IP packet, as RouterOS has it.
const PING_BYTES: i64 = 56;
const MAX_REDIRECTS: i64 = 10;
/// What a variable can hold of an answer.
const MAX_DATA: usize = 4 << 20;

impl Session<'_> {
    /// Sends echo requests and shows the answers; its value is how many came.
    pub(super) fn ping(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        // Said, not ignored: the answer would be that of another question.
        for name in ["arp-ping", "do-not-fragment", "dscp", "routing-table", "vrf"] {
            if command.arg(name).is_some() {
                return Err(Stop::new(span, format!("failure: {name} is not built yet")));
            }
        }
        let address = self.argument(command, "address")?.ok_or_else(|| missing(span, "address"))?;
        let address = self.address(&address, span)?;
        let src_address = match self.argument(command, "src-address")? {
            Some(text) => Some(self.address(&text, span)?),
            None => None,
        };
        let ping = Ping {
            address,
            count: self.within(command, "count", PINGS, (1, MAX_PINGS), span)?,
            size_bytes: self.within(command, "size", PING_BYTES, (28, 65_535), span)?,
            interval: self.duration(command, "interval", Duration::from_secs(1), span)?,
            interface: self.argument(command, "interface")?.map(|name| name.to_text()),
            src_address,
            ttl: match command.arg("ttl") {
                Some(_) => Some(self.within(command, "ttl", 64, (1, 255), span)?),
                None => None,
            },
        };
        let echoes = self.script.host.ping(&ping).map_err(|message| self.ended(message, span))?;
        self.script.rested_outside();
        if self.inside == 0 {
            let table = echo_table(&ping, &echoes);
            self.print(&table, span)?;
        }
        let received = echoes.iter().filter(|echo| echo.time.is_some()).count();
        if command.arg("as-value").is_some() {
            return Ok(Value::list(echoes.iter().zip(0..).map(|(echo, n)| echo_value(&ping, n, echo))));
        }
        Ok(count(received))
    }

    fn address(&mut self, value: &Value, span: Span) -> Flow<IpAddr> {
        let text = value.to_text();
        match text.parse() {
            Ok(address) => Ok(address),
            Err(_) if text.is_empty() => Err(missing(span, "address")),
            Err(_) => self.script.host.resolve(&text, None).map_err(|message| Stop::new(span, message)),
        }
    }

    /// A number of an argument between bounds.
    fn within<N: TryFrom<i64>>(
        &mut self,
        command: &ast::Command,
        name: &str,
        default: i64,
        (least, most): (i64, i64),
        span: Span,
    ) -> Flow<N> {
        let number = self.number(command, name, span)?.unwrap_or(default);
        let out = || Stop::new(span, format!("value of {name} out of range ({least}..{most})"));
        if !(least..=most).contains(&number) {
            return Err(out());
        }
        N::try_from(number).map_err(|_| out())
    }

    fn duration(
        &mut self,
        command: &ast::Command,
        name: &str,
        default: Duration,
        span: Span,
    ) -> Flow<Duration> {
        match self.argument(command, name)?.map(|value| convert::to_time(&value)) {
            None => Ok(default),
            Some(Value::Time(ns)) => Ok(Duration::from_nanos(u64::try_from(ns).unwrap_or(0))),
            Some(_) => {
                Err(Stop::new(span, format!("invalid value for argument {name}: time interval required")))
            }
        }
    }

    /// An error of the host; one that ends the script ends it.
    fn ended(&mut self, message: String, span: Span) -> Stop {
        self.script.ended |= message.starts_with("script was ended");
        Stop::new(span, message)
    }

    /// `/tool fetch`: gets or sends with HTTP, into a variable or a file.
    pub(super) fn fetch(&mut self, command: &ast::Command, span: Span) -> Flow<Value> {
        let output = self.word(command, "output")?.unwrap_or_else(|| "file".into());
        if !["file", "user", "user-with-headers", "none"].contains(&output.as_str()) {
            return Err(Stop::new(span, "input does not match any value of output"));
        }
        let fetch = self.request(command, span)?;
        let keep = self.word(command, "keep-result")?.is_none_or(|word| word != "no" && word != "false");
        let destination = match self.word(command, "dst-path")? {
            Some(path) if !path.is_empty() => path,
            _ => file_of(&fetch.url),
        };
        let begin = self.script.host.now();
        let fetched = self.script.host.fetch(&fetch).map_err(|message| self.ended(message, span))?;
        self.script.rested_outside();
        if fetched.status >= 400 {
            let failure = format!("failure: Fetch failed with status {}", fetched.status);
            return Err(Stop::new(span, failure));
        }
        let size = fetched.body.len();
        if output == "file" && keep {
            let written = self.script.host.write_file(&destination, &fetched.body);
            written.map_err(|message| Stop::new(span, message))?;
        }
        let mut result = Array::default();
        let mut put = |name: &str, value: Value| result.insert(name.as_bytes().into(), value);
        put("status", Value::str("finished"));
        put("downloaded", count(size / 1024));
        put("duration", nanoseconds(self.script.host.now().saturating_sub(begin)));
        if output.starts_with("user") {
            if size > MAX_DATA {
                return Err(Stop::new(span, "failure: the answer is too long for a variable"));
            }
            let lines = fetched.headers.iter().map(|(name, value)| format!("{name}: {value}"));
            let head: Vec<Value> = lines.map(|line| Value::str(&line)).collect();
            put("data", Value::bytes(fetched.body));
            if output == "user-with-headers" {
                put("http-status-code", Value::Num(fetched.status.into()));
                put("http-headers", Value::list(head));
            }
        }
        let result = self.made(result.checked().map(Value::array), span)?;
        if command.arg("as-value").is_some() {
            return Ok(result);
        }
        let Value::Array(array) = &result else { return Ok(Value::Nothing) };
        let lines: String = array.entries().fold(String::new(), |mut lines, (name, value)| {
            // Writing to a string works always.
            let _ = writeln!(lines, "{:>12}: {}", name.to_text(), value.to_text());
            lines
        });
        self.print(&lines, span)?;
        Ok(Value::Nothing)
    }

    fn request(&mut self, command: &ast::Command, span: Span) -> Flow<Fetch> {
        let url = self.argument(command, "url")?.ok_or_else(|| missing(span, "url"))?.to_text();
        let url = if url.contains("://") {
            url
        } else {
            let mode = self.word(command, "mode")?.unwrap_or_else(|| "http".into());
            format!("{mode}://{url}")
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let message = "failure: only http and https are possible here";
            return Err(Stop::new(span, message));
        }
        let body = self.argument(command, "http-data")?.map(|data| data.to_bytes().to_vec());
        let method = match self.word(command, "http-method")? {
            Some(method) => method.to_ascii_uppercase(),
            None if body.is_some() => "POST".into(),
            None => "GET".into(),
        };
        if !["DELETE", "GET", "HEAD", "POST", "PUT", "PATCH"].contains(&method.as_str()) {
            return Err(Stop::new(span, "input does not match any value of http-method"));
        }
        let headers = self.argument(command, "http-header-field")?.map(|fields| headers(&fields));
        let user = self.word(command, "user")?;
        let password = self.word(command, "password")?;
        let check = self.word(command, "check-certificate")?;
        Ok(Fetch {
            url,
            method,
            headers: headers.unwrap_or_default(),
            body: body.unwrap_or_default(),
            user: user.map(|user| (user, password.unwrap_or_default())),
            check_certificate: check.is_some_and(|word| word != "no" && word != "false"),
            idle_timeout: self.duration(command, "idle-timeout", Duration::from_secs(10), span)?,
            max_redirects: self.within(command, "http-max-redirect-count", 0, (0, MAX_REDIRECTS), span)?,
        })
    }
}

/// `Name: value` fields: a list, or a text with commas before each further field.
fn headers(fields: &Value) -> Vec<(String, String)> {
    let texts: Vec<String> = match fields {
        Value::Array(array) => array.values().map(Value::to_text).collect(),
        other => vec![other.to_text()],
    };
    let mut all: Vec<(String, String)> = Vec::new();
    for part in texts.iter().flat_map(|text| text.split(',')) {
        let field = part.split_once(':').filter(|(name, _)| !name.trim().contains(' '));
        match (field, all.last_mut()) {
            (Some((name, value)), _) => all.push((name.trim().to_owned(), value.trim().to_owned())),
            // A comma inside a value.
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(part);
            }
            (None, None) => {}
        }
    }
    all
}

/// The last part of a URL's path.
fn file_of(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let rest = path.split_once("://").map_or(path, |(_, rest)| rest);
    match rest.split_once('/').and_then(|(_, path)| path.rsplit('/').next()) {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ => "index.html".to_owned(),
    }
}

/// RouterOS's table of a ping, with its summary.
fn echo_table(ping: &Ping, echoes: &[Echo]) -> String {
    let mut text = format!("  SEQ {:<40} SIZE TTL TIME       STATUS\n", "HOST");
    for (n, echo) in echoes.iter().enumerate() {
        let host = echo.from.unwrap_or(ping.address).to_string();
        let (size, ttl) = match echo.from {
            Some(_) => (echo.size_bytes.to_string(), echo.ttl.to_string()),
            None => (String::new(), String::new()),
        };
        let time = echo.time.map(short).unwrap_or_default();
        let line = format!("{n:>5} {host:<40} {size:>4} {ttl:>3} {time:<10} {}", echo.status);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let times: Vec<Duration> = echoes.iter().filter_map(|echo| echo.time).collect();
    let (sent, received) = (echoes.len(), times.len());
    let loss = ((sent - received) * 100).checked_div(sent).unwrap_or(0);
    text.push_str(&format!("    sent={sent} received={received} packet-loss={loss}%"));
    if let (Some(min), Some(max)) = (times.iter().min(), times.iter().max()) {
        let average = times.iter().sum::<Duration>() / u32::try_from(received).unwrap_or(1).max(1);
        text.push_str(&format!(
            " min-rtt={} avg-rtt={} max-rtt={}",
            short(*min),
            short(average),
            short(*max)
        ));
    }
    text.push('\n');
    text
}

/// `12ms345us`
fn short(time: Duration) -> String {
    let micros = time.as_micros();
    match (micros / 1000, micros % 1000) {
        (0, us) => format!("{us}us"),
        (ms, 0) => format!("{ms}ms"),
        (ms, us) => format!("{ms}ms{us}us"),
    }
}

fn echo_value(ping: &Ping, n: i64, echo: &Echo) -> Value {
    let mut value = Array::default();
    let mut put = |name: &str, v: Value| value.insert(to_bytes(name).into(), v);
    put("seq", Value::Num(n));
    put("host", Value::str(&into_text(echo.from.unwrap_or(ping.address).to_string().into_bytes())));
    if let Some(time) = echo.time {
        put("size", Value::Num(echo.size_bytes.into()));
        put("ttl", Value::Num(echo.ttl.into()));
        put("time", nanoseconds(time));
    }
    if !echo.status.is_empty() {
        put("status", Value::str(&echo.status));
    }
    Value::array(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_split_at_commas_before_a_name() {
        let fields = headers(&Value::str("Content-Type: text/plain,Accept: text/html, text/plain;q=0.5"));
        assert_eq!(
            fields,
            [
                ("Content-Type".to_owned(), "text/plain".to_owned()),
                ("Accept".to_owned(), "text/html, text/plain;q=0.5".to_owned())
            ]
        );
        let list = Value::list([Value::str("A: 1"), Value::str("B: 2")]);
        assert_eq!(headers(&list).len(), 2);
        assert!(headers(&Value::str("nothing")).is_empty());
    }

    #[test]
    fn the_file_is_named_as_in_the_url() {
        for (url, file) in [
            ("http://192.0.2.1/a/list.rsc?x=/y", "list.rsc"),
            ("https://example.net/", "index.html"),
            ("https://example.net", "index.html"),
        ] {
            assert_eq!(file_of(url), file);
        }
    }

    #[test]
    fn a_table_of_echoes_has_a_summary() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let ping = Ping {
            address,
            count: 2,
            size_bytes: 56,
            interval: Duration::ZERO,
            interface: None,
            src_address: None,
            ttl: None,
        };
        let good = Echo {
            from: Some(address),
            size_bytes: 56,
            ttl: 64,
            time: Some(Duration::from_micros(1500)),
            status: String::new(),
        };
        let lost = Echo { from: None, time: None, status: "timeout".into(), ..good.clone() };
        let table = echo_table(&ping, &[good, lost]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[1], format!("    0 {:<40}   56  64 1ms500us", "192.0.2.1"));
        assert!(lines[2].ends_with("timeout"), "{table}");
        let summary =
            "    sent=2 received=1 packet-loss=50% min-rtt=1ms500us avg-rtt=1ms500us max-rtt=1ms500us";
        assert_eq!(lines[3], summary);
    }
}
