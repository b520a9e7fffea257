//! The eBPF object: what it is made of, and how it gets into the kernel.

use std::collections::BTreeMap;
use std::fs;

use aya::maps::{MapData, ProgramArray};
use aya::programs::{Program, ProgramFd, RawTracePoint, SchedClassifier, Xdp};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use aya_obj::Object;
use router_common::maps::flow::{self, Bucket, Flow4, Flow6, Side};
use router_common::maps::{route, scratch};

use crate::Error;
use crate::btf;
use crate::pin::{self, Pins};

pub const XDP_PORT: &str = "xdp_port";
pub const TC_INGRESS: &str = "tc_ingress";
pub const TC_EGRESS: &str = "tc_egress";
pub const DEAD_MAN: &str = "dead_man";
/// Constant of the object: 0 where the programs need not know of a firewall.
const WITH_FIREWALL: &str = "WITH_FIREWALL";
/// Constant of the object: where `struct net_device` has its `ifindex`.
const NET_DEVICE_IFINDEX: &str = "NET_DEVICE_IFINDEX";

static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/router-ebpf"));
/// The embedded object; empty where it was not built.
pub fn bytes() -> &'static [u8] {
    OBJECT
}

/// Hash of the ABI's source, see build.rs.
const ABI_SOURCE_HASH: &str = env!("ABI_SOURCE_HASH");

/// Maps whose size depends on the host, and that size.
fn sizes(cpus: u32) -> Vec<(&'static str, u32)> {
    let entries = cpus * route::ROUTE_SLOTS;
    let caches = [route::ROUTES4, route::ROUTES6, route::SOURCES4, route::SOURCES6];
    let mut sizes: Vec<_> = caches.into_iter().map(|name| (name, entries)).collect();
    for (names, buckets) in [
        ([flow::BUCKETS4, flow::FLOWS4, flow::SIDES4], flow_buckets(FLOW4_BYTES)),
        ([flow::BUCKETS6, flow::FLOWS6, flow::SIDES6], flow_buckets(4 * FLOW6_BYTES)),
    ] {
        let [bucket, flows, sides] = names;
        sizes.extend([
            (bucket, buckets),
            (flows, buckets * flow::BUCKET_SLOTS),
            (sides, buckets * flow::BUCKET_SLOTS),
        ]);
    }
    sizes
}

/// Memory of one direction of a connection.
const FLOW4_BYTES: usize =
    size_of::<Flow4>() + size_of::<Side>() + size_of::<Bucket>() / flow::BUCKET_SLOTS as usize;
const FLOW6_BYTES: usize =
    size_of::<Flow6>() + size_of::<Side>() + size_of::<Bucket>() / flow::BUCKET_SLOTS as usize;

/// Buckets of a flow table, a power of two: a sixteenth of the host's memory, and not more than a million connections
/// need at 80 % fill.
fn flow_buckets(entry_bytes: usize) -> u32 {
    const MOST: u64 = 1 << 22;
    let memory = rustix::system::sysinfo();
    let bytes = memory.totalram.saturating_mul(u64::from(memory.mem_unit)) / 16;
    let entries = (bytes / entry_bytes as u64).clamp(1 << 12, MOST);
    (1 << entries.ilog2()) / flow::BUCKET_SLOTS
}

/// CPUs that this host can ever have: the size of per-CPU values.
pub fn possible_cpus() -> Result<u32, Error> {
    let count = aya::util::nr_cpus().map_err(|(path, source)| Error::Io {
        action: "read",
        path: path.into(),
        source,
    })?;
    Ok(count as u32)
}

/// Names the ABI of the pinned state: equal fingerprints can share it. Covers the ABI's source (names, fields,
/// constants), the object's map definitions and the number of CPUs, which sizes some maps.
pub fn fingerprint() -> Result<String, Error> {
    if OBJECT.is_empty() {
        return Err(Error::NoObject);
    }
    let object = Object::parse(OBJECT).map_err(|error| Error::Load(error.into()))?;
    let maps: BTreeMap<&str, [u32; 5]> = object
        .maps
        .iter()
        .filter(|(name, _)| is_pinned(name))
        .map(|(name, map)| {
            let shape =
                [map.map_type(), map.key_size(), map.value_size(), map.max_entries(), map.map_flags()];
            (name.as_str(), shape)
        })
        .collect();
    Ok(digest(ABI_SOURCE_HASH, &maps, possible_cpus()?))
}

fn digest(abi: &str, maps: &BTreeMap<&str, [u32; 5]>, cpus: u32) -> String {
    let text = format!("{abi} {cpus} {maps:?}");
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// Constants of the object (`.rodata`) belong to one load; everything else outlives the daemon.
fn is_pinned(map: &str) -> bool {
    !map.starts_with('.')
}

/// The programs of one load. Dropping them takes nothing off a port: all links are pinned.
pub struct Programs {
    ebpf: Ebpf,
    /// They can do what a firewall needs.
    with_firewall: bool,
}

impl Programs {
    /// Creates the maps that are not pinned yet, takes the others, loads the programs and pins them. Without a firewall
    /// they cost the verifier a sixth, and those of the slow path are left out.
    pub fn load(pins: &Pins, with_firewall: bool) -> Result<Programs, Error> {
        let object = Object::parse(OBJECT).map_err(|error| Error::Load(error.into()))?;
        let ifindex_offset = btf::field_offset("net_device", "ifindex");
        let mut loader = EbpfLoader::new();
        match &ifindex_offset {
            Some(offset) => _ = loader.override_global(NET_DEVICE_IFINDEX, offset, true),
            None => tracing::warn!(
                "the kernel's BTF does not tell where a device has its index: frames that a port's driver \
                 refuses after the redirect are not counted"
            ),
        }
        let flag = u32::from(with_firewall);
        loader.override_global(WITH_FIREWALL, &flag, true);
        for (name, entries) in sizes(possible_cpus()?) {
            loader.map_max_entries(name, entries);
        }
        let names: Vec<&String> = object.maps.keys().filter(|name| is_pinned(name)).collect();
        for name in names {
            loader.map_pin_path(name, pins.map(name));
        }
        let mut programs = Programs { ebpf: loader.load(OBJECT).map_err(Error::Load)?, with_firewall };
        for (name, program) in programs.ebpf.programs_mut() {
            if with_firewall || !is_slow(name) {
                install(pins, name, program)?;
            }
        }
        if with_firewall {
            for (map, name) in scratch::TAIL_CALLS {
                let fd = programs.fd(name)?;
                let mut array: ProgramArray<MapData> = crate::maps::typed(pins, map)?;
                array.set(0, &fd, 0).map_err(Error::map(map))?;
            }
        }
        Ok(programs)
    }

    /// Loads programs that can do what a firewall needs, if these can't. Links still run the former ones.
    pub fn need_firewall(&mut self, pins: &Pins) -> Result<(), Error> {
        if !self.with_firewall {
            *self = Programs::load(pins, true)?;
        }
        Ok(())
    }

    fn fd(&self, name: &str) -> Result<ProgramFd, Error> {
        let program = self.ebpf.program(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
        let fd = program.fd().map_err(Error::program(name))?;
        fd.try_clone().map_err(Error::io("duplicate the descriptor of", name))
    }

    pub fn xdp(&mut self) -> Result<&mut Xdp, Error> {
        self.program(XDP_PORT)
    }
    pub fn tc_ingress(&mut self) -> Result<&mut SchedClassifier, Error> {
        self.program(TC_INGRESS)
    }
    pub fn tc_egress(&mut self) -> Result<&mut SchedClassifier, Error> {
        self.program(TC_EGRESS)
    }
    pub fn dead_man(&mut self) -> Result<&mut SchedClassifier, Error> {
        self.program(DEAD_MAN)
    }

    /// Raw tracepoint programs, each named as its tracepoint.
    pub fn tracepoints(&mut self) -> impl Iterator<Item = (&str, &mut RawTracePoint)> {
        self.ebpf.programs_mut().filter_map(|(name, program)| match program {
            Program::RawTracePoint(program) => Some((name, program)),
            _ => None,
        })
    }

    fn program<'p, P>(&'p mut self, name: &str) -> Result<&'p mut P, Error>
    where
        &'p mut P: TryFrom<&'p mut Program, Error = aya::programs::ProgramError>,
    {
        let program = self.ebpf.program_mut(name).ok_or_else(|| Error::Missing(name.to_owned()))?;
        program.try_into().map_err(Error::program(name))
    }
}

/// Whether a program is one of those that are called through arrays.
fn is_slow(program: &str) -> bool {
    scratch::TAIL_CALLS.iter().any(|(_, name)| *name == program)
}

/// Loads a program and pins it in the place of its predecessor.
fn install(pins: &Pins, name: &str, program: &mut Program) -> Result<(), Error> {
    load(program).map_err(Error::program(name))?;
    let path = pins.programs().join(name);
    // No dot: bpffs refuses names with one.
    let fresh = pins.programs().join(format!("{name}-new"));
    pin::remove(&fresh)?;
    program.pin(&fresh).map_err(|source| Error::Pin { path: fresh.clone(), source })?;
    fs::rename(&fresh, &path).map_err(Error::io("replace", &path))
}

fn load(program: &mut Program) -> Result<(), aya::programs::ProgramError> {
    match program {
        Program::Xdp(program) => program.load(),
        Program::SchedClassifier(program) => program.load(),
        Program::RawTracePoint(program) => program.load(),
        _ => Err(aya::programs::ProgramError::UnexpectedProgramType),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_tells_every_difference_of_the_abi() {
        let maps = BTreeMap::from([("CONTROL", [2, 4, 32, 1, 1024])]);
        let base = digest("a", &maps, 2);
        assert_eq!(base, digest("a", &maps.clone(), 2));
        let other_size = BTreeMap::from([("CONTROL", [2, 4, 40, 1, 1024])]);
        let other_name = BTreeMap::from([("CONTROLS", [2, 4, 32, 1, 1024])]);
        for other in [
            digest("b", &maps, 2),
            digest("a", &maps, 4),
            digest("a", &other_size, 2),
            digest("a", &other_name, 2),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(base.len(), 16);
    }
}
