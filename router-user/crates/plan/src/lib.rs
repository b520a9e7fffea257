//! Configuration tree -> desired state: kernel objects and the data plane's image. Pure: no I/O.

mod addresses;
pub mod desired;
pub mod facts;
pub mod firewall;
mod image;
mod neighbors;
mod net;
mod numbers;
mod ports;
mod routes;
mod settings;
mod tables;
mod view;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;

use config::{Error, Errors, Item, Span, Tree};
use serde::de::DeserializeOwned;

pub use desired::Desired;
use desired::{Gap, Inactive};
pub use facts::HostFacts;
pub use image::{TooLarge, encode};
pub use view::views;

use addresses::Own;
use ports::{Port, Ports};
use settings::Settings;

/// What the configuration asks of this host. An item that cannot have effect on it now (an absent port, a gateway out
/// of reach) is listed in [`Desired::inactive`]; that is no error.
pub fn compile(tree: &Tree, facts: &HostFacts) -> Result<Desired, Errors> {
    let settings = Settings::read(tree)?;
    let mut plan = Plan { tree, facts, errors: Vec::new(), desired: Desired::default() };
    let ports = Ports::resolve(&mut plan);
    let own = addresses::compile(&mut plan, &ports, &settings);
    let tables = tables::compile(&mut plan);
    tables::rules(&mut plan, &ports, &tables);
    routes::compile(&mut plan, &ports, &own, &settings, &tables);
    neighbors::compile(&mut plan, &ports, &settings);
    let managed = managed(&ports, &own);
    settings::compile(&mut plan, &managed, &settings);
    image::compile(&mut plan.desired.image, &managed, &own, &settings);
    plan.desired.firewall = firewall::compile(&mut plan, &ports, &tables);
    match image::encode(&plan.desired.firewall) {
        Ok(rules) => {
            plan.desired.image.tracking = firewall::tracking::compile(tree, &rules)?;
            plan.desired.image.rules = Arc::new(rules);
        }
        Err(image::TooLarge(reason)) => {
            plan.errors.push(Error::new(Span::default(), format!("failure: {reason}")))
        }
    }
    if plan.errors.is_empty() { Ok(plan.desired) } else { Err(Errors(plan.errors)) }
}

/// The ports that packets are routed on: those of `/interface ethernet`, and others that have an address.
fn managed<'a>(ports: &Ports<'a>, own: &Own<'a>) -> Vec<Port<'a>> {
    let mut managed: Vec<Port<'a>> = Vec::new();
    let mut known = HashSet::new();
    for port in ports.all().chain(own.configured.iter().map(|(port, _)| port)) {
        if !port.link.loopback && known.insert(port.link.ifindex) {
            managed.push(port.clone());
        }
    }
    managed
}

/// A compilation under way.
struct Plan<'a> {
    tree: &'a Tree,
    facts: &'a HostFacts,
    errors: Vec<Error>,
    desired: Desired,
}

impl<'a> Plan<'a> {
    /// The items of a menu that are not disabled, each with its typed view.
    fn items<V: DeserializeOwned>(&mut self, menu: &str) -> Vec<(&'a Item, V)> {
        let mut views = Vec::new();
        for item in self.tree.items(menu).filter(|item| !item.is_disabled()) {
            match item.view() {
                Ok(view) => views.push((item, view)),
                Err(error) => self.errors.push(error),
            }
        }
        views
    }

    /// Reads a value that the schema has checked already.
    fn parse<T>(&mut self, item: &Item, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = parse(text);
        if value.is_none() {
            self.errors.push(Error::new(item.span().unwrap_or_default(), format!("invalid value {text}")));
        }
        value
    }

    fn gap(&mut self, menu: &str, item: &Item, what: &str) {
        self.desired.gaps.push(Gap {
            menu: format!("/{menu}"),
            item: item.id().0,
            span: item.span().unwrap_or_default(),
            what: what.to_owned(),
            is_unknown: false,
        });
    }

    /// A gap for a whole reason: what the item names is not there.
    fn unknown(&mut self, menu: &str, item: &Item, reason: &str) {
        self.gap(menu, item, reason);
        if let Some(gap) = self.desired.gaps.last_mut() {
            gap.is_unknown = true;
        }
    }

    fn inactive(&mut self, menu: &str, item: &Item, reason: impl Into<String>) {
        self.desired.inactive.push(Inactive {
            menu: format!("/{menu}"),
            item: item.id().0,
            reason: reason.into(),
        });
    }
}
