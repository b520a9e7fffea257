//! `cargo xtask docs`: writes the generated documents anew. A test of the same name says when they are stale.
//! `cargo xtask json-schema`: what an editor needs to help with YAML configurations.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::shell;

#[derive(Args)]
pub struct SchemaOptions {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "target/routeros.schema.json")]
    file: PathBuf,
}

pub fn run() -> Result<()> {
    let mut cargo = shell::cargo();
    cargo.env("UPDATE_GOLDEN", "1").args(["test", "--package", "router-tests", "--test", "documents"]);
    shell::run(&mut cargo)
}

/// The schema is made from the menus' own, so a file of it goes with one release and is not kept.
pub fn json_schema(options: &SchemaOptions) -> Result<()> {
    let text = serde_json::to_string(&config::json_schema())?;
    std::fs::write(&options.file, text).with_context(|| format!("write {}", options.file.display()))?;
    println!("{}", options.file.display());
    println!("first line of a configuration: # yaml-language-server: $schema={}", options.file.display());
    Ok(())
}
