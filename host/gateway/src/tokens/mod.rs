//! Tokens: who may come in (contract, section 5). The first one is the owner's; others are issued, expire and are revoked.
//!
//! A token is 256 random bits. It is shown once; what is kept is its SHA-256, so that neither the file nor the memory of the host
//! gives it away. Tokens are found by that hash: how long a search takes says nothing about any of them.

mod identity;
mod record;

use std::{
    collections::{BTreeMap, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use midplane_model::{ErrorCode, Fault, Principal, Scope, limits::TOKENS_MAX};
use sha2::{Digest as _, Sha256};

pub(crate) use identity::{End, Identity};
pub use record::TokenRecord;

/// Keeps the issued tokens across restarts.
pub trait TokenStore: Send + Sync {
    /// Replaces everything that is kept by `records`, wholly or not at all. May block.
    ///
    /// # Errors
    /// Whatever the disk says; the token is then neither issued nor revoked.
    fn save(&self, records: &[TokenRecord]) -> io::Result<()>;
}

pub(crate) type Digest = [u8; 32];

pub(crate) fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// All tokens that are valid now, and some that have expired since.
pub(crate) struct Tokens {
    /// None: everybody who reaches the address is the owner.
    owner: Option<Digest>,
    owner_identity: Arc<Identity>,
    store: Option<Arc<dyn TokenStore>>,
    /// Held while the store writes, so that what is kept has the order of what was decided.
    issued: Mutex<Issued>,
}

#[derive(Default)]
struct Issued {
    by_digest: HashMap<Digest, Arc<Identity>>,
    /// By id, which is also the order in which they were issued.
    records: BTreeMap<Arc<str>, TokenRecord>,
}

/// A token that has just been made, with the secret, which nobody can learn again.
pub(crate) struct Made {
    pub record: TokenRecord,
    pub secret: String,
}

impl Tokens {
    pub fn new(owner: Option<Digest>, records: Vec<TokenRecord>, store: Option<Arc<dyn TokenStore>>) -> Self {
        let mut issued = Issued::default();
        for record in records {
            issued.insert(record);
        }
        let owner_identity = Arc::new(Identity::new("owner".into(), Principal::owner(), None));
        Self { owner, owner_identity, store, issued: Mutex::new(issued) }
    }

    fn lock(&self) -> MutexGuard<'_, Issued> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who comes in without any token, where that is allowed.
    pub fn anybody(&self) -> Option<Arc<Identity>> {
        self.owner.is_none().then(|| self.owner_identity.clone())
    }

    /// Whose token this is, if it is valid now.
    pub fn find(&self, token: &str) -> Option<Arc<Identity>> {
        let digest = digest(token);
        // Both sides are hashes, so comparing them tells nothing of the token; the constant time costs nothing either.
        if self.owner.is_some_and(|owner| subtle::ConstantTimeEq::ct_eq(&owner[..], &digest[..]).into()) {
            return Some(self.owner_identity.clone());
        }
        self.lock().by_digest.get(&digest).filter(|identity| identity.is_valid()).cloned()
    }

    /// The identity whose principal this is.
    pub fn of(&self, principal: &Principal) -> Option<Arc<Identity>> {
        if principal.name == self.owner_identity.principal.name {
            return Some(self.owner_identity.clone());
        }
        self.lock().by_digest.values().find(|identity| identity.principal.name == principal.name).cloned()
    }

    /// Issues a token. Blocks while it is written.
    ///
    /// # Errors
    /// `already_exists` for a name in use, `quota_exceeded`, `internal` when it cannot be kept.
    pub fn create(&self, name: &str, scopes: Vec<Scope>, expires_in: Option<Duration>) -> Result<Made, Fault> {
        let (id, secret) = (format!("t-{}", random::<8>("an id")?), random::<32>("a token")?);
        let expires_at = expires_in.map(|life| SystemTime::now() + life);
        let record = TokenRecord::new(id.into(), name, digest(&secret), scopes, expires_at);
        let mut issued = self.lock();
        issued.forget_expired();
        if issued.records.values().any(|other| other.name == record.name) || *record.name == *Principal::owner().name {
            let message = format!("there is a token named {name:?}; revoke it first, or choose another name");
            return Err(Fault::new(ErrorCode::AlreadyExists, message).with("name", name));
        }
        if issued.records.len() >= TOKENS_MAX {
            let message = format!("there are {TOKENS_MAX} tokens, as many as there may be; revoke one first");
            return Err(Fault::new(ErrorCode::QuotaExceeded, message).with("limit", TOKENS_MAX));
        }
        let records: Vec<TokenRecord> = issued.records.values().cloned().chain([record.clone()]).collect();
        self.save(&records)?;
        issued.insert(record.clone());
        Ok(Made { record, secret })
    }

    /// Ends a token and every socket that came in with it. Whether there was one. Blocks while it is written.
    ///
    /// # Errors
    /// `internal` when that cannot be kept: the token is still valid then.
    pub fn revoke(&self, id: &str) -> Result<bool, Fault> {
        let mut issued = self.lock();
        if !issued.records.contains_key(id) {
            return Ok(false);
        }
        let rest: Vec<TokenRecord> = issued.records.values().filter(|record| *record.id != *id).cloned().collect();
        self.save(&rest)?;
        issued.remove(id);
        Ok(true)
    }

    /// The issued tokens that are valid now, in the order of their ids, each with its last use.
    pub fn list(&self) -> Vec<(TokenRecord, Option<SystemTime>)> {
        let mut issued = self.lock();
        issued.forget_expired();
        let last_used = |record: &TokenRecord| issued.by_digest.get(&record.sha256)?.last_used();
        issued.records.values().map(|record| (record.clone(), last_used(record))).collect()
    }

    fn save(&self, records: &[TokenRecord]) -> Result<(), Fault> {
        let Some(store) = &self.store else { return Ok(()) };
        store.save(records).map_err(|error| {
            tracing::error!(%error, "the tokens cannot be kept");
            Fault::internal()
        })
    }
}

impl Issued {
    fn insert(&mut self, record: TokenRecord) {
        let identity = Identity::new(record.id.clone(), record.principal(), record.expires_at());
        self.by_digest.insert(record.sha256, Arc::new(identity));
        self.records.insert(record.id.clone(), record);
    }

    fn remove(&mut self, id: &str) {
        let record = self.records.remove(id);
        if let Some(identity) = record.and_then(|record| self.by_digest.remove(&record.sha256)) {
            identity.revoke();
        }
    }

    /// Their sockets have closed on their own; the file forgets them with the next change.
    fn forget_expired(&mut self) {
        let expired = self.by_digest.values().filter(|identity| !identity.is_valid());
        let ids: Vec<Arc<str>> = expired.map(|identity| identity.token.clone()).collect();
        for id in ids {
            self.remove(&id);
        }
    }
}

/// Random bytes, base64url.
pub(crate) fn random<const BYTES: usize>(purpose: &'static str) -> Result<String, Fault> {
    let mut bits = [0; BYTES];
    getrandom::fill(&mut bits).map_err(|error| {
        tracing::error!(%error, "the operating system gave no random bytes for {purpose}");
        Fault::internal()
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Memory(Mutex<Vec<TokenRecord>>, std::sync::atomic::AtomicBool);

    impl TokenStore for Memory {
        fn save(&self, records: &[TokenRecord]) -> io::Result<()> {
            if self.1.load(std::sync::atomic::Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            *self.0.lock().unwrap() = records.to_vec();
            Ok(())
        }
    }

    fn tokens() -> (Tokens, Arc<Memory>) {
        let memory = Arc::new(Memory::default());
        (Tokens::new(Some(digest("owner's")), Vec::new(), Some(memory.clone())), memory)
    }

    #[test]
    fn a_token_is_good_until_it_is_revoked_and_survives_a_restart() {
        let (tokens, memory) = tokens();
        let made = tokens.create("ci", vec![Scope::Read], None).unwrap();
        let again = Tokens::new(Some(digest("owner's")), memory.0.lock().unwrap().clone(), Some(memory.clone()));
        let identity = again.find(&made.secret).unwrap();
        assert_eq!((&*identity.principal.name, identity.principal.may(&Scope::Write)), ("ci", false));
        assert!(again.revoke(&made.record.id).unwrap() && !again.revoke(&made.record.id).unwrap());
        assert!(again.find(&made.secret).is_none() && !identity.is_valid() && memory.0.lock().unwrap().is_empty());
        assert!(again.find("owner's").is_some());
    }

    #[test]
    fn a_name_has_one_live_token() {
        let (tokens, _) = tokens();
        tokens.create("ci", vec![Scope::Read], Some(Duration::ZERO)).unwrap();
        tokens.create("ci", vec![Scope::Read], None).expect("the first has expired");
        let again = tokens.create("ci", vec![Scope::Read], None).map(|_| ()).unwrap_err();
        assert_eq!(again.code, ErrorCode::AlreadyExists);
        assert!(tokens.create("owner", vec![Scope::Read], None).is_err());
        assert_eq!(tokens.list().len(), 1);
    }

    #[test]
    fn what_cannot_be_kept_does_not_happen() {
        let (tokens, memory) = tokens();
        let made = tokens.create("ci", vec![Scope::Read], None).unwrap();
        memory.1.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(tokens.create("other", vec![Scope::Read], None).is_err());
        assert!(tokens.revoke(&made.record.id).is_err());
        assert!(tokens.find(&made.secret).is_some() && tokens.list().len() == 1);
    }

    #[test]
    fn no_record_holds_a_secret() {
        let (tokens, memory) = tokens();
        let made = tokens.create("ci", vec![Scope::Read], None).unwrap();
        let kept = serde_json::to_string(&*memory.0.lock().unwrap()).unwrap();
        assert!(kept.contains(&*made.record.id) && !kept.contains(&made.secret));
    }
}
