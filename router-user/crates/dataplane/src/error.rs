use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;

/// What can go wrong with the eBPF side. One variant per thing that an operator or the daemon can act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("built without the data plane: run cargo xtask build")]
    NoObject,
    #[error("kernel {release} lacks {feature}, which the data plane needs (Linux 6.1 or later)")]
    Kernel { release: String, feature: &'static str },
    #[error("{} is not on a BPF file system; mount one: mount -t bpf bpf /sys/fs/bpf", path.display())]
    Bpffs {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("load the eBPF object")]
    Load(#[source] EbpfError),
    #[error("the eBPF object has no {0}; build it again: cargo xtask build")]
    Missing(String),
    #[error("load program {name}")]
    Program {
        name: String,
        #[source]
        source: ProgramError,
    },
    /// The last lines of the verifier's log say why.
    #[error("the kernel's verifier refuses program {name}:\n{log_end}")]
    Verifier {
        name: String,
        log_end: String,
        #[source]
        source: io::Error,
    },
    #[error("pin {}", path.display())]
    Pin {
        path: PathBuf,
        #[source]
        source: PinError,
    },
    #[error("attach {program} to {port}")]
    Attach {
        program: &'static str,
        port: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("map {name}")]
    Map {
        name: String,
        #[source]
        source: MapError,
    },
    #[error("map {name} is not a memory-mappable array of {value_bytes}-byte values")]
    Shape { name: String, value_bytes: usize },
    #[error("map {name} into memory")]
    Mmap {
        name: String,
        #[source]
        source: io::Error,
    },
    #[error("port {port} (ifindex {ifindex}) finds no free bucket in the port table")]
    PortTable { port: String, ifindex: u32 },
    #[error("more than {0} rules with counters")]
    TooManyRules(u32),
    #[error("more than {0} ports")]
    TooManyPorts(u32),
    #[error("{port}: no such interface {host_name} (ifindex {ifindex})")]
    NoInterface { port: String, host_name: String, ifindex: u32 },
    #[error("the dead-man timer does not start (step {0})")]
    Timer(u32),
    #[error("no port with ifindex {0}")]
    NoPort(u32),
    #[error("{action} by netlink")]
    Netlink {
        action: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the data plane of instance {0} is not loaded")]
    NotLoaded(String),
    #[error("a trace is running already")]
    TraceBusy,
    #[error("the image was staged against generation {staged}, but {active} is active")]
    Stale { staged: u32, active: u32 },
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { action, path, source }
    }

    pub(crate) fn map(name: &str) -> impl FnOnce(MapError) -> Error + use<> {
        let name = name.to_owned();
        move |source| Error::Map { name, source }
    }

    pub(crate) fn program(name: &str) -> impl FnOnce(ProgramError) -> Error + use<> {
        let name = name.to_owned();
        move |source| match source {
            ProgramError::LoadError { io_error, verifier_log } => {
                let log = verifier_log.to_string();
                let lines: Vec<&str> = log.lines().collect();
                let end = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default();
                Error::Verifier { name, log_end: end.join("\n"), source: io_error }
            }
            source => Error::Program { name, source },
        }
    }

    pub(crate) fn attach<E>(program: &'static str, port: &str) -> impl FnOnce(E) -> Error + use<E>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let port = port.to_owned();
        move |source| Error::Attach { program, port, source: Box::new(source) }
    }
}
