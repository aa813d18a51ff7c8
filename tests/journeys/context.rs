//! Several calls inside one instance: what each import does, it does for the call that it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest};
use serde_json::{Value, json};

async fn host() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        for name in ["echo", "relay", "overlap"] {
            copy_folder(&guest(name)?, &plugins.join(name))?;
        }
        Ok(())
    })
    .await
}

/// Sends a call with a deadline of its own; returns its id.
async fn send_within(client: &mut Client, id: u64, method: &str, params: Value, timeout_ms: u64) -> Result<u64> {
    let meta = json!({ "timeout_ms": timeout_ms });
    let call = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params, "meta": meta });
    client.send_text(&call.to_string()).await?;
    Ok(id)
}

async fn result(client: &mut Client, id: u64) -> Result<Value> {
    let response = client.wait_for(|message| message["id"] == id).await?;
    response.get("result").cloned().with_context(|| response.to_string())
}

#[tokio::test]
async fn overlapping_calls_each_see_their_own_caller_and_deadline() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    // Two from the client with different deadlines, one that comes through another plugin: all three inside at once.
    let short = send_within(&mut client, 101, "overlap.meet", json!([3]), 15_000).await?;
    let long = send_within(&mut client, 102, "overlap.meet", json!([3]), 25_000).await?;
    let through = json!({ "method": "overlap.meet", "params": [3] });
    let relayed = client.send("relay.call", through).await?;
    let mut ids = BTreeSet::new();
    for (id, plugin, remaining) in [
        (short, Value::Null, 0..=15_000),
        (long, Value::Null, 15_001..=25_000),
        (relayed, json!("relay"), 25_001..=30_000),
    ] {
        let seen = result(&mut client, id).await?;
        let [look] = seen.as_array().context("looks")?.as_slice() else { panic!("saw more than one caller: {seen}") };
        assert_eq!((&look["principal"], &look["plugin"]), (&json!("owner"), &plugin), "{seen}");
        let remaining_ms = look["remaining_ms"].as_u64().context("remaining_ms")?;
        assert!(remaining.contains(&remaining_ms), "{remaining_ms} of {remaining:?}");
        ids.insert(look["request_id"].to_string());
    }
    assert_eq!(ids.len(), 3, "each call has its own request id: {ids:?}");
    Ok(())
}

#[tokio::test]
async fn events_of_overlapping_calls_carry_the_request_that_caused_them() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["overlap.met"]).await?;
    let mut ids = BTreeSet::new();
    for label in ["a", "b", "c"] {
        ids.insert(client.send("overlap.meet_and_publish", json!([3, label])).await?);
    }
    let mut origins = BTreeSet::new();
    for _ in 0..3 {
        let event = client.event_on("overlap.met").await?;
        assert_eq!(event["origin"]["plugin"], "overlap");
        origins.insert(event["origin"]["request_id"].to_string());
    }
    assert_eq!(origins.len(), 3, "three requests, three origins: {origins:?}");
    for id in ids {
        result(&mut client, id).await?;
    }
    Ok(())
}

#[tokio::test]
async fn progress_of_overlapping_calls_reaches_those_who_asked_and_no_others() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    for token in ["a", "b"] {
        let params = json!([3, [{ "of": token, "done": 1 }, { "of": token, "done": 2 }]]);
        let call = json!({
            "jsonrpc": "2.0", "id": token, "method": "overlap.meet_and_report", "params": params,
            "meta": { "progress_token": token },
        });
        client.send_text(&call.to_string()).await?;
    }
    // The third comes through another plugin, whose client would not know what to make of it.
    let params = json!({ "method": "overlap.meet_and_report", "params": [3, [{ "of": "nobody" }]] });
    let through = json!({
        "jsonrpc": "2.0", "id": "through", "method": "relay.call", "params": params,
        "meta": { "progress_token": "through" },
    });
    client.send_text(&through.to_string()).await?;
    let (mut told, mut results) = (Vec::new(), BTreeMap::new());
    while results.len() < 3 {
        let message = client.message().await?;
        match message["id"].as_str() {
            Some(id) => _ = results.insert(id.to_owned(), message["result"].clone()),
            None => {
                let params = &message["params"];
                assert_eq!((&message["method"], &params["value"]["of"]), (&json!("$/progress"), &params["token"]));
                told.push((params["token"].clone(), params["value"]["done"].clone()));
            }
        }
    }
    for token in ["a", "b"] {
        assert_eq!(results[token], true, "{results:?}");
        assert!(told.contains(&(json!(token), json!(2))), "the last report is always told: {told:?}");
    }
    assert_eq!(results["through"], false, "{results:?}");
    let (code, error) = client.fault("overlap.meet_and_report", json!([0, ["x".repeat(256 * 1024)]])).await?;
    assert_eq!(code, "too_large", "{error}");
    Ok(())
}

#[tokio::test]
async fn only_the_call_that_came_through_a_plugin_may_not_go_back_to_it() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    let ask = |together: u32| json!([together, "relay.who", {}]);
    let direct = client.send("overlap.meet_and_call", ask(3)).await?;
    let through = client.send("relay.call", json!({ "method": "overlap.meet_and_call", "params": ask(2) })).await?;
    let response = client.wait_for(|message| message["id"] == through).await?;
    assert_eq!(response["error"]["data"]["code"], "cycle", "{response}");
    assert_eq!(response["error"]["data"]["details"]["chain"], json!(["relay", "overlap", "relay"]), "{response}");
    // The direct one was inside all the time. It goes on now that `relay` is free: before, it would have waited for a plugin
    // that waits for it.
    client.call("overlap.meet", json!([3])).await?;
    let who = result(&mut client, direct).await?;
    assert_eq!(who["plugin"], "overlap", "{who}");
    Ok(())
}

#[tokio::test]
async fn a_typed_import_keeps_the_deadline_of_its_own_call() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    // The first asks for more time than its caller gives; the second, beside it, has enough.
    let hasty = send_within(&mut client, 101, "overlap.meet_and_echo", json!([2, "late", 4000]), 1000).await?;
    let patient = send_within(&mut client, 102, "overlap.meet_and_echo", json!([2, "in time", 10]), 20_000).await?;
    assert_eq!(result(&mut client, patient).await?, "in time");
    let response = client.wait_for(|message| message["id"] == hasty).await?;
    assert_eq!(response["error"]["data"]["code"], "timeout", "{response}");
    // `later` has no place for an error, so the hasty call ended there; the instance did not.
    assert_eq!(client.call("overlap.inside", json!({})).await?, 2);
    Ok(())
}
