//! Who a request or a socket comes from, for as long as the token behind it is valid.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use midplane_model::Principal;
use tokio_util::sync::CancellationToken;

/// A principal and the token that proves it. Cookies and tickets carry the identity of the token they were exchanged for, so
/// they end with it.
pub(crate) struct Identity {
    pub principal: Arc<Principal>,
    /// Id of the token.
    pub token: Arc<str>,
    pub expires_at: Option<SystemTime>,
    revoked: CancellationToken,
    /// Seconds since 1970-01-01 UTC; 0 until the first use. Only a coarse record: relaxed order is enough.
    last_used: AtomicU64,
}

impl Identity {
    pub fn new(token: Arc<str>, principal: Principal, expires_at: Option<SystemTime>) -> Self {
        let (revoked, last_used) = (CancellationToken::new(), AtomicU64::new(0));
        Self { principal: Arc::new(principal), token, expires_at, revoked, last_used }
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

    pub fn is_valid(&self) -> bool {
        !self.revoked.is_cancelled() && self.expires_at.is_none_or(|at| at > SystemTime::now())
    }

    pub fn revoke(&self) {
        self.revoked.cancel();
    }

    /// Resolves when the token is revoked or has expired. Cancel safe.
    pub async fn ended(&self) {
        loop {
            // A day at most: the wall clock may be set while this sleeps.
            let left = self.expires_at.map(|at| at.duration_since(SystemTime::now()).unwrap_or_default());
            let nap = left.unwrap_or(DAY).min(DAY);
            tokio::select! {
                () = self.revoked.cancelled() => return,
                () = tokio::time::sleep(nap) => {}
            }
            if !self.is_valid() {
                return;
            }
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
