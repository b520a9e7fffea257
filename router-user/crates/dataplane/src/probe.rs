//! What this kernel can do.

use aya::maps::MapType;
use aya::programs::ProgramType;
use aya::sys::{BpfHelper, is_helper_supported, is_map_supported};
use serde::{Deserialize, Serialize};

use crate::{Error, link, netlink};

/// Abilities that are used where the kernel has them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Features {
    pub kernel: String,
    /// Pinned tc links (6.6); else filters of a clsact qdisc.
    pub tcx: bool,
    /// The kernel tells what XDP can do on a device (6.3).
    pub xdp_features: bool,
    /// `bpf_fib_lookup` takes a firewall mark (6.10).
    pub fib_mark: bool,
    pub cpus: u32,
}

/// Probes the kernel; an error names what the data plane can't do without.
pub fn features() -> Result<Features, Error> {
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    let needed = [
        (ProgramType::Xdp, BpfHelper::BPF_FUNC_fib_lookup, "bpf_fib_lookup in XDP"),
        (ProgramType::Xdp, BpfHelper::BPF_FUNC_redirect_map, "bpf_redirect_map"),
        (ProgramType::Xdp, BpfHelper::BPF_FUNC_xdp_load_bytes, "multi-buffer XDP"),
        (ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_redirect_neigh, "bpf_redirect_neigh"),
        (ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_timer_start, "BPF timers"),
        (ProgramType::SchedClassifier, BpfHelper::BPF_FUNC_ringbuf_output, "BPF ring buffers"),
    ];
    let lacks = |feature| Error::Kernel { release: kernel.clone(), feature };
    for (program_type, helper, name) in needed {
        match is_helper_supported(program_type, helper) {
            Ok(true) => {}
            Ok(false) => return Err(lacks(name)),
            Err(source) => return Err(Error::Program { name: format!("to probe for {name}"), source }),
        }
    }
    if !is_map_supported(MapType::DevMap).unwrap_or(false) {
        return Err(lacks("device maps"));
    }
    Ok(Features {
        tcx: link::has_tcx(),
        xdp_features: netlink::xdp_features(1).is_some(),
        fib_mark: at_least(&kernel, 6, 10),
        cpus: crate::object::possible_cpus()?,
        kernel,
    })
}

/// Only for what can't be probed: distributions add features to older kernels.
fn at_least(release: &str, major: u32, minor: u32) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|n| n.parse::<u32>().ok());
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn releases_compare_as_numbers() {
        assert!(at_least("6.18.44-fc-v669", 6, 10));
        assert!(!at_least("6.1.0-41-amd64", 6, 10));
        assert!(!at_least("5.15", 6, 1));
        assert!(at_least("7.0-rc1", 6, 10));
        assert!(!at_least("", 6, 1));
    }
}
