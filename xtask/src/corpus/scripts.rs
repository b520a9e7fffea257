//! Scripts that configurations hold: each is read and run on its own configuration, with nothing outside of it.

use config::script::{Limits, Script, Variables, typical};
use config::{Tree, Type, schema};

use super::{Figure, tally::Tally};

/// What a configuration lacks, or a script says itself, is no fault of the language.
const OF_THE_CONFIGURATION: [&str; 3] = ["no such item", "failure: ", "input does not match any value of "];

#[derive(Default)]
pub struct Scripts {
    all: usize,
    good: usize,
    failed: Tally,
    /// Texts that no release of RouterOS runs.
    refused: Tally,
    refused_count: usize,
}

impl Scripts {
    /// Runs every script that an item of the configuration holds.
    pub fn try_out(&mut self, tree: &Tree, file: &str) {
        let stored: Vec<String> = tree.items("system/script").filter_map(|item| item.text("name")).collect();
        for menu in schema::menus() {
            let scripts = menu.properties.iter().filter(|property| property.ty == Type::Script);
            for property in scripts {
                let sources = tree.items(&menu.path).filter_map(|item| item.text(&property.name));
                // An event may name a script, which is tried itself.
                for source in sources.filter(|source| !source.trim().is_empty() && !stored.contains(source)) {
                    self.one(
                        tree,
                        &source,
                        &format!("{file} {} {}", menu.path, property.name),
                        typical(&menu.path, &property.name),
                    );
                }
            }
        }
    }

    fn one(&mut self, tree: &Tree, source: &str, place: &str, given: Variables) {
        let limits = Limits { steps: 2_000_000, ..Limits::default() };
        let result = Script::parse(source).and_then(|script| script.try_out(tree, limits, given));
        let error = result.err().and_then(|errors| errors.0.into_iter().next());
        match error.filter(|error| !OF_THE_CONFIGURATION.iter().any(|text| error.message.starts_with(text))) {
            Some(error) if is_refused_everywhere(&error) => {
                self.refused_count += 1;
                self.refused.error(&error, place);
            }
            Some(error) => {
                self.all += 1;
                self.failed.error(&error, place);
            }
            None => {
                self.all += 1;
                self.good += 1;
            }
        }
    }

    pub fn figures(self) -> [Figure; 2] {
        let refused = Figure {
            name: "stored scripts that RouterOS refuses too".into(),
            got: self.refused_count.to_string(),
            goal: "",
            met: None,
            failed: self.refused,
        };
        [Figure::share("stored scripts run", self.good, self.all, "all", 100.0, self.failed), refused]
    }
}

/// Whether the text of an error shows that no router would run the script: its first word on the way is no command and
/// no menu, not even the beginning of one, or it has a bracket too many.
fn is_refused_everywhere(error: &config::Error) -> bool {
    if error.hint.as_deref() == Some("this bracket closes nothing") {
        return true;
    }
    if error.message == "expected command name" {
        return error.hint.as_deref() == Some("menus and commands are written in small letters");
    }
    error.message.strip_prefix("bad command name ").is_some_and(|word| !config::is_word(word))
}
