//! Sessions: what a client finds again on another connection.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    events::publish,
    support::{Client, Host, start, start_with},
};

async fn open(client: &mut Client, resume: Value) -> Value {
    let opened = client.call("session.open", json!({"client": {"name": "test"}, "resume": resume})).await;
    assert!(opened["result"]["session_id"].is_string(), "{opened}");
    opened["result"].clone()
}

/// What resumes a session, as its last answer has it.
fn ticket(opened: &Value) -> Value {
    json!({"session_id": opened["session_id"], "token": opened["resume_token"]})
}

async fn resumed_on(host: &Host, resume: Value) -> (Client, Value) {
    let mut client = host.socket().await;
    let opened = open(&mut client, resume).await;
    (client, opened)
}

/// `(n, payload, replay)` of the next event.
async fn event(client: &mut Client) -> (u64, u64, bool) {
    let message = client.json().await;
    let event = &message["params"];
    assert_eq!((&message["method"], &event["subscription"]), (&json!("event"), &json!(1)), "{message}");
    let number = |name: &str| event[name].as_u64().unwrap();
    (number("n"), number("payload"), event["replay"] == true)
}

/// Waits until the host has noticed that the client of the session is away, or back.
async fn until_away(host: &Host, away: bool) {
    let mut watching = host.socket().await;
    loop {
        let list = watching.call("session.list", Value::Null).await;
        if list["result"].as_array().unwrap().iter().all(|session| session["away_since"].is_string() == away) {
            return;
        }
    }
}

#[tokio::test]
async fn subscriptions_go_on_where_the_client_says_that_it_is() {
    let host = start().await;
    let mut client = host.socket().await;
    let opened = open(&mut client, Value::Null).await;
    assert_eq!((&opened["resumed"], &opened["subscriptions"]), (&json!(false), &json!([])));
    client.call("event.subscribe", json!({"patterns": ["a", "b.*"]})).await;
    for payload in 1..=3 {
        publish(&host, "a", &json!(payload));
        assert_eq!(event(&mut client).await, (payload, payload, false));
    }
    drop(client);
    until_away(&host, true).await;
    publish(&host, "a", &json!(4));
    let mut resume = ticket(&opened);
    // It has received three and acted on two: the session itself was the first event of the stream.
    let main = &opened["streams"]["main"];
    let seq = main["head"].as_u64().unwrap() + 2;
    resume["positions"] = json!({"1": {"main": {"epoch": main["epoch"], "seq": seq}}});
    let (mut client, again) = resumed_on(&host, resume).await;
    assert_eq!((&again["resumed"], &again["session_id"]), (&json!(true), &opened["session_id"]));
    assert_ne!(again["resume_token"], opened["resume_token"]);
    let continued = &again["subscriptions"][0];
    assert_eq!((&continued["patterns"], &continued["n"]), (&json!(["a", "b.*"]), &json!(3)), "{again}");
    assert_eq!(continued["streams"]["main"]["recovered"], true, "{again}");
    assert_eq!(event(&mut client).await, (4, 3, true));
    assert_eq!(event(&mut client).await, (5, 4, true));
    publish(&host, "b.x", &json!(5));
    assert_eq!(event(&mut client).await, (6, 5, false));
    let next = client.call("event.subscribe", json!({"patterns": ["c"]})).await;
    assert_eq!(next["result"]["subscription"], 2, "numbers are not given out twice");
    let information = client.call("session.info", Value::Null).await;
    assert_eq!(information["result"]["client"]["name"], "test");
}

#[tokio::test]
async fn a_client_that_does_not_say_it_goes_on_behind_what_its_pongs_have_confirmed() {
    let host = start_with(|config| config.limits.ping_interval = Duration::from_millis(20)).await;
    let mut client = host.socket().await;
    let opened = open(&mut client, Value::Null).await;
    client.call("event.subscribe", json!({"patterns": ["a"]})).await;
    publish(&host, "a", &json!(1));
    event(&mut client).await;
    // A ping that comes behind the event and the pong that answers it: the library sends it with the next message.
    for _ in 0..2 {
        client.ping_behind_events().await;
        client.call("session.ping", Value::Null).await;
    }
    // This one is written to the socket and never read.
    publish(&host, "a", &json!(2));
    drop(client);
    until_away(&host, true).await;
    let (mut client, again) = resumed_on(&host, ticket(&opened)).await;
    assert_eq!(again["subscriptions"][0]["streams"]["main"]["recovered"], true, "{again}");
    let (_, payload, replay) = event(&mut client).await;
    assert_eq!((payload, replay), (2, true), "one was confirmed, two is not");
}

#[tokio::test]
async fn the_former_token_is_good_until_the_client_shows_that_it_has_the_next() {
    let host = start().await;
    let (client, first) = resumed_on(&host, Value::Null).await;
    drop(client);
    // The answers with the second and another token get lost, so the client comes with the first again.
    let (client, second) = resumed_on(&host, ticket(&first)).await;
    assert_eq!(second["resumed"], true);
    drop(client);
    let (client, lost) = resumed_on(&host, ticket(&first)).await;
    assert_eq!(lost["resumed"], true);
    drop(client);
    let (mut client, third) = resumed_on(&host, ticket(&first)).await;
    assert_eq!(third["resumed"], true);
    client.call("session.ping", Value::Null).await;
    drop(client);
    for dead in [&first, &second, &lost] {
        let (_client, other) = resumed_on(&host, ticket(dead)).await;
        assert_eq!(other["resumed"], false);
        assert_ne!(other["session_id"], first["session_id"]);
    }
    let (_client, fourth) = resumed_on(&host, ticket(&third)).await;
    assert_eq!((&fourth["resumed"], &fourth["session_id"]), (&json!(true), &first["session_id"]));
}

#[tokio::test]
async fn a_request_that_was_delayed_takes_the_session_away_and_its_client_gets_it_back() {
    let host = start().await;
    let (client, first) = resumed_on(&host, Value::Null).await;
    drop(client);
    let (mut client, second) = resumed_on(&host, ticket(&first)).await;
    // It was sent before, on a connection that its client has given up, and arrives only now.
    let (_nobody, delayed) = resumed_on(&host, ticket(&first)).await;
    assert_eq!((&delayed["resumed"], client.closed().await.unwrap().0), (&json!(true), 4009));
    let (mut client, third) = resumed_on(&host, ticket(&second)).await;
    assert_eq!((&third["resumed"], &third["session_id"]), (&json!(true), &first["session_id"]));
    client.call("session.ping", Value::Null).await;
    for dead in [&first, &second, &delayed] {
        assert_eq!(resumed_on(&host, ticket(dead)).await.1["resumed"], false);
    }
}

#[tokio::test]
async fn who_resumes_a_session_that_has_a_connection_supersedes_it() {
    let host = start().await;
    let (mut former, opened) = resumed_on(&host, Value::Null).await;
    former.call("event.subscribe", json!({"patterns": ["a"], "echo": false})).await;
    let (mut client, again) = resumed_on(&host, ticket(&opened)).await;
    assert_eq!(again["resumed"], true);
    assert_eq!(former.closed().await.unwrap().0, 4009);
    drop(former);
    // The session of its own is on this connection now, whatever the former one still does.
    client.call("event.publish", json!({"topic": "a", "payload": 1})).await;
    publish(&host, "a", &json!(2));
    assert_eq!(event(&mut client).await.1, 2, "its own events are still not echoed");
    until_away(&host, false).await;
}

#[tokio::test]
async fn a_session_belongs_to_the_credential_that_opened_it() {
    let host = start().await;
    let (mut owner, opened) = resumed_on(&host, Value::Null).await;
    let made = owner.call("auth.create_token", json!({"name": "ci", "scopes": ["read"]})).await;
    let bearer = format!("Bearer {}", made["result"]["token"].as_str().unwrap());
    let mut other = host.try_socket("/ws", &[("authorization", &bearer)]).await.unwrap();
    let stolen = open(&mut other, ticket(&opened)).await;
    assert_eq!(stolen["resumed"], false);
    let seen = other.call("session.list", Value::Null).await;
    assert_eq!(seen["result"].as_array().map(Vec::len), Some(1), "{seen}");
    let refused = other.call("session.close", json!({"session_id": opened["session_id"]})).await;
    assert_eq!(refused["error"]["data"]["code"], "not_found");
    let seen = owner.call("session.list", Value::Null).await;
    assert_eq!(seen["result"].as_array().map(Vec::len), Some(2), "an administrator sees all: {seen}");
    owner.call("session.close", json!({"session_id": stolen["session_id"]})).await;
    assert_eq!(other.closed().await.unwrap().0, 1000);
    owner.call("auth.revoke_token", json!({"id": made["result"]["id"]})).await;
}

#[tokio::test]
async fn a_session_ends_with_its_token_and_another_of_the_same_name_is_a_stranger_to_it() {
    let host = start().await;
    let mut owner = host.socket().await;
    let guest = json!({"name": "guest", "scopes": ["read"]});
    let made = owner.call("auth.create_token", guest.clone()).await["result"].clone();
    let socket = async |made: &Value| {
        let bearer = format!("Bearer {}", made["token"].as_str().unwrap());
        host.try_socket("/ws", &[("authorization", &bearer)]).await.unwrap()
    };
    let mut client = socket(&made).await;
    let opened = open(&mut client, Value::Null).await;
    owner.call("auth.revoke_token", json!({"id": made["id"]})).await;
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(4001));
    let again = owner.call("auth.create_token", guest).await["result"].clone();
    assert_eq!(open(&mut socket(&again).await, ticket(&opened)).await["resumed"], false);
    // It is forgotten as soon as the host has noticed that its connection has ended.
    while owner.call("session.list", Value::Null).await.to_string().contains(opened["session_id"].as_str().unwrap()) {}
}

#[tokio::test]
async fn a_closed_session_cannot_be_resumed_and_its_connection_may_open_another() {
    let host = start().await;
    let (mut client, opened) = resumed_on(&host, Value::Null).await;
    let again = client.call("session.open", json!({})).await;
    assert_eq!(again["error"]["data"]["code"], "conflict", "{again}");
    client.call("session.close", Value::Null).await;
    assert_eq!(client.call("session.info", Value::Null).await["result"]["session_id"], Value::Null);
    let next = open(&mut client, ticket(&opened)).await;
    assert_eq!(next["resumed"], false);
}

#[tokio::test]
async fn a_session_that_waited_too_long_is_over_and_others_hear_of_all_of_it() {
    let host = start_with(|config| config.limits.session_grace = Duration::ZERO).await;
    let mut watching = host.socket().await;
    watching.call("event.subscribe", json!({"patterns": ["session.*"]})).await;
    let (client, opened) = resumed_on(&host, Value::Null).await;
    drop(client);
    for topic in ["session.opened", "session.away"] {
        let event = watching.json().await;
        assert_eq!(event["params"]["topic"], topic, "{event}");
        let payload = &event["params"]["payload"];
        assert_eq!((&payload["session_id"], &payload["principal"]), (&opened["session_id"], &json!("owner")));
    }
    let (_client, next) = resumed_on(&host, ticket(&opened)).await;
    assert_eq!(next["resumed"], false);
    for topic in ["session.closed", "session.opened"] {
        assert_eq!(watching.json().await["params"]["topic"], topic);
    }
}
