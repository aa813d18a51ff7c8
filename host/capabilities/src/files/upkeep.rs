//! What becomes too old in the host's own folder goes by itself.

use std::time::SystemTime;

use midplane_model::limits::UPKEEP_INTERVAL;
use tokio_util::sync::CancellationToken;

use super::{Root, error::FilesError};

impl Root {
    /// Looks at once, and now and then, for what is too old, until `stop`. What cannot be removed is logged, and tried again.
    pub async fn upkeep(&self, stop: CancellationToken) {
        loop {
            // An error is the host's that closes.
            _ = self.run(Self::tidy).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(UPKEEP_INTERVAL) => {}
            }
        }
    }

    fn tidy(&self) -> Result<(), FilesError> {
        self.tidy_uploads_or_log();
        self.tidy_trash_or_log();
        Ok(())
    }

    pub(super) fn tidy_uploads_or_log(&self) {
        if let Err(error) = self.tidy_uploads_now(SystemTime::now()) {
            tracing::warn!(error = &error as &dyn std::error::Error, "uploads that waited too long stay");
        }
    }
}
