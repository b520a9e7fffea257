//! Scripts with little fuel: never a panic, always an end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use router_config::Tree;
use router_config::script::{Limits, Script, Variables};

fuzz_target!(|source: &str| {
    let Ok(script) = Script::parse(source) else { return };
    let limits = Limits { steps: 20_000, depth: 60, memory: 16 << 20 };
    // A script may fail; that it ends is enough.
    let _ = script.try_out(&Tree::new(), limits, Variables::default());
});
