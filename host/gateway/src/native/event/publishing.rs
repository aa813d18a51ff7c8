//! `event.publish`, `event.request`, `event.reply`.

use std::{sync::Arc, time::Duration};

use midplane_broker::{Conditions, Publish};
use midplane_model::{CallContext, ErrorCode, Fault, Origin, Topic, limits::IDEMPOTENCY_KEY_CHARS_MAX};
use midplane_router::{Owner, Params};
use serde::Deserialize;
use serde_json::{
    Value, json,
    value::{RawValue, to_raw_value},
};

use super::{EventService, parameters::topic};

#[derive(Deserialize)]
struct Expectation {
    topic_seq: u64,
}

impl EventService {
    pub(super) async fn publish(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let mut publish = self.event(&mut params, context)?;
        publish.ttl = params.take::<Option<u64>>("ttl_ms")?.map(Duration::from_millis);
        let conditions = Conditions {
            topic_seq: params.take::<Option<Expectation>>("expect")?.map(|expect| expect.topic_seq),
            key: key(params.take("key")?)?,
        };
        let published = self.broker.publish_if(publish, conditions)?;
        self.broker.applied(&published.stream, &published.position()).await?;
        context.effects.note(&published.stream, published.position());
        Ok(json!({
            "stream": published.stream, "epoch": published.epoch, "seq": published.seq,
            "durable": published.durable, "duplicate": published.duplicate,
        }))
    }

    pub(super) async fn request(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let mut publish = self.event(&mut params, context)?;
        let asked = params.take::<Option<u64>>("timeout_ms")?.map_or(Duration::MAX, Duration::from_millis);
        let patience = context.deadline.remaining().min(asked);
        publish.ttl = Some(patience);
        let mut request = self.broker.request(publish)?;
        context.effects.note(&request.published.stream, request.published.position());
        match tokio::time::timeout(patience, request.answer()).await {
            Ok(answer) => serde_json::from_str(answer.get()).map_err(|_| Fault::internal()),
            Err(_) => Err(Fault::timeout(u64::try_from(patience.as_millis()).unwrap_or(u64::MAX))),
        }
    }

    pub(super) fn reply(&self, mut params: Params) -> Result<Value, Fault> {
        let request: String = params.take("request")?;
        self.broker.reply(&request, payload(&mut params)?)?;
        Ok(Value::Null)
    }

    fn event(&self, params: &mut Params, context: &CallContext) -> Result<Publish, Fault> {
        let topic = topic(&params.take::<String>("topic")?)?;
        self.check_owner(&topic, context)?;
        // What a plugin publishes while it serves a connection is the plugin's, not the connection's own.
        let direct = context.caller().is_none();
        let origin = Origin {
            principal: Some(context.principal.name.clone()),
            plugin: context.caller().map(|plugin| plugin.as_str().into()),
            request_id: Some(context.request_id.clone()),
            peer: if direct { self.connections.voice(context) } else { None },
        };
        Ok(Publish { topic, payload: payload(params)?, origin, ttl: None })
    }

    /// Topics under an owner's prefix speak for the owner: only a plugin itself may publish there.
    fn check_owner(&self, topic: &Topic, context: &CallContext) -> Result<(), Fault> {
        let Some(router) = self.router.upgrade() else { return Ok(()) };
        let first = topic.segments().next().unwrap_or_default();
        let caller = context.caller();
        for method in router.methods().values() {
            let (owned, owner) = match &method.owner {
                Owner::Native(name) => (&**name == first, name.to_string()),
                Owner::Plugin(name) if caller == Some(name) => (false, String::new()),
                Owner::Plugin(name) => (name.prefix() == first, name.to_string()),
            };
            if owned {
                let message = format!("topics under {first:?} are published by {owner:?} itself");
                return Err(Fault::new(ErrorCode::Forbidden, message).with("owner", owner));
            }
        }
        Ok(())
    }
}

fn payload(params: &mut Params) -> Result<Box<RawValue>, Fault> {
    to_raw_value(&params.take::<Value>("payload")?).map_err(|_| Fault::internal())
}

fn key(key: Option<String>) -> Result<Option<Arc<str>>, Fault> {
    match key {
        Some(key) if key.is_empty() || key.chars().count() > IDEMPOTENCY_KEY_CHARS_MAX => {
            let message = format!("params.key: expected 1 to {IDEMPOTENCY_KEY_CHARS_MAX} characters");
            Err(Fault::invalid_params("params.key", message))
        }
        key => Ok(key.map(Arc::from)),
    }
}
