//! Drivers and offloads of network devices, by the ethtool ioctl (include/uapi/linux/ethtool.h).

use std::ffi::c_void;
use std::io;
use std::os::fd::OwnedFd;

use rustix::ioctl::{Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// The features by which a device takes VLAN tags out of received frames, as `ethtool -k` lists them.
pub const RX_VLAN: [&str; 2] = ["rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"];
/// The features by which a device leaves VLAN tags of sent frames to the "hardware": for a veth, to nobody.
pub const TX_VLAN: [&str; 2] = ["tx-vlan-hw-insert", "tx-vlan-stag-hw-insert"];
/// The features by which a device leaves the transport checksum of sent frames to the "hardware".
pub const TX_CHECKSUM: [&str; 3] = ["tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6"];

const SIOCETHTOOL: u32 = 0x8946;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const ETH_GSTRING_LEN: usize = 32;
/// `struct ethtool_drvinfo` in words; the driver's name follows the command.
const DRVINFO_WORDS: usize = 49;

/// `struct ifreq` with the union's pointer member.
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut c_void,
    rest: [u8; 16],
}

/// One device of the current network namespace.
pub struct Device {
    name: [u8; 16],
    socket: OwnedFd,
}

/// State of one offload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    index: usize,
    pub active: bool,
    /// It can be switched.
    pub switchable: bool,
}

impl Device {
    pub fn open(name: &str) -> io::Result<Device> {
        let mut field = [0; 16];
        match field.get_mut(..name.len()) {
            Some(room) if name.len() < 16 => room.copy_from_slice(name.as_bytes()),
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        let socket =
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
        Ok(Device { name: field, socket })
    }

    /// Runs one command; `words` begin with its number and are long enough for its answer.
    fn run(&self, words: &mut [u32]) -> io::Result<()> {
        let mut request = Request { name: self.name, data: words.as_mut_ptr().cast(), rest: [0; 16] };
        // SAFETY: SIOCETHTOOL takes an ifreq whose pointer leads to a command; every caller sizes `words` for the
        // answer by the counts that it puts into the command.
        unsafe { ioctl(&self.socket, Updater::<SIOCETHTOOL, Request>::new(&mut request)) }?;
        Ok(())
    }

    /// The driver's name, such as `virtio_net`; empty where the device has none.
    pub fn driver(&self) -> String {
        let mut words = [0; DRVINFO_WORDS];
        words[0] = ETHTOOL_GDRVINFO;
        match self.run(&mut words) {
            Ok(()) => text(&bytes(&words[1..9])),
            Err(_) => String::new(),
        }
    }

    /// The named features that the device knows.
    pub fn features(&self, names: &[&str]) -> io::Result<Vec<Feature>> {
        let strings = self.feature_names()?;
        let blocks = strings.len().div_ceil(32);
        let mut words = vec![0; 2 + 4 * blocks];
        words[0] = ETHTOOL_GFEATURES;
        words[1] = blocks as u32;
        self.run(&mut words)?;
        let state = |index: usize| {
            let block = words.get(2 + index / 32 * 4..)?;
            let bit = 1 << (index % 32);
            // available, requested, active, never_changed
            let [available, _, active, fixed] = *block.first_chunk::<4>()?;
            Some(Feature {
                index,
                active: active & bit != 0,
                switchable: available & bit != 0 && fixed & bit == 0,
            })
        };
        Ok(strings
            .iter()
            .enumerate()
            .filter(|(_, name)| names.contains(&name.as_str()))
            .filter_map(|(index, _)| state(index))
            .collect())
    }

    /// Switches features; whether it came out so, only [`Device::features`] tells.
    pub fn set(&self, features: &[Feature], on: bool) -> io::Result<()> {
        let Some(last) = features.iter().map(|f| f.index).max() else { return Ok(()) };
        // The kernel wants all blocks: ethtool_set_features refuses another count.
        let blocks = self.feature_names()?.len().max(last + 1).div_ceil(32);
        let mut words = vec![0; 2 + 2 * blocks];
        words[0] = ETHTOOL_SFEATURES;
        words[1] = blocks as u32;
        for feature in features {
            let bit = 1 << (feature.index % 32);
            // valid, requested
            if let Some([valid, requested]) =
                words.get_mut(2 + feature.index / 32 * 2..).and_then(|w| w.first_chunk_mut())
            {
                *valid |= bit;
                *requested |= if on { bit } else { 0 };
            }
        }
        self.run(&mut words)
    }

    fn feature_names(&self) -> io::Result<Vec<String>> {
        // cmd, reserved, mask (64 bits), one length
        let mut words = [ETHTOOL_GSSET_INFO, 0, 1 << ETH_SS_FEATURES, 0, 0];
        self.run(&mut words)?;
        let count = words[4] as usize;
        let mut words = vec![0; 3 + count * ETH_GSTRING_LEN / 4];
        words[0] = ETHTOOL_GSTRINGS;
        words[1] = ETH_SS_FEATURES;
        words[2] = count as u32;
        self.run(&mut words)?;
        Ok(bytes(words.get(3..).unwrap_or_default()).chunks(ETH_GSTRING_LEN).map(text).collect())
    }
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_lists_its_features() {
        let device = Device::open("lo").unwrap();
        assert!(device.feature_names().unwrap().iter().any(|n| n == "tx-vlan-hw-insert"));
        assert_eq!(device.features(&TX_VLAN).unwrap().len(), 2);
    }

    #[test]
    fn a_name_too_long_for_the_kernel_is_refused() {
        assert!(Device::open("abcdefghijklmnop").is_err());
        assert!(Device::open("abcdefghijklmno").is_ok());
    }
}
