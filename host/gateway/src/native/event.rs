//! `event.*`: subscribe, publish, and read the past.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
    time::Duration,
};

use midplane_broker::{Broker, HistoryRange, OnGap, OnOverflow, Publish, Since, SubscribeOptions};
use midplane_model::{
    CallContext, ErrorCode, Fault, Origin, Pattern, Position, Scope, Topic, limits::HISTORY_EVENTS_MAX,
    schema::Interface,
};
use midplane_router::{Owner, Params, Router, register_native};
use serde_json::{Value, json, value::to_raw_value};

use crate::socket::{Connections, open_subscription};

/// Events of one page of history where the caller names no limit.
const HISTORY_EVENTS_DEFAULT: usize = 100;

struct EventService {
    /// Weak: the router holds this service.
    router: Weak<Router>,
    connections: Arc<Connections>,
    broker: Arc<Broker>,
}

pub(crate) fn register(
    router: &Arc<Router>,
    interface: Interface,
    connections: &Arc<Connections>,
    broker: &Arc<Broker>,
) {
    let service = Arc::new(EventService {
        router: Arc::downgrade(router),
        connections: connections.clone(),
        broker: broker.clone(),
    });
    let handler =
        move |function: &str, params: Params, context: CallContext| -> midplane_model::BoxFuture<'static, _> {
            let answer = service.serve(function, params, &context);
            Box::pin(std::future::ready(answer))
        };
    register_native(router, interface, &[("publish", Scope::Write)], Arc::new(handler));
}

impl EventService {
    fn serve(&self, function: &str, params: Params, context: &CallContext) -> Result<Value, Fault> {
        match function {
            "subscribe" => self.subscribe(params, context),
            "unsubscribe" => self.unsubscribe(params, context),
            "publish" => self.publish(params, context),
            "history" => self.history(params),
            _ => Err(Fault::internal()),
        }
    }

    fn subscribe(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        let options = SubscribeOptions {
            patterns: patterns(&params.take::<Vec<String>>("patterns")?)?,
            since: since(&params.take("since")?)?,
            on_gap: params.take::<Option<OnGap>>("on_gap")?.unwrap_or_default(),
            on_overflow: params.take::<Option<OnOverflow>>("on_overflow")?.unwrap_or_default(),
        };
        let answered = connection
            .calls
            .answered(&context.request_id)
            .ok_or_else(|| Fault::new(ErrorCode::Cancelled, "the call that subscribes has ended"))?;
        let (report, subscription) = self.broker.subscribe(&options)?;
        let number = open_subscription(&connection, subscription, answered)?;
        let patterns: Vec<&str> = options.patterns.iter().map(Pattern::as_str).collect();
        Ok(json!({"subscription": number, "patterns": patterns, "streams": report.streams}))
    }

    fn unsubscribe(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let number: u64 = params.take("subscription")?;
        self.connections.of(context)?.subscriptions.close(number);
        Ok(json!({"subscription": number}))
    }

    fn publish(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let topic = Topic::parse(&params.take::<String>("topic")?).map_err(|fault| at("params.topic", fault))?;
        self.check_owner(&topic, context)?;
        let payload = to_raw_value(&params.take::<Value>("payload")?).map_err(|_| Fault::internal())?;
        let origin = Origin {
            principal: Some(context.principal.name.clone()),
            plugin: context.chain.last().map(|plugin| plugin.as_str().into()),
            request_id: Some(context.request_id.clone()),
        };
        let ttl = params.take::<Option<u64>>("ttl_ms")?.map(Duration::from_millis);
        let published = self.broker.publish(Publish { topic, payload, origin, ttl })?;
        Ok(json!({"stream": published.stream, "epoch": published.epoch, "seq": published.seq, "durable": false}))
    }

    /// Topics under an owner's prefix speak for the owner: only a plugin itself may publish there.
    fn check_owner(&self, topic: &Topic, context: &CallContext) -> Result<(), Fault> {
        let Some(router) = self.router.upgrade() else { return Ok(()) };
        let first = topic.segments().next().unwrap_or_default();
        let caller = context.chain.last();
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

    fn history(&self, mut params: Params) -> Result<Value, Fault> {
        let patterns = patterns(&params.take::<Vec<String>>("patterns")?)?;
        let range = match since(&params.take("since")?)? {
            Since::None => HistoryRange::Newest,
            Since::Earliest => HistoryRange::Since(BTreeMap::new()),
            Since::Positions(positions) => HistoryRange::Since(positions),
        };
        let limit = params.take::<Option<u32>>("limit")?.map_or(HISTORY_EVENTS_DEFAULT, |limit| limit as usize);
        let pages = self.broker.history(&patterns, &range, limit.clamp(1, HISTORY_EVENTS_MAX))?;
        let mut streams = serde_json::Map::new();
        for (name, page) in pages {
            let events = page.events.iter().map(|event| serde_json::from_str(&format!("{{{}}}", event.shared_json())));
            let events: Vec<Value> = events.collect::<Result<_, _>>().map_err(|_| Fault::internal())?;
            streams.insert(name.to_string(), json!({"epoch": page.epoch, "events": events, "more": page.more}));
        }
        Ok(json!({"streams": streams}))
    }
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, Fault> {
    let parse = |(index, text): (usize, &String)| {
        Pattern::parse(text).map_err(|fault| at(&format!("params.patterns[{index}]"), fault))
    };
    texts.iter().enumerate().map(parse).collect()
}

/// `"earliest"`, or `{stream: {epoch, seq}}`.
fn since(value: &Value) -> Result<Since, Fault> {
    let wrong = |path: &str, expected: &str, got: &Value| {
        Fault::invalid_params(path, format!("{path}: expected {expected}, got {got}"))
    };
    match value {
        Value::Null => Ok(Since::None),
        Value::String(text) if text == "earliest" => Ok(Since::Earliest),
        Value::Object(streams) => {
            let position = |(name, value): (&String, &Value)| {
                let path = format!("params.since.{name}");
                let position: Position =
                    serde_json::from_value(value.clone()).map_err(|_| wrong(&path, "{epoch, seq}", value))?;
                Ok((name.as_str().into(), position))
            };
            streams.iter().map(position).collect::<Result<_, _>>().map(Since::Positions)
        }
        other => Err(wrong("params.since", "\"earliest\" or {stream: {epoch, seq}}", other)),
    }
}

/// The same fault, saying where in the parameters it is.
fn at(path: &str, mut fault: Fault) -> Fault {
    fault.message = format!("{path}: {}", fault.message);
    fault.with("path", path)
}
