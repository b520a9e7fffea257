//! The world of a script that runs in the daemon.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::Tree;
use config::script::{Host, Rights, Script};
use tokio::sync::oneshot;

use super::{Commit, Run, Scripts};

pub struct World {
    scripts: Arc<Scripts>,
    name: String,
    rights: Rights,
    /// The configuration that the command at work began with.
    generation: u64,
}

impl World {
    pub fn new(scripts: Arc<Scripts>, name: &str, rights: Rights) -> World {
        World { scripts, name: name.to_owned(), rights, generation: 0 }
    }
}

impl Host for World {
    fn now(&mut self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn delay(&mut self, time: Duration) -> Result<(), String> {
        std::thread::sleep(time);
        Ok(())
    }

    fn log(&mut self, severity: &str, text: &str) {
        match severity {
            "error" => tracing::error!(target: "script", "{text}"),
            "warning" => tracing::warn!(target: "script", "{text}"),
            "info" => tracing::info!(target: "script", "{text}"),
            _ => tracing::debug!(target: "script", "{text}"),
        }
        self.scripts.log(&format!("script,{severity}"), text);
    }

    fn resolve(&mut self, name: &str, server: Option<&str>) -> Result<IpAddr, String> {
        if server.is_some() {
            return Err("failure: a server can not be chosen here yet".into());
        }
        let found = (name, 0).to_socket_addrs().map_err(|_| "failure: dns name does not exist")?;
        let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        found.sort_by_key(IpAddr::is_ipv6);
        found.first().copied().ok_or_else(|| "failure: dns name does not exist".into())
    }

    fn execute(&mut self, script: Script) -> Result<u32, String> {
        let run = Run { rights: self.rights, ..Run::named(&self.name) };
        self.scripts.start(run, script, None)
    }

    fn random(&mut self) -> u64 {
        // A new state has keys of its own, from the system's random numbers.
        RandomState::new().build_hasher().finish()
    }

    fn job(&self) -> String {
        self.name.clone()
    }

    fn started(&mut self, script: &str) {
        self.scripts.ran(script);
    }

    fn refresh(&mut self, tree: &mut Tree) {
        (self.generation, *tree) = self.scripts.current();
    }

    fn commit(&mut self, tree: &Tree) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let origin = format!("script {}", self.name);
        let commit = Commit { tree: tree.clone(), generation: self.generation, origin, reply };
        let ends = || "failure: routerd is about to end".to_owned();
        self.scripts.commits.blocking_send(commit).map_err(|_| ends())?;
        answer.blocking_recv().map_err(|_| ends())?
    }
}
