//! `session.*`: a client introduces itself, learns where it is, and finds again what it left.

use std::{sync::Arc, time::SystemTime};

use midplane_broker::{Broker, Since};
use midplane_model::{CallContext, ErrorCode, Fault, Pattern, event::rfc3339, limits, schema::Interface};
use midplane_router::{Params, Router, register_native};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::event::since;
use crate::{
    config::{GatewayConfig, GatewayLimits},
    sessions::{Client, Opened, Sessions},
    socket::{Away, Beginning, Connection, Connections, PROTOCOL, open_subscription, start_confirming},
};

struct SessionService {
    connections: Arc<Connections>,
    sessions: Arc<Sessions>,
    broker: Arc<Broker>,
    version: Arc<str>,
    instance_id: Arc<str>,
    limits: GatewayLimits,
}

pub(crate) fn register(
    router: &Router,
    interface: Interface,
    connections: &Arc<Connections>,
    sessions: &Arc<Sessions>,
    broker: &Arc<Broker>,
    config: &GatewayConfig,
) {
    let service = Arc::new(SessionService {
        connections: connections.clone(),
        sessions: sessions.clone(),
        broker: broker.clone(),
        version: config.version.clone(),
        instance_id: config.instance_id.clone(),
        limits: config.limits,
    });
    let handler =
        move |function: &str, params: Params, context: CallContext| -> midplane_model::BoxFuture<'static, _> {
            let answer = service.serve(function, params, &context);
            Box::pin(std::future::ready(answer))
        };
    register_native(router, interface, &[], &[], Arc::new(handler));
}

#[derive(Deserialize)]
struct Resumption {
    session_id: String,
    token: String,
    positions: Option<Map<String, Value>>,
}

impl SessionService {
    fn serve(&self, function: &str, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        match function {
            "open" => self.open(params, context),
            "info" => self.info(context),
            "list" => Ok(json!(self.sessions.list(&context.principal))),
            "close" => self.close(params.take("session_id")?, context),
            "ping" => Ok(json!({"t": params.take::<Value>("t")?, "now": rfc3339(SystemTime::now())})),
            _ => Err(Fault::internal()),
        }
    }

    fn open(&self, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        let protocols: Option<Vec<String>> = params.take("protocols")?;
        if protocols.is_some_and(|offered| offered.iter().all(|protocol| protocol != PROTOCOL)) {
            let message = format!("none of the protocols offered is spoken here; offer {PROTOCOL:?}");
            return Err(Fault::new(ErrorCode::UnsupportedVersion, message).with("supported", vec![PROTOCOL]));
        }
        let client = params.take::<Option<Client>>("client")?.map(Client::checked).transpose()?;
        let resume: Option<Resumption> = params.take("resume")?;
        let positions = resume.as_ref().and_then(|resume| resume.positions.clone()).unwrap_or_default();
        let since = positions_by_number(&positions)?;
        let resumed = match &resume {
            Some(Resumption { session_id, token, .. }) => {
                self.sessions.resume(&connection, session_id, token, client.clone())?
            }
            None => None,
        };
        let Opened { id, token, resumed } = match resumed {
            Some(opened) => opened,
            None => self.sessions.open(&connection, client)?,
        };
        let was_resumed = resumed.is_some();
        let subscriptions = self.go_on(&connection, resumed.unwrap_or_default(), &since, context)?;
        start_confirming(&connection, self.limits.ping_interval);
        let scopes: Vec<String> = context.principal.scopes.iter().map(ToString::to_string).collect();
        Ok(json!({
            "session_id": id,
            "resume_token": token,
            "resumed": was_resumed,
            "subscriptions": subscriptions,
            "protocol": PROTOCOL,
            "server": {"version": self.version, "instance_id": self.instance_id},
            "principal": context.principal.name,
            "scopes": scopes,
            "limits": self.limits(),
            "streams": self.streams(),
        }))
    }

    /// Continues the subscriptions of the former connection, each where its client says that it is, or has certainly been.
    fn go_on(
        &self,
        connection: &Arc<Connection>,
        away: Away,
        since: &[(u64, Since)],
        context: &CallContext,
    ) -> Result<Vec<Value>, Fault> {
        let ended = || Fault::new(ErrorCode::Cancelled, "the call that resumes has ended");
        let answered = connection.calls.answered(&context.request_id).ok_or_else(ended)?;
        let rotated = (connection.clone(), answered.clone());
        connection.tasks.spawn(async move {
            if rotated.1.delivered().await {
                rotated.0.rotate();
            }
        });
        connection.subscriptions.follow(away.last);
        let mut continued = Vec::new();
        for kept in away.subscriptions {
            let mut positions = kept.positions;
            if let Some((_, Since::Positions(said))) = since.iter().find(|(number, _)| *number == kept.number) {
                positions.extend(said.clone());
            }
            let options = kept.wish.options(Since::Positions(positions), connection.voice());
            let (report, subscription) = self.broker.subscribe(&options)?;
            let patterns: Vec<&str> = options.patterns.iter().map(Pattern::as_str).collect();
            continued.push(json!({
                "subscription": kept.number, "patterns": patterns, "n": kept.n, "streams": report.streams,
            }));
            let beginning = Beginning { number: Some(kept.number), n: kept.n, wish: kept.wish };
            open_subscription(connection, beginning, &report, subscription, answered.clone())?;
        }
        Ok(continued)
    }

    fn info(&self, context: &CallContext) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        let session = connection.session();
        Ok(json!({
            "client": session.as_ref().and_then(|id| self.sessions.client_of(id)),
            "session_id": session,
            "principal": context.principal.name,
            "subscriptions": connection.subscriptions.len(),
            "channels": connection.channels.len(),
        }))
    }

    fn close(&self, id: Option<String>, context: &CallContext) -> Result<Value, Fault> {
        let own = self.connections.of(context).ok();
        let named = id.or_else(|| own.as_ref()?.session().map(|id| id.to_string()));
        let id = named.ok_or_else(|| Fault::not_found("this connection has no session; name one"))?;
        if !self.sessions.close(&id, &context.principal, own.as_deref()) {
            return Err(Fault::not_found(format!("there is no session {id:?} of yours; session.list names them")));
        }
        Ok(json!({ "session_id": id }))
    }

    fn limits(&self) -> Value {
        json!({
            "message_bytes": self.limits.message_bytes,
            "calls_in_flight": self.limits.calls_in_flight,
            "calls_per_second": self.limits.calls_per_second,
            "batch_items": limits::BATCH_ITEMS_MAX,
            "json_depth": limits::JSON_DEPTH_MAX,
            "subscriptions": limits::SUBSCRIPTIONS_MAX,
            "channels": limits::CHANNELS_MAX,
            "frame_bytes": limits::FRAME_BYTES_MAX,
            "ping_interval_ms": millis(self.limits.ping_interval),
            "silence_ms": millis(self.limits.silence_max),
        })
    }

    /// `{name: {epoch, head}}`.
    fn streams(&self) -> Value {
        let heads = self.broker.heads().into_iter();
        heads.map(|(name, head)| (name.to_string(), json!({"epoch": head.epoch, "head": head.seq}))).collect()
    }
}

/// `{subscription: {stream: {epoch, seq}}}`.
fn positions_by_number(positions: &Map<String, Value>) -> Result<Vec<(u64, Since)>, Fault> {
    let read = |(number, value): (&String, &Value)| {
        let path = format!("resume.positions.{number}");
        let parsed = number.parse().map_err(|_| {
            Fault::invalid_params(
                &format!("params.{path}"),
                format!("params.{path}: expected the number of a subscription"),
            )
        })?;
        Ok((parsed, since(&path, value)?))
    };
    positions.iter().map(read).collect()
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
