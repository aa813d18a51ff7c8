//! `midplane term`, and its `attach` at a real terminal: one of the host's own.

use anyhow::{Context, Result};
use midplane_tests::{Host, Watcher};
use serde_json::json;

#[tokio::test]
async fn terminals_are_opened_listed_typed_into_waited_for_and_closed() -> Result<()> {
    let host = Host::start().await?;
    let (code, id, error) = host.cli(&["term", "open", "--shell", "/bin/sh", "--name", "build"]).await?;
    assert_eq!((code, error.as_str()), (0, ""));
    let id = id.trim();
    assert_eq!(host.cli(&["term", "send", id, "--enter", "echo done-$((40+2))"]).await?.0, 0);
    assert_eq!(host.cli(&["term", "wait", id, "--text", "done-42"]).await?.0, 0);
    assert!(host.cli(&["term", "screen", id]).await?.1.contains("done-42"));
    let (_, list, _) = host.cli(&["term", "list"]).await?;
    assert!(list.contains(id) && list.contains("build") && list.contains("running"), "{list}");
    assert_eq!(host.cli(&["term", "wait", id, "--exit", "--timeout", "0.2"]).await?.0, 124);
    assert_eq!(host.cli(&["term", "close", id]).await?.0, 0);
    assert_eq!(host.cli(&["term", "wait", id]).await?.0, 4);
    Ok(())
}

#[tokio::test]
async fn an_agent_learns_of_each_command_how_it_ended() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id = client.call("terminals.open", json!({ "profile": "agent" })).await?["id"].clone();
    for (number, (line, code)) in
        [("echo one", 0), ("sh -c 'exit 3'", 3), ("git log --oneline | cat; false", 1)].iter().enumerate()
    {
        client.call("terminals.write", json!({ "id": id, "content": format!("{line}\n") })).await?;
        let until = json!({ "command_done": number + 1 });
        client.call("terminals.wait", json!({ "id": id, "until": until, "timeout_ms": 20000 })).await?;
        let commands = client.call("terminals.commands", json!({ "id": id, "limit": 1 })).await?;
        assert_eq!((&commands[0]["number"], &commands[0]["exit_code"]), (&json!(number + 1), &json!(code)), "{line}");
    }
    let first = client.call("terminals.commands", json!({ "id": id })).await?[0].clone();
    let (from, to) = (first["from"].as_u64().context("from")?, first["to"].as_u64().context("to")?);
    let read = json!({ "id": id, "from": from, "limit_bytes": to - from });
    assert_eq!(client.call("terminals.read", read).await?["content_base64"], "b25lDQo=");
    let served = host.directory.display().to_string();
    assert_eq!(client.call("terminals.get", json!({ "id": id })).await?["cwd"], served);
    Ok(())
}

#[tokio::test]
async fn attaching_feels_local_and_ends_with_the_exit_code_of_the_program() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let prompt = json!({ "shell": "/bin/sh", "env": [["PS1", "ready> "]] });
    let inner = client.call("terminals.open", prompt).await?["id"].clone();
    let open = json!({
        "shell": Host::program(),
        "args": ["term", "attach", inner],
        "env": [["MIDPLANE_URL", host.url], ["MIDPLANE_TOKEN", host.token]],
        "cols": 90,
        "rows": 20,
    });
    let outer = client.call("terminals.open", open.clone()).await?["id"].clone();
    let mut person = Watcher::attach(&host, &outer, json!({ "role": "drive" })).await?;
    person.until_shows("ready>").await?;
    person.type_in(b"echo typed-$((40+2)); stty size\r").await?;
    person.until_shows("20 90").await?;
    client.call("terminals.resize", json!({ "id": outer, "cols": 100, "rows": 30 })).await?;
    // The window's new size goes on to the inner terminal.
    let mut looking = Watcher::attach(&host, &inner, json!({ "role": "view" })).await?;
    looking.until_shows("typed-42").await?;
    looking.until(|watcher| watcher.screen.grid().len() == 31).await?;
    // The key that detaches ends the client and not the program.
    person.type_in(b"\x1d").await?;
    person.until(|watcher| watcher.exit == Some(0)).await?;
    assert_eq!(client.call("terminals.get", json!({ "id": inner })).await?["exited"], json!(null));
    let outer = client.call("terminals.open", open).await?["id"].clone();
    let mut person = Watcher::attach(&host, &outer, json!({ "role": "drive" })).await?;
    person.until_shows("typed-42").await?;
    person.type_in(b"exit 7\r").await?;
    person.until(|watcher| watcher.exit == Some(7)).await
}
