//! Requests that wait for an answer. The answer goes from the one who gives it to the one who waits: it is never a topic and
//! never history.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use midplane_model::limits::REQUESTS_MAX;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::{error::BrokerError, publish::Published};

type Answers = HashMap<Arc<str>, oneshot::Sender<Box<RawValue>>>;

/// Waiting requests by name; at most `REQUESTS_MAX`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Answers>>);

/// A request on its way. Dropped, nobody waits any more, and an answer that comes then is refused.
#[derive(Debug)]
pub struct Request {
    /// Where the request stands, as an event.
    pub published: Published,
    waiting: Waiting,
}

/// A place in the table.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) name: Arc<str>,
    answer: oneshot::Receiver<Box<RawValue>>,
    requests: Requests,
}

impl Request {
    pub(crate) fn new(published: Published, waiting: Waiting) -> Self {
        Self { published, waiting }
    }

    /// Waits for the first answer, without a limit of its own: the caller has one. Cancel safe.
    pub async fn answer(&mut self) -> Box<RawValue> {
        match (&mut self.waiting.answer).await {
            Ok(answer) => answer,
            // The sender goes with the answer or with this request, so it cannot be gone while this waits.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Requests {
    /// Makes room for a request under a name that cannot be guessed: knowing it is what entitles to answer.
    ///
    /// # Errors
    /// `TooManyRequests`, `DrawRequest`.
    pub(crate) fn open(&self) -> Result<Waiting, BrokerError> {
        let bits = [draw()?, draw()?];
        let name: Arc<str> = format!("q-{:016x}{:016x}", bits[0], bits[1]).into();
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.lock();
        if waiting.len() >= REQUESTS_MAX {
            return Err(BrokerError::TooManyRequests { limit: REQUESTS_MAX });
        }
        waiting.insert(Arc::clone(&name), sender);
        drop(waiting);
        Ok(Waiting { name, answer, requests: self.clone() })
    }

    /// Gives the answer; the first one wins.
    ///
    /// # Errors
    /// `NobodyWaits`: it is answered, given up, or never was.
    pub(crate) fn answer(&self, name: &str, payload: Box<RawValue>) -> Result<(), BrokerError> {
        let sender = self.lock().remove(name);
        let taken = sender.and_then(|sender| sender.send(payload).ok());
        taken.ok_or(BrokerError::NobodyWaits)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.requests.lock().remove(&self.name);
    }
}

fn draw() -> Result<u64, BrokerError> {
    getrandom::u64().map_err(|source| BrokerError::DrawRequest { source })
}
