//! Programs of others on our ports: named, not fought.

use aya::programs::{SchedClassifier, loaded_programs};
use serde::{Deserialize, Serialize};

use crate::link::{self, HOOKS, XDP};
use crate::{Error, Inspector, netlink};

/// A program that somebody else attached to one of our ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignProgram {
    pub host_name: String,
    /// `xdp`, `tc ingress` or `tc egress`.
    pub hook: String,
    pub name: String,
    pub id: u32,
}

/// The name of a loaded program, or a word in its place.
pub fn program_name(id: u32) -> String {
    loaded_programs()
        .filter_map(Result::ok)
        .find(|program| program.id() == id)
        .and_then(|program| program.name_as_str().map(str::to_owned))
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "unnamed".to_owned())
}

impl Inspector {
    /// Programs of others on the ports of the active image.
    pub fn foreign_programs(&self) -> Result<Vec<ForeignProgram>, Error> {
        let ports: Vec<u32> = self.ports()?.iter().map(|port| port.ifindex).collect();
        let tcx = link::has_tcx();
        let mut found = Vec::new();
        for device in netlink::devices()?.into_iter().filter(|device| ports.contains(&device.ifindex)) {
            let mut add = |hook: &str, id: u32, name: String| {
                let (host_name, hook) = (device.name.clone(), hook.to_owned());
                found.push(ForeignProgram { host_name, hook, name, id });
            };
            let linked = |kind| link::linked_program(&self.pins, kind, device.ifindex);
            match device.xdp {
                Some((id, _)) if Some(id) != linked(XDP) => add("xdp", id, program_name(id)),
                _ => {}
            }
            for hook in HOOKS {
                let label = format!("tc {}", hook.kind);
                if tcx && let Ok((_, programs)) = SchedClassifier::query_tcx(&device.name, hook.attach_type) {
                    let ours = linked(hook.kind);
                    for program in programs.iter().filter(|program| Some(program.id()) != ours) {
                        add(&label, program.id(), program_name(program.id()));
                    }
                }
                let ours = link::own_filter(device.ifindex, hook)?;
                for filter in netlink::filters(device.ifindex, hook.is_egress())? {
                    if ours.as_ref() != Some(&filter) {
                        add(&label, filter.program, filter.name);
                    }
                }
            }
        }
        Ok(found)
    }
}
