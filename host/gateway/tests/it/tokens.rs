//! Tokens beyond the first: what they allow, and how they end.

use std::sync::{Arc, Mutex};

use midplane_gateway::{AuditEntry, AuditSink};
use serde_json::{Value, json};

use crate::{
    http_client::send,
    support::{BEARER, Host, start, start_with},
};

/// Calls a method over HTTP with a token.
async fn call(host: &Host, token: &str, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
    let answer = send(host.addr, "POST", "/rpc", &[("authorization", &format!("Bearer {token}"))], &request).await;
    serde_json::from_str(&answer.body).unwrap()
}

async fn create(host: &Host, params: Value) -> (String, String) {
    let mut admin = host.socket().await;
    let made = admin.call("auth.create_token", params).await;
    let text = |key: &str| made["result"][key].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
    (text("id"), text("token"))
}

#[tokio::test]
async fn a_token_may_do_what_its_scopes_say() {
    let host = start().await;
    let (_, reader) = create(&host, json!({"name": "reader", "scopes": ["read"]})).await;
    assert_eq!(call(&host, &reader, "auth.whoami", json!({})).await["result"]["principal"], "reader");
    let publish = json!({"topic": "notes.x", "payload": 1});
    let refused = call(&host, &reader, "event.publish", publish.clone()).await;
    assert_eq!(refused["error"]["data"]["code"], "forbidden", "{refused}");
    assert_eq!(refused["error"]["data"]["details"]["scope"], "write");
    let (_, narrow) = create(&host, json!({"name": "narrow", "scopes": ["method:event.*"]})).await;
    assert!(call(&host, &narrow, "event.publish", publish).await["result"]["seq"].is_u64());
    assert_eq!(call(&host, &narrow, "auth.whoami", json!({})).await["error"]["data"]["code"], "forbidden");
    assert_eq!(call(&host, &narrow, "auth.list_tokens", json!({})).await["error"]["data"]["code"], "forbidden");
}

#[tokio::test]
async fn nobody_gives_what_they_do_not_have() {
    let host = start().await;
    let (_, maker) = create(&host, json!({"name": "maker", "scopes": ["read", "method:auth.*"]})).await;
    let wider = call(&host, &maker, "auth.create_token", json!({"name": "wider", "scopes": ["read", "admin"]})).await;
    assert_eq!(wider["error"]["data"]["code"], "forbidden", "{wider}");
    assert_eq!(wider["error"]["data"]["details"]["scope"], "admin");
    let narrower = json!({"name": "narrower", "scopes": ["method:auth.whoami"]});
    assert!(call(&host, &maker, "auth.create_token", narrower).await["result"]["token"].is_string());
}

#[tokio::test]
async fn wrong_names_scopes_and_ages_are_named() {
    let host = start().await;
    let mut admin = host.socket().await;
    for (params, path) in [
        (json!({"name": "Upper", "scopes": ["read"]}), "params.name"),
        (json!({"name": "", "scopes": ["read"]}), "params.name"),
        (json!({"name": "plugin:files", "scopes": ["read"]}), "params.name"),
        (json!({"name": "a", "scopes": []}), "params.scopes"),
        (json!({"name": "a", "scopes": ["read", "root"]}), "params.scopes[1]"),
        (json!({"name": "a", "scopes": ["read"], "expires_in_s": 0}), "params.expires_in_s"),
    ] {
        let answer = admin.call("auth.create_token", params).await;
        assert_eq!(answer["error"]["data"]["details"]["path"], path, "{answer}");
    }
    let unknown = admin.call("auth.revoke_token", json!({"id": "t-none"})).await;
    assert_eq!(unknown["error"]["data"]["code"], "not_found");
}

#[tokio::test]
async fn revoking_ends_the_token_its_cookie_and_its_sockets() {
    let host = start().await;
    let (id, token) = create(&host, json!({"name": "guest", "scopes": ["read"]})).await;
    let bearer = format!("Bearer {token}");
    let with_token = [("authorization", bearer.as_str())];
    let exchanged = send(host.addr, "POST", "/auth/exchange", &with_token, "").await;
    let cookie = exchanged.raw_header("set-cookie").split(';').next().unwrap().to_owned();
    let mut by_token = host.try_socket("/ws", &with_token).await.unwrap();
    let mut by_cookie = host.try_socket("/ws", &[("cookie", &cookie)]).await.unwrap();
    let mut admin = host.socket().await;
    assert_eq!(admin.call("auth.revoke_token", json!({"id": id})).await["result"]["id"], *id);
    assert_eq!(by_token.closed().await.map(|(code, _)| code), Some(4001));
    assert_eq!(by_cookie.closed().await.map(|(code, _)| code), Some(4001));
    assert_eq!(send(host.addr, "GET", "/readyz", &with_token, "").await.status, 401);
    assert_eq!(send(host.addr, "GET", "/readyz", &[("cookie", &cookie)], "").await.status, 401);
    assert_eq!(admin.call("auth.list_tokens", json!({})).await["result"], json!([]));
}

#[tokio::test]
async fn an_expired_token_closes_its_sockets_and_is_refused() {
    let host = start().await;
    let (_, token) = create(&host, json!({"name": "brief", "scopes": ["read"], "expires_in_s": 1})).await;
    let bearer = format!("Bearer {token}");
    let mut socket = host.try_socket("/ws", &[("authorization", &bearer)]).await.unwrap();
    assert_eq!(socket.closed().await.map(|(code, _)| code), Some(4001));
    assert_eq!(send(host.addr, "GET", "/readyz", &[("authorization", &bearer)], "").await.status, 401);
}

#[derive(Default)]
struct Entries(Mutex<Vec<Value>>);

impl AuditSink for Entries {
    fn record(&self, entry: AuditEntry) {
        self.0.lock().unwrap().push(serde_json::to_value(entry).unwrap());
    }
}

#[tokio::test]
async fn the_audit_log_names_who_and_what_and_no_secret() {
    let entries = Arc::new(Entries::default());
    let sink = entries.clone();
    let host = start_with(move |config| config.audit = Some(sink)).await;
    let (id, token) = create(&host, json!({"name": "ci", "scopes": ["read"]})).await;
    call(&host, &token, "auth.whoami", json!({})).await;
    assert_eq!(send(host.addr, "GET", "/readyz", &[("authorization", "Bearer wrong-one")], "").await.status, 401);
    let mut admin = host.socket().await;
    admin.call("auth.revoke_token", json!({"id": id})).await;
    let entries = entries.0.lock().unwrap();
    let kinds: Vec<&str> = entries.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    let expected =
        ["token_used", "token_created", "administered", "token_used", "refused", "token_revoked", "administered"];
    assert_eq!(kinds, expected, "{entries:?}");
    assert_eq!((&entries[0]["principal"], &entries[0]["what"]), (&json!("owner"), &json!("/ws")));
    assert_eq!((&entries[1]["token"], &entries[1]["principal"]), (&json!(id), &json!("owner")));
    assert_eq!(entries[2]["what"], "auth.create_token");
    assert_eq!((&entries[3]["principal"], &entries[4]["what"]), (&json!("ci"), &json!("/readyz")));
    let text = serde_json::to_string(&*entries).unwrap();
    assert!(!text.contains(&token) && !text.contains("wrong-one") && !text.contains(BEARER.1));
}
