//! Results say where their effects stand, and calls wait for what their caller has seen.

use serde_json::{Value, json};

use crate::{
    events::publish,
    http_client,
    support::{BEARER, Client, start},
};

const PUBLISH: &str = r#"{"jsonrpc":"2.0","id":1,"method":"event.publish","params":{"topic":"a","payload":1}}"#;

async fn ask(client: &mut Client, id: u64, after: &Value) {
    let request =
        json!({"jsonrpc": "2.0", "id": id, "method": "session.ping", "meta": {"after": after, "timeout_ms": 60_000}});
    client.send(&request.to_string()).await;
}

#[tokio::test]
async fn a_result_that_wrote_events_says_where_they_stand_on_every_transport() {
    let host = start().await;
    let mut client = host.socket().await;
    client.send(PUBLISH).await;
    let over_socket = client.json().await;
    let over_http: Value = serde_json::from_str(&host.rpc(PUBLISH).await.body).unwrap();
    let batch: Value = serde_json::from_str(&host.rpc(&format!("[{PUBLISH}]")).await.body).unwrap();
    for (seq, answer) in [(1, &over_socket), (2, &over_http), (3, &batch[0])] {
        let epoch = &answer["result"]["epoch"];
        assert_eq!(answer["meta"], json!({"at": {"main": {"epoch": epoch, "seq": seq}}}), "{answer}");
    }
    let silent = client.call("session.ping", Value::Null).await;
    assert!(silent.get("meta").is_none(), "{silent}");
}

#[tokio::test]
async fn over_rest_the_positions_are_headers() {
    let host = start().await;
    let post = async |method: &str, headers: &[(&str, &str)], body: &str| {
        let headers = [&[BEARER, ("content-type", "application/json")], headers].concat();
        http_client::send(host.addr, "POST", &format!("/api/v1/methods/{method}"), &headers, body).await
    };
    let published = post("event.publish", &[], r#"{"topic":"a","payload":1}"#).await;
    let at = published.raw_header("midplane-at").to_owned();
    let epoch = host.broker.heads()["main"].epoch.clone();
    assert_eq!(serde_json::from_str::<Value>(&at).unwrap(), json!({"main": {"epoch": epoch, "seq": 1}}));
    assert_eq!(post("session.ping", &[("midplane-after", &at)], "{}").await.status, 200);
    let ahead = at.replace("\"seq\":1", "\"seq\":2");
    let waited = post("session.ping", &[("midplane-after", &ahead), ("midplane-timeout-ms", "1")], "{}").await;
    assert_eq!(waited.status, 504, "{}", waited.body);
    assert_eq!(post("session.ping", &[("midplane-after", "main")], "{}").await.status, 422);
}

#[tokio::test]
async fn a_call_waits_for_what_its_caller_has_seen() {
    let host = start().await;
    let mut client = host.socket().await;
    let epoch = host.broker.heads()["main"].epoch.clone();
    ask(&mut client, 1, &json!({"main": {"epoch": epoch, "seq": 2}})).await;
    ask(&mut client, 2, &json!({"main": {"epoch": epoch, "seq": 0}})).await;
    assert_eq!(client.json().await["id"], 2, "the first one waits");
    publish(&host, "a", &json!(1));
    ask(&mut client, 3, &json!({"main": {"epoch": epoch, "seq": 1}})).await;
    assert_eq!(client.json().await["id"], 3, "one event is not enough for the first one");
    publish(&host, "a", &json!(2));
    assert_eq!(client.json().await["id"], 1);
}

#[tokio::test]
async fn waiting_ends_with_the_deadline_and_never_begins_for_what_cannot_come() {
    let host = start().await;
    let mut client = host.socket().await;
    let epoch = host.broker.heads()["main"].epoch.clone();
    let mut code = async |after: Value| {
        let meta = json!({"after": after, "timeout_ms": 1});
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "session.ping", "meta": meta});
        client.send(&request.to_string()).await;
        client.json().await["error"]["data"]["code"].clone()
    };
    assert_eq!(code(json!({"main": {"epoch": epoch, "seq": 1}})).await, "timeout");
    assert_eq!(code(json!({"main": {"epoch": "another", "seq": 0}})).await, "cursor_expired");
    assert_eq!(code(json!({"none": {"epoch": epoch, "seq": 0}})).await, "invalid_params");
}

#[tokio::test]
async fn a_call_that_waits_can_be_cancelled() {
    let host = start().await;
    let mut client = host.socket().await;
    let epoch = host.broker.heads()["main"].epoch.clone();
    ask(&mut client, 1, &json!({"main": {"epoch": epoch, "seq": 1}})).await;
    client.send(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}"#).await;
    assert_eq!(client.json().await["error"]["data"]["code"], "cancelled");
}
