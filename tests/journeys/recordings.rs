//! Terminals recorded into files and played from them (asciicast v2).

use anyhow::{Context, Result, ensure};
use midplane_tests::{Client, Host, Watcher};
use serde_json::{Value, json};

/// A recording as docs.asciinema.org/manual/asciicast/v2 describes it, or an error; its events.
fn checked(text: &str) -> Result<Vec<(f64, String, String)>> {
    let mut lines = text.lines();
    let header: Value = serde_json::from_str(lines.next().context("no header")?)?;
    ensure!(header["version"] == 2 && header["width"].is_u64() && header["height"].is_u64(), "{header}");
    ensure!(
        header["timestamp"].is_u64() && header["title"].is_string() && header["env"]["TERM"].is_string(),
        "{header}"
    );
    let (mut events, mut last) = (Vec::new(), 0.0);
    for line in lines {
        let event: (f64, String, String) = serde_json::from_str(line).with_context(|| line.to_owned())?;
        ensure!(event.0 >= last, "times do not go back: {line}");
        let resizes = || {
            event
                .2
                .split_once('x')
                .is_some_and(|(cols, rows)| cols.parse::<u16>().is_ok() && rows.parse::<u16>().is_ok())
        };
        ensure!(matches!(&*event.1, "o" | "i" | "m") || event.1 == "r" && resizes(), "{line}");
        last = event.0;
        events.push(event);
    }
    Ok(events)
}

fn joined(events: &[(f64, String, String)], code: &str) -> String {
    events.iter().filter(|event| event.1 == code).map(|event| event.2.as_str()).collect()
}

async fn quiet(client: &mut Client, id: &Value) -> Result<u64> {
    let params = json!({ "id": id, "until": { "idle": 400 }, "timeout_ms": 30000 });
    client.call("terminals.wait", params).await?["offset"].as_u64().context("offset")
}

/// What a client sees that comes now.
async fn grid(host: &Host, client: &mut Client, id: &Value) -> Result<Vec<String>> {
    let offset = client.call("terminals.get", json!({ "id": id })).await?["offset"].as_u64().context("offset")?;
    let mut watcher = Watcher::attach(host, id, json!({ "role": "view" })).await?;
    watcher.catch_up(offset).await?;
    Ok(watcher.screen.grid())
}

#[tokio::test]
async fn an_editor_is_recorded_over_a_reload_and_played_to_the_same_screen() -> Result<()> {
    let host = Host::start().await?;
    let text: String = (1..200).map(|line| format!("line {line}\tof a text ä漢 with some words in it\n")).collect();
    host.write_file("text", &text)?;
    let mut client = host.connect().await?;
    client.subscribe(&["terminals.recording_ended"]).await?;
    let vim = ["-u", "NONE", "-N", "-i", "NONE", "text"];
    let open = json!({ "shell": "vim", "args": vim, "env": [["HOME", "/nonexistent"]] });
    let id = client.call("terminals.open", open).await?["id"].clone();
    quiet(&mut client, &id).await?;
    let record = json!({ "id": id, "path": "editor.cast", "input": true });
    client.call("terminals.record", record.clone()).await?;
    let (code, message) = client.fault("terminals.record", record).await?;
    assert_eq!(code, "conflict", "{message}");
    let mut keys = String::new();
    for (step, typed) in ["ihello ä漢\x1b", ":set number hlsearch\r", "/words\r", "50%", "dd"].iter().enumerate() {
        client.call("terminals.write", json!({ "id": id, "content": typed })).await?;
        keys.push_str(typed);
        quiet(&mut client, &id).await?;
        if step == 1 {
            client.call("plugin.reload", json!({ "name": "terminals" })).await?;
            client.call("terminals.resize", json!({ "id": id, "cols": 101, "rows": 31 })).await?;
        }
    }
    // So that it draws nothing after the end of the recording.
    client.call("terminals.signal", json!({ "id": id, "signal": "KILL" })).await?;
    client.call("terminals.wait", json!({ "id": id, "until": "exit", "timeout_ms": 30000 })).await?;
    let stopped = client.call("terminals.stop_recording", json!({ "id": id })).await?;
    assert_eq!((&stopped["path"], &stopped["end"]), (&json!("editor.cast"), &json!("exited")));
    let told = client.event_on("terminals.recording_ended").await?;
    assert_eq!((&told["payload"]["id"], &told["payload"]["bytes"]), (&id, &stopped["bytes"]));
    let seen = grid(&host, &mut client, &id).await?;
    let file = std::fs::read_to_string(host.directory.join("editor.cast"))?;
    assert_eq!(stopped["bytes"], file.len());
    let events = checked(&file)?;
    assert_eq!((joined(&events, "i"), joined(&events, "r")), (keys, "101x31".to_owned()));

    let play = json!({ "path": "editor.cast", "speed": 100.0, "idle_limit_ms": 100 });
    let replay = client.call("terminals.play", play).await?;
    assert_eq!((&replay["pid"], &replay["cols"], &replay["name"]), (&json!(0), &json!(80), &json!("editor.cast")));
    client.call("terminals.wait", json!({ "id": replay["id"], "until": "exit", "timeout_ms": 30000 })).await?;
    assert_eq!(grid(&host, &mut client, &replay["id"]).await?, seen);
    let (code, _) = client.fault("terminals.write", json!({ "id": replay["id"], "content": "x" })).await?;
    assert_eq!(code, "forbidden");
    Ok(())
}

#[tokio::test]
async fn a_host_that_is_killed_leaves_a_recording_up_to_its_last_line() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let shell = json!({ "shell": "/bin/sh", "env": [["PS1", "ready> "]] });
    let id = client.call("terminals.open", shell).await?["id"].clone();
    client.call("terminals.record", json!({ "id": id, "path": "killed.cast" })).await?;
    client.call("terminals.write", json!({ "id": id, "content": "echo before-$((40+2)); yes\r" })).await?;
    let mut watcher = Watcher::attach(&host, &id, json!({ "role": "view" })).await?;
    watcher.until(|watcher| watcher.offset > 1024 * 1024).await?;
    let path = host.directory.join("killed.cast");
    while std::fs::metadata(&path)?.len() < 100_000 {
        watcher.step().await?;
    }
    let host = host.kill_and_restart().await?;
    let file = std::fs::read_to_string(&path)?;
    let whole = &file[..=file.rfind('\n').context("a line")?];
    assert!(joined(&checked(whole)?, "o").contains("before-42"));
    let mut client = host.connect().await?;
    let play = json!({ "path": "killed.cast", "speed": 1000, "idle_limit_ms": 0 });
    let id = client.call("terminals.play", play).await?["id"].clone();
    let ended = client.call("terminals.wait", json!({ "id": id, "until": "exit", "timeout_ms": 60000 })).await?;
    assert_eq!(ended["exited"]["code"], 0);
    Ok(())
}

#[tokio::test]
async fn recordings_are_made_played_and_exported_on_the_command_line() -> Result<()> {
    let host = Host::start().await?;
    let (code, id, error) = host
        .cli(&[
            "term",
            "open",
            "--shell",
            "/bin/sh",
            "--record",
            "shell.cast",
            "--",
            "-c",
            "read go; echo said-$((40+2))",
        ])
        .await?;
    assert_eq!((code, error.as_str()), (0, ""));
    let id = id.trim();
    assert_eq!(host.cli(&["term", "record", id, "again.cast"]).await?.0, 5, "it is recorded already");
    assert_eq!(host.cli(&["term", "send", id, "--enter", ""]).await?.0, 0);
    assert_eq!(host.cli(&["term", "wait", id]).await?.0, 0);
    let (_, stopped, _) = host.cli(&["term", "record", id, "--stop"]).await?;
    assert!(stopped.starts_with("shell.cast, ") && stopped.trim_end().ends_with(" bytes, exited"), "{stopped}");
    let file = host.directory.join("shell.cast");
    assert!(joined(&checked(&std::fs::read_to_string(&file)?)?, "o").contains("said-42"));
    let played = host.cli(&["term", "play", file.to_str().context("path")?, "--speed", "1000"]).await?;
    assert!(played.0 == 0 && played.1.contains("said-42"), "{played:?}");
    let shared = host.cli(&["term", "play", "shell.cast", "--shared", "--idle-limit", "0"]).await?.1;
    assert_eq!(host.cli(&["term", "wait", shared.trim(), "--exit"]).await?.0, 0);
    assert!(host.cli(&["term", "screen", shared.trim()]).await?.1.contains("said-42"));
    let (code, exported, _) = host.cli(&["term", "export", id]).await?;
    assert_eq!(code, 0);
    let path = host.directory.join("exported.cast");
    std::fs::write(&path, exported)?;
    assert!(host.cli(&["term", "play", path.to_str().context("path")?]).await?.1.contains("said-42"));
    assert_eq!(host.cli(&["term", "play", "shell.cast", "--shared", "--speed", "0"]).await?.0, 1);
    assert_eq!(host.cli(&["term", "play", "none.cast", "--shared"]).await?.0, 4);
    Ok(())
}

#[tokio::test]
async fn of_recordings_begun_at_once_the_refused_ones_leave_no_file() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let id = client.call("terminals.open", json!({ "shell": "/bin/cat" })).await?["id"].clone();
    let mut clients = Vec::new();
    for number in 0..6 {
        let mut client = host.connect().await?;
        client.send("terminals.record", json!({ "id": id, "path": format!("{number}.cast") })).await?;
        clients.push(client);
    }
    let mut made = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        let answer = client.wait_for(|message| message["id"].is_u64()).await?;
        let exists = host.directory.join(format!("{number}.cast")).exists();
        assert_eq!(exists, answer["error"].is_null(), "{answer}");
        made += usize::from(exists);
    }
    assert_eq!(made, 1);
    Ok(())
}
