//! Documents that are made from the code: `cargo xtask docs` writes them, this test says when they are stale.

use std::{collections::BTreeMap, env, fmt::Write, fs, path::Path};

use config::schema::{self, Effect, Menu};

#[test]
fn routeros_compatibility() {
    assert_current("routeros-compatibility.md", &compatibility());
}

fn assert_current(name: &str, content: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&file, content).unwrap();
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    assert!(found == content, "docs/{name} is stale: run cargo xtask docs");
}

fn compatibility() -> String {
    let menus: Vec<&Menu> = schema::menus().collect();
    let mut areas: BTreeMap<&str, Vec<&Menu>> = BTreeMap::new();
    for menu in &menus {
        areas.entry(&menu.area).or_default().push(menu);
    }
    let properties: usize = menus.iter().map(|menu| menu.properties.len()).sum();
    let mut text = format!(
        "# RouterOS compatibility\n\n\
         Made from the schema by `cargo xtask docs`.\n\n\
         {} menus with {properties} properties are known: {} are enforced, {} are kept. *Enforced*: the line works. *Kept*: it is\n\
         checked, stored and exported again, and has no effect yet, for the reason given. A menu or property that is not known is\n\
         an error with line and column. `routerctl` names the properties of a menu and their values in the errors about them.\n\n\
         | area | menus | enforced |\n|---|---|---|\n",
        menus.len(),
        count_enforced(&menus),
        menus.len() - count_enforced(&menus),
    );
    for (area, menus) in &areas {
        writeln!(text, "| [{area}](#{}) | {} | {} |", anchor(area), menus.len(), count_enforced(menus))
            .unwrap();
    }
    for (area, menus) in &areas {
        chapter(&mut text, area, menus);
    }
    text
}

/// The menus of an area; the reason that most of them share is said once.
fn chapter(text: &mut String, area: &str, menus: &[&Menu]) {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for menu in menus {
        if let Effect::Kept(reason) = &menu.effect {
            *reasons.entry(reason).or_default() += 1;
        }
    }
    let common = reasons.into_iter().max_by_key(|(_, count)| *count).filter(|(_, count)| *count > 2);
    write!(text, "\n## {area}\n\n").unwrap();
    if let Some((reason, _)) = common {
        write!(text, "Kept where nothing else is said: {reason}.\n\n").unwrap();
    }
    text.push_str("| menu | | effect | properties |\n|---|---|---|---|\n");
    for menu in menus {
        let is_common =
            matches!((&menu.effect, common), (Effect::Kept(own), Some((shared, _))) if own == shared);
        let effect = if is_common { String::new() } else { effect(&menu.effect, "**enforced**") };
        let versions = menu.versions.to_string();
        let help = match (menu.help.trim_end_matches('.'), versions.as_str()) {
            (help, "") => help.to_owned(),
            ("", versions) => versions.to_owned(),
            (help, versions) => format!("{help} ({versions})"),
        };
        let (path, count) = (menu.slash_path(), menu.properties.len());
        writeln!(text, "| `{path}` | {} | {} | {count} |", cell(&help), cell(&effect)).unwrap();
    }
    for menu in menus.iter().filter(|menu| menu.effect == Effect::Enforced) {
        write!(text, "\n### {}\n\n{}\n\n", menu.slash_path(), menu.help).unwrap();
        text.push_str("| property | default | effect | |\n|---|---|---|---|\n");
        for property in &menu.properties {
            let effect = effect(&property.effect, "enforced");
            let default = property.default.as_ref().map_or(String::new(), |(text, _)| format!("`{text}`"));
            let (name, help) = (&property.name, cell(&property.help));
            writeln!(text, "| `{name}` | {default} | {} | {help} |", cell(&effect)).unwrap();
        }
    }
}

fn count_enforced(menus: &[&Menu]) -> usize {
    menus.iter().filter(|menu| menu.effect == Effect::Enforced).count()
}

/// The link that a heading gets.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-');
    heading.chars().filter(kept).collect::<String>().to_lowercase().replace(' ', "-")
}

fn effect(effect: &Effect, enforced: &str) -> String {
    match effect {
        Effect::Enforced => enforced.to_owned(),
        Effect::Kept(reason) => format!("kept: {reason}"),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
