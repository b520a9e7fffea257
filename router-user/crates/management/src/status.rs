//! What `routerctl status` shows.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub instance: String,
    /// `/system identity`.
    pub identity: String,
    /// Of routerd.
    pub version: String,
    pub pid: u32,
    pub uptime_seconds: u64,
    /// The number of the configuration, 0 before the first.
    pub configuration: u32,
    /// Where it came from and when.
    pub origin: String,
    pub loaded: String,
    /// Seconds until an unconfirmed configuration goes.
    pub confirm_seconds: Option<u64>,
    /// The data plane's image generation.
    pub generation: u32,
    /// `adopted`, `new`, ...: how the data plane was found at start.
    pub data_plane: String,
    pub kernel: String,
    pub ports: Vec<Port>,
    /// Lines that are known but have no effect on a host or are not built yet.
    pub kept: Vec<Kept>,
    /// Items without effect at the moment.
    pub inactive: Vec<Inactive>,
    /// Firewall lines that are not in force.
    pub gaps: Vec<Kept>,
    /// Rules and programs of others that meet forwarded packets.
    pub foreign: Vec<String>,
    pub features: Vec<Feature>,
    pub route_cache: RouteCache,
    /// Why the host is not as configured, if the last attempt to make it so failed.
    pub fault: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    pub name: String,
    pub host_name: String,
    pub ifindex: u32,
    /// `xdp`, `tc`, `generic`, or `absent`.
    pub mode: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    pub line: u32,
    pub menu: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inactive {
    pub menu: String,
    pub item: String,
    pub reason: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feature {
    pub name: String,
    pub present: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCache {
    pub on: bool,
    pub reason: String,
}
