//! Events across connections.

use midplane_broker::Publish;
use midplane_model::{Origin, Topic};
use serde_json::{Value, json, value::to_raw_value};

use crate::support::{Host, start};

pub fn publish(host: &Host, topic: &str, payload: &Value) {
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

#[tokio::test]
async fn a_subscription_goes_back_and_what_follows_has_greater_numbers() {
    let host = start().await;
    let mut client = host.socket().await;
    let number = client.call("event.subscribe", json!({"patterns": ["a"]})).await["result"]["subscription"].clone();
    for n in 1..=3 {
        publish(&host, "a", &json!(n));
        assert_eq!(client.json().await["params"]["seq"], n);
    }
    let epoch = host.broker.heads()["main"].epoch.clone();
    let since = json!({"main": {"epoch": epoch, "seq": 1}});
    let answer = client.call("event.recover", json!({"subscription": number, "since": since})).await;
    let result = &answer["result"];
    assert_eq!((&result["n"], &result["streams"]["main"]["recovered"]), (&json!(3), &json!(true)), "{answer}");
    for seq in 2..=3 {
        let event = client.json().await;
        assert_eq!((&event["params"]["seq"], &event["params"]["n"]), (&json!(seq), &json!(seq + 2)), "{event}");
    }
    let elsewhere = client.call("event.recover", json!({"subscription": 99, "since": since})).await;
    assert_eq!(elsewhere["error"]["data"]["code"], "not_found");
    let nowhere = client.call("event.recover", json!({"subscription": number, "since": null})).await;
    assert_eq!(nowhere["error"]["data"]["details"]["path"], "params.since", "{nowhere}");
}

#[tokio::test]
async fn a_lost_answer_to_publish_is_asked_for_again_and_a_stale_writer_is_told() {
    let host = start().await;
    let mut client = host.socket().await;
    let note = json!({"topic": "note", "payload": 1, "key": "k-1"});
    let first = client.call("event.publish", note.clone()).await["result"].clone();
    let again = client.call("event.publish", note).await["result"].clone();
    assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
    let other = client.call("event.publish", json!({"topic": "note", "payload": 2, "key": "k-1"})).await;
    assert_eq!(other["error"]["data"]["code"], "conflict");
    let stale = json!({"topic": "note", "payload": 2, "expect": {"topic_seq": 0}});
    let stale = client.call("event.publish", stale).await;
    assert_eq!(stale["error"]["code"], -32010);
    assert_eq!(stale["error"]["data"]["details"]["topic_seq"], first["seq"], "{stale}");
    let fresh = json!({"topic": "note", "payload": 2, "expect": {"topic_seq": first["seq"]}});
    assert_eq!(client.call("event.publish", fresh).await["result"]["seq"], 2);
    let long = client.call("event.publish", json!({"topic": "note", "payload": 1, "key": "k".repeat(65)})).await;
    assert_eq!(long["error"]["data"]["details"]["path"], "params.key");
}

#[tokio::test]
async fn a_connection_that_wants_no_echo_gets_the_events_of_others() {
    let host = start().await;
    let (mut quiet, mut other) = (host.socket().await, host.socket().await);
    quiet.call("event.subscribe", json!({"patterns": ["chat"], "echo": false})).await;
    quiet.call("event.publish", json!({"topic": "chat", "payload": "mine"})).await;
    other.call("event.publish", json!({"topic": "chat", "payload": "yours"})).await;
    let event = quiet.json().await;
    assert_eq!((&event["params"]["payload"], &event["params"]["n"]), (&json!("yours"), &json!(1)));
}

#[tokio::test]
async fn a_request_is_answered_by_whoever_is_first() {
    let host = start().await;
    let (mut asker, mut answerer) = (host.socket().await, host.socket().await);
    answerer.call("event.subscribe", json!({"patterns": ["time.*"]})).await;
    asker
        .send(r#"{"jsonrpc":"2.0","id":7,"method":"event.request","params":{"topic":"time.now","payload":"?"}}"#)
        .await;
    let question = answerer.json().await;
    let reply = json!({"request": question["params"]["request"], "payload": {"hour": 9}});
    assert_eq!(answerer.call("event.reply", reply.clone()).await["result"], Value::Null);
    let answer = asker.json().await;
    assert_eq!((&answer["id"], &answer["result"]), (&json!(7), &json!({"hour": 9})));
    let late = answerer.call("event.reply", reply).await;
    assert_eq!(late["error"]["data"]["code"], "not_found");
}

#[tokio::test]
async fn a_request_ends_at_once_without_listeners_and_in_time_without_an_answer() {
    let host = start().await;
    let (mut asker, mut mute) = (host.socket().await, host.socket().await);
    let request = json!({"topic": "time.now", "payload": "?", "timeout_ms": 1});
    assert_eq!(asker.call("event.request", request.clone()).await["error"]["data"]["code"], "no_responder");
    assert_eq!(host.broker.heads()["main"].seq, 0, "what nobody hears is not published");
    mute.call("event.subscribe", json!({"patterns": ["time.*"]})).await;
    let answer = asker.call("event.request", request).await;
    assert_eq!(answer["error"]["data"]["code"], "timeout");
    assert_eq!(answer["error"]["data"]["details"]["deadline_ms"], 1, "{answer}");
}

#[tokio::test]
async fn history_is_paged_backwards() {
    let host = start().await;
    for n in 1..=5 {
        publish(&host, "a", &json!(n));
    }
    let mut client = host.socket().await;
    let mut before = Value::Null;
    let mut seen = Vec::new();
    loop {
        let answer = client.call("event.history", json!({"patterns": ["a"], "before": before, "limit": 2})).await;
        let page = &answer["result"]["streams"]["main"];
        let seqs: Vec<u64> = page["events"].as_array().unwrap().iter().map(|e| e["seq"].as_u64().unwrap()).collect();
        before = json!({"main": {"epoch": page["epoch"], "seq": seqs[0]}});
        seen.push(seqs);
        if page["more"] == false {
            break;
        }
    }
    assert_eq!(seen, [vec![4, 5], vec![2, 3], vec![1]]);
    let both = client.call("event.history", json!({"patterns": ["a"], "since": "earliest", "before": before})).await;
    assert_eq!(both["error"]["data"]["details"]["path"], "params.before");
}

#[tokio::test]
async fn streams_are_in_the_status_and_in_the_metrics() {
    let host = start().await;
    let mut client = host.socket().await;
    client.call("event.subscribe", json!({"patterns": ["b"]})).await;
    publish(&host, "a", &json!(1));
    let status = client.call("system.status", Value::Null).await["result"].clone();
    let streams = status["streams"].as_array().unwrap();
    let main = streams.iter().find(|stream| stream["name"] == "main").unwrap();
    assert_eq!(
        (&main["head"], &main["kept_events"], &main["subscriptions"]),
        (&json!(1), &json!(1), &json!(1)),
        "{main}"
    );
    let metrics = host.get("/metrics").await.body;
    for line in [
        r#"midplane_events_published_total{stream="main"} 1"#,
        r#"midplane_subscriptions{stream="main"} 1"#,
        r#"midplane_subscriptions{stream="live"} 0"#,
        "midplane_requests 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}
