use anyhow::Result;
use midplane_tests::Host;
use serde_json::json;

#[tokio::test]
async fn files_are_written_read_listed_moved_and_deleted() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.call("files.mkdir", json!({ "path": "src" })).await?;
    let written = client.call("files.write", json!({ "path": "src/a.rs", "content": "fn main() {}\n" })).await?;
    assert_eq!(written["created"], true);
    let read = client.call("files.read", json!({ "path": "src/a.rs" })).await?;
    assert_eq!(read["content"], "fn main() {}\n");
    assert_eq!(read["version"], written["version"]);
    let stat = client.call("files.stat", json!({ "path": "src/a.rs" })).await?;
    assert_eq!(
        (stat["kind"].as_str(), stat["category"].as_str(), stat["size"].as_u64()),
        (Some("file"), Some("code"), Some(13))
    );
    client.call("files.move", json!({ "from": "src/a.rs", "to": "src/b.rs" })).await?;
    let list = client.call("files.list", json!({ "path": "src" })).await?;
    let names: Vec<&str> = list["entries"]
        .as_array()
        .map(|entries| entries.iter().filter_map(|e| e["name"].as_str()).collect())
        .unwrap_or_default();
    assert_eq!(names, ["b.rs"]);
    assert_eq!(std::fs::read_to_string(host.directory.join("src/b.rs"))?, "fn main() {}\n");
    client.call("files.delete", json!({ "path": "src", "recursive": true })).await?;
    let (code, _) = client.fault("files.stat", json!({ "path": "src" })).await?;
    assert_eq!(code, "not_found");
    Ok(())
}

#[tokio::test]
async fn two_writers_with_one_version_cannot_lose_each_others_work() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    let first = client.call("files.write", json!({ "path": "a.txt", "content": "one" })).await?;
    let version = &first["version"];
    let second =
        client.call("files.write", json!({ "path": "a.txt", "content": "two", "if_version": version })).await?;
    let (code, error) =
        client.fault("files.write", json!({ "path": "a.txt", "content": "three", "if_version": version })).await?;
    assert_eq!(code, "precondition_failed");
    assert_eq!(error["data"]["details"]["current_version"], second["version"]);
    assert_eq!(std::fs::read_to_string(host.directory.join("a.txt"))?, "two");
    Ok(())
}

#[tokio::test]
async fn nothing_outside_the_served_directory_is_reached() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    std::os::unix::fs::symlink("/etc", host.directory.join("link"))?;
    for path in ["../data/token", "/etc/passwd", "a/../../x", "link/passwd"] {
        let (code, _) = client.fault("files.read", json!({ "path": path })).await?;
        assert_eq!(code, "outside_root", "{path}");
    }
    let (code, _) = client.fault("files.write", json!({ "path": "../evil", "content": "" })).await?;
    assert_eq!(code, "outside_root");
    Ok(())
}

#[tokio::test]
async fn an_edit_by_another_program_arrives_as_files_changed() -> Result<()> {
    let host = Host::start().await?;
    let mut client = host.connect().await?;
    client.subscribe(&["files.changed"]).await?;
    host.write_file("notes.txt", "by an editor")?;
    let event = client.event_on("files.changed").await?;
    let change = &event["payload"]["changes"][0];
    assert_eq!((change["kind"].as_str(), change["path"].as_str()), (Some("created"), Some("notes.txt")));

    // A client's own write carries the request that made it.
    client.call("files.write", json!({ "path": "own.txt", "content": "x" })).await?;
    let own = client.event(|event| event["payload"]["changes"][0]["path"] == "own.txt").await?;
    assert!(own["payload"].to_string().contains("request_id"), "{own}");
    Ok(())
}
