//! Trees as archives over HTTP and from a shell: out while they are made, in as a whole or not at all.

use anyhow::{Context, Result};
use midplane_tests::{Entry, EntryType, Host, pack};
use serde_json::{Value, json};

async fn put(host: &Host, query: &str, archive: &[u8]) -> Result<(u16, Value)> {
    let (mut asking, unanswered) = host.ask("PUT", &format!("/api/v1/files/archive?{query}"), &[]).await?;
    asking.chunk(archive).await?;
    asking.end(&[]).await?;
    let mut answer = unanswered.head().await?;
    Ok((answer.status, serde_json::from_str(&answer.rest().await?)?))
}

async fn get(host: &Host, query: &str) -> Result<Vec<u8>> {
    let mut answer = host.get(&format!("/api/v1/files/archive?{query}")).await?;
    assert_eq!(answer.status, 200, "{:?}", answer.headers);
    assert!(answer.header("content-disposition")[0].starts_with("attachment"), "{:?}", answer.headers);
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        bytes.extend(chunk);
    }
    Ok(bytes)
}

#[tokio::test]
async fn a_folder_goes_out_and_comes_in_again_over_http() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    std::fs::create_dir_all(host.directory.join("src/deep"))?;
    host.write_file("src/a.rs", "fn a() {}")?;
    host.write_file("src/deep/b", &"b".repeat(300_000))?;
    for (format, to) in [("tar_gz", "one"), ("zip", "two")] {
        let archive = get(&host, &format!("path=src&format={format}")).await?;
        let (status, done) = put(&host, &format!("path={to}"), &archive).await?;
        assert_eq!((status, &done["files"], &done["bytes"]), (200, &json!(2), &json!(300_009)), "{done}");
        assert_eq!(std::fs::read_to_string(host.directory.join(to).join("src/a.rs"))?, "fn a() {}");
        let (status, there) = put(&host, &format!("path={to}"), &archive).await?;
        assert_eq!((status, &there["code"]), (409, &json!("already_exists")), "{there}");
        client.event(|event| event["payload"].to_string().contains(to)).await?;
    }
    std::fs::write(host.directory.join("a.zip"), get(&host, "path=src&format=zip").await?)?;
    let call = json!({
        "jsonrpc": "2.0", "id": "told", "method": "files.archives.unpack",
        "params": { "archive": "a.zip", "to": "three" }, "meta": { "progress_token": 1 },
    });
    client.send_text(&call.to_string()).await?;
    let told = client.wait_for(|message| message["method"] == "$/progress").await?;
    assert_eq!(told["params"]["value"]["files"], json!(2), "{told}");
    let answer = client.wait_for(|message| message["id"] == "told").await?;
    assert_eq!(answer["result"]["files"], json!(2), "{answer}");
    assert!(host.directory.join("three/src/deep/b").exists());
    let (code, error) = client.fault("files.archives.unpack", json!({ "archive": "src/a.rs", "to": "four" })).await?;
    assert_eq!(code, "invalid_params", "{error}");
    let (code, _) = client.fault("files.archives.pack", json!({ "path": "src" })).await?;
    assert_eq!(code, "not_supported", "bytes go over HTTP");
    Ok(())
}

#[tokio::test]
async fn a_hostile_archive_leaves_nothing_here_or_outside() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    let file = here.path().join("archive.tar.gz");
    for (name, kind) in [
        ("../escaped", EntryType::Regular),
        ("/tmp/midplane-escaped", EntryType::Regular),
        (".midplane/escaped", EntryType::Regular),
        ("pipe", EntryType::Fifo),
    ] {
        let good = Entry { name: "good", kind: EntryType::Regular, content: b"good" };
        pack(&file, &[good, Entry { name, kind, content: b"" }])?;
        let (status, refused) = put(&host, "path=to", &std::fs::read(&file)?).await?;
        assert_eq!((status, &refused["code"]), (422, &json!("invalid_params")), "{name}: {refused}");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains(name)), "{refused}");
        assert!(!host.directory.join("to").exists() && !host.directory.join("../escaped").exists());
    }
    assert_eq!(std::fs::read_dir(host.directory.join(".midplane/staging"))?.count(), 0);
    // Nobody has to send anything to hear that.
    let (_asking, unanswered) = host.ask("PUT", "/api/v1/files/archive?path=..%2Fto", &[]).await?;
    assert_eq!(unanswered.head().await?.status, 403);
    Ok(())
}

#[tokio::test]
async fn a_shell_packs_and_unpacks() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    std::fs::create_dir(host.directory.join("src"))?;
    host.write_file("src/a", "a")?;
    let file = here.path().join("src.zip");
    let file = file.to_str().context("path")?;
    let (code, out, err) = host.cli(&["files", "pack", "src", "-o", file]).await?;
    assert_eq!((code, &*out), (0, ""), "{err}");
    let (code, out, err) = host.cli(&["files", "unpack", file, "copy"]).await?;
    assert_eq!((code, &*out), (0, "copy: 1 files, 1 directories, 0 links, 1 bytes\n"), "{err}");
    let (code, _, err) = host.cli(&["files", "unpack", file, "copy"]).await?;
    assert_eq!((code, err.contains("copy/src/a")), (5, true), "{err}");
    std::fs::copy(file, host.directory.join("there.zip"))?;
    let (code, _, err) = host.cli(&["files", "unpack", "--there", "-f", "there.zip", "copy"]).await?;
    assert_eq!(code, 0, "{err}");
    Ok(())
}
