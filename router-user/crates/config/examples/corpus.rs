//! Checks every file of a folder and sums up what isn't taken: `cargo run -p router-config --example corpus -- FOLDER`.

use std::collections::BTreeMap;
use std::error::Error;
use std::{env, fs};

use router_config::check;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: corpus FOLDER")?;
    let mut messages: BTreeMap<String, (usize, String)> = BTreeMap::new();
    let mut files: Vec<_> = fs::read_dir(&folder)?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    let (mut clean, mut statements, mut wrong) = (0, 0, 0);
    for file in &files {
        let bytes = fs::read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let report = check([(name.as_str(), bytes.as_slice())]);
        clean += usize::from(report.is_clean());
        statements += report.totals.statements;
        wrong += report.totals.errors;
        for error in report.files.iter().flat_map(|f| &f.errors) {
            let key = format!("{} | {}", error.message, error.hint.as_deref().unwrap_or(""));
            let entry = messages.entry(key).or_insert((0, format!("{name}:{}:{}", error.line, error.column)));
            entry.0 += 1;
        }
    }
    let mut sorted: Vec<_> = messages.into_iter().collect();
    sorted.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
    for (message, (count, place)) in &sorted {
        println!("{count:5} {message} ({place})");
    }
    println!("{} files, {clean} without errors; {statements} statements, {wrong} errors", files.len());
    Ok(())
}
