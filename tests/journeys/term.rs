//! `midplane term`, and its `attach` at a real terminal: one of the host's own.

use anyhow::{Context, Result};
use midplane_tests::{Host, Watcher};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

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
    for (number, (line, code)) in [
        ("echo one", 0),
        ("sh -c 'exit 3'", 3),
        ("git log --oneline | cat; false", 1),
        ("seq 1000 > lines; ${PAGER:-less} lines; $EDITOR lines", 0),
        // Without a message it opens an editor, and with an empty one it makes nothing.
        ("git init -q r; git -C r -c user.name=a -c user.email=a@b commit -q --allow-empty", 1),
    ]
    .iter()
    .enumerate()
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

/// Carries connections to the host until it is told to break them; new ones are taken at once.
async fn wire(host: &Host) -> Result<(String, watch::Sender<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let own = listener.local_addr()?.to_string();
    let (cut, _) = watch::channel(());
    let (far, near, cuts) = (host.url.trim_start_matches("http://").to_owned(), own.clone(), cut.clone());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (near, far, mut cuts) = (near.clone(), far.clone(), cuts.subscribe());
            tokio::spawn(async move {
                tokio::select! {
                    _ = carry(stream, &near, &far) => {}
                    _ = cuts.changed() => {}
                }
            });
        }
    });
    Ok((format!("http://{own}"), cut))
}

/// The host serves those who call it by its own address.
async fn carry(mut stream: TcpStream, near: &str, far: &str) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let mut host = TcpStream::connect(far).await?;
    host.write_all(String::from_utf8(head)?.replace(near, far).as_bytes()).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut host).await?;
    Ok(())
}

#[tokio::test]
async fn a_broken_connection_is_made_again_and_what_was_typed_arrives_once() -> Result<()> {
    let host = Host::start().await?;
    let (url, cut) = wire(&host).await?;
    let mut client = host.connect().await?;
    let script = "stty -echo; printf ready; while read line; do echo \"got <$line>\"; done";
    let inner =
        client.call("terminals.open", json!({ "shell": "/bin/sh", "args": ["-c", script] })).await?["id"].clone();
    let open = json!({
        "shell": Host::program(),
        "args": ["term", "attach", inner],
        "env": [["MIDPLANE_URL", url], ["MIDPLANE_TOKEN", host.token]],
    });
    let outer = client.call("terminals.open", open).await?["id"].clone();
    let mut person = Watcher::attach(&host, &outer, json!({ "role": "drive" })).await?;
    let shown = person.until_shows("ready").await;
    shown.with_context(|| person.screen.text())?;
    let mut typed = String::new();
    for turn in 0..6 {
        person.type_in(format!("line {turn} a\r").as_bytes()).await?;
        cut.send_replace(());
        // While it is not connected.
        person.type_in(format!("line {turn} b\r").as_bytes()).await?;
        let shown = person.until_shows(&format!("got <line {turn} b>")).await;
        shown.with_context(|| format!("turn {turn}: {}", person.screen.text()))?;
        typed += &format!("got <line {turn} a>\r\ngot <line {turn} b>\r\n");
    }
    assert!(person.screen.text().contains("trying again"), "{}", person.screen.text());
    let read = client.call("terminals.screen", json!({ "id": inner })).await?;
    let lines: Vec<&str> = read["lines"].as_array().context("lines")?.iter().filter_map(|line| line.as_str()).collect();
    assert_eq!(lines.join("\r\n").trim_end(), format!("ready{}", typed.trim_end()));
    client.call("terminals.close", json!({ "id": inner })).await?;
    person.until(|watcher| watcher.exit.is_some()).await
}

#[tokio::test]
async fn a_client_is_told_when_another_goes_on_in_its_place() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id = client.call("terminals.open", json!({ "shell": "/bin/cat" })).await?["id"].clone();
    let attached = client.call("terminals.attach", json!({ "id": id, "role": "drive" })).await?;
    let mut other = host.connect().await?;
    let lineage = attached["lineage"].clone();
    let goes_on = other.call("terminals.attach", json!({ "id": id, "role": "drive", "lineage": lineage })).await?;
    assert_eq!(goes_on["lineage"], lineage);
    let channel = u32::try_from(attached["channel"].as_u64().context("channel")?)?;
    loop {
        let frame = client.frame(channel).await?;
        if frame.op == 6 && serde_json::from_slice::<serde_json::Value>(&frame.payload)?["superseded"] == true {
            return Ok(());
        }
    }
}
