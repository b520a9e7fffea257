//! The router's condition.

use dataplane::{OpenReport, Running};
use management::status::{Feature, Inactive, Port, Status};

use crate::daemon::router::{Router, config_item};

/// How the data plane was found at start, in words.
pub fn found(report: &OpenReport) -> String {
    let mut text = match report.adopted {
        Some(generation) => format!("adopted at generation {generation}"),
        None => "new".to_owned(),
    };
    if !report.replaced.is_empty() {
        text.push_str(&format!(", replaces that of another build ({})", report.replaced.join(", ")));
    }
    text
}

impl Router {
    pub async fn status(&self) -> Status {
        let meta = self.store.current().map(|version| &version.meta);
        let trial = meta.and_then(|meta| meta.pending.as_ref());
        Status {
            instance: self.setup.instance.name().to_owned(),
            identity: self.tree.settings("system/identity").and_then(|i| i.text("name")).unwrap_or_default(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.started.elapsed().as_secs(),
            configuration: meta.map_or(0, |meta| meta.version),
            origin: meta.map(|meta| meta.origin.clone()).unwrap_or_default(),
            loaded: meta.map(|meta| meta.time.clone()).unwrap_or_default(),
            confirm_seconds: trial.map(|trial| trial.deadline.left_ms().div_ceil(1000)),
            generation: self.pulse.read().generation,
            data_plane: self.found.clone(),
            kernel: kernel_release(),
            ports: self.ports(),
            kept: self.kept().to_vec(),
            inactive: self.inactive(),
            gaps: self.gaps(),
            foreign: self.foreign(),
            features: self.features(),
            route_cache: self.route_cache.clone(),
            fault: self.fault.clone().or_else(|| self.file_fault.clone()),
        }
    }

    fn ports(&self) -> Vec<Port> {
        let ports = self.plane.ports().into_iter();
        ports
            .map(|port| Port {
                name: port.name,
                host_name: port.host_name,
                ifindex: port.ifindex,
                mode: mode_name(port.mode).to_owned(),
                reason: match port.tx {
                    true => port.reason,
                    false => format!("{}; frames for it leave through tc: {}", port.reason, port.tx_reason),
                },
            })
            .collect()
    }

    fn inactive(&self) -> Vec<Inactive> {
        let inactive = self.desired.iter().flat_map(|desired| &desired.inactive);
        inactive
            .map(|i| Inactive { menu: i.menu.clone(), item: config_item(i.item), reason: i.reason.clone() })
            .collect()
    }

    /// Rules and programs of others that meet forwarded packets, or our ports.
    pub fn foreign(&self) -> Vec<String> {
        let rules = kernel::foreign_rules().into_iter();
        let mut foreign: Vec<String> =
            rules.map(|rule| format!("{} {}: {}", rule.table, rule.chain, rule.what)).collect();
        match self.plane.inspect().foreign_programs() {
            Ok(programs) => foreign.extend(programs.into_iter().map(|program| {
                format!(
                    "{} {}: program {} (id {})",
                    program.host_name, program.hook, program.name, program.id
                )
            })),
            Err(error) => tracing::warn!("look for programs of others: {error}"),
        }
        foreign
    }

    fn features(&self) -> Vec<Feature> {
        let features = self.plane.features();
        [
            ("tcx links", features.tcx),
            ("XDP feature flags", features.xdp_features),
            ("route look-up by mark", features.fib_mark),
        ]
        .map(|(name, present)| Feature { name: name.to_owned(), present })
        .to_vec()
    }
}

fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn mode_name(mode: Running) -> &'static str {
    match mode {
        Running::Native => "xdp",
        Running::Generic => "generic",
        Running::Tc => "tc",
    }
}
