//! The calls in flight on one socket: how many, which to cancel, and which have been answered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use midplane_model::{ErrorCode, Fault};
use midplane_protocol::Id;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// Milliseconds after which a refused call may be tried again.
const RETRY_AFTER_MS: u64 = 100;

/// What became of a call's answer. Whatever a call started for its client (a channel, a subscription) waits for this: the
/// client must hear of it before it hears from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Pending,
    /// Queued for the client, and a success.
    Delivered,
    /// The client will never learn of what the call started.
    Failed,
}

/// Waits for the answer of one call.
#[derive(Clone)]
pub(crate) struct Answered(watch::Receiver<Answer>);

impl Answered {
    /// Whether the client heard of a success. Cancel safe.
    pub(crate) async fn delivered(mut self) -> bool {
        let answer = self.0.wait_for(|answer| *answer != Answer::Pending).await;
        answer.is_ok_and(|answer| *answer == Answer::Delivered)
    }
}

/// Calls of one socket, by request id. Two calls may bear the same id of the client; a cancel ends both.
pub(crate) struct Calls {
    places: Arc<Semaphore>,
    open: Mutex<HashMap<Arc<str>, Open>>,
}

struct Open {
    id: Option<Id>,
    cancel: CancellationToken,
    answered: Answered,
}

/// One call in flight; it counts until this is dropped.
pub(crate) struct InFlight {
    calls: Arc<Calls>,
    request_id: Arc<str>,
    answer: AnswerSender,
}

/// Tells what became of an answer; dropped untold, it failed.
pub(crate) struct AnswerSender(watch::Sender<Answer>);

impl AnswerSender {
    pub(crate) fn new() -> Self {
        Self(watch::channel(Answer::Pending).0)
    }

    pub(crate) fn answered(&self) -> Answered {
        Answered(self.0.subscribe())
    }
}

impl Calls {
    pub(crate) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places: Arc::new(Semaphore::new(places)), open: Mutex::default() })
    }

    /// Takes places for `wanted` calls at once.
    ///
    /// # Errors
    /// `unavailable` when there are not as many.
    pub(crate) fn place(&self, wanted: usize) -> Result<OwnedSemaphorePermit, Fault> {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        self.places.clone().try_acquire_many_owned(wanted).map_err(|_| {
            let message = "too many calls are in flight on this connection; wait for answers";
            Fault::new(ErrorCode::Unavailable, message).with("busy", true).retry_after_ms(RETRY_AFTER_MS)
        })
    }

    /// Begins a call, before its task runs: a cancel that follows at once finds it.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request_id: Arc<str>,
        id: Option<Id>,
        cancel: CancellationToken,
        answer: AnswerSender,
    ) -> InFlight {
        let answered = answer.answered();
        self.lock().insert(request_id.clone(), Open { id, cancel, answered });
        InFlight { calls: self.clone(), request_id, answer }
    }

    pub(crate) fn cancel(&self, id: &Id) {
        for open in self.lock().values().filter(|open| open.id.as_ref() == Some(id)) {
            open.cancel.cancel();
        }
    }

    /// The answer of the call with this request id; none when it has ended.
    pub(crate) fn answered(&self, request_id: &str) -> Option<Answered> {
        self.lock().get(request_id).map(|open| open.answered.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InFlight {
    /// The answer has been queued.
    pub(crate) fn settle(self, success: bool) {
        self.answer.0.send_replace(if success { Answer::Delivered } else { Answer::Failed });
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.request_id);
    }
}
