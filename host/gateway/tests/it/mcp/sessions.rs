use std::time::Duration;

use midplane_model::limits::AGENT_SESSIONS_PER_PRINCIPAL_MAX;
use serde_json::{Value, json};

use super::agent::{Session, messages, request};
use crate::support::{BEARER, Host, start, start_with};

/// Issues a token with one scope; gives its id and itself.
async fn token(host: &Host, name: &str, scope: &str) -> (String, String) {
    let params = json!({"name": name, "scopes": [scope]});
    let answer = host.rpc(&request(1, "auth.create_token", params).to_string()).await;
    let made: Value = serde_json::from_str(&answer.body).unwrap();
    let text = |key: &str| made["result"][key].as_str().unwrap().to_owned();
    (text("id"), format!("Bearer {}", text("token")))
}

#[tokio::test]
async fn a_session_is_closed_to_everybody_else() {
    let host = start().await;
    let session = Session::open(&host, BEARER).await;
    let (_, other) = token(&host, "other", "admin").await;
    let other = ("authorization", other.as_str());
    assert_eq!(session.post_as(other, &request(1, "ping", json!({}))).await.status, 404);
    assert_eq!(session.delete_as(other).await, 404);
    assert_eq!(session.post(&request(1, "ping", json!({}))).await.status, 200);
    assert_eq!(session.delete_as(BEARER).await, 202);
    assert_eq!(session.post(&request(1, "ping", json!({}))).await.status, 404);
}

#[tokio::test]
async fn a_token_lists_what_it_may_call_and_no_more() {
    let host = start().await;
    let (_, narrow) = token(&host, "narrow", "method:subtract").await;
    let session = Session::open(&host, ("authorization", &narrow)).await;
    let listed = session.ask("tools/list", json!({})).await.pop().unwrap();
    let names: Vec<&Value> = listed["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["subtract"]);
    let refused = session.ask("tools/call", json!({"name": "system_status"})).await.pop().unwrap();
    let error = &refused["result"]["structuredContent"];
    assert_eq!((&error["code"], &error["details"]["scope"]), (&json!("forbidden"), &json!("read")));
}

#[tokio::test]
async fn sessions_and_their_streams_end_with_the_token() {
    let host = start().await;
    let (id, secret) = token(&host, "short", "admin").await;
    let session = Session::open(&host, ("authorization", &secret)).await;
    let mut news = session.listen().await;
    news.begun().await;
    let mut waiting = session.begin(7, "tools/call", json!({"name": "wait"})).await;
    waiting.begun().await;
    host.rpc(&request(1, "auth.revoke_token", json!({"id": id})).to_string()).await;
    let ended = async {
        while news.next().await.is_some() {}
        while waiting.next().await.is_some() {}
    };
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("both streams end");
    assert_eq!(session.post(&request(2, "ping", json!({}))).await.status, 401);
}

#[tokio::test]
async fn one_session_too_many_ends_the_one_that_was_quiet_for_longest() {
    let host = start().await;
    let mut sessions = Vec::new();
    for _ in 0..AGENT_SESSIONS_PER_PRINCIPAL_MAX {
        sessions.push(Session::open(&host, BEARER).await);
    }
    let ping = request(1, "ping", json!({}));
    assert_eq!(messages(&sessions[0].post(&ping).await).last().unwrap()["result"], json!({}));
    let one_more = Session::open(&host, BEARER).await;
    assert_eq!(sessions[1].post(&ping).await.status, 404);
    for open in [&sessions[0], &sessions[2], &one_more] {
        assert_eq!(open.post(&ping).await.status, 200);
    }
}

#[tokio::test]
async fn sessions_count_as_connections() {
    let host = start_with(|config| config.limits.connections_per_principal = 1).await;
    let _one = Session::open(&host, BEARER).await;
    let answer = super::agent::post_text(&host, &[BEARER], &super::agent::initialize().to_string()).await;
    assert_eq!(answer.status, 429, "{}", answer.body);
    assert!(answer.body.contains("quota_exceeded"), "{}", answer.body);
}

#[tokio::test]
async fn a_host_that_stops_waits_for_no_agent() {
    let host = start().await;
    let session = Session::open(&host, BEARER).await;
    let mut news = session.listen().await;
    news.begun().await;
    host.shutdown.cancel();
    while news.next().await.is_some() {}
    host.served.await.unwrap().unwrap();
}
