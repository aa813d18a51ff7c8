//! What a guest may ask the host for. Errors go back to the guest as values, never as traps.
//!
//! Each grant of the manifest is enforced in one place: `methods` in [`services`], `publish` and `subscribe` in [`events`],
//! `files` in [`files`], [`content`], [`uploads`], [`archives`] and [`search`] (and for WASI, with `env`, in [`crate::wasi`]), `terminals` in [`terminals`], `processes` in
//! [`processes`].

mod archives;
mod attachments;
mod content;
mod events;
mod files;
mod plain;
mod processes;
mod progress;
mod recordings;
mod search;
mod services;
mod shells;
mod storage;
mod terminals;
mod uploads;

use midplane_model::{Deadline, ErrorCode, Fault};
pub use search::Searching;
pub use terminals::news;

use crate::instance::Guest;

impl Guest {
    /// Waits for the host's part of an import, but no longer than the call inside may take; once its time is over nothing
    /// begins. What a change has begun it completes all the same.
    ///
    /// # Errors
    /// `timeout`, or those of `work`.
    fn in_time<T>(&self, work: impl Future<Output = Result<T, Fault>>) -> impl Future<Output = Result<T, Fault>> {
        within(self.outgoing().deadline, work)
    }

    /// For what an import does at once, without [`Self::in_time`].
    ///
    /// # Errors
    /// `timeout` when the time of the call inside is over.
    fn still_in_time(&self) -> Result<(), Fault> {
        let deadline = self.outgoing().deadline;
        if deadline.remaining().is_zero() { Err(deadline.fault()) } else { Ok(()) }
    }
}

async fn within<T>(deadline: Deadline, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    if deadline.remaining().is_zero() {
        return Err(deadline.fault());
    }
    match tokio::time::timeout_at(deadline.at().into(), work).await {
        Ok(done) => done,
        Err(_) => Err(deadline.fault()),
    }
}

/// Something that the manifest does not grant.
fn denied(grant: &str, what: &str) -> Fault {
    let message = format!("{what} is not granted; add it to [grants] {grant} in plugin.toml");
    Fault::new(ErrorCode::Forbidden, message).with("grant", grant)
}

#[cfg(test)]
mod tests {
    use std::{future, time::Duration};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_never_ends_is_given_up_at_the_deadline() {
        let deadline = Deadline::after(Duration::from_secs(3600));
        let late = within::<()>(deadline, future::pending()).await;
        assert_eq!(late.map_err(|fault| fault.code), Err(ErrorCode::Timeout));
        assert_eq!(within(Deadline::after(Duration::from_secs(3600)), async { Ok(7) }).await, Ok(7));
    }

    #[tokio::test]
    async fn nothing_begins_after_the_deadline() {
        let begun = async { unreachable!("it is too late") };
        let late = within::<()>(Deadline::after(Duration::ZERO), begun).await;
        assert_eq!(late.map_err(|fault| fault.code), Err(ErrorCode::Timeout));
    }
}
