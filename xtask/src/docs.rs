//! `cargo xtask docs`: writes the generated documents anew. A test of the same name says when they are stale.

use anyhow::Result;

use crate::shell;

pub fn run() -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.env("UPDATE_GOLDEN", "1").args(["test", "--package", "router-tests", "--test", "documents"]);
    shell::run(&mut cargo)
}
