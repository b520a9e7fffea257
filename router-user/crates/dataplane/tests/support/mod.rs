//! A host of a test's own: network and mount namespace of the test's thread, bpffs, ports.

#![allow(dead_code, reason = "every test file uses its part")]

use std::path::{Path, PathBuf};
use std::process::Command;

use plan::desired::{Image, ImagePort};
use router_common::maps::port::{Port, Settings, port_flag};
use router_dataplane::{Dataplane, Mode, OpenReport, Options};
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::thread::UnshareFlags;

pub struct Host {
    bpffs: tempfile::TempDir,
}

/// Moves the calling thread to namespaces of its own, with veths `p1`-`h1` and `p2`-`h2`.
pub fn host() -> Host {
    // SAFETY: a test runs on a thread of its own; no file descriptor is unshared.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS | UnshareFlags::NEWNS | UnshareFlags::NEWNET) }
        .unwrap();
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    let bpffs = tempfile::tempdir().unwrap();
    rustix::mount::mount("bpf", bpffs.path(), "bpf", MountFlags::empty(), None).unwrap();
    ip("link set lo up");
    for (port, peer) in [("p1", "h1"), ("p2", "h2")] {
        ip(&format!("link add {port} type veth peer name {peer}"));
        run(&format!("ethtool -K {peer} gro on tx-vlan-hw-insert off tx-vlan-stag-hw-insert off"));
        ip(&format!("link set {port} up"));
        ip(&format!("link set {peer} up"));
    }
    Host { bpffs }
}

impl Host {
    pub fn pins(&self) -> PathBuf {
        self.bpffs.path().join("routerd").join("test")
    }

    pub fn options(&self, mode: Mode) -> Options {
        options(&self.pins(), mode)
    }

    pub fn open(&self, mode: Mode) -> (Dataplane, OpenReport) {
        Dataplane::open(self.options(mode)).unwrap()
    }
}

pub fn options(pins: &Path, mode: Mode) -> Options {
    Options { instance: "test".into(), bpffs: pins.to_owned(), default_mode: mode, ..Options::default() }
}

/// An image of these devices.
pub fn image(devices: &[&str]) -> Image {
    let port = |name: &&str| ImagePort {
        name: (*name).to_owned(),
        host_name: (*name).to_owned(),
        port: Port {
            ifindex: ifindex(name),
            flags: port_flag::FORWARD4 | port_flag::FORWARD6,
            mtu_bytes: 1500,
            mac: mac(name),
            ..Port::default()
        },
    };
    let settings = Settings { mark_mask: 0xff00_0000, mark_done: 0x8000_0000, ..Settings::default() };
    Image { settings, ports: devices.iter().map(port).collect(), ..Image::default() }
}

pub fn ifindex(device: &str) -> u32 {
    link(device)["ifindex"].as_u64().unwrap() as u32
}

pub fn mac(device: &str) -> [u8; 6] {
    let link = link(device);
    let text = link["address"].as_str().unwrap();
    let bytes: Vec<u8> = text.split(':').map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// `ip -d -j link show`: with the XDP program attached.
pub fn link(device: &str) -> serde_json::Value {
    let links: serde_json::Value =
        serde_json::from_str(&run(&format!("ip -d -j link show {device}"))).unwrap();
    links[0].clone()
}

/// Id of the XDP program on a device, 0 where there is none.
pub fn xdp_program(device: &str) -> u64 {
    link(device)["xdp"]["prog"]["id"].as_u64().unwrap_or(0)
}

/// Our programs at a device's tc hooks, ingress first: tcx, or filters of clsact.
pub fn tc_programs(device: &str) -> Vec<String> {
    use aya::programs::{SchedClassifier, TcAttachType};
    let mut found = Vec::new();
    for (hook, attach_type) in [("ingress", TcAttachType::Ingress), ("egress", TcAttachType::Egress)] {
        if let Ok((_, programs)) = SchedClassifier::query_tcx(device, attach_type) {
            found.extend(programs.iter().filter_map(|p| Some(p.name_as_str()?.to_owned())));
        }
        let filters = run(&format!("tc filter show dev {device} {hook}"));
        // One line names the program twice.
        let program = |line: &str| Some(line.split_whitespace().find(|w| w.starts_with("tc_"))?.to_owned());
        found.extend(filters.lines().filter_map(program));
    }
    found
}

pub fn ip(arguments: &str) {
    run(&format!("ip {arguments}"));
}

/// Standard output of a command, which has to succeed.
pub fn run(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
