//! The programs, loaded for one test, with ports, addresses, routes and neighbours in a fresh network namespace.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{Array, ArrayOfMaps, DevMap, HashMap, MapData, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::xdp::XdpLinkId;
use aya::programs::{Program, SchedClassifier, TestRunOptions, Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader, TestRun};
use plan::HostFacts;
use plan::facts::HostLink;
use router_common::maps::control::{CONTROL, Control, flag};
use router_common::maps::counter::{Counter, PORT_COUNTERS, PortCounters, REASONS};
use router_common::maps::event::{EVENTS, Event, TRACE, TraceFilter};
use router_common::maps::flow::{self, Flow4, Flow6, Tracking, tracking};
use router_common::maps::fragment::{HELD, Held};
use router_common::maps::handover::{Handover, MAGIC};
use router_common::maps::image::{self, Record};
use router_common::maps::port::{PORT_SLOTS, PORTS, Port, SETTINGS, Settings, TX_PORTS, port_flag};
use router_common::maps::route::{self, FailedKey};
use router_common::maps::rule::{self, PathKey};
use router_common::maps::scratch::{self, SCRATCH, Scratch};
use router_common::verdict::Reason;

use super::reset::reset;

/// A map struct as user space hands it to the kernel.
macro_rules! pod {
    ($($wrapper:ident($inner:ty)),*) => {$(
        #[repr(transparent)]
        #[derive(Clone, Copy)]
        struct $wrapper($inner);
        // SAFETY: repr(C) without padding or pointers; every bit pattern is valid.
        unsafe impl aya::Pod for $wrapper {}
    )*};
}
pod!(
    ControlPod(Control),
    PortPod(Port),
    SettingsPod(Settings),
    CounterPod(Counter),
    PortCountersPod(PortCounters),
    ScratchPod(Scratch),
    FilterPod(TraceFilter),
    FailedPod(FailedKey),
    TrackingPod(Tracking),
    Flow4Pod(Flow4),
    Flow6Pod(Flow6),
    PathPod(PathKey)
);

fn is_live(word: u64) -> bool {
    word as u32 & flow::status::LIFE == flow::status::LIVE
}

/// Which program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Xdp,
    TcIngress,
    TcEgress,
}

/// What a packet has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The program's return value.
    pub action: u32,
    /// Names of the reasons under which it was counted.
    pub reasons: Vec<&'static str>,
    /// Egress port's name, where it left.
    pub egress: Option<String>,
    pub next_hop: Option<IpAddr>,
    /// The frame as it left the program.
    pub frame: Vec<u8>,
    /// What XDP tells tc.
    pub handover: Option<Handover>,
    /// The skb's mark (tc).
    pub mark: u32,
}

/// A port as the tests set it up; MTU and the like are asked of the FIB.
pub fn port(flags: u32, mac: [u8; 6], address4: [u8; 4], address6: [u8; 16]) -> Port {
    Port { flags, mtu_bytes: 1500, mac, address4, address6, ..Port::default() }
}

/// Buckets of each flow table.
const FLOW_BUCKETS: u32 = 1024;

pub fn settings() -> Settings {
    Settings { mark_mask: 0xff00_0000, mark_done: 0x0100_0000, icmp_rate: 0, reserved: 0 }
}

/// Programs that no test uses now. Going through them takes the verifier seconds, and minutes in an emulated machine.
static IDLE: Mutex<Vec<Ebpf>> = Mutex::new(Vec::new());

pub struct Rig {
    /// None once it is given back.
    ebpf: Option<Ebpf>,
    links: Vec<XdpLinkId>,
    ports: BTreeMap<String, u32>,
    cpu: usize,
    /// Of IPv4.
    flow_buckets: u32,
}

/// What tracking knows of the rules.
const OF_RULES: u32 = tracking::NO_TYPES
    | tracking::NO_LISTS
    | tracking::SHIELD4
    | tracking::SHIELD6
    | tracking::MSS
    | tracking::OPTIONS
    | tracking::PAYLOAD;

/// Loads the programs, but for those of the slow path: few tables need them.
fn load(flow_buckets: u32) -> Result<Ebpf> {
    let mut loader = EbpfLoader::new();
    let entries = u32::try_from(aya::util::nr_cpus().map_err(|(_, error)| error)?)? * route::ROUTE_SLOTS;
    for map in [route::ROUTES4, route::ROUTES6, route::SOURCES4, route::SOURCES6] {
        loader.map_max_entries(map, entries);
    }
    let tables = [
        ([flow::FLOWS4, flow::SIDES4], flow::BUCKETS4, flow_buckets),
        ([flow::FLOWS6, flow::SIDES6], flow::BUCKETS6, FLOW_BUCKETS),
    ];
    for (entries, places, buckets) in tables {
        for map in entries {
            loader.map_max_entries(map, buckets * flow::BUCKET_SLOTS);
        }
        loader.map_max_entries(places, buckets);
    }
    ensure!(!dataplane::object().is_empty(), "built without the data plane: run cargo xtask build");
    let mut ebpf = loader.load(dataplane::object())?;
    let is_slow = |name: &str| scratch::TAIL_CALLS.iter().any(|(_, program)| *program == name);
    for (name, program) in ebpf.programs_mut().filter(|(name, _)| !is_slow(name)) {
        match program {
            Program::Xdp(program) => program.load(),
            Program::SchedClassifier(program) => program.load(),
            Program::RawTracePoint(program) => program.load(),
            _ => bail!("program {name} is of an unknown type"),
        }
        .with_context(|| format!("load {name}"))?;
    }
    Ok(ebpf)
}

impl Rig {
    /// Enters a new network namespace with this thread and loads the programs. `batch` is what `ip -batch` shall
    /// set up: routers' links are named `ether...`, all others speak no IPv6. `ports` are the managed ones, veths among it, by name.
    pub fn new(batch: &str, ports: &[(&str, Port)]) -> Result<Rig> {
        Rig::sized(batch, ports, FLOW_BUCKETS)
    }

    /// As [`Rig::new`], with a table of so many buckets for the flows of IPv4.
    pub fn sized(batch: &str, ports: &[(&str, Port)], flow_buckets: u32) -> Result<Rig> {
        // SAFETY: the file descriptor table stays shared; only this thread's namespace changes.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.context("unshare")?;
        let cpu = rustix::thread::sched_getcpu();
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu);
        rustix::thread::sched_setaffinity(None, &set).context("pin to a CPU")?;
        for (name, value) in [
            ("ipv4/conf/all/forwarding", "1"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/addr_gen_mode", "1"),
            ("ipv6/conf/default/disable_ipv6", "1"),
        ] {
            sysctl(name, value)?;
        }
        // The hosts stay silent: their group reports would run through the programs as well.
        let (links, rest): (Vec<&str>, Vec<&str>) =
            batch.lines().partition(|line| line.starts_with("link add"));
        ip(&links.join("\n"))?;
        for device in std::fs::read_dir("/proc/sys/net/ipv6/conf")? {
            let name = device?.file_name().to_string_lossy().into_owned();
            if name.starts_with("ether") || name == "lo" {
                sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "0")?;
            }
        }
        ip(&rest.join("\n"))?;
        let idle = match flow_buckets {
            FLOW_BUCKETS => IDLE.lock().map_or(None, |mut idle| idle.pop()),
            _ => None,
        };
        let ebpf = match idle {
            Some(ebpf) => ebpf,
            None => load(flow_buckets)?,
        };
        let mut rig = Rig { ebpf: Some(ebpf), links: Vec::new(), ports: BTreeMap::new(), cpu, flow_buckets };
        rig.set_settings(settings())?;
        for (index, (name, port)) in ports.iter().enumerate() {
            let ifindex = index_of(name)?;
            rig.ports.insert((*name).to_owned(), ifindex);
            // A test run takes the receive queue of the ingress device, which a veth has only with a program.
            let program: &mut Xdp =
                rig.ebpf_mut()?.program_mut("xdp_port").context("xdp_port")?.try_into()?;
            let link = program.attach(name, XdpMode::Driver);
            rig.links.push(link.with_context(|| format!("attach to {name}"))?);
            let port = Port { ifindex, tx_index: index as u32 + 1, ..*port };
            rig.set_port(port)?;
            if port.flags & port_flag::XDP_TX != 0 {
                let mut devices: DevMap<_> = rig.map_mut(TX_PORTS)?.try_into()?;
                devices.set(port.tx_index, ifindex, None, 0)?;
            }
        }
        rig.control(|control| {
            control.route_epoch = 1;
            control.flags = flag::CACHE_ROUTES | flag::RECORD;
            control.flow_seed = 0x5eed;
            control.flow_mask4 = flow_buckets - 1;
            control.flow_mask6 = FLOW_BUCKETS - 1;
        })?;
        Ok(rig)
    }

    fn ebpf(&self) -> Result<&Ebpf> {
        self.ebpf.as_ref().context("given back")
    }

    fn ebpf_mut(&mut self) -> Result<&mut Ebpf> {
        self.ebpf.as_mut().context("given back")
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut aya::maps::Map> {
        self.ebpf_mut()?.map_mut(name).with_context(|| format!("map {name}"))
    }

    fn array<T: aya::Pod>(&mut self, name: &str) -> Result<Array<&mut MapData, T>> {
        Ok(self.map_mut(name)?.try_into()?)
    }

    fn per_cpu<T: aya::Pod>(&mut self, name: &str) -> Result<PerCpuArray<&mut MapData, T>> {
        Ok(self.map_mut(name)?.try_into()?)
    }

    pub fn ifindex(&self, name: &str) -> Option<u32> {
        self.ports.get(name).copied()
    }

    /// Writes a port into the active slot's table, at its first bucket.
    pub fn set_port(&mut self, port: Port) -> Result<()> {
        let slot = self.read_control()?.generation & 1;
        let index = slot * PORT_SLOTS + (port.ifindex & (PORT_SLOTS - 1));
        Ok(self.array::<PortPod>(PORTS)?.set(index, PortPod(port), 0)?)
    }

    /// Changes a port of the active slot.
    pub fn port(&mut self, name: &str, change: impl FnOnce(&mut Port)) -> Result<()> {
        let ifindex = self.ifindex(name).with_context(|| format!("no port {name}"))?;
        let slot = self.read_control()?.generation & 1;
        let index = slot * PORT_SLOTS + (ifindex & (PORT_SLOTS - 1));
        let mut port = self.array::<PortPod>(PORTS)?.get(&index, 0)?.0;
        change(&mut port);
        self.array::<PortPod>(PORTS)?.set(index, PortPod(port), 0)?;
        // As after every change of an image, nothing remembered holds.
        self.control(|control| control.route_epoch += 1)
    }

    pub fn set_settings(&mut self, settings: Settings) -> Result<()> {
        for slot in 0..2 {
            self.array::<SettingsPod>(SETTINGS)?.set(slot, SettingsPod(settings), 0)?;
        }
        Ok(())
    }

    /// Puts the programs of the slow path into place, or takes them away: then only the fast path forwards.
    pub fn slow_path(&mut self, on: bool) -> Result<()> {
        for (map, name) in scratch::TAIL_CALLS {
            let program = self.ebpf_mut()?.program_mut(name).with_context(|| format!("program {name}"))?;
            if program.fd().is_err() {
                match program {
                    Program::Xdp(program) => program.load(),
                    Program::SchedClassifier(program) => program.load(),
                    _ => bail!("program {name} is of an unknown type"),
                }
                .with_context(|| format!("load {name}"))?;
            }
            let fd = program.fd()?.try_clone()?;
            let mut slow: ProgramArray<_> = self.map_mut(map)?.try_into()?;
            match on {
                true => slow.set(0, &fd, 0)?,
                false => slow.clear_index(&0)?,
            }
        }
        Ok(())
    }

    /// Has packets tracked, with these settings.
    pub fn track(&mut self, tracking: Tracking) -> Result<()> {
        for slot in 0..2 {
            self.array::<TrackingPod>(flow::TRACKING)?.set(slot, TrackingPod(tracking), 0)?;
        }
        self.slow_path(true)?;
        // Decisions of generation 0 are none.
        self.control(|control| {
            control.flags |= flag::FIREWALL;
            control.generation = 2;
        })
    }

    /// Puts rules in force, given as RouterOS text, with what tracking has to know of them; interfaces are the ports of this rig. Counters go on by the place of
    /// the rule.
    pub fn rules(&mut self, text: &str) -> Result<()> {
        let link = |(name, ifindex): (&String, &u32)| HostLink {
            ifindex: *ifindex,
            name: name.clone(),
            mac: vec![2, 0, 0, 0, 0, 1],
            mtu_bytes: 1500,
            ..HostLink::default()
        };
        let facts = HostFacts { links: self.ports.iter().map(link).collect(), ..HostFacts::default() };
        let tree = config::import(&config::Tree::new(), text).with_context(|| text.to_owned())?.tree;
        let desired = plan::compile(&tree, &facts).with_context(|| text.to_owned())?;
        ensure!(desired.gaps.is_empty(), "{:?}", desired.gaps);
        let image = &desired.image.rules;
        let mut cells = image.cells.clone();
        cells.resize(cells.len().max(3), [0; 8]);
        for (slot, placed) in (0..).zip(&image.rules) {
            let cell = &mut cells[placed.cell as usize];
            let mut rule = *image::Rule::of(cell);
            rule.slot = slot;
            *cell = rule.cell();
        }
        // Both slots, because the ports of this rig stand in one of them.
        for slot in 0..2 {
            let mut inner: Array<MapData, image::Cell> =
                Array::create(cells.len() as u32, 1 << 10 | 1 << 12)?;
            for (index, cell) in (0..).zip(&cells) {
                inner.set(index, cell, 0)?;
            }
            let mut outer: ArrayOfMaps<_, Array<MapData, image::Cell>> =
                self.map_mut(image::IMAGES)?.try_into()?;
            outer.set(slot, &inner, 0)?;
            let mut settings = self.array::<TrackingPod>(flow::TRACKING)?;
            let TrackingPod(mut tracking) = settings.get(&slot, 0)?;
            tracking.flags = tracking.flags & !OF_RULES | desired.image.tracking.flags & OF_RULES;
            tracking.empty = desired.image.tracking.empty;
            settings.set(slot, TrackingPod(tracking), 0)?;
        }
        self.control(|control| control.generation += 2)
    }

    /// Packets and bytes of one slot.
    pub fn counted_at(&mut self, slot: u32) -> Result<(u64, u64)> {
        let counted = self.counted_in(slot..slot + 1)?;
        counted.first().copied().context("a slot")
    }

    /// Packets and bytes of the rules in their order, IPv4 first; also of packets that took the fast path.
    pub fn counted(&mut self, rules: u32) -> Result<Vec<(u64, u64)>> {
        self.counted_in(0..rules)
    }

    fn counted_in(&mut self, slots: std::ops::Range<u32>) -> Result<Vec<(u64, u64)>> {
        let mut counted = Vec::new();
        for slot in slots.clone() {
            counted.push(self.sum(rule::RULE_COUNTERS, slot)?);
        }
        let paths: HashMap<_, PathPod, u32> = self.map_mut(rule::PATHS)?.try_into()?;
        let paths = paths.iter().collect::<Result<Vec<_>, _>>()?;
        for (PathPod(key), id) in paths {
            let (packets, bytes) = self.sum(rule::PATH_COUNTERS, id)?;
            for slot in &key.slots[..key.count as usize] {
                let place = slot.wrapping_sub(slots.start) as usize;
                if let Some(sum) = counted.get_mut(place) {
                    *sum = (sum.0 + packets, sum.1 + bytes);
                }
            }
        }
        Ok(counted)
    }

    fn sum(&mut self, map: &str, index: u32) -> Result<(u64, u64)> {
        let values = self.per_cpu::<CounterPod>(map)?.get(&index, 0)?;
        Ok(values.iter().fold((0, 0), |sum, value| (sum.0 + value.0.packets, sum.1 + value.0.bytes)))
    }

    /// The packets that rules have logged since the last call.
    pub fn logged(&mut self) -> Result<Vec<rule::Logged>> {
        let mut ring: RingBuf<_> = self.map_mut(rule::RULE_LOG)?.try_into()?;
        let mut logged = Vec::new();
        while let Some(item) = ring.next() {
            ensure!(item.len() == size_of::<rule::Logged>(), "a record of {} bytes", item.len());
            // SAFETY: plain old data of that size.
            logged.push(unsafe { item.as_ptr().cast::<rule::Logged>().read_unaligned() });
        }
        Ok(logged)
    }

    /// The fragments that were given to the daemon since the last call.
    pub fn held(&mut self) -> Result<Vec<(Held, Vec<u8>)>> {
        let mut ring: RingBuf<_> = self.map_mut(HELD)?.try_into()?;
        let mut held = Vec::new();
        while let Some(item) = ring.next() {
            let (about, frame) = item.split_at_checked(size_of::<Held>()).context("a short record")?;
            // SAFETY: plain old data of that size.
            let about = unsafe { about.as_ptr().cast::<Held>().read_unaligned() };
            held.push((about, frame.get(..about.length_bytes as usize).context("a short frame")?.to_vec()));
        }
        Ok(held)
    }

    /// The IPv4 flows that live.
    pub fn flows4(&mut self) -> Result<Vec<Flow4>> {
        let map = self.array::<Flow4Pod>(flow::FLOWS4)?;
        let flows = map.iter().collect::<Result<Vec<_>, _>>()?.into_iter().map(|pod| pod.0);
        Ok(flows.filter(|flow| is_live(flow.entry.word)).collect())
    }

    /// Changes the IPv4 flows that live.
    pub fn change_flows4(&mut self, change: impl Fn(&mut Flow4)) -> Result<()> {
        let mut map = self.array::<Flow4Pod>(flow::FLOWS4)?;
        for index in 0..map.len() {
            let mut flow = map.get(&index, 0)?;
            if is_live(flow.0.entry.word) {
                change(&mut flow.0);
                map.set(index, flow, 0)?;
            }
        }
        Ok(())
    }

    pub fn flows6(&mut self) -> Result<Vec<Flow6>> {
        let map = self.array::<Flow6Pod>(flow::FLOWS6)?;
        let flows = map.iter().collect::<Result<Vec<_>, _>>()?.into_iter().map(|pod| pod.0);
        Ok(flows.filter(|flow| is_live(flow.entry.word)).collect())
    }

    pub fn read_control(&mut self) -> Result<Control> {
        Ok(self.array::<ControlPod>(CONTROL)?.get(&0, 0)?.0)
    }

    pub fn control(&mut self, change: impl FnOnce(&mut Control)) -> Result<()> {
        let mut control = self.read_control()?;
        change(&mut control);
        Ok(self.array::<ControlPod>(CONTROL)?.set(0, ControlPod(control), 0)?)
    }

    /// Makes an address one of the host's own, as far as the programs know.
    pub fn local(&mut self, address: IpAddr) -> Result<()> {
        match address {
            IpAddr::V4(address) => {
                let mut map: HashMap<_, [u8; 4], u32> = self.map_mut(route::LOCALS4)?.try_into()?;
                map.insert(address.octets(), 1, 0)?;
            }
            IpAddr::V6(address) => {
                let mut map: HashMap<_, [u8; 16], u32> = self.map_mut(route::LOCALS6)?.try_into()?;
                map.insert(address.octets(), 1, 0)?;
            }
        }
        Ok(())
    }

    /// Marks a next hop as failed up to, not including, a tick.
    pub fn failed(&mut self, port: &str, next_hop: IpAddr, until_tick: u32) -> Result<()> {
        let key = FailedKey {
            ifindex: self.ifindex(port).context("no such port")?,
            next_hop: match next_hop {
                IpAddr::V4(address) => {
                    let [a, b, c, d] = address.octets();
                    [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
                }
                IpAddr::V6(address) => address.octets(),
            },
        };
        let mut map: HashMap<_, FailedPod, u32> = self.map_mut(route::FAILED)?.try_into()?;
        Ok(map.insert(FailedPod(key), until_tick, 0)?)
    }

    pub fn trace(&mut self, filter: Option<TraceFilter>) -> Result<()> {
        if let Some(filter) = filter {
            self.array::<FilterPod>(TRACE)?.set(0, FilterPod(filter), 0)?;
        }
        self.control(|control| match filter {
            Some(_) => control.flags |= flag::TRACE,
            None => control.flags &= !flag::TRACE,
        })
    }

    /// The events since the last call.
    pub fn events(&mut self) -> Result<Vec<Event>> {
        let mut ring: RingBuf<_> = self.map_mut(EVENTS)?.try_into()?;
        let mut events = Vec::new();
        while let Some(item) = ring.next() {
            ensure!(item.len() == size_of::<Event>(), "event of {} bytes", item.len());
            // SAFETY: Event is plain old data of that size.
            events.push(unsafe { item.as_ptr().cast::<Event>().read_unaligned() });
        }
        Ok(events)
    }

    /// Packets and bytes per reason, over all CPUs; reasons without packets are left out.
    pub fn reasons(&mut self) -> Result<BTreeMap<Reason, Counter>> {
        let map = self.per_cpu::<CounterPod>(REASONS)?;
        let mut found = BTreeMap::new();
        for reason in Reason::ALL {
            let mut sum = Counter::default();
            for value in map.get(&u32::from(*reason as u16), 0)?.iter() {
                sum.packets += value.0.packets;
                sum.bytes += value.0.bytes;
            }
            if sum.packets != 0 {
                found.insert(*reason, sum);
            }
        }
        Ok(found)
    }

    pub fn port_counters(&mut self, name: &str) -> Result<PortCounters> {
        let position = self.ports.keys().len();
        let index = self.tx_index(name).with_context(|| format!("no port {name} among {position}"))?;
        let map = self.per_cpu::<PortCountersPod>(PORT_COUNTERS)?;
        let mut sum = PortCounters::default();
        for value in map.get(&index, 0)?.iter() {
            for (to, from) in [
                (&mut sum.xdp, value.0.xdp),
                (&mut sum.tc, value.0.tc),
                (&mut sum.host, value.0.host),
                (&mut sum.drop, value.0.drop),
                (&mut sum.sent, value.0.sent),
            ] {
                to.packets += from.packets;
                to.bytes += from.bytes;
            }
        }
        Ok(sum)
    }

    fn tx_index(&mut self, name: &str) -> Option<u32> {
        let ifindex = self.ifindex(name)?;
        let slot = self.read_control().ok()?.generation & 1;
        let index = slot * PORT_SLOTS + (ifindex & (PORT_SLOTS - 1));
        Some(self.array::<PortPod>(PORTS).ok()?.get(&index, 0).ok()?.0.tx_index)
    }

    /// Runs a program on a frame that comes in at (or, for tc egress, leaves) the port of that name.
    pub fn run(&mut self, hook: Hook, port: &str, frame: &[u8]) -> Result<Answer> {
        self.run_with(hook, port, frame, |_| {})
    }

    /// As [`Rig::run`], with fields of the tc context set.
    pub fn run_with(
        &mut self,
        hook: Hook,
        port: &str,
        frame: &[u8],
        context: impl FnOnce(&mut SkbContext),
    ) -> Result<Answer> {
        let before = self.reasons()?;
        let ifindex = match self.ifindex(port) {
            Some(ifindex) => ifindex,
            None => index_of(port)?,
        };
        let mut out = vec![0u8; frame.len() + 512];
        let mut context_out = [0u8; 256];
        let (result, mark) = match hook {
            Hook::Xdp => {
                let md = xdp_md(frame.len() as u32, ifindex);
                let program: &Xdp = self.ebpf()?.program("xdp_port").context("xdp_port")?.try_into()?;
                let result = program.test_run(TestRunOptions {
                    data_in: Some(frame),
                    data_out: Some(&mut out),
                    ctx_in: Some(&md),
                    ctx_out: Some(&mut context_out[..md.len()]),
                    ..TestRunOptions::default()
                })?;
                (result, 0)
            }
            Hook::TcIngress | Hook::TcEgress => {
                let mut skb = SkbContext { ifindex, ..SkbContext::default() };
                context(&mut skb);
                let bytes = skb.bytes();
                let name = if hook == Hook::TcIngress { "tc_ingress" } else { "tc_egress" };
                let program: &SchedClassifier = self.ebpf()?.program(name).context(name)?.try_into()?;
                let result = program.test_run(TestRunOptions {
                    data_in: Some(frame),
                    data_out: Some(&mut out),
                    ctx_in: Some(&bytes),
                    ctx_out: Some(&mut context_out[..bytes.len()]),
                    ..TestRunOptions::default()
                })?;
                let mark = u32::from_ne_bytes(context_out[8..12].try_into()?);
                (result, mark)
            }
        };
        out.truncate(result.data_size_out as usize);
        let mut handover = None;
        if hook == Hook::Xdp {
            // Metadata comes out before the frame; `data` in the context says where the frame begins.
            let data = u32::from_ne_bytes(context_out[0..4].try_into()?) as usize;
            ensure!(data <= out.len(), "metadata of {data} bytes");
            let frame = out.split_off(data);
            if out.len() == size_of::<Handover>() {
                // SAFETY: plain old data of that size.
                let found = unsafe { out.as_ptr().cast::<Handover>().read_unaligned() };
                ensure!(found.magic == MAGIC, "metadata without magic");
                handover = Some(found);
            }
            out = frame;
        }
        let after = self.reasons()?;
        let reasons = after
            .iter()
            .filter(|(reason, count)| before.get(reason).is_none_or(|was| was.packets != count.packets))
            .map(|(reason, _)| reason.name())
            .collect();
        let index = if hook == Hook::Xdp { scratch::XDP } else { scratch::TC };
        let cpu = self.cpu;
        let last = self.per_cpu::<ScratchPod>(SCRATCH)?.get(&index, 0)?.get(cpu).context("cpu")?.0.last;
        let egress = match last.egress {
            0 => None,
            index => Some(name_of(index)?),
        };
        let next_hop = (last.next_hop != [0; 16]).then(|| match last.next_hop {
            [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => IpAddr::from([a, b, c, d]),
            address => IpAddr::from(address),
        });
        Ok(Answer { action: result.return_value, reasons, egress, next_hop, frame: out, handover, mark })
    }

    /// Runs XDP on a frame and looks at nothing but the verdict and the frame, which `out` holds then: for many packets,
    /// and from any thread.
    pub fn fire(&self, port: &str, frame: &[u8], out: &mut Vec<u8>) -> Result<u32> {
        let md = xdp_md(frame.len() as u32, self.ifindex(port).context("no such port")?);
        let program: &Xdp = self.ebpf()?.program("xdp_port").context("xdp_port")?.try_into()?;
        out.resize(frame.len() + 512, 0);
        let result = program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(out),
            ctx_in: Some(&md),
            ..TestRunOptions::default()
        })?;
        out.truncate(result.data_size_out as usize);
        Ok(result.return_value)
    }

    /// Instructions that the verifier went through, per program.
    pub fn verified_instructions(&self) -> Result<BTreeMap<String, u32>> {
        let mut counts = BTreeMap::new();
        for (name, program) in self.ebpf()?.programs() {
            let info = program.info()?;
            if let Some(count) = info.verified_instruction_count() {
                counts.insert(name.to_owned(), count);
            }
        }
        Ok(counts)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let Some(mut ebpf) = self.ebpf.take() else { return };
        if self.flow_buckets != FLOW_BUCKETS {
            return;
        }
        let mut give_back = || -> Result<()> {
            let program: &mut Xdp = ebpf.program_mut("xdp_port").context("xdp_port")?.try_into()?;
            for link in self.links.drain(..) {
                program.detach(link)?;
            }
            ebpf.maps_mut().try_for_each(|(name, map)| reset(name, map))
        };
        match (give_back(), IDLE.lock()) {
            (Ok(()), Ok(mut idle)) => idle.push(ebpf),
            // The next test loads its own.
            (Err(error), _) => eprintln!("programs not kept: {error:#}"),
            _ => {}
        }
    }
}

/// The fields of `struct __sk_buff` that a test run takes (net/bpf/test_run.c, convert___skb_to_skb).
#[derive(Clone, Copy, Debug, Default)]
pub struct SkbContext {
    pub mark: u32,
    pub ingress_ifindex: u32,
    pub ifindex: u32,
    pub gso_segs: u32,
    pub gso_size: u32,
}

impl SkbContext {
    fn bytes(&self) -> [u8; 192] {
        let mut bytes = [0; 192];
        // Offsets in include/uapi/linux/bpf.h, struct __sk_buff.
        for (offset, value) in [
            (8, self.mark),
            (36, self.ingress_ifindex),
            (40, self.ifindex),
            (164, self.gso_segs),
            (176, self.gso_size),
        ] {
            bytes[offset..offset + 4].copy_from_slice(&value.to_ne_bytes());
        }
        bytes
    }
}

fn xdp_md(length: u32, ifindex: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[4..8].copy_from_slice(&length.to_ne_bytes());
    bytes[12..16].copy_from_slice(&ifindex.to_ne_bytes());
    bytes
}

pub fn sysctl(name: &str, value: &str) -> Result<()> {
    let path = format!("/proc/sys/net/{name}");
    std::fs::write(&path, value).with_context(|| format!("write {value} to {path}"))
}

pub fn ip(batch: &str) -> Result<()> {
    let mut child = Command::new("ip").args(["-force", "-batch", "-"]).stdin(Stdio::piped()).spawn()?;
    child.stdin.take().context("stdin")?.write_all(format!("{batch}\n").as_bytes())?;
    ensure!(child.wait()?.success(), "ip -batch failed");
    Ok(())
}

fn index_of(name: &str) -> Result<u32> {
    rustix::net::netdevice::name_to_index(socket()?, name).with_context(|| format!("no link {name}"))
}

fn name_of(ifindex: u32) -> Result<String> {
    rustix::net::netdevice::index_to_name(socket()?, ifindex).with_context(|| format!("no link {ifindex}"))
}

fn socket() -> Result<rustix::fd::OwnedFd> {
    use rustix::net::{AddressFamily, SocketType, socket};
    Ok(socket(AddressFamily::INET, SocketType::DGRAM, None)?)
}
