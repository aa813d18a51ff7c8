//! What becomes too old in the host's own folder goes by itself.

use std::time::SystemTime;

use midplane_model::limits::UPKEEP_INTERVAL;
use tokio_util::sync::CancellationToken;

use super::Root;

impl Root {
    /// Looks now and then for what is too old, until `stop`. What cannot be removed is logged, and tried again.
    pub async fn upkeep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP_INTERVAL) => {}
            }
            let tidied = self.run(|root| {
                root.tidy_now();
                Ok(())
            });
            // An error is the host's that closes.
            _ = tidied.await;
        }
    }

    pub(super) fn tidy_now(&self) {
        if let Err(error) = self.tidy_uploads_now(SystemTime::now()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "uploads that waited too long stay");
        }
    }
}
