//! Secrets the gateway hands out itself: cookies of browsers and one-time tickets. Kept as hashes, in memory: a restart
//! ends them, and the client exchanges its token again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::{
    Fault,
    limits::{SECRETS_MAX, SECRETS_PER_TOKEN_MAX},
};

use crate::tokens::{Identity, digest, random};

type Digest = [u8; 32];

/// Secrets of one kind. Bounded by `SECRETS_PER_TOKEN_MAX` and `SECRETS_MAX`: a new one ends the oldest of its token, or of all.
pub(crate) struct Secrets {
    age_max: Duration,
    live: Mutex<Live>,
}

#[derive(Default)]
struct Live {
    by_digest: HashMap<Digest, (Arc<Identity>, Instant)>,
    /// Oldest first; may name digests that are gone.
    order: VecDeque<Digest>,
}

impl Secrets {
    pub(crate) fn new(age_max: Duration) -> Self {
        Self { age_max, live: Mutex::default() }
    }

    pub(crate) fn age_max(&self) -> Duration {
        self.age_max
    }

    /// A new secret of 256 random bits, base64url.
    ///
    /// # Errors
    /// `internal` when the operating system gives no random bytes.
    pub(crate) fn issue(&self, identity: Arc<Identity>) -> Result<String, Fault> {
        let secret = random::<32>("a secret")?;
        let digest = digest(&secret);
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.make_room(&identity);
        live.order.push_back(digest);
        live.by_digest.insert(digest, (identity, Instant::now()));
        Ok(secret)
    }

    /// Whose secret this is, if it and the token behind it are valid. Found by its hash: how long the search takes says
    /// nothing about the secret.
    pub(crate) fn find(&self, secret: &str) -> Option<Arc<Identity>> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, issued) = live.by_digest.get(&digest(secret))?;
        (issued.elapsed() < self.age_max && identity.is_valid()).then(|| identity.clone())
    }

    /// As [`Self::find`], and ends the secret.
    pub(crate) fn redeem(&self, secret: &str) -> Option<Arc<Identity>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let (identity, issued) = live.by_digest.remove(&digest(secret))?;
        (issued.elapsed() < self.age_max && identity.is_valid()).then_some(identity)
    }
}

impl Live {
    /// Whoever makes many ends its own, before those of others.
    fn make_room(&mut self, identity: &Arc<Identity>) {
        let own = |(other, _): &(Arc<Identity>, Instant)| Arc::ptr_eq(other, identity);
        let own_full = self.by_digest.values().filter(|secret| own(secret)).count() >= SECRETS_PER_TOKEN_MAX;
        let oldest = match own_full {
            true => self.order.iter().position(|digest| self.by_digest.get(digest).is_some_and(own)),
            false => (self.order.len() >= SECRETS_MAX).then_some(0),
        };
        if let Some(oldest) = oldest.and_then(|index| self.order.remove(index)) {
            self.by_digest.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Arc<Identity> {
        Arc::new(Identity::new("owner".into(), midplane_model::Principal::owner(), None))
    }

    #[test]
    fn a_ticket_is_good_once() {
        let secrets = Secrets::new(Duration::from_secs(30));
        let ticket = secrets.issue(owner()).unwrap();
        assert!(secrets.redeem("other").is_none());
        assert!(secrets.redeem(&ticket).is_some());
        assert!(secrets.redeem(&ticket).is_none());
    }

    #[test]
    fn a_secret_ends_with_its_age() {
        let secrets = Secrets::new(Duration::ZERO);
        let secret = secrets.issue(owner()).unwrap();
        assert!(secrets.find(&secret).is_none());
    }

    #[test]
    fn a_secret_ends_with_its_token() {
        let (secrets, identity) = (Secrets::new(Duration::from_secs(30)), owner());
        let (cookie, ticket) = (secrets.issue(identity.clone()).unwrap(), secrets.issue(identity.clone()).unwrap());
        assert!(secrets.find(&cookie).is_some());
        identity.revoke();
        assert!(secrets.find(&cookie).is_none() && secrets.redeem(&ticket).is_none());
    }

    #[test]
    fn one_secret_too_many_ends_the_oldest() {
        let secrets = Secrets::new(Duration::from_secs(30));
        let all: Vec<String> = (0..=SECRETS_MAX).map(|_| secrets.issue(owner()).unwrap()).collect();
        assert!(secrets.find(&all[0]).is_none());
        assert!(all[1..].iter().all(|secret| secrets.find(secret).is_some()));
    }

    #[test]
    fn who_makes_many_ends_none_of_another() {
        let secrets = Secrets::new(Duration::from_secs(30));
        let (other, greedy) = (secrets.issue(owner()).unwrap(), owner());
        let all: Vec<String> = (0..2 * SECRETS_MAX).map(|_| secrets.issue(greedy.clone()).unwrap()).collect();
        assert!(secrets.find(&other).is_some());
        let live = all.iter().filter(|secret| secrets.find(secret).is_some()).count();
        assert_eq!((live, secrets.find(&all[2 * SECRETS_MAX - 1]).is_some()), (SECRETS_PER_TOKEN_MAX, true));
    }
}
