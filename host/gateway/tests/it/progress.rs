//! `$/progress`: asked for by a token, told before the answer, never after it.

use serde_json::{Value, json};

use crate::{
    http_client,
    support::{BEARER, Client, start},
};

async fn ask(client: &mut Client, id: u64, method: &str, up_to: u64, token: &Value) {
    let meta = json!({ "progress_token": token });
    let call = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": [up_to], "meta": meta});
    client.send(&call.to_string()).await;
}

/// What is told up to the answer of call `id`, and that answer.
async fn told(client: &mut Client, id: u64, token: &Value) -> (Vec<u64>, Value) {
    let mut values = Vec::new();
    loop {
        let message = client.json().await;
        if message["id"] == id {
            return (values, message["result"].clone());
        }
        assert_eq!((&message["method"], &message["params"]["token"]), (&json!("$/progress"), token), "{message}");
        values.push(message["params"]["value"].as_u64().unwrap());
    }
}

#[tokio::test]
async fn every_part_is_told_in_order_and_before_the_answer() {
    let host = start().await;
    let mut client = host.socket().await;
    let token = json!("search-1");
    ask(&mut client, 1, "parts", 1000, &token).await;
    let (values, listened) = told(&mut client, 1, &token).await;
    assert_eq!((values, listened), ((1..=1000).collect(), json!(true)));
    // The next message is the next answer: nothing followed the last one.
    assert_eq!(client.call("sum", json!([1])).await["result"], 1);
}

#[tokio::test]
async fn of_many_states_some_are_told_and_always_the_last() {
    let host = start().await;
    let mut client = host.socket().await;
    let token = json!(7.5);
    ask(&mut client, 1, "count", 10_000, &token).await;
    let (values, listened) = told(&mut client, 1, &token).await;
    assert_eq!((values.last(), listened), (Some(&10_000), json!(true)));
    assert!(values.is_sorted_by(|a, b| a < b) && values.len() < 1000, "{} states", values.len());
}

#[tokio::test]
async fn a_part_that_the_client_does_not_read_is_waited_for_and_costs_others_nothing() {
    let host = start().await;
    let (mut slow, mut other) = (host.socket().await, host.socket().await);
    let token = json!("slow");
    // Far more than sockets buffer, which nobody reads yet.
    ask(&mut slow, 1, "parts", 100_000, &token).await;
    ask(&mut other, 2, "parts", 10, &token).await;
    assert_eq!(told(&mut other, 2, &token).await.0, (1..=10).collect::<Vec<_>>());
    assert_eq!(told(&mut slow, 1, &token).await.0.len(), 100_000);
}

#[tokio::test]
async fn items_of_a_batch_have_progress_of_their_own() {
    let host = start().await;
    let mut client = host.socket().await;
    let item = |id, token| json!({"jsonrpc": "2.0", "id": id, "method": "parts", "params": [3], "meta": {"progress_token": token}});
    client.send(&json!([item(1, "a"), item(2, "b")]).to_string()).await;
    let mut told = [Vec::new(), Vec::new()];
    let answers = loop {
        let message = client.json().await;
        if message.is_array() {
            break message;
        }
        let of = usize::from(message["params"]["token"] == "b");
        told[of].push(message["params"]["value"].as_u64().unwrap());
    };
    assert_eq!(told, [[1, 2, 3], [1, 2, 3]]);
    assert_eq!(answers.as_array().map(Vec::len), Some(2), "{answers}");
}

#[tokio::test]
async fn over_http_progress_and_answer_are_events_for_those_who_accept_them() {
    let host = start().await;
    let call = r#"{"jsonrpc":"2.0","id":"h","method":"parts","params":[50],"meta":{"progress_token":"t"}}"#;
    let headers = [BEARER, ("accept", "application/json, text/event-stream")];
    let answer = http_client::send(host.addr, "POST", "/rpc", &headers, call).await;
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    let events = answer.body.lines().filter_map(|line| line.strip_prefix("data: "));
    let messages: Vec<Value> = events.map(|text| serde_json::from_str(text).unwrap()).collect();
    let told: Vec<Value> = messages.iter().map(|message| message["params"]["value"].clone()).collect();
    assert_eq!(told[..50], (1..=50).map(Value::from).collect::<Vec<_>>()[..]);
    assert_eq!(messages[50..], [json!({"jsonrpc": "2.0", "id": "h", "result": true})]);
    // Without a token there is nothing to tell, and the answer is a plain one.
    let plain = r#"{"jsonrpc":"2.0","id":1,"method":"sum","params":[1]}"#;
    let answer = http_client::send(host.addr, "POST", "/rpc", &headers, plain).await;
    assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
}

#[tokio::test]
async fn without_a_token_or_an_answer_nobody_listens() {
    let host = start().await;
    let mut client = host.socket().await;
    assert_eq!(client.call("parts", json!([5])).await["result"], false);
    client.send(r#"{"jsonrpc":"2.0","method":"parts","params":[5],"meta":{"progress_token":1}}"#).await;
    assert_eq!(client.call("parts", json!([5])).await["result"], false);
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"parts","params":[5],"meta":{"progress_token":1}}"#;
    let over_http: Value = serde_json::from_str(&host.rpc(call).await.body).unwrap();
    assert_eq!(over_http["result"], false);
}
