//! The two-slot image: the idle slot is filled, then one word makes it the active one.

pub mod rules;

use std::collections::{BTreeMap, BTreeSet};

use plan::desired::Image;
use router_common::maps::flow::Tracking;
use router_common::maps::image::Cell;
use router_common::maps::port::{PORT_PROBES, PORT_SLOTS, Port, Settings};

use crate::attach::PortStatus;
use crate::maps::Maps;
use crate::pin::Pins;
use crate::{Error, control};

/// What one slot holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    pub settings: Settings,
    buckets: Vec<Port>,
    /// The image of the rules, with the slots of their counters.
    pub rules: Vec<Cell>,
    pub tracking: Tracking,
}

/// What is new in a slot, so that its counters have to begin at zero.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    pub tx_indices: Vec<u32>,
    pub rule_slots: Vec<u32>,
}

/// Slot number of a generation.
pub fn slot(generation: u32) -> u32 {
    generation & 1
}

impl Default for Slot {
    fn default() -> Slot {
        let buckets = vec![Port::default(); PORT_SLOTS as usize];
        Slot { settings: Settings::default(), buckets, rules: Vec::new(), tracking: Tracking::default() }
    }
}

impl Slot {
    /// Reads a slot from the maps.
    pub fn read(maps: &Maps, number: u32) -> Slot {
        let first = number * PORT_SLOTS;
        Slot {
            settings: maps.settings.read(number).unwrap_or_default(),
            buckets: (first..first + PORT_SLOTS).map(|i| maps.ports.read(i).unwrap_or_default()).collect(),
            rules: maps.images.read(number),
            tracking: maps.tracking.read(number).unwrap_or_default(),
        }
    }

    /// Writes all of a slot.
    pub fn write(&self, maps: &mut Maps, pins: &Pins, number: u32) -> Result<(), Error> {
        for (index, port) in (number * PORT_SLOTS..).zip(&self.buckets) {
            maps.ports.write(index, port);
        }
        maps.settings.write(number, &self.settings);
        maps.tracking.write(number, &self.tracking);
        maps.images.write(pins, number, &self.rules)
    }

    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.buckets.iter().filter(|port| port.ifindex != 0)
    }

    /// Puts a port where the programs look for it: the first free bucket of `PORT_PROBES` from its ifindex on.
    fn insert(&mut self, port: Port) -> bool {
        let free = (0..PORT_PROBES)
            .map(|probe| (port.ifindex.wrapping_add(probe) & (PORT_SLOTS - 1)) as usize)
            .find(|index| {
                self.buckets.get(*index).is_some_and(|b| b.ifindex == 0 || b.ifindex == port.ifindex)
            });
        match free.and_then(|index| self.buckets.get_mut(index)) {
            Some(bucket) => *bucket = port,
            None => return false,
        }
        true
    }

    /// Builds the slot for an image. A port keeps the `tx_index` that it has in the active slot; a new one gets an
    /// index that nobody has there; rules and the slots of their counters likewise. What is new comes back as well.
    pub fn build(
        image: &Image,
        status: &BTreeMap<u32, PortStatus>,
        active: &Slot,
    ) -> Result<(Slot, Fresh), Error> {
        let known: BTreeMap<u32, u32> = active.ports().map(|p| (p.ifindex, p.tx_index)).collect();
        let mut used: BTreeSet<u32> = known.values().copied().collect();
        let mut fresh = Fresh::default();
        let mut slot = Slot { settings: image.settings, tracking: image.tracking, ..Slot::default() };
        (slot.rules, fresh.rule_slots) =
            rules::with_slots(&image.rules, &rules::known(&active.rules), &BTreeSet::new())?;
        for port in &image.ports {
            let ifindex = port.port.ifindex;
            let tx_index = match known.get(&ifindex) {
                Some(index) => *index,
                None => {
                    let free = (0..PORT_SLOTS).find(|index| used.insert(*index));
                    let free = free.ok_or(Error::TooManyPorts(PORT_SLOTS))?;
                    fresh.tx_indices.push(free);
                    free
                }
            };
            let flags = port.port.flags | status.get(&ifindex).map_or(0, PortStatus::flags);
            if !slot.insert(Port { flags, tx_index, ..port.port }) {
                return Err(Error::PortTable { port: port.name.clone(), ifindex });
            }
        }
        Ok((slot, fresh))
    }
}

/// An image in the idle slot, not yet visible. Give it to `flip` or `abort`.
#[derive(Debug)]
#[must_use = "a staged image is to be flipped or aborted"]
pub struct Staged {
    /// The generation that was active when it was staged.
    pub(crate) base: u32,
    pub(crate) unchanged: bool,
    pub(crate) status: BTreeMap<u32, PortStatus>,
    /// Ports that were attached for it.
    pub(crate) attached: Vec<u32>,
    /// Ports that leave with the flip.
    pub(crate) leaving: Vec<u32>,
    /// Packets have to go by way of the flow table.
    pub(crate) firewall: bool,
}

impl Staged {
    /// The active image says the same already: a flip changes nothing.
    pub fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    /// How each port will run.
    pub fn ports(&self) -> Vec<PortStatus> {
        self.status.values().cloned().collect()
    }
}

/// Waits until no packet is being processed that began before the call.
///
/// XDP and tc programs run with bottom halves off, which an RCU grace period includes; `membarrier(GLOBAL)` waits for
/// one (kernel/sched/membarrier.c).
pub fn grace_period() {
    use rustix::thread::{MembarrierCommand, membarrier};
    if membarrier(MembarrierCommand::Global).is_err() {
        // Refused on nohz_full hosts. A program runs for microseconds and can't be preempted.
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// The active slot's number and contents.
pub fn active(maps: &Maps, pulse: &control::Pulse) -> (u32, Slot) {
    let generation = pulse.generation();
    (generation, Slot::read(maps, slot(generation)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attach::Running;
    use plan::desired::ImagePort;
    use router_common::maps::port::port_flag;

    fn image(ifindices: &[u32]) -> Image {
        let port = |ifindex: &u32| ImagePort {
            name: format!("ether{ifindex}"),
            host_name: format!("eth{ifindex}"),
            port: Port { ifindex: *ifindex, mtu_bytes: 1500, ..Port::default() },
        };
        Image {
            settings: Settings::default(),
            ports: ifindices.iter().map(port).collect(),
            ..Image::default()
        }
    }

    /// As the programs look a port up.
    fn find(slot: &Slot, ifindex: u32) -> Option<&Port> {
        (0..PORT_PROBES)
            .filter_map(|probe| slot.buckets.get(((ifindex + probe) & (PORT_SLOTS - 1)) as usize))
            .find(|port| port.ifindex == ifindex)
    }

    #[test]
    fn colliding_ports_are_found_within_the_probes() {
        let colliding: Vec<u32> = (0..PORT_PROBES).map(|i| 5 + i * PORT_SLOTS).collect();
        let (slot, fresh) = Slot::build(&image(&colliding), &BTreeMap::new(), &Slot::default()).unwrap();
        assert_eq!(fresh.tx_indices, [0, 1, 2, 3]);
        for ifindex in &colliding {
            assert_eq!(find(&slot, *ifindex).unwrap().ifindex, *ifindex);
        }
        let too_many: Vec<u32> = (0..=PORT_PROBES).map(|i| 5 + i * PORT_SLOTS).collect();
        let error = Slot::build(&image(&too_many), &BTreeMap::new(), &Slot::default()).unwrap_err();
        assert!(matches!(error, Error::PortTable { ifindex, .. } if ifindex == 5 + PORT_PROBES * PORT_SLOTS));
    }

    #[test]
    fn the_last_buckets_wrap_around() {
        let last = PORT_SLOTS - 1;
        let (slot, _) =
            Slot::build(&image(&[last, last + PORT_SLOTS]), &BTreeMap::new(), &Slot::default()).unwrap();
        assert_eq!(slot.buckets.first().unwrap().ifindex, last + PORT_SLOTS);
    }

    #[test]
    fn a_port_keeps_its_index_and_a_leaving_ports_index_is_not_reused_at_once() {
        let (first, _) = Slot::build(&image(&[2, 3, 4]), &BTreeMap::new(), &Slot::default()).unwrap();
        let (second, fresh) = Slot::build(&image(&[9, 4, 2]), &BTreeMap::new(), &first).unwrap();
        assert_eq!(find(&second, 2).unwrap().tx_index, 0);
        assert_eq!(find(&second, 4).unwrap().tx_index, 2);
        assert_eq!((find(&second, 9).unwrap().tx_index, fresh.tx_indices), (3, vec![3]));
        let (third, _) = Slot::build(&image(&[9, 4, 2, 7]), &BTreeMap::new(), &second).unwrap();
        assert_eq!(find(&third, 7).unwrap().tx_index, 1);
    }

    #[test]
    fn how_a_port_runs_goes_into_its_flags() {
        let status = PortStatus {
            name: "ether2".into(),
            host_name: "eth2".into(),
            ifindex: 2,
            driver: "veth".into(),
            mode: Running::Native,
            reason: String::new(),
            tx: true,
            tx_reason: String::new(),
            unfinished: false,
        };
        let (slot, _) =
            Slot::build(&image(&[2, 3]), &BTreeMap::from([(2, status)]), &Slot::default()).unwrap();
        assert_eq!(find(&slot, 2).unwrap().flags, port_flag::NATIVE | port_flag::XDP_TX);
        assert_eq!(find(&slot, 3).unwrap().flags, 0);
    }
}
