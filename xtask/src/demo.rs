//! `cargo xtask demo`: the main job, shown with real traffic.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use ::lab::{Lab, Netns, UdpStream, ctl_json, http_get, ping, topology};
use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};

use crate::{
    build, lab as standing,
    setup::{self, Purpose},
    shell, signal,
};

const CONFIG: &str = "configs/smb-office.rsc";
const DOCUMENT: usize = 1 << 20;
const PINGS: u32 = 5;
/// UDP stream: packets a second, for this long.
const RATE: u32 = 2000;
const STREAM: Duration = Duration::from_secs(2);
/// How long a connection may take; a packet that has not come by then was dropped.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Args, Clone)]
pub struct Options {
    /// Leave the lab standing and say how to enter it
    #[arg(long)]
    keep: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    setup::run(&setup::Options { purpose: Purpose::Demo })?;
    build::run(&build::Options::default())?;
    let config = shell::root().join(CONFIG).display().to_string();
    shell::as_root(&["demo-lab", if options.keep { "keep" } else { "remove" }, &config])
}

/// As root: lab, router, traffic, table. What was made is removed when this returns, however it returns.
pub fn show(keep: bool, config: &Path) -> Result<ExitCode> {
    signal::catch()?;
    shell::step("laying out the lab: wan - ether1 [router] ether2 - lan1, ether3 - lan2");
    let lab = topology::office(keep.then_some(standing::PREFIX))
        .context("lay out the lab (is one standing? cargo xtask lab down)")?;
    shell::step(&format!("starting routerd on {}", config.display()));
    let mut daemon = standing::start(&lab, config)?;
    let rows = rows(&lab);
    if rows.is_err() {
        eprintln!("log of routerd:\n{}", daemon.log());
    }
    let rows = rows?;
    let passed = rows.iter().all(|row| row.outcome.is_ok());
    println!("{}", table(&rows));
    if keep {
        standing::leave(lab, daemon)?;
    } else {
        daemon.stop()?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

struct Row {
    what: String,
    /// What arrived, or what went wrong.
    outcome: Result<String, String>,
    paths: Paths,
}

/// Packets by the way they took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Paths {
    /// Forwarded or answered by XDP alone.
    xdp: u64,
    /// Everything that reached the host's stack, for whatever reason.
    host: u64,
    dropped: BTreeMap<String, u64>,
}

/// What the router is to do with the packets of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Forwarded, most of them by XDP.
    Transit,
    /// Answered by the host.
    Host,
    /// Dropped by a rule.
    FilterDrop,
}

fn rows(lab: &Lab) -> Result<Vec<Row>> {
    use Expected::{FilterDrop, Host, Transit};

    let serve = |role| ::lab::HttpServer::start(lab.on(role), 80, DOCUMENT);
    let _servers = (serve("wan")?, serve("lan2")?);
    let (wan, lan1, lan2) = (lab.on("wan"), lab.on("lan1"), lab.on("lan2"));
    let mut rows = Vec::new();
    let mut row = |what: &str, expected: Expected, attempt: &dyn Fn() -> Result<String>| -> Result<()> {
        signal::check()?;
        shell::step(what);
        let before = Paths::read(&lab.router)?;
        let mut outcome = attempt().map_err(|error| format!("{error:#}"));
        signal::check()?;
        let paths = Paths::read(&lab.router)?.since(&before);
        if expected == Transit && outcome.is_ok() && paths.xdp <= paths.host {
            outcome = Err("it arrived, but most of it not by XDP".to_owned());
        }
        if expected == FilterDrop && outcome.is_ok() && !paths.dropped.contains_key("filter-drop") {
            outcome = Err("it did not arrive, but no rule dropped it".to_owned());
        }
        rows.push(Row { what: what.to_owned(), outcome, paths });
        Ok(())
    };
    row("ping LAN1 to the WAN", Transit, &|| pings(lan1, "203.0.113.1"))?;
    row("ping LAN1 to LAN2", Transit, &|| pings(lan1, "192.168.2.100"))?;
    row("ping6 LAN1 to the WAN", Transit, &|| pings(lan1, "2001:db8:ffff::80"))?;
    row("ping6 LAN2 to LAN1", Transit, &|| pings(lan2, "2001:db8:1::100"))?;
    row("HTTP LAN1 to the WAN", Transit, &|| fetch(lan1, "198.51.100.80:80"))?;
    row("HTTP over IPv6 LAN2 to the WAN", Transit, &|| fetch(lan2, "[2001:db8:ffff::80]:80"))?;
    row("UDP stream LAN1 to the WAN", Transit, &|| stream(lan1, wan, "198.51.100.80:5000"))?;
    row("UDP stream over IPv6 LAN1 to LAN2", Transit, &|| stream(lan1, lan2, "[2001:db8:2::100]:5000"))?;
    row("connection LAN1 to the WAN, masqueraded", Transit, &|| masqueraded(lan1, wan, "203.0.113.1:7000"))?;
    row("HTTP WAN to LAN2, port forwarded", Transit, &|| fetch(wan, "203.0.113.2:8080"))?;
    row("UDP over IPv6 WAN to LAN1, unasked", FilterDrop, &|| dropped(wan, lan1, "[2001:db8:1::100]:7000"))?;
    row("UDP WAN to the router, unasked", FilterDrop, &|| dropped(wan, &lab.router, "203.0.113.2:7000"))?;
    row("ping LAN1 to the router itself", Host, &|| pings(lan1, "192.168.1.1"))?;
    Ok(rows)
}

fn pings(from: &Netns, target: &str) -> Result<String> {
    let target: IpAddr = target.parse()?;
    let (sent, received) = ping(from, target, &format!("-c {PINGS} -i 0.2 -W 2"))?;
    if received != sent {
        bail!("{received} of {sent} answered");
    }
    Ok(format!("{received} of {sent} answered"))
}

fn fetch(from: &Netns, server: &str) -> Result<String> {
    let begin = Instant::now();
    let size = http_get(from, server.parse()?, Duration::from_secs(10))?;
    if size != DOCUMENT {
        bail!("{size} bytes of {DOCUMENT}");
    }
    Ok(format!("{} KiB in {} ms", size >> 10, begin.elapsed().as_millis()))
}

fn stream(from: &Netns, to: &Netns, target: &str) -> Result<String> {
    let target: SocketAddr = target.parse()?;
    let stream = UdpStream::start(from, to, target, RATE, 200)?;
    let begin = Instant::now();
    while begin.elapsed() < STREAM && signal::check().is_ok() {
        thread::sleep(Duration::from_millis(50));
    }
    let delivery = stream.stop()?;
    if delivery.lost() > 0 || delivery.duplicated > 0 {
        bail!("{} of {} lost, {} doubled", delivery.lost(), delivery.sent, delivery.duplicated);
    }
    Ok(format!("{} of {} arrived", delivery.received, delivery.sent))
}

/// Speaks over one connection; the server has to see the router's address, to which alone it knows a way.
fn masqueraded(from: &Netns, to: &Netns, server: &str) -> Result<String> {
    const ROUTER: &str = "203.0.113.2";
    let server: SocketAddr = server.parse()?;
    let listener = to.enter(|| TcpListener::bind(server))?.with_context(|| format!("listen on {server}"))?;
    let client = from.enter(|| TcpStream::connect_timeout(&server, PATIENCE))?;
    let mut client = client.with_context(|| format!("connect to {server}"))?;
    let (mut accepted, peer) = listener.accept()?;
    client.set_read_timeout(Some(PATIENCE))?;
    accepted.set_read_timeout(Some(PATIENCE))?;
    for _ in 0..10 {
        client.write_all(b"hello")?;
        accepted.read_exact(&mut [0; 5]).context("wait for the client")?;
        accepted.write_all(b"hello")?;
        client.read_exact(&mut [0; 5]).context("wait for the server")?;
    }
    let own = client.local_addr()?;
    if peer.ip() != ROUTER.parse::<IpAddr>()? {
        bail!("the WAN sees {peer}");
    }
    Ok(format!("{own} is seen as {peer}"))
}

/// Sends one packet, which must not arrive.
fn dropped(from: &Netns, to: &Netns, target: &str) -> Result<String> {
    let target: SocketAddr = target.parse()?;
    let receiver = to.enter(|| UdpSocket::bind(target))?.with_context(|| format!("listen on {target}"))?;
    let any = if target.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let sender = from.enter(|| UdpSocket::bind(any))?.context("open the sender's socket")?;
    sender.send_to(b"hello", target).with_context(|| format!("send to {target}"))?;
    receiver.set_read_timeout(Some(PATIENCE / 4))?;
    match receiver.recv_from(&mut [0; 16]) {
        Ok((_, source)) => bail!("it arrived, from {source}"),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Ok("dropped, as it should be".to_owned())
        }
        Err(error) => Err(error).context("wait for the packet"),
    }
}

impl Paths {
    /// Sums the counters by reason of `routerctl map reasons --json`.
    fn read(router: &Netns) -> Result<Paths> {
        let reasons = ctl_json(router, &["map", "reasons"])?;
        let rows = reasons.as_array().context("routerctl map reasons printed no list")?;
        let mut paths = Paths::default();
        for row in rows {
            let (Some(name), Some(packets)) = (row["reason"].as_str(), row["packets"].as_u64()) else {
                bail!("routerctl map reasons printed {row}");
            };
            match row["class"].as_str() {
                _ if ["forwarded", "icmp-sent"].contains(&name) => paths.xdp += packets,
                // Passed up as it came: tc counts it once more, by what it did.
                _ if name == "unfinished" => {}
                Some("drop") => drop(paths.dropped.insert(name.to_owned(), packets)),
                _ => paths.host += packets,
            }
        }
        Ok(paths)
    }

    fn since(self, before: &Paths) -> Paths {
        let earlier = |name: &String| before.dropped.get(name).copied().unwrap_or(0);
        let dropped = self.dropped.into_iter().map(|(name, count)| (count - earlier(&name), name));
        Paths {
            xdp: self.xdp - before.xdp,
            host: self.host - before.host,
            dropped: dropped.filter(|(count, _)| *count > 0).map(|(count, name)| (name, count)).collect(),
        }
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["tried", "worked", "", "XDP path", "host path", "dropped"]);
    for row in rows {
        let (worked, detail) = match &row.outcome {
            Ok(detail) => ("yes", detail),
            Err(error) => ("NO", error),
        };
        let Paths { xdp, host, dropped } = &row.paths;
        let dropped: Vec<String> = dropped.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let (xdp, host, dropped) = (xdp.to_string(), host.to_string(), dropped.join(", "));
        table.add_row([row.what.as_str(), worked, detail, &xdp, &host, &dropped]);
    }
    for column in table.column_iter_mut().skip(3).take(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
