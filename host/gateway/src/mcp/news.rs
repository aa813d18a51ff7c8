//! How far a call is, as the protocol tells it: a number that grows, perhaps the whole of it, and a text.
//!
//! It is told no parts of the result: a model is shown the answer and never hears of progress, so all of the result is there.

use midplane_model::limits::PROGRESS_INTERVAL_MIN;
use rmcp::{
    Peer, RoleServer,
    model::{ProgressNotificationParam, ProgressToken},
};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

/// The news of one call.
pub(super) struct News {
    token: ProgressToken,
    news: midplane_model::News,
    peer: Peer<RoleServer>,
    /// How much was told; what follows is more.
    told: Option<f64>,
    /// Before this nothing is told.
    state_at: Instant,
}

impl News {
    pub fn new(token: ProgressToken, news: midplane_model::News, peer: Peer<RoleServer>) -> Self {
        Self { token, news, peer, told: None, state_at: Instant::now() }
    }

    /// Runs the call and tells its progress meanwhile; the last of it goes out before this returns. One message is on its way at
    /// a time, so a slow client hears of fewer states.
    pub async fn beside<T>(mut self, call: impl Future<Output = T>) -> T {
        let mut call = std::pin::pin!(call);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut call => break result,
                () = self.due() => {}
            }
            if let Some(next) = self.take()
                && self.peer.notify_progress(next).await.is_err()
            {
                return call.await;
            }
        };
        while let Some(next) = self.take() {
            if self.peer.notify_progress(next).await.is_err() {
                break;
            }
        }
        result
    }

    async fn due(&mut self) {
        self.news.ready().await;
        sleep_until(self.state_at).await;
    }

    fn take(&mut self) -> Option<ProgressNotificationParam> {
        let value = self.news.take()?;
        self.state_at = Instant::now() + PROGRESS_INTERVAL_MIN;
        let text = value.get();
        let value = serde_json::from_str(text).unwrap_or(Value::Null);
        let said = value.as_f64().or_else(|| value["progress"].as_f64());
        // The protocol wants it to grow with every message.
        let grown = said.filter(|said| self.told.is_none_or(|told| *said > told));
        let told = grown.unwrap_or_else(|| self.told.map_or(1.0, |told| told + 1.0));
        self.told = Some(told);
        let mut params = ProgressNotificationParam::new(self.token.clone(), told);
        params.total = value["total"].as_f64();
        params.message = match &value["message"] {
            Value::String(message) => Some(message.clone()),
            _ => (!value.is_number()).then(|| text.to_owned()),
        };
        Some(params)
    }
}
