//! The control socket's language: one JSON object per line, a request answered by any number of events and one end.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::status::Status;
use crate::store::Meta;

/// The longest line that either side takes, in bytes. A configuration file travels in one line, escapes and all.
pub const LINE_BYTES: u64 = 256 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    Status,
    /// Makes a file the whole configuration.
    Apply(Apply),
    /// Ends the trial of `apply --confirm`: the configuration stays.
    Confirm,
    /// What applying a file would change on the host.
    Diff(Text),
    Export(Export),
    /// One RouterOS command line.
    Command {
        line: String,
        /// Columns of the terminal that the answer is for. None: its lines are not wrapped.
        #[serde(default)]
        width: Option<usize>,
        /// Commands of one session share the numbers of its last `print`.
        #[serde(default)]
        session: Option<u32>,
    },
    History,
    /// The text of a stored version, or the changes from it to the current one.
    Version {
        number: u32,
        compare: bool,
    },
    Rollback {
        number: u32,
        confirm_seconds: Option<u64>,
    },
    /// Loads the file given to `--config` again.
    Reload,
    /// Back to plain Linux; the daemon ends.
    Detach,
    /// Streams the steps of matching packets until the client goes.
    Trace(Trace),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    Rsc,
    Yaml,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Text {
    pub format: Format,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Apply {
    #[serde(flatten)]
    pub file: Text,
    /// The file's name, for the history.
    pub name: String,
    pub comment: Option<String>,
    pub confirm_seconds: Option<u64>,
    #[serde(default)]
    pub accept_gaps: bool,
    #[serde(default)]
    pub manner: Manner,
}

/// How a file is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manner {
    /// On top of the configuration in force, not in its place.
    pub on_top: bool,
    /// What RouterOS 7 refuses is refused.
    pub strict: bool,
    /// Up to the first failure, as RouterOS imports; otherwise as a whole or not at all.
    pub keep_going: bool,
    /// Nothing is changed; the answer is what would be.
    pub dry_run: bool,
    /// The lines before this one are left out.
    pub from_line: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Export {
    pub format: Format,
    /// `/ip/address`: only this menu and those below.
    pub menu: Option<String>,
    #[serde(default)]
    pub sensitive: bool,
    #[serde(default)]
    pub verbose: bool,
}

/// Zero fields match every packet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Trace {
    /// RouterOS or host name of the ingress port.
    pub interface: Option<String>,
    /// Address or prefix.
    pub src: Option<String>,
    pub dst: Option<String>,
    pub protocol: Option<String>,
    pub src_port: Option<u16>,
    pub dst_port: Option<u16>,
    /// Only the ends of packets that are dropped.
    pub drops: bool,
}

/// One line from the daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// One of many; more follow.
    Event(Value),
    /// The last line of a request that worked.
    Done(Answer),
    /// The last line of a request that did not.
    Failed(Failure),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    Nothing,
    Status(Box<Status>),
    Applied(Applied),
    Text(String),
    Printed(Printed),
    /// Steps that an apply would make, in order.
    Steps(Vec<String>),
    History(Vec<Meta>),
}

/// What a RouterOS `print` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printed {
    pub text: String,
    /// The same as data: objects with RouterOS's names.
    pub rows: Value,
    /// Milliseconds until the command is to be sent again (`follow`, `interval=`).
    pub again_ms: Option<u64>,
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The version it became, or stayed where nothing changed.
    pub version: u32,
    /// Steps made on the host; none where it was so already.
    pub steps: Vec<String>,
    /// Whether the data plane took a new image.
    pub new_image: bool,
    /// Known lines that have no effect on this host.
    pub kept: usize,
    /// What the operator has to know: inactive items, firewall lines that are not in force.
    pub warnings: Vec<String>,
    /// Seconds until the old configuration returns without `routerctl confirm`.
    pub confirm_seconds: Option<u64>,
    /// The failure at which a file ended; what stands before it is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Place>,
}

/// Why a request failed, with the places in its text where they are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub message: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Place>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Both count from 1.
    pub line: u32,
    pub column: u32,
    pub message: String,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Failure {
        Failure { message: message.into(), errors: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_line_and_comes_back_the_same() {
        let requests = [
            Request::Status,
            Request::Apply(Apply {
                file: Text { format: Format::Rsc, text: "/ip address\nadd \"x\"\n".into() },
                name: "office.rsc".into(),
                comment: None,
                confirm_seconds: Some(60),
                accept_gaps: true,
                manner: Manner { keep_going: true, ..Manner::default() },
            }),
            Request::Command { line: "/ip address print".into(), width: Some(80), session: None },
            Request::Trace(Trace { src: Some("192.0.2.0/24".into()), ..Trace::default() }),
        ];
        for request in requests {
            let line = serde_json::to_string(&request).unwrap();
            assert!(!line.contains('\n'));
            assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
        }
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        for bad in ["{}", "[]", "{\"request\":\"format-disk\"}", "{\"request\":\"rollback\"}", "null", ""] {
            assert!(serde_json::from_str::<Request>(bad).is_err(), "{bad}");
        }
    }
}
