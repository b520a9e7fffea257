//! Configuration tree -> desired state: kernel objects and the data plane's image. Pure: no I/O.

pub mod desired;
pub mod facts;

pub use desired::Desired;
pub use facts::HostFacts;
