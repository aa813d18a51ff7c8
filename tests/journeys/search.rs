//! Searching below the served directory: what is found, what is told meanwhile, and that work ends when nobody waits.

use anyhow::{Context, Result};
use midplane_tests::{Client, Host, PATIENCE};
use serde_json::{Value, json};

/// A host over so much to find that a search whose client does not read lasts until somebody ends it.
async fn host_with_much() -> Result<Host> {
    let host = Host::start().await?;
    let lines = format!("needle {}\n", "x".repeat(990)).repeat(5_000);
    for name in ["a", "b", "c", "d"] {
        host.write_file(name, &lines)?;
    }
    Ok(host)
}

/// Begins a search that tells its hits as they are found.
async fn begin(client: &mut Client, id: &str, params: Value) -> Result<()> {
    let call = json!({
        "jsonrpc": "2.0", "id": id, "method": "files.search", "params": params, "meta": { "progress_token": id },
    });
    client.send_text(&call.to_string()).await
}

async fn figure(host: &Host, name: &str) -> Result<u64> {
    let text = host.get_text("/metrics").await?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    Ok(line.with_context(|| format!("no {name}"))?.parse()?)
}

/// Waits until so many searches are at work.
async fn searches_running(host: &Host, count: u64) -> Result<()> {
    let reached = async {
        while figure(host, "midplane_searches_running").await? != count {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, reached).await.with_context(|| format!("never {count} searches at work"))?
}

#[tokio::test]
async fn lines_are_found_with_their_places_and_rules_are_honoured() -> Result<()> {
    let host = Host::start().await?;
    std::fs::create_dir_all(host.directory.join("src/gen"))?;
    host.write_file(".gitignore", "gen/\n")?;
    host.write_file("src/main.rs", "fn main() {\n    grün(\"Needle\");\n}\n")?;
    host.write_file("src/gen/made.rs", "needle\n")?;
    host.write_file("notes.md", "needle\n")?;
    let mut client = host.connect().await?;
    let found = client.call("files.search", json!({ "query": "needle", "context": 1 })).await?;
    let paths: Vec<&Value> = found["files"].as_array().context("files")?.iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["notes.md", "src/main.rs"], "{found}");
    let hit = &found["files"][1]["hits"][0];
    assert_eq!((&hit["line"], &hit["spans"]), (&json!(2), &json!([{ "column": 11, "length": 6 }])), "{hit}");
    assert_eq!((&hit["before"][0]["text"], &hit["after"][0]["line"]), (&json!("fn main() {"), &json!(3)), "{hit}");
    let stat = client.call("files.stat", json!({ "path": "src/main.rs" })).await?;
    assert_eq!(found["files"][1]["version"], stat["version"]);
    assert_eq!((&found["truncated"], &found["hits"]), (&Value::Null, &json!(2)), "{found}");

    let narrowed =
        json!({ "query": "^need", "regex": true, "case": "sensitive", "include": ["*.rs"], "ignored": true });
    let found = client.call("files.search", narrowed).await?;
    assert_eq!(found["files"][0]["path"], "src/gen/made.rs", "{found}");
    let first = client.call("files.search", json!({ "query": "needle", "max_results": 1 })).await?;
    assert_eq!((&first["hits"], &first["truncated"]), (&json!(1), &json!("max_results")), "{first}");
    let (code, error) = client.fault("files.search", json!({ "query": "(", "regex": true })).await?;
    assert_eq!((code.as_str(), &error["data"]["details"]["path"]), ("invalid_params", &json!("params.query")));
    let (code, _) = client.fault("files.search", json!({ "query": "x", "path": "../data" })).await?;
    assert_eq!(code, "outside_root");
    Ok(())
}

#[tokio::test]
async fn batches_are_told_as_they_are_found_and_an_answer_without_them_has_a_limit() -> Result<()> {
    let host = host_with_much().await?;
    let mut client = host.connect().await?;
    begin(&mut client, "told", json!({ "query": "needle", "max_results": 2_000 })).await?;
    let (mut lines, mut parts) = (Vec::new(), 0);
    let answer = loop {
        let message = client.message().await?;
        if message["id"] == "told" {
            break message["result"].clone();
        }
        assert_eq!((&message["method"], &message["params"]["token"]), (&json!("$/progress"), &json!("told")));
        parts += 1;
        for file in message["params"]["value"]["files"].as_array().context("files")? {
            assert_eq!(file["path"], "a");
            lines.extend(file["hits"].as_array().context("hits")?.iter().filter_map(|hit| hit["line"].as_u64()));
        }
    };
    assert!(lines == (1..=2_000).collect::<Vec<u64>>(), "{} lines, not in order", lines.len());
    assert!(parts > 10, "{parts} parts");
    assert_eq!((&answer["files"], &answer["hits"]), (&json!([]), &json!(2_000)), "{answer}");
    assert_eq!(answer["truncated"], "max_results");

    let whole = client.call("files.search", json!({ "query": "needle", "max_results": 2_000 })).await?;
    assert_eq!(whole["truncated"], "max_bytes");
    assert!(whole["hits"].as_u64().is_some_and(|hits| hits > 100 && hits < 2_000), "{}", whole["hits"]);
    searches_running(&host, 0).await
}

#[tokio::test]
async fn the_work_of_a_search_ends_with_its_call_and_with_its_connection() -> Result<()> {
    let host = host_with_much().await?;
    let all = json!({ "query": "needle", "max_results": 20_000, "timeout_ms": 600_000 });
    // It tells and tells, and nobody reads: so it is at work for as long as somebody waits for it.
    let mut idle = host.connect().await?;
    begin(&mut idle, "cancelled", all.clone()).await?;
    searches_running(&host, 1).await?;
    // Others are served meanwhile.
    let mut other = host.connect().await?;
    other.call("files.stat", json!({ "path": "a" })).await?;
    let found = other.call("files.search", json!({ "query": "needle", "max_results": 1 })).await?;
    assert_eq!(found["hits"], 1);
    idle.send_text(r#"{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"cancelled"}}"#).await?;
    searches_running(&host, 0).await?;
    let ended = idle.wait_for(|message| message["id"] == "cancelled").await?;
    assert_eq!(ended["error"]["data"]["code"], "cancelled", "{ended}");

    let mut leaving = host.connect().await?;
    begin(&mut leaving, "left", all).await?;
    searches_running(&host, 1).await?;
    drop(leaving);
    searches_running(&host, 0).await
}

#[tokio::test]
async fn files_are_found_by_characters_of_their_paths_as_soon_as_they_were_told() -> Result<()> {
    let host = Host::start().await?;
    std::fs::create_dir_all(host.directory.join("src/watch"))?;
    host.write_file(".gitignore", "*.log\n")?;
    host.write_file("src/watch/engine.rs", "")?;
    host.write_file("src/watch/engine.log", "")?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    client.call("files.write", json!({ "path": "src/watch/last.rs", "content": "" })).await?;
    client.event(|event| event["payload"].to_string().contains("last.rs")).await?;
    let found = client.call("files.find", json!({ "query": "watch eng" })).await?;
    let files = found["files"].as_array().context("files")?;
    assert_eq!((files.len(), &files[0]["path"]), (1, &json!("src/watch/engine.rs")), "{found}");
    assert_eq!(files[0]["spans"], json!([{ "column": 5, "length": 5 }, { "column": 11, "length": 3 }]), "{found}");
    let over_http = host.get_json("/api/v1/files/find?query=last&limit=1").await?;
    assert_eq!(over_http["files"][0]["path"], "src/watch/last.rs", "{over_http}");
    let (code, _) = client.fault("files.find", json!({ "query": "x", "limit": 0 })).await?;
    assert_eq!(code, "invalid_params");
    Ok(())
}

#[tokio::test]
async fn the_command_line_searches_as_grep_does_and_finds() -> Result<()> {
    let host = Host::start().await?;
    std::fs::create_dir(host.directory.join("src"))?;
    host.write_file("src/a.rs", "one\nNeedle\nthree\n")?;
    host.write_file("b.md", "needle\n")?;
    let search = async |arguments: &[&str]| host.cli(&[&["files", "search"], arguments].concat()).await;
    let (code, out, _) = search(&["needle"]).await?;
    assert_eq!((code, out.as_str()), (0, "b.md:1:needle\nsrc/a.rs:2:Needle\n"));
    let (_, out, _) = search(&["^N", "src", "-e", "-s", "-C", "1"]).await?;
    assert_eq!(out, "src/a.rs-1-one\nsrc/a.rs:2:Needle\nsrc/a.rs-3-three\n");
    let (_, out, _) = search(&["needle", "-g", "!*.md", "--json"]).await?;
    let lines: Vec<Value> = out.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!((&lines[0]["path"], &lines[0]["hits"][0]["line"]), (&json!("src/a.rs"), &json!(2)), "{out}");
    assert_eq!((&lines[1]["hits"], lines.len()), (&json!(1), 2), "{out}");
    for (arguments, expected) in [(&["nowhere"][..], 1), (&["(", "-e"], 2), (&["x", "gone"], 4)] {
        let (code, out, stderr) = search(arguments).await?;
        assert_eq!((code, out.as_str()), (expected, ""), "{arguments:?}: {stderr}");
    }
    let (_, _, stderr) = search(&["needle", "-m", "1"]).await?;
    assert!(stderr.contains("there is more"), "{stderr}");

    let (code, out, _) = host.cli(&["files", "find", "ars"]).await?;
    assert_eq!((code, out.as_str()), (0, "src/a.rs\n"));
    assert_eq!(host.cli(&["files", "find", "zzz"]).await?.0, 1);
    Ok(())
}

#[tokio::test]
async fn a_dry_run_of_a_replacement_is_a_set_of_changes_that_can_be_applied() -> Result<()> {
    let host = Host::start().await?;
    host.write_file("a.rs", "\u{feff}old();\r\nlast old")?;
    host.write_file("b.rs", "none\n")?;
    std::fs::write(host.directory.join("c.rs"), b"old \xff\n")?;
    let mut client = host.connect().await?;
    let params = json!({ "query": r"\b(old)\b", "regex": true, "replacement": "${1}er", "dry_run": true });
    let plan = client.call("files.replace", params.clone()).await?;
    assert_eq!((&plan["lines"], &plan["skipped"]), (&json!(2), &json!(["c.rs"])), "{plan}");
    assert!(plan["outcomes"][0]["diff"].as_str().is_some_and(|diff| diff.contains("+last older")), "{plan}");
    let read = |name: &str| std::fs::read_to_string(host.directory.join(name));
    assert_eq!(read("a.rs")?, "\u{feff}old();\r\nlast old", "a dry run changes nothing");
    client.call("files.apply", json!({ "changes": plan["changes"] })).await?;
    assert_eq!(read("a.rs")?, "\u{feff}older();\r\nlast older");
    let (code, _) = client.fault("files.apply", json!({ "changes": plan["changes"] })).await?;
    assert_eq!(code, "precondition_failed", "the set was made for what was there before");

    let done = client.call("files.replace", json!({ "query": "older", "replacement": "$0" })).await?;
    assert_eq!((&done["changes"], &done["outcomes"][0]["path"]), (&json!([]), &json!("a.rs")), "{done}");
    assert_eq!(read("a.rs")?, "\u{feff}$0();\r\nlast $0");
    Ok(())
}
