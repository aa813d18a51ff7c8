//! Publishing and subscribing. A plugin's own prefix is its own; the rest needs a grant.

use midplane_broker::Publish;
use midplane_model::{ErrorCode, Fault, Origin, Pattern, Position, Topic};
use serde_json::value::RawValue;

use super::denied;
use crate::{
    bindings::{Error, imports::events},
    inbox::Command,
    instance::Guest,
};

impl Guest {
    fn publish_event(&self, topic: &str, payload: String) -> Result<events::Published, Fault> {
        let topic = Topic::parse(topic)?;
        let own = topic.segments().next() == Some(&self.slot.name.prefix());
        if !own && !self.package.manifest.grants.publish.iter().any(|grant| grant.matches(&topic)) {
            return Err(denied("publish", &format!("publishing {topic}")));
        }
        let payload = json(payload)?;
        self.slot.admit_event(payload.get().len())?;
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
    async fn publish(&mut self, topic: String, payload: String) -> wasmtime::Result<Result<events::Published, Error>> {
        let (broker, published) = (self.host.parts.broker.clone(), self.publish_event(&topic, payload));
        Ok(match published {
            Ok(published) => {
                let position = Position { epoch: published.epoch.as_str().into(), seq: published.seq };
                let applied = broker.applied(&published.stream, &position).await;
                applied.map(|()| published).map_err(|error| Fault::from(error).into())
            }
            Err(fault) => Err(fault.into()),
        })
    }

    async fn subscribe(&mut self, patterns: Vec<String>) -> wasmtime::Result<Result<(), Error>> {
        Ok(match self.subscription(&patterns) {
            Ok(patterns) => {
                _ = self.inbox.send(Command::Subscribe(patterns)).await;
                Ok(())
            }
            Err(fault) => Err(fault.into()),
        })
    }

    async fn unsubscribe(&mut self, patterns: Vec<String>) -> wasmtime::Result<()> {
        let patterns = patterns.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        _ = self.inbox.send(Command::Unsubscribe(patterns)).await;
        Ok(())
    }

    async fn reply(&mut self, request: String, payload: String) -> wasmtime::Result<Result<(), Error>> {
        let answer = json(payload).and_then(|payload| Ok(self.host.parts.broker.reply(&request, payload)?));
        Ok(answer.map_err(Error::from))
    }
}

fn json(text: String) -> Result<Box<RawValue>, Fault> {
    RawValue::from_string(text).map_err(|_| Fault::invalid_params("payload", "the payload is no JSON"))
}
