//! Looking at the pinned state. Works without the daemon, as root, while it runs or not.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use aya::maps::MapData;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramInfo, loaded_programs};
use router_common::maps::control::flag;
use router_common::maps::counter::{Counter, PortCounters};
use router_common::maps::port::{Port, port_flag};
use router_common::maps::route;
use router_common::maps::rule::{FASTTRACK_SLOTS, Listed, ListedKey};
use router_common::verdict::Reason;
use serde::{Deserialize, Serialize};

use crate::image::rules::Known;
use crate::image::{self, Slot};
use crate::maps::Maps;
use crate::pin::{self, Pins};
use crate::{Error, Pulse, netlink, object};

/// The pinned state of one instance, opened for reading.
pub struct Inspector {
    pub(crate) pins: Pins,
    pub(crate) maps: Maps,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

/// One reason by which packets left the pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonCount {
    pub reason: String,
    /// `forwarded`, `host` or `drop`.
    pub class: String,
    pub packets: u64,
    pub bytes: u64,
}

/// What met the pipeline at one port, see [`PortCounters`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortCount {
    pub xdp: Count,
    pub tc: Count,
    pub host: Count,
    pub drop: Count,
    pub sent: Count,
}

/// One port of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortEntry {
    pub ifindex: u32,
    /// The host's name now; empty where the device is gone.
    pub host_name: String,
    pub tx_index: u32,
    pub flags: Vec<String>,
    pub mtu_bytes: u32,
    pub mac: String,
    pub address4: Option<Ipv4Addr>,
    pub address6: Option<Ipv6Addr>,
    pub counters: PortCount,
}

/// One slot of the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageEntry {
    pub slot: u32,
    pub active: bool,
    pub ports: usize,
    pub mark_mask: String,
    pub mark_done: String,
    /// ICMP errors per second and CPU; 0 is no limit.
    pub icmp_rate: u32,
}

/// The control words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlEntry {
    pub fingerprint: String,
    pub generation: u32,
    pub route_epoch: u32,
    pub cache_routes: bool,
    pub tracing: bool,
    /// Seconds since the data plane was first started.
    pub tick: u32,
    /// Seconds since the daemon last gave a sign of life.
    pub silent_s: u32,
}

/// One address that the host answers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LocalEntry {
    pub address: IpAddr,
    pub ifindex: u32,
}

/// One pinned object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectEntry {
    /// `map`, `program` or `link`.
    pub object: String,
    pub name: String,
    pub id: u32,
    /// Type of a map or program; the program behind a link.
    pub kind: String,
    /// Entries of a map, verified instructions of a program.
    pub size: u32,
    /// Memory charged to it, in bytes.
    pub memory_bytes: u64,
}

/// All counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    pub reasons: Vec<ReasonCount>,
    pub ports: Vec<(String, PortCount)>,
}

/// What one rule has counted, on the fast path too. Bytes are those of IP packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleCount {
    /// Which item: menu << 32 | id, see `plan::firewall::rule::RuleKey`.
    pub key: u64,
    pub packets: u64,
    pub bytes: u64,
}

/// A dynamic member of an address list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// See `plan::firewall::rule::name_number`.
    pub list: u32,
    pub address: IpAddr,
    /// Seconds until it is none any more; None: it stays.
    pub left_s: Option<u32>,
    /// Is to be written into the configuration.
    pub lasting: bool,
}

impl Inspector {
    /// Opens the pinned state below `bpffs` (`/sys/fs/bpf/routerd/<instance>`). State of another version's ABI can't
    /// be read and counts as not loaded.
    pub fn open(bpffs: &Path) -> Result<Inspector, Error> {
        let pins = Pins::find(bpffs, &object::fingerprint()?);
        if pin::entries(&pins.maps()).is_empty() {
            let instance = bpffs.file_name().unwrap_or_default().to_string_lossy().into_owned();
            return Err(Error::NotLoaded(instance));
        }
        let maps = Maps::open(&pins)?;
        Ok(Inspector { pins, maps })
    }

    pub fn pulse(&self) -> Pulse {
        self.maps.pulse()
    }

    pub fn control(&self) -> ControlEntry {
        let control = self.maps.pulse().read();
        ControlEntry {
            fingerprint: self.pins.fingerprint().to_owned(),
            generation: control.generation,
            route_epoch: control.route_epoch,
            cache_routes: control.flags & flag::CACHE_ROUTES != 0,
            tracing: control.flags & flag::TRACE != 0,
            tick: control.tick,
            silent_s: control.tick.wrapping_sub(control.heartbeat_tick),
        }
    }

    /// Counters of the active image's rules, in their order, IPv4 first.
    pub fn rule_counters(&self) -> Result<Vec<RuleCount>, Error> {
        let rules = self.known_rules();
        let slots: Vec<u32> = rules.iter().map(|rule| rule.slot).collect();
        let counted = self.maps.rules.count(&slots)?;
        let count = |(rule, count): (&Known, Counter)| RuleCount {
            key: rule.key,
            packets: count.packets,
            bytes: count.bytes,
        };
        Ok(rules.iter().zip(counted).map(count).collect())
    }

    /// What fasttracked connections have counted, which meet no rules: IPv4, IPv6.
    pub fn fasttracked(&self) -> Result<[Count; 2], Error> {
        let counted = self.maps.rules.count(&[FASTTRACK_SLOTS, FASTTRACK_SLOTS + 1])?;
        let count = |at: usize| {
            let Counter { packets, bytes } = counted.get(at).copied().unwrap_or_default();
            Count { packets, bytes }
        };
        Ok([count(0), count(1)])
    }

    pub(crate) fn known_rules(&self) -> Vec<Known> {
        image::rules::known(&self.maps.images.read(image::slot(self.maps.pulse().generation())))
    }

    /// The same, as they are to be shown; those whose time is over are not.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        let now = self.maps.pulse().read().tick;
        let alive = self.listed()?.into_iter().filter(|(_, listed)| listed.until_tick > now);
        Ok(alive
            .map(|(key, listed)| Member {
                list: key.list,
                address: match (key.family, key.address.first_chunk::<4>()) {
                    (4, Some(v4)) => Ipv4Addr::from(*v4).into(),
                    _ => Ipv6Addr::from(key.address).into(),
                },
                left_s: (listed.until_tick < Listed::STATIC).then(|| listed.until_tick - now),
                lasting: listed.until_tick == Listed::STATIC,
            })
            .collect())
    }

    /// The numbers that names of marks, of routing tables have.
    pub fn marks(&self) -> BTreeMap<String, u32> {
        self.maps.rules.marks.numbers()
    }
    pub fn tables(&self) -> BTreeMap<String, u32> {
        self.maps.rules.tables.numbers()
    }

    /// Dynamic members of address lists.
    fn listed(&self) -> Result<Vec<(ListedKey, Listed)>, Error> {
        self.maps.rules.lists.members()
    }

    pub fn images(&self) -> Vec<ImageEntry> {
        let active = image::slot(self.maps.pulse().generation());
        let entry = |number: u32| {
            let slot = Slot::read(&self.maps, number);
            ImageEntry {
                slot: number,
                active: number == active,
                ports: slot.ports().count(),
                mark_mask: format!("{:#010x}", slot.settings.mark_mask),
                mark_done: format!("{:#010x}", slot.settings.mark_done),
                icmp_rate: slot.settings.icmp_rate,
            }
        };
        vec![entry(0), entry(1)]
    }

    /// Ports of the active image.
    pub fn ports(&self) -> Result<Vec<PortEntry>, Error> {
        let (_, slot) = image::active(&self.maps, &self.maps.pulse());
        let mut ports = slot.ports().map(|port| self.port(port)).collect::<Result<Vec<_>, _>>()?;
        ports.sort_by_key(|port| port.ifindex);
        Ok(ports)
    }

    fn port(&self, port: &Port) -> Result<PortEntry, Error> {
        let address4 = Ipv4Addr::from(port.address4);
        let address6 = Ipv6Addr::from(port.address6);
        Ok(PortEntry {
            ifindex: port.ifindex,
            host_name: netlink::device(port.ifindex)?.map(|d| d.name).unwrap_or_default(),
            tx_index: port.tx_index,
            flags: flag_names(port.flags),
            mtu_bytes: port.mtu_bytes,
            mac: port.mac.map(|b| format!("{b:02x}")).join(":"),
            address4: (!address4.is_unspecified()).then_some(address4),
            address6: (!address6.is_unspecified()).then_some(address6),
            counters: self.maps.port_counters(port.tx_index)?.into(),
        })
    }

    /// Every reason, also those that never occurred.
    pub fn reasons(&self) -> Result<Vec<ReasonCount>, Error> {
        Reason::ALL
            .iter()
            .map(|reason| {
                let Counter { packets, bytes } = self.maps.reason(u32::from(*reason as u16))?;
                let class = match (reason.is_drop(), reason.is_host()) {
                    (true, _) => "drop",
                    (_, true) => "host",
                    _ => "forwarded",
                };
                Ok(ReasonCount { reason: reason.name().to_owned(), class: class.to_owned(), packets, bytes })
            })
            .collect()
    }

    pub fn counters(&self) -> Result<Counters, Error> {
        let ports = self.ports()?.into_iter().map(|port| (port.host_name, port.counters)).collect();
        Ok(Counters { reasons: self.reasons()?, ports })
    }

    pub fn locals(&self) -> Result<Vec<LocalEntry>, Error> {
        let v4 = self.maps.locals4.iter().map(|entry| {
            let (address, ifindex) = entry.map_err(Error::map(route::LOCALS4))?;
            Ok(LocalEntry { address: IpAddr::from(address), ifindex })
        });
        let v6 = self.maps.locals6.iter().map(|entry| {
            let (address, ifindex) = entry.map_err(Error::map(route::LOCALS6))?;
            Ok(LocalEntry { address: IpAddr::from(address), ifindex })
        });
        let mut locals = v4.chain(v6).collect::<Result<Vec<_>, Error>>()?;
        locals.sort();
        Ok(locals)
    }

    /// All that is pinned.
    pub fn objects(&self) -> Result<Vec<ObjectEntry>, Error> {
        let mut objects = Vec::new();
        for name in pin::entries(&self.pins.maps()) {
            let map = MapData::from_pin(self.pins.map(&name)).map_err(Error::map(&name))?;
            let info = map.info().map_err(Error::map(&name))?;
            objects.push(ObjectEntry {
                object: "map".to_owned(),
                id: info.id(),
                kind: info.map_type().map(|t| format!("{t:?}")).unwrap_or_default(),
                size: info.max_entries(),
                memory_bytes: memory(map.fd().as_fd().as_raw_fd()),
                name,
            });
        }
        for name in pin::entries(&self.pins.programs()) {
            let info =
                ProgramInfo::from_pin(self.pins.programs().join(&name)).map_err(Error::program(&name))?;
            objects.push(ObjectEntry {
                object: "program".to_owned(),
                id: info.id(),
                kind: program_kind(&name).to_owned(),
                size: info.verified_instruction_count().unwrap_or_default(),
                memory_bytes: info.memory_locked().map(u64::from).unwrap_or_default(),
                name,
            });
        }
        for name in pin::entries(&self.pins.links()) {
            let Ok(link) = PinnedLink::from_pin(self.pins.links().join(&name)) else { continue };
            let Ok(info) = FdLink::from(link).info() else { continue };
            let program = loaded_programs().filter_map(Result::ok).find(|p| p.id() == info.program_id());
            objects.push(ObjectEntry {
                object: "link".to_owned(),
                id: info.id(),
                kind: program.and_then(|p| p.name_as_str().map(str::to_owned)).unwrap_or_default(),
                size: 0,
                memory_bytes: 0,
                name,
            });
        }
        Ok(objects)
    }
}

/// What a program is, by its name.
fn program_kind(name: &str) -> &'static str {
    match name {
        object::XDP_PORT => "xdp",
        object::TC_INGRESS | object::TC_EGRESS => "tc",
        object::DEAD_MAN => "timer",
        _ => "tracepoint",
    }
}

/// Memory of a map as /proc tells it, in bytes.
fn memory(fd: i32) -> u64 {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    info.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok()).unwrap_or_default()
}

fn flag_names(flags: u32) -> Vec<String> {
    [
        (port_flag::FORWARD4, "forward4"),
        (port_flag::FORWARD6, "forward6"),
        (port_flag::XDP_TX, "xdp-tx"),
        (port_flag::RP_STRICT, "rp-strict"),
        (port_flag::RP_LOOSE, "rp-loose"),
        (port_flag::SEND_REDIRECTS, "send-redirects"),
        (port_flag::NO_ETHERNET, "no-ethernet"),
        (port_flag::NATIVE, "native"),
        (port_flag::NO_METADATA, "no-metadata"),
        (port_flag::KEEP_MARK, "keep-mark"),
        (port_flag::UNFINISHED, "unfinished"),
    ]
    .into_iter()
    .filter(|(bit, _)| flags & bit != 0)
    .map(|(_, name)| name.to_owned())
    .collect()
}

impl From<Counter> for Count {
    fn from(c: Counter) -> Count {
        Count { packets: c.packets, bytes: c.bytes }
    }
}

impl From<PortCounters> for PortCount {
    fn from(c: PortCounters) -> PortCount {
        PortCount {
            xdp: c.xdp.into(),
            tc: c.tc.into(),
            host: c.host.into(),
            drop: c.drop.into(),
            sent: c.sent.into(),
        }
    }
}
