//! Programs that a plugin runs: to their end, as children that outlive reloads, and never longer than the plugin or the host.

use std::{fs::File, path::Path};

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, Options, copy_folder, guest, set_in_manifest};
use serde_json::{Value, json};

async fn host() -> Result<Host> {
    Host::start_with(Options::default(), |plugins| copy_folder(&guest("runner")?, &plugins.join("runner"))).await
}

fn sh(script: &str) -> Value {
    json!({ "program": "sh", "args": ["-c", script], "stdin": "" })
}

/// What a child has written, up to and including `text`.
async fn until(client: &mut Client, id: &Value, text: &str) -> Result<String> {
    let (mut all, mut from) = (String::new(), json!(0));
    while !all.contains(text) {
        let piece = client.call("runner.read", json!({ "id": id, "from": from, "wait_ms": 10_000 })).await?;
        all.push_str(piece[0].as_str().unwrap_or_default());
        anyhow::ensure!(piece[2] == false || all.contains(text), "{text:?} never came: {all:?}");
        from = piece[1].clone();
    }
    Ok(all)
}

/// A pipe by name in the served directory. The file is at its end when nobody has it open for writing any more.
async fn pipe(directory: &Path) -> Result<tokio::task::JoinHandle<std::io::Result<u64>>> {
    let path = directory.join("pipe");
    anyhow::ensure!(tokio::process::Command::new("mkfifo").arg(&path).status().await?.success(), "mkfifo");
    Ok(tokio::task::spawn_blocking(move || std::io::copy(&mut File::open(path)?, &mut std::io::sink())))
}

#[tokio::test]
async fn a_program_runs_to_its_end_in_a_small_environment() -> Result<()> {
    let host = host().await?;
    host.write_file("note", "in the served directory")?;
    let mut client = host.connect().await?;
    let mut run = sh("cat note; cat; echo problem >&2; exit 3");
    run["stdin"] = " and standard input".into();
    let ended = client.call("runner.run", run).await?;
    assert_eq!(
        ended,
        json!({ "code": 3, "stdout": "in the served directory and standard input", "stderr": "problem\n", "truncated": false, "timed_out": false })
    );
    let ended = client.call("runner.run", json!({ "program": "env", "args": [], "stdin": "" })).await?;
    let mut names: Vec<&str> =
        ended["stdout"].as_str().unwrap_or_default().lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "PATH", "SHELL", "TERM"]);
    let ended = client.call("runner.run", sh("head -c 5000 /dev/zero | tr '\\0' x")).await?;
    assert_eq!((ended["stdout"].as_str().map(str::len), &ended["truncated"]), (Some(1000), &json!(true)));
    let mut run = sh("sleep 1000");
    run["timeout_ms"] = 200.into();
    assert_eq!(client.call("runner.run", run).await?["timed_out"], true);
    Ok(())
}

#[tokio::test]
async fn only_programs_that_are_granted_by_that_name_are_run() -> Result<()> {
    let host = host().await?;
    host.write_file("sh", "#!/bin/sh\necho own\n")?;
    let mut client = host.connect().await?;
    for program in ["cat", "/bin/sh", "./sh", "sh ", "SH", ""] {
        for function in ["run", "spawn"] {
            let params = json!({ "program": program, "args": [], "stdin": "" });
            let params = if function == "run" { params } else { json!({ "program": program, "args": [] }) };
            let (code, error) = client.fault(&format!("runner.{function}"), params).await?;
            assert_eq!((&*code, &error["data"]["details"]["grant"]), ("forbidden", &json!("processes")), "{program:?}");
        }
    }
    set_in_manifest(&host.plugins.join("runner"), "processes", "processes = []")?;
    client.call("plugin.reload", json!({ "name": "runner" })).await?;
    for (function, params) in [
        ("run", sh("true")),
        ("write", json!({ "id": "p-1", "text": "x" })),
        ("signal", json!({ "id": "p-1", "signal": "KILL" })),
    ] {
        let (code, _) = client.fault(&format!("runner.{function}"), params).await?;
        assert_eq!(code, "forbidden", "{function}");
    }
    Ok(())
}

#[tokio::test]
async fn a_child_outlives_a_reload_and_its_end_is_told() -> Result<()> {
    let host = host().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["runner.told"]).await?;
    let script =
        json!({ "program": "sh", "args": ["-c", "echo ready; while read line; do echo got $line; done; exit 7"] });
    let id = client.call("runner.spawn", script).await?;
    until(&mut client, &id, "ready").await?;
    set_in_manifest(&host.plugins.join("runner"), "description", "description = \"another generation\"")?;
    client.call("plugin.reload", json!({ "name": "runner" })).await?;
    assert_eq!(client.call("runner.children", json!({})).await?, json!([id]));
    client.call("runner.write", json!({ "id": id, "text": "it\n" })).await?;
    assert_eq!(until(&mut client, &id, "got it").await?, "ready\ngot it\n");
    client.call("runner.close_stdin", json!({ "id": id })).await?;
    assert_eq!(client.call("runner.wait", json!({ "id": id, "timeout_ms": 60_000 })).await?, 7);
    let told = client.event_on("runner.told").await?["payload"].clone();
    assert_eq!(told, json!({ "kind": "exited", "id": id, "program": "sh", "code": 7, "signal": null }));
    client.call("runner.close", json!({ "id": id })).await?;
    let (code, _) = client.fault("runner.signal", json!({ "id": id, "signal": "KILL" })).await?;
    assert_eq!(code, "not_found");
    Ok(())
}

#[tokio::test]
async fn children_end_with_their_plugin_and_with_the_host_however_it_ends() -> Result<()> {
    let itself = "exec 3> pipe; echo ready; exec sleep 1000";
    // A job in a group of its own, whose parent dies first.
    let its_child = "set -m; (exec 3> pipe; echo ready; exec sleep 1000) & wait";
    let ends = ["disable", "unload", "SIGTERM", "SIGKILL"];
    for (script, ends_by) in ends.map(|end| (itself, end)).into_iter().chain(ends.map(|end| (its_child, end))) {
        let holds = json!({ "program": "sh", "args": ["-c", script] });
        let host = host().await?;
        let gone = pipe(&host.directory).await?;
        let mut client = host.connect().await?;
        client.subscribe(&["plugin.state_changed"]).await?;
        let id = client.call("runner.spawn", holds).await?;
        until(&mut client, &id, "ready").await?;
        let _kept = match ends_by {
            "disable" => {
                client.call("plugin.disable", json!({ "name": "runner" })).await?;
                Some(host)
            }
            "unload" => {
                std::fs::remove_dir_all(host.plugins.join("runner"))?;
                Some(host)
            }
            "SIGTERM" => {
                assert_eq!(host.terminate().await?, Some(0));
                None
            }
            _ => Some(host.kill_and_restart().await?),
        };
        gone.await?.with_context(|| format!("{script}, {ends_by}"))?;
    }
    Ok(())
}
