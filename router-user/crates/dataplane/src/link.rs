//! Attachments of single programs: pinned links (XDP, tcx, tracepoints), and tc filters where there is no tcx.

use std::time::Duration;

use aya::programs::links::{FdLink, Link, LinkOrder, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions, TcHandle, qdisc_add_clsact};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, SchedClassifier, TcAttachType, Xdp};

use crate::Error;
use crate::netlink::{self, Device};
use crate::object::{Programs, TC_EGRESS, TC_INGRESS, XDP_PORT};
use crate::pin::{self, Pins};

/// Kinds of pinned links, the first part of their names.
pub const XDP: &str = "xdp";
pub const INGRESS: &str = "ingress";
pub const EGRESS: &str = "egress";

/// Where our filters stand on kernels without tcx: before all that `tc filter add` numbers itself (49152 and down).
pub const TC_PRIORITY: u16 = 1;
/// "rd": with the priority it names our filter, so that it is replaced in place and never doubled.
pub const TC_HANDLE: u32 = 0x7264;

/// Whether the kernel has tcx (6.6 and later).
pub fn has_tcx() -> bool {
    SchedClassifier::query_tcx("lo", TcAttachType::Ingress).is_ok()
}

/// Id of the program behind a pinned link; None where there is no such pin.
pub fn linked_program(pins: &Pins, kind: &str, ifindex: u32) -> Option<u32> {
    let link = PinnedLink::from_pin(pins.link(kind, ifindex)).ok()?;
    Some(FdLink::from(link).info().ok()?.program_id())
}

/// Attaches `xdp_port` in one mode and pins the link.
pub fn attach_xdp(program: &mut Xdp, pins: &Pins, device: &Device, mode: XdpMode) -> Result<(), Error> {
    let failed = |error: ProgramError| Error::attach(XDP_PORT, &device.name)(error);
    let id = program.attach_to_if_index(device.ifindex, mode).map_err(failed)?;
    let link = program.take_link(id).map_err(failed)?;
    // Fails where aya fell back to netlink, whose attachment would end with this process; dropping it detaches.
    let link = FdLink::try_from(link).map_err(Error::attach(XDP_PORT, &device.name))?;
    pin_link(link, pins, XDP, device.ifindex)
}

/// Puts the present program behind a pinned XDP link; false where the link's device is gone.
pub fn update_xdp(program: &mut Xdp, pins: &Pins, ifindex: u32) -> Result<bool, Error> {
    let path = pins.link(XDP, ifindex);
    let Ok(pinned) = PinnedLink::from_pin(&path) else { return Ok(false) };
    let failed = |error: ProgramError| Error::attach(XDP_PORT, &path.to_string_lossy())(error);
    let Ok(link) = XdpLink::try_from(FdLink::from(pinned)) else { return Ok(false) };
    match program.attach_to_link(link) {
        // The pin holds the link; what aya keeps would be closed with the program anyway.
        Ok(id) => program.take_link(id).map(|_| true).map_err(failed),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Whether a program is attached to a tcx hook of a device.
pub fn tcx_runs(device: &Device, attach_type: TcAttachType, id: u32) -> bool {
    SchedClassifier::query_tcx(&device.name, attach_type)
        .is_ok_and(|(_, programs)| programs.iter().any(|p| p.id() == id))
}

/// One of the two tc hooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    pub kind: &'static str,
    pub program: &'static str,
    pub attach_type: TcAttachType,
}

pub const HOOKS: [Hook; 2] = [
    Hook { kind: INGRESS, program: TC_INGRESS, attach_type: TcAttachType::Ingress },
    Hook { kind: EGRESS, program: TC_EGRESS, attach_type: TcAttachType::Egress },
];

impl Hook {
    pub fn is_egress(&self) -> bool {
        self.attach_type == TcAttachType::Egress
    }
}

/// Attaches a tc program first in order, or replaces ours in place.
pub fn attach_tc(
    program: &mut SchedClassifier,
    pins: &Pins,
    device: &Device,
    hook: Hook,
    tcx: bool,
) -> Result<(), Error> {
    if tcx {
        let options = TcAttachOptions::TcxOrder(LinkOrder::first());
        let failed = |error: ProgramError| Error::attach(hook.program, &device.name)(error);
        let id = program.attach_with_options(&device.name, hook.attach_type, options).map_err(failed)?;
        let link = program.take_link(id).map_err(failed)?;
        let link = FdLink::try_from(link).map_err(Error::attach(hook.program, &device.name))?;
        return pin_link(link, pins, hook.kind, device.ifindex);
    }
    attach_filter(program, device, hook)
}

fn attach_filter(program: &mut SchedClassifier, device: &Device, hook: Hook) -> Result<(), Error> {
    let failed = |error: ProgramError| Error::attach(hook.program, &device.name)(error);
    let id = if own_filter(device.ifindex, hook)?.is_some() {
        program.attach_to_link(filter_link(device, hook)?).map_err(failed)?
    } else {
        // That the qdisc is there already is fine; any other trouble shows in the next step.
        let _ = qdisc_add_clsact(&device.name);
        let options = NlOptions { priority: TC_PRIORITY, handle: TcHandle::from(TC_HANDLE), classid: None };
        program
            .attach_with_options(&device.name, hook.attach_type, TcAttachOptions::Netlink(options))
            .map_err(failed)?
    };
    // Dropping the link would remove the filter, which is to outlive this process.
    std::mem::forget(program.take_link(id).map_err(failed)?);
    Ok(())
}

/// Our filter at a hook. A foreign filter with our priority and handle carries another name and makes attaching fail.
pub fn own_filter(ifindex: u32, hook: Hook) -> Result<Option<netlink::Filter>, Error> {
    Ok(netlink::filters(ifindex, hook.is_egress())?
        .into_iter()
        .find(|f| f.priority == TC_PRIORITY && f.handle == TC_HANDLE && f.name == hook.program))
}

fn filter_link(device: &Device, hook: Hook) -> Result<SchedClassifierLink, Error> {
    SchedClassifierLink::attached(
        &device.name,
        hook.attach_type,
        TC_PRIORITY,
        TcHandle::from(TC_HANDLE),
        None,
    )
    .map_err(Error::attach(hook.program, &device.name))
}

/// Puts the present program behind a port's tc hook, whichever way it is attached; false where nothing is.
pub fn update_tc(
    program: &mut SchedClassifier,
    pins: &Pins,
    ifindex: u32,
    hook: Hook,
    tcx: bool,
) -> Result<bool, Error> {
    if !tcx {
        return match (own_filter(ifindex, hook)?, netlink::device(ifindex)?) {
            (Some(_), Some(device)) => attach_filter(program, &device, hook).map(|()| true),
            _ => Ok(false),
        };
    }
    let path = pins.link(hook.kind, ifindex);
    let Ok(pinned) = PinnedLink::from_pin(&path) else { return Ok(false) };
    let failed = |error: ProgramError| Error::attach(hook.program, &path.to_string_lossy())(error);
    let Ok(link) = SchedClassifierLink::try_from(FdLink::from(pinned)) else { return Ok(false) };
    match program.attach_to_link(link) {
        Ok(id) => program.take_link(id).map(|_| true).map_err(failed),
        Err(error) if is_gone(&error) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Takes our XDP program off a device, if it is there.
pub fn detach_xdp(pins: &Pins, ifindex: u32) -> Result<(), Error> {
    let ours = linked_program(pins, XDP, ifindex);
    pin::remove(&pins.link(XDP, ifindex))?;
    wait_until(|| {
        let device = netlink::device(ifindex).ok().flatten();
        device.and_then(|d| d.xdp).is_none_or(|(id, _)| Some(id) != ours)
    });
    Ok(())
}

/// A link ends some time after its last reference: since 6.9 the pin's inode goes after an RCU grace period
/// (kernel/bpf/inode.c, bpf_free_inode). Gives up after a second; the link ends all the same.
fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..200 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    tracing::warn!("a link takes long to end");
}

/// Takes all of ours off a device, XDP first, so that no packet meets half of it.
pub fn detach(pins: &Pins, ifindex: u32, tcx: bool) -> Result<(), Error> {
    detach_xdp(pins, ifindex)?;
    let device = netlink::device(ifindex)?;
    for hook in HOOKS {
        let ours = linked_program(pins, hook.kind, ifindex);
        pin::remove(&pins.link(hook.kind, ifindex))?;
        if let (Some(ours), Some(device)) = (ours, &device) {
            wait_until(|| !tcx_runs(device, hook.attach_type, ours));
        }
        if let (false, Some(device)) = (tcx, &device)
            && own_filter(ifindex, hook)?.is_some()
        {
            filter_link(device, hook)?.detach().map_err(Error::attach(hook.program, &device.name))?;
        }
    }
    if !tcx && device.is_some() {
        let left = netlink::filters(ifindex, false)?.len() + netlink::filters(ifindex, true)?.len();
        if left == 0 {
            // It may have been there before us, but without filters it does nothing; it may also be gone already.
            let _ = netlink::remove_clsact(ifindex);
        }
    }
    Ok(())
}

/// Attaches the tracepoint programs; a link of an earlier load goes when its pin is replaced.
pub fn attach_tracepoints(programs: &mut Programs, pins: &Pins) -> Result<(), Error> {
    for (name, program) in programs.tracepoints() {
        let failed = |error: ProgramError| Error::Program { name: name.to_owned(), source: error };
        let id = program.attach(name).map_err(failed)?;
        let link = FdLink::from(program.take_link(id).map_err(failed)?);
        let (fresh, path) = (pins.links().join(format!("{name}-new")), pins.links().join(name));
        pin::remove(&fresh)?;
        link.pin(&fresh).map_err(|source| Error::Pin { path: fresh.clone(), source })?;
        std::fs::rename(&fresh, &path).map_err(Error::io("replace", &path))?;
    }
    Ok(())
}

fn pin_link(link: FdLink, pins: &Pins, kind: &str, ifindex: u32) -> Result<(), Error> {
    let path = pins.link(kind, ifindex);
    pin::remove(&path)?;
    link.pin(&path).map(drop).map_err(|source| Error::Pin { path, source })
}

/// ENOLINK: the link's device was removed; kernel `bpf_xdp_link_update`, `tcx_link_update`.
fn is_gone(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(error) if error.io_error.raw_os_error() == Some(67))
}
