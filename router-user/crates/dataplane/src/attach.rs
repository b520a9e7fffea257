//! Which way a port runs, and putting the programs there.

use std::fs;

use aya::programs::xdp::XdpMode;
use aya::programs::{SchedClassifier, TcAttachType};
use plan::desired::ImagePort;
use router_common::maps::port::port_flag;
use serde::{Deserialize, Serialize};

use crate::ethtool::{self, RX_VLAN};
use crate::link::{self, HOOKS, XDP};
use crate::netlink::{self, Device, xdp_feature};
use crate::object::Programs;
use crate::pin::Pins;
use crate::{Error, foreign, peer};

/// How the operator wants a port to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Native XDP where that is possible and right, else tc.
    #[default]
    Auto,
    /// Native XDP, also where it can't be checked that no VLAN tag is hidden.
    Xdp,
    Tc,
    /// XDP on socket buffers: copies and linearises.
    Generic,
}

/// How a port runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Running {
    Native,
    Generic,
    Tc,
}

/// A port and how it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    pub name: String,
    pub host_name: String,
    pub ifindex: u32,
    pub driver: String,
    pub mode: Running,
    /// Why this mode, for the operator.
    pub reason: String,
    /// XDP can transmit to it; else frames for it are handed to tc.
    pub tx: bool,
    /// Why it can or can't.
    pub tx_reason: String,
    /// Received frames may have checksums that the sender's device was to finish.
    pub unfinished: bool,
}

impl PortStatus {
    /// The bits of `Port::flags` that depend on how the port runs.
    pub(crate) fn flags(&self) -> u32 {
        let native = if self.mode == Running::Native { port_flag::NATIVE } else { 0 };
        let unfinished = if self.unfinished { port_flag::UNFINISHED } else { 0 };
        native | unfinished | if self.tx { port_flag::XDP_TX } else { 0 }
    }
}

/// Drivers with `ndo_xdp_xmit` in Linux 6.1, which does not tell so itself (6.3 and later do).
const XDP_XMIT_DRIVERS: [&str; 20] = [
    "virtio_net",
    "ixgbe",
    "i40e",
    "ice",
    "igb",
    "igc",
    "mlx5_core",
    "bnxt_en",
    "ena",
    "qede",
    "sfc",
    "mvneta",
    "mvpp2",
    "stmmac",
    "dpaa2-eth",
    "enetc",
    "tun",
    "atlantic",
    "hv_netvsc",
    "tsnep",
];

pub struct Attacher<'a> {
    pub pins: &'a Pins,
    pub programs: &'a mut Programs,
    pub tcx: bool,
    /// Pinned links run programs of another ABI: they are kept until the new image is active.
    pub deferred: bool,
}

impl Attacher<'_> {
    /// Makes the programs run on a port, tc first: what XDP passes up must meet them.
    pub fn attach(&mut self, port: &ImagePort, wish: Mode) -> Result<PortStatus, Error> {
        let ifindex = port.port.ifindex;
        let device = netlink::device(ifindex)?.ok_or_else(|| Error::NoInterface {
            port: port.name.clone(),
            host_name: port.host_name.clone(),
            ifindex,
        })?;
        self.ensure_tc(&device)?;
        let driver = ethtool::Device::open(&device.name).map(|d| d.driver()).unwrap_or_default();
        let ethernet = port.port.flags & port_flag::NO_ETHERNET == 0;
        let (mode, reason) = self.ensure_xdp(&device, &driver, ethernet, wish)?;
        let (tx, tx_reason) = transmits(&device, &driver, mode, wish);
        Ok(PortStatus {
            name: port.name.clone(),
            host_name: device.name.clone(),
            ifindex,
            driver,
            mode,
            reason,
            tx,
            tx_reason,
            unfinished: unfinished(&device, mode),
        })
    }

    fn ensure_tc(&mut self, device: &Device) -> Result<(), Error> {
        for hook in HOOKS {
            let current = match self.tcx {
                true => link::linked_program(self.pins, hook.kind, device.ifindex),
                false => link::own_filter(device.ifindex, hook)?.map(|f| f.program),
            };
            let there = current.is_some_and(|id| !self.tcx || link::tcx_runs(device, hook.attach_type, id));
            let (pins, tcx, deferred) = (self.pins, self.tcx, self.deferred);
            let program = self.tc(hook.attach_type)?;
            let present = current == program.info().ok().map(|info| info.id());
            if there && (deferred || present || link::update_tc(program, pins, device.ifindex, hook, tcx)?) {
                continue;
            }
            link::attach_tc(program, pins, device, hook, tcx)?;
        }
        Ok(())
    }

    fn tc(&mut self, attach_type: TcAttachType) -> Result<&mut SchedClassifier, Error> {
        match attach_type {
            TcAttachType::Egress => self.programs.tc_egress(),
            _ => self.programs.tc_ingress(),
        }
    }

    fn ensure_xdp(
        &mut self,
        device: &Device,
        driver: &str,
        ethernet: bool,
        wish: Mode,
    ) -> Result<(Running, String), Error> {
        let ours = link::linked_program(self.pins, XDP, device.ifindex);
        let there = device.xdp.filter(|(id, _)| Some(*id) == ours);
        if let (None, Some((id, _))) = (there, device.xdp) {
            // A pin of ours belongs to a device that moved away.
            link::detach_xdp(self.pins, device.ifindex)?;
            let name = foreign::program_name(id);
            let reason = format!("another XDP program is attached: {name} (id {id})");
            tracing::warn!(port = device.name, "runs in tc: {reason}");
            return Ok((Running::Tc, reason));
        }
        let (wanted, reason) = match choose(device, driver, ethernet, wish) {
            (Running::Tc, reason) => (Running::Tc, reason),
            (running, reason) => match self.rx_vlan_off(device) {
                Err(trouble) if wish == Mode::Auto => (Running::Tc, trouble),
                Err(trouble) => (running, format!("{reason}; {trouble}")),
                Ok(()) => (running, reason),
            },
        };
        if let Some((_, native)) = there {
            let keep = wanted != Running::Tc && native == (wanted == Running::Native);
            let program = self.programs.xdp()?;
            let present = ours == program.info().ok().map(|info| info.id());
            if keep && (self.deferred || present || link::update_xdp(program, self.pins, device.ifindex)?) {
                return Ok((wanted, reason));
            }
        }
        link::detach_xdp(self.pins, device.ifindex)?;
        let mode = match wanted {
            Running::Tc => {
                restore_rx_vlan(self.pins, device);
                return Ok((Running::Tc, reason));
            }
            Running::Native => XdpMode::Driver,
            Running::Generic => XdpMode::Skb,
        };
        match link::attach_xdp(self.programs.xdp()?, self.pins, device, mode) {
            Ok(()) => Ok((wanted, reason)),
            Err(error) => {
                let cause = root_cause(&error);
                if wish != Mode::Auto {
                    tracing::warn!(port = device.name, "runs in tc: XDP can't be attached: {cause}");
                }
                restore_rx_vlan(self.pins, device);
                Ok((Running::Tc, format!("driver {driver} refuses XDP: {cause}")))
            }
        }
    }

    /// Turns rx VLAN offload off and reads it back: stripped tags are invisible to XDP. What was on is remembered
    /// as a directory on bpffs, which outlives the daemon.
    fn rx_vlan_off(&self, device: &Device) -> Result<(), String> {
        let trouble = |error: std::io::Error| format!("rx VLAN offload can't be checked: {error}");
        let ethtool = ethtool::Device::open(&device.name).map_err(trouble)?;
        for name in RX_VLAN {
            let active = |f: &ethtool::Feature| f.active;
            let on = ethtool.features(&[name]).map_err(trouble)?.into_iter().find(active);
            let Some(feature) = on else { continue };
            if feature.switchable {
                let marker = self.pins.rx_vlan().join(format!("{}-{name}", device.ifindex));
                if let Err(error) = fs::create_dir(&marker)
                    && error.kind() != std::io::ErrorKind::AlreadyExists
                {
                    return Err(trouble(error));
                }
                ethtool.set(&[feature], false).map_err(trouble)?;
            }
            if ethtool.features(&[name]).map_err(trouble)?.iter().any(active) {
                return Err(format!("{name} can't be turned off, so XDP would not see VLAN tags"));
            }
        }
        Ok(())
    }
}

/// Turns on again what [`Attacher::rx_vlan_off`] turned off.
pub fn restore_rx_vlan(pins: &Pins, device: &Device) {
    for name in RX_VLAN {
        let marker = pins.rx_vlan().join(format!("{}-{name}", device.ifindex));
        if !marker.exists() {
            continue;
        }
        let restored = ethtool::Device::open(&device.name)
            .and_then(|ethtool| ethtool.set(&ethtool.features(&[name])?, true));
        if let Err(error) = restored {
            tracing::warn!(port = device.name, "{name} stays off: {error}");
        }
        // bpffs directories are removed like any other; a marker left over costs one needless ioctl later.
        let _ = fs::remove_dir(&marker);
    }
}

/// How a port is to run, and why.
fn choose(device: &Device, driver: &str, ethernet: bool, wish: Mode) -> (Running, String) {
    match wish {
        Mode::Xdp => return (Running::Native, "port mode xdp".to_owned()),
        Mode::Generic => return (Running::Generic, "port mode generic".to_owned()),
        Mode::Tc => return (Running::Tc, "port mode tc".to_owned()),
        Mode::Auto => {}
    }
    let tc = |reason: String| (Running::Tc, reason);
    if !ethernet {
        return tc("the device has no Ethernet header".to_owned());
    }
    if netlink::xdp_features(device.ifindex).is_some_and(|f| f & xdp_feature::BASIC == 0) {
        return tc(format!("driver {driver} has no native XDP"));
    }
    match device.kind.as_str() {
        "veth" => match peer::hides_vlan_tags(device) {
            Some(reason) => tc(reason),
            None => (Running::Native, "driver veth, and its peer sends VLAN tags in the frame".to_owned()),
        },
        "bond" | "team" => tc(format!("members of a {} may strip VLAN tags", device.kind)),
        _ => (Running::Native, format!("driver {driver}")),
    }
}

/// Whether XDP can redirect frames to a port, and why.
fn transmits(device: &Device, driver: &str, mode: Running, wish: Mode) -> (bool, String) {
    match netlink::xdp_features(device.ifindex) {
        Some(features) if features & xdp_feature::NDO_XMIT != 0 => (true, format!("driver {driver} says so")),
        // veth_set_xdp_features: the peer has neither an XDP program nor GRO, so it would lose the frames.
        Some(_) if device.kind == "veth" => (false, "the veth's peer has neither XDP nor GRO on".to_owned()),
        Some(_) => (false, format!("driver {driver} has no ndo_xdp_xmit")),
        None if mode != Running::Native => (false, "XDP does not run natively here".to_owned()),
        None if device.kind == "veth" => match wish {
            Mode::Xdp => (true, "port mode xdp; the peer must have XDP or GRO on".to_owned()),
            _ => (false, "this kernel can't tell whether the veth's peer has XDP or GRO on".to_owned()),
        },
        None if XDP_XMIT_DRIVERS.contains(&driver) => (true, format!("driver {driver} is known to")),
        None => (false, format!("driver {driver} is not known to have ndo_xdp_xmit")),
    }
}

/// Whether what is known of a device asks for another mode, or transmits otherwise, than it did when it was staged.
pub fn has_drifted(port: &PortStatus, wish: Mode) -> bool {
    let Ok(Some(device)) = netlink::device(port.ifindex) else { return false };
    // Only what was staged in tc for a reason of the device's own can become something else by itself.
    let waits = wish == Mode::Auto && port.mode == Running::Tc && device.kind == "veth";
    waits && choose(&device, &port.driver, true, wish).0 != Running::Tc
        || transmits(&device, &port.driver, port.mode, wish).0 != port.tx
        || unfinished(&device, port.mode) != port.unfinished
}

fn unfinished(device: &Device, mode: Running) -> bool {
    mode != Running::Tc && device.kind == "veth" && peer::leaves_checksums(device)
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
