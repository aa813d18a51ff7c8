//! `session.*`: a client introduces itself and learns where it is.

use std::{sync::Arc, time::SystemTime};

use midplane_broker::Broker;
use midplane_model::{CallContext, ErrorCode, Fault, event::rfc3339, limits, schema::Interface};
use midplane_router::{Params, Router, register_native};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    config::{GatewayConfig, GatewayLimits},
    socket::{Connections, PROTOCOL, Session},
};

struct SessionService {
    connections: Arc<Connections>,
    broker: Arc<Broker>,
    version: Arc<str>,
    instance_id: Arc<str>,
    limits: GatewayLimits,
}

pub(crate) fn register(
    router: &Router,
    interface: Interface,
    connections: &Arc<Connections>,
    broker: &Arc<Broker>,
    config: &GatewayConfig,
) {
    let service = Arc::new(SessionService {
        connections: connections.clone(),
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
    register_native(router, interface, &[], Arc::new(handler));
}

#[derive(Deserialize)]
struct ClientInfo {
    name: String,
    version: Option<String>,
}

impl SessionService {
    fn serve(&self, function: &str, mut params: Params, context: &CallContext) -> Result<Value, Fault> {
        match function {
            "open" => self.open(params.take("protocols")?, params.take("client")?, context),
            "info" => self.info(context),
            "ping" => Ok(json!({"t": params.take::<Value>("t")?, "now": rfc3339(SystemTime::now())})),
            _ => Err(Fault::internal()),
        }
    }

    fn open(
        &self,
        protocols: Option<Vec<String>>,
        client: Option<ClientInfo>,
        context: &CallContext,
    ) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        if protocols.is_some_and(|offered| offered.iter().all(|protocol| protocol != PROTOCOL)) {
            let message = format!("none of the protocols offered is spoken here; offer {PROTOCOL:?}");
            return Err(Fault::new(ErrorCode::UnsupportedVersion, message).with("supported", vec![PROTOCOL]));
        }
        connection.set_session(Session { client: client.map(|client| (client.name, client.version)) });
        let scopes: Vec<String> = context.principal.scopes.iter().map(ToString::to_string).collect();
        Ok(json!({
            "session_id": session_id(&connection),
            "resumed": false,
            "protocol": PROTOCOL,
            "server": {"version": self.version, "instance_id": self.instance_id},
            "principal": context.principal.name,
            "scopes": scopes,
            "limits": self.limits(),
            "streams": self.streams(),
        }))
    }

    fn info(&self, context: &CallContext) -> Result<Value, Fault> {
        let connection = self.connections.of(context)?;
        let client = connection.session().client.map(|(name, version)| json!({"name": name, "version": version}));
        Ok(json!({
            "session_id": session_id(&connection),
            "principal": context.principal.name,
            "client": client,
            "subscriptions": connection.subscriptions.len(),
            "channels": connection.channels.len(),
        }))
    }

    fn limits(&self) -> Value {
        json!({
            "message_bytes": self.limits.message_bytes,
            "calls_in_flight": self.limits.calls_in_flight,
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

fn session_id(connection: &crate::socket::Connection) -> String {
    format!("s-{}", connection.id.0)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
