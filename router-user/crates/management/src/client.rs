//! The blocking side of the control socket, for `routerctl`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::protocol::{Answer, Failure, LINE_BYTES, Reply, Request};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("routerd of this instance does not run ({} is not there)", .0.display())]
    NotRunning(PathBuf),
    #[error("no permission for {}: only root and the group routerd may speak to routerd", .0.display())]
    Permission(PathBuf),
    #[error("connection to routerd")]
    Io(#[from] io::Error),
    #[error("routerd closed the connection before it answered")]
    Closed,
    #[error("routerd's answer is not understood: is it of another version?")]
    Answer(#[from] serde_json::Error),
    #[error("{}", .0.message)]
    Failed(Failure),
}

/// One request on one connection; `event` sees what comes before the end and returns whether to go on.
pub fn call(socket: &Path, request: &Request, mut event: impl FnMut(Value) -> bool) -> Result<Answer, Error> {
    let mut stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NotRunning(socket.into()),
        io::ErrorKind::PermissionDenied => Error::Permission(socket.into()),
        _ => Error::Io(error),
    })?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    // A server that refuses the connection says why before it closes: that is read first.
    let mut written = stream.write_all(&line).err();
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        if let Err(error) = reader.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
            return Err(Error::Io(written.take().unwrap_or(error)));
        }
        if line.is_empty() {
            return Err(written.take().map_or(Error::Closed, Error::Io));
        }
        match serde_json::from_slice(&line)? {
            Reply::Event(value) => {
                if !event(value) {
                    return Ok(Answer::Nothing);
                }
            }
            Reply::Done(answer) => return Ok(answer),
            Reply::Failed(failure) => return Err(Error::Failed(failure)),
        }
    }
}
