//! Scripts: never a panic, also not in their listing; what is taken is written in both forms and read back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use router_config::{ExportOptions, Tree, export, from_yaml, import_bytes, listing, to_yaml};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = listing(text);
    }
    let Ok(outcome) = import_bytes(&Tree::new(), bytes) else { return };
    let written = |tree| export(tree, &ExportOptions { sensitive: true, ..ExportOptions::default() });
    let text = written(&outcome.tree);
    match import_bytes(&Tree::new(), text.as_bytes()) {
        // Items of menus without an order may stand in another one.
        Ok(again) => assert_eq!(written(&again.tree), text, "{:?}\n{:?}", outcome.tree, again.tree),
        Err(errors) => panic!("{errors}\n{text}"),
    }
    let yaml = to_yaml(&outcome.tree);
    match from_yaml(&Tree::new(), &yaml) {
        Ok(again) => assert!(again.tree == outcome.tree, "{yaml}\n{:?}\n{:?}", outcome.tree, again.tree),
        Err(errors) => panic!("{errors}\n{yaml}"),
    }
});
