//! SIGHUP, SIGTERM and SIGINT as events.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use tokio::io::unix::AsyncFd;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    Reload,
    Stop,
}

/// The signals are blocked from [`block`] on, the first statement of the program, so none of them can kill it in the
/// time before it is ready: they wait until [`Signals::next`] takes them.
pub struct Signals(AsyncFd<SignalFd>);

pub fn handled() -> SigSet {
    [Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}

/// Must run before any thread is started: threads inherit the mask.
pub fn block() -> nix::Result<()> {
    handled().thread_block()
}

impl Signals {
    pub fn open() -> io::Result<Signals> {
        let fd = SignalFd::with_flags(&handled(), SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        // SAFETY: the descriptor is the SignalFd's own, the same until it is dropped, which AsyncFd does last.
        let fd = unsafe { AsyncFd::register(fd) }?;
        Ok(Signals(fd))
    }

    pub async fn next(&mut self) -> io::Result<Event> {
        loop {
            let mut ready = self.0.readable_mut().await?;
            match ready.try_io(|fd| fd.get_ref().read_signal().map_err(io::Error::from)) {
                Ok(Ok(Some(info))) if info.ssi_signo == Signal::SIGHUP as u32 => return Ok(Event::Reload),
                Ok(Ok(Some(_))) => return Ok(Event::Stop),
                Ok(Ok(None)) => ready.clear_ready(),
                Ok(Err(error)) => return Err(error),
                Err(_would_block) => {}
            }
        }
    }
}
