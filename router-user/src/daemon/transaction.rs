//! One change of the host as a whole: done, or undone without a trace.
//!
//! Order: the data plane's idle slot is filled, the kernel's objects are changed, the image is flipped, and only then
//! forwarding is opened; last the configuration is made persistent. Whatever fails, what came before it is undone in
//! reverse order, and the old image is the active one.

use std::fmt::Display;

use anyhow::Context;
use plan::Desired;
use plan::desired::Image;

/// The kernel's side.
pub trait Host {
    type Step: Display;
    type Applied;
    async fn diff(&self, desired: &Desired) -> anyhow::Result<Vec<Self::Step>>;
    /// Opens the kernel's forwarding: due after the image is active.
    fn opens_forwarding(step: &Self::Step) -> bool;
    /// All steps or, on an error, none.
    async fn apply(&self, steps: Vec<Self::Step>) -> anyhow::Result<Self::Applied>;
    async fn undo(&self, applied: Self::Applied) -> anyhow::Result<()>;
}

/// The data plane's side.
pub trait Plane {
    type Staged;
    /// Fills the idle slot. Nothing is visible yet.
    fn stage(&mut self, image: &Image) -> anyhow::Result<Self::Staged>;
    fn flip(&mut self, staged: Self::Staged) -> anyhow::Result<()>;
    fn abort(&mut self, staged: Self::Staged);
}

/// Makes `desired` true and calls `keep` at the end; returns the steps made. `before` is the image that was
/// active; where it is not known, a failure after the flip leaves the new one active.
pub async fn run<H: Host, P: Plane>(
    host: &H,
    plane: &mut P,
    before: Option<&Image>,
    desired: &Desired,
    keep: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<Vec<String>> {
    let steps = host.diff(desired).await.context("compare the host with the configuration")?;
    let texts = steps.iter().map(ToString::to_string).collect();
    let (forwarding, base): (Vec<_>, Vec<_>) = steps.into_iter().partition(H::opens_forwarding);

    let staged = plane.stage(&desired.image).context("prepare the data plane's image")?;
    let base = match host.apply(base).await {
        Ok(applied) => applied,
        Err(error) => {
            plane.abort(staged);
            return Err(error);
        }
    };
    let mut undo = Undo { host, plane, before, applied: vec![base], flipped: false };
    if let Err(error) = undo.plane.flip(staged).context("make the image active") {
        return Err(undo.all(error).await);
    }
    undo.flipped = true;
    match host.apply(forwarding).await {
        Ok(applied) => undo.applied.push(applied),
        Err(error) => return Err(undo.all(error).await),
    }
    if let Err(error) = keep() {
        return Err(undo.all(error.context("make the configuration persistent")).await);
    }
    Ok(texts)
}

struct Undo<'a, H: Host, P: Plane> {
    host: &'a H,
    plane: &'a mut P,
    before: Option<&'a Image>,
    applied: Vec<H::Applied>,
    flipped: bool,
}

impl<H: Host, P: Plane> Undo<'_, H, P> {
    /// Gives back the error that was the cause. What can't be undone is logged: the next reconciliation sees it.
    async fn all(mut self, cause: anyhow::Error) -> anyhow::Error {
        // Forwarding, where it was opened, is closed before the image goes.
        while self.applied.len() > 1 {
            self.undo_last().await;
        }
        if let Some(before) = self.before.filter(|_| self.flipped) {
            let restored = self.plane.stage(before).and_then(|staged| self.plane.flip(staged));
            if let Err(error) = restored {
                tracing::error!("return to the image before: {error:#}");
            }
        }
        self.undo_last().await;
        cause
    }

    async fn undo_last(&mut self) {
        if let Some(applied) = self.applied.pop()
            && let Err(error) = self.host.undo(applied).await
        {
            tracing::error!("undo what was changed on the host: {error:#}");
        }
    }
}

#[cfg(test)]
mod tests;
