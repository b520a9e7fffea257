//! The example configurations: both forms are the same tree, and each writes the other.

use std::path::PathBuf;

use router_config::{ExportOptions, Tree, check, export, from_yaml, import, to_yaml};

fn config(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../configs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn written(tree: &Tree) -> String {
    export(tree, &ExportOptions { sensitive: true, ..ExportOptions::default() })
}

#[test]
fn smb_office_is_one_tree_in_both_forms() {
    let rsc = import(&Tree::new(), &config("smb-office.rsc")).unwrap_or_else(|e| panic!("{e}")).tree;
    let yaml = from_yaml(&Tree::new(), &config("smb-office.yaml")).unwrap_or_else(|e| panic!("{e}")).tree;
    assert!(rsc == yaml, "--- rsc\n{}--- yaml\n{}", written(&rsc), written(&yaml));
}

#[test]
fn smb_office_goes_through_every_form_without_loss() {
    let tree = import(&Tree::new(), &config("smb-office.rsc")).unwrap_or_else(|e| panic!("{e}")).tree;
    let text = written(&tree);
    let again = import(&Tree::new(), &text).unwrap_or_else(|e| panic!("{e}\n{text}")).tree;
    assert_eq!(written(&again), text);
    assert!(again == tree);
    let yaml = to_yaml(&tree);
    let back = from_yaml(&Tree::new(), &yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}")).tree;
    assert!(back == tree, "{yaml}\n{back:?}");
    assert_eq!(to_yaml(&back), yaml);
}

#[test]
fn the_ports_of_smb_office_are_enforced_and_every_kept_line_has_its_reason() {
    let text = config("smb-office.rsc");
    let report = check([("smb-office.rsc", text.as_bytes())]);
    let file = &report.files[0];
    assert_eq!(file.errors, []);
    assert_eq!(file.statements, file.enforced + file.kept);
    // Three ports, three addresses in each family, four routes, two settings, the name; lists of interfaces and their
    // members, a list of addresses, rules (of which one also asks for hardware).
    assert_eq!(file.enforced, 3 + 6 + 4 + 2 + 1 + 2 + 4 + 1 + 27);
    let lines: std::collections::HashSet<u32> = file.notes.iter().map(|n| n.line).collect();
    assert!(lines.len() >= file.kept, "{} lines with notes, {} kept", lines.len(), file.kept);
    assert!(file.notes.iter().all(|n| !n.reason.is_empty() && n.menu.starts_with('/')));
}
