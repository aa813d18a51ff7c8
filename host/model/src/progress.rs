//! How far a call is, told to its caller while it runs.
//!
//! There are two kinds of news. A *state* ("40 %") replaces the one before: whoever is slow hears of fewer. A *part* of the
//! result is told once and replaced by nothing: whoever makes parts waits until the caller can take one more.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::{mpsc, watch};

use crate::{
    fault::{ErrorCode, Fault},
    limits::PROGRESS_BYTES_MAX,
};

/// None until the first one is told.
type State = Option<Arc<RawValue>>;

/// The side that knows how far the call is. Clones are one and the same.
#[derive(Debug, Clone)]
pub struct Progress {
    states: watch::Sender<State>,
    parts: mpsc::Sender<Arc<RawValue>>,
}

/// The side of the caller. Dropped when nobody waits any more.
#[derive(Debug)]
pub struct News {
    states: watch::Receiver<State>,
    parts: mpsc::Receiver<Arc<RawValue>>,
    part: Option<Arc<RawValue>>,
    /// There is a state that has been noticed and not taken.
    stated: bool,
}

/// What [`News`] has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Part,
    State,
}

/// The caller is gone; work for its sake alone may stop.
#[derive(Debug, PartialEq, Eq)]
pub struct NobodyListens;

impl Progress {
    #[must_use]
    pub fn new() -> (Self, News) {
        let (states, state) = watch::channel(None);
        // One waits for the caller, the next waits with its maker.
        let (parts, part) = mpsc::channel(1);
        (Self { states, parts }, News { states: state, parts: part, part: None, stated: false })
    }

    /// For a caller that hears of states alone, because what it keeps of the call is the answer: whoever would make parts learns
    /// that nobody listens, and leaves all of it for the answer.
    #[must_use]
    pub fn of_states() -> (Self, News) {
        let (progress, mut news) = Self::new();
        news.parts.close();
        (progress, news)
    }

    /// Replaces the state. Never waits.
    ///
    /// # Errors
    /// `NobodyListens`.
    pub fn state(&self, value: Box<RawValue>) -> Result<(), NobodyListens> {
        self.states.send(Some(value.into())).map_err(|_| NobodyListens)
    }

    /// Tells a part of the result, when the caller has taken the one before. Cancel safe: dropped, it is not told.
    ///
    /// # Errors
    /// `NobodyListens`.
    pub async fn part(&self, value: Box<RawValue>) -> Result<(), NobodyListens> {
        self.parts.send(value.into()).await.map_err(|_| NobodyListens)
    }
}

impl News {
    /// Waits for a part, or for a state that has not been taken. Parts come first. Cancel safe. Waits for ever when the call
    /// can tell nothing more.
    pub async fn ready(&mut self) -> Kind {
        if self.part.is_none() && !self.stated {
            tokio::select! {
                biased;
                Some(part) = self.parts.recv() => self.part = Some(part),
                Ok(()) = self.states.changed() => self.stated = true,
                else => std::future::pending().await,
            }
        }
        if self.part.is_some() { Kind::Part } else { Kind::State }
    }

    /// Waits for a part. Cancel safe. Waits for ever when none can come.
    pub async fn part(&mut self) {
        if self.part.is_none() {
            match self.parts.recv().await {
                Some(part) => self.part = Some(part),
                None => std::future::pending().await,
            }
        }
    }

    /// What is there now and has not been taken, parts first; of states the newest.
    pub fn take(&mut self) -> Option<Arc<RawValue>> {
        if let Some(part) = self.part.take().or_else(|| self.parts.try_recv().ok()) {
            return Some(part);
        }
        let state = self.states.borrow_and_update();
        let untold = std::mem::take(&mut self.stated) || state.has_changed();
        state.clone().filter(|_| untold)
    }
}

/// Checks a value that a guest reports.
///
/// # Errors
/// `invalid_params` for what is no JSON, `too_large` beyond `PROGRESS_BYTES_MAX`.
pub fn checked(value: String) -> Result<Box<RawValue>, Fault> {
    if value.len() > PROGRESS_BYTES_MAX {
        let message = format!("progress has at most {PROGRESS_BYTES_MAX} bytes; leave the rest for the result");
        return Err(Fault::new(ErrorCode::TooLarge, message).with("limit_bytes", PROGRESS_BYTES_MAX));
    }
    RawValue::from_string(value).map_err(|_| Fault::invalid_params("value", "the progress is no JSON"))
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn taken(news: &mut News) -> Option<String> {
        news.take().map(|value| value.get().to_owned())
    }

    /// Whether a future is ready at once.
    fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
        match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn who_hears_of_states_alone_is_told_no_part() {
        let (progress, mut news) = Progress::of_states();
        assert_eq!(at_once(progress.part(raw("1"))), Some(Err(NobodyListens)));
        assert_eq!(at_once(news.ready()), None);
        progress.state(raw("2")).unwrap();
        assert_eq!(at_once(news.ready()), Some(Kind::State));
        assert_eq!(taken(&mut news).as_deref(), Some("2"));
    }

    #[test]
    fn of_states_only_the_newest_is_told_and_once() {
        let (progress, mut news) = Progress::new();
        assert_eq!(at_once(news.ready()), None);
        progress.state(raw("1")).unwrap();
        progress.state(raw("2")).unwrap();
        assert_eq!(at_once(news.ready()), Some(Kind::State));
        progress.state(raw("3")).unwrap();
        assert_eq!((taken(&mut news).as_deref(), taken(&mut news)), (Some("3"), None));
        progress.state(raw("4")).unwrap();
        drop(progress);
        assert_eq!(
            (taken(&mut news).as_deref(), taken(&mut news)),
            (Some("4"), None),
            "the last one outlives its call"
        );
    }

    #[test]
    fn no_part_is_lost_and_its_maker_waits_for_the_caller() {
        let (progress, mut news) = Progress::new();
        assert_eq!(at_once(progress.part(raw("1"))), Some(Ok(())));
        assert_eq!(at_once(progress.part(raw("9"))), None, "one waits already");
        progress.state(raw("0.5")).unwrap();
        assert_eq!(at_once(news.ready()), Some(Kind::Part));
        assert_eq!(at_once(progress.part(raw("2"))), Some(Ok(())));
        let told: Vec<_> = std::iter::from_fn(|| taken(&mut news)).collect();
        assert_eq!(told, ["1", "2", "0.5"]);
        drop(news);
        assert_eq!(at_once(progress.part(raw("3"))), Some(Err(NobodyListens)));
        assert_eq!(progress.state(raw("1")), Err(NobodyListens));
    }
}
