//! Back to plain Linux.

use std::time::{Duration, Instant};

use anyhow::Context;
use dataplane::Dataplane;
use kernel::Kernel;
use management::{Instance, Paths};

use crate::daemon::start;

/// How long a daemon may take to end.
const END: Duration = Duration::from_secs(15);

/// Forwarding goes off and addresses go first, the programs last: what still arrives is never forwarded unseen.
pub async fn router(kernel: Kernel, plane: Dataplane) -> anyhow::Result<()> {
    let released = kernel.release().await.context("give the host back its settings");
    plane.detach().context("remove the data plane")?;
    released?;
    tracing::info!("detached: this is plain Linux again");
    Ok(())
}

/// Waits until the daemon that was told to detach has ended, or, where none runs, does it in its place.
pub fn from_outside(instance: &Instance, paths: &Paths) -> anyhow::Result<()> {
    let deadline = Instant::now() + END;
    let _lock = loop {
        match start::lock(instance, paths) {
            Ok(lock) => break lock,
            Err(error) if Instant::now() > deadline => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut kernel = Kernel::open().await.context("open rtnetlink")?;
        kernel.keep_originals(paths.originals())?;
        let released = kernel.release().await.context("give the host back its settings");
        remove_pinned(instance, paths)?;
        released
    })
}

/// Also what can no longer be loaded or was pinned by another version: its links end with their pins.
fn remove_pinned(instance: &Instance, paths: &Paths) -> anyhow::Result<()> {
    let options = dataplane::Options {
        instance: instance.name().to_owned(),
        bpffs: paths.pins.clone(),
        ..dataplane::Options::default()
    };
    let detached = Dataplane::open(options).and_then(|(plane, _)| plane.detach());
    if detached.is_err() && paths.pins.exists() {
        return std::fs::remove_dir_all(&paths.pins)
            .with_context(|| format!("remove {}", paths.pins.display()));
    }
    detached.context("remove the data plane")
}
