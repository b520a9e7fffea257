//! The host as scripts see it: the loop looks, and the script keeps what it saw for a moment.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Item, Row, Rows};
use tokio::sync::{mpsc, oneshot};

use crate::daemon::live::{Live, Scope, scope_of};

/// A look is good for so long: a loop over items asks for each of them.
const FRESH: Duration = Duration::from_millis(250);

/// A script's wish to see the host.
pub struct Look {
    pub scope: Scope,
    pub reply: oneshot::Sender<Arc<Live>>,
}

pub struct Looks<'a> {
    asks: &'a mpsc::Sender<Look>,
    seen: RefCell<Option<(Instant, Scope, Arc<Live>)>>,
}

impl<'a> Looks<'a> {
    pub fn new(asks: &'a mpsc::Sender<Look>) -> Looks<'a> {
        Looks { asks, seen: RefCell::new(None) }
    }

    /// Nothing where the router is about to end.
    fn look(&self, menu: &str) -> Option<Arc<Live>> {
        let wanted = scope_of(menu)?;
        if let Some((at, scope, live)) = &*self.seen.borrow()
            && at.elapsed() < FRESH
            && scope.holds(wanted)
        {
            return Some(Arc::clone(live));
        }
        let (reply, answer) = oneshot::channel();
        self.asks.blocking_send(Look { scope: wanted, reply }).ok()?;
        let live = answer.blocking_recv().ok()?;
        self.seen.replace(Some((Instant::now(), wanted, Arc::clone(&live))));
        Some(live)
    }
}

impl Rows for Looks<'_> {
    fn rows(&self, menu: &str) -> Vec<Row> {
        self.look(menu).map(|live| live.rows(menu)).unwrap_or_default()
    }

    fn flags(&self, item: &Item) -> String {
        self.look(&item.menu().path).map(|live| live.flags(item)).unwrap_or_default()
    }

    fn values(&self, item: &Item) -> Vec<(String, String)> {
        self.look(&item.menu().path).map(|live| live.values(item)).unwrap_or_default()
    }
}
