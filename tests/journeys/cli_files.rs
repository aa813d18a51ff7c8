//! `midplane files`: what a shell does with the served directory.

use anyhow::Result;
use midplane_tests::Host;
use serde_json::{Value, json};

#[tokio::test]
async fn files_are_listed_shown_put_edited_moved_copied_and_removed_from_a_shell() -> Result<()> {
    let host = Host::start().await?;
    let here = tempfile::tempdir()?;
    let source = here.path().join("source");
    std::fs::write(&source, b"one\ntwo\xff\n")?;
    let source = source.to_str().unwrap_or_default();
    let run = |arguments: &[&str]| {
        let arguments: Vec<String> = ["files"].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
        let host = &host;
        async move { host.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await }
    };
    let (code, out, err) = run(&["put", "--parents", source, "src/a.bin"]).await?;
    assert_eq!((code, out.starts_with("src/a.bin: created, 9 bytes")), (0, true), "{out}{err}");
    assert_eq!(std::fs::read(host.directory.join("src/a.bin"))?, b"one\ntwo\xff\n");
    let (code, _, err) = run(&["put", "--new", source, "src/a.bin"]).await?;
    assert_eq!(code, 5, "{err}");
    let (code, _, err) = run(&["put", "--if-version", "stale", source, "src/a.bin"]).await?;
    assert_eq!(code, 5, "{err}");
    host.write_file("src/b.rs", "fn main() {}\n")?;
    host.write_file("src/c.rs", "fn other() {}\n")?;

    let (code, out, _) = run(&["cat", "src/*.rs"]).await?;
    assert_eq!((code, &*out), (0, "fn main() {}\nfn other() {}\n"));
    let (code, out, _) = run(&["ls", "src"]).await?;
    assert_eq!((code, &*out), (0, "src/a.bin\nsrc/b.rs\nsrc/c.rs\n"));
    let (code, out, _) = run(&["ls", "--json", "**/b.*"]).await?;
    let listed: Value = serde_json::from_str(&out)?;
    assert_eq!((code, &listed[0]["path"]), (0, &json!("src/b.rs")), "{out}");
    let (code, out, err) = run(&["edit", "-n", "src/b.rs", "--old", "main", "--new", "start"]).await?;
    assert_eq!((code, out.contains("-fn main() {}\n+fn start() {}")), (0, true), "{out}{err}");
    let (code, _, err) = run(&["edit", "src/b.rs", "--old", "nowhere", "--new", "x"]).await?;
    assert_eq!((code, err.contains("0 times")), (5, true), "{err}");
    let (code, out, _) = run(&["edit", "src/b.rs", "--old", "main", "--new", "start"]).await?;
    assert_eq!((code, out.starts_with("src/b.rs: 1 replaced")), (0, true), "{out}");

    let (code, _, err) = run(&["mv", "src/b.rs", "src/c.rs"]).await?;
    assert_eq!(code, 5, "{err}");
    std::fs::create_dir(host.directory.join("to"))?;
    let (code, out, err) = run(&["mv", "src/*.rs", "to"]).await?;
    assert_eq!((code, &*out), (0, "src/b.rs -> to/b.rs\nsrc/c.rs -> to/c.rs\n"), "{err}");
    let (code, _, err) = run(&["cp", "to", "copy"]).await?;
    assert_eq!(
        (code, std::fs::read_to_string(host.directory.join("copy/b.rs"))?.as_str()),
        (0, "fn start() {}\n"),
        "{err}"
    );
    let (code, _, err) = run(&["rm", "to"]).await?;
    assert_eq!(code, 5, "a directory with content: {err}");
    let (code, out, err) = run(&["rm", "--trash", "to", "copy/*"]).await?;
    assert_eq!((code, out.lines().count()), (0, 3), "{out}{err}");
    assert!(!host.directory.join("to").exists());
    for gone in [&["cat", "none"][..], &["ls", "*.none"], &["rm", "none"]] {
        let (code, _, err) = run(gone).await?;
        assert_eq!(code, 4, "{gone:?}: {err}");
    }
    let (code, _, err) = run(&["cat", "../data/token"]).await?;
    assert_eq!(code, 1, "{err}");
    Ok(())
}
