//! One long TCP connection, counted at both ends.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use anyhow::{Context, Result};

use crate::netns::Netns;

/// How long either end waits for the other.
const PATIENCE: Duration = Duration::from_secs(20);

/// A pause after each write: at full speed a busy machine loses others' packets in the rings of its links.
const PAUSE: Duration = Duration::from_millis(4);

/// Writes from one namespace to another until it is stopped.
pub struct Bulk {
    stop: Arc<AtomicBool>,
    arrived: Arc<AtomicU64>,
    sender: JoinHandle<std::io::Result<u64>>,
    receiver: JoinHandle<std::io::Result<u64>>,
}

impl Bulk {
    /// Connects `from` to `target` in `to`, by the address that `from` knows it by.
    pub fn start(from: &Netns, to: &Netns, target: SocketAddr) -> Result<Bulk> {
        let any = SocketAddr::new(crate::traffic::unspecified(target.ip()), target.port());
        let listener = to.enter(|| TcpListener::bind(any))?.with_context(|| format!("listen on {any}"))?;
        let output = from.enter(|| TcpStream::connect_timeout(&target, PATIENCE))?;
        let mut output = output.with_context(|| format!("connect to {target}"))?;
        let (mut input, _) = listener.accept()?;
        output.set_write_timeout(Some(PATIENCE))?;
        input.set_read_timeout(Some(PATIENCE))?;
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let sender = thread::spawn({
            let stop = stop.clone();
            move || {
                let (part, mut sent) = (vec![0x5a; 16384], 0);
                while !stop.load(Ordering::SeqCst) {
                    sent += output.write(&part)? as u64;
                    thread::sleep(PAUSE);
                }
                Ok(sent)
            }
        });
        let receiver = thread::spawn({
            let arrived = arrived.clone();
            move || {
                let (mut part, mut total) = (vec![0; 65536], 0);
                loop {
                    match input.read(&mut part) {
                        Ok(0) => return Ok(total),
                        Ok(length) => total += length as u64,
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                    arrived.store(total, Ordering::SeqCst);
                }
            }
        });
        Ok(Bulk { stop, arrived, sender, receiver })
    }

    /// Bytes that have arrived so far.
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::SeqCst)
    }

    /// Ends the connection in order; gives bytes (sent, received). An error is that of a connection that broke.
    pub fn stop(self) -> Result<(u64, u64)> {
        self.stop.store(true, Ordering::SeqCst);
        let join = |end: JoinHandle<std::io::Result<u64>>, what: &'static str| match end.join() {
            Ok(result) => result.context(what),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((join(self.sender, "send")?, join(self.receiver, "receive")?))
    }
}
