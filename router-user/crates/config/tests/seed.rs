//! A file given by SEED_RSC has to be taken as it is.

use router_config::{ExportOptions, Tree, export, import};

#[test]
fn the_file_named_by_seed_rsc_is_accepted_whole() {
    let Ok(path) = std::env::var("SEED_RSC") else {
        eprintln!("skipped: SEED_RSC names no file");
        return;
    };
    let text = std::fs::read_to_string(&path).unwrap();
    let outcome = import(&Tree::new(), &text).unwrap_or_else(|e| panic!("{path}:\n{e}"));
    for note in &outcome.notes {
        println!("line {} {}: {}", note.line, note.menu, note.reason);
    }
    println!("{} statements", outcome.statements.len());
    let written = export(&outcome.tree, &ExportOptions { sensitive: true, ..ExportOptions::default() });
    println!("{written}");
    let again = import(&Tree::new(), &written).unwrap_or_else(|e| panic!("{e}\n{written}"));
    assert!(again.tree == outcome.tree, "{:?}\n--- read back:\n{:?}", outcome.tree, again.tree);
}
