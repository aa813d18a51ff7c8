//! Who comes with a credential that is none of the host's own: the plugin in the office of the authenticator says it.
//!
//! The host's own tokens are looked at first and never shown to the plugin. What it said counts for `VOUCHED_FOR`; then it is asked again
//! by whatever uses the credential next, a request or an open connection. Without an answer nobody comes in, and what is open ends
//! after `UNCONFIRMED_MAX`. What it refused is asked anew each time.

mod word;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use midplane_model::{
    Authenticator, Authenticators, Credential, ErrorCode, Fault, Principal, Vouched,
    limits::{CREDENTIAL_BYTES_MAX, STRANGERS_MAX, VOUCHED_MAX, VOUCHED_UNUSED_MAX},
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use crate::tokens::{Digest, Identity};
pub(crate) use word::{Renewed, Word};

/// When a client should try again whose credential could not be judged.
const RETRY_AFTER_MS: u64 = 1000;

/// Everybody who is vouched for now.
pub(crate) struct Vouching {
    authenticators: Option<Arc<dyn Authenticators>>,
    known: Mutex<Known>,
    /// Questions about credentials that are not known; when all places are taken, one more is `unavailable`.
    strangers: Semaphore,
}

#[derive(Default)]
struct Known {
    by_digest: HashMap<Digest, Arc<Identity>>,
    /// The same person with the same scopes is one owner of limits, sessions and keys, whatever the credential.
    principals: HashMap<Principal, Weak<Principal>>,
}

impl Vouching {
    pub fn new(authenticators: Option<Arc<dyn Authenticators>>) -> Self {
        Self { authenticators, known: Mutex::default(), strangers: Semaphore::new(STRANGERS_MAX) }
    }

    pub fn current(&self) -> Option<Arc<dyn Authenticator>> {
        self.authenticators.as_ref()?.current()
    }

    /// Who comes with a credential that is none of the host's own.
    ///
    /// # Errors
    /// `unavailable` when there is no answer.
    pub async fn identify(&self, credential: Credential) -> Result<Option<Arc<Identity>>, Fault> {
        let Some(authenticators) = &self.authenticators else { return Ok(None) };
        let Some(authenticator) = authenticators.current().filter(|office| takes(&**office, &credential)) else {
            return Ok(None);
        };
        let digest = digest(&credential);
        let known = self.lock().by_digest.get(&digest).cloned();
        if let Some(known) = known {
            if known.confirm().await? {
                return Ok(Some(known));
            }
            // It may be somebody else by now, or the same with other scopes.
            self.lock().by_digest.remove(&digest);
        }
        let _place = self.strangers.try_acquire().map_err(|_| unanswered())?;
        let asked_at = Instant::now();
        let said = authenticator.authenticate(credential.clone()).await.map_err(|_| unanswered())?;
        let Some(Vouched { principal, expires_at }) = said else { return Ok(None) };
        let word = Word::new(credential, authenticators.clone(), asked_at);
        let token = format!("authenticator:{}", authenticator.name()).into();
        let mut known = self.lock();
        let principal = known.principal(principal);
        let identity = Arc::new(Identity::vouched(token, principal, expires_at, word));
        if !identity.is_valid() {
            return Ok(None);
        }
        known.insert(digest, identity).map(Some)
    }

    /// Whether a credential is known to stand for somebody, without asking.
    pub fn knows(&self, credential: &Credential) -> bool {
        self.authenticators.is_some() && self.lock().by_digest.contains_key(&digest(credential))
    }

    /// An identity whose principal this is; of several, the one that lasts longest.
    pub fn of(&self, principal: &Principal) -> Option<Arc<Identity>> {
        let known = self.lock();
        let own = known.by_digest.values().filter(|identity| *identity.principal == *principal && identity.is_valid());
        own.max_by_key(|identity| identity.expires_at().map_or((true, None), |at| (false, Some(at)))).cloned()
    }

    /// Forgets what nobody has used for a while.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut known = self.lock();
        known.by_digest.retain(|_, identity| is_used(identity) || !identity.is_older_than(VOUCHED_UNUSED_MAX, now));
        known.principals.retain(|_, principal| principal.strong_count() > 0);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn principal(&mut self, principal: Principal) -> Arc<Principal> {
        if let Some(known) = self.principals.get(&principal).and_then(Weak::upgrade) {
            return known;
        }
        let shared = Arc::new(principal.clone());
        self.principals.insert(principal, Arc::downgrade(&shared));
        shared
    }

    /// Another request with the same credential may have been quicker.
    ///
    /// # Errors
    /// `unavailable` when there are as many as there may be.
    fn insert(&mut self, digest: Digest, identity: Arc<Identity>) -> Result<Arc<Identity>, Fault> {
        if self.by_digest.len() >= VOUCHED_MAX {
            self.by_digest.retain(|_, identity| is_used(identity));
            self.principals.retain(|_, principal| principal.strong_count() > 0);
        }
        if self.by_digest.len() >= VOUCHED_MAX {
            let message = format!("{VOUCHED_MAX} credentials are in use, as many as there may be");
            return Err(Fault::new(ErrorCode::Unavailable, message).with("busy", true).retry_after_ms(RETRY_AFTER_MS));
        }
        Ok(self.by_digest.entry(digest).or_insert(identity).clone())
    }
}

/// Whether a connection, a session or a secret has it, beside the table.
fn is_used(identity: &Arc<Identity>) -> bool {
    Arc::strong_count(identity) > 1
}

fn takes(authenticator: &dyn Authenticator, credential: &Credential) -> bool {
    match credential {
        Credential::Bearer(token) => authenticator.takes_bearers() && token.len() <= CREDENTIAL_BYTES_MAX,
        Credential::Cookie { name, value } => {
            authenticator.cookies().contains(name) && value.len() <= CREDENTIAL_BYTES_MAX
        }
    }
}

fn digest(credential: &Credential) -> Digest {
    let (name, value) = match credential {
        Credential::Bearer(token) => ("", token),
        Credential::Cookie { name, value } => (name.as_ref(), value),
    };
    // No cookie's name has this byte, so the parts cannot be shifted.
    Sha256::new().chain_update(name).chain_update([0]).chain_update(value.as_bytes()).finalize().into()
}

/// Strangers learn nothing of plugins: whose failure it is, and which, stands in the plugin's log.
/// The fault of who could not be judged.
pub(crate) fn unanswered() -> Fault {
    let message =
        "who comes with this credential cannot be told now; try again, or come with a token of the host itself";
    Fault::new(ErrorCode::Unavailable, message).retry_after_ms(RETRY_AFTER_MS)
}
