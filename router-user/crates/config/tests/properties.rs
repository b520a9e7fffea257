//! Properties of the whole: what is written is read back as it was, whatever it is.

use proptest::prelude::*;
use router_config::{ExportOptions, Tree, export, from_yaml, import, run, schema, to_yaml};

fn written(tree: &Tree) -> String {
    export(tree, &ExportOptions { sensitive: true, ..ExportOptions::default() })
}

/// Text with everything that needs quoting somewhere.
fn awkward() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,200}",
        "[\"\\\\$?;(){}\\[\\]#'=^ \n\r\t]{0,60}",
        "\\PC{0,60}",
        "(no|yes|null|~|1e3|0x10|1:20|-|\\*|&a|!x|%|@|`|\\||>|on|Off|2001-01-01|1_000|\\.5|- a|a: b|a #b)",
        " {0,3}[a-z]{0,3} {0,90}[a-z]{0,3} {0,3}",
    ]
}

/// Texts that some value type takes.
fn value_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9]{1,6}(w|d|h|m|s|ms|k|M|G|KiB|)?",
        "([0-9]{1,2}d)?[0-9]{2}:[0-5][0-9]:[0-5][0-9]",
        "!?(10|192)\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}(/[0-9]{1,2}|-192\\.255\\.1\\.2)?",
        "2001:db8:[0-9a-f]{0,4}::[0-9a-f]{1,4}(/[0-9]{1,3})?",
        "([0-9A-F]{2}[:-]){5}[0-9a-f]{2}",
        "[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}){0,3}",
        "!?[a-z]{1,12}(,!?[a-z]{1,12}){0,3}",
        "[0-9]{1,3}[kM]/[0-9]{1,3}[kM]",
        "(yes|no|auto|none|jan/02/1970|2026-01-31|fe80::1%ether1|established,related|tcp|!udp)",
        "\\PC{0,20}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn strings_survive_export_and_yaml(comment in awkward(), name in awkward(), note in awkward()) {
        let mut tree = Tree::new();
        let hex = |text: &str| text.bytes().map(|b| format!("\\{b:02X}")).collect::<String>();
        let script = format!(
            "/ip firewall filter add chain=\"{}\" comment=\"{}\"\n/system note set note=\"{}\"",
            hex(&name), hex(&comment), hex(&note)
        );
        run(&mut tree, &script).unwrap();
        let text = written(&tree);
        let again = import(&Tree::new(), &text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?.tree;
        prop_assert!(again == tree, "{}", text);
        prop_assert_eq!(written(&again), text.clone());
        prop_assert!(text.lines().all(|line| line.len() <= 79), "{}", text);
        let yaml = to_yaml(&tree);
        let back = from_yaml(&Tree::new(), &yaml).map_err(|e| TestCaseError::fail(format!("{e}\n{yaml}")))?.tree;
        prop_assert!(back == tree, "{}", yaml);
    }

    #[test]
    fn canonical_texts_mean_the_same(text in value_text()) {
        for menu in schema::menus() {
            for property in &menu.properties {
                let Ok(value) = property.check(&text) else { continue };
                let canonical = value.to_string();
                let again = property.check(&canonical);
                prop_assert_eq!(again.as_ref().ok(), Some(&value), "{} {}: {} -> {}", menu.path, property.name, text, canonical);
            }
        }
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC{0,300}", lines in proptest::collection::vec("(/|)[a-z /]{0,20}( (add|set|find|print|\\[|\\]|\\{|\\}|\"|=|[a-z-]{1,9}=[a-z0-9./:]{0,9})){0,6}", 0..20)) {
        let _ = import(&Tree::new(), &text);
        let _ = import(&Tree::new(), &lines.join("\n"));
        let _ = from_yaml(&Tree::new(), &text);
        let _ = run(&mut Tree::new(), &text);
    }
}

/// `!name` is kept, whatever a fresh router has there: of settings, and of the items that every router has.
#[test]
fn what_is_taken_away_stays_away() {
    let mut tree = Tree::new();
    let mut taken = Vec::new();
    for menu in schema::menus().filter(|menu| menu.ports.is_empty() && menu.path != "interface") {
        let items: Vec<_> = tree.items(&menu.path).map(|item| item.id()).collect();
        let settings = menu.kind == schema::Kind::Settings;
        let targets: Vec<String> = match settings {
            true => vec![String::new()],
            false => items.iter().map(ToString::to_string).collect(),
        };
        for target in targets {
            for property in menu.properties.iter().filter(|p| p.unset && !p.versions.is_former()) {
                let line = format!("{} set {target} !{}", menu.blank_path(), property.name);
                if run(&mut tree, &line).is_ok_and(|output| output.changed) {
                    taken.push(line);
                }
            }
        }
    }
    assert!(taken.len() > 10, "{taken:?}");
    let text = written(&tree);
    let again = import(&Tree::new(), &text).unwrap_or_else(|e| panic!("{text}\n{e}")).tree;
    assert!(again == tree, "{text}\n{}", written(&again));
    let yaml = to_yaml(&tree);
    let again = from_yaml(&Tree::new(), &yaml).unwrap_or_else(|e| panic!("{yaml}\n{e}")).tree;
    assert!(again == tree, "{yaml}\n{}", written(&again));
}

#[test]
fn a_property_with_a_default_can_be_nothing() {
    let mut tree = Tree::new();
    run(&mut tree, "/mpls ldp add lsr-id=192.0.2.1 !hop-limit").unwrap();
    let text = written(&tree);
    assert!(text.contains(" !hop-limit"), "{text}");
    assert_eq!(run(&mut tree, "/mpls ldp print count-only where hop-limit=255").unwrap().text, "0\n");
    let yaml = to_yaml(&tree);
    assert_eq!(written(&from_yaml(&Tree::new(), &yaml).unwrap().tree), text);
    run(&mut tree, "/mpls ldp set 0 hop-limit=255").unwrap();
    assert!(!written(&tree).contains("!hop-limit"));
}
