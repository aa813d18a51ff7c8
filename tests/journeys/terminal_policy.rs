//! What an operator decides about terminals: who may have how many, and what becomes of those that nobody uses.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, Watcher, copy_folder, first_party};
use serde_json::{Value, json};

/// A host whose plugin `terminals` has these settings.
async fn configured(settings: &str) -> Result<Host> {
    Host::start_with(Options::default(), |plugins| {
        let folder = plugins.join("terminals");
        copy_folder(&first_party("terminals")?, &folder)?;
        let manifest = std::fs::read_to_string(folder.join("plugin.toml"))?;
        Ok(std::fs::write(folder.join("plugin.toml"), format!("{manifest}\n[config]\n{settings}\n"))?)
    })
    .await
}

async fn open(client: &mut Client) -> Result<Value> {
    let shell = json!({ "shell": "/bin/sh", "env": [["PS1", "ready> "]] });
    let id = client.call("terminals.open", shell).await?["id"].clone();
    let ready = json!({ "id": id, "until": { "text": "ready>" }, "timeout_ms": 30000 });
    client.call("terminals.wait", ready).await?;
    Ok(id)
}

async fn closed(client: &mut Client, id: &Value) -> Result<()> {
    client.event(|event| event["topic"] == "terminals.closed" && event["payload"]["id"] == *id).await.map(drop)
}

#[tokio::test]
async fn a_terminal_that_nobody_uses_is_closed_where_that_is_wanted_and_one_at_work_is_not() -> Result<()> {
    let host = configured("idle_close_ms = 1000").await?;
    let mut client = host.connect().await?;
    client.subscribe(&["terminals.closed"]).await?;
    let (working, watched) = (open(&mut client).await?, open(&mut client).await?);
    client.call("terminals.write", json!({ "id": working, "content": "cat\r" })).await?;
    let watcher = Watcher::attach(&host, &watched, json!({ "role": "view" })).await?;
    // Twice, so that the others have had more time than one that is closed.
    for _ in 0..2 {
        let idle = open(&mut client).await?;
        closed(&mut client, &idle).await?;
    }
    let list = client.call("terminals.list", json!({})).await?;
    let ids: Vec<&Value> = list.as_array().context("a list")?.iter().map(|info| &info["id"]).collect();
    assert!(ids.len() == 2 && ids.contains(&&working) && ids.contains(&&watched), "{list}");
    // When the job has ended and the client has left they are as idle as any.
    drop(watcher);
    closed(&mut client, &watched).await?;
    client.call("terminals.write", json!({ "id": working, "content": "\u{3}" })).await?;
    closed(&mut client, &working).await
}

#[tokio::test]
async fn a_principal_has_so_many_terminals_and_another_has_its_own() -> Result<()> {
    let host = configured("terminals_per_principal = 2").await?;
    let mut client = host.connect().await?;
    // At once, so that none of them has looked before another has opened.
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.push(client.send("terminals.open", json!({ "shell": "/bin/sh" })).await?);
    }
    let (mut opened, mut refused) = (Vec::new(), 0);
    for request in asked {
        let answer = client.wait_for(|message| message["id"] == request).await?;
        match answer["result"]["id"].as_str() {
            Some(id) => opened.push(id.to_owned()),
            None => {
                assert_eq!(answer["error"]["data"]["code"], "quota_exceeded", "{answer}");
                assert!(
                    answer["error"]["message"].as_str().is_some_and(|text| text.contains("close one first")),
                    "{answer}"
                );
                refused += 1;
            }
        }
    }
    assert_eq!((opened.len(), refused), (2, 4));
    // What is played counts, too.
    host.write_file("a.cast", "{\"version\":2,\"width\":80,\"height\":24}\n[0,\"o\",\"x\"]\n")?;
    let (code, _) = client.fault("terminals.play", json!({ "path": "a.cast" })).await?;
    assert_eq!(code, "quota_exceeded");

    let (_, made, _) =
        host.cli(&["token", "create", "other", "--scope", "terminal", "--scope", "read", "--json"]).await?;
    let made: Value = serde_json::from_str(&made)?;
    let mut other = Client::connect(&host.url, made["token"].as_str().context("token")?).await?;
    other.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;

    // One that has exited is none any more, and neither is one that is closed.
    for (method, more) in [("terminals.write", json!({ "content": "exit\n" })), ("terminals.close", json!({}))] {
        let id = opened.pop().context("a terminal")?;
        let mut params = more;
        params["id"] = id.clone().into();
        client.call(method, params).await?;
        if method == "terminals.write" {
            client.call("terminals.wait", json!({ "id": id, "until": "exit", "timeout_ms": 30000 })).await?;
        }
        client.call("terminals.open", json!({ "shell": "/bin/sh" })).await?;
        let (code, _) = client.fault("terminals.open", json!({ "shell": "/bin/sh" })).await?;
        assert_eq!(code, "quota_exceeded", "after {method}");
    }
    Ok(())
}

#[tokio::test]
async fn only_the_programs_of_the_list_are_opened() -> Result<()> {
    let host = configured("shells = [\"/bin/sh\"]").await?;
    let mut client = host.connect().await?;
    open(&mut client).await?;
    let (code, fault) = client.fault("terminals.open", json!({ "shell": "/bin/cat" })).await?;
    assert_eq!(code, "forbidden");
    assert!(fault["message"].as_str().is_some_and(|text| text.contains("allowed are /bin/sh")), "{fault}");
    Ok(())
}
