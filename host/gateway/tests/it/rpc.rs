//! JSON-RPC over every transport.

use serde_json::Value;

use crate::{
    http_client,
    support::{BEARER, start, start_with},
};

/// What is sent, and what comes back; no second column is silence. The specification's section 7, then our rulings.
const TRANSCRIPT: &[(&str, &str)] = &[
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":19}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":-19}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}"#,
        r#"{"jsonrpc":"2.0","id":3,"result":19}"#,
    ),
    (
        r#"{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}"#,
        r#"{"jsonrpc":"2.0","id":4,"result":19}"#,
    ),
    (r#"{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}"#, ""),
    (r#"{"jsonrpc": "2.0", "method": "foobar"}"#, ""),
    (r#"{"jsonrpc": "2.0", "method": "foobar", "id": "1"}"#, r#"{"jsonrpc":"2.0","id":"1","error":-32601}"#),
    (
        r#"{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]"#,
        r#"{"jsonrpc":"2.0","id":null,"error":-32700}"#,
    ),
    (r#"{"jsonrpc": "2.0", "method": 1, "params": "bar"}"#, r#"{"jsonrpc":"2.0","id":null,"error":-32600}"#),
    (
        r#"[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"}, {"jsonrpc": "2.0", "method"]"#,
        r#"{"jsonrpc":"2.0","id":null,"error":-32700}"#,
    ),
    ("[]", r#"{"jsonrpc":"2.0","id":null,"error":-32600}"#),
    ("[1]", r#"[{"jsonrpc":"2.0","id":null,"error":-32600}]"#),
    ("[1,2]", r#"[{"jsonrpc":"2.0","id":null,"error":-32600},{"jsonrpc":"2.0","id":null,"error":-32600}]"#),
    (
        r#"[
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
        ]"#,
        r#"[{"jsonrpc":"2.0","id":"1","result":7},{"jsonrpc":"2.0","id":"2","result":19},{"jsonrpc":"2.0","id":null,"error":-32600},{"jsonrpc":"2.0","id":"5","error":-32601},{"jsonrpc":"2.0","id":"9","result":["hello",5]}]"#,
    ),
    (
        r#"[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]"#,
        "",
    ),
    (r#"{"jsonrpc":"2.0","id":null,"method":"get_data"}"#, r#"{"jsonrpc":"2.0","id":null,"result":["hello",5]}"#),
    (r#"{"jsonrpc":"2.0","id":1.50,"method":"update"}"#, r#"{"jsonrpc":"2.0","id":1.50,"result":null}"#),
    (r#"{"jsonrpc":"2.0","id":9,"result":1}"#, ""),
    (r#"{"jsonrpc":"2.0","id":8,"method":"boom"}"#, r#"{"jsonrpc":"2.0","id":8,"error":-32603}"#),
];

/// Errors become their number; what differs from call to call is left out.
fn plain(text: &str) -> String {
    fn reduce(value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(reduce),
            Value::Object(_) if value.get("error").is_some() => {
                let error = value["error"].take();
                let request_id = error["data"]["request_id"].as_str().unwrap();
                assert!(request_id.starts_with("r-") && error["data"]["code"].is_string(), "{error}");
                value["error"] = error["code"].clone();
            }
            _ => {}
        }
    }
    if text.contains("1.50") {
        return text.to_owned();
    }
    let mut value: Value = serde_json::from_str(text).unwrap();
    reduce(&mut value);
    value.to_string()
}

#[tokio::test]
async fn the_transcript_of_the_specification_is_the_same_over_every_transport() {
    let host = start().await;
    let (mut client, mut local) = (host.socket().await, host.local_socket().await);
    for (sent, expected) in TRANSCRIPT {
        let http = host.rpc(sent).await;
        let stream = host.local().await;
        let local_http = http_client::send_over(stream, "localhost", "POST", "/rpc", &[BEARER], sent).await;
        client.send(sent).await;
        local.send(sent).await;
        assert_eq!((local_http.status, local_http.body.is_empty()), (http.status, expected.is_empty()), "{sent}");
        if expected.is_empty() {
            assert_eq!((http.status, http.body.as_str()), (204, ""), "{sent}");
            assert_eq!(local.call("sum", serde_json::json!([1])).await["result"], 1, "silence after {sent}");
            assert_eq!(client.call("sum", serde_json::json!([1])).await["result"], 1, "silence after {sent}");
        } else {
            assert_eq!(plain(&http.body), *expected, "HTTP: {sent}");
            assert_eq!(plain(&local_http.body), *expected, "HTTP by the local socket: {sent}");
            assert_eq!(plain(&client.text().await), *expected, "WebSocket: {sent}");
            assert_eq!(plain(&local.text().await), *expected, "WebSocket by the local socket: {sent}");
        }
    }
}

#[tokio::test]
async fn http_tells_what_could_not_be_read() {
    let host = start_with(|config| config.limits.message_bytes = 1000).await;
    assert_eq!(host.rpc("{").await.status, 400);
    let answer = host.rpc(&"x".repeat(1001)).await;
    assert_eq!(answer.status, 413);
    let error: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(error["error"]["data"]["details"]["limit_bytes"], 1000);
}

#[tokio::test]
async fn a_deadline_of_the_caller_ends_its_call() {
    let host = start().await;
    let answer = host.rpc(r#"{"jsonrpc":"2.0","id":1,"method":"wait","meta":{"timeout_ms":1}}"#).await;
    let answer: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(answer["error"]["data"]["code"], "timeout");
    assert_eq!(answer["error"]["data"]["details"]["deadline_ms"], 1);
}

#[tokio::test]
async fn wrong_parameters_of_native_services_are_named_by_their_path() {
    let host = start().await;
    let mut client = host.socket().await;
    let message = |answer: Value| answer["error"]["message"].as_str().unwrap_or_default().to_owned();
    let answer = client.call("event.subscribe", serde_json::json!({"patterns": [5]})).await;
    assert_eq!(answer["error"]["data"]["details"]["path"], "params.patterns[0]");
    assert_eq!(message(answer), "params.patterns[0]: expected string, got 5");
    let answer = client.call("event.subscribe", serde_json::json!({"patterns": ["A"]})).await;
    assert_eq!(answer["error"]["data"]["details"]["path"], "params.patterns[0]");
    let answer = client.call("event.subscribe", serde_json::json!({"patterns": ["a"], "since": {"main": 1}})).await;
    assert_eq!(message(answer), "params.since.main: expected {epoch, seq}, got 1");
    let answer = client.call("session.ping", serde_json::json!({"x": 1})).await;
    assert_eq!(message(answer), "params.x: unknown key");
}
