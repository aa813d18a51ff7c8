//! `event.*`: subscribe, publish, ask and answer, and read the past.

mod parameters;
mod past;
mod publishing;

use std::sync::{Arc, Weak};

use midplane_broker::{Broker, OnGap, OnOverflow, Since};
use midplane_model::{CallContext, ErrorCode, Fault, Pattern, Scope, ToolTraits, schema::Interface};
use midplane_router::{Params, Router, register_native};
use serde_json::{Value, json};

use self::parameters::patterns;
use crate::socket::{Beginning, Connections, Recovery, Wish, open_subscription};

pub(crate) use self::parameters::since;

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
            let (service, function) = (service.clone(), function.to_owned());
            Box::pin(async move { service.serve(&function, params, &context).await })
        };
    let scopes = [("publish", Scope::Write), ("request", Scope::Write), ("reply", Scope::Write)];
    let tools = [("history", ToolTraits::READS), ("publish", ToolTraits::ADDS)];
    register_native(router, interface, &scopes, &tools, Arc::new(handler));
}

impl EventService {
    async fn serve(&self, function: &str, params: Params, context: &CallContext) -> Result<Value, Fault> {
        match function {
            "subscribe" => self.subscribe(params, context),
            "recover" => self.recover(params, context).await,
            "unsubscribe" => self.unsubscribe(params, context),
            "publish" => self.publish(params, context).await,
            "request" => self.request(params, context).await,
            "reply" => self.reply(params),
            "history" => self.history(params),
            _ => Err(Fault::internal()),
        }
    }

    fn subscribe(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        let echo = params.take::<Option<bool>>("echo")?.unwrap_or(true);
        let wish = Wish {
            patterns: patterns(&params.take::<Vec<String>>("patterns")?)?,
            on_gap: params.take::<Option<OnGap>>("on_gap")?.unwrap_or_default(),
            on_overflow: params.take::<Option<OnOverflow>>("on_overflow")?.unwrap_or_default(),
            echo,
        };
        let options = wish.options(since("since", &params.take("since")?)?, connection.voice());
        let answered = connection.calls.answered(&context.request_id).ok_or_else(ended)?;
        let (report, subscription) = self.broker.subscribe(&options)?;
        let beginning = Beginning { number: None, n: 0, wish };
        let number = open_subscription(&connection, beginning, &report, subscription, answered)?;
        let patterns: Vec<&str> = options.patterns.iter().map(Pattern::as_str).collect();
        Ok(json!({"subscription": number, "patterns": patterns, "streams": report.streams}))
    }

    async fn recover(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        let number: u64 = params.take("subscription")?;
        let since = since("since", &params.take("since")?)?;
        if since == Since::None {
            return Err(Fault::invalid_params("params.since", "params.since: expected a position, got null"));
        }
        let on_gap = params.take::<Option<OnGap>>("on_gap")?.unwrap_or_default();
        let answered = connection.calls.answered(&context.request_id).ok_or_else(ended)?;
        let recovered = connection.subscriptions.recover(number, Recovery { since, on_gap, answered }).await;
        let (n, report) =
            recovered.ok_or_else(|| Fault::not_found(format!("there is no subscription {number} here")))?;
        Ok(json!({"subscription": number, "n": n, "streams": report.streams}))
    }

    fn unsubscribe(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let number: u64 = params.take("subscription")?;
        self.connections.of(context)?.subscriptions.close(number);
        Ok(json!({"subscription": number}))
    }
}

fn ended() -> Fault {
    Fault::new(ErrorCode::Cancelled, "the call that subscribes has ended")
}
