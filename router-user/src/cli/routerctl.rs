//! The command line of `routerctl`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use management::instance::{BPFFS_DIR, RUN_DIR, STATE_DIR};
use management::protocol::Format;

#[derive(Parser, Debug)]
#[command(
    name = "routerctl",
    version,
    about = "Manages the router that routerd runs",
    after_help = "An argument that begins with / is a RouterOS command, run at once and kept:\n  \
                  routerctl '/ip address add address=192.0.2.1/24 interface=ether1'",
    disable_help_subcommand = true
)]
pub struct Routerctl {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Args, Debug)]
pub struct Common {
    /// Which router of this host [default: that of the network namespace this runs in]
    #[arg(long, value_name = "NAME", global = true)]
    pub instance: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[arg(long, value_name = "DIR", global = true, default_value = RUN_DIR, hide_default_value = true)]
    pub run_dir: PathBuf,
    #[arg(long, value_name = "DIR", global = true, default_value = STATE_DIR, hide_default_value = true)]
    pub state_dir: PathBuf,
    /// The BPF file system that holds the pinned data plane
    #[arg(long, value_name = "DIR", global = true, default_value = BPFFS_DIR, hide_default_value = true)]
    pub bpffs: PathBuf,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Make a file the whole configuration; all of it or, on an error, nothing
    Apply(Apply),
    /// Keep the configuration that `apply --confirm` put on trial
    Confirm,
    /// Check files without a router: needs neither daemon nor root
    Check(Check),
    /// Add a file to the configuration, as /import does; all of it or, on an error, nothing
    Import(Import),
    /// Show what applying a file would change on the host
    Diff {
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print a file in the other syntax, or normalised
    Convert {
        #[arg(long)]
        to: Syntax,
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print how a real router's parser reads a script: full names, arguments, operators; or its first error
    Parse {
        /// As one that has no more than the base package
        #[arg(long)]
        base: bool,
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the running configuration
    Export(Export),
    /// Print a menu's items: routerctl print ip/address
    Print {
        #[arg(value_name = "MENU")]
        menu: String,
        /// Passed on to print: detail, terse, count-only, where ...
        #[arg(trailing_var_arg = true)]
        arguments: Vec<String>,
    },
    /// Show the router's condition
    Status,
    /// List the stored versions, or show one
    History(History),
    /// Return to a stored version
    Rollback {
        #[arg(value_name = "VERSION")]
        version: u32,
        /// Return again unless confirmed within so many seconds
        #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
        confirm: Option<u64>,
    },
    /// Load the file that routerd was started with again
    Reload,
    /// Back to plain Linux: removes the data plane and all that was configured, also without a daemon
    Detach,
    /// Read the data plane's maps, also without a daemon
    Map(Map),
    /// Show packets per port and reason
    Stats {
        /// Show rates, again and again
        #[arg(long)]
        watch: bool,
        /// Seconds between two rounds
        #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
        interval: f64,
    },
    /// Follow matching packets through the stages
    Trace(TraceArgs),
    /// Dropped packets by reason, or each as it is dropped
    Drops {
        /// Show each packet with its reason, chain and rule
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        packets: TraceArgs,
    },
    /// Why a packet takes the fast path or not: routerctl explain in=ether2 src=192.0.2.9 dst=203.0.113.1
    Explain {
        /// in=PORT src=ADDRESS dst=ADDRESS, and protocol=, src-port=, dst-port=
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = pair)]
        packet: Vec<(String, String)>,
    },
    /// Print the completion script of a shell
    Completions { shell: Shell },
    /// Print a man page, or write all of them
    Man {
        #[arg(value_enum, default_value = "routerctl")]
        program: Program,
        /// Write the pages of both programs and all verbs into this directory
        #[arg(long, value_name = "DIR")]
        all: Option<PathBuf>,
    },
    /// RouterOS commands
    #[command(external_subcommand)]
    RouterOs(Vec<String>),
}

#[derive(Args, Debug)]
pub struct Check {
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Refuse what RouterOS 7 refuses: forms of version 6, other spellings, names used before they exist
    #[arg(long)]
    pub strict: bool,
    /// Write a page about the files, to be shown around: secrets are masked
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Apply {
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Return to the configuration before unless `routerctl confirm` follows within so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86400))]
    pub confirm: Option<u64>,
    /// Take the configuration although items of the firewall can't be enforced yet: they are not in force
    #[arg(long)]
    pub accept_gaps: bool,
    /// Kept with the version
    #[arg(long, value_name = "TEXT")]
    pub comment: Option<String>,
    #[command(flatten)]
    pub taking: Taking,
}

#[derive(Args, Debug)]
pub struct Import {
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Leave out the lines before this one
    #[arg(long, value_name = "LINE")]
    pub from_line: Option<u32>,
    /// Say what would go wrong, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show each statement with its line
    #[arg(long)]
    pub verbose: bool,
    #[command(flatten)]
    pub taking: Taking,
}

#[derive(Args, Debug)]
pub struct Taking {
    /// Refuse what RouterOS 7 refuses: forms of version 6, other spellings, names used before they exist
    #[arg(long)]
    pub strict: bool,
    /// Do as RouterOS does: what stands before the first failure stays
    #[arg(long)]
    pub keep_going: bool,
}

#[derive(Args, Debug)]
pub struct Export {
    /// Only this menu and those below it
    #[arg(value_name = "MENU")]
    pub menu: Option<String>,
    #[arg(long, default_value = "rsc")]
    pub format: Syntax,
    /// With passwords and keys
    #[arg(long)]
    pub show_sensitive: bool,
    /// With values that are at their default
    #[arg(long)]
    pub verbose: bool,
}

#[derive(Args, Debug)]
pub struct History {
    #[arg(value_name = "VERSION")]
    pub version: Option<u32>,
    /// Show what has changed since
    #[arg(long, requires = "version")]
    pub diff: bool,
}

#[derive(Args, Debug)]
pub struct Map {
    pub what: MapKind,
    /// Only rows that hold this text
    #[arg(value_name = "TEXT")]
    pub filter: Vec<String>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapKind {
    /// Ports of the active image
    Ports,
    /// Both image slots and the control words
    Images,
    /// Packets and bytes by port
    Counters,
    /// Packets and bytes by reason
    Reasons,
    /// Cached routes
    Routes,
    /// The host's own addresses
    Locals,
    /// Pinned maps, programs and links
    Objects,
    /// Rules in force with their counters
    Rules,
    /// Which rules each value of an address, a port, an interface leaves
    Rows,
    /// Connections whose addresses or ports are translated
    Nat,
    /// Dynamic members of address lists
    Lists,
    /// Tracked connections of both families, and how their packets are decided
    Connections,
    /// Which rules count the packets of the fast path
    Paths,
}

#[derive(Args, Debug)]
pub struct TraceArgs {
    /// in=PORT, src= and dst= with an address or prefix, protocol=, src-port=, dst-port=; none: every packet
    #[arg(value_name = "NAME=VALUE", value_parser = pair)]
    pub packet: Vec<(String, String)>,
    /// End after so many packets
    #[arg(long, short = 'c')]
    pub count: Option<u64>,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    Rsc,
    Yaml,
}

impl From<Syntax> for Format {
    fn from(syntax: Syntax) -> Format {
        match syntax {
            Syntax::Rsc => Format::Rsc,
            Syntax::Yaml => Format::Yaml,
        }
    }
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Routerctl,
    Routerd,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Routerctl::command().debug_assert();
    }

    #[test]
    fn a_slash_begins_a_routeros_command() {
        let parsed =
            Routerctl::try_parse_from(["routerctl", "--instance", "r", "/ip address print"]).unwrap();
        assert_eq!(parsed.common.instance.as_deref(), Some("r"));
        assert!(matches!(parsed.verb, Verb::RouterOs(words) if words == ["/ip address print"]));
    }

    #[test]
    fn common_options_may_stand_behind_the_verb() {
        let parsed = Routerctl::try_parse_from(["routerctl", "check", "--json", "a.rsc"]).unwrap();
        assert!(parsed.common.json);
    }
}
