//! The keys in use, and the answers that were given under them.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use midplane_model::{
    ErrorCode, Fault, PeerId, Principal,
    limits::{IDEMPOTENCY_AGE_MAX, IDEMPOTENCY_BYTES_MAX, IDEMPOTENCY_BYTES_PER_PRINCIPAL_MAX},
};
use tokio::sync::watch;

use super::content::Content;
use crate::{call::Success, owner::Owner};

/// What an entry costs beside the answer that it keeps.
const ENTRY_BYTES: usize = 512;

/// Answers by principal and key. Bounded by bytes, per principal and in all: one more key is `quota_exceeded` then, because
/// forgetting another one early would break what was promised about it.
pub(crate) struct Keys {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    known: HashMap<Name, Known>,
    /// Settled ones, the oldest first; may name keys that have been settled again since.
    by_age: VecDeque<(Instant, Name)>,
    bytes: usize,
    bytes_of: HashMap<Owner, usize>,
}

type Name = (Owner, Arc<str>);

struct Known {
    content: Content,
    waiting: Waiting,
    bytes: usize,
    settled_at: Option<Instant>,
}

/// How a call under a key ended.
#[derive(Clone)]
pub(super) struct Outcome {
    pub result: Arc<Result<Success, Fault>>,
    /// The connection on which it made something that ends with it.
    pub tied: Option<PeerId>,
}

pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

pub(super) enum Entered {
    /// Nobody was here before: do the work.
    First(First),
    /// Somebody was, or is.
    Known(Waiting),
}

/// The right to do the work of a key. Dropped unsettled, the key is free again.
pub(super) struct First {
    table: Arc<Mutex<Table>>,
    name: Option<Name>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { table: Arc::default() }
    }

    /// # Errors
    /// `conflict` for a key that names another call; `quota_exceeded`.
    pub(super) fn enter(
        &self,
        principal: &Arc<Principal>,
        key: &Arc<str>,
        content: Content,
        peer: Option<PeerId>,
        now: Instant,
    ) -> Result<Entered, Fault> {
        let name = (Owner(principal.clone()), key.clone());
        let mut table = lock(&self.table);
        table.forget_until(now);
        if let Some(known) = table.known.get(&name)
            && !known.is_of_no_use_to(peer)
        {
            if known.content != content {
                let message = format!("the idempotency key {key:?} names another call; take a new key for a new call");
                return Err(Fault::new(ErrorCode::Conflict, message).with("idempotency_key", &**key));
            }
            return Ok(Entered::Known(known.waiting.clone()));
        }
        table.check_room(&name.0, now)?;
        table.remove(&name);
        let (outcome, waiting) = watch::channel(None);
        table.insert(name.clone(), Known { content, waiting, bytes: ENTRY_BYTES, settled_at: None });
        Ok(Entered::First(First { table: self.table.clone(), name: Some(name), outcome }))
    }
}

impl Known {
    /// What it made ended with another connection, or will.
    fn is_of_no_use_to(&self, peer: Option<PeerId>) -> bool {
        let tied = self.waiting.borrow().as_ref().and_then(|outcome| outcome.tied);
        tied.is_some() && tied != peer
    }
}

impl First {
    pub fn waiting(&self) -> Waiting {
        self.outcome.subscribe()
    }

    /// Gives the answer to everybody who waits, and keeps it if the work had begun.
    pub fn settle(mut self, result: Result<Success, Fault>, begun: bool, tied: Option<PeerId>, now: Instant) {
        let bytes = ENTRY_BYTES + size(&result);
        if let Some(name) = self.name.take() {
            let mut table = lock(&self.table);
            if begun {
                table.settle(&name, bytes, now);
            } else {
                table.remove(&name);
            }
        }
        self.outcome.send_replace(Some(Outcome { result: Arc::new(result), tied }));
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if let Some(name) = self.name.take() {
            lock(&self.table).remove(&name);
        }
    }
}

impl Table {
    fn check_room(&self, owner: &Owner, now: Instant) -> Result<(), Fault> {
        let own = self.bytes_of.get(owner).copied().unwrap_or(0);
        if own < IDEMPOTENCY_BYTES_PER_PRINCIPAL_MAX && self.bytes < IDEMPOTENCY_BYTES_MAX {
            return Ok(());
        }
        let oldest = self.by_age.front().map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at));
        let wait = IDEMPOTENCY_AGE_MAX.saturating_sub(oldest);
        let message = "too many answers are kept for idempotency keys; try again later, or call without a key";
        let fault = Fault::new(ErrorCode::QuotaExceeded, message);
        Err(fault.retry_after_ms(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1)))
    }

    fn insert(&mut self, name: Name, known: Known) {
        self.grow(&name.0, known.bytes);
        if let Entry::Vacant(place) = self.known.entry(name) {
            place.insert(known);
        }
    }

    fn settle(&mut self, name: &Name, bytes: usize, now: Instant) {
        let Some(known) = self.known.get_mut(name) else { return };
        let more = bytes.saturating_sub(known.bytes);
        (known.bytes, known.settled_at) = (known.bytes + more, Some(now));
        self.grow(&name.0, more);
        self.by_age.push_back((now, name.clone()));
    }

    fn grow(&mut self, owner: &Owner, bytes: usize) {
        self.bytes += bytes;
        *self.bytes_of.entry(owner.clone()).or_default() += bytes;
    }

    fn remove(&mut self, name: &Name) {
        let Some(known) = self.known.remove(name) else { return };
        self.bytes -= known.bytes;
        if let Entry::Occupied(mut own) = self.bytes_of.entry(name.0.clone()) {
            *own.get_mut() -= known.bytes;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }

    fn forget_until(&mut self, now: Instant) {
        while let Some((at, _)) = self.by_age.front()
            && now.saturating_duration_since(*at) >= IDEMPOTENCY_AGE_MAX
        {
            let Some((at, name)) = self.by_age.pop_front() else { return };
            if self.known.get(&name).is_some_and(|known| known.settled_at == Some(at)) {
                self.remove(&name);
            }
        }
    }
}

fn size(result: &Result<Success, Fault>) -> usize {
    match result {
        Ok(success) => success.reply.result.get().len(),
        Err(fault) => fault.message.len(),
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use midplane_model::Reply;

    use super::*;

    struct Fixture {
        keys: Keys,
        owner: Arc<Principal>,
        now: Instant,
    }

    impl Fixture {
        fn new() -> Self {
            Self { keys: Keys::new(), owner: Arc::new(Principal::owner()), now: Instant::now() }
        }

        fn enter(&self, key: &str, content: u8, peer: Option<u64>) -> Result<Entered, Fault> {
            self.keys.enter(&self.owner, &key.into(), [content; 32], peer.map(PeerId), self.now)
        }

        fn first(&self, key: &str) -> First {
            match self.enter(key, 1, None) {
                Ok(Entered::First(first)) => first,
                Ok(Entered::Known(_)) => panic!("{key} is known"),
                Err(fault) => panic!("{fault}"),
            }
        }

        fn answer(&self, key: &str, text: &str) {
            self.first(key).settle(success(text), true, None, self.now);
        }

        fn is_known(&self, key: &str) -> bool {
            matches!(self.enter(key, 1, None), Ok(Entered::Known(_)))
        }

        /// The same keys for another credential of the same name.
        fn of_another(self) -> Self {
            Self { owner: Arc::new(Principal::owner()), ..self }
        }
    }

    fn success(text: &str) -> Result<Success, Fault> {
        Ok(Success { reply: Reply::of(&text).unwrap(), at: [].into() })
    }

    #[test]
    fn an_answer_is_kept_for_its_time_and_no_longer() {
        let mut fixture = Fixture::new();
        fixture.answer("k", "one");
        fixture.now += IDEMPOTENCY_AGE_MAX / 2;
        assert!(fixture.is_known("k"));
        assert_eq!(fixture.enter("k", 2, None).err().map(|fault| fault.code), Some(ErrorCode::Conflict));
        fixture.now += IDEMPOTENCY_AGE_MAX / 2;
        assert!(!fixture.is_known("k"));
        let table = lock(&fixture.keys.table);
        assert_eq!((table.bytes, table.bytes_of.len(), table.known.len()), (0, 0, 0), "all of it is forgotten");
    }

    #[test]
    fn a_credential_does_not_see_the_answers_of_another_of_the_same_name() {
        let fixture = Fixture::new();
        fixture.answer("k", "one");
        assert!(!fixture.of_another().is_known("k"));
    }

    #[test]
    fn what_never_began_and_what_was_given_up_may_be_tried_again() {
        let fixture = Fixture::new();
        let refused = fixture.first("k");
        let waiting = refused.waiting();
        refused.settle(Err(Fault::internal()), false, None, fixture.now);
        assert!(waiting.borrow().is_some(), "whoever waits hears of it");
        let abandoned = fixture.first("k");
        let waiting = abandoned.waiting();
        drop(abandoned);
        assert!(waiting.has_changed().is_err(), "whoever waits hears that nobody will answer");
        fixture.answer("k", "done");
    }

    #[test]
    fn what_was_made_on_a_connection_is_made_again_on_another() {
        let fixture = Fixture::new();
        for peer in [1, 2] {
            let Ok(Entered::First(first)) = fixture.enter("k", 1, Some(peer)) else { panic!("known") };
            first.settle(success("channel"), true, Some(PeerId(peer)), fixture.now);
            assert!(matches!(fixture.enter("k", 1, Some(peer)), Ok(Entered::Known(_))));
        }
    }

    #[test]
    fn a_principal_that_fills_its_room_is_refused_until_the_oldest_is_forgotten() {
        let mut fixture = Fixture::new();
        let large = "x".repeat(IDEMPOTENCY_BYTES_PER_PRINCIPAL_MAX / 2);
        fixture.answer("a", &large);
        fixture.answer("b", &large);
        let refused = fixture.enter("c", 1, None).err().unwrap();
        assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::QuotaExceeded, Some(600_000)));
        assert!(fixture.is_known("a"), "what is known is still answered");
        fixture.now += IDEMPOTENCY_AGE_MAX;
        fixture.answer("c", "later");
        let other = fixture.of_another();
        other.answer("c", "other");
    }
}
