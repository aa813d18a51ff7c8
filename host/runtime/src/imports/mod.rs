//! What a guest may ask the host for. Errors go back to the guest as values, never as traps.
//!
//! Each grant of the manifest is enforced in one place: `methods` in [`services`], `publish` and `subscribe` in [`events`],
//! `files` in [`files`] (and for WASI, with `env`, in [`crate::wasi`]), `terminals` in [`terminals`], `processes` in
//! [`processes`].

mod events;
mod files;
mod plain;
mod processes;
mod services;
mod storage;
mod terminals;

use midplane_model::{ErrorCode, Fault};
pub use terminals::news;

use crate::instance::Guest;

impl Guest {
    /// Waits for the host's part of an import, but no longer than the call inside may take. What a change has begun it
    /// completes all the same.
    ///
    /// # Errors
    /// `timeout`, or those of `work`.
    fn in_time<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> impl Future<Output = Result<T, Fault>> {
        let deadline = self.outgoing().deadline;
        async move {
            match tokio::time::timeout_at(deadline.at().into(), work).await {
                Ok(done) => done,
                Err(_) => Err(deadline.fault()),
            }
        }
    }
}

/// Something that the manifest does not grant.
fn denied(grant: &str, what: &str) -> Fault {
    let message = format!("{what} is not granted; add it to [grants] {grant} in plugin.toml");
    Fault::new(ErrorCode::Forbidden, message).with("grant", grant)
}
