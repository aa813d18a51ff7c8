//! What an authenticator said of one credential, and how it is asked again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use midplane_model::{Authenticators, Credential, Fault, Principal, limits::VOUCHED_FOR};

use super::{takes, unanswered};

/// Counts from when it was asked for, so that it is never believed longer than it was true.
pub(crate) struct Word {
    credential: Credential,
    authenticators: Arc<dyn Authenticators>,
    state: Mutex<State>,
    /// Whoever asks; the others wait for what it hears.
    turn: tokio::sync::Mutex<()>,
}

struct State {
    given_at: Instant,
    failed_at: Option<Instant>,
}

/// What came of asking again.
pub(crate) enum Renewed {
    /// What was said before still counts.
    Unasked,
    /// The same person with the same scopes; the end may have moved.
    Again(Option<SystemTime>),
    /// Nobody, or somebody else.
    Ended,
}

impl Word {
    pub fn new(credential: Credential, authenticators: Arc<dyn Authenticators>, given_at: Instant) -> Self {
        let state = Mutex::new(State { given_at, failed_at: None });
        Self { credential, authenticators, state, turn: tokio::sync::Mutex::default() }
    }

    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.lock().given_at)
    }

    /// Asks if it is time. Of those who come together one asks, and all hear the answer. May be dropped: then nothing was asked.
    ///
    /// # Errors
    /// `unavailable` when there is no answer.
    pub async fn renew(&self, principal: &Principal) -> Result<Renewed, Fault> {
        let came = Instant::now();
        if self.age(came) < VOUCHED_FOR {
            return Ok(Renewed::Unasked);
        }
        let _turn = self.turn.lock().await;
        let now = Instant::now();
        if self.age(now) < VOUCHED_FOR {
            return Ok(Renewed::Unasked);
        }
        if self.lock().failed_at.is_some_and(|failed| failed >= came) {
            return Err(unanswered());
        }
        // The office is empty, or another plugin has it that judges other credentials.
        let Some(authenticator) = self.authenticators.current().filter(|office| takes(&**office, &self.credential))
        else {
            return Ok(Renewed::Ended);
        };
        match authenticator.authenticate(self.credential.clone()).await {
            Err(_) => {
                self.lock().failed_at = Some(Instant::now());
                Err(unanswered())
            }
            Ok(Some(vouched)) if vouched.principal == *principal => {
                self.lock().given_at = now;
                Ok(Renewed::Again(vouched.expires_at))
            }
            Ok(_) => Ok(Renewed::Ended),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
