//! Events across connections.

use midplane_broker::Publish;
use midplane_model::{Origin, Topic};
use serde_json::{Value, json, value::to_raw_value};

use crate::support::{Host, start};

fn publish(host: &Host, topic: &str, payload: &Value) {
    let (topic, payload) = (Topic::parse(topic).unwrap(), to_raw_value(payload).unwrap());
    host.broker.publish(Publish { topic, payload, origin: Origin::default(), ttl: None }).unwrap();
}

#[tokio::test]
async fn the_answer_to_subscribe_precedes_the_first_event_even_in_a_batch() {
    let host = start().await;
    for n in 1..=50 {
        publish(&host, "a.b", &json!(n));
    }
    for _ in 0..20 {
        let mut client = host.socket().await;
        let subscribe =
            r#"{"jsonrpc":"2.0","id":1,"method":"event.subscribe","params":{"patterns":["a.**"],"since":"earliest"}}"#;
        client.send(&format!("[{subscribe},{subscribe}]")).await;
        let answer = client.json().await;
        assert_eq!(answer[0]["result"]["streams"]["main"]["head"], 50, "{answer}");
        let event = client.json().await;
        assert_eq!((event["method"].clone(), event["params"]["n"].clone()), (json!("event"), json!(1)));
        assert_eq!(event["params"]["replay"], true);
    }
}

#[tokio::test]
async fn a_second_client_sees_an_event_with_its_position_and_origin() {
    let host = start().await;
    let (mut reader, mut writer) = (host.socket().await, host.socket().await);
    let subscribed = reader.call("event.subscribe", json!([["note.*"]])).await;
    assert_eq!(subscribed["result"]["patterns"], json!(["note.*"]));
    assert_eq!(subscribed["result"]["streams"]["main"]["reason"], "new");
    let published = writer.call("event.publish", json!({"topic": "note.added", "payload": {"text": "hi"}})).await;
    let published = &published["result"];
    assert_eq!((published["stream"].clone(), published["seq"].clone()), (json!("main"), json!(1)));
    let event = reader.json().await;
    let params = &event["params"];
    assert_eq!(params["subscription"], subscribed["result"]["subscription"]);
    assert_eq!((&params["epoch"], &params["seq"]), (&published["epoch"], &published["seq"]));
    assert_eq!((params["topic"].clone(), params["payload"].clone()), (json!("note.added"), json!({"text": "hi"})));
    assert_eq!(params["origin"]["principal"], "owner");
    assert!(params["origin"]["request_id"].as_str().unwrap().starts_with("r-"));
    assert!(params.get("replay").is_none());
}

#[tokio::test]
async fn after_unsubscribe_nothing_comes_and_doing_it_twice_is_no_error() {
    let host = start().await;
    let mut client = host.socket().await;
    let subscribed = client.call("event.subscribe", json!({"patterns": ["a"]})).await;
    let number = subscribed["result"]["subscription"].clone();
    assert_eq!(client.call("session.info", Value::Null).await["result"]["subscriptions"], 1);
    for _ in 0..2 {
        let answer = client.call("event.unsubscribe", json!({"subscription": number})).await;
        assert_eq!(answer["result"]["subscription"], number);
    }
    publish(&host, "a", &json!(1));
    assert_eq!(client.call("session.info", Value::Null).await["result"]["subscriptions"], 0);
}

#[tokio::test]
async fn a_position_is_resumed_without_loss() {
    let host = start().await;
    for n in 1..=3 {
        publish(&host, "a", &json!(n));
    }
    let epoch = host.broker.heads()["main"].epoch.clone();
    let mut client = host.socket().await;
    let since = json!({"main": {"epoch": epoch, "seq": 1}});
    let answer = client.call("event.subscribe", json!({"patterns": ["a"], "since": since})).await;
    assert_eq!(answer["result"]["streams"]["main"]["recovered"], true, "{answer}");
    for seq in 2..=3 {
        assert_eq!(client.json().await["params"]["seq"], seq);
    }
}

#[tokio::test]
async fn history_is_read_without_a_connection() {
    let host = start().await;
    publish(&host, "a", &json!({"n": 1}));
    publish(&host, "b", &json!(2));
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"event.history","params":{"patterns":["a"],"since":"earliest"}}"#;
    let answer: Value = serde_json::from_str(&host.rpc(request).await.body).unwrap();
    let events = answer["result"]["streams"]["main"]["events"].as_array().unwrap();
    assert_eq!(events.len(), 1, "{answer}");
    assert_eq!((events[0]["topic"].clone(), events[0]["payload"].clone()), (json!("a"), json!({"n": 1})));
}

#[tokio::test]
async fn a_client_may_not_speak_for_an_owner_of_topics() {
    let host = start().await;
    let mut client = host.socket().await;
    for (topic, owner) in [("probe.done", "probe"), ("session.opened", "session")] {
        let answer = client.call("event.publish", json!({"topic": topic, "payload": null})).await;
        assert_eq!(answer["error"]["data"]["code"], "forbidden");
        assert_eq!(answer["error"]["data"]["details"]["owner"], owner);
    }
    let answer = client.call("event.publish", json!({"topic": "probes.done", "payload": null})).await;
    assert_eq!(answer["result"]["durable"], false);
}
