//! Loads, pins, swaps and reads the eBPF side. See docs/architecture.md.
//!
//! Everything that packets need is pinned: a process that ends at any moment leaves traffic flowing, and
//! [`Dataplane::open`] finds it again.

mod attach;
mod btf;
mod control;
mod error;
mod ethtool;
mod explain;
mod flows;
mod foreign;
mod fragments;
mod image;
mod inspect;
mod link;
mod mapped;
mod maps;
mod netlink;
mod next_hop;
mod object;
mod peer;
mod pin;
mod probe;
mod replay;
mod rows;
mod rules;
mod summary;
mod sweep;
mod trace;
mod walked;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use aya::TestRun;
use aya::programs::TestRunOptions;
use plan::desired::Image;
use router_common::maps::control::flag;
use router_common::maps::port::TX_PORTS;
use router_common::maps::route;
use router_common::maps::rule::Listed;
use serde::{Deserialize, Serialize};

use crate::attach::Attacher;
use crate::image::Slot;
use crate::maps::Maps;
use crate::object::Programs;
use crate::pin::Pins;

pub use crate::attach::{Mode, PortStatus, Running};
pub use crate::control::Pulse;
pub use crate::error::Error;
pub use crate::explain::{Explanation, Question};
pub use crate::flows::{Connection, ConnectionId, Fill, Way};
pub use crate::foreign::ForeignProgram;
pub use crate::fragments::{Fragments, HeldFragment};
pub use crate::image::Staged;
pub use crate::inspect::{
    ControlEntry, Count, Counters, ImageEntry, Inspector, LocalEntry, Member, ObjectEntry, PortCount,
    PortEntry, ReasonCount, RuleCount,
};
pub use crate::next_hop::{RouteEntry, UsedNextHop};
pub use crate::object::{bytes as object, fingerprint};
pub use crate::probe::Features;
pub use crate::replay::{Met, Walked};
pub use crate::rows::RowEntry;
pub use crate::rules::{Named, RuleLog};
pub use crate::sweep::{Sweeper, Swept};
pub use crate::trace::{Filter, Step, Trace};
pub use crate::walked::{PathEntry, RuleEntry};

#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Name of the instance, for messages.
    pub instance: String,
    /// The instance's directory on bpffs: `/sys/fs/bpf/routerd/<instance>`.
    pub bpffs: PathBuf,
    /// RouterOS name -> how the port is to run; what is not named here runs as `default_mode` says.
    pub port_modes: BTreeMap<String, Mode>,
    pub default_mode: Mode,
}

/// What [`Dataplane::open`] found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenReport {
    pub features: Features,
    /// Names the ABI of the pinned state.
    pub fingerprint: String,
    /// State of an earlier process was taken over: its generation. None: begun anew.
    pub adopted: Option<u32>,
    /// Fingerprints of pinned state with another ABI, which goes with the first flip.
    pub replaced: Vec<String>,
    /// Ports that carried our programs.
    pub ports: Vec<u32>,
    /// Why frames that are lost after a redirect can't be counted.
    pub losses_uncounted: Option<String>,
}

/// The eBPF side of one instance. Dropping it leaves everything running.
pub struct Dataplane {
    options: Options,
    inspector: Inspector,
    programs: Programs,
    pulse: Pulse,
    features: Features,
    status: BTreeMap<u32, PortStatus>,
    /// Links still run programs of another ABI.
    deferred: bool,
}

impl Dataplane {
    /// Loads the programs and takes over what an earlier process pinned, or begins anew. Works in the current
    /// network namespace, and so must all later calls.
    pub fn open(options: Options) -> Result<(Dataplane, OpenReport), Error> {
        let fingerprint = object::fingerprint()?;
        let features = probe::features()?;
        let pins = Pins::create(&options.bpffs, &fingerprint)?;
        // Programs that have packets take those over that had them before.
        let had_firewall =
            Maps::open(&pins).is_ok_and(|maps| maps.pulse().read().flags & flag::FIREWALL != 0);
        let programs = Programs::load(&pins, had_firewall)?;
        let maps = Maps::open(&pins)?;
        let pulse = maps.pulse();
        let generation = pulse.generation();
        let others = pins.others();

        let mut dataplane = Dataplane {
            deferred: generation == 0,
            status: BTreeMap::new(),
            options,
            inspector: Inspector { pins, maps },
            pulse,
            features: features.clone(),
            programs,
        };
        // A trace or a test run that was killed leaves its flag on.
        dataplane.pulse.set_flag(flag::TRACE | flag::RECORD, false);
        dataplane.pulse.set_tx_map_id(maps::id(&dataplane.inspector.pins, TX_PORTS)?);
        dataplane.pulse.begin_flows(&dataplane.inspector.maps)?;
        dataplane.start_timer()?;
        let ports = dataplane.known_ports()?;
        if !dataplane.deferred {
            dataplane.update_links(&ports)?;
        }
        // Without them all works, but frames that are lost after a redirect are not counted.
        let losses = link::attach_tracepoints(&mut dataplane.programs, &dataplane.inspector.pins).err();
        let name = |path: PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
        let report = OpenReport {
            features,
            fingerprint,
            adopted: (generation != 0).then_some(generation),
            replaced: others.into_iter().filter_map(name).collect(),
            ports,
            losses_uncounted: losses.map(|error| chain(&error)),
        };
        Ok((dataplane, report))
    }

    /// Attaches the programs to an image's new ports and fills the idle slot; packets don't see it yet.
    pub fn stage(&mut self, image: &Image) -> Result<Staged, Error> {
        let (base, active) = image::active(&self.inspector.maps, &self.pulse);
        let before = self.known_ports()?;
        let mut staged = Staged {
            base,
            unchanged: false,
            status: BTreeMap::new(),
            attached: Vec::new(),
            leaving: Vec::new(),
            firewall: image.has_firewall(),
        };
        match self.fill(image, &active, &before, &mut staged) {
            Ok(()) => Ok(staged),
            Err(error) => {
                self.abort(staged);
                Err(error)
            }
        }
    }

    fn fill(
        &mut self,
        image: &Image,
        active: &Slot,
        before: &[u32],
        staged: &mut Staged,
    ) -> Result<(), Error> {
        let Dataplane { options, inspector, programs, features, deferred, .. } = self;
        if staged.firewall {
            programs.need_firewall(&inspector.pins)?;
        }
        let mut attacher =
            Attacher { pins: &inspector.pins, programs, tcx: features.tcx, deferred: *deferred };
        for port in &image.ports {
            let wish = options.port_modes.get(&port.name).copied().unwrap_or(options.default_mode);
            if !before.contains(&port.port.ifindex) {
                staged.attached.push(port.port.ifindex);
            }
            let status = attacher.attach(port, wish)?;
            staged.status.insert(status.ifindex, status);
        }
        staged.leaving = before.iter().copied().filter(|port| !staged.status.contains_key(port)).collect();

        inspector.maps.rules.marks.set(&image.marks);
        inspector.maps.rules.tables.set(&image.tables);
        let (slot, fresh) = Slot::build(image, &staged.status, active)?;
        staged.unchanged = staged.base != 0 && slot == *active;
        if staged.unchanged {
            return Ok(());
        }
        // Packets that read the generation before the last flip may still look at the idle slot.
        image::grace_period();
        let maps = &mut self.inspector.maps;
        for tx_index in fresh.tx_indices {
            maps.clear_port_counters(tx_index)?;
        }
        let idle = image::slot(next(staged.base));
        maps.rules.fold(idle)?;
        for rule_slot in fresh.rule_slots {
            maps.rules.clear(rule_slot)?;
        }
        for port in slot.ports() {
            self.inspector.maps.tx_ports.set(port.tx_index, port.ifindex, None, 0).map_err(tx_ports)?;
        }
        slot.write(&mut self.inspector.maps, &self.inspector.pins, idle)
    }

    /// Makes a staged image the active one, between two packets. Ports that it no longer has are released.
    pub fn flip(&mut self, staged: Staged) -> Result<(), Error> {
        let active = self.pulse.generation();
        if active != staged.base {
            return Err(Error::Stale { staged: staged.base, active });
        }
        // On before and off after the image: no packet meets rules' ports without the rules.
        if staged.firewall {
            self.pulse.set_flag(flag::FIREWALL, true);
        }
        if !staged.unchanged {
            self.pulse.set_generation(next(staged.base));
        }
        if !staged.firewall {
            self.pulse.set_flag(flag::FIREWALL, false);
        }
        let ports: Vec<u32> = staged.status.keys().copied().collect();
        self.status = staged.status;
        if self.deferred {
            self.update_links(&ports)?;
            self.deferred = false;
        }
        for port in staged.leaving {
            self.release(port)?;
        }
        for other in self.inspector.pins.others() {
            pin::remove_all(&other)?;
        }
        Ok(())
    }

    /// Drops a staged image; ports attached for it are released. The active image was never touched.
    pub fn abort(&mut self, staged: Staged) {
        for port in staged.attached {
            if let Err(error) = self.release(port) {
                tracing::warn!(ifindex = port, "a port stays attached: {error}");
            }
        }
    }

    /// Makes these the host's own addresses, each with the ifindex it stands on. Where they change, no decision that was
    /// taken before holds any more.
    pub fn set_locals(&mut self, addresses: &[(IpAddr, u32)]) -> Result<(), Error> {
        let mut v4 = BTreeMap::new();
        let mut v6 = BTreeMap::new();
        for (address, ifindex) in addresses {
            match address {
                IpAddr::V4(address) => v4.insert(address.octets(), *ifindex),
                IpAddr::V6(address) => v6.insert(address.octets(), *ifindex),
            };
        }
        let maps = &mut self.inspector.maps;
        let v4 = maps::replace(&mut maps.locals4, &v4).map_err(Error::map(route::LOCALS4))?;
        let v6 = maps::replace(&mut maps.locals6, &v6).map_err(Error::map(route::LOCALS6))?;
        if v4 || v6 {
            // Two generations on, the slot is the same.
            self.pulse.set_generation(next(next(self.pulse.generation())));
        }
        Ok(())
    }

    /// A handle for other threads: route epoch, heartbeat, flags.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }
    pub fn bump_route_epoch(&self) {
        self.pulse.bump_route_epoch();
    }
    pub fn set_cache_routes(&self, on: bool) {
        self.pulse.set_cache_routes(on);
    }
    pub fn heartbeat(&self) {
        self.pulse.heartbeat();
    }

    /// The neighbour of a next hop failed: for three seconds its packets are answered with host unreachable.
    pub fn mark_unreachable(&mut self, ifindex: u32, address: IpAddr) -> Result<(), Error> {
        let until = self.pulse.read().tick.wrapping_add(next_hop::FAILED_SECONDS);
        self.inspector.maps.set_failed(&next_hop::failed_key(ifindex, address), until)
    }

    /// Next hops that packets went to within the last `seconds`.
    pub fn used_next_hops(&self, seconds: u32) -> Vec<UsedNextHop> {
        self.inspector.used_next_hops(seconds)
    }

    /// Lets the counters of these rules begin at zero; None: of all.
    pub fn reset_rule_counters(&self, keys: Option<&[u64]>) -> Result<(), Error> {
        let rules = self.inspector.known_rules().into_iter();
        let asked = rules.filter(|rule| keys.is_none_or(|keys| keys.contains(&rule.key)));
        let slots: Vec<u32> = asked.map(|rule| rule.slot).collect();
        self.inspector.maps.rules.reset(&slots)
    }

    /// Makes an address a dynamic member of a list for so many seconds, or until the next start; or renews that.
    pub fn add_listed(&mut self, list: u32, address: IpAddr, seconds: Option<u32>) -> Result<(), Error> {
        let now = self.pulse.read().tick;
        let until_tick =
            seconds.map_or(u32::MAX, |seconds| now.saturating_add(seconds).min(Listed::STATIC - 1));
        self.inspector
            .maps
            .rules
            .lists
            .insert(&rules::listed_as(list, address), Listed { until_tick, since_tick: now })
    }

    pub fn remove_listed(&mut self, list: u32, address: IpAddr) -> Result<(), Error> {
        self.inspector.maps.rules.lists.remove(&rules::listed_as(list, address))
    }

    /// What keeps the tables clean, with a second's work to be done each second.
    pub fn sweeper(&self) -> Result<Sweeper, Error> {
        Sweeper::open(&self.inspector)
    }

    /// The addresses that lists have for domain names; for the thread that resolves these.
    pub fn named(&self) -> Result<Named, Error> {
        Named::open(&self.inspector)
    }

    /// Fragments that came before their first. There is one reader.
    pub fn fragments(&self) -> Result<Fragments, Error> {
        Fragments::open(&self.inspector.pins)
    }

    /// What rules log. There is one reader.
    pub fn rule_log(&self) -> Result<RuleLog, Error> {
        RuleLog::open(&self.inspector.pins)
    }

    /// Changes how ports are to run; takes effect with the next stage.
    pub fn set_port_modes(&mut self, modes: BTreeMap<String, Mode>, default_mode: Mode) {
        self.options.port_modes = modes;
        self.options.default_mode = default_mode;
    }

    /// Whether a port would run otherwise if it were staged now: a veth's peer got GRO, say. No netlink message of
    /// this namespace tells so; to be asked now and then.
    pub fn has_drifted(&self) -> bool {
        let wish =
            |name: &str| self.options.port_modes.get(name).copied().unwrap_or(self.options.default_mode);
        self.status.values().any(|port| attach::has_drifted(port, wish(&port.name)))
    }

    /// The ports of the active image, and how each runs.
    pub fn ports(&self) -> Vec<PortStatus> {
        self.status.values().cloned().collect()
    }

    /// The pinned state, to look at.
    pub fn inspect(&self) -> &Inspector {
        &self.inspector
    }
    pub fn counters(&self) -> Result<Counters, Error> {
        self.inspector.counters()
    }
    pub fn reasons(&self) -> Result<Vec<ReasonCount>, Error> {
        self.inspector.reasons()
    }

    pub fn features(&self) -> &Features {
        &self.features
    }

    pub fn instance(&self) -> &str {
        &self.options.instance
    }

    /// Takes everything off the host: programs, pins, and what was changed on devices.
    pub fn detach(mut self) -> Result<(), Error> {
        for port in self.known_ports()? {
            self.release(port)?;
        }
        pin::remove_all(self.inspector.pins.root())
    }

    /// Starts the dead-man timer, or gives the running one the callback of the loaded program.
    fn start_timer(&mut self) -> Result<(), Error> {
        let frame = [0; 64];
        let run = TestRunOptions { data_in: Some(&frame), ..TestRunOptions::default() };
        let failed = Error::program(object::DEAD_MAN);
        match self.programs.dead_man()?.test_run(run).map_err(failed)?.return_value {
            0 => Ok(()),
            step => Err(Error::Timer(step)),
        }
    }

    /// Ports that carry our programs, from the pins and the active image; where filters can't be pinned, from the
    /// devices, since an image of another ABI can't be read.
    fn known_ports(&self) -> Result<Vec<u32>, Error> {
        let mut ports: Vec<u32> = [link::XDP, link::INGRESS, link::EGRESS]
            .iter()
            .flat_map(|kind| self.inspector.pins.linked(kind))
            .collect();
        ports.extend(image::active(&self.inspector.maps, &self.pulse).1.ports().map(|port| port.ifindex));
        if !self.features.tcx {
            for device in netlink::devices()? {
                for hook in link::HOOKS {
                    ports.extend(link::own_filter(device.ifindex, hook)?.map(|_| device.ifindex));
                }
            }
        }
        ports.sort_unstable();
        ports.dedup();
        Ok(ports)
    }

    /// Puts the loaded programs behind existing attachments, tc first.
    fn update_links(&mut self, ports: &[u32]) -> Result<(), Error> {
        for port in ports {
            for hook in link::HOOKS {
                let program = match hook.is_egress() {
                    true => self.programs.tc_egress()?,
                    false => self.programs.tc_ingress()?,
                };
                link::update_tc(program, &self.inspector.pins, *port, hook, self.features.tcx)?;
            }
            link::update_xdp(self.programs.xdp()?, &self.inspector.pins, *port)?;
        }
        Ok(())
    }

    fn release(&mut self, ifindex: u32) -> Result<(), Error> {
        link::detach(&self.inspector.pins, ifindex, self.features.tcx)?;
        if let Some(device) = netlink::device(ifindex)? {
            attach::restore_rx_vlan(&self.inspector.pins, &device);
        }
        Ok(())
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The generation after this one. Its low half is never 0, by which flows say that nothing is decided of them; 0 itself
/// is left to a data plane that never had an image.
fn next(generation: u32) -> u32 {
    match generation.wrapping_add(1) {
        next if next as u16 == 0 => next.wrapping_add(2),
        next => next,
    }
}

fn tx_ports(error: aya::maps::xdp::XdpMapError) -> Error {
    match error {
        aya::maps::xdp::XdpMapError::MapError(source) => Error::Map { name: TX_PORTS.to_owned(), source },
        other => Error::Attach { program: TX_PORTS, port: String::new(), source: Box::new(other) },
    }
}
