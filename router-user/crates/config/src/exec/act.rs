//! Commands that change no item of the configuration: the router carries them out.

use super::apply::refuse_arguments;
use super::{Command, Outcome, Session};
use crate::Act;
use crate::ItemId;
use crate::print;
use crate::schema::Effect;
use crate::tree::Changes;

/// Menus whose counters can be set to zero.
fn has_counters(path: &str) -> bool {
    matches!(
        path.strip_prefix("ip/firewall/").or_else(|| path.strip_prefix("ipv6/firewall/")),
        Some("filter" | "nat" | "raw")
    )
}

/// Whether a command is one of these.
pub(super) fn is_act(command: &Command) -> bool {
    let path = command.menu.path.as_str();
    match command.verb.as_str() {
        "reset-counters" | "reset-counters-all" => has_counters(path),
        "remove" => path.ends_with("/firewall/connection") && command.menu.effect == Effect::Enforced,
        _ => false,
    }
}

impl Session<'_> {
    pub(super) fn act(&mut self, command: &Command) -> Outcome<()> {
        refuse_arguments(command)?;
        let ids = match command.verb.as_str() {
            "reset-counters-all" => self.tree.all(command.menu).iter().map(|item| item.id()).collect(),
            _ => self.named(command)?,
        };
        self.ask(command, &ids);
        self.finish(command, &Changes::new(), true, None);
        Ok(())
    }

    /// Asks the router to do what a command says to these items.
    pub(super) fn ask(&mut self, command: &Command, ids: &[ItemId]) {
        let wanted: std::collections::HashSet<_> =
            ids.iter().copied().filter(|id| print::is_other(*id)).collect();
        let others = if wanted.is_empty() { Vec::new() } else { print::others(command.menu, self.rows) };
        let rows = others.into_iter().filter(|(item, _)| wanted.contains(&item.id())).map(|(_, row)| row);
        self.acts.push(Act {
            menu: command.menu.path.clone(),
            verb: command.verb.clone(),
            items: ids.iter().copied().filter(|id| !print::is_other(*id)).collect(),
            rows: rows.collect(),
        });
    }
}
