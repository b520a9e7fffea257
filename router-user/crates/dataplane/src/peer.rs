//! The other end of a veth, wherever it is.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::ethtool::{self, TX_CHECKSUM, TX_VLAN};
use crate::netlink::{self, Device};

/// Where named network namespaces are, as `ip netns` keeps them.
const NAMED: &str = "/run/netns";

/// Why XDP on a veth could miss VLAN tags: with tx VLAN offload on, the peer keeps them beside the frame. None: it
/// puts them into the frame.
pub fn hides_vlan_tags(device: &Device) -> Option<String> {
    let Some(peer) = device.peer else {
        return Some("the veth's peer is not to be seen".to_owned());
    };
    let (offload, place) = match device.peer_namespace {
        None => (active(peer, &TX_VLAN), String::new()),
        Some(id) => match namespace(id) {
            Some((path, file)) => {
                (inside(&file, || active(peer, &TX_VLAN)), format!(" in {}", path.display()))
            }
            None => {
                let reason =
                    "the veth's peer is in an unnamed network namespace: its VLAN offload can't be checked";
                return Some(reason.to_owned());
            }
        },
    };
    match offload {
        Ok((_, false)) => None,
        Ok((name, true)) => Some(format!(
            "peer {name}{place} keeps VLAN tags beside the frame: ethtool -K {name} {} off {} off",
            TX_VLAN[0], TX_VLAN[1]
        )),
        Err(error) => Some(format!("VLAN offload of the veth's peer{place} can't be read: {error}")),
    }
}

/// Whether frames of a veth may come with a checksum that the peer left to its device; so too where that can't be read.
pub fn leaves_checksums(device: &Device) -> bool {
    let Some(peer) = device.peer else { return true };
    let offload = match device.peer_namespace.map(namespace) {
        None => active(peer, &TX_CHECKSUM),
        Some(Some((_, file))) => inside(&file, || active(peer, &TX_CHECKSUM)),
        Some(None) => return true,
    };
    offload.map_or(true, |(_, active)| active)
}

/// Name of a device of the current namespace, and whether any of the features is on.
fn active(ifindex: u32, features: &[&str]) -> io::Result<(String, bool)> {
    let device = netlink::device(ifindex).map_err(io::Error::other)?.ok_or(io::ErrorKind::NotFound)?;
    let features = ethtool::Device::open(&device.name)?.features(features)?;
    Ok((device.name, features.iter().any(|feature| feature.active)))
}

/// The namespace that has this id here: a named one, or that of process 1.
fn namespace(id: i32) -> Option<(PathBuf, File)> {
    let named = fs::read_dir(NAMED).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    named.chain([Path::new("/proc/1/ns/net").to_owned()]).find_map(|path| {
        let file = File::open(&path).ok()?;
        (netlink::namespace_id(file.as_fd()) == Some(id)).then_some((path, file))
    })
}

/// Runs on a thread that has moved into a namespace and ends there.
fn inside<T: Send>(namespace: &File, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            f()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
    })
}
