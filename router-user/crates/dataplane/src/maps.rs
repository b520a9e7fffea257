//! The pinned maps of one instance, opened the same way by the daemon and by who only looks.

use std::collections::BTreeMap;
use std::sync::Arc;

use aya::maps::{Array, DevMap, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use router_common::maps::control::{CONTROL, Control};
use router_common::maps::counter::{self, Counter, PortCounters};
use router_common::maps::event::{self, TraceFilter};
use router_common::maps::flow::{self, Flow4, Flow6, Tracking, Unused};
use router_common::maps::port::{self, Port, Settings};
use router_common::maps::route::{self, FailedKey, Route4, Route6};

use crate::Error;
use crate::control::Pulse;
use crate::image::rules::Images;
use crate::mapped::{Mapped, as_bytes, from_bytes};
use crate::pin::Pins;
use crate::rules::RuleMaps;

/// Values of the maps that are read by system call, as bytes: see [`crate::mapped::Plain`].
type CounterBytes = [u8; size_of::<Counter>()];
type PortCountersBytes = [u8; size_of::<PortCounters>()];
type TraceFilterBytes = [u8; size_of::<TraceFilter>()];
type FailedKeyBytes = [u8; size_of::<FailedKey>()];

pub struct Maps {
    pub control: Arc<Mapped<Control>>,
    pub ports: Mapped<Port>,
    pub settings: Mapped<Settings>,
    pub tracking: Mapped<Tracking>,
    pub flows4: Mapped<Flow4>,
    pub flows6: Mapped<Flow6>,
    pub unused: Mapped<Unused>,
    pub routes4: Mapped<Route4>,
    pub routes6: Mapped<Route6>,
    pub locals4: HashMap<MapData, [u8; 4], u32>,
    pub locals6: HashMap<MapData, [u8; 16], u32>,
    pub tx_ports: DevMap<MapData>,
    failed: HashMap<MapData, FailedKeyBytes, u32>,
    pub images: Images,
    pub rules: RuleMaps,
    reasons: PerCpuArray<MapData, CounterBytes>,
    port_counters: PerCpuArray<MapData, PortCountersBytes>,
}

impl Maps {
    pub fn open(pins: &Pins) -> Result<Maps, Error> {
        let data = |name: &str| MapData::from_pin(pins.map(name)).map_err(Error::map(name));
        Ok(Maps {
            control: Arc::new(Mapped::new(CONTROL, &data(CONTROL)?)?),
            ports: Mapped::new(port::PORTS, &data(port::PORTS)?)?,
            settings: Mapped::new(port::SETTINGS, &data(port::SETTINGS)?)?,
            tracking: Mapped::new(flow::TRACKING, &data(flow::TRACKING)?)?,
            flows4: Mapped::new(flow::FLOWS4, &data(flow::FLOWS4)?)?,
            flows6: Mapped::new(flow::FLOWS6, &data(flow::FLOWS6)?)?,
            unused: Mapped::new(flow::UNUSED, &data(flow::UNUSED)?)?,
            routes4: Mapped::new(route::ROUTES4, &data(route::ROUTES4)?)?,
            routes6: Mapped::new(route::ROUTES6, &data(route::ROUTES6)?)?,
            locals4: typed(pins, route::LOCALS4)?,
            locals6: typed(pins, route::LOCALS6)?,
            tx_ports: typed(pins, port::TX_PORTS)?,
            failed: typed(pins, route::FAILED)?,
            images: Images::open(pins)?,
            rules: RuleMaps::open(pins)?,
            reasons: typed(pins, counter::REASONS)?,
            port_counters: typed(pins, counter::PORT_COUNTERS)?,
        })
    }

    pub fn pulse(&self) -> Pulse {
        Pulse::new(Arc::clone(&self.control))
    }

    /// Packets and bytes of one reason, over all CPUs.
    pub fn reason(&self, number: u32) -> Result<Counter, Error> {
        let values = self.reasons.get(&number, 0).map_err(Error::map(counter::REASONS))?;
        Ok(values.iter().filter_map(|v| from_bytes::<Counter>(v)).fold(Counter::default(), add))
    }

    /// Counters of one port, over all CPUs.
    pub fn port_counters(&self, tx_index: u32) -> Result<PortCounters, Error> {
        let values = self.port_counters.get(&tx_index, 0).map_err(Error::map(counter::PORT_COUNTERS))?;
        let sum = |a: PortCounters, b: PortCounters| PortCounters {
            xdp: add(a.xdp, b.xdp),
            tc: add(a.tc, b.tc),
            host: add(a.host, b.host),
            drop: add(a.drop, b.drop),
            sent: add(a.sent, b.sent),
        };
        Ok(values.iter().filter_map(|v| from_bytes::<PortCounters>(v)).fold(PortCounters::default(), sum))
    }

    /// Sets one port's counters to zero: its index goes to another port.
    pub fn clear_port_counters(&mut self, tx_index: u32) -> Result<(), Error> {
        let zero = vec![[0; size_of::<PortCounters>()]; crate::object::possible_cpus()? as usize];
        let values = aya::maps::PerCpuValues::try_from(zero)
            .map_err(|source| Error::map(counter::PORT_COUNTERS)(MapError::IoError(source)))?;
        self.port_counters.set(tx_index, values, 0).map_err(Error::map(counter::PORT_COUNTERS))
    }

    /// Makes the pipeline answer "host unreachable" for a next hop until the given tick.
    pub fn set_failed(&mut self, key: &FailedKey, until_tick: u32) -> Result<(), Error> {
        let mut bytes: FailedKeyBytes = [0; size_of::<FailedKey>()];
        bytes.copy_from_slice(as_bytes(key));
        self.failed.insert(bytes, until_tick, 0).map_err(Error::map(route::FAILED))
    }
}

/// The kernel's id of a pinned map.
pub fn id(pins: &Pins, name: &str) -> Result<u32, Error> {
    let data = MapData::from_pin(pins.map(name)).map_err(Error::map(name))?;
    Ok(data.info().map_err(Error::map(name))?.id())
}

/// Sets which packets are traced.
pub fn set_trace_filter(pins: &Pins, filter: &TraceFilter) -> Result<(), Error> {
    let mut map: Array<MapData, TraceFilterBytes> = typed(pins, event::TRACE)?;
    let mut bytes: TraceFilterBytes = [0; size_of::<TraceFilter>()];
    bytes.copy_from_slice(as_bytes(filter));
    map.set(0, bytes, 0).map_err(Error::map(event::TRACE))
}

/// The ring of events; it has one reader.
pub fn events(pins: &Pins) -> Result<RingBuf<MapData>, Error> {
    typed(pins, event::EVENTS)
}

pub fn typed<T>(pins: &Pins, name: &str) -> Result<T, Error>
where
    T: TryFrom<Map, Error = MapError>,
{
    let data = MapData::from_pin(pins.map(name)).map_err(Error::map(name))?;
    Map::from_map_data(data).and_then(T::try_from).map_err(Error::map(name))
}

pub fn add(a: Counter, b: Counter) -> Counter {
    Counter { packets: a.packets.wrapping_add(b.packets), bytes: a.bytes.wrapping_add(b.bytes) }
}

/// Makes a hash map hold exactly these entries; whether it did not yet.
pub fn replace<K>(map: &mut HashMap<MapData, K, u32>, wanted: &BTreeMap<K, u32>) -> Result<bool, MapError>
where
    K: aya::Pod + Ord,
{
    let mut changed = false;
    for key in map.keys().collect::<Result<Vec<K>, _>>()? {
        if !wanted.contains_key(&key) {
            map.remove(&key)?;
            changed = true;
        }
    }
    for (key, value) in wanted {
        if map.get(key, 0).ok() != Some(*value) {
            map.insert(key, value, 0)?;
            changed = true;
        }
    }
    Ok(changed)
}
