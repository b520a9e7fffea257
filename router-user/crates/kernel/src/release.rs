//! Back to the host without us.

use plan::Desired;

use crate::{Error, Kernel};

impl Kernel {
    /// Removes all that carries our tag and gives back what was written down: one command back to plain Linux.
    /// Goes on after an error, which is returned at the end.
    pub async fn release(&self) -> Result<(), Error> {
        let steps = self.diff(&Desired::default()).await?;
        let mut first = Ok(());
        for step in &steps {
            if let Err(error) = self.run(&step.op).await {
                tracing::warn!("{step}: {error}");
                first = first.and(Err(error));
            }
        }
        match first {
            Ok(()) => self.originals().clear(),
            failed => failed,
        }
    }
}
