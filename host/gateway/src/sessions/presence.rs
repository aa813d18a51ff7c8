//! Who is there, as events: `session.opened`, `session.away`, `session.resumed`, `session.closed`.

use midplane_broker::{Broker, Publish};
use midplane_model::{Origin, Topic};
use serde_json::{Value, json, value::to_raw_value};

use super::session::Session;

pub(super) struct Change {
    what: &'static str,
    payload: Value,
}

impl Change {
    pub fn of(what: &'static str, session: &Session) -> Self {
        let principal = &session.identity.principal.name;
        let payload = json!({"session_id": session.id, "principal": principal, "client": session.client});
        Self { what, payload }
    }

    /// Nobody waits for these events, so one that is refused is only logged.
    pub fn publish(&self, broker: &Broker) {
        let topic = Topic::parse(&format!("session.{}", self.what));
        let (Ok(topic), Ok(payload)) = (topic, to_raw_value(&self.payload)) else { return };
        let event = Publish { topic, payload, origin: Origin::default(), ttl: None };
        if let Err(error) = broker.publish(event) {
            tracing::warn!(%error, "session.{} was not published", self.what);
        }
    }
}
