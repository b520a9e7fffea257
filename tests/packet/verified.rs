//! What the programs cost the verifier, held against a table in the tree.

use std::collections::BTreeMap;

use crate::lab::router;

/// One line per kernel and program: `6.18 xdp_port 12345`.
const TABLE: &str = include_str!("verified-instructions.txt");

/// The verifier's way differs between builds of one kernel version and of the compiler; and the compiler orders functions
/// by hashes that know the folder they are built in.
const TOLERANCE_PERCENT: u32 = 25;

#[test]
fn programs_cost_the_verifier_what_the_table_says() {
    let mut rig = router();
    rig.slow_path(true).expect("the programs of the slow path");
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let expected: BTreeMap<&str, u32> = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix(&kernel)?.strip_prefix(' ')?.split_once(' '))
        .map(|(program, count)| (program, count.trim().parse().expect("a number of instructions")))
        .collect();
    let found = rig.verified_instructions().expect("program info");
    let shown: String =
        found.iter().map(|(program, count)| format!("{kernel} {program} {count}\n")).collect();
    if found.is_empty() {
        lab::skip!("kernel {kernel} does not tell the number of verified instructions");
    }
    if expected.is_empty() {
        lab::skip!(
            "tests/packet/verified-instructions.txt has no lines for kernel {kernel}; they are:\n{shown}"
        );
    }
    for (program, count) in &found {
        let was =
            *expected.get(program.as_str()).unwrap_or_else(|| panic!("no line for {program}:\n{shown}"));
        let most = was + was * TOLERANCE_PERCENT / 100;
        let least = was - was * TOLERANCE_PERCENT / 100;
        assert!((least..=most).contains(count), "{program}: {count}, the table says {was}. Now:\n{shown}");
    }
    assert_eq!(found.len(), expected.len(), "programs of the table that are no more:\n{shown}");
}
