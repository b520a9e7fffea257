//! The command line of `routerd`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use management::instance::{BPFFS_DIR, RUN_DIR, STATE_DIR};

#[derive(Parser, Debug)]
#[command(
    name = "routerd",
    version,
    about = "Runs a RouterOS configuration on this host, forwarding in XDP",
    disable_help_subcommand = true
)]
pub struct Routerd {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Run the router in the foreground
    Run(Run),
}

#[derive(Args, Debug)]
pub struct Run {
    /// Configuration file (.rsc, or .yaml/.yml). It seeds the persistent configuration, and is loaded again
    /// when it has changed since and on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Enter this network namespace (a name of `ip netns`) first
    #[arg(long, value_name = "NAME")]
    pub netns: Option<String>,
    /// Name that keeps several routers on one host apart [default: that of the network namespace, else main]
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// The host's link behind a RouterOS port
    #[arg(long = "port", value_name = "ether1=LINK", value_parser = pair)]
    pub ports: Vec<(String, String)>,
    /// How a port is attached: auto, xdp, tc or generic; `all=MODE` speaks of all other ports
    #[arg(long = "port-mode", value_name = "ether1=MODE", value_parser = pair)]
    pub port_modes: Vec<(String, String)>,
    /// Remove the data plane and what was configured on the host when the daemon ends
    #[arg(long)]
    pub detach_on_exit: bool,
    /// Take the configuration although items of the firewall can't be enforced yet: they are not in force
    #[arg(long)]
    pub accept_gaps: bool,
    /// Where the persistent configuration and its history are kept, by instance
    #[arg(long, value_name = "DIR", default_value = STATE_DIR)]
    pub state_dir: PathBuf,
    /// Where the lock and the control socket are, by instance
    #[arg(long, value_name = "DIR", default_value = RUN_DIR)]
    pub run_dir: PathBuf,
    /// The BPF file system for the pinned data plane
    #[arg(long, value_name = "DIR", default_value = BPFFS_DIR)]
    pub bpffs: PathBuf,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Routerd::command().debug_assert();
    }

    #[test]
    fn ports_are_pairs() {
        let parsed =
            Routerd::try_parse_from(["routerd", "run", "--port", "ether1=enp3s0", "--port", "ether2=a"]);
        let Verb::Run(run) = parsed.unwrap().verb;
        assert_eq!(run.ports, [("ether1".into(), "enp3s0".into()), ("ether2".into(), "a".into())]);
        for bad in ["ether1", "=x", "ether1="] {
            assert!(Routerd::try_parse_from(["routerd", "run", "--port", bad]).is_err(), "{bad}");
        }
    }
}
