//! What every way of managing a router shares: instances and their paths, the persistent configuration with its
//! history, and the control socket's protocol, server and client.
//!
//! The crate decides nothing about routing: requests are answered by whoever implements [`server::Handler`].

pub mod client;
pub mod deadline;
pub mod instance;
pub mod protocol;
pub mod server;
pub mod status;
pub mod store;
pub mod undo;

pub use deadline::Deadline;
pub use instance::{Instance, Paths};
pub use store::Store;
