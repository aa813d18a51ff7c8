//! `$/progress` of one call. At most one message of it is on its way: the next one follows when that is written, so a slow socket
//! hears of fewer states, and whoever makes parts of a result waits.

use std::{convert::Infallible, future::Future, sync::Arc};

use midplane_model::{News, Progress, limits::PROGRESS_INTERVAL_MIN, progress::Kind};
use midplane_protocol::notification;
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::lanes::Lanes;

pub(crate) struct Telling {
    token: Value,
    news: News,
    /// One place; a message holds it until it is written.
    places: Arc<Semaphore>,
    /// Before this nothing but a part is told.
    state_at: Instant,
}

impl Telling {
    /// For the call with this `meta.progress_token`.
    pub(crate) fn new(token: Value) -> (Progress, Self) {
        let (progress, news) = Progress::new();
        (progress, Self { token, news, places: Arc::new(Semaphore::new(1)), state_at: Instant::now() })
    }

    /// Runs the call and tells its progress meanwhile. All of it is queued before this returns, so that nothing follows the
    /// answer.
    pub(crate) async fn beside<T>(mut self, lanes: &Lanes, call: impl Future<Output = T>) -> T {
        let result = tokio::select! {
            biased;
            result = call => result,
            never = self.tell(lanes) => match never {},
        };
        while let Some(text) = self.take() {
            if lanes.reply(text, None).await.is_err() {
                break;
            }
        }
        result
    }

    async fn tell(&mut self, lanes: &Lanes) -> Infallible {
        loop {
            let place = self.places.clone().acquire_owned().await.ok();
            self.due().await;
            // Room first: a value is taken when nothing can keep it from being sent.
            let Ok(room) = lanes.room_for_reply().await else { return std::future::pending().await };
            if let Some(text) = self.take() {
                room.fill(text, place);
            }
        }
    }

    /// Waits until there is something to tell, and it is time for it. Cancel safe.
    pub(crate) async fn due(&mut self) {
        if self.news.ready().await == Kind::State {
            tokio::select! {
                biased;
                () = sleep_until(self.state_at) => {}
                () = self.news.part() => {}
            }
        }
    }

    /// What is to be told now, as a notification.
    pub(crate) fn take(&mut self) -> Option<String> {
        let value = self.news.take()?;
        self.state_at = Instant::now() + PROGRESS_INTERVAL_MIN;
        Some(notification("$/progress", &format!(r#"{{"token":{},"value":{}}}"#, self.token, value.get())))
    }
}
