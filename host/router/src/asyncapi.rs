//! The AsyncAPI 3.1 document: what goes over the WebSocket and the event stream. Calls are derived from the registry; events are
//! the host's own messages, because topics come and go with those who publish.

use serde_json::{Map, Value, json};

use crate::{
    describe::{owner_name, param_schemas, result_schema, summary},
    registry::{Method, Methods},
};

/// `place` is where the host listens, `127.0.0.1:7420`; `secure` whether clients speak TLS with it.
#[must_use]
pub fn asyncapi(methods: &Methods, version: &str, place: &str, secure: bool) -> Value {
    let (socket, stream) = if secure { ("wss", "https") } else { ("ws", "http") };
    let mut messages = notifications();
    let mut operations = listening();
    for method in methods.values() {
        messages.insert(format!("call.{}", method.name), request(method));
        messages.insert(format!("result.{}", method.name), response(method));
        operations.insert(format!("call.{}", method.name), call(method));
    }
    let of_channel: Map<String, Value> = messages.keys().map(|name| (name.clone(), message_of(name))).collect();
    let of_stream: Map<String, Value> =
        ["event", "gap", "cursor"].iter().map(|name| ((*name).to_owned(), message_of(name))).collect();
    json!({
        "asyncapi": "3.1.0",
        "info": {
            "title": "Midplane",
            "version": version,
            "description": "JSON-RPC 2.0 and events over one WebSocket; events alone as server-sent events.",
        },
        "defaultContentType": "application/json",
        "servers": {
            "socket": {
                "host": place, "protocol": socket, "description": "Subprotocol midplane.v1.",
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
            "stream": {
                "host": place, "protocol": stream, "security": [{"$ref": "#/components/securitySchemes/token"}],
            },
        },
        "channels": {
            "socket": {"address": "/ws", "servers": [{"$ref": "#/servers/socket"}], "messages": of_channel},
            "stream": {"address": "/events", "servers": [{"$ref": "#/servers/stream"}], "messages": of_stream},
        },
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn message_of(name: &str) -> Value {
    json!({"$ref": format!("#/components/messages/{name}")})
}

fn in_channel(channel: &str, name: &str) -> Value {
    json!({"$ref": format!("#/channels/{channel}/messages/{name}")})
}

fn call(method: &Method) -> Value {
    json!({
        "action": "receive",
        "channel": {"$ref": "#/channels/socket"},
        "title": method.name,
        "summary": summary(&method.function),
        "tags": [{"name": owner_name(method)}],
        "messages": [in_channel("socket", &format!("call.{}", method.name))],
        "reply": {
            "channel": {"$ref": "#/channels/socket"},
            "messages": [in_channel("socket", &format!("result.{}", method.name)), in_channel("socket", "error")],
        },
    })
}

/// What the host sends without being asked each time.
fn listening() -> Map<String, Value> {
    let send = |channel: &str, names: &[&str]| {
        let messages: Vec<Value> = names.iter().map(|name| in_channel(channel, name)).collect();
        json!({"action": "send", "channel": {"$ref": format!("#/channels/{channel}")}, "messages": messages})
    };
    let mut operations = Map::new();
    operations.insert("tell".into(), send("socket", &["event", "gap", "cursor", "progress"]));
    operations.insert("stream".into(), send("stream", &["event", "gap", "cursor"]));
    let cancel = json!({
        "action": "receive", "channel": {"$ref": "#/channels/socket"}, "messages": [in_channel("socket", "cancel")],
    });
    operations.insert("cancel".into(), cancel);
    operations
}

fn request(method: &Method) -> Value {
    envelope(
        json!({
            "id": {"$ref": "#/components/schemas/id"},
            "method": {"const": method.name},
            "params": param_schemas(&method.function),
            "meta": {"$ref": "#/components/schemas/meta"},
        }),
        &["method"],
    )
}

fn response(method: &Method) -> Value {
    let properties = json!({"id": {"$ref": "#/components/schemas/id"}, "result": result_schema(&method.function)});
    envelope(properties, &["id", "result"])
}

fn notifications() -> Map<String, Value> {
    let notification = |method: &str, schema: &str| {
        let params = json!({"$ref": format!("#/components/schemas/{schema}")});
        envelope(json!({"method": {"const": method}, "params": params}), &["method", "params"])
    };
    let mut messages = Map::new();
    messages.insert("event".into(), notification("event", "event"));
    messages.insert("gap".into(), notification("event.gap", "gap"));
    messages.insert("cursor".into(), notification("event.cursor", "cursor"));
    messages.insert("progress".into(), notification("$/progress", "progress"));
    messages.insert("cancel".into(), notification("$/cancelRequest", "cancel"));
    let properties =
        json!({"id": {"$ref": "#/components/schemas/id"}, "error": {"$ref": "#/components/schemas/error"}});
    messages.insert("error".into(), envelope(properties, &["id", "error"]));
    messages
}

fn envelope(mut properties: Value, required: &[&str]) -> Value {
    properties["jsonrpc"] = json!({"const": "2.0"});
    let required: Vec<&str> = ["jsonrpc"].iter().chain(required).copied().collect();
    json!({"payload": {"type": "object", "properties": properties, "required": required}})
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let number = || json!({"type": "integer", "minimum": 0});
    let object = |properties: Value, required: &[&str]| json!({"type": "object", "properties": properties, "required": required});
    json!({
        "id": {"type": ["string", "number", "null"]},
        "position": object(json!({"epoch": text(), "seq": number()}), &["epoch", "seq"]),
        "positions": {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/position"}},
        "meta": object(
            json!({
                "timeout_ms": number(),
                "idempotency_key": {"type": "string", "minLength": 1, "maxLength": 64},
                "progress_token": {"type": ["string", "number"]},
                "after": {"$ref": "#/components/schemas/positions"},
            }),
            &[],
        ),
        "event": object(
            json!({
                "subscription": number(), "stream": text(), "epoch": text(), "seq": number(), "n": number(), "topic": text(),
                "time": {"type": "string", "format": "date-time"}, "payload": {}, "origin": {"type": "object"},
                "replay": {"type": "boolean"}, "request": text(),
            }),
            &["stream", "epoch", "seq", "n", "topic", "time", "payload", "origin"],
        ),
        "gap": object(
            json!({
                "subscription": number(), "stream": text(), "epoch": text(), "after": number(), "resume_at": number(),
                "lost_at_least": number(), "reason": {"enum": ["evicted", "holes", "epoch", "slow_consumer"]},
            }),
            &["stream", "epoch", "after", "resume_at", "lost_at_least", "reason"],
        ),
        "cursor": object(
            json!({"subscription": number(), "stream": text(), "epoch": text(), "seq": number()}),
            &["stream", "epoch", "seq"],
        ),
        "progress": object(json!({"token": {"type": ["string", "number"]}, "value": {}}), &["token", "value"]),
        "cancel": object(json!({"id": {"$ref": "#/components/schemas/id"}}), &["id"]),
        "error": object(
            json!({
                "code": {"type": "integer"}, "message": text(),
                "data": object(
                    json!({
                        "code": text(), "request_id": text(), "retryable": {"type": "boolean"}, "retry_after_ms": number(),
                        "details": {"type": "object"},
                    }),
                    &["code", "request_id", "retryable"],
                ),
            }),
            &["code", "message", "data"],
        ),
    })
}
