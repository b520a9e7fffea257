//! What can go wrong.

use std::io;
use std::path::PathBuf;

use rtnetlink::packet_core::ErrorMessage;

/// Each says its cause itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("open a netlink socket: {0}")]
    Open(io::Error),
    #[error("read {what} from the kernel: {cause}")]
    Read { what: &'static str, cause: Box<rtnetlink::Error> },
    /// The kernel refused; `reason` is its own explanation where it gave one, else empty.
    #[error("{cause}{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Refused { cause: io::Error, reason: String },
    #[error("the netlink connection is gone")]
    Gone,
    #[error("{}: {cause}", path.display())]
    File { path: PathBuf, cause: io::Error },
    #[error("{}: {cause}", path.display())]
    Originals { path: PathBuf, cause: serde_json::Error },
    #[error("{0}")]
    Undo(String),
    #[error("start the watch thread: {0}")]
    Thread(io::Error),
}

impl Error {
    /// From a negative acknowledgement of a socket with extended and capped acknowledgements.
    pub(crate) fn refused(message: &ErrorMessage) -> Error {
        Error::Refused { cause: message.to_io(), reason: explanation(&message.header).unwrap_or_default() }
    }

    /// The errno, where the kernel gave one.
    pub(crate) fn errno(&self) -> Option<i32> {
        match self {
            Error::Refused { cause, .. } | Error::File { cause, .. } => cause.raw_os_error(),
            _ => None,
        }
    }
}

/// Finds NLMSGERR_ATTR_MSG behind the 16 bytes of the refused message's header (include/uapi/linux/netlink.h).
fn explanation(payload: &[u8]) -> Option<String> {
    const MESSAGE_HEADER_BYTES: usize = 16;
    const NLMSGERR_ATTR_MSG: u16 = 1;
    let mut rest = payload.get(MESSAGE_HEADER_BYTES..)?;
    loop {
        let (head, _) = rest.split_at_checked(4)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]);
        let value = rest.get(4..length)?;
        if kind == NLMSGERR_ATTR_MSG {
            let text = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_explanation_is_found_behind_other_attributes() {
        let mut payload = vec![0; 16];
        payload.extend([8, 0, 2, 0, 1, 2, 3, 4]);
        payload.extend([8, 0, 1, 0, b'b', b'a', b'd', 0]);
        assert_eq!(explanation(&payload).as_deref(), Some("bad"));
    }

    #[test]
    fn a_cut_payload_has_no_explanation() {
        for length in 0..24 {
            let mut payload = vec![0; 16];
            payload.extend([9, 0, 1, 0, b'b', b'a', b'd', b'!', 0]);
            payload.truncate(length);
            assert_eq!(explanation(&payload), None, "{length}");
        }
    }
}
