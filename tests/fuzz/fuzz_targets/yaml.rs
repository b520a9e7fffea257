//! YAML: never a panic; what is taken is written and read back as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use router_config::{Tree, from_yaml, to_yaml};

fuzz_target!(|text: &str| {
    let Ok(outcome) = from_yaml(&Tree::new(), text) else { return };
    let yaml = to_yaml(&outcome.tree);
    match from_yaml(&Tree::new(), &yaml) {
        Ok(again) => assert!(again.tree == outcome.tree, "{yaml}\n{:?}\n{:?}", outcome.tree, again.tree),
        Err(errors) => panic!("{errors}\n{yaml}"),
    }
});
