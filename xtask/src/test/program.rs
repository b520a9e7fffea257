//! The test programs that cargo builds.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::shell;

const OLDEST_KERNEL: &str = "6.1";

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// `router-config/lib`, `router-tests/netns`.
    pub name: String,
    pub file: PathBuf,
    /// The package's folder, where cargo starts tests.
    pub folder: PathBuf,
}

impl Program {
    /// Whether it needs the cards of a virtual machine.
    pub fn needs_machine(&self) -> bool {
        self.name == "router-tests/vm"
    }

    /// Whether its tests share what takes long to make, in one process after another: programs that the verifier has
    /// gone through.
    pub fn shares(&self) -> bool {
        self.name == "router-tests/packet"
    }

    /// Whether what it tests depends on the kernel.
    pub fn speaks_to_kernel(&self) -> bool {
        let package = self.name.split('/').next().unwrap_or_default();
        let own = ["router-tests/packet", "router-tests/vm", "router-tests/netns", "router-tests/firewall"];
        ["router-dataplane", "router-kernel"].contains(&package) || own.contains(&self.name.as_str())
    }

    /// Whether it is run in the machine with this kernel: the packet tables and what needs a machine in every one, what
    /// speaks to the kernel with the oldest that is supported, scenarios of the whole router with the other, since an
    /// emulated processor has no time for both. Not the firewall's scenarios: in an emulated machine their clients give
    /// up before the answer, and what they say of the firewall on other kernels the packet tables say too.
    pub fn needs_kernel(&self, kernel: &str) -> bool {
        let (package, target) = self.name.split_once('/').unwrap_or((&self.name, ""));
        match (package, target) {
            ("router-tests", "packet" | "vm") => true,
            ("router-dataplane" | "router-kernel", _) => kernel == OLDEST_KERNEL,
            ("router-tests", "netns") => kernel != OLDEST_KERNEL,
            _ => false,
        }
    }
}

/// Builds all test programs, with cargo's progress on the terminal.
pub fn build() -> Result<Vec<Program>> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--no-run", "--message-format", "json-render-diagnostics"]);
    shell::step("cargo test --no-run");
    let mut child = cargo.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("start cargo")?;
    let mut programs = Vec::new();
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).lines() {
            let message: Value = serde_json::from_str(&line?).unwrap_or_default();
            programs.extend(program(&message));
        }
    }
    if !child.wait()?.success() {
        bail!("the tests do not build");
    }
    programs.sort_by(|a: &Program, b| a.name.cmp(&b.name));
    Ok(programs)
}

/// A `compiler-artifact` message of a test program.
fn program(message: &Value) -> Option<Program> {
    let file = PathBuf::from(message["executable"].as_str()?);
    if message["profile"]["test"] != true {
        return None;
    }
    let folder = PathBuf::from(message["manifest_path"].as_str()?).parent()?.to_path_buf();
    let package = package(message["package_id"].as_str()?)?;
    let target = match message["target"]["kind"][0].as_str()? {
        "lib" => "lib",
        _ => message["target"]["name"].as_str()?,
    };
    Some(Program { name: format!("{package}/{target}"), file, folder })
}

/// The name in `path+file:///folder/tests/lab#router-lab@0.1.0` or `path+file:///folder/xtask#0.1.0`.
fn package(id: &str) -> Option<&str> {
    let (path, fragment) = id.split_once('#')?;
    Some(fragment.split_once('@').map_or_else(|| path.rsplit('/').next().unwrap_or(path), |(name, _)| name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_forms_of_package_ids() {
        assert_eq!(package("path+file:///w/tests/lab#router-lab@0.1.0"), Some("router-lab"));
        assert_eq!(package("path+file:///w/xtask#0.1.0"), Some("xtask"));
    }

    #[test]
    fn takes_test_programs_only() {
        let message = |test: bool| {
            serde_json::json!({
                "package_id": "path+file:///w/tests#router-tests@0.1.0", "manifest_path": "/w/tests/Cargo.toml",
                "target": {"kind": ["test"], "name": "netns"}, "profile": {"test": test}, "executable": "/w/t/netns-1",
            })
        };
        assert_eq!(program(&message(true)).unwrap().name, "router-tests/netns");
        assert!(program(&message(false)).is_none());
    }
}
