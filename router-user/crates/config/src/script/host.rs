//! What a script needs of the world: time, names, chance, output.

use std::net::IpAddr;
use std::time::Duration;

use super::Script;
use super::world::{Echo, Fetch, Fetched, Ping};
use crate::Act;
use crate::tree::Tree;

/// The world of a script. An error's text is shown as the script's error.
pub trait Host {
    /// Time since 1970-01-01, UTC.
    fn now(&mut self) -> Duration;

    /// Waits; an error ends the script.
    fn delay(&mut self, time: Duration) -> Result<(), String>;

    /// Whether a delay lets others work: then the script may go on afterwards as long as one that begins.
    fn rests(&self) -> bool {
        true
    }

    /// A line of the log, `severity` is `debug`, `info`, `warning` or `error`.
    fn log(&mut self, severity: &str, text: &str);

    /// The address of a name.
    fn resolve(&mut self, name: &str, server: Option<&str>) -> Result<IpAddr, String>;

    /// Begins to run a script beside this one; gives the job's number.
    fn execute(&mut self, script: Script) -> Result<u32, String>;

    fn random(&mut self) -> u64;

    /// Sends echo requests and waits for the answers.
    fn ping(&mut self, _ping: &Ping) -> Result<Vec<Echo>, String> {
        Err("failure: ping is not possible here".into())
    }

    fn fetch(&mut self, _fetch: &Fetch) -> Result<Fetched, String> {
        Err("failure: fetch is not possible here".into())
    }

    /// A file of the router.
    fn read_file(&mut self, _name: &str) -> Result<Vec<u8>, String> {
        Err("Cannot open import file, file does not exist".into())
    }

    fn write_file(&mut self, _name: &str, _content: &[u8]) -> Result<(), String> {
        Err("failure: files can not be written here".into())
    }

    /// Takes the last change back (`undo`), or makes it again (`redo`); tells which it was.
    fn step(&mut self, word: &str) -> Result<String, String> {
        Err(format!("failure: {word} is not possible here"))
    }

    /// What `:jobname` says.
    fn job(&self) -> String {
        String::new()
    }

    /// A script of `/system script` begins to run.
    fn started(&mut self, _script: &str) {}

    /// Before a command: the configuration as it is now, where others change it too.
    fn refresh(&mut self, _tree: &mut Tree) {}

    /// What a command asks of the router beside the configuration.
    fn act(&mut self, _act: &Act) -> Result<(), String> {
        Ok(())
    }

    /// After a command that changed the configuration; an error undoes the command.
    fn commit(&mut self, _tree: &Tree) -> Result<(), String> {
        Ok(())
    }
}

/// No world: time stands still but for delays, which take none; nothing else is there. For scripts in configuration
/// files, whose outcome must depend on nothing but the file.
#[derive(Debug, Default)]
pub struct Nowhere {
    time: Duration,
    waits: u32,
    chance: u64,
}

/// How often a script may wait where time stands still: what it waits for never comes.
const MAX_WAITS: u32 = 1000;

impl Host for Nowhere {
    fn now(&mut self) -> Duration {
        self.time
    }

    fn delay(&mut self, time: Duration) -> Result<(), String> {
        self.time = self.time.saturating_add(time);
        self.waits = self.waits.saturating_add(1);
        match self.waits > MAX_WAITS {
            true => Err("script was ended: it waits for what does not come".into()),
            false => Ok(()),
        }
    }

    fn rests(&self) -> bool {
        false
    }

    fn log(&mut self, _severity: &str, _text: &str) {}

    fn resolve(&mut self, _name: &str, _server: Option<&str>) -> Result<IpAddr, String> {
        Err("failure: dns server failure".into())
    }

    fn execute(&mut self, _script: Script) -> Result<u32, String> {
        Err("failure: jobs can not be started from a configuration file".into())
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn random(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}
