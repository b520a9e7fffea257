//! The transaction's two sides as they really are.

use anyhow::Context;
use dataplane::{Dataplane, Staged};
use kernel::{Kernel, Phase, Step};
use plan::Desired;
use plan::desired::Image;

use crate::daemon::transaction::{Host, Plane};

impl Host for Kernel {
    type Step = Step;
    type Applied = kernel::Applied;

    async fn diff(&self, desired: &Desired) -> anyhow::Result<Vec<Step>> {
        Ok(Kernel::diff(self, desired).await?)
    }

    fn opens_forwarding(step: &Step) -> bool {
        step.phase() == Phase::Forwarding
    }

    async fn apply(&self, steps: Vec<Step>) -> anyhow::Result<kernel::Applied> {
        Kernel::apply(self, steps).await.map_err(|failed| {
            for left in &failed.undo_errors {
                tracing::error!("not undone: {left}");
            }
            failed.into()
        })
    }

    async fn undo(&self, applied: kernel::Applied) -> anyhow::Result<()> {
        Ok(Kernel::undo(self, applied).await?)
    }
}

impl Plane for Dataplane {
    type Staged = Staged;

    fn stage(&mut self, image: &Image) -> anyhow::Result<Staged> {
        Ok(Dataplane::stage(self, image)?)
    }

    fn flip(&mut self, staged: Staged) -> anyhow::Result<()> {
        Dataplane::flip(self, staged).context("flip")
    }

    fn abort(&mut self, staged: Staged) {
        Dataplane::abort(self, staged);
    }
}
