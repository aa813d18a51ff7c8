//! Who a request or a socket comes from, for as long as the credential behind it is valid.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use midplane_model::{
    ErrorCode, Fault, Principal,
    limits::{UNCONFIRMED_MAX, VOUCHED_FOR},
};
use tokio_util::sync::CancellationToken;

use crate::vouching::{self, Renewed, Word};

/// A principal and the credential that proves it. Cookies and tickets carry the identity of the token they were exchanged for, so
/// they end with it.
pub(crate) struct Identity {
    pub principal: Arc<Principal>,
    /// Id of the token; `authenticator:<plugin>` for a credential that a plugin vouches for.
    pub token: Arc<str>,
    /// An authenticator may move it.
    expires_at: Mutex<Option<SystemTime>>,
    revoked: CancellationToken,
    /// Seconds since 1970-01-01 UTC; 0 until the first use. Only a coarse record: relaxed order is enough.
    last_used: AtomicU64,
    /// None for the host's own tokens.
    word: Option<Word>,
}

/// Why an identity is no longer good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Revoked, expired, or not vouched for any more.
    Invalid,
    /// Its authenticator did not answer for `UNCONFIRMED_MAX`: the client may come back.
    Unconfirmed,
}

impl End {
    /// What a call is answered that ends with its credential.
    pub fn fault(self) -> Fault {
        match self {
            Self::Invalid => Fault::new(ErrorCode::Unauthenticated, "the token is no longer valid"),
            Self::Unconfirmed => vouching::unanswered(),
        }
    }
}

impl Identity {
    pub fn new(token: Arc<str>, principal: Principal, expires_at: Option<SystemTime>) -> Self {
        Self::of(token, Arc::new(principal), expires_at, None)
    }

    pub fn vouched(token: Arc<str>, principal: Arc<Principal>, expires_at: Option<SystemTime>, word: Word) -> Self {
        Self::of(token, principal, expires_at, Some(word))
    }

    fn of(token: Arc<str>, principal: Arc<Principal>, expires_at: Option<SystemTime>, word: Option<Word>) -> Self {
        let (revoked, last_used) = (CancellationToken::new(), AtomicU64::new(0));
        Self { principal, token, expires_at: Mutex::new(expires_at), revoked, last_used, word }
    }

    /// Remembers a use. Whether the one before is a minute ago, or there was none.
    pub fn touch(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let before = self.last_used.load(Relaxed);
        let due = now.saturating_sub(before) >= 60;
        if due {
            self.last_used.store(now, Relaxed);
        }
        due
    }

    /// The last use since the host started, to the minute.
    pub fn last_used(&self) -> Option<SystemTime> {
        let seconds = self.last_used.load(Relaxed);
        (seconds > 0).then(|| UNIX_EPOCH + Duration::from_secs(seconds))
    }

    pub fn expires_at(&self) -> Option<SystemTime> {
        *self.expires_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As far as is known without asking anybody.
    pub fn is_valid(&self) -> bool {
        !self.revoked.is_cancelled() && self.expires_at().is_none_or(|at| at > SystemTime::now())
    }

    /// Whether its principal cannot come again. One who is vouched for may, with another credential.
    pub fn is_over(&self) -> bool {
        self.word.is_none() && !self.is_valid()
    }

    /// Whether what was said of it is older than `age`. Never of the host's own tokens.
    pub fn is_older_than(&self, age: Duration, now: Instant) -> bool {
        self.word.as_ref().is_some_and(|word| word.age(now) > age)
    }

    pub fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Whether it is valid now; an authenticator is asked if what it said has become old.
    ///
    /// # Errors
    /// `unavailable` when that gives no answer.
    pub async fn confirm(&self) -> Result<bool, Fault> {
        if let (Some(word), true) = (&self.word, self.is_valid()) {
            match word.renew(&self.principal).await? {
                Renewed::Unasked => {}
                Renewed::Again(at) => *self.expires_at.lock().unwrap_or_else(PoisonError::into_inner) = at,
                Renewed::Ended => self.revoke(),
            }
        }
        Ok(self.is_valid())
    }

    /// Resolves when it is no longer good; meanwhile an authenticator is asked again and again. Cancel safe.
    pub async fn ended(&self) -> End {
        let mut pause = Duration::ZERO;
        loop {
            // A day at most: the wall clock may be set while this sleeps.
            let left = self.expires_at().map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
            let counts = |word: &Word| VOUCHED_FOR.saturating_sub(word.age(Instant::now())).max(pause);
            let rest = self.word.as_ref().map_or(DAY, counts);
            tokio::select! {
                () = self.revoked.cancelled() => return End::Invalid,
                () = tokio::time::sleep(left.unwrap_or(rest).min(rest)) => {}
            }
            match self.confirm().await {
                Ok(true) => pause = Duration::ZERO,
                Ok(false) => return End::Invalid,
                Err(_) if self.is_older_than(UNCONFIRMED_MAX, Instant::now()) => return End::Unconfirmed,
                Err(_) => pause = RETRY,
            }
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Between two questions to an authenticator that gave no answer.
const RETRY: Duration = Duration::from_millis(250);
