//! A plugin says who comes: who that is on every transport, for how long, and what happens when it cannot say.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use midplane_tests::{Answering, Client, Host, Options, Response, ask, copy_folder, guest, request, set_in_manifest};
use serde_json::{Value, json};

/// A host with the guest `vouch`, approved, and a connection of the owner.
async fn host_with_authenticator() -> Result<(Host, Client)> {
    let host = Host::start_with(Options::default(), |plugins| put(plugins, "vouch")).await?;
    let mut owner = host.connect().await?;
    owner.call("plugin.approve", json!({ "name": "vouch" })).await?;
    Ok((host, owner))
}

fn put(plugins: &Path, name: &str) -> Result<()> {
    copy_folder(&guest("vouch")?, &plugins.join(name))
}

async fn admit(owner: &mut Client, secret: &str, subject: &str, scopes: &[&str]) -> Result<()> {
    let params = json!({ "secret": secret, "subject": subject, "scopes": scopes });
    owner.call("vouch.admit", params).await.map(drop)
}

async fn dismiss(owner: &mut Client, secret: &str) -> Result<()> {
    owner.call("vouch.dismiss", json!({ "secret": secret })).await.map(drop)
}

/// `auth.whoami` over HTTP with one header.
async fn whoami(host: &Host, header: (&str, &str)) -> Result<Response> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "auth.whoami" }).to_string();
    request(&host.url, "POST", "/rpc", &[header, ("content-type", "application/json")], &body).await
}

fn principal(response: &Response) -> Result<String> {
    ensure!(response.status == 200, "{} {}", response.status, response.body);
    let answer: Value = serde_json::from_str(&response.body)?;
    Ok(answer["result"]["principal"].as_str().context("principal")?.to_owned())
}

async fn events(host: &Host, token: &str) -> Result<Answering> {
    let bearer = format!("Bearer {token}");
    ask(&host.url, "GET", "/events?patterns=notes.*", &[("authorization", &bearer)]).await?.1.head().await
}

#[tokio::test]
async fn nobody_decides_who_comes_before_an_operator_has_approved_it() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| put(plugins, "vouch")).await?;
    let mut owner = host.connect().await?;
    let info = owner.call("plugin.list", json!({})).await?;
    let vouch = info.as_array().context("list")?.iter().find(|plugin| plugin["name"] == "vouch").context("vouch")?;
    let reason = vouch["reason"].as_str().context("reason")?;
    assert!(reason.contains("authenticator: bearer, authenticator: cookie:sso"), "{reason}");
    assert_eq!(whoami(&host, ("authorization", "Bearer alice-1")).await?.status, 401);
    assert_eq!(owner.call("plugin.approve", json!({ "name": "vouch" })).await?["state"], "running");
    admit(&mut owner, "alice-1", "alice", &["read"]).await?;
    assert_eq!(principal(&whoami(&host, ("authorization", "Bearer alice-1")).await?)?, "vouch:alice");
    Ok(())
}

#[tokio::test]
async fn who_is_vouched_for_comes_in_on_every_transport_and_is_out_on_all_of_them_when_it_is_taken_back() -> Result<()>
{
    let (host, mut owner) = host_with_authenticator().await?;
    admit(&mut owner, "alice-1", "alice", &["read", "method:event.*"]).await?;
    let mut alice = Client::connect(&host.url, "alice-1").await?;
    let me = alice.call("auth.whoami", json!({})).await?;
    assert_eq!((&me["principal"], &me["token_id"]), (&json!("vouch:alice"), &json!("authenticator:vouch")));
    assert_eq!(me["scopes"], json!(["read", "method:event.*"]));
    let (code, error) = alice.fault("files.write", json!({ "path": "x", "content": "" })).await?;
    assert_eq!((&*code, &error["data"]["details"]["scope"]), ("forbidden", &json!("write")));
    let mut listening = events(&host, "alice-1").await?;
    assert_eq!(listening.status, 200);
    alice.call("event.publish", json!({ "topic": "notes.x", "payload": 1 })).await?;
    let mut heard = String::new();
    while !heard.contains("\"topic\":\"notes.x\"") {
        heard.push_str(&String::from_utf8(listening.chunk().await?.context("the stream ended")?)?);
    }
    assert!(heard.contains("vouch:alice"), "whose event it is: {heard}");
    assert_eq!(principal(&whoami(&host, ("authorization", "Bearer alice-1")).await?)?, "vouch:alice");

    dismiss(&mut owner, "alice-1").await?;
    assert_eq!(alice.closed().await?, 4001);
    while listening.chunk().await?.is_some() {}
    assert_eq!(whoami(&host, ("authorization", "Bearer alice-1")).await?.status, 401);
    assert!(Client::connect(&host.url, "alice-1").await.is_err() && events(&host, "alice-1").await?.status == 401);
    Ok(())
}

#[tokio::test]
async fn what_was_said_spares_questions_and_what_a_token_was_exchanged_for_ends_with_it() -> Result<()> {
    let (host, mut owner) = host_with_authenticator().await?;
    admit(&mut owner, "bob-1", "bob", &["read"]).await?;
    let exchanged = request(&host.url, "POST", "/auth/exchange", &[("authorization", "Bearer bob-1")], "").await?;
    let cookie = exchanged.header("set-cookie").context("cookie")?.split(';').next().context("pair")?.to_owned();
    for _ in 0..50 {
        assert_eq!(principal(&whoami(&host, ("cookie", &cookie)).await?)?, "vouch:bob");
    }
    let asked = owner.call("vouch.asked", json!({ "secret": "bob-1" })).await?.as_u64().context("number")?;
    assert!((1..50).contains(&asked), "{asked}");
    dismiss(&mut owner, "bob-1").await?;
    while whoami(&host, ("cookie", &cookie)).await?.status != 401 {}
    Ok(())
}

#[tokio::test]
async fn a_cookie_of_another_site_is_judged_unless_another_site_sends_it() -> Result<()> {
    let (host, mut owner) = host_with_authenticator().await?;
    admit(&mut owner, "sso=carol-1", "carol", &["read"]).await?;
    assert_eq!(principal(&whoami(&host, ("cookie", "theme=dark; sso=carol-1")).await?)?, "vouch:carol");
    let cross_site = [("cookie", "sso=carol-1"), ("sec-fetch-site", "cross-site")];
    assert_eq!(request(&host.url, "GET", "/readyz", &cross_site, "").await?.status, 401);
    assert_eq!(request(&host.url, "GET", "/readyz", &cross_site[..1], "").await?.status, 200);
    assert_eq!(whoami(&host, ("cookie", "other=carol-1")).await?.status, 401);
    Ok(())
}

#[tokio::test]
async fn an_authenticator_that_fails_lets_nobody_in_and_the_owner_is_never_locked_out() -> Result<()> {
    let (host, mut owner) = host_with_authenticator().await?;
    admit(&mut owner, "odd", "dave", &["everything"]).await?;
    admit(&mut owner, "odd-too", "the owner", &["admin"]).await?;
    for secret in ["unsure", "odd", "odd-too", "trap", "hang"] {
        let refused = whoami(&host, ("authorization", &format!("Bearer {secret}"))).await?;
        assert_eq!(refused.status, 503, "{secret}: {}", refused.body);
        let problem: Value = serde_json::from_str(&refused.body)?;
        assert_eq!((&problem["code"], &problem["retryable"]), (&json!("unavailable"), &json!(true)), "{secret}");
        assert!(!refused.body.contains("vouch"), "a stranger learns of no plugin: {}", refused.body);
        let me = whoami(&host, ("authorization", &format!("Bearer {}", host.token))).await?;
        assert_eq!(principal(&me)?, "owner", "{secret}");
    }
    let long = "x".repeat(9000);
    assert_eq!(whoami(&host, ("authorization", &format!("Bearer {long}"))).await?.status, 401);
    owner.call("plugin.disable", json!({ "name": "vouch" })).await?;
    assert_eq!(whoami(&host, ("authorization", "Bearer unsure")).await?.status, 401, "nobody is asked");
    Ok(())
}

#[tokio::test]
async fn a_reload_of_the_authenticator_ends_no_connection_and_switching_it_off_ends_all() -> Result<()> {
    let (host, mut owner) = host_with_authenticator().await?;
    admit(&mut owner, "erin-1", "erin", &["read"]).await?;
    let mut erin = Client::connect(&host.url, "erin-1").await?;
    assert_eq!(owner.call("plugin.reload", json!({ "name": "vouch" })).await?["generation"], 2);
    // Asked by the new generation: what was said before has been too old for a while.
    while owner.call("vouch.asked", json!({ "secret": "erin-1" })).await? == 0 {}
    assert_eq!(erin.call("auth.whoami", json!({})).await?["principal"], "vouch:erin");
    owner.call("plugin.disable", json!({ "name": "vouch" })).await?;
    assert_eq!(erin.closed().await?, 4001);
    Ok(())
}

#[tokio::test]
async fn a_session_goes_on_with_another_credential_of_the_same_person_and_of_nobody_else() -> Result<()> {
    let (host, mut owner) = host_with_authenticator().await?;
    for (secret, subject, scopes) in [
        ("a-1", "alice", &["read"][..]),
        ("a-2", "alice", &["read"]),
        ("a-3", "alice", &["admin"]),
        ("b", "bob", &["read"]),
    ] {
        admit(&mut owner, secret, subject, scopes).await?;
    }
    let open = |resume: Value| json!({ "protocols": ["midplane.v1"], "client": { "name": "t" }, "resume": resume });
    let mut first = Client::connect(&host.url, "a-1").await?;
    let opened = first.call("session.open", open(Value::Null)).await?;
    dismiss(&mut owner, "a-1").await?;
    assert_eq!(first.closed().await?, 4001);
    let resume = json!({ "session_id": opened["session_id"], "token": opened["resume_token"] });
    for (secret, resumed) in [("b", false), ("a-3", false), ("a-2", true)] {
        let mut next = Client::connect(&host.url, secret).await?;
        let again = next.call("session.open", open(resume.clone())).await?;
        assert_eq!(again["resumed"], resumed, "{secret}");
    }
    Ok(())
}

#[tokio::test]
async fn there_is_one_authenticator_and_the_next_one_waits_and_says_for_whom() -> Result<()> {
    let (host, mut owner) = host_with_authenticator().await?;
    admit(&mut owner, "frank-1", "frank", &["read"]).await?;
    put(&host.plugins, "zweiter")?;
    set_in_manifest(&host.plugins.join("zweiter"), "name", "name = \"zweiter\"")?;
    owner.subscribe(&["plugin.**"]).await?;
    owner.response("plugin.approve", json!({ "name": "zweiter" })).await?;
    let second = owner.call("plugin.get", json!({ "name": "zweiter" })).await?;
    assert_eq!(second["state"], "waiting", "{second}");
    assert!(second["reason"].as_str().is_some_and(|reason| reason.contains("vouch has")), "{second}");
    assert_eq!(principal(&whoami(&host, ("authorization", "Bearer frank-1")).await?)?, "vouch:frank");

    owner.call("plugin.disable", json!({ "name": "vouch" })).await?;
    let runs = |event: &Value| event["payload"]["name"] == "zweiter" && event["payload"]["to"] == "running";
    owner.event(runs).await?;
    while whoami(&host, ("authorization", "Bearer frank-1")).await?.status != 401 {}
    let params = json!({ "secret": "frank-1", "subject": "frank", "scopes": ["read"] });
    owner.call("zweiter.vouch.admit", params).await?;
    assert_eq!(principal(&whoami(&host, ("authorization", "Bearer frank-1")).await?)?, "zweiter:frank");
    Ok(())
}

#[tokio::test]
async fn who_was_vouched_for_and_who_was_refused_is_in_the_audit_log_and_no_credential_is_anywhere() -> Result<()> {
    let (mut host, mut owner) = host_with_authenticator().await?;
    let secret = "grace-3d8a61c5";
    admit(&mut owner, secret, "grace", &["admin"]).await?;
    let mut grace = Client::connect(&host.url, secret).await?;
    let made = grace.call("auth.create_token", json!({ "name": "made", "scopes": ["read"] })).await?;
    assert_eq!(whoami(&host, ("authorization", "Bearer unsure")).await?.status, 503);
    let logs = owner.call("plugin.logs", json!({ "name": "vouch" })).await?.to_string();
    assert!(logs.contains("authenticate: unsure") && !logs.contains(secret), "{logs}");
    host.stop().await?;
    let audit = std::fs::read_to_string(host.data().join("audit.log"))?;
    let lines: Vec<Value> = audit.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let has =
        |kind: &str, key: &str, value: &Value| lines.iter().any(|line| line["kind"] == kind && line[key] == *value);
    for (kind, key, value) in [
        ("token_used", "principal", &json!("vouch:grace")),
        ("token_used", "token", &json!("authenticator:vouch")),
        ("token_created", "token", &made["id"]),
        ("refused", "outcome", &json!("unavailable")),
        ("administered", "what", &json!("plugin.approve")),
    ] {
        assert!(has(kind, key, value), "{kind} {key} {value}: {audit}");
    }
    assert!(!audit.contains(secret), "{audit}");
    Ok(())
}
