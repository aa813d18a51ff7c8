//! Every registered method, over every transport: the answers are the same. Generated from the registry, so that no method and no
//! transport can be forgotten.

use anyhow::{Context as _, Result};
use midplane_tests::{Client, Host, request, request_local};
use serde_json::{Value, json};

/// What differs from one moment or connection to the next.
const VOLATILE: &[&str] = &[
    "request_id",
    "now",
    "connections",
    "subscriptions",
    "last_used_at",
    "published",
    "head",
    "kept_events",
    "kept_bytes",
    "metrics",
    "age_ms",
    "uptime_ms",
];

/// Whose answer is about the connection that asks: over HTTP there is none.
const OF_THE_CONNECTION: &[&str] = &["session.open", "session.info", "session.close", "session.list"];

/// What is made there. Over HTTP they say so, once their parameters are of the right form.
const ON_THE_CONNECTION: &[&str] = &["event.subscribe", "event.unsubscribe", "event.recover"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_answers_the_same_over_websocket_http_rest_local_socket_and_command_line() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("workspace.create", json!({ "name": "demo" })).await?;
    host.write_file("a.txt", "hello")?;
    let document = host.get_json("/openrpc.json").await?;
    let methods = document["methods"].as_array().context("methods")?;
    let known: Vec<&Value> = methods.iter().map(|method| &method["name"]).collect();
    assert_eq!(json!(known), client.call("system.methods", json!({})).await?, "the document has what is registered");
    for one in ["event.publish", "files.uploads.begin", "files.archives.unpack", "terminals.record", "workspace.create"]
    {
        assert!(known.iter().any(|name| **name == one), "{one} is one of {} methods", known.len());
    }
    for method in methods {
        let name = method["name"].as_str().context("name")?;
        // A parameter that no method has: refused by name, before anything is done.
        the_same(&host, &mut client, name, &json!({ "no_such_parameter": 1 })).await?;
        // No parameters at all: what reads, answers; what needs some, says which.
        let needs_some = method["params"].as_array().is_some_and(|params| params.iter().any(|p| p["required"] == true));
        if (method["x-scope"] == "read" || needs_some) && !OF_THE_CONNECTION.contains(&name) {
            the_same(&host, &mut client, name, &json!({})).await?;
        }
        // What reads and needs some: a result, or an error of its own, such as that there is none of that name.
        if method["x-scope"] == "read" && needs_some && !ON_THE_CONNECTION.contains(&name) {
            the_same(&host, &mut client, name, &plausible(&method["params"])).await?;
        }
    }
    Ok(())
}

/// The parameters that a method needs, each a value of its type.
fn plausible(params: &Value) -> Value {
    let needed = params.as_array().into_iter().flatten().filter(|param| param["required"] == true);
    needed.map(|param| (param["name"].as_str().unwrap_or_default().to_owned(), of_type(&param["schema"]))).collect()
}

fn of_type(schema: &Value) -> Value {
    match (&schema["enum"], &schema["anyOf"], schema["type"].as_str()) {
        (Value::Array(cases), ..) => cases[0].clone(),
        (_, Value::Array(types), _) => of_type(&types[0]),
        (.., Some("string")) => "a.txt".into(),
        (.., Some("boolean")) => false.into(),
        (.., Some("array")) => json!([of_type(&schema["items"])]),
        (.., Some("object")) => {
            let needed = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            needed.map(|name| (name.to_owned(), of_type(&schema["properties"][name]))).collect()
        }
        _ => 1.into(),
    }
}

#[tokio::test]
async fn every_reference_in_the_asyncapi_document_leads_somewhere_and_every_method_is_there() -> Result<()> {
    let host = Host::start().await?;
    let document = host.get_json("/asyncapi.json").await?;
    let mut references = Vec::new();
    references_in(&document, &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').context("a reference within the document")?;
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
    let methods = host.get_json("/openrpc.json").await?;
    for method in methods["methods"].as_array().into_iter().flatten() {
        let name = method["name"].as_str().context("name")?;
        assert_eq!(document["operations"][format!("call.{name}")]["action"], "receive", "{name}");
    }
    Ok(())
}

fn references_in<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references_in(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references_in(item, found)),
        _ => {}
    }
}

async fn the_same(host: &Host, client: &mut Client, method: &str, params: &Value) -> Result<()> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let bearer = format!("Bearer {}", host.token);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let expected = plain(client.response(method, params.clone()).await?);
    let over_http: Value = serde_json::from_str(&host.rpc(&body).await?.body)?;
    assert_eq!(plain(over_http), expected, "{method}: HTTP");
    let local = request_local(&host.local_socket(), "POST", "/rpc", &headers, &body).await?;
    assert_eq!(plain(serde_json::from_str(&local.body)?), expected, "{method}: local socket");
    let path = format!("/api/v1/methods/{method}");
    let rest = request(&host.url, "POST", &path, &headers, &params.to_string()).await?;
    assert_eq!(of_rest(&rest.body)?, expected, "{method}: REST");
    let (code, stdout, stderr) = host.cli(&["call", method, &params.to_string(), "--json"]).await?;
    let printed: Value =
        serde_json::from_str(&stdout).with_context(|| format!("{method}: {code} {stdout} {stderr}"))?;
    let answer = if code == 0 { json!({ "result": printed }) } else { json!({ "error": printed }) };
    assert_eq!(plain(answer), expected, "{method}: command line");
    Ok(())
}

/// Result, or code, message and details of the error.
fn plain(mut answer: Value) -> Value {
    let mut error = answer["error"].take();
    let mut plain = match error {
        Value::Null => json!({ "result": answer["result"].take() }),
        _ => {
            json!({ "code": error["data"]["code"], "message": error["message"], "details": error["data"]["details"].take() })
        }
    };
    steady(&mut plain);
    plain
}

fn of_rest(body: &str) -> Result<Value> {
    if body.is_empty() {
        return Ok(json!({ "result": null }));
    }
    let mut value: Value = serde_json::from_str(body)?;
    let mut plain = match value["type"] == "about:blank" {
        true => json!({ "code": value["code"], "message": value["detail"], "details": value["details"].take() }),
        false => json!({ "result": value }),
    };
    steady(&mut plain);
    Ok(plain)
}

/// Leaves out what differs from call to call.
fn steady(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, _| !VOLATILE.contains(&name.as_str()));
            members.values_mut().for_each(steady);
        }
        Value::Array(items) => items.iter_mut().for_each(steady),
        _ => {}
    }
}
