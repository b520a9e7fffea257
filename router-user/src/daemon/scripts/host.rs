//! The world of a script that runs in the daemon.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use config::script::{Echo, Fetch, Fetched, Host, Ping, Rights, Script};
use config::{Act, Tree};
use tokio::sync::oneshot;

use super::{Commit, Run, Scripts, Task, files};
use crate::daemon::{fetch, ping, resolve};

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
        resolve::run(name, server)
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

    fn ping(&mut self, ping: &Ping) -> Result<Vec<Echo>, String> {
        let ports = &self.scripts.place.ports;
        let device = ping.interface.as_ref().map(|name| ports.get(name).unwrap_or(name));
        ping::run(ping, device.map(String::as_str))
    }

    fn fetch(&mut self, fetch: &Fetch) -> Result<Fetched, String> {
        fetch::run(fetch)
    }

    fn read_file(&mut self, name: &str) -> Result<Vec<u8>, String> {
        let path = files::path(&self.scripts.place.files, name)?;
        files::read(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => "Cannot open import file, file does not exist".into(),
            _ => format!("failure: {name}: {error}"),
        })
    }

    fn write_file(&mut self, name: &str, content: &[u8]) -> Result<(), String> {
        let path = files::path(&self.scripts.place.files, name)?;
        files::write(&path, content).map_err(|error| format!("failure: {name}: {error}"))
    }

    fn step(&mut self, word: &str) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let ends = || "failure: routerd is about to end".to_owned();
        let task = Task::Step { word: word.to_owned(), reply };
        self.scripts.commits.blocking_send(task).map_err(|_| ends())?;
        answer.blocking_recv().map_err(|_| ends())?
    }

    fn act(&mut self, act: &Act) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let ends = || "failure: routerd is about to end".to_owned();
        self.scripts.commits.blocking_send(Task::Act { act: act.clone(), reply }).map_err(|_| ends())?;
        answer.blocking_recv().map_err(|_| ends())?
    }

    fn refresh(&mut self, tree: &mut Tree) {
        (self.generation, *tree) = self.scripts.current();
    }

    fn commit(&mut self, tree: &Tree) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let origin = format!("script {}", self.name);
        let commit = Commit { tree: tree.clone(), generation: self.generation, origin, reply };
        let ends = || "failure: routerd is about to end".to_owned();
        self.scripts.commits.blocking_send(Task::Commit(commit)).map_err(|_| ends())?;
        answer.blocking_recv().map_err(|_| ends())?
    }
}
