//! The control socket: for root and members of the group `routerd`, on this host only.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use nix::unistd::{Gid, Group, Uid};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};

use crate::protocol::{Answer, Failure, LINE_BYTES, Reply, Request};

/// Members of this group may manage the router.
pub const GROUP: &str = "routerd";
/// Clients served at a time; more wait.
const CLIENTS: usize = 64;
/// A client that does not finish its request line in this time is dropped.
const REQUEST_TIME: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    #[error("{} belongs to another user", .0.display())]
    NotOurs(PathBuf),
    #[error("{} is served by another process", .0.display())]
    Served(PathBuf),
}

/// Answers requests. Events may be sent while it works; a closed channel means that the client has gone.
pub trait Handler: Send + Sync + 'static {
    fn handle(
        &self,
        request: Request,
        events: mpsc::Sender<Value>,
    ) -> impl Future<Output = Result<Answer, Failure>> + Send;
}

/// Makes an instance's run directory: 0700 for root, 0750 for root and the group where it exists.
pub fn make_run_dir(dir: &Path) -> Result<(), Error> {
    let failed = |action| move |source| Error::Io { action, path: dir.into(), source };
    if let Some(parent) = dir.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed("create"))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create")(error)),
        _ => {}
    }
    let meta = fs::symlink_metadata(dir).map_err(failed("look at"))?;
    if !meta.is_dir() || meta.uid() != Uid::effective().as_raw() {
        return Err(Error::NotOurs(dir.into()));
    }
    share(dir, 0o700, 0o750)
}

/// Gives a path to the group, if there is one, with `shared` as its mode; else `alone`.
fn share(path: &Path, alone: u32, shared: u32) -> Result<(), Error> {
    let failed = |action| move |source| Error::Io { action, path: path.into(), source };
    let group = group();
    if let Some(gid) = group {
        std::os::unix::fs::lchown(path, None, Some(gid.as_raw())).map_err(failed("set the group of"))?;
    }
    let mode = if group.is_some() { shared } else { alone };
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(failed("set the mode of"))
}

fn group() -> Option<Gid> {
    Group::from_name(GROUP).ok().flatten().map(|group| group.gid)
}

/// Binds the socket. A stale one is removed only if it is a socket of ours that nobody serves.
pub fn bind(path: &Path) -> Result<UnixListener, Error> {
    let failed = |action| move |source| Error::Io { action, path: path.into(), source };
    match fs::symlink_metadata(path) {
        Ok(meta) if !meta.file_type().is_socket() => return Err(Error::NotASocket(path.into())),
        Ok(meta) if meta.uid() != Uid::effective().as_raw() => return Err(Error::NotOurs(path.into())),
        Ok(_) if StdStream::connect(path).is_ok() => return Err(Error::Served(path.into())),
        Ok(_) => fs::remove_file(path).map_err(failed("remove stale"))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed("look at")(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed("bind"))?;
    share(path, 0o600, 0o660)?;
    Ok(listener)
}

/// Serves until the future is dropped.
pub async fn serve(listener: UnixListener, handler: Arc<impl Handler>) {
    let slots = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "accept on the control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let handler = handler.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &*handler).await {
                tracing::debug!(%error, "control connection");
            }
            drop(slot);
        });
    }
}

/// Requests of one client, one after the other.
async fn converse(stream: UnixStream, handler: &impl Handler) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let groups = peer_groups(&stream);
    let (read, mut write) = stream.into_split();
    if !may_manage(Uid::from_raw(peer.uid()), Gid::from_raw(peer.gid()), &groups) {
        tracing::warn!(uid = peer.uid(), "control connection refused");
        let refusal = Failure::new("no permission: only root and the group routerd may manage this router");
        return send(&mut write, &Reply::Failed(refusal)).await;
    }
    let mut reader = BufReader::new(read);
    loop {
        let mut line = Vec::new();
        let mut limited = (&mut reader).take(LINE_BYTES);
        let reading = limited.read_until(b'\n', &mut line);
        if tokio::time::timeout(REQUEST_TIME, reading).await.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
            return Ok(());
        }
        if line.last() != Some(&b'\n') {
            return send(&mut write, &Reply::Failed(Failure::new("request too long or cut short"))).await;
        }
        let request = match serde_json::from_slice(&line) {
            Ok(request) => request,
            Err(error) => {
                let message = format!("request is not understood: {error}");
                send(&mut write, &Reply::Failed(Failure::new(message))).await?;
                continue;
            }
        };
        // A stream ends when its client goes; everything else is short.
        let stream = matches!(request, Request::Trace(_));
        let (sender, mut events) = mpsc::channel(64);
        let mut answer = std::pin::pin!(handler.handle(request, sender));
        let end = loop {
            tokio::select! {
                biased;
                Some(event) = events.recv() => send(&mut write, &Reply::Event(event)).await?,
                answer = &mut answer => break answer,
                rest = reader.fill_buf(), if stream => {
                    if rest?.is_empty() {
                        return Ok(());
                    }
                    break Err(Failure::new("ended by another request"));
                }
            }
        };
        while let Ok(event) = events.try_recv() {
            send(&mut write, &Reply::Event(event)).await?;
        }
        send(&mut write, &end.map_or_else(Reply::Failed, Reply::Done)).await?;
    }
}

async fn send(write: &mut (impl AsyncWriteExt + Unpin), reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    write.write_all(&line).await
}

/// The supplementary groups that the peer had when it connected; none where the kernel does not tell.
fn peer_groups(stream: &UnixStream) -> Vec<Gid> {
    let mut groups = [0 as libc::gid_t; 1024];
    let mut length = size_of_val(&groups) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes into the array and the number written into `length`:
    // net/core/sock.c, SO_PEERGROUPS.
    let failed = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERGROUPS,
            groups.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let count = if failed == 0 { length as usize / size_of::<libc::gid_t>() } else { 0 };
    groups.iter().take(count).map(|gid| Gid::from_raw(*gid)).collect()
}

/// Root, this daemon's own user, and who is in the group.
fn may_manage(uid: Uid, gid: Gid, groups: &[Gid]) -> bool {
    uid.is_root()
        || uid == Uid::effective()
        || group().is_some_and(|group| gid == group || groups.contains(&group))
}

#[cfg(test)]
mod tests;
