//! Calls under one idempotency key: one effect, one answer, whatever brings them.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::{
    http_client,
    support::{BEARER, Client, Host, start},
};

fn call(id: u64, method: &str, params: &Value, key: &str) -> String {
    let meta = json!({"idempotency_key": key});
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params, "meta": meta}).to_string()
}

impl Host {
    fn count(&self) -> u64 {
        self.effect.count.load(Ordering::SeqCst)
    }

    /// Waits until the effect has begun so many times.
    async fn begun(&self, times: u64) {
        while self.count() < times {
            tokio::task::yield_now().await;
        }
    }
}

async fn code(client: &mut Client) -> Value {
    client.json().await["error"]["data"]["code"].clone()
}

#[tokio::test]
async fn concurrent_calls_on_every_transport_have_one_effect_and_the_same_answer() {
    let host = start().await;
    let (mut one, mut two) = (host.socket().await, host.socket().await);
    let text = call(1, "effect", &json!([]), "k");
    one.send(&text).await;
    host.begun(1).await;
    two.send(&text).await;
    let bare = r#"{"jsonrpc":"2.0","id":1,"method":"effect","params":[]}"#;
    let headers = [BEARER, ("content-type", "application/json"), ("idempotency-key", "\"k\"")];
    let over_http = http_client::send(host.addr, "POST", "/rpc", &headers, bare);
    let answer = async {
        // Every other call waits for the first, which waits for the gate; this one shows that the socket goes on.
        assert_eq!(two.call("sum", json!([1])).await["result"], 1);
        host.effect.gate.add_permits(1);
        (one.json().await["result"].clone(), two.json().await["result"].clone())
    };
    let (over_http, (first, second)) = tokio::join!(over_http, answer);
    let over_http: Value = serde_json::from_str(&over_http.body).unwrap();
    assert_eq!([first, second, over_http["result"].clone()], [json!(1), json!(1), json!(1)]);
    one.send(&text).await;
    assert_eq!((one.json().await["result"].clone(), host.count()), (json!(1), 1), "and afterwards too");
}

#[tokio::test]
async fn a_call_outlives_its_connection_and_its_cancel_for_the_one_who_comes_back() {
    let host = start().await;
    let mut first = host.socket().await;
    first.send(&call(1, "effect", &json!([]), "dropped")).await;
    host.begun(1).await;
    drop(first);
    let mut second = host.socket().await;
    second.send(&call(2, "effect", &json!([]), "dropped")).await;
    second.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":2}}"#).await;
    assert_eq!(code(&mut second).await, "cancelled");
    host.effect.gate.add_permits(1);
    second.send(&call(3, "effect", &json!([]), "dropped")).await;
    assert_eq!((second.json().await["result"].clone(), host.count()), (json!(1), 1));
}

#[tokio::test]
async fn a_key_belongs_to_one_call_of_one_principal() {
    let host = start().await;
    host.effect.gate.add_permits(9);
    let mut client = host.socket().await;
    client.send(&call(1, "effect", &json!({"a": 1, "b": [2]}), "k")).await;
    assert_eq!(client.json().await["result"], 1);
    client.send(&call(1, "effect", &json!({"b": [2], "a": 1}), "k")).await;
    assert_eq!(client.json().await["result"], 1, "the order of members means nothing");
    for (method, params) in [("effect", json!({"a": 1, "b": [3]})), ("sum", json!({"a": 1, "b": [2]}))] {
        client.send(&call(1, method, &params, "k")).await;
        assert_eq!(code(&mut client).await, "conflict");
    }
    let made = client.call("auth.create_token", json!({"name": "ci", "scopes": ["read"]})).await;
    let bearer = format!("Bearer {}", made["result"]["token"].as_str().unwrap());
    let mut other = host.try_socket("/ws", &[("authorization", &bearer)]).await.unwrap();
    other.send(&call(1, "effect", &json!({"a": 1, "b": [2]}), "k")).await;
    assert_eq!(other.json().await["result"], 2, "another principal's key is another key");
}

#[tokio::test]
async fn a_call_that_never_began_is_tried_again_and_a_failure_that_did_is_not() {
    let host = start().await;
    let mut client = host.socket().await;
    for attempt in 1..=2 {
        client.send(&call(attempt, "refuse", &json!([]), "refused")).await;
        assert_eq!(code(&mut client).await, "unavailable");
        assert_eq!(host.count(), attempt);
    }
    let late = json!({"idempotency_key": "late", "timeout_ms": 1});
    let late = json!({"jsonrpc": "2.0", "id": 1, "method": "effect", "meta": late}).to_string();
    for _ in 0..2 {
        client.send(&late).await;
        assert_eq!(code(&mut client).await, "timeout");
        assert_eq!(host.count(), 3, "nobody knows how far it came");
    }
}

#[tokio::test]
async fn what_was_made_on_a_connection_is_made_again_on_another() {
    let host = start().await;
    let (mut one, mut two) = (host.socket().await, host.socket().await);
    let subscribe = call(1, "event.subscribe", &json!({"patterns": ["a"]}), "k");
    for client in [&mut one, &mut two] {
        client.send(&subscribe).await;
        assert_eq!(client.json().await["result"]["subscription"], 1);
        assert_eq!(client.call("session.info", Value::Null).await["result"]["subscriptions"], 1);
    }
    two.send(&subscribe).await;
    assert_eq!(two.json().await["result"]["subscription"], 1);
    assert_eq!(two.call("session.info", Value::Null).await["result"]["subscriptions"], 1);
}

#[tokio::test]
async fn over_rest_the_header_does_the_same_and_a_batch_cannot_have_one() {
    let host = start().await;
    host.effect.gate.add_permits(9);
    let headers = [BEARER, ("content-type", "application/json"), ("idempotency-key", "k")];
    let publish = r#"{"topic":"a","payload":1}"#;
    for _ in 0..2 {
        let path = "/api/v1/methods/event.publish";
        let published: Value =
            serde_json::from_str(&http_client::send(host.addr, "POST", path, &headers, publish).await.body).unwrap();
        assert_eq!((&published["seq"], &published["duplicate"]), (&json!(1), &json!(false)), "{published}");
    }
    let batch = r#"[{"jsonrpc":"2.0","id":1,"method":"sum","params":[1]}]"#;
    let refused = http_client::send(host.addr, "POST", "/rpc", &headers, batch).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let empty = host.rpc(&call(1, "sum", &json!([1]), "")).await;
    assert!(empty.body.contains("1 to 64 characters"), "{}", empty.body);
}
