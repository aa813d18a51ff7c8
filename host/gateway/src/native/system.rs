//! `system.*`: what this host is and offers.

use std::{
    sync::{Arc, Weak},
    time::SystemTime,
};

use midplane_broker::Broker;
use midplane_model::{CallContext, Fault, ToolTraits, event::rfc3339, schema::Interface};
use midplane_router::{Params, Router, register_native};
use serde_json::{Value, json};

use crate::{config::GatewayConfig, socket::Connections};

struct SystemService {
    /// Weak: the router holds this service.
    router: Weak<Router>,
    connections: Arc<Connections>,
    broker: Arc<Broker>,
    version: Arc<str>,
    instance_id: Arc<str>,
    started_at: String,
    plugin_count: Arc<dyn Fn() -> u32 + Send + Sync>,
}

pub(crate) fn register(
    router: &Arc<Router>,
    interface: Interface,
    connections: &Arc<Connections>,
    broker: &Arc<Broker>,
    config: &GatewayConfig,
) {
    let service = Arc::new(SystemService {
        router: Arc::downgrade(router),
        connections: connections.clone(),
        broker: broker.clone(),
        version: config.version.clone(),
        instance_id: config.instance_id.clone(),
        started_at: rfc3339(SystemTime::now()),
        plugin_count: config.plugin_count.clone(),
    });
    let handler = move |function: &str, _: Params, _: CallContext| -> midplane_model::BoxFuture<'static, _> {
        Box::pin(std::future::ready(service.serve(function)))
    };
    register_native(router, interface, &[], &[("status", ToolTraits::READS)], Arc::new(handler));
}

impl SystemService {
    fn serve(&self, function: &str) -> Result<Value, Fault> {
        let methods = self.router.upgrade().map(|router| router.methods()).unwrap_or_default();
        match function {
            "status" => Ok(self.status(methods.len())),
            "methods" => Ok(methods.keys().map(|name| Value::from(&**name)).collect()),
            _ => Err(Fault::internal()),
        }
    }

    fn status(&self, methods: usize) -> Value {
        let events = self.broker.stats();
        json!({
            "version": self.version,
            "instance_id": self.instance_id,
            "started_at": self.started_at,
            "plugins": (self.plugin_count)(),
            "methods": methods,
            "connections": self.connections.len(),
            "streams": events.streams,
            "requests": events.requests,
        })
    }
}
