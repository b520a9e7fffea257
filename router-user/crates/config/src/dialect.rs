//! Lines that a real RouterOS takes differently or not at all, turned into what they mean. Plain other names are in the
//! schema (`also:`); here is what needs more than a name.

use crate::exec::Command;
use crate::tree::Tree;

/// Rewrites a command; what is done is said in `notes`. The first command of the result stands for the statement.
pub(crate) fn adapt(tree: &mut Tree, mut command: Command, notes: &mut Vec<String>) -> Vec<Command> {
    enabled(&mut command, notes);
    vec![adapt_one(tree, command, notes)]
}

fn adapt_one(_tree: &mut Tree, command: Command, _notes: &mut Vec<String>) -> Command {
    command
}

/// `enabled=yes` is `disabled=no` where the menu only has the second.
fn enabled(command: &mut Command, notes: &mut Vec<String>) {
    if command.menu.property("enabled").is_some() || command.menu.property("disabled").is_none() {
        return;
    }
    for assign in &mut command.assigns {
        let inverted = match assign.value.as_deref() {
            Some("yes") => "no",
            Some("no") => "yes",
            _ => continue,
        };
        if assign.name == "enabled" {
            notes.push(format!(
                "enabled={} is taken as disabled={inverted}",
                assign.value.as_deref().unwrap_or("")
            ));
            assign.name = "disabled".into();
            assign.value = Some(inverted.into());
        }
    }
}
