use anyhow::Result;
use midplane_tests::{Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::json;

#[tokio::test]
async fn a_second_client_sees_what_the_first_one_did_with_seq_and_epoch() -> Result<()> {
    let host = Host::start().await?;
    let (mut actor, mut watcher) = (host.connect().await?, host.connect().await?);
    let subscribed = watcher.subscribe(&["workspace.**"]).await?;
    let created = actor.call("workspace.create", json!({ "name": "demo" })).await?;
    let event = watcher.event_on("workspace.created").await?;
    assert_eq!(event["payload"]["id"], created["id"]);
    assert_eq!(event["subscription"], subscribed["subscription"]);
    assert!(event["seq"].as_u64().is_some_and(|seq| seq > 0), "{event}");
    assert!(event["epoch"].as_str().is_some_and(|epoch| !epoch.is_empty()), "{event}");
    assert_eq!(event["n"], 1);

    let opened = actor.call("workspace.open_file", json!({ "path": "src/main.rs" })).await?;
    let next = watcher.event_on("workspace.file_opened").await?;
    assert_eq!(next["payload"]["rev"], opened["rev"]);
    assert_eq!(next["epoch"], event["epoch"]);
    assert!(next["seq"].as_u64() > event["seq"].as_u64());
    Ok(())
}

#[tokio::test]
async fn a_subscriber_that_comes_back_gets_exactly_what_it_missed() -> Result<()> {
    let host = Host::start().await?;
    let mut actor = host.connect().await?;
    actor.call("workspace.create", json!({ "name": "demo" })).await?;
    let mut first = host.connect().await?;
    first.subscribe(&["workspace.**"]).await?;
    actor.call("workspace.open_file", json!({ "path": "a" })).await?;
    let seen = first.event_on("workspace.file_opened").await?;
    drop(first);
    for path in ["b", "c"] {
        actor.call("workspace.open_file", json!({ "path": path })).await?;
    }
    let mut back = host.connect().await?;
    let stream = seen["stream"].as_str().unwrap_or_default();
    let since = json!({ stream: { "epoch": seen["epoch"], "seq": seen["seq"] } });
    let report = back.call("event.subscribe", json!({ "patterns": ["workspace.file_opened"], "since": since })).await?;
    assert_eq!(report["streams"][stream]["recovered"], true, "{report}");
    for path in ["b", "c"] {
        let event = back.event_on("workspace.file_opened").await?;
        assert_eq!(event["payload"]["path"], path);
    }
    Ok(())
}

#[tokio::test]
async fn clients_publish_to_each_other_but_not_in_the_name_of_a_plugin() -> Result<()> {
    let host = Host::start().await?;
    let (mut one, mut two) = (host.connect().await?, host.connect().await?);
    two.subscribe(&["chat.*"]).await?;
    one.call("event.publish", json!({ "topic": "chat.hello", "payload": { "text": "hi" } })).await?;
    let event = two.event_on("chat.hello").await?;
    assert_eq!(event["payload"]["text"], "hi");
    let (code, _) = one.fault("event.publish", json!({ "topic": "files.changed", "payload": {} })).await?;
    assert_eq!(code, "forbidden");
    Ok(())
}

#[tokio::test]
async fn a_plugin_answers_a_request_of_a_client() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("listener")?, &plugins.join("listener")))
            .await?;
    let mut client = host.connect().await?;
    let answer = client.call("event.request", json!({ "topic": "test.question", "payload": { "of": 42 } })).await?;
    assert_eq!(answer, json!({ "of": 42 }));
    let (code, error) = client.fault("event.request", json!({ "topic": "other.question", "payload": 1 })).await?;
    assert_eq!((code.as_str(), error["code"].as_i64()), ("no_responder", Some(-32023)));

    // One that is switched off listens to nothing; switched on, it says anew what it wants to hear.
    client.call("plugin.disable", json!({ "name": "listener" })).await?;
    let (code, _) = client.fault("event.request", json!({ "topic": "test.question", "payload": 1 })).await?;
    assert_eq!(code, "no_responder");
    client.call("plugin.enable", json!({ "name": "listener" })).await?;
    let answer = client.call("event.request", json!({ "topic": "test.question", "payload": { "of": 43 } })).await?;
    assert_eq!(answer, json!({ "of": 43 }));
    Ok(())
}

#[tokio::test]
async fn a_result_names_the_events_that_plugins_published_on_its_way() -> Result<()> {
    let host = Host::start_with(Options::default(), |plugins| {
        for name in ["relay", "echo", "listener"] {
            copy_folder(&guest(name)?, &plugins.join(name))?;
        }
        set_in_manifest(&plugins.join("relay"), "methods", r#"methods = ["listener.**"]"#)
    })
    .await?;
    let mut client = host.connect().await?;
    client.subscribe(&["workspace.**", "listener.said"]).await?;
    let publish = json!({ "topic": "listener.said", "payload": 1 });
    for (method, params) in [
        ("workspace.create", json!({ "name": "demo" })),
        ("relay.call", json!({ "method": "listener.publish", "params": publish })),
    ] {
        let response = client.response(method, params).await?;
        let event = client.event(|_| true).await?;
        let at = &response["meta"]["at"]["main"];
        assert_eq!((&at["epoch"], &at["seq"]), (&event["epoch"], &event["seq"]), "{response} {event}");
    }
    let response = client.response("workspace.list", json!({})).await?;
    assert!(response.get("meta").is_none(), "{response}");
    Ok(())
}

#[tokio::test]
async fn a_plugin_subscribes_to_so_many_patterns_and_to_no_more() -> Result<()> {
    let host =
        Host::start_with(Options::default(), |plugins| copy_folder(&guest("listener")?, &plugins.join("listener")))
            .await?;
    let mut client = host.connect().await?;
    client.call("listener.unsubscribe", json!([["test.**"]])).await?;
    let page = |page: usize| (0..32).map(|n| format!("test.p{page}.n{n}")).collect::<Vec<_>>();
    for n in 0..8 {
        client.call("listener.subscribe", json!([page(n)])).await?;
    }
    let (code, error) = client.fault("listener.subscribe", json!([["test.one-more"]])).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["limit"]), ("quota_exceeded", &json!(256)), "{error}");
    // What is subscribed already is not one more, and what ends makes room.
    client.call("listener.subscribe", json!([page(3)])).await?;
    client.call("listener.unsubscribe", json!([page(0)])).await?;
    client.call("listener.subscribe", json!([["test.one-more"]])).await?;
    client.subscribe(&["listener.heard"]).await?;
    client.call("event.publish", json!({ "topic": "test.one-more", "payload": 1 })).await?;
    client.event_on("listener.heard").await?;
    client.call("listener.unsubscribe", json!([page(1)])).await?;
    // More patterns at once than a subscription has is answered, and not only logged.
    let many: Vec<_> = (0..33).map(|n| format!("test.many.n{n}")).collect();
    assert_eq!(client.fault("listener.subscribe", json!([many])).await?.0, "invalid_params");
    Ok(())
}
