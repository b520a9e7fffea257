use std::os::unix::fs::symlink;

use super::*;
use crate::client;

struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request, events: mpsc::Sender<Value>) -> Result<Answer, Failure> {
        match request {
            Request::Command { line, .. } => Ok(Answer::Text(line)),
            Request::Trace(_) => {
                for n in 0..3 {
                    let _ = events.send(Value::from(n)).await;
                }
                Ok(Answer::Nothing)
            }
            _ => Err(Failure::new("no such item")),
        }
    }
}

fn serving(path: &Path) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(async { bind(path) }).unwrap();
    runtime.spawn(serve(listener, Arc::new(Echo)));
    runtime
}

#[test]
fn requests_are_answered_and_streamed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _runtime = serving(&path);
    let long = "x".repeat(3 << 20);
    let answer =
        client::call(&path, &Request::Command { line: long.clone(), width: None, session: None }, |_| true)
            .unwrap();
    assert_eq!(answer, Answer::Text(long));
    let mut seen = Vec::new();
    client::call(&path, &Request::Trace(Default::default()), |event| {
        seen.push(event);
        true
    })
    .unwrap();
    assert_eq!(seen, [0, 1, 2].map(Value::from));
    let error = client::call(&path, &Request::Status, |_| true).unwrap_err();
    assert_eq!(error.to_string(), "no such item");
}

#[test]
fn garbage_gets_an_error_and_the_next_request_an_answer() {
    use std::io::{BufRead, BufReader as StdReader, Write};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _runtime = serving(&path);
    let mut stream = StdStream::connect(&path).unwrap();
    stream.write_all(b"\x00\xff{}[]\n{\"request\":\"command\",\"line\":\"hello\"}\n").unwrap();
    let mut lines = StdReader::new(stream).lines();
    assert!(lines.next().unwrap().unwrap().contains("request is not understood"));
    assert!(lines.next().unwrap().unwrap().contains("hello"));
}

#[tokio::test]
async fn a_stale_socket_is_replaced_a_served_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let first = bind(&path).unwrap();
    assert!(matches!(bind(&path), Err(Error::Served(_))));
    drop(first);
    let _second = bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
}

#[tokio::test]
async fn what_is_not_our_socket_is_never_removed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "precious").unwrap();
    let link = dir.path().join("link");
    symlink(&file, &link).unwrap();
    for path in [&file, &link] {
        assert!(matches!(bind(path), Err(Error::NotASocket(_))));
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn the_run_directory_is_closed_to_others() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("routerd/main");
    make_run_dir(&run).unwrap();
    make_run_dir(&run).unwrap();
    assert_eq!(fs::metadata(&run).unwrap().permissions().mode() & 0o027, 0);
    let link = dir.path().join("routerd/linked");
    symlink(&run, &link).unwrap();
    assert!(matches!(make_run_dir(&link), Err(Error::NotOurs(_))));
}

/// The groups of the peer come from the kernel, whatever they are here.
#[tokio::test]
async fn the_groups_of_a_peer_are_told() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let own: Vec<Gid> = nix::unistd::getgroups().unwrap();
    assert_eq!(peer_groups(&ours), own);
}

#[test]
fn strangers_may_not_manage() {
    let nobody = Uid::from_raw(65534);
    assert!(may_manage(Uid::from_raw(0), Gid::from_raw(0), &[]));
    assert!(!may_manage(nobody, Gid::from_raw(65534), &[Gid::from_raw(65533)]));
    if let Some(group) = group() {
        assert!(may_manage(nobody, group, &[]));
        assert!(may_manage(nobody, Gid::from_raw(65534), &[group]));
    }
}
