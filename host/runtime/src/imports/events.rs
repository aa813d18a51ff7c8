//! Publishing and subscribing. A plugin's own prefix is its own; the rest needs a grant.

use midplane_broker::Publish;
use midplane_model::{ErrorCode, Fault, Origin, Pattern, Position, Topic};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::denied;
use crate::{
    bindings::{Error, imports::events},
    inbox::Command,
    instance::Guest,
};

type Answer<T> = wasmtime::Result<Result<T, Error>>;

impl Guest {
    fn publish_event(&self, topic: &str, payload: String) -> Result<events::Published, Fault> {
        self.still_in_time()?;
        let topic = Topic::parse(topic)?;
        let own = topic.segments().next() == Some(&self.slot.name.prefix());
        if !own && !self.package.manifest.grants.publish.iter().any(|grant| grant.matches(&topic)) {
            return Err(denied("publish", &format!("publishing {topic}")));
        }
        let payload = json(payload)?;
        let context = self.outgoing();
        let origin = Origin {
            principal: Some(context.principal.name.clone()),
            plugin: Some(self.slot.name.as_str().into()),
            request_id: Some(context.request_id.clone()),
            ..Origin::default()
        };
        let published =
            self.host.parts.broker.publish(Publish { topic, payload, origin, ttl: None }).map_err(Fault::from)?;
        context.effects.note(&published.stream, published.position());
        Ok(events::Published {
            stream: published.stream.to_string(),
            epoch: published.epoch.to_string(),
            seq: published.seq,
        })
    }

    fn subscription(&self, patterns: &[String]) -> Result<Vec<Pattern>, Fault> {
        if !self.package.subscriber {
            let message = "this plugin exports no midplane:host/subscriber, so no event could reach it";
            return Err(Fault::new(ErrorCode::NotSupported, message));
        }
        let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
        let own = self.slot.name.prefix();
        for pattern in &patterns {
            let granted = pattern.segments().next() == Some(&own)
                || self.package.manifest.grants.subscribe.iter().any(|grant| grant.contains(pattern));
            if !granted {
                return Err(denied("subscribe", &format!("subscribing to {pattern}")));
            }
        }
        Ok(patterns)
    }
}

impl events::Host for Guest {
    async fn publish(&mut self, topic: String, payload: String) -> Answer<events::Published> {
        let (broker, published) = (self.host.parts.broker.clone(), self.publish_event(&topic, payload));
        let applied = self.in_time(async move {
            let published = published?;
            let position = Position { epoch: published.epoch.as_str().into(), seq: published.seq };
            broker.applied(&published.stream, &position).await?;
            Ok(published)
        });
        Ok(applied.await.map_err(Error::from))
    }

    async fn subscribe(&mut self, patterns: Vec<String>) -> Answer<()> {
        let (inbox, patterns) = (self.inbox.clone(), self.subscription(&patterns));
        let subscribed = self.in_time(async move {
            let (done, answer) = oneshot::channel();
            _ = inbox.send(Command::Subscribe { patterns: patterns?, done }).await;
            // Nobody is left to deliver to when the plugin is being removed.
            answer.await.unwrap_or(Ok(()))
        });
        Ok(subscribed.await.map_err(Error::from))
    }

    async fn unsubscribe(&mut self, patterns: Vec<String>) -> wasmtime::Result<()> {
        let patterns = patterns.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        let inbox = self.inbox.clone();
        let unsubscribed = self.in_time(async move { Ok(_ = inbox.send(Command::Unsubscribe(patterns)).await) });
        _ = unsubscribed.await;
        Ok(())
    }

    async fn reply(&mut self, request: String, payload: String) -> Answer<()> {
        let answer = json(payload).and_then(|payload| Ok(self.host.parts.broker.reply(&request, payload)?));
        Ok(answer.map_err(Error::from))
    }
}

fn json(text: String) -> Result<Box<RawValue>, Fault> {
    RawValue::from_string(text).map_err(|_| Fault::invalid_params("payload", "the payload is no JSON"))
}
