//! Desired links, addresses, routes, rules, neighbours and sysctls <-> rtnetlink and /proc/sys: read, diff, apply, undo, watch.
//!
//! Only what carries our tag is ever removed: [`plan::desired::PROTOCOL`] on addresses, routes, rules and neighbours,
//! [`plan::desired::ALIAS_TAG`] on links. What exists already without our tag and is wanted counts as done and stays
//! after us. What has no place for a tag (sysctls, MTU, MAC, host name) is written down before it is changed, see
//! [`Kernel::keep_originals`].

mod apply;
mod diff;
mod error;
mod foreign;
mod originals;
mod query;
mod read;
mod release;
mod rules;
mod step;
mod sysctl;
mod view;
mod watch;

use std::path::PathBuf;
use std::sync::Mutex;

use rtnetlink::Handle;
use rtnetlink::sys::AsyncSocket;

pub use apply::{Applied, Failed};
pub use error::Error;
pub use foreign::{ForeignRule, foreign_rules};
pub use step::{Phase, Step};
pub use view::{Counters, MAX_ROUTES, Scope, SeenNeighbor, SeenRoute, View};
pub use watch::{Change, Watch, watch};

use originals::Originals;

/// One rtnetlink connection in the network namespace it was opened in.
pub struct Kernel {
    handle: Handle,
    connection: tokio::task::JoinHandle<()>,
    originals: Mutex<Originals>,
}

impl Kernel {
    /// Opens a connection in the current network namespace. The calling thread must stay in it: sysctls are those of
    /// the thread that applies. What was changed is remembered in memory only.
    pub async fn open() -> Result<Kernel, Error> {
        let (mut connection, handle, _) = rtnetlink::new_connection().map_err(Error::Open)?;
        // The kernel then says why it refuses, and does not send our own message back with it.
        let socket = connection.socket_mut().socket_mut();
        socket.set_ext_ack(true).map_err(Error::Open)?;
        socket.set_cap_ack(true).map_err(Error::Open)?;
        let connection = tokio::spawn(connection);
        Ok(Kernel { handle, connection, originals: Mutex::new(Originals::default()) })
    }

    /// Keeps what the host had before us in `path`, so that a later process can give it back. A file of another boot or
    /// another network namespace is of no use and is ignored.
    pub fn keep_originals(&mut self, path: PathBuf) -> Result<(), Error> {
        self.originals = Mutex::new(Originals::load(path)?);
        Ok(())
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}
