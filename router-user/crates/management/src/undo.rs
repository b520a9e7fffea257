//! `/undo` and `/redo`: the versions that are kept, read as changes that can be taken back and made again.

use crate::store::Meta;

/// The versions that `/undo` takes back and `/redo` makes again, the next one last.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Steps {
    pub undoable: Vec<u32>,
    pub redoable: Vec<u32>,
}

impl Steps {
    /// From a history as [`crate::store::Store::history`] gives it, newest first. A change can be taken back as long
    /// as the version before it is kept; a new change ends what could be made again.
    pub fn of(history: &[Meta]) -> Steps {
        let mut steps = Steps::default();
        for (at, meta) in history.iter().enumerate().rev() {
            match Step::of(&meta.origin) {
                Some(Step::Undo(number)) => {
                    if steps.undoable.pop_if(|last| *last == number).is_some() {
                        steps.redoable.push(number);
                    }
                }
                Some(Step::Redo(number)) => {
                    if steps.redoable.pop_if(|last| *last == number).is_some() {
                        steps.undoable.push(number);
                    }
                }
                None => {
                    steps.redoable.clear();
                    if history.get(at + 1).is_some_and(|before| before.version + 1 == meta.version) {
                        steps.undoable.push(meta.version);
                    }
                }
            }
        }
        steps
    }
}

/// Where a version comes from that such a step made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Takes back that version.
    Undo(u32),
    /// Makes that version again.
    Redo(u32),
}

impl Step {
    pub fn of(origin: &str) -> Option<Step> {
        let (word, number) = origin.split_once(' ')?;
        match word {
            "undo" => number.parse().ok().map(Step::Undo),
            "redo" => number.parse().ok().map(Step::Redo),
            _ => None,
        }
    }

    pub fn origin(self) -> String {
        match self {
            Step::Undo(number) => format!("undo {number}"),
            Step::Redo(number) => format!("redo {number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps after versions of these origins, the first of them number `first`.
    fn after(first: u32, origins: &[&str]) -> (Vec<u32>, Vec<u32>) {
        let history = (first..).zip(origins).map(|(version, origin)| Meta {
            version,
            time: String::new(),
            origin: (*origin).to_owned(),
            comment: None,
            source: None,
            pending: None,
            gaps_accepted: false,
        });
        let mut history: Vec<Meta> = history.collect();
        history.reverse();
        let steps = Steps::of(&history);
        (steps.undoable, steps.redoable)
    }

    #[test]
    fn steps_go_back_and_forth_until_something_new_is_done() {
        let load = "load router.rsc";
        assert_eq!(after(1, &[load]), (vec![], vec![]), "before the first version there is none");
        assert_eq!(after(1, &[load, "a", "b"]), (vec![2, 3], vec![]));
        assert_eq!(after(1, &[load, "a", "b", "undo 3"]), (vec![2], vec![3]));
        assert_eq!(after(1, &[load, "a", "b", "undo 3", "undo 2"]), (vec![], vec![3, 2]));
        assert_eq!(after(1, &[load, "a", "b", "undo 3", "undo 2", "redo 2"]), (vec![2], vec![3]));
        assert_eq!(after(1, &[load, "a", "b", "undo 3", "c"]), (vec![2, 5], vec![]));
        assert_eq!(after(1, &[load, "a", "b", "undo 3", "c", "undo 5"]), (vec![2], vec![5]));
    }

    #[test]
    fn what_is_no_longer_kept_can_not_be_taken_back() {
        assert_eq!(after(7, &["a", "b"]), (vec![8], vec![]));
        assert_eq!(after(7, &["undo 6", "b"]), (vec![8], vec![]), "of a version that is gone");
        assert_eq!(after(7, &["a", "undo 7"]), (vec![], vec![]));
    }

    #[test]
    fn origins_are_read_as_they_are_written() {
        for step in [Step::Undo(3), Step::Redo(4)] {
            assert_eq!(Step::of(&step.origin()), Some(step));
        }
        for other in ["undo", "undo it", "apply undo 3", "redo -1"] {
            assert_eq!(Step::of(other), None, "{other}");
        }
    }
}
