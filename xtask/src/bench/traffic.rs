//! Loads the bench's programs, sends packets and accounts the CPU time they take.

use std::{fs, thread, time::Duration};

use anyhow::{Context as _, Result};
use aya::{
    Ebpf, EbpfLoader, TestRun as _, TestRunOptions,
    maps::PerCpuArray,
    programs::{TestRunAttrs, Xdp, XdpMode, xdp::XdpLinkId},
};
use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

use super::{
    case::Traffic,
    namespace::{G0_MAC, R0_MAC, Topology},
    report::Count,
};

/// 64 bytes on a wire, with the frame check sequence that veth does not have.
const FRAME_BYTES: usize = 60;
/// The least IPv6 UDP frame.
const FRAME6_BYTES: usize = 14 + 40 + 8;
/// Frames that the kernel passes at once.
const BATCH: u32 = 64;

fn frame_bytes(ipv6: bool) -> usize {
    if ipv6 { FRAME6_BYTES } else { FRAME_BYTES }
}

/// Loads the bench's object with this traffic's constants, and the generator; [`attach`] loads the others.
/// `translated_to` is the source address that packets arrive with, 0.0.0.0 where it is their own.
pub fn load(object: &[u8], topology: &Topology, traffic: Traffic, translated_to: [u8; 4]) -> Result<Ebpf> {
    let generator_out = topology.generator.enter(|| ifindex("g0"))??;
    let router_out = topology.router.enter(|| ifindex("r1"))??;
    let macs: Vec<u8> = [R0_MAC, G0_MAC]
        .iter()
        .flat_map(|mac| mac.split(':'))
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<_, _>>()?;
    let macs: [u8; 12] = macs.as_slice().try_into()?;
    let ip_header = if traffic.ipv6 { 40 } else { 20 };
    let udp_length = (frame_bytes(traffic.ipv6) - 14 - ip_header) as u32;
    let mut programs = EbpfLoader::new()
        .override_global("GENERATE_TO", &generator_out, true)
        .override_global("REDIRECT_TO", &router_out, true)
        .override_global("MACS", &macs, true)
        .override_global("IPV6", &u32::from(traffic.ipv6), true)
        .override_global("FLOW_MASK", &(traffic.flows - 1), true)
        .override_global("SOURCE_MASK", &(traffic.sources - 1), true)
        .override_global("DESTINATION_MASK", &(traffic.destinations - 1), true)
        .override_global("SOURCE_STRIDE", &traffic.stride, true)
        .override_global("TRANSLATED_TO", &u32::from_ne_bytes(translated_to), true)
        .override_global("UDP_LENGTH", &udp_length, true)
        .load(object)
        .context("load the bench's programs")?;
    loaded(&mut programs, "generate")?;
    Ok(programs)
}

/// Loads a program and attaches it in native mode to a device of the current namespace, for as long as `programs` lives.
pub fn attach(programs: &mut Ebpf, program: &str, device: &str) -> Result<()> {
    attach_for_now(programs, program, device)?;
    Ok(())
}

/// As [`attach`], until [`detach`].
pub fn attach_for_now(programs: &mut Ebpf, program: &str, device: &str) -> Result<XdpLinkId> {
    let xdp = loaded(programs, program)?;
    xdp.attach(device, XdpMode::Driver).with_context(|| format!("attach {program} to {device}"))
}

pub fn detach(programs: &mut Ebpf, program: &str, link: XdpLinkId) -> Result<()> {
    loaded(programs, program)?.detach(link).with_context(|| format!("detach {program}"))
}

fn loaded<'e>(programs: &'e mut Ebpf, program: &str) -> Result<&'e mut Xdp> {
    let xdp: &mut Xdp = programs
        .program_mut(program)
        .with_context(|| format!("the object has no program {program}"))?
        .try_into()?;
    if xdp.fd().is_err() {
        xdp.load().with_context(|| format!("load {program}"))?;
    }
    Ok(xdp)
}

/// The ifindex of a device of the current namespace.
pub fn ifindex(device: &str) -> Result<u32> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    rustix::net::netdevice::name_to_index(socket, device).with_context(|| format!("find {device}"))
}

/// Sends packets on one CPU, to which it pins the calling thread, and counts what became of them.
pub fn send(programs: &mut Ebpf, cpu: usize, ipv6: bool, packets: u32) -> Result<Count> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    sched_setaffinity(None, &cpus).with_context(|| format!("run on CPU {cpu}"))?;
    setpriority_process(None, -20).context("raise the priority")?;
    let ksoftirqd = Ksoftirqd::find(cpu)?;
    let frame = [0; FRAME6_BYTES];
    let length = frame_bytes(ipv6);
    // struct xdp_md: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
    let mut context = [0; 24];
    context[4..8].copy_from_slice(&(length as u32).to_ne_bytes());

    let before = counters(programs)?;
    let (thread, softirq) = (thread_seconds(), ksoftirqd.seconds()?);
    let generate: &Xdp =
        programs.program("generate").context("the object has no program generate")?.try_into()?;
    generate
        .test_run(TestRunOptions {
            data_in: frame.get(..length),
            ctx_in: Some(&context),
            repeat: packets,
            attrs: TestRunAttrs::new().xdp_live_frames(BATCH),
            ..Default::default()
        })
        .context("send packets")?;
    let thread = thread_seconds() - thread;
    // Waits for what ksoftirqd has taken over.
    let mut arrived = counters(programs)?;
    loop {
        thread::sleep(Duration::from_millis(1));
        let after = counters(programs)?;
        if after == arrived {
            break;
        }
        arrived = after;
    }
    let cpu_seconds = thread + ksoftirqd.seconds()? - softirq;
    let [arrived, bad] = arrived;
    Ok(Count { sent: packets.into(), arrived: arrived - before[0], bad: bad - before[1], cpu_seconds })
}

/// The counters of the sink (or of `drop_counted`) over all CPUs: arrived, bad.
fn counters(programs: &Ebpf) -> Result<[u64; 2]> {
    let map: PerCpuArray<_, u64> =
        programs.map("COUNTERS").context("the object has no map COUNTERS")?.try_into()?;
    let mut sums = [0; 2];
    for (index, sum) in (0..).zip(&mut sums) {
        *sum = map.get(&index, 0)?.iter().sum();
    }
    Ok(sums)
}

fn thread_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The kernel thread that takes over softirq work of a CPU.
struct Ksoftirqd {
    schedstat: String,
}

impl Ksoftirqd {
    fn find(cpu: usize) -> Result<Ksoftirqd> {
        let name = format!("ksoftirqd/{cpu}\n");
        for entry in fs::read_dir("/proc")? {
            let path = entry?.path();
            if fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm == name) {
                return Ok(Ksoftirqd { schedstat: format!("{}/schedstat", path.display()) });
            }
        }
        anyhow::bail!("no process ksoftirqd/{cpu}: run in the initial PID namespace")
    }

    /// CPU time used so far.
    fn seconds(&self) -> Result<f64> {
        let text = fs::read_to_string(&self.schedstat).with_context(|| format!("read {}", self.schedstat))?;
        let nanoseconds: u64 = text.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(nanoseconds as f64 / 1e9)
    }
}
