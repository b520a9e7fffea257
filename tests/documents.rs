//! Documents that are made from the code: `cargo xtask docs` writes them, this test says when they are stale.

use std::{env, fmt::Write, fs, path::Path};

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
    let enforced = menus.iter().filter(|menu| menu.effect == Effect::Enforced).count();
    let mut text = format!(
        "# RouterOS compatibility\n\n\
         Made from the schema by `cargo xtask docs`.\n\n\
         {} menus are known: {enforced} are enforced, {} are kept. *Enforced*: the line works. *Kept*: it is checked, stored and\n\
         exported again, and has no effect yet, for the reason given. A menu or property that is not listed is an error\n\
         with line and column.\n\n\
         | menu | effect | properties |\n|---|---|---|\n",
        menus.len(),
        menus.len() - enforced,
    );
    for menu in &menus {
        let effect = effect(&menu.effect, "**enforced**");
        let count = menu.properties.len();
        writeln!(text, "| `{}` | {} | {count} |", menu.slash_path(), cell(&effect)).unwrap();
    }
    text.push_str("\n## Enforced menus\n");
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
    text
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
