//! A file becomes a configuration: as a whole or not at all, or up to its first failure.

use config::{Attempt, Error, Errors, ImportOptions, Tree};
use management::protocol::{Failure, Format, Manner, Place, Text};

use crate::files;

/// What was taken of a file.
pub struct Taken {
    pub tree: Tree,
    /// The failure at which it ended.
    pub stopped: Option<Place>,
}

/// Takes a file on top of `base`.
pub fn take(base: &Tree, file: &Text, manner: &Manner) -> Result<Taken, Failure> {
    let options =
        ImportOptions { strict: manner.strict, stop: false, from_line: manner.from_line.unwrap_or_default() };
    let whole = match file.format {
        Format::Rsc => config::import_with(base, &file.text, &options),
        Format::Yaml => config::from_yaml_with(base, &file.text, &options),
    };
    let errors = match whole {
        Ok(outcome) => return Ok(Taken { tree: outcome.tree, stopped: None }),
        Err(errors) => errors,
    };
    if !manner.keep_going || file.format == Format::Yaml {
        return Err(files::failure(&errors));
    }
    let Attempt { tree, statements, errors, .. } =
        config::attempt(base, &file.text, &ImportOptions { stop: true, ..options });
    match errors.into_iter().next() {
        Some(first) if statements.is_empty() => Err(files::failure(&Errors(vec![unread(first)]))),
        Some(first) => Ok(Taken { tree, stopped: Some(files::place(&first)) }),
        None => Ok(Taken { tree, stopped: None }),
    }
}

/// A file that RouterOS can't read, or that begins with the failure.
fn unread(error: Error) -> Error {
    match error.hint {
        Some(_) => error,
        None => error.hint("no statement was carried out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str =
        "/interface list add name=A\n/interface list add nme=B\n/interface list add name=C\n";

    fn file(text: &str) -> Text {
        Text { format: Format::Rsc, text: text.into() }
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.items("interface/list").filter(|i| !i.is_builtin()).filter_map(|i| i.text("name")).collect()
    }

    #[test]
    fn a_file_is_refused_as_a_whole() {
        let failure = take(&Tree::new(), &file(SCRIPT), &Manner::default()).err().unwrap();
        assert_eq!(failure.errors.len(), 1);
    }

    #[test]
    fn keep_going_goes_up_to_the_first_failure_and_says_which() {
        let manner = Manner { keep_going: true, ..Manner::default() };
        let script = "/interface list add name=A\n/interface list remove B\n/interface list add name=C\n";
        let taken = take(&Tree::new(), &file(script), &manner).unwrap();
        assert_eq!(names(&taken.tree), ["A"]);
        assert_eq!(taken.stopped.map(|place| (place.line, place.message)), Some((2, "no such item".into())));
        assert!(take(&Tree::new(), &file("/interface list add name=A\n/ip address {"), &manner).is_err());
        let whole = take(&Tree::new(), &file("/interface list add name=A"), &manner).unwrap();
        assert!(whole.stopped.is_none());
    }

    #[test]
    fn a_file_may_come_on_top_and_in_part() {
        let first = take(&Tree::new(), &file("/interface list add name=A"), &Manner::default()).unwrap();
        let manner = Manner { from_line: Some(3), ..Manner::default() };
        let taken = take(&first.tree, &file(SCRIPT), &manner).unwrap();
        assert_eq!(names(&taken.tree), ["A", "C"]);
    }
}
