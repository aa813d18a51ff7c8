//! How a socket behaves under load, misuse and shutdown.

use std::time::Duration;

use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{
    http_client,
    support::{BEARER, start, start_with},
};

fn request(id: usize, method: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method}).to_string()
}

#[tokio::test]
async fn the_sixty_fifth_call_in_flight_is_refused_and_a_cancel_overtakes_all() {
    let host = start().await;
    let mut client = host.socket().await;
    for id in 0..64 {
        client.send(&request(id, "wait")).await;
    }
    client.send(&request(64, "get_data")).await;
    let refused = client.json().await;
    assert_eq!((refused["id"].clone(), refused["error"]["data"]["code"].clone()), (json!(64), json!("unavailable")));
    assert_eq!(refused["error"]["data"]["details"]["busy"], true);
    client.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":7}}"#).await;
    let cancelled = client.json().await;
    assert_eq!((cancelled["id"].clone(), cancelled["error"]["data"]["code"].clone()), (json!(7), json!("cancelled")));
    // The place is free once the answer is written, and this answer was.
    assert_eq!(client.call("get_data", json!([])).await["result"], json!(["hello", 5]));
}

#[tokio::test]
async fn a_batch_takes_no_more_places_than_it_runs_calls_and_can_be_cancelled_item_by_item() {
    let host = start().await;
    let mut client = host.socket().await;
    let batch: Vec<Value> = (0..100)
        .map(|id| json!({"jsonrpc": "2.0", "id": id, "method": if id == 0 { "wait" } else { "update" }}))
        .collect();
    client.send(&Value::from(batch).to_string()).await;
    assert_eq!(client.call("sum", json!([2])).await["result"], 2);
    client.send(r#"[{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":0}}]"#).await;
    let answers = client.json().await;
    let ids: Vec<u64> = answers.as_array().unwrap().iter().filter_map(|answer| answer["id"].as_u64()).collect();
    assert_eq!(ids, (0..100).collect::<Vec<_>>(), "in the order of the requests");
    assert_eq!(answers[0]["error"]["data"]["code"], "cancelled");
}

#[tokio::test]
async fn a_session_tells_who_and_where() {
    let host = start().await;
    let mut client = host.socket().await;
    let opened = client.call("session.open", json!({"client": {"name": "test", "version": "1"}})).await;
    let opened = &opened["result"];
    assert_eq!((opened["protocol"].clone(), opened["principal"].clone()), (json!("midplane.v1"), json!("owner")));
    assert_eq!(opened["server"], json!({"version": "0.1.0", "instance_id": "i-1"}));
    assert_eq!(opened["streams"]["main"]["head"], 1, "that this session was opened");
    assert_eq!(opened["limits"]["calls_in_flight"], 64);
    let information = client.call("session.info", Value::Null).await;
    assert_eq!(information["result"]["client"], json!({"name": "test", "version": "1"}));
    assert_eq!(information["result"]["session_id"], opened["session_id"]);
    assert_eq!(client.call("session.ping", json!({"t": {"any": 1}})).await["result"]["t"], json!({"any": 1}));
    let refused = client.call("session.open", json!({"protocols": ["midplane.v9"]})).await;
    assert_eq!(refused["error"]["data"]["code"], "unsupported_version");
    let status = client.call("system.status", Value::Null).await;
    assert_eq!(status["result"]["connections"], 1);
    let http: Value = serde_json::from_str(&host.rpc(&request(1, "session.info")).await.body).unwrap();
    assert_eq!(http["error"]["data"]["code"], "not_supported");
}

#[tokio::test]
async fn who_calls_too_fast_is_told_when_to_call_again_and_who_does_not_listen_is_closed() {
    let host = start_with(|config| {
        config.limits.calls_per_second = 1;
        config.limits.calls_burst = 3;
        config.limits.rate_refusals = 3;
    })
    .await;
    let mut client = host.socket().await;
    // The rate is the principal's, whatever its calls come over. On a slow machine a second may pass between two of them.
    let refused = loop {
        let answer = client.call("sum", json!([1])).await;
        if answer["result"] != 1 {
            break answer;
        }
    };
    assert_eq!(refused["error"]["data"]["code"], "rate_limited", "{refused}");
    assert!(
        refused["error"]["data"]["retry_after_ms"].as_u64().is_some_and(|ms| (1..=1000).contains(&ms)),
        "{refused}"
    );
    let over_rest = loop {
        let answer = http_client::send(host.addr, "POST", "/api/v1/methods/session.ping", &[BEARER], "").await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert!(over_rest.status == 429 && over_rest.head.contains("retry-after: 1"), "{}", over_rest.head);
    for id in 2..20 {
        // The last ones may find the socket closed.
        _ = client.socket.send(Message::text(request(id, "get_data"))).await;
    }
    let (code, reason) = client.closed().await.unwrap();
    assert_eq!(code, 4029);
    assert!(serde_json::from_str::<Value>(&reason).unwrap()["retry_after_ms"].is_u64(), "{reason}");
}

#[tokio::test]
async fn one_principal_cannot_take_every_connection() {
    let host = start_with(|config| {
        config.limits.connections = 4;
        config.limits.connections_per_principal = 2;
    })
    .await;
    let (mut first, second) = (host.socket().await, host.socket().await);
    assert_eq!(host.try_socket("/ws", &[BEARER]).await.err(), Some(429));
    let made = first.call("auth.create_token", json!({"name": "ci", "scopes": ["read"]})).await;
    let bearer = format!("Bearer {}", made["result"]["token"].as_str().unwrap());
    assert!(host.try_socket("/ws", &[("authorization", &bearer)]).await.is_ok());
    drop(second);
    while host.try_socket("/ws", &[BEARER]).await.is_err() {}
}

#[tokio::test]
async fn shutdown_closes_sockets_with_4012_and_joins_them() {
    let host = start().await;
    let mut client = host.socket().await;
    client.send(&request(1, "wait")).await;
    assert_eq!(client.call("sum", json!([1])).await["result"], 1);
    host.shutdown.cancel();
    let (code, reason) = client.closed().await.unwrap();
    assert_eq!(code, 4012);
    assert!(serde_json::from_str::<Value>(&reason).unwrap()["retry_after_ms"].is_u64(), "{reason}");
    drop(client);
    host.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_too_large_closes_with_4013() {
    let host = start_with(|config| config.limits.message_bytes = 1000).await;
    let mut client = host.socket().await;
    client.send(&"x".repeat(1001)).await;
    assert_eq!(client.closed().await.unwrap().0, 4013);
}

#[tokio::test]
async fn text_that_is_no_utf8_closes_with_1007() {
    let host = start().await;
    let mut client = host.socket().await;
    let frame = Frame::message(vec![b'"', 0xff, b'"'], OpCode::Data(Data::Text), true);
    client.send_message(Message::Frame(frame)).await;
    assert_eq!(client.closed().await.unwrap().0, 1007);
}

#[tokio::test]
async fn a_binary_message_that_is_no_frame_closes_with_1002() {
    let host = start().await;
    let mut client = host.socket().await;
    client.send_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(client.closed().await.unwrap().0, 1002);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_gone() {
    let host = start_with(|config| {
        config.limits.ping_interval = Duration::from_millis(50);
        config.limits.silence_max = Duration::from_millis(500);
    })
    .await;
    let silent = host.socket().await;
    let mut watching = host.socket().await;
    // Reading answers pings, so this one stays while the other, which nobody reads, goes.
    loop {
        let status = watching.call("system.status", Value::Null).await;
        if status["result"]["connections"] == 1 {
            break;
        }
    }
    drop(silent);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_while_others_go_on() {
    let host = start_with(|config| config.limits.write_stall_max = Duration::from_millis(50)).await;
    let mut slow = host.socket().await;
    let mut other = host.socket().await;
    slow.call("event.subscribe", json!({"patterns": ["a"]})).await;
    let payload = "x".repeat(1 << 19);
    loop {
        let published = other.call("event.publish", json!({"topic": "a", "payload": payload})).await;
        assert!(published["result"]["seq"].is_u64(), "{published}");
        if other.call("system.status", Value::Null).await["result"]["connections"] == 1 {
            break;
        }
    }
}
